//! The newest records that came, as many as are kept. What does not find room, and what
//! the tail left out, is counted.

use std::collections::VecDeque;

use weir_collector::api::answer::Row;

/// Records that are kept.
pub const KEPT: usize = 1_000;

/// Records that a tail left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// So many are known.
    pub records: u64,
    /// There are more: of some it is not told how many they are.
    pub and_more: bool,
}

impl Missed {
    /// Counts some; none: it is not told how many.
    pub fn add(&mut self, records: Option<u64>) {
        self.records += records.unwrap_or(0);
        self.and_more |= records.is_none();
    }

    /// Counts those of another count.
    pub const fn join(&mut self, other: Self) {
        self.records += other.records;
        self.and_more |= other.and_more;
    }
}

/// The newest records.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    /// The newest first.
    rows: VecDeque<Row>,
    /// Those that came while nobody wanted the table to move, the newest first.
    waiting: VecDeque<Row>,
    /// All that came meanwhile, also those for which there was no room.
    held: u64,
    /// All that came.
    pub came: u64,
    /// Those that gave way to newer ones.
    pub cut: u64,
    /// Those that the tail left out: they came faster than they were read.
    pub missed: Missed,
}

impl Records {
    /// Takes records, the oldest first. Those that are held back are shown by
    /// [`Self::release`].
    pub fn take(&mut self, rows: Vec<Row>, hold: bool) {
        self.came += rows.len() as u64;
        self.held += if hold { rows.len() as u64 } else { 0 };
        let into = if hold { &mut self.waiting } else { &mut self.rows };
        rows.into_iter().for_each(|row| into.push_front(row));
        let before = into.len();
        into.truncate(KEPT);
        self.cut += (before - into.len()) as u64;
    }

    /// Shows what was held back.
    pub fn release(&mut self) {
        let mut rows = std::mem::take(&mut self.waiting);
        rows.append(&mut self.rows);
        let before = rows.len();
        rows.truncate(KEPT);
        self.cut += (before - rows.len()) as u64;
        self.rows = rows;
        self.held = 0;
    }

    /// How many are held back.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many are shown.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The record at a place, 0 is the newest.
    pub fn at(&self, place: usize) -> Option<&Row> {
        self.rows.get(place)
    }

    /// The number of the record at a place, among all that came; it stays when others come.
    pub fn number(&self, place: usize) -> u64 {
        self.shown().saturating_sub(place as u64)
    }

    /// The place of a record that has this number, or of the oldest that is still there.
    pub fn place(&self, number: u64) -> usize {
        let place = self.shown().saturating_sub(number);
        usize::try_from(place)
            .unwrap_or(usize::MAX)
            .min(self.len().saturating_sub(1))
    }

    fn shown(&self) -> u64 {
        self.came - self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Vec<Row> {
        vec![Row::default(); count]
    }

    #[test]
    fn what_came_is_shown_held_back_or_cut_and_each_is_counted() {
        let mut records = Records::default();
        records.take(rows(10), false);
        let third = records.number(2);
        records.take(rows(5), false);
        assert_eq!(records.place(third), 7);
        records.take(rows(20), true);
        assert_eq!(
            (records.len(), records.waiting(), records.place(third)),
            (15, 20, 7)
        );
        records.release();
        assert_eq!(
            (records.len(), records.waiting(), records.place(third)),
            (35, 0, 27)
        );
        records.take(rows(KEPT), false);
        let seventh = records.number(6);
        records.take(rows(KEPT + 1), true);
        records.take(rows(5 * KEPT), true);
        assert_eq!(records.place(seventh), 6, "nothing moves");
        assert_eq!(records.number(6), seventh);
        records.release();
        assert_eq!(records.len(), KEPT);
        assert_eq!(records.came, records.cut + records.len() as u64);
    }
}
