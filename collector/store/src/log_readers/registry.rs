//! Who reads, how far each of them is, and what waits for them. No I/O, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::cursor_file::SavedCursor;
use super::entry::{Entry, Outcome, Shown, Size, Why};
use super::{Bounds, LogReaderStatus};
use crate::log_frame::{Cursor, LogFrame};
use crate::wal::ScannedFrame;

mod gaps;
mod pins;

pub(super) use self::pins::GivenUp;

/// Frames of one head that are in its log, from the first that anybody may want.
#[derive(Debug)]
struct LoggedHead {
    first: u64,
    frames: Vec<Size>,
    /// Its log was not to be read: one frame stands for all of them.
    is_gap: bool,
}

/// What there is for a reader.
#[derive(Debug)]
pub(super) enum Delivery {
    Frame(LogFrame),
    /// It is no longer in memory.
    InFile(Cursor),
    /// The log of the head was not to be read when the store was opened.
    Gap(Cursor),
    Nothing,
    Closed,
}

#[derive(Debug, Default)]
pub(super) struct Registry {
    readers: BTreeMap<u64, Entry>,
    last_id: u64,
    /// Frames in memory that somebody needs there, the oldest first.
    memory: VecDeque<(LogFrame, Size)>,
    /// Frames in the log that a cursor may need.
    log: BTreeMap<u64, LoggedHead>,
    /// Frames before this are in the log, or never will be.
    logged: Option<Cursor>,
    /// Heads up to this are in segments.
    sealed: u64,
    is_closed: bool,
}

impl Registry {
    pub fn is_read(&self) -> bool {
        !self.readers.is_empty()
    }

    pub fn has_cursors(&self) -> bool {
        self.readers.values().any(|entry| entry.is_durable)
    }

    fn enter(&mut self, entry: Entry) -> u64 {
        self.last_id += 1;
        self.readers.insert(self.last_id, entry);
        self.last_id
    }

    pub fn last_head(&self) -> u64 {
        let heads = self.readers.values().map(|entry| entry.position.head);
        heads.max().unwrap_or(0)
    }

    /// A reader in memory.
    pub fn join(&mut self, name: &str, bounds: Bounds, from: Cursor) -> u64 {
        self.enter(Entry::new(name, bounds, from))
    }

    /// A reader with a cursor; none: there is one of that name.
    pub fn attach(&mut self, name: &str, bounds: Bounds, from: Cursor) -> Option<u64> {
        let known = self
            .readers
            .iter_mut()
            .find(|(_, entry)| entry.is_durable && entry.name == name);
        match known {
            Some((_, entry)) if entry.is_attached => None,
            Some((id, entry)) => {
                (entry.is_attached, entry.bounds) = (true, bounds);
                let id = *id;
                self.bound_bytes();
                Some(id)
            }
            None => Some(self.enter(Entry {
                is_durable: true,
                is_new: true,
                ..Entry::new(name, bounds, from)
            })),
        }
    }

    /// The cursor of a run before; nobody reads from it yet.
    pub fn restore(&mut self, saved: SavedCursor) {
        let from = saved.cursor.unwrap_or(Cursor { head: 0, frame: 0 });
        let mut entry = Entry {
            is_durable: true,
            is_attached: false,
            acknowledged_rows: saved.acknowledged_rows,
            dropped: saved.dropped,
            ..Entry::new(&saved.name, saved.bounds, from)
        };
        let waiting: Vec<Size> = self.log_from(from).map(|(_, size)| size).collect();
        waiting.into_iter().for_each(|size| entry.owe(size));
        entry.saved = saved.cursor.map(|_| entry.saved_state());
        self.enter(entry);
        self.bound_bytes();
    }

    /// A log of a run before.
    pub fn found(&mut self, head: u64, scanned: &[ScannedFrame], since: Instant) {
        let size = |frame: &ScannedFrame| Size {
            rows: frame.rows,
            bytes: frame.bytes,
            since,
        };
        let frames = scanned.iter().map(size).collect();
        let found = LoggedHead {
            first: 0,
            frames,
            is_gap: false,
        };
        self.log.insert(head, found);
    }

    pub fn push(&mut self, frame: LogFrame, now: Instant) {
        let size = Size {
            rows: frame.batch().num_rows() as u64,
            bytes: frame.batch().memory_size() as u64,
            since: now,
        };
        self.memory.push_back((frame, size));
        for entry in self.readers.values_mut().filter(|entry| !entry.is_durable) {
            entry.owe(size);
        }
        self.bound_bytes();
        self.trim();
    }

    pub fn logged(&mut self, cursor: Cursor, rows: u64, bytes: u64, now: Instant) {
        self.logged = self.logged.max(Some(cursor.next()));
        if !self.has_cursors() {
            return;
        }
        let size = Size {
            rows,
            bytes,
            since: now,
        };
        let fresh = || LoggedHead {
            first: cursor.frame,
            frames: Vec::new(),
            is_gap: false,
        };
        let head = self.log.entry(cursor.head).or_insert_with(fresh);
        if head.first + head.frames.len() as u64 != cursor.frame {
            // Nobody had a cursor meanwhile: who has one now came later.
            *head = fresh();
        }
        head.frames.push(size);
        for entry in self.readers.values_mut() {
            if entry.is_durable && cursor >= entry.position {
                entry.owe(size);
            }
        }
        self.bound_bytes();
        self.trim();
    }

    pub fn skipped(&mut self, cursor: Cursor, rows: u64) {
        self.logged = self.logged.max(Some(cursor.next()));
        for entry in self.readers.values_mut() {
            if entry.is_durable && cursor >= entry.position {
                entry.dropped.lost += rows;
            }
        }
        self.trim();
    }

    pub fn sealed(&mut self, head: u64) {
        self.sealed = self.sealed.max(head);
        self.trim();
    }

    pub fn close(&mut self) {
        self.is_closed = true;
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Frames of the log from a place on.
    fn log_from(&self, from: Cursor) -> impl Iterator<Item = (Cursor, Size)> + '_ {
        self.log.range(from.head..).flat_map(move |(head, logged)| {
            let skip = match *head == from.head {
                true => from.frame.saturating_sub(logged.first),
                false => 0,
            };
            let frames = logged.frames.iter().enumerate().skip(skip as usize);
            frames.map(|(nth, size)| {
                let frame = logged.first + nth as u64;
                (Cursor { head: *head, frame }, *size)
            })
        })
    }

    /// Where the first frame in memory from a place on is.
    fn in_memory_from(&self, from: Cursor) -> Option<&(LogFrame, Size)> {
        let at = self.memory.partition_point(|(frame, _)| frame.cursor() < from);
        self.memory.get(at)
    }

    /// The next that a reader has not been shown.
    fn next_of(&self, entry: &Entry) -> Option<(Cursor, Size)> {
        if entry.is_durable {
            return self.log_from(entry.position).next();
        }
        let (frame, size) = self.in_memory_from(entry.position)?;
        Some((frame.cursor(), *size))
    }

    pub fn deliver(&mut self, id: u64) -> Delivery {
        let Some(entry) = self.readers.get(&id) else {
            return Delivery::Closed;
        };
        let Some((cursor, size)) = self.next_of(entry) else {
            return match self.is_closed {
                true => Delivery::Closed,
                false => Delivery::Nothing,
            };
        };
        if self.is_gap(cursor.head) {
            return Delivery::Gap(cursor);
        }
        let in_memory = self.in_memory_from(cursor).map(|(frame, _)| frame.clone());
        let in_memory = in_memory.filter(|frame| frame.cursor() == cursor);
        if let Some(entry) = self.readers.get_mut(&id) {
            entry.position = cursor.next();
            if entry.is_durable {
                entry.shown.insert(cursor, Shown { size, outcome: None });
            } else {
                entry.have(size);
            }
        }
        self.trim();
        in_memory.map_or(Delivery::InFile(cursor), Delivery::Frame)
    }

    pub fn acknowledge(&mut self, id: u64, cursor: Cursor) -> bool {
        let Some(entry) = self.readers.get_mut(&id) else {
            return false;
        };
        let Some(shown) = entry.shown.get_mut(&cursor) else {
            return false;
        };
        shown.outcome.get_or_insert(Outcome::Acknowledged);
        entry.settle_shown();
        true
    }

    /// The place behind all frames that ever were in the log.
    fn log_end(&self) -> Option<Cursor> {
        let last = self.log.last_key_value().map(|(head, logged)| Cursor {
            head: *head,
            frame: logged.first + logged.frames.len() as u64,
        });
        last.max(self.logged)
    }

    /// Of places beyond the end of the log nobody has anything yet.
    pub fn acknowledge_before(&mut self, id: u64, cursor: Cursor) {
        let Some(cursor) = self.log_end().map(|end| end.min(cursor)) else {
            return;
        };
        let Some(entry) = self.readers.get(&id).filter(|entry| entry.is_durable) else {
            return;
        };
        let unshown: Vec<Size> = self
            .log_from(entry.position)
            .take_while(|(place, _)| *place < cursor)
            .map(|(_, size)| size)
            .collect();
        if let Some(entry) = self.readers.get_mut(&id) {
            for shown in entry.shown.range_mut(..cursor) {
                shown.1.outcome.get_or_insert(Outcome::Acknowledged);
            }
            entry.settle_shown();
            unshown.into_iter().for_each(|size| entry.have(size));
            entry.position = entry.position.max(cursor);
        }
        self.trim();
    }

    /// No file has a frame that was to be shown.
    pub fn lose(&mut self, id: u64, cursor: Cursor) {
        if let Some(entry) = self.readers.get_mut(&id)
            && let Some(shown) = entry.shown.get_mut(&cursor)
        {
            shown.outcome = Some(Outcome::Lost);
            entry.settle_shown();
        }
    }

    /// A frame was not shown after all: it comes again.
    pub fn take_back(&mut self, id: u64, cursor: Cursor) {
        if let Some(entry) = self.readers.get_mut(&id)
            && entry.shown.remove(&cursor).is_some()
        {
            entry.position = cursor;
        }
    }

    /// Gives the oldest frame up that a reader is owed. False: it is owed none.
    fn give_up_oldest(&mut self, id: u64, why: Why) -> bool {
        let Some(entry) = self.readers.get(&id) else {
            return false;
        };
        let next = match entry.shown.is_empty() {
            true => self.next_of(entry),
            false => None,
        };
        let Some(entry) = self.readers.get_mut(&id) else {
            return false;
        };
        if let Some((_, shown)) = entry.shown.pop_first() {
            entry.drop_frame(shown.size, why);
            entry.settle_shown();
            return true;
        }
        let Some((cursor, size)) = next else {
            return false;
        };
        entry.position = cursor.next();
        entry.drop_frame(size, why);
        true
    }

    fn oldest_of(&self, entry: &Entry) -> Option<Size> {
        let shown = entry.shown.values().next().map(|shown| shown.size);
        shown.or_else(|| self.next_of(entry).map(|(_, size)| size))
    }

    /// Keeps each reader within its bytes.
    fn bound_bytes(&mut self) {
        let exceeds = |entry: &Entry| entry.lag_bytes > entry.bounds.bytes;
        self.give_up_where(|_, entry| exceeds(entry), Why::Behind);
    }

    pub fn look_at_ages(&mut self, now: Instant) {
        let is_old = |registry: &Self, entry: &Entry| {
            let bound = entry.bounds.age?;
            let oldest = registry.oldest_of(entry)?;
            Some(now.saturating_duration_since(oldest.since) > bound)
        };
        self.give_up_where(
            |registry, entry| is_old(registry, entry).unwrap_or(false),
            Why::Behind,
        );
        self.trim();
    }

    /// Gives up the oldest frames of each reader, for as long as that holds of it.
    fn give_up_where(&mut self, holds: impl Fn(&Self, &Entry) -> bool, why: Why) {
        let held = self.readers.iter().filter(|(_, entry)| holds(self, entry));
        let ids: Vec<u64> = held.map(|(id, _)| *id).collect();
        for id in ids {
            while self.readers.get(&id).is_some_and(|entry| holds(self, entry))
                && self.give_up_oldest(id, why)
            {}
        }
    }

    /// Lets go of frames in memory that nobody needs there: those with a cursor find in a
    /// file what is sealed.
    fn trim(&mut self) {
        while let Some((frame, _)) = self.memory.front() {
            let cursor = frame.cursor();
            let is_in_file = cursor.head <= self.sealed && Some(cursor) < self.logged;
            let needs = |entry: &Entry| entry.position <= cursor && !(entry.is_durable && is_in_file);
            if self.readers.values().any(needs) {
                return;
            }
            self.memory.pop_front();
        }
    }

    pub fn saved_form(&self, id: u64) -> SavedCursor {
        self.readers.get(&id).map(Entry::to_saved).unwrap_or_default()
    }

    /// A reader in memory is gone; one with a cursor may come back, and is then shown
    /// again what it has not acknowledged, unless its cursor was never on disk.
    pub fn leave(&mut self, id: u64) {
        if let Some(entry) = self.readers.get_mut(&id)
            && entry.is_durable
            && !entry.is_new
        {
            entry.position = entry.cursor();
            entry.shown.clear();
            entry.is_attached = false;
        } else {
            self.readers.remove(&id);
        }
        self.trim();
    }

    pub fn forget(&mut self, name: &str) -> bool {
        let before = self.readers.len();
        self.readers
            .retain(|_, entry| !entry.is_durable || entry.is_attached || entry.name != name);
        self.trim();
        self.readers.len() < before
    }

    pub fn status(&self, now: Instant) -> Vec<LogReaderStatus> {
        let mut all: Vec<_> = self.readers.values().map(|entry| self.told(entry, now)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub fn status_of(&self, id: u64, now: Instant) -> LogReaderStatus {
        let entry = self
            .readers
            .get(&id)
            .expect("a reader is there until it is dropped");
        self.told(entry, now)
    }

    fn told(&self, entry: &Entry, now: Instant) -> LogReaderStatus {
        let age = |size: Size| now.saturating_duration_since(size.since);
        LogReaderStatus {
            name: entry.name.clone(),
            durable: entry.is_durable,
            attached: entry.is_attached,
            cursor: entry.cursor(),
            lag_rows: entry.lag_rows,
            lag_bytes: entry.lag_bytes,
            lag_age: self.oldest_of(entry).map(age),
            bounds: entry.bounds,
            acknowledged_rows: entry.acknowledged_rows,
            dropped: entry.dropped,
        }
    }
}

#[cfg(test)]
mod tests;
