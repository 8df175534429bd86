//! Measures: what the engine adds up for them, and how they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use datafusion_expr::{Expr, col, lit};
use weir_store::schema::FLOWS;

use crate::{Measure, Question};

/// What the engine adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    Bytes,
    Packets,
    Flows,
    DroppedPackets,
    DroppedBytes,
    Sent,
    Received,
}

impl Sum {
    pub(crate) const fn of(measure: Measure) -> Self {
        match measure {
            Measure::Bytes | Measure::ByteRate => Self::Bytes,
            Measure::Packets | Measure::PacketRate => Self::Packets,
            Measure::Flows => Self::Flows,
            Measure::DroppedPackets => Self::DroppedPackets,
            Measure::DroppedBytes => Self::DroppedBytes,
            Measure::Sent => Self::Sent,
            Measure::Received => Self::Received,
        }
    }

    /// What a row adds; of a row of sums when `sums`. Bytes that were sent or received
    /// are added by whoever knows the direction.
    pub(crate) fn expression(self, sums: bool) -> Expr {
        match self {
            Self::Bytes | Self::Sent | Self::Received => col("bytes"),
            Self::Packets => col("packets"),
            Self::DroppedPackets => col("dropped_packets"),
            Self::DroppedBytes => col("dropped_bytes"),
            Self::Flows if sums => col(FLOWS),
            Self::Flows => lit(1_u64),
        }
    }
}

/// The measures of a question.
pub(crate) fn measures(question: &Question) -> Vec<Measure> {
    let mut measures = match question.measures.as_slice() {
        [] => vec![Measure::Bytes, Measure::Packets, Measure::Flows],
        asked => asked.to_vec(),
    };
    if !measures.contains(&question.by) {
        measures.push(question.by);
    }
    let mut seen = Vec::new();
    measures.retain(|measure| {
        !seen.contains(measure) && {
            seen.push(*measure);
            true
        }
    });
    measures
}

/// What is to be added up for these measures, each once; of the two directions both or
/// none, since a group may turn out to be the mirror image of another.
pub(crate) fn sums(measures: &[Measure]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    let directions = measures.iter().any(|measure| measure.has_direction());
    let directions = [Sum::Sent, Sum::Received].into_iter().filter(|_| directions);
    for sum in measures.iter().copied().map(Sum::of).chain(directions) {
        if !sums.contains(&sum) {
            sums.push(sum);
        }
    }
    sums
}

/// A measure's values, from sums, each over so many microseconds.
pub(crate) fn values(measure: Measure, sums: impl Iterator<Item = (u64, i64)>) -> ArrayRef {
    match measure {
        Measure::ByteRate | Measure::PacketRate => {
            let rate = |(sum, micros): (u64, i64)| sum as f64 / (micros.max(1) as f64 / 1e6);
            Arc::new(Float64Array::from_iter_values(sums.map(rate)))
        }
        _ => Arc::new(UInt64Array::from_iter_values(sums.map(|(sum, _)| sum))),
    }
}
