//! The metrics that are counted: which there are, what a record adds to each, what ends.

use std::sync::Arc;

use weir_fields::Column;

use crate::admission::{Admission, Places};
use crate::definition::{Definition, Kind, exposed_names};
use crate::direction::is_primary;
use crate::items::Items;
use crate::metric::{Count, Metric};
use crate::pair_cache::{OwnLabels, PairCache, Place};
use crate::problem::Problem;
use crate::record::Record;
use crate::resource::{FlowMetric, FlowMetricSpec};
use crate::scratch::Scratch;
use crate::series::{Addition, LabelTable, SeriesTable};
use crate::shared::{LabelGroup, Memory, SharedFilter, SharedValue};
use crate::status::{Applied, MetricChange, MetricStats, ObjectName};

/// Bounds of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Series of one metric, unless its annotation [`crate::MAX_SERIES`] says otherwise.
    pub max_series: usize,
    /// Series of all metrics, whatever their annotations say.
    pub max_all: usize,
    /// A series ends when nothing was counted in it for longer than this, in ms.
    pub expiry_ms: u64,
}

impl Default for Limits {
    /// 100,000 series a metric, a million of all; 10 minutes, so that a scraper misses nothing that ends.
    fn default() -> Self {
        Self {
            max_series: 100_000,
            max_all: 1_000_000,
            expiry_ms: 600_000,
        }
    }
}

/// Metrics and their series. Counts what it is given; reads no clock and does no I/O.
#[derive(Debug)]
pub struct Registry {
    limits: Limits,
    places: Places,
    pub(crate) scratch: Scratch,
    pairs: PairCache,
    pub(crate) filters: Vec<SharedFilter>,
    pub(crate) groups: Vec<LabelGroup>,
    values: Vec<SharedValue>,
    /// What is done with a record, made of the metrics whenever these change.
    batches: Vec<Batch>,
    /// Whether there are labels of which the slot of a pair can be remembered.
    remembers_pairs: bool,
    /// Where batches by pair begin; they are the last.
    first_by_pair: usize,
    /// Labels of batches by pair that do not follow from who stands on the sides.
    own_labels: Vec<Column>,
    /// In the order of their names.
    pub(crate) metrics: Vec<Metric>,
}

/// Metrics with the same filters and labels.
#[derive(Debug)]
struct Batch {
    /// Places in [`Registry::filters`].
    filters: Vec<usize>,
    all_observations: bool,
    /// Place in [`Registry::groups`].
    group: usize,
    members: Vec<Member>,
    /// Set if whether a primary record counts, and where, follows from who stands on its sides where it has none of
    /// these labels, see [`by_pair`].
    by_pair: Option<OwnLabels>,
}

#[derive(Debug)]
struct Member {
    /// Place in [`Registry::metrics`].
    metric: usize,
    /// Place in [`Registry::values`].
    value: usize,
    /// How a value is added, unless it is a histogram's: then the metric does.
    addition: Option<Addition>,
    /// Column of the metric's series.
    column: usize,
}

impl Registry {
    /// One without metrics.
    pub fn new(limits: Limits) -> Self {
        Self::with_scratch(limits, Scratch::new())
    }

    /// One without metrics whose hashes are those of `other`.
    pub(crate) fn like(other: &Self) -> Self {
        Self::with_scratch(other.limits, Scratch::like(&other.scratch))
    }

    fn with_scratch(limits: Limits, scratch: Scratch) -> Self {
        Self {
            limits,
            places: Places::new(limits.max_all),
            scratch,
            pairs: PairCache::default(),
            filters: Vec::new(),
            groups: Vec::new(),
            values: Vec::new(),
            batches: Vec::new(),
            remembers_pairs: false,
            first_by_pair: 0,
            own_labels: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Takes a resource, new or changed. A change of what is counted begins the series of
    /// this metric anew, and of no other. With problems, nothing changes: what the object
    /// said before goes on until it is removed. Who had a name first keeps it; once its
    /// object is removed, the caller gives the refused one again.
    pub fn apply(&mut self, resource: &FlowMetric) -> Result<Applied, Vec<Problem>> {
        // A name that is taken is found out before expressions are compiled.
        if let Some(problem) = self.name_taken(resource) {
            return Err(vec![problem]);
        }
        Ok(self.put(resource, Definition::new(resource)?))
    }

    /// Takes a resource whose definition is known, in the place of what its object said before.
    /// No other metric has a name of it: see [`exposed_names`].
    pub fn put(&mut self, resource: &FlowMetric, mut definition: Definition) -> Applied {
        let object = ObjectName::of(resource);
        let mut applied = definition.applied(MetricChange::Added);
        let counted = resource.spec.counted();
        if let Some(at) = self.position(&object) {
            let metric = &mut self.metrics[at];
            if *metric.counted == counted && metric.definition.name == definition.name {
                let max_series = definition.max_series.unwrap_or(self.limits.max_series);
                metric.admission.set_max_series(max_series);
                metric.definition.help = std::mem::take(&mut definition.help);
                applied.change = MetricChange::Kept;
                return applied;
            }
            self.remove(&object);
            applied.change = MetricChange::Reset;
        }
        let max_series = definition.max_series.unwrap_or(self.limits.max_series);
        self.add(
            object,
            Arc::new(counted),
            definition,
            Admission::new(max_series, self.places.clone()),
        );
        self.plan();
        applied
    }

    /// Ends the metric of this object; false if it has none.
    pub fn remove(&mut self, object: &ObjectName) -> bool {
        let Some(at) = self.position(object) else {
            return false;
        };
        let mut metric = self.metrics.remove(at);
        let group = &mut self.groups[metric.group];
        metric.series.leave(&mut group.table);
        group.users -= 1;
        for at in metric.filters {
            self.filters[at].users -= 1;
        }
        self.plan();
        true
    }

    /// Counts a record that came now, in ms since 1970 UTC. Allocates nothing unless a
    /// series is new, or what is known of its pair.
    pub fn observe(&mut self, record: &impl Record, now_ms: u64) {
        self.scratch.begin();
        let primary = is_primary(record);
        let place = match self.remembers_pairs {
            true => record.identities().and_then(|pair| self.pairs.place(pair)),
            false => None,
        };
        let pair = place
            .filter(|_| primary)
            .map(|place| (place, self.own_labels(record)));
        let counted = pair.and_then(|pair| self.count_pair(pair, record, now_ms));
        self.count(record, now_ms, (primary, place), counted);
        if let Some((place, own)) = pair
            && counted != Some(own)
        {
            self.know_pair((place, own), record);
        }
    }

    /// Whether it would look at [`Record::identities`] of the next record: not where no metric looks up as a whole, and
    /// where pairs are too many, not for a while.
    pub const fn reads_identities(&self) -> bool {
        self.remembers_pairs && !self.pairs.is_paused()
    }

    /// Counts a record in all batches, but for those that were counted by its pair.
    fn count(
        &mut self,
        record: &impl Record,
        now_ms: u64,
        (primary, place): (bool, Option<Place>),
        counted: Option<OwnLabels>,
    ) {
        let Self {
            scratch,
            pairs,
            filters,
            groups,
            values,
            batches,
            first_by_pair,
            metrics,
            ..
        } = self;
        // Most records leave no batch by pair to look at.
        let last = if counted == Some(0) {
            *first_by_pair
        } else {
            batches.len()
        };
        for batch in &batches[..last] {
            let is_counted = counted.is_some_and(|but| batch.is_counted(but));
            if is_counted || (!primary && !batch.all_observations) {
                continue;
            }
            let mut wanted = batch.filters.iter();
            if !wanted.all(|at| filters[*at].judge(scratch, record)) {
                continue;
            }
            let group = &mut groups[batch.group];
            let memory = place.map(|place| Memory {
                place,
                group: batch.group,
            });
            group.look_up(scratch, record, pairs, memory);
            for member in &batch.members {
                let Some(raw) = values[member.value].read(scratch.generation(), record) else {
                    continue;
                };
                if let (Some(slot), Some(addition)) = (group.slot, member.addition)
                    && group.table.add(slot, member.column, addition, raw, now_ms)
                {
                    continue;
                }
                let (metric, count) = (&mut metrics[member.metric], Count { raw, now_ms });
                if group.sources.is_none() {
                    metric.count_parts(&mut group.table, scratch, record, count);
                } else if !metric.count_known(group, count) {
                    metric.count_new(group, scratch, (pairs, memory), count);
                }
            }
        }
    }

    /// Ends series in which nothing was counted for longer than the limit, as of now; how
    /// many. One that comes back begins anew.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        let expiry_ms = self.limits.expiry_ms;
        let mut ended = 0;
        for metric in &mut self.metrics {
            let group = &mut self.groups[metric.group];
            let idle = |touched_ms: u64| now_ms.saturating_sub(touched_ms) > expiry_ms;
            let table = &mut group.table;
            let expired = metric.series.end_where(
                table,
                |series| idle(series.touched_ms),
                |hash| metric.admission.end(hash),
            );
            metric.expired += expired as u64;
            ended += expired;
        }
        if ended > 0 {
            self.pairs.forget();
        }
        ended
    }

    /// Whether a metric asks where connections start: [`Record::connection_start`] is asked for
    /// then, and whoever tracks connections for it need not otherwise.
    pub fn reads_connection_starts(&self) -> bool {
        self.metrics.iter().any(|metric| metric.definition.reads_starts)
    }

    /// How each metric fares, in the order of their names.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = MetricStats<'_>> {
        self.metrics.iter().map(|metric| MetricStats {
            object: &metric.object,
            prometheus_name: &metric.definition.name,
            series: metric.series.alive(),
            max_series: metric.admission.max_series(),
            refused: metric.refused,
            expired: metric.expired,
        })
    }

    pub(crate) fn forget_pairs(&mut self) {
        self.pairs.forget();
    }

    pub(crate) fn table(&self, metric: &Metric) -> &LabelTable {
        &self.groups[metric.group].table
    }

    fn position(&self, object: &ObjectName) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.object == *object)
    }

    fn name_taken(&self, resource: &FlowMetric) -> Option<Problem> {
        let (object, names) = (ObjectName::of(resource), exposed_names(resource));
        let others = self.metrics.iter().filter(|metric| metric.object != object);
        let mut taken = others.filter_map(|metric| {
            let theirs = metric.definition.exposed_names();
            let name = names.iter().find(|name| theirs.contains(name))?;
            Some((metric, name))
        });
        let (metric, name) = taken.next()?;
        Some(Problem::name_taken(name, &metric.definition.name, &metric.object))
    }

    /// The metric is counted once [`Self::plan`] has run.
    pub(crate) fn add(
        &mut self,
        object: ObjectName,
        counted: Arc<FlowMetricSpec>,
        mut definition: Definition,
        admission: Admission,
    ) {
        let (items, filters) = Items::of(&mut definition);
        let filters = filters
            .into_iter()
            .map(|filter| self.share_filter(filter))
            .collect();
        let group = self.share_labels(&definition);
        let buckets = match &definition.kind {
            Kind::Histogram(bounds) => bounds.len() + 1,
            _ => 0,
        };
        let metric = Metric {
            object,
            counted,
            filters,
            items,
            group,
            series: SeriesTable::new(&mut self.groups[group].table, buckets),
            admission,
            refused: 0,
            expired: 0,
            #[cfg(test)]
            by_pair: 0,
            definition,
        };
        let before = |other: &Metric| other.definition.name < metric.definition.name;
        self.metrics.insert(self.metrics.partition_point(before), metric);
    }
}

mod by_pair;
mod plan;
mod sharing;
#[cfg(test)]
mod tests;
