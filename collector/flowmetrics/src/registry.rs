//! The metrics that are counted: which there are, what a record adds to each, what ends.

use std::fmt;

use crate::definition::{Definition, Kind};
use crate::filter::{Filter, PartsAtHand, Reading};
use crate::problem::{Problem, ProblemKind, Warning};
use crate::record::Record;
use crate::resource::{FlowMetric, FlowMetricSpec};
use crate::scratch::{Scratch, combine};
use crate::series::{LabelTable, SeriesTable};
use crate::source::{self, Part, Parts, Source};

/// Bounds of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Series of one metric, unless its annotation [`crate::MAX_SERIES`] says otherwise.
    pub max_series: usize,
    /// A series ends when nothing was counted in it for longer than this, in ms.
    pub expiry_ms: u64,
}

impl Default for Limits {
    /// 100,000 series a metric; 10 minutes, so that a scraper misses nothing that ends.
    fn default() -> Self {
        Self {
            max_series: 100_000,
            expiry_ms: 600_000,
        }
    }
}

/// Which object a metric comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// Namespace; empty where there is none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectName {
    /// The name of this object.
    pub fn of(metric: &FlowMetric) -> Self {
        Self {
            namespace: metric.metadata.namespace.clone(),
            name: metric.metadata.name.clone(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What became of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Name of the metric in Prometheus, for the status.
    pub prometheus_name: String,
    /// What it meant for the series.
    pub change: MetricChange,
    /// What to know about it.
    pub warnings: Vec<Warning>,
}

/// What a resource meant for the series of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricChange {
    /// There was none.
    Added,
    /// The series go on: it counts what it counted.
    Kept,
    /// They begin anew: something else is counted now.
    Reset,
}

/// How a metric fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricStats<'r> {
    /// Object that it comes from.
    pub object: &'r ObjectName,
    /// Name in Prometheus.
    pub prometheus_name: &'r str,
    /// Series that there are.
    pub series: usize,
    /// As many as there may be.
    pub max_series: usize,
    /// Counts that were refused because they needed one series too many.
    pub refused: u64,
    /// Series that ended.
    pub expired: u64,
}

/// Metrics and their series. Counts what it is given; reads no clock and does no I/O.
#[derive(Debug)]
pub struct Registry {
    limits: Limits,
    scratch: Scratch,
    filters: Vec<SharedFilter>,
    groups: Vec<LabelGroup>,
    /// In the order of their names.
    pub(crate) metrics: Vec<Metric>,
}

/// A filter that several metrics may have, judged once for a record.
#[derive(Debug)]
struct SharedFilter {
    filter: Filter,
    users: usize,
    generation: u32,
    passes: bool,
}

/// Metrics with these labels look their series up together.
#[derive(Debug)]
pub(crate) struct LabelGroup {
    /// Fields of the labels; `None`: of a metric that flattens, which looks up alone.
    sources: Option<Vec<Source>>,
    pub table: LabelTable,
    users: usize,
    generation: u32,
    hash: u64,
    slot: Option<u32>,
}

#[derive(Debug)]
pub(crate) struct Metric {
    object: ObjectName,
    /// The resource without what changes nothing in what is counted.
    counted: FlowMetricSpec,
    pub definition: Definition,
    /// Places in [`Registry::filters`] of those that look at the record alone.
    filters: Vec<usize>,
    part_filters: Vec<Filter>,
    pub group: usize,
    pub series: SeriesTable,
    max_series: usize,
    refused: u64,
    expired: u64,
}

impl Registry {
    /// One without metrics.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            scratch: Scratch::new(),
            filters: Vec::new(),
            groups: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Takes a resource, new or changed. A change of what is counted begins the series of
    /// this metric anew, and of no other. With problems, nothing changes: what the object
    /// said before goes on until it is removed. Who had a name first keeps it; once its
    /// object is removed, the caller gives the refused one again.
    pub fn apply(&mut self, resource: &FlowMetric) -> Result<Applied, Vec<Problem>> {
        let definition = Definition::new(resource)?;
        let object = ObjectName::of(resource);
        if let Some(problem) = self.name_taken(&object, &definition) {
            return Err(vec![problem]);
        }
        let mut applied = Applied {
            prometheus_name: definition.name.clone(),
            change: MetricChange::Added,
            warnings: definition.warnings().to_vec(),
        };
        let counted = counted(&resource.spec);
        if let Some(at) = self.position(&object) {
            let metric = &mut self.metrics[at];
            if metric.counted == counted && metric.definition.name == definition.name {
                metric.max_series = definition.max_series.unwrap_or(self.limits.max_series);
                metric.definition.help = definition.help;
                applied.change = MetricChange::Kept;
                return Ok(applied);
            }
            self.remove(&object);
            applied.change = MetricChange::Reset;
        }
        self.install(object, counted, definition);
        Ok(applied)
    }

    /// Ends the metric of this object; false if it has none.
    pub fn remove(&mut self, object: &ObjectName) -> bool {
        let Some(at) = self.position(object) else {
            return false;
        };
        let mut metric = self.metrics.remove(at);
        let group = &mut self.groups[metric.group];
        metric.series.end_where(&mut group.table, |_| true);
        group.users -= 1;
        for at in metric.filters {
            self.filters[at].users -= 1;
        }
        true
    }

    /// Counts a record that came now, in ms since 1970 UTC. Allocates nothing unless a
    /// series is new.
    pub fn observe(&mut self, record: &impl Record, now_ms: u64) {
        let Self {
            scratch,
            filters,
            groups,
            metrics,
            ..
        } = self;
        scratch.begin();
        let primary = source::is_primary(record);
        for metric in metrics {
            if !primary && !metric.definition.all_observations {
                continue;
            }
            let mut wanted = metric.filters.iter();
            if !wanted.all(|at| filters[*at].judge(scratch, record)) {
                continue;
            }
            let Some(raw) = metric
                .definition
                .value
                .map_or(Some(1), |field| field.number(record))
            else {
                continue;
            };
            let count = Count { raw, now_ms };
            let group = &mut groups[metric.group];
            match group.sources {
                Some(_) => metric.count_record(group, scratch, record, count),
                None => metric.count_parts(&mut group.table, scratch, record, count),
            }
        }
    }

    /// Ends series in which nothing was counted for longer than the limit, as of now; how
    /// many. One that comes back begins anew.
    pub fn expire(&mut self, now_ms: u64) -> usize {
        let expiry_ms = self.limits.expiry_ms;
        let mut ended = 0;
        for metric in &mut self.metrics {
            let table = &mut self.groups[metric.group].table;
            let idle = |touched_ms: u64| now_ms.saturating_sub(touched_ms) > expiry_ms;
            let expired = metric.series.end_where(table, |series| idle(series.touched_ms));
            metric.expired += expired as u64;
            ended += expired;
        }
        ended
    }

    /// How each metric fares, in the order of their names.
    pub fn stats(&self) -> impl ExactSizeIterator<Item = MetricStats<'_>> {
        self.metrics.iter().map(|metric| MetricStats {
            object: &metric.object,
            prometheus_name: &metric.definition.name,
            series: metric.series.alive(),
            max_series: metric.max_series,
            refused: metric.refused,
            expired: metric.expired,
        })
    }

    pub(crate) fn table(&self, metric: &Metric) -> &LabelTable {
        &self.groups[metric.group].table
    }

    fn position(&self, object: &ObjectName) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.object == *object)
    }

    fn name_taken(&self, object: &ObjectName, definition: &Definition) -> Option<Problem> {
        let names = definition.exposed_names();
        let others = self.metrics.iter().filter(|metric| metric.object != *object);
        let mut taken = others.filter_map(|metric| {
            let theirs = metric.definition.exposed_names();
            let name = names.iter().find(|name| theirs.contains(name))?;
            Some((metric, name))
        });
        let (metric, name) = taken.next()?;
        Some(Problem {
            field: "spec.metricName".to_owned(),
            kind: ProblemKind::NameTaken,
            message: format!(
                "{name} is a name of the metric {} of {} already",
                metric.definition.name, metric.object
            ),
            remedy: "choose another name, or remove that object".to_owned(),
        })
    }

    fn install(&mut self, object: ObjectName, counted: FlowMetricSpec, mut definition: Definition) {
        let (part_filters, filters): (Vec<_>, Vec<_>) = std::mem::take(&mut definition.filters)
            .into_iter()
            .partition(Filter::reads_parts);
        let filters = filters
            .into_iter()
            .map(|filter| self.share_filter(filter))
            .collect();
        let group = self.share_labels(&definition);
        let bounds = match &definition.kind {
            Kind::Histogram(bounds) => bounds.len(),
            _ => 0,
        };
        let metric = Metric {
            object,
            counted,
            filters,
            part_filters,
            group,
            series: SeriesTable::new(bounds),
            max_series: definition.max_series.unwrap_or(self.limits.max_series),
            refused: 0,
            expired: 0,
            definition,
        };
        let before = |other: &Metric| other.definition.name < metric.definition.name;
        self.metrics.insert(self.metrics.partition_point(before), metric);
    }

    fn share_filter(&mut self, filter: Filter) -> usize {
        let same = |shared: &SharedFilter| shared.users > 0 && shared.filter == filter;
        if let Some(at) = self.filters.iter().position(same) {
            self.filters[at].users += 1;
            return at;
        }
        let shared = SharedFilter {
            filter,
            users: 1,
            generation: 0,
            passes: false,
        };
        place(&mut self.filters, shared, |shared| shared.users == 0)
    }

    fn share_labels(&mut self, definition: &Definition) -> usize {
        let fields = definition.labels.iter().map(|label| match label.reading {
            Reading::Record(source) => Some(source),
            Reading::Part { .. } => None,
        });
        let sources = if definition.flatten.is_empty() {
            fields.collect()
        } else {
            None
        };
        let same = |group: &LabelGroup| group.users > 0 && sources.is_some() && group.sources == sources;
        if let Some(at) = self.groups.iter().position(same) {
            self.groups[at].users += 1;
            return at;
        }
        let group = LabelGroup {
            sources,
            table: LabelTable::default(),
            users: 1,
            generation: 0,
            hash: 0,
            slot: None,
        };
        place(&mut self.groups, group, |group| group.users == 0)
    }
}

/// Puts it where a free one was, or at the end.
fn place<T>(list: &mut Vec<T>, item: T, is_free: impl Fn(&T) -> bool) -> usize {
    match list.iter().position(is_free) {
        Some(at) => {
            list[at] = item;
            at
        }
        None => {
            list.push(item);
            list.len() - 1
        }
    }
}

/// What of a resource says what is counted.
fn counted(spec: &FlowMetricSpec) -> FlowMetricSpec {
    FlowMetricSpec {
        help: String::new(),
        charts: Vec::new(),
        ..spec.clone()
    }
}

impl SharedFilter {
    #[inline]
    fn judge(&mut self, scratch: &mut Scratch, record: &impl Record) -> bool {
        if self.generation != scratch.generation() {
            self.generation = scratch.generation();
            self.filter.prepare(scratch, record);
            self.passes = self.filter.passes(scratch, &[], record);
        }
        self.passes
    }
}

impl LabelGroup {
    /// Looks the record's label values up, once for all metrics that have them.
    #[inline]
    fn look_up(&mut self, scratch: &mut Scratch, record: &impl Record) {
        if self.generation == scratch.generation() {
            return;
        }
        self.generation = scratch.generation();
        let sources = self.sources.as_deref().unwrap_or_default();
        self.hash = sources
            .iter()
            .fold(0, |hash, source| combine(hash, scratch.ensure(*source, record)));
        let scratch = &*scratch;
        self.slot = self.table.find(self.hash, |at| scratch.label(sources[at]));
    }

    fn insert(&mut self, scratch: &Scratch) -> u32 {
        let sources = self.sources.as_deref().unwrap_or_default();
        let slot = self
            .table
            .insert(self.hash, sources.len(), |at| scratch.label(sources[at]));
        self.slot = Some(slot);
        slot
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
struct Count {
    raw: u64,
    now_ms: u64,
}

impl Metric {
    #[inline]
    fn count_record(
        &mut self,
        group: &mut LabelGroup,
        scratch: &mut Scratch,
        record: &impl Record,
        count: Count,
    ) {
        group.look_up(scratch, record);
        let known = group.slot.filter(|slot| self.series.at(*slot).is_some());
        let slot = match known {
            Some(slot) => slot,
            None if self.series.alive() >= self.max_series => {
                self.refused += 1;
                return;
            }
            None => {
                let slot = group.slot.unwrap_or_else(|| group.insert(scratch));
                self.series.create(slot, count.now_ms, &mut group.table);
                slot
            }
        };
        self.add(slot, count);
    }

    /// Counts each combination of the items of the flattened lists that passes.
    fn count_parts<R: Record>(
        &mut self,
        table: &mut LabelTable,
        scratch: &mut Scratch,
        record: &R,
        count: Count,
    ) {
        for filter in &self.part_filters {
            filter.prepare(scratch, record);
        }
        for label in &self.definition.labels {
            if let Reading::Record(source) = label.reading {
                scratch.ensure(source, record);
            }
        }
        let mut lists = [Parts::NONE; crate::definition::MOST_LISTS];
        let flattened = self.definition.flatten.len();
        for (list, source) in lists.iter_mut().zip(&self.definition.flatten) {
            *list = source.parts(record);
        }
        let lists = &lists[..flattened];
        // A list without items has one missing item, so that the others still count.
        let combinations: usize = lists.iter().map(|list| list.as_slice().len().max(1)).product();
        let mut at_hand: [Option<Part<'_>>; crate::definition::MOST_LISTS] = Default::default();
        for combination in 0..combinations {
            let mut rest = combination;
            for (part, list) in at_hand.iter_mut().zip(lists) {
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
        scratch: &Scratch,
        record: &impl Record,
        parts: PartsAtHand<'_, '_>,
        count: Count,
    ) {
        let mut filters = self.part_filters.iter();
        if !filters.all(|filter| filter.passes(scratch, parts, record)) {
            return;
        }
        let labels = &self.definition.labels;
        let text = |at: usize| labels[at].reading.text(scratch, parts).unwrap_or_default();
        let hash = (0..labels.len()).fold(0, |hash, at| combine(hash, scratch.hash(text(at))));
        let found = table.find(hash, text);
        let known = found.filter(|slot| self.series.at(*slot).is_some());
        let slot = match known {
            Some(slot) => slot,
            None if self.series.alive() >= self.max_series => {
                self.refused += 1;
                return;
            }
            None => {
                let slot = found.unwrap_or_else(|| table.insert(hash, labels.len(), text));
                self.series.create(slot, count.now_ms, table);
                slot
            }
        };
        self.add(slot, count);
    }

    #[inline]
    fn add(&mut self, slot: u32, count: Count) {
        let Some(series) = self.series.at(slot) else {
            return;
        };
        series.touched_ms = count.now_ms;
        match &self.definition.kind {
            Kind::Counter => series.raw = series.raw.saturating_add(count.raw),
            Kind::Gauge => series.raw = count.raw,
            Kind::Histogram(bounds) => {
                series.raw = series.raw.saturating_add(count.raw);
                series.count += 1;
                let value = self.definition.scaled(count.raw);
                let bucket = bounds.partition_point(|bound| *bound < value);
                self.series.bucket(slot, bucket);
            }
        }
    }
}

impl Definition {
    /// A value as it is shown.
    pub(crate) fn scaled(&self, raw: u64) -> f64 {
        raw as f64 / self.divider.unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests;
