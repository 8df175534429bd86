//! Numbers and how often each occurs: as many as there are, or rounded once there are many
//! that differ.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::UInt64Type;

use super::Sketch;
use crate::measure::Percentile;

/// Values of records and how many have each, for percentiles.
pub(crate) type Numbers = Tally<EXACT_NUMBERS>;

/// Intervals of time and the bytes of each, for peaks. They are never rounded.
pub(crate) type Intervals = Tally<{ usize::MAX }>;

/// So many numbers that differ are kept as they are.
pub(crate) const EXACT_NUMBERS: usize = 1_024;

/// So far at most is a number from what it was before it was rounded, as a part of it.
pub(crate) const PERCENTILE_ERROR: f64 = 1.0 / (2 << BITS) as f64;

/// Numbers of a node of a tree at most, each with its weight.
const NODE: usize = 11;

/// So many bits are kept of a number that is rounded, beside the first.
const BITS: u32 = 7;

/// Numbers in their order, each with its weight. Beyond `MOST` of them they are rounded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tally<const MOST: usize> {
    weights: BTreeMap<u64, u64>,
    rounded: bool,
}

/// The middle of the numbers that begin with the same bits; it is its own.
fn rounded(number: u64) -> u64 {
    let Some(dropped) = number.checked_ilog2().and_then(|bits| bits.checked_sub(BITS)) else {
        return number;
    };
    match dropped {
        0 => number,
        _ => (number >> dropped << dropped) + (1 << (dropped - 1)),
    }
}

impl<const MOST: usize> Tally<MOST> {
    /// The smallest number that this part of the weights does not exceed.
    pub(crate) fn percentile(&self, part: Percentile) -> Option<u64> {
        let all = self
            .weights
            .values()
            .fold(0, |sum: u64, more| sum.saturating_add(*more));
        let (rank, mut before) = (part.rank(all), 0_u64);
        let reaches = |(number, weight): (&u64, &u64)| {
            before = before.saturating_add(*weight);
            (before >= rank).then_some(*number)
        };
        self.weights.iter().find_map(reaches)
    }

    /// Each number and its weight.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (u64, u64)> {
        self.weights.iter().map(|(number, weight)| (*number, *weight))
    }

    /// Numbers are rounded.
    pub(crate) const fn is_rounded(&self) -> bool {
        self.rounded
    }

    fn round(&mut self) {
        if self.rounded {
            return;
        }
        self.rounded = true;
        for (number, weight) in std::mem::take(&mut self.weights) {
            self.add((number, weight));
        }
    }
}

impl<const MOST: usize> Sketch for Tally<MOST> {
    type Item = (u64, u64);

    /// Of a column of numbers and one of weights.
    fn items(args: &[ArrayRef]) -> Vec<Option<(u64, u64)>> {
        let [numbers, weights] = [0, 1].map(|at: usize| args[at].as_primitive::<UInt64Type>().iter());
        let items = numbers.zip(weights);
        items.map(|(number, weight)| Some((number?, weight?))).collect()
    }

    fn add(&mut self, (number, weight): (u64, u64)) {
        let number = if self.rounded { rounded(number) } else { number };
        let known = self.weights.entry(number).or_default();
        *known = known.saturating_add(weight);
        if self.weights.len() > MOST {
            self.round();
        }
    }

    fn merge(&mut self, other: &Self) {
        if other.rounded {
            self.round();
        }
        for (number, weight) in &other.weights {
            self.add((*number, *weight));
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 16 * self.weights.len());
        bytes.push(u8::from(self.rounded));
        for (number, weight) in &self.weights {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&weight.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let (rounded, pairs) = bytes.split_first().unwrap_or((&0, &[]));
        let (pairs, _) = pairs.as_chunks::<16>();
        let pair = |pair: &[u8; 16]| {
            let both = u128::from_le_bytes(*pair);
            (both as u64, (both >> 64) as u64)
        };
        Self {
            weights: pairs.iter().map(pair).collect(),
            rounded: *rounded != 0,
        }
    }

    /// Nodes of the tree are half full at least, and one is there for a single number;
    /// written out it takes 16 bytes a number.
    fn heap(&self) -> usize {
        self.weights.len().div_ceil(NODE / 2) * (NODE * 16 + 48) + self.weights.len() * 16
    }
}
