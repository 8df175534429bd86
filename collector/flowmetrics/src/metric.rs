//! One metric that is counted: its series, its bound, and what one record adds.

use std::sync::Arc;

use crate::admission::Admission;
use crate::definition::{Definition, Kind};
use crate::items::Items;
use crate::pair_cache::PairCache;
use crate::record::Record;
use crate::resource::FlowMetricSpec;
use crate::scratch::Scratch;
use crate::series::{Addition, LabelTable, SeriesTable};
use crate::shared::{LabelGroup, Memory};
use crate::status::ObjectName;

#[derive(Debug)]
pub(crate) struct Metric {
    pub object: ObjectName,
    /// The resource without what changes nothing in what is counted.
    pub counted: Arc<FlowMetricSpec>,
    pub definition: Definition,
    /// Places in [`Registry::filters`] of those that look at the record alone.
    pub filters: Vec<usize>,
    pub items: Items,
    pub group: usize,
    pub series: SeriesTable,
    pub admission: Admission,
    pub refused: u64,
    pub expired: u64,
    /// How often it counted by what was known of a pair.
    #[cfg(test)]
    pub by_pair: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub raw: u64,
    pub now_ms: u64,
}

impl Metric {
    /// Counts in the series of the labels that were looked up; false if there is none.
    #[inline]
    pub fn count_known(&mut self, group: &mut LabelGroup, count: Count) -> bool {
        group
            .slot
            .is_some_and(|slot| self.add(slot, &mut group.table, count))
    }

    /// The same with a new series, if there may be one more.
    pub fn count_new(
        &mut self,
        group: &mut LabelGroup,
        scratch: &Scratch,
        memory: (&mut PairCache, Option<Memory>),
        count: Count,
    ) {
        if let Some(slot) = group.slot {
            self.count_in(slot, &mut group.table, count);
        } else if self.admits(group.hash) {
            let slot = group.insert(scratch, memory);
            self.series.create(slot, count.now_ms, &mut group.table);
            self.add(slot, &mut group.table, count);
        }
    }

    /// Counts with a new series in a slot where it has none, if there may be one more.
    pub fn count_in(&mut self, slot: u32, table: &mut LabelTable, count: Count) {
        // Who was looked up by its pair has no other hash than that of its slot.
        if self.admits(table.hash(slot)) {
            self.series.create(slot, count.now_ms, table);
            self.add(slot, table, count);
        }
    }

    /// How values are added; `None`: to buckets as well.
    pub const fn addition(&self) -> Option<Addition> {
        self.definition.addition()
    }

    /// Whether a label set of this hash may have a series; counts where it may not.
    pub fn admits(&mut self, hash: u64) -> bool {
        let admits = self.admission.admits(hash);
        self.refused += u64::from(!admits);
        admits
    }

    /// Counts each combination of the items of the flattened lists that passes.
    pub fn count_parts(
        &mut self,
        table: &mut LabelTable,
        scratch: &mut Scratch,
        record: &impl Record,
        count: Count,
    ) {
        let Self {
            definition,
            items,
            series,
            admission,
            refused,
            ..
        } = self;
        items.each(&definition.labels, scratch, record, |scratch, parts, hash| {
            let labels = &definition.labels;
            let text = |at: usize| labels[at].reading.text(scratch, parts).unwrap_or_default();
            let found = table.find(hash, text);
            if found.is_some_and(|slot| add(definition, series, slot, table, count)) {
                return;
            }
            if admission.admits(hash) {
                let slot = found.unwrap_or_else(|| table.insert(hash, labels.len(), text));
                series.create(slot, count.now_ms, table);
                add(definition, series, slot, table, count);
            } else {
                *refused += 1;
            }
        });
    }

    /// Counts in the series of this slot; false if there is none.
    #[inline]
    fn add(&mut self, slot: u32, table: &mut LabelTable, count: Count) -> bool {
        add(&self.definition, &mut self.series, slot, table, count)
    }
}

/// The same of a metric's parts.
#[inline]
fn add(
    definition: &Definition,
    series: &mut SeriesTable,
    slot: u32,
    table: &mut LabelTable,
    count: Count,
) -> bool {
    let addition = definition.addition().unwrap_or(Addition::Sum);
    if !table.add(slot, series.column(), addition, count.raw, count.now_ms) {
        return false;
    }
    if let Kind::Histogram(bounds) = &definition.kind {
        let value = definition.scaled(count.raw);
        let bucket = bounds.partition_point(|bound| *bound < value);
        series.bucket(slot, bucket);
    }
    true
}

impl Definition {
    /// How values are added; `None`: to buckets as well.
    pub(crate) const fn addition(&self) -> Option<Addition> {
        match self.kind {
            Kind::Counter => Some(Addition::Sum),
            Kind::Gauge => Some(Addition::Last),
            Kind::Histogram(_) => None,
        }
    }

    /// A value as it is shown.
    pub(crate) fn scaled(&self, raw: u64) -> f64 {
        raw as f64 / self.divider.unwrap_or(1.0)
    }
}
