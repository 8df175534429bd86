//! Measures of a group, out of what was worked out for it, and how they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, TimestampMicrosecondArray, UInt64Array};

use weir_store::TimeRange;

use crate::aggregation::{Aggregate, End};
use crate::measure::{Measure, Quantity, Unit};
use crate::sketch::{EXACT_NUMBERS, EXACT_VALUES, Intervals, PERCENTILE_ERROR, STANDARD_ERROR};
use crate::states::State;

/// How much a group has of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    Count(u64),
    Double(f64),
    /// Microseconds since the epoch.
    Time(u64),
}

/// What a measure of a group is made of.
pub(crate) struct Group<'a> {
    /// What was worked out for it.
    pub(crate) state: &'a dyn Fn(Aggregate) -> State,
    /// The range, or as much of the bucket as it has, by the clock of its records.
    pub(crate) bounds: TimeRange,
    /// Microseconds of an interval of peaks.
    pub(crate) interval: i64,
    /// How much later records are counted in intervals.
    pub(crate) later: i64,
    /// What all have of what is ordered by.
    pub(crate) whole: u64,
    pub(crate) by: Measure,
}

impl Group<'_> {
    /// The measure, where there is one, and whether it is an estimate.
    pub(crate) fn measured(&self, measure: Measure) -> (Option<Amount>, bool) {
        let state = self.state;
        let sum = |aggregate| state(aggregate).sum();
        match measure {
            Measure::ByteRate | Measure::PacketRate => {
                let sum = Aggregate::of_sum(measure).map_or(0, sum);
                let length = self.bounds.until.saturating_sub(self.bounds.from);
                (Some(per_second(sum, length)), false)
            }
            Measure::Share => {
                let own = Aggregate::of_sum(self.by).map_or(0, sum);
                let part = (self.whole > 0).then(|| Amount::Double(own as f64 / self.whole as f64));
                (part, false)
            }
            Measure::MaxByteRate => match state(Aggregate::Intervals) {
                State::Intervals(bytes) => (self.peak(&bytes).map(Amount::Double), false),
                _ => (None, false),
            },
            Measure::FirstSeen => (bound(state(Aggregate::First)).map(Amount::Time), false),
            Measure::LastSeen => (bound(state(Aggregate::Last)).map(Amount::Time), false),
            Measure::Min(of) => (bound(state(Aggregate::Min(of))).map(|n| of_one(of, n)), false),
            Measure::Max(of) => (bound(state(Aggregate::Max(of))).map(|n| of_one(of, n)), false),
            Measure::Avg(of) => {
                let (sum, records) = (sum(Aggregate::Sum(of)) as f64, sum(Aggregate::Known(of)));
                let unit = if of == Quantity::Duration { 1e6 } else { 1.0 };
                let average = || Amount::Double(sum / records as f64 / unit);
                ((records > 0).then(average), false)
            }
            Measure::Percentile(part, of) => match state(Aggregate::Numbers(of)) {
                State::Numbers(numbers) => {
                    let number = numbers.percentile(part);
                    (number.map(|number| of_one(of, number)), numbers.is_rounded())
                }
                _ => (None, false),
            },
            Measure::Distinct(column) => match state(Aggregate::Distinct(column, End::Near)) {
                State::Distinct(values) => (Some(Amount::Count(values.count())), values.is_estimated()),
                _ => (None, false),
            },
            sum_of => {
                let sum = Aggregate::of_sum(sum_of).map_or(0, sum);
                (Some(Amount::Count(sum)), false)
            }
        }
    }

    /// The most bytes a second of an interval. One that the bounds cut counts by the part
    /// inside, and where no whole one has any.
    fn peak(&self, bytes: &Intervals) -> Option<f64> {
        let of_interval = |(number, bytes): (u64, u64)| {
            let start = i64::try_from(number)
                .unwrap_or(i64::MAX)
                .saturating_mul(self.interval);
            let start = start.saturating_sub(self.later);
            let end = start.saturating_add(self.interval).min(self.bounds.until);
            let length = end.saturating_sub(start.max(self.bounds.from));
            (length >= self.interval, rate(bytes, length))
        };
        let rates = bytes.weights().map(of_interval);
        let most = rates.max_by(|(one, a), (other, b)| one.cmp(other).then(a.total_cmp(b)));
        most.map(|(_, rate)| rate)
    }

    /// Where the group stands by a measure: what is largest, has most.
    pub(crate) fn rank(&self, measure: Measure) -> u64 {
        if let Some(sum) = Aggregate::of_sum(measure) {
            return (self.state)(sum).sum();
        }
        match self.measured(measure).0 {
            None => 0,
            Some(Amount::Count(number) | Amount::Time(number)) => number.saturating_add(1),
            // The bits of doubles that are not negative are in their order.
            Some(Amount::Double(number)) => number.max(0.0).to_bits().saturating_add(1),
        }
    }
}

fn bound(state: State) -> Option<u64> {
    match state {
        State::Least(bound) | State::Most(bound) => bound,
        _ => None,
    }
}

/// What one record has.
fn of_one(of: Quantity, number: u64) -> Amount {
    match of {
        Quantity::Duration => Amount::Double(number as f64 / 1e6),
        _ => Amount::Count(number),
    }
}

fn per_second(sum: u64, micros: i64) -> Amount {
    Amount::Double(rate(sum, micros))
}

/// So much a second.
fn rate(sum: u64, micros: i64) -> f64 {
    sum as f64 / (micros.max(1) as f64 / 1e6)
}

/// The amounts of a measure as a column.
pub(crate) fn column(measure: Measure, amounts: &[Option<Amount>]) -> ArrayRef {
    let count = |amount: &Option<Amount>| match (*amount)? {
        Amount::Count(number) | Amount::Time(number) => Some(number),
        Amount::Double(_) => None,
    };
    if measure.unit() == Unit::Time {
        let times = amounts.iter().map(|amount| count(amount).map(|time| time as i64));
        return Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
    }
    match is_double(measure) {
        true => Arc::new(
            amounts
                .iter()
                .map(|amount| amount.map(double))
                .collect::<Float64Array>(),
        ),
        false => Arc::new(amounts.iter().map(count).collect::<UInt64Array>()),
    }
}

fn double(amount: Amount) -> f64 {
    match amount {
        Amount::Count(number) | Amount::Time(number) => number as f64,
        Amount::Double(number) => number,
    }
}

const fn is_double(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::ByteRate | Measure::PacketRate | Measure::MaxByteRate | Measure::Share | Measure::Avg(_)
    ) || matches!(measure.unit(), Unit::Seconds)
}

/// How much more there is now than then; of times nothing is said.
pub(crate) fn change(measure: Measure, now: &[Option<Amount>], then: &[Option<Amount>]) -> Option<ArrayRef> {
    let pairs = now.iter().zip(then);
    if measure.unit() == Unit::Time {
        return None;
    }
    if is_double(measure) {
        let changes = pairs.map(|(now, then)| Some(double((*now)?) - double((*then)?)));
        return Some(Arc::new(changes.collect::<Float64Array>()));
    }
    let count = |amount: &Option<Amount>| match (*amount)? {
        Amount::Count(number) => Some(i128::from(number)),
        _ => None,
    };
    let changes = pairs.map(|(now, then)| {
        let change = count(now)? - count(then)?;
        Some(change.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    });
    Some(Arc::new(changes.collect::<Int64Array>()))
}

/// What one should know of a measure that is an estimate.
pub(crate) fn estimate(measure: Measure) -> String {
    match measure {
        Measure::Distinct(_) => format!(
            "{measure} is counted up to {EXACT_VALUES}; beyond it is estimated, with a standard error of {:.1}%",
            STANDARD_ERROR * 100.0
        ),
        _ => format!(
            "{measure} is exact where at most {EXACT_NUMBERS} values differ; elsewhere it is off by {:.1}% at most",
            PERCENTILE_ERROR * 100.0
        ),
    }
}
