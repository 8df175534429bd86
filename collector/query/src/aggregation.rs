//! What the engine works out of the rows of each group, for measures to be made of.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion_common::Result;
use datafusion_common::ScalarValue;
use datafusion_expr::{AggregateUDF, Expr};
use datafusion_expr::{col, lit};
use weir_api::fields::{Column, Mirror, Side};
use weir_store::Tier;
use weir_store::schema::{self, FLOWS, ROLLUP_KEYS};

use crate::function::call;
use crate::groups::stored;
use crate::identity_table::IdentityTable;
use crate::lower::{PROTOCOL, id_of, other_side};
use crate::measure::{Measure, Quantity};
use crate::plan;
use crate::sketch::{self, Cardinality, Intervals, Numbers};

/// What is worked out of the rows of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// What the records have together.
    Sum(Quantity),
    /// Records.
    Flows,
    /// Bytes of those that the group's side sent.
    Sent,
    /// Bytes of those that it received.
    Received,
    /// Records that have it.
    Known(Quantity),
    /// The least of a record.
    Min(Quantity),
    /// The most of a record.
    Max(Quantity),
    /// When the first record arrived.
    First,
    /// When the last one did.
    Last,
    /// What each record has.
    Numbers(Quantity),
    /// The bytes of each interval of time.
    Intervals,
    /// The values of a field, from one end of the flow.
    Distinct(Column, End),
}

/// From which end a flow is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As the group does.
    Near,
    /// From the other one: what the group sees if it turns out to be its mirror image.
    Far,
}

/// An interval in which a peak is looked for, in microseconds; or a bucket, where these
/// are shorter.
pub(crate) const INTERVAL: i64 = 60_000_000;

impl Aggregate {
    /// What a measure is made of. Where flows are `turned` round after they were read, what
    /// they look like from the other end is kept, too.
    fn needed(measure: Measure, turned: bool) -> Vec<Self> {
        match measure {
            // Of the two directions both: a group may turn out to be the image of another.
            Measure::Sent | Measure::Received => vec![Self::Sent, Self::Received],
            Measure::MaxByteRate => vec![Self::Intervals],
            Measure::FirstSeen => vec![Self::First],
            Measure::LastSeen => vec![Self::Last],
            // It is of what is ordered by.
            Measure::Share => Vec::new(),
            Measure::Min(of) => vec![Self::Min(of)],
            Measure::Max(of) => vec![Self::Max(of)],
            Measure::Avg(of) => vec![Self::Sum(of), Self::Known(of)],
            Measure::Percentile(_, of) => vec![Self::Numbers(of)],
            Measure::Distinct(column) => {
                let ends = [End::Near, End::Far];
                let turns = turned && (column.mirrored() != column || column.field().mirror == Mirror::Value);
                let ends = ends.into_iter().take(if turns { 2 } else { 1 });
                ends.map(|end| Self::Distinct(column, end)).collect()
            }
            sum => Self::of_sum(sum).into_iter().collect(),
        }
    }

    /// What these measures are made of, each once.
    pub(crate) fn all(measures: &[Measure], turned: bool) -> Vec<Self> {
        let mut all = Vec::new();
        for aggregate in measures.iter().flat_map(|measure| Self::needed(*measure, turned)) {
            if !all.contains(&aggregate) {
                all.push(aggregate);
            }
        }
        all
    }

    /// What measures that add up are sums of.
    pub(crate) const fn of_sum(measure: Measure) -> Option<Self> {
        Some(match measure {
            Measure::Bytes | Measure::ByteRate => Self::Sum(Quantity::Bytes),
            Measure::Packets | Measure::PacketRate => Self::Sum(Quantity::Packets),
            Measure::DroppedPackets => Self::Sum(Quantity::DroppedPackets),
            Measure::DroppedBytes => Self::Sum(Quantity::DroppedBytes),
            Measure::Flows => Self::Flows,
            Measure::Sent => Self::Sent,
            Measure::Received => Self::Received,
            _ => return None,
        })
    }

    /// The field whose values it counts.
    pub(crate) const fn column(self) -> Option<Column> {
        match self {
            Self::Distinct(column, _) => Some(column),
            _ => None,
        }
    }

    /// The coarsest sums that it can be worked out of.
    pub(crate) fn coarsest(self) -> Tier {
        match self {
            Self::Sum(Quantity::Duration) => Tier::Raw,
            Self::Sum(_) | Self::Flows | Self::Sent | Self::Received => Tier::Hour,
            Self::Distinct(column, _) if is_kept(column) => Tier::Hour,
            Self::Intervals => Tier::Minute,
            _ => Tier::Raw,
        }
    }

    /// It adds up to one number.
    pub(crate) const fn is_sum(self) -> bool {
        matches!(
            self,
            Self::Sum(_) | Self::Flows | Self::Sent | Self::Received | Self::Known(_)
        )
    }

    /// The function that works it out, and how many columns it takes.
    pub(crate) fn function(self) -> (Arc<AggregateUDF>, usize) {
        match self {
            Self::Min(_) | Self::First => (plan::min(), 1),
            Self::Max(_) | Self::Last => (plan::max(), 1),
            Self::Numbers(_) => (sketch::function::<Numbers>("numbers", 2), 2),
            Self::Intervals => (sketch::function::<Intervals>("intervals", 2), 2),
            Self::Distinct(..) => (sketch::function::<Cardinality>("distinct", 1), 1),
            _ => (plan::sum(), 1),
        }
    }

    /// What stands before the value of a row: the number that it is the weight of.
    /// Intervals are so long, and records are counted so much later in them.
    pub(crate) fn number(self, interval: i64, later: i64) -> Option<Expr> {
        match self {
            Self::Numbers(of) => Some(quantity(of)),
            Self::Intervals => Some(interval_of_time(interval, later)),
            _ => None,
        }
    }

    /// The value of a row, looked at from its other end when `mirrored`; of a row of sums
    /// when `sums`. Which way bytes went is known to whoever calls.
    pub(crate) fn value(self, sums: bool, mirrored: bool, who: &IdentityTable) -> Result<Expr> {
        Ok(match self {
            Self::Sum(of) | Self::Min(of) | Self::Max(of) => quantity(of),
            Self::Sent | Self::Received | Self::Intervals => quantity(Quantity::Bytes),
            Self::Flows if sums => col(FLOWS),
            Self::Flows | Self::Numbers(_) => lit(1_u64),
            Self::Known(of) => known(of),
            Self::First | Self::Last => interval_of_time(1, 0),
            Self::Distinct(column, end) => {
                return from_end(column, mirrored != (end == End::Far), who);
            }
        })
    }

    /// No value.
    pub(crate) fn nothing(self) -> Result<Expr> {
        if self.is_sum() {
            return Ok(lit(0_u64));
        }
        Ok(lit(ScalarValue::try_from(&self.kind())?))
    }

    /// The type of the value of a row.
    pub(crate) fn kind(self) -> DataType {
        match self {
            Self::Distinct(column, _) if column == PROTOCOL => DataType::UInt8,
            Self::Distinct(column, _) => schema::fact(column).unwrap_or(DataType::UInt32),
            _ => DataType::UInt64,
        }
    }
}

/// Sums of the store have this column, or what it follows from.
pub(crate) fn is_kept(column: Column) -> bool {
    column.field().identity || column == PROTOCOL || ROLLUP_KEYS.contains(&column)
}

/// What a record has so much of.
pub(crate) fn quantity(of: Quantity) -> Expr {
    match of {
        Quantity::Duration => call(
            "duration",
            DataType::UInt64,
            vec![col("start"), col("end")],
            |args| {
                let [start, end] =
                    [0, 1].map(|at: usize| args[at].as_primitive::<TimestampMicrosecondType>());
                // Clocks of exporters are set back now and then.
                let length = |(start, end): (Option<i64>, Option<i64>)| {
                    Some(end?.saturating_sub(start?).max(0) as u64)
                };
                let lengths = start.iter().zip(end).map(length);
                Ok(Arc::new(lengths.collect::<UInt64Array>()) as ArrayRef)
            },
        ),
        stored => col(stored.as_str()),
    }
}

/// One for a record that has it.
fn known(of: Quantity) -> Expr {
    call("known", DataType::UInt64, vec![quantity(of)], |args| {
        let known = (0..args[0].len()).map(|row| u64::from(args[0].is_valid(row)));
        Ok(Arc::new(UInt64Array::from_iter_values(known)) as ArrayRef)
    })
}

/// The number of the interval in which a record is counted, from the epoch on: so much later
/// than it arrived.
fn interval_of_time(length: i64, later: i64) -> Expr {
    call("interval", DataType::UInt64, vec![col("time")], move |args| {
        let times = args[0].as_primitive::<TimestampMicrosecondType>().values().iter();
        let numbers = times.map(|time| time.saturating_add(later).div_euclid(length).max(0) as u64);
        Ok(Arc::new(UInt64Array::from_iter_values(numbers)) as ArrayRef)
    })
}

/// What tells the values of a field apart, of a flow that is looked at from its other end
/// when `mirrored`.
fn from_end(column: Column, mirrored: bool, who: &IdentityTable) -> Result<Expr> {
    if column.field().identity {
        let side = if mirrored {
            column.mirrored().side()
        } else {
            column.side()
        };
        let side = if side == Side::Dst { Side::Dst } else { Side::Src };
        return who.number(column, id_of(side));
    }
    Ok(match (mirrored, column.field().mirror) {
        (true, Mirror::Value) => other_side(column, stored(column)),
        (true, _) => stored(column.mirrored()),
        (false, _) => stored(column),
    })
}
