//! What the engine worked out for each group, so that groups can be joined: both directions
//! of a conversation, the buckets of a group, all groups that are not shown.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::UInt64Type;

use crate::QueryError;
use crate::aggregation::Aggregate;
use crate::sketch::{Cardinality, Intervals, Numbers, Sketch};

/// What was worked out for one group, or for several together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Sum(u64),
    Least(Option<u64>),
    Most(Option<u64>),
    Numbers(Numbers),
    Intervals(Intervals),
    Distinct(Cardinality),
}

impl State {
    /// Of no rows.
    pub(crate) fn none(aggregate: Aggregate) -> Self {
        match aggregate {
            Aggregate::Min(_) | Aggregate::First => Self::Least(None),
            Aggregate::Max(_) | Aggregate::Last => Self::Most(None),
            Aggregate::Numbers(_) => Self::Numbers(Numbers::default()),
            Aggregate::Intervals => Self::Intervals(Intervals::default()),
            Aggregate::Distinct(..) => Self::Distinct(Cardinality::default()),
            _ => Self::Sum(0),
        }
    }

    /// Of the rows of both. They are of the same aggregate.
    pub(crate) fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Sum(own), Self::Sum(more)) => *own = own.saturating_add(*more),
            (Self::Least(own), Self::Least(more)) => *own = own.iter().chain(more).min().copied(),
            (Self::Most(own), Self::Most(more)) => *own = (*own).max(*more),
            (Self::Numbers(own), Self::Numbers(more)) => own.merge(more),
            (Self::Intervals(own), Self::Intervals(more)) => own.merge(more),
            (Self::Distinct(own), Self::Distinct(more)) => own.merge(more),
            _ => debug_assert!(false, "they are of one aggregate"),
        }
    }

    /// The sum; 0 of what is none.
    pub(crate) const fn sum(&self) -> u64 {
        match self {
            Self::Sum(sum) => *sum,
            _ => 0,
        }
    }
}

/// The states of an aggregate, one a group.
#[derive(Debug, Clone)]
pub(crate) struct States {
    pub(crate) aggregate: Aggregate,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Sums(Vec<u64>),
    Bounds(Vec<Option<u64>>),
    Sketches(Sketches),
}

/// Sketches as they came; those that were changed stand beside them.
#[derive(Debug, Clone)]
struct Sketches {
    encoded: LargeBinaryArray,
    changed: HashMap<usize, State>,
}

impl States {
    /// Out of the engine's column.
    pub(crate) fn new(aggregate: Aggregate, column: &ArrayRef) -> Self {
        let values = if let Some(encoded) = column.as_binary_opt::<i64>() {
            Values::Sketches(Sketches {
                encoded: encoded.clone(),
                changed: HashMap::new(),
            })
        } else {
            let numbers = column.as_primitive::<UInt64Type>().iter();
            match aggregate.is_sum() {
                true => Values::Sums(numbers.map(Option::unwrap_or_default).collect()),
                false => Values::Bounds(numbers.collect()),
            }
        };
        Self { aggregate, values }
    }

    /// The state of a group.
    pub(crate) fn at(&self, row: usize) -> State {
        match (&self.values, self.aggregate) {
            (Values::Sums(sums), _) => State::Sum(sums[row]),
            (Values::Bounds(bounds), Aggregate::Max(_) | Aggregate::Last) => State::Most(bounds[row]),
            (Values::Bounds(bounds), _) => State::Least(bounds[row]),
            (Values::Sketches(sketches), aggregate) => sketches.at(row, aggregate),
        }
    }

    /// Replaces the state of a group.
    pub(crate) fn set(&mut self, row: usize, state: State) {
        match (&mut self.values, state) {
            (Values::Sums(sums), State::Sum(sum)) => sums[row] = sum,
            (Values::Bounds(bounds), State::Least(bound) | State::Most(bound)) => bounds[row] = bound,
            (Values::Sketches(sketches), state) => {
                sketches.changed.insert(row, state);
            }
            _ => debug_assert!(false, "it is of this aggregate"),
        }
    }

    /// Adds the state of a group to another one's.
    pub(crate) fn join(&mut self, into: usize, row: usize) {
        let mut both = self.at(into);
        both.merge(&self.at(row));
        self.set(into, both);
    }

    /// Those of these groups, of none where there is none.
    pub(crate) fn take(&self, rows: &[Option<usize>]) -> Result<Self, QueryError> {
        let values = match &self.values {
            Values::Sums(sums) => {
                Values::Sums(rows.iter().map(|row| row.map_or(0, |row| sums[row])).collect())
            }
            Values::Bounds(bounds) => {
                Values::Bounds(rows.iter().map(|row| row.and_then(|row| bounds[row])).collect())
            }
            Values::Sketches(sketches) => Values::Sketches(sketches.take(rows)?),
        };
        Ok(Self {
            aggregate: self.aggregate,
            values,
        })
    }
}

impl Sketches {
    fn at(&self, row: usize, aggregate: Aggregate) -> State {
        if let Some(changed) = self.changed.get(&row) {
            return changed.clone();
        }
        let bytes = if self.encoded.is_valid(row) {
            self.encoded.value(row)
        } else {
            &[]
        };
        match aggregate {
            Aggregate::Intervals => State::Intervals(Intervals::decode(bytes)),
            Aggregate::Distinct(..) => State::Distinct(Cardinality::decode(bytes)),
            _ => State::Numbers(Numbers::decode(bytes)),
        }
    }

    fn take(&self, rows: &[Option<usize>]) -> Result<Self, QueryError> {
        let places: UInt64Array = rows.iter().map(|row| row.map(|row| row as u64)).collect();
        let changed = rows.iter().enumerate().filter_map(|(at, row)| {
            let state = self.changed.get(row.as_ref()?)?;
            Some((at, state.clone()))
        });
        Ok(Self {
            changed: changed.collect(),
            encoded: take(&self.encoded, &places, None)?.as_binary::<i64>().clone(),
        })
    }
}
