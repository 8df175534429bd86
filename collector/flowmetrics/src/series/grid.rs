//! Where the series of metrics with the same labels stand in memory.

use super::{DEAD, NONE, Series};

/// The series of all metrics with these labels: a row for each slot, a column for each
/// metric, so that what a record adds to stands together in memory.
#[derive(Debug, Default)]
pub(super) struct SeriesGrid {
    pub series: Vec<Series>,
    /// When each was made, ms since 1970 UTC; apart, because counting needs none of it.
    pub created_ms: Vec<u64>,
    /// Columns, and whether a metric has them.
    pub taken: Vec<bool>,
}

impl SeriesGrid {
    /// A column for one metric more.
    pub fn join(&mut self) -> usize {
        if let Some(free) = self.taken.iter().position(|taken| !taken) {
            self.taken[free] = true;
            return free;
        }
        let column = self.taken.len();
        self.taken.push(true);
        (self.series, self.created_ms) = (
            widen(&self.series, column, NONE),
            widen(&self.created_ms, column, 0),
        );
        column
    }

    #[inline]
    /// Where the series of this slot and column stands.
    pub fn place(&self, slot: u32, column: usize) -> usize {
        slot as usize * self.taken.len() + column
    }

    /// The series of a column, with their slots.
    pub fn column(&self, column: usize) -> impl Iterator<Item = (u32, &Series)> {
        let series = self.series.iter().skip(column).step_by(self.taken.len().max(1));
        let series = series.enumerate().map(|(slot, series)| (slot as u32, series));
        series.filter(|(_, series)| series.touched_ms != DEAD)
    }
}

/// Rows of so many columns with one column more.
fn widen<T: Copy>(cells: &[T], columns: usize, new: T) -> Vec<T> {
    let rows = cells.chunks(columns.max(1));
    rows.flat_map(|row| row.iter().copied().chain([new])).collect()
}
