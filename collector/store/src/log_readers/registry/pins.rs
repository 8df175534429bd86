//! Which logs cursors need: as a rule those from the cursors on, that are on disk.

use super::Registry;
use crate::log_frame::Cursor;
use crate::log_readers::cursor_file::SavedCursor;
use crate::log_readers::entry::{Entry, Why};

/// Logs that readers do without from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GivenUp {
    pub bytes: u64,
    /// All up to this head.
    pub through: u64,
}

impl Registry {
    /// The head whose log a cursor needs, or the next where it has all of that.
    fn needs_from(&self, cursor: Cursor) -> u64 {
        let has_more = self
            .log_from(cursor)
            .next()
            .is_some_and(|(next, _)| next.head == cursor.head);
        match has_more || cursor.head > self.sealed {
            true => cursor.head,
            false => self
                .log
                .range(cursor.head + 1..)
                .next()
                .map_or(self.sealed + 1, |(head, _)| *head),
        }
    }

    /// The oldest head whose log a reader needs.
    fn pinned_by(&self, entry: &Entry) -> u64 {
        match (entry.saved, entry.is_unwritten) {
            (None, false) => 0,
            (Some((saved, _)), false) => self.needs_from(saved),
            (saved, true) => {
                let saved = saved.map_or(Cursor { head: 0, frame: 0 }, |(cursor, _)| cursor);
                self.needs_from(self.within_bounds(entry, saved))
            }
        }
    }

    /// The place from which on no more is kept than the reader's bounds allow, where its cursor
    /// cannot be written: whole heads go that it has passed in memory alone.
    fn within_bounds(&self, entry: &Entry, saved: Cursor) -> Cursor {
        let (needed, mut from) = (self.needs_from(entry.cursor()), saved);
        let mut bytes: u64 = self.log_from(from).map(|(_, size)| size.bytes).sum();
        while bytes > entry.bounds.bytes {
            let Some((first, _)) = self.log_from(from).next() else {
                break;
            };
            if first.head >= needed {
                break;
            }
            let of_head = self
                .log_from(from)
                .take_while(|(place, _)| place.head == first.head);
            bytes -= of_head.map(|(_, size)| size.bytes).sum::<u64>();
            from = Cursor {
                head: first.head + 1,
                frame: 0,
            };
        }
        from
    }

    pub fn pinned_from(&mut self) -> u64 {
        let durable = self.readers.values().filter(|entry| entry.is_durable);
        let needed = durable.map(|entry| self.pinned_by(entry));
        let pinned = needed.min().unwrap_or(u64::MAX);
        self.log = self.log.split_off(&pinned);
        pinned
    }

    /// Gives up the oldest logs of sealed heads that have so many bytes. They are pinned until
    /// the cursors are on disk, or let go of all the same.
    pub fn give_up_logs(&mut self, bytes: u64) -> GivenUp {
        let mut given_up = GivenUp::default();
        let heads = self.log.range(..=self.sealed).map(|(head, logged)| {
            let bytes = logged.frames.iter().map(|size| size.bytes).sum::<u64>();
            (*head, bytes)
        });
        for (head, of_head) in heads.collect::<Vec<_>>() {
            if given_up.bytes >= bytes {
                break;
            }
            given_up.bytes += of_head;
            given_up.through = head;
            let is_behind = |registry: &Self, entry: &Entry| {
                let shown = entry.shown.keys().next().copied();
                let next = shown.or_else(|| Some(registry.next_of(entry)?.0));
                entry.is_durable && next.is_some_and(|next| next.head <= head)
            };
            self.give_up_where(is_behind, Why::DiskShort);
        }
        given_up
    }

    /// Logs up to this head go, wherever the cursors on disk are.
    pub fn let_go(&mut self, through: u64) {
        self.log = self.log.split_off(&(through + 1));
    }

    pub fn unsaved(&self) -> Vec<SavedCursor> {
        let durable = self.readers.values().filter(|entry| entry.is_durable);
        let changed = durable.filter(|entry| entry.saved != Some(entry.saved_state()));
        changed.map(Entry::to_saved).collect()
    }

    pub fn saved(&mut self, saved: &SavedCursor) {
        if let Some((entry, cursor)) = self.durable(&saved.name).zip(saved.cursor) {
            entry.saved = Some((cursor, saved.dropped.sum()));
            (entry.is_new, entry.is_unwritten) = (false, false);
        }
    }

    /// The disk did not take a cursor.
    pub fn not_saved(&mut self, saved: &SavedCursor) {
        if let Some(entry) = self.durable(&saved.name) {
            entry.is_unwritten = true;
        }
    }

    fn durable(&mut self, name: &str) -> Option<&mut Entry> {
        let mut entries = self.readers.values_mut();
        entries.find(|entry| entry.is_durable && entry.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::log_readers::Bounds;

    /// Three sealed heads of a hundred rows and bytes each wait for a reader.
    fn lagging(bytes: u64) -> Registry {
        let mut registry = Registry::default();
        let from = Cursor { head: 1, frame: 0 };
        let bounds = Bounds { bytes, age: None };
        let id = registry.attach("sink", bounds, from).unwrap();
        registry.saved(&registry.saved_form(id));
        for head in 1..=3 {
            registry.logged(Cursor { head, frame: 0 }, 100, 100, Instant::now());
        }
        registry.sealed(3);
        registry
    }

    fn save(registry: &mut Registry) {
        let unsaved = registry.unsaved();
        unsaved.iter().for_each(|saved| registry.saved(saved));
    }

    #[test]
    fn what_a_short_disk_gives_up_goes_when_the_cursor_is_on_disk() {
        let mut registry = lagging(1_000);
        let given_up = registry.give_up_logs(150);
        assert_eq!((given_up.bytes, given_up.through), (200, 2));
        assert_eq!(registry.pinned_from(), 1, "a crash now would count nothing");
        save(&mut registry);
        assert_eq!(registry.pinned_from(), 3);
        let status = &registry.status(Instant::now())[0];
        assert_eq!((status.dropped.disk_short, status.lag_rows), (200, 100));
    }

    #[test]
    fn what_a_short_disk_gives_up_goes_all_the_same_where_no_cursor_can_be_written() {
        let mut registry = lagging(1_000);
        let given_up = registry.give_up_logs(150);
        registry
            .unsaved()
            .iter()
            .for_each(|saved| registry.not_saved(saved));
        assert_eq!(registry.pinned_from(), 1);
        registry.let_go(given_up.through);
        assert_eq!(registry.pinned_from(), 3);
    }

    #[test]
    fn a_cursor_that_cannot_be_written_pins_no_more_than_its_bounds() {
        let mut registry = lagging(250);
        assert_eq!(registry.pinned_from(), 1, "it has not been tried");
        registry
            .unsaved()
            .iter()
            .for_each(|saved| registry.not_saved(saved));
        assert_eq!(registry.pinned_from(), 2);
    }

    #[test]
    fn who_was_never_on_disk_was_never_there() {
        let mut registry = Registry::default();
        let bounds = Bounds { bytes: 1, age: None };
        let id = registry
            .attach("sink", bounds, Cursor { head: 1, frame: 0 })
            .unwrap();
        registry.leave(id);
        assert!(!registry.is_read() && registry.pinned_from() == u64::MAX);
    }
}
