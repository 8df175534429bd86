//! Heads whose rows are in segments and whose logs could not be read when the store was
//! opened, or were not there: they wait for readers like others, as one frame each. Who comes
//! to one looks at its log again: it is read after all, or its rows are lost and counted.

use std::time::Instant;

use super::{LoggedHead, Registry};
use crate::log_frame::Cursor;
use crate::log_readers::entry::{Outcome, Shown, Size};
use crate::wal::ScannedFrame;

impl Registry {
    /// A head of so many rows whose log cannot be read: as far as anybody knows, all of it
    /// waits, from this frame on.
    pub fn missing(&mut self, first: Cursor, rows: u64, bytes: u64, since: Instant) {
        let all = Size { rows, bytes, since };
        let gap = LoggedHead {
            first: first.frame,
            frames: vec![all],
            is_gap: true,
        };
        self.log.insert(first.head, gap);
    }

    pub(super) fn is_gap(&self, head: u64) -> bool {
        self.log.get(&head).is_some_and(|logged| logged.is_gap)
    }

    /// The log of such a head can be read by now.
    pub fn fill_gap(&mut self, head: u64, scanned: &[ScannedFrame]) {
        let Some(gap) = self.log.get(&head).filter(|logged| logged.is_gap) else {
            return;
        };
        let (first, all) = (gap.first, gap.frames.first().copied());
        let since = all.map_or_else(Instant::now, |all| all.since);
        self.found(head, scanned, since);
        let frames = self.log.get(&head).map_or(&[][..], |found| &found.frames);
        for entry in self.readers.values_mut().filter(|entry| entry.is_durable) {
            if entry.position > (Cursor { head, frame: first }) {
                continue;
            }
            all.into_iter().for_each(|size| entry.settle(size));
            let had = match entry.position.head == head {
                true => entry.position.frame,
                false => 0,
            };
            let waiting = frames.iter().skip(had as usize);
            waiting.for_each(|size| entry.owe(*size));
        }
    }

    /// No file has the rows of such a head.
    pub fn lose_gap(&mut self, id: u64, cursor: Cursor) {
        let Some(size) = self.log_from(cursor).next().map(|(_, size)| size) else {
            return;
        };
        if let Some(entry) = self.readers.get_mut(&id) {
            let outcome = Some(Outcome::Lost);
            entry.shown.insert(cursor, Shown { size, outcome });
            entry.position = cursor.next();
            entry.settle_shown();
        }
    }
}
