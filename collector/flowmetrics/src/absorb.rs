//! Counts of one registry taken over by another: threads count apart, each in a registry of
//! its own, and one registry has the series that are shown.

use crate::metric::Metric;
use crate::registry::Registry;
use crate::scratch::{Scratch, combine};
use crate::series::{Addition, LabelTable, SeriesCount};
use crate::shared::LabelGroup;

/// Slots of the one registry by those of the other; [`UNKNOWN`] until it was looked up.
type SlotMap = Vec<u32>;
const UNKNOWN: u32 = u32::MAX;

impl Registry {
    /// Takes over what `other` has counted, and leaves it with its metrics and without series.
    /// A metric is the same in both if its object says the same in both; what was counted for
    /// another is let go. Series beyond the bound are refused, once for each time that they come.
    pub fn absorb(&mut self, other: &mut Self) {
        let mut slots: Vec<SlotMap> = vec![Vec::new(); other.groups.len()];
        let Self {
            scratch,
            groups,
            metrics,
            ..
        } = self;
        for theirs in &mut other.metrics {
            let Some(metric) = metrics.iter_mut().find(|metric| metric.counts_like(theirs)) else {
                continue;
            };
            metric.refused += std::mem::take(&mut theirs.refused);
            let table = &other.groups[theirs.group].table;
            let group = &mut groups[metric.group];
            metric.take_series(group, scratch, (theirs, table), &mut slots[theirs.group]);
        }
        other.clear();
    }

    /// Whether it refused series since it was cleared or absorbed.
    pub fn has_refused(&self) -> bool {
        self.metrics.iter().any(|metric| metric.refused > 0)
    }

    /// Ends all series; the metrics stay.
    pub fn clear(&mut self) {
        for metric in &mut self.metrics {
            metric.refused = 0;
            let table = &mut self.groups[metric.group].table;
            metric.series.end_where(table, |_| true);
        }
        self.forget_pairs();
    }
}

impl Metric {
    fn counts_like(&self, other: &Self) -> bool {
        self.object == other.object
            && self.definition.name == other.definition.name
            && self.counted == other.counted
    }

    fn take_series(
        &mut self,
        group: &mut LabelGroup,
        scratch: &Scratch,
        (theirs, table): (&Self, &LabelTable),
        slots: &mut SlotMap,
    ) {
        let labels = self.definition.labels.len();
        let addition = self.addition().unwrap_or(Addition::Sum);
        for (slot, series) in theirs.series.iter(table) {
            let at = slot as usize;
            slots.resize(slots.len().max(at + 1), UNKNOWN);
            let label = |label: usize| table.value(slot, label).as_bytes();
            let hash_labels = || (0..labels).fold(0, |hash, next| combine(hash, scratch.hash(label(next))));
            if slots[at] == UNKNOWN {
                slots[at] = group.table.find(hash_labels(), label).unwrap_or(UNKNOWN);
            }
            let counted = SeriesCount {
                series: *series,
                buckets: theirs.series.buckets(slot),
            };
            if slots[at] != UNKNOWN && self.series.merge(slots[at], &mut group.table, addition, &counted) {
                continue;
            }
            if !self.admits() {
                continue;
            }
            if slots[at] == UNKNOWN {
                slots[at] = group.table.insert(hash_labels(), labels, label);
            }
            let created_ms = theirs.series.created_ms(slot, table);
            self.series.create(slots[at], created_ms, &mut group.table);
            self.series.merge(slots[at], &mut group.table, addition, &counted);
        }
    }
}
