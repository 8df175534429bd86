//! Rows on their way out.

use std::fmt;

use weir_sink_formats::FlowRow;

/// The name of a frame of the log: its head and its number there. Frames have the same names
/// each time that they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The head.
    pub head: u64,
    /// The frame within it, from 0.
    pub frame: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.head, self.frame)
    }
}

/// The rows of one frame that passed a sink's filter.
pub trait RowBatch {
    /// Which frame it is.
    fn place(&self) -> Place;
    /// Rows that passed.
    fn rows(&self) -> u64;
    /// Rows that did not.
    fn filtered(&self) -> u64;
    /// Rows that nobody could look at, and that are lost.
    fn unreadable(&self) -> u64 {
        0
    }
    /// Appends each row as a JSON object and a line's end, with the columns that were chosen.
    fn write_json(&self, out: &mut Vec<u8>);
    /// Shows each row.
    fn each(&self, take: &mut dyn FnMut(&dyn FlowRow));
}
