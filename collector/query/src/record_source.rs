//! Where records of a page may be: segments and rows in memory.

use std::sync::Arc;

use weir_store::{Batch, Segment, TimeRange};

use crate::plan::SegmentScan;

/// Where records are, and from when to when.
#[derive(Debug, Clone)]
pub(crate) enum RecordSource {
    Segment(Arc<Segment>),
    Memory(Batch),
}

impl RecordSource {
    pub(crate) fn time(&self) -> TimeRange {
        match self {
            Self::Segment(segment) => segment.time,
            Self::Memory(rows) => rows.time(),
        }
    }

    /// One of these times, in order, is within those of its records.
    pub(crate) fn has_any(&self, times: &[i64]) -> bool {
        let TimeRange { from, until } = self.time();
        let next = times.partition_point(|time| *time < from);
        times.get(next).is_some_and(|time| *time < until)
    }

    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.rows,
            Self::Memory(rows) => rows.num_rows() as u64,
        }
    }
}

/// How many of the last sources are read in a step of so many records.
pub(crate) fn step_of(left: &[RecordSource], records: u64) -> usize {
    let mut before = 0_u64;
    let fits = left.iter().rev().take_while(|source| {
        let fits = before < records;
        before = before.saturating_add(source.rows());
        fits
    });
    fits.count()
}

/// All of them as the engine reads them.
pub(crate) fn scan(sources: Vec<RecordSource>) -> SegmentScan {
    let (mut segments, mut memory) = (Vec::new(), Vec::new());
    for source in sources {
        match source {
            RecordSource::Segment(segment) => segments.push(segment),
            RecordSource::Memory(rows) => memory.push(rows),
        }
    }
    SegmentScan::facts(segments, memory)
}
