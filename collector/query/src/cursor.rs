//! Where a page of records ended: its last time, and how many of that time were shown.

use std::fmt;
use std::str::FromStr;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use weir_store::TimeRange;

use crate::{Order, QueryError};

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    time: i64,
    pub(crate) shown: usize,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time, self.shown)
    }
}

impl FromStr for Cursor {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let parsed = text
            .split_once('.')
            .and_then(|(time, shown)| Some((time.parse().ok()?, shown.parse().ok()?)));
        let (time, shown) =
            parsed.ok_or_else(|| QueryError::Invalid(format!("{text:?} is no cursor of a page")))?;
        Ok(Self { time, shown })
    }
}

/// What is left of the range after the page that ended at the cursor.
pub(crate) fn narrowed(range: TimeRange, cursor: Option<Cursor>, order: Order) -> TimeRange {
    match (cursor, order) {
        (None, _) | (_, Order::Largest(_)) => range,
        (Some(cursor), Order::Newest) => TimeRange {
            until: range.until.min(cursor.time.saturating_add(1)),
            ..range
        },
        (Some(cursor), Order::Oldest) => TimeRange {
            from: range.from.max(cursor.time),
            ..range
        },
    }
}

/// The times of records.
pub(crate) fn times(rows: &RecordBatch) -> &[i64] {
    let column = rows.column_by_name("time");
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    times.map_or(&[][..], |times| times.values())
}

/// Where a page ends that is not empty.
pub(crate) fn after(page: &RecordBatch, before: Option<Cursor>) -> Cursor {
    let times = times(page);
    let time = times.last().copied().unwrap_or_default();
    let its = times.iter().rev().take_while(|its| **its == time).count();
    let earlier = before.filter(|before| before.time == time && its == times.len());
    Cursor {
        time,
        shown: its + earlier.map_or(0, |before| before.shown),
    }
}
