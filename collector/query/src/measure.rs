//! Measures: what the engine adds up for them, and how they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use datafusion::logical_expr::Expr;
use datafusion::prelude::{col, lit};
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

    /// The name of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "s_bytes",
            Self::Packets => "s_packets",
            Self::Flows => "s_flows",
            Self::DroppedPackets => "s_dropped_packets",
            Self::DroppedBytes => "s_dropped_bytes",
            Self::Sent => "s_sent",
            Self::Received => "s_received",
        }
    }

    /// It tells one direction from the other.
    pub(crate) const fn has_direction(self) -> bool {
        matches!(self, Self::Sent | Self::Received)
    }

    /// What a row adds; of a row of sums when `sums`, with its sides swapped when `mirrored`.
    pub(crate) fn expression(self, sums: bool, mirrored: bool) -> Expr {
        let added = match self {
            Self::Bytes => col("bytes"),
            Self::Packets => col("packets"),
            Self::DroppedPackets => col("dropped_packets"),
            Self::DroppedBytes => col("dropped_bytes"),
            Self::Flows if sums => col(FLOWS),
            Self::Flows => lit(1_u64),
            Self::Sent | Self::Received if (self == Self::Received) == mirrored => col("bytes"),
            Self::Sent | Self::Received => lit(0_u64),
        };
        added.alias(self.name())
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

/// What is to be added up for these measures, each once.
pub(crate) fn sums(measures: &[Measure]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for sum in measures.iter().copied().map(Sum::of) {
        if !sums.contains(&sum) {
            sums.push(sum);
        }
    }
    sums
}

/// A measure's values, from its sum over so many microseconds.
pub(crate) fn values(measure: Measure, sums: impl Iterator<Item = u64>, micros: i64) -> ArrayRef {
    match measure {
        Measure::ByteRate | Measure::PacketRate => {
            let seconds = micros.max(1) as f64 / 1e6;
            Arc::new(Float64Array::from_iter_values(
                sums.map(|sum| sum as f64 / seconds),
            ))
        }
        _ => Arc::new(UInt64Array::from_iter_values(sums)),
    }
}
