//! One who reads the log: how far it is, and what is owed to it. No I/O, no clock.

use std::collections::BTreeMap;
use std::time::Instant;

use super::cursor_file::SavedCursor;
use super::{Bounds, DroppedRows};
use crate::log_frame::Cursor;

/// What a frame counts for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub rows: u64,
    pub bytes: u64,
    pub since: Instant,
}

/// A frame that a reader was shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub size: Size,
    /// What became of it; none: the reader has still to say.
    pub outcome: Option<Outcome>,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The reader has it.
    Acknowledged,
    /// No file has it. It counts when all before it does, as the cursor stands there: a
    /// restart before that comes upon it again.
    Lost,
}

/// Somebody who reads, or will.
#[derive(Debug)]
pub(super) struct Entry {
    pub name: String,
    pub bounds: Bounds,
    pub is_durable: bool,
    pub is_attached: bool,
    /// The next frame to show is the first from here on.
    pub position: Cursor,
    /// What was shown and is not settled: from the first that is not acknowledged on.
    pub shown: BTreeMap<Cursor, Shown>,
    pub lag_rows: u64,
    pub lag_bytes: u64,
    pub acknowledged_rows: u64,
    pub dropped: DroppedRows,
    /// What is on disk of it.
    pub saved: Option<(Cursor, u64)>,
    /// It was never on disk: who is gone before it is, was never there.
    pub is_new: bool,
    /// The disk did not take its cursor when that was written last.
    pub is_unwritten: bool,
}

/// Why frames are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Behind,
    DiskShort,
    Lost,
}

impl Entry {
    /// One in memory, from a place on.
    pub fn new(name: &str, bounds: Bounds, from: Cursor) -> Self {
        Self {
            name: name.to_owned(),
            bounds,
            is_durable: false,
            is_attached: true,
            position: from,
            shown: BTreeMap::new(),
            lag_rows: 0,
            lag_bytes: 0,
            acknowledged_rows: 0,
            dropped: DroppedRows::default(),
            saved: None,
            is_new: false,
            is_unwritten: false,
        }
    }

    /// The first frame that it does not have for certain.
    pub fn cursor(&self) -> Cursor {
        self.shown.keys().next().copied().unwrap_or(self.position)
    }

    pub fn owe(&mut self, size: Size) {
        self.lag_rows += size.rows;
        self.lag_bytes += size.bytes;
    }

    pub fn settle(&mut self, size: Size) {
        self.lag_rows -= size.rows;
        self.lag_bytes -= size.bytes;
    }

    pub fn have(&mut self, size: Size) {
        self.settle(size);
        self.acknowledged_rows += size.rows;
    }

    pub fn drop_frame(&mut self, size: Size, why: Why) {
        self.settle(size);
        *self.dropped_as(why) += size.rows;
    }

    fn dropped_as(&mut self, why: Why) -> &mut u64 {
        match why {
            Why::Behind => &mut self.dropped.behind,
            Why::DiskShort => &mut self.dropped.disk_short,
            Why::Lost => &mut self.dropped.lost,
        }
    }

    /// Counts what has its outcome, and all before it theirs.
    pub fn settle_shown(&mut self) {
        while let Some(first) = self.shown.first_entry() {
            let Some(outcome) = first.get().outcome else {
                return;
            };
            let size = first.remove().size;
            match outcome {
                Outcome::Acknowledged => self.have(size),
                Outcome::Lost => self.drop_frame(size, Why::Lost),
            }
        }
    }

    pub fn saved_state(&self) -> (Cursor, u64) {
        // A cursor only goes forth, and what is dropped before it only grows.
        (self.cursor(), self.dropped.sum())
    }

    /// What goes to the disk of it.
    pub fn to_saved(&self) -> SavedCursor {
        SavedCursor {
            name: self.name.clone(),
            cursor: Some(self.cursor()),
            bounds: self.bounds,
            acknowledged_rows: self.acknowledged_rows,
            dropped: self.dropped,
        }
    }
}
