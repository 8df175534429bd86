//! Counts of one registry taken over by another: threads count apart, each in a replica of
//! the registry that has the series that are shown.

use std::sync::Arc;

use crate::metric::Metric;
use crate::registry::Registry;
use crate::series::{Addition, LabelTable, SeriesCount};
use crate::shared::LabelGroup;

/// Slots of the one registry by those of the other; [`UNKNOWN`] until it was looked up.
type SlotMap = Vec<u32>;
const UNKNOWN: u32 = u32::MAX;

impl Registry {
    /// A registry without series that counts the same metrics apart, to be absorbed. Both admit
    /// series together: what this one has, the replica counts as well, however many label sets
    /// came to it that there is no room for. What is defined in this one later, it does not have.
    pub fn replica(&self) -> Self {
        let mut replica = Self::like(self);
        for metric in &self.metrics {
            let mut definition = metric.definition.clone();
            let of_record = metric.filters.iter().map(|at| &self.filters[*at].filter);
            definition.filters = of_record.chain(&metric.items.filters).cloned().collect();
            let (object, counted) = (metric.object.clone(), Arc::clone(&metric.counted));
            replica.add(object, counted, definition, metric.admission.clone());
        }
        replica.plan();
        replica
    }

    /// Takes over what a replica has counted, and leaves it with its metrics and without series.
    /// What it counted for a metric that is gone, or counts something else by now, is let go.
    pub fn absorb(&mut self, replica: &mut Self) {
        let mut slots: Vec<SlotMap> = vec![Vec::new(); replica.groups.len()];
        let Self { groups, metrics, .. } = self;
        for theirs in &mut replica.metrics {
            let same = |metric: &&mut Metric| metric.admission.is_shared_with(&theirs.admission);
            let Some(metric) = metrics.iter_mut().find(same) else {
                continue;
            };
            metric.refused += std::mem::take(&mut theirs.refused);
            let table = &replica.groups[theirs.group].table;
            let group = &mut groups[metric.group];
            metric.take_series(group, (theirs, table), &mut slots[theirs.group]);
        }
        replica.clear();
    }

    /// A replica is lost, with what it counted: the series that it made have no place any more.
    pub fn forget_replica(&mut self) {
        for metric in &self.metrics {
            let table = &self.groups[metric.group].table;
            let known = metric.series.iter(table).map(|(slot, _)| table.hash(slot));
            metric.admission.reset(known);
        }
    }

    /// Series for which the fullest of its tables has room.
    #[cfg(test)]
    pub(crate) fn room(&self) -> usize {
        let tables = self.groups.iter().map(|group| group.table.room());
        tables.max().unwrap_or(0)
    }

    /// Lets all series of a replica go; the metrics stay.
    fn clear(&mut self) {
        for metric in &mut self.metrics {
            metric.refused = 0;
            metric.series.clear();
        }
        for group in &mut self.groups {
            group.table.clear();
        }
        self.forget_pairs();
    }
}

impl Metric {
    fn take_series(
        &mut self,
        group: &mut LabelGroup,
        (theirs, table): (&Self, &LabelTable),
        slots: &mut SlotMap,
    ) {
        let labels = self.definition.labels.len();
        let addition = self.addition().unwrap_or(Addition::Sum);
        for (slot, series) in theirs.series.iter(table) {
            let at = slot as usize;
            slots.resize(slots.len().max(at + 1), UNKNOWN);
            let label = |label: usize| table.value(slot, label).as_bytes();
            let hash = table.hash(slot);
            if slots[at] == UNKNOWN {
                slots[at] = group.table.find(hash, label).unwrap_or(UNKNOWN);
            }
            let counted = SeriesCount {
                series: *series,
                created_ms: theirs.series.created_ms(slot, table),
                buckets: theirs.series.buckets(slot),
            };
            if slots[at] != UNKNOWN && self.series.merge(slots[at], &mut group.table, addition, &counted) {
                continue;
            }
            // It was admitted where it was counted, and may have ended since.
            if !self.admits(hash) {
                continue;
            }
            if slots[at] == UNKNOWN {
                slots[at] = group.table.insert(hash, labels, label);
            }
            self.series
                .create(slots[at], counted.created_ms, &mut group.table);
            self.series.merge(slots[at], &mut group.table, addition, &counted);
        }
    }
}
