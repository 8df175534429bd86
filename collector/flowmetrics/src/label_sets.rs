//! How many series metrics would have, out of records that are not counted: label sets as hashes alone, without their
//! texts, sums and buckets, so that what one takes is a few bytes whatever its metric is.
//!
//! Two label sets with the same hash of 64 bits are taken for one: of a million label sets that is one in some tens of
//! millions of tries.

use crate::admission::{Admission, Places};
use crate::definition::Definition;
use crate::direction::is_primary;
use crate::items::Items;
use crate::record::Record;
use crate::registry::Limits;
use crate::scratch::Scratch;
use crate::shared::SharedFilter;

/// Counts label sets of metrics.
#[derive(Debug)]
pub struct LabelSets {
    limits: Limits,
    places: Places,
    scratch: Scratch,
    metrics: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    definition: Definition,
    filters: Vec<SharedFilter>,
    items: Items,
    admission: Admission,
    count: LabelSetCount,
}

/// Label sets of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelSetCount {
    /// That occurred, as far as there was room.
    pub series: usize,
    /// There were more than the metric may have.
    pub refused: bool,
    /// There were more than there may be of all metrics together.
    pub crowded: bool,
}

impl LabelSets {
    /// Bytes that a label set takes at most, where there are more than a few.
    pub const MOST_BYTES: usize = 32;

    /// Of no metric.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: Places::new(limits.max_all),
            scratch: Scratch::new(),
            metrics: Vec::new(),
        }
    }

    /// Counts those of one metric more.
    pub fn add(&mut self, mut definition: Definition) {
        let (items, filters) = Items::of(&mut definition);
        let max_series = definition.max_series.unwrap_or(self.limits.max_series);
        self.metrics.push(Counted {
            filters: filters.into_iter().map(SharedFilter::new).collect(),
            items,
            admission: Admission::new(max_series, self.places.clone()),
            count: LabelSetCount::default(),
            definition,
        });
    }

    /// Looks at a record.
    pub fn observe(&mut self, record: &impl Record) {
        self.scratch.begin();
        let primary = is_primary(record);
        for metric in &mut self.metrics {
            if primary || metric.definition.all_observations {
                metric.observe(&mut self.scratch, record);
            }
        }
    }

    /// Bytes that are held because of label sets.
    pub fn bytes(&self) -> usize {
        self.metrics.iter().map(|metric| metric.admission.bytes()).sum()
    }

    /// How many each metric has, in the order in which they were added.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = LabelSetCount> {
        self.metrics.iter().map(|metric| metric.count)
    }
}

impl Counted {
    fn observe(&mut self, scratch: &mut Scratch, record: &impl Record) {
        let Self {
            definition,
            filters,
            items,
            admission,
            count,
        } = self;
        let passes = filters.iter_mut().all(|filter| filter.judge(scratch, record));
        if !passes
            || definition
                .value
                .is_some_and(|value| value.number(record).is_none())
        {
            return;
        }
        items.each(&definition.labels, scratch, record, |_, _, hash| {
            if !admission.admits(hash) {
                match admission.is_full() {
                    true => count.refused = true,
                    false => count.crowded = true,
                }
            }
        });
        count.series = admission.len();
    }
}

#[cfg(test)]
mod tests;
