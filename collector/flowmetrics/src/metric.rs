//! One metric that is counted: its series, its bound, and what one record adds.

use std::sync::Arc;

use crate::admission::Admission;
use crate::definition::{Definition, Kind, MOST_LISTS};
use crate::filter::{Filter, PartsAtHand, Reading};
use crate::pair_cache::PairCache;
use crate::parts::{Part, Parts};
use crate::record::Record;
use crate::resource::FlowMetricSpec;
use crate::scratch::{Scratch, combine};
use crate::series::{Addition, LabelTable, SeriesTable};
use crate::shared::{LabelGroup, Memory};
use crate::start;
use crate::status::ObjectName;
use crate::word_choice::WordChoice;

#[derive(Debug)]
pub(crate) struct Metric {
    pub object: ObjectName,
    /// The resource without what changes nothing in what is counted.
    pub counted: Arc<FlowMetricSpec>,
    pub definition: Definition,
    /// Places in [`Registry::filters`] of those that look at the record alone.
    pub filters: Vec<usize>,
    pub part_filters: Vec<Filter>,
    /// Set if it flattens TCP flags alone.
    pub words: Option<WordChoice>,
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
        match self.definition.kind {
            Kind::Counter => Some(Addition::Sum),
            Kind::Gauge => Some(Addition::Last),
            Kind::Histogram(_) => None,
        }
    }

    /// Whether a label set of this hash may have a series; counts where it may not.
    pub fn admits(&mut self, hash: u64) -> bool {
        let admits = self.admission.admits(hash);
        self.refused += u64::from(!admits);
        admits
    }

    /// Counts each combination of the items of the flattened lists that passes.
    pub fn count_parts<R: Record>(
        &mut self,
        table: &mut LabelTable,
        scratch: &mut Scratch,
        record: &R,
        count: Count,
    ) {
        let chosen = self.words.map(|words| words.choose(record));
        if chosen == Some((0, false)) {
            return;
        }
        for filter in &self.part_filters {
            filter.prepare(scratch, record);
        }
        if let Some((words, is_missing)) = chosen {
            for word in start::words(words) {
                self.count_part(table, scratch, record, &[Some(Part::Text(word))], count);
            }
            if is_missing {
                self.count_part(table, scratch, record, &[None], count);
            }
            return;
        }
        if let [source] = self.definition.flatten[..] {
            let list = source.parts(record);
            for part in list.as_slice() {
                self.count_part(table, scratch, record, &[Some(*part)], count);
            }
            if list.as_slice().is_empty() {
                self.count_part(table, scratch, record, &[None], count);
            }
            return;
        }
        let mut lists = [Parts::NONE; MOST_LISTS];
        for (list, source) in lists.iter_mut().zip(&self.definition.flatten) {
            *list = source.parts(record);
        }
        // A list without items has one missing item, so that the others still count.
        let combinations: usize = lists.iter().map(|list| list.as_slice().len().max(1)).product();
        let mut at_hand: [Option<Part<'_>>; MOST_LISTS] = Default::default();
        for combination in 0..combinations {
            let mut rest = combination;
            for (part, list) in at_hand.iter_mut().zip(&lists) {
                let items = list.as_slice();
                *part = items.get(rest % items.len().max(1)).copied();
                rest /= items.len().max(1);
            }
            self.count_part(table, scratch, record, &at_hand, count);
        }
    }

    fn count_part(
        &mut self,
        table: &mut LabelTable,
        scratch: &mut Scratch,
        record: &impl Record,
        parts: PartsAtHand<'_, '_>,
        count: Count,
    ) {
        let mut filters = self.part_filters.iter();
        if !filters.all(|filter| filter.passes(scratch, parts, record)) {
            return;
        }
        let labels = &self.definition.labels;
        let mut hash = 0;
        for label in labels {
            let next = match label.reading {
                Reading::Record(source) => scratch.hash_of(source, record),
                part @ Reading::Part { .. } => scratch.hash(part.text(scratch, parts).unwrap_or_default()),
            };
            hash = combine(hash, next);
        }
        let scratch = &*scratch;
        let text = |at: usize| {
            self.definition.labels[at]
                .reading
                .text(scratch, parts)
                .unwrap_or_default()
        };
        let found = table.find(hash, text);
        if found.is_some_and(|slot| self.add(slot, table, count)) {
            return;
        }
        if self.admits(hash) {
            let labels = &self.definition.labels;
            let text = |at: usize| labels[at].reading.text(scratch, parts).unwrap_or_default();
            let slot = found.unwrap_or_else(|| table.insert(hash, labels.len(), text));
            self.series.create(slot, count.now_ms, table);
            self.add(slot, table, count);
        }
    }

    /// Counts in the series of this slot; false if there is none.
    #[inline]
    fn add(&mut self, slot: u32, table: &mut LabelTable, count: Count) -> bool {
        let addition = self.addition().unwrap_or(Addition::Sum);
        if !table.add(slot, self.series.column(), addition, count.raw, count.now_ms) {
            return false;
        }
        if let Kind::Histogram(bounds) = &self.definition.kind {
            let value = self.definition.scaled(count.raw);
            let bucket = bounds.partition_point(|bound| *bound < value);
            self.series.bucket(slot, bucket);
        }
        true
    }
}

impl Definition {
    /// A value as it is shown.
    pub(crate) fn scaled(&self, raw: u64) -> f64 {
        raw as f64 / self.divider.unwrap_or(1.0)
    }
}
