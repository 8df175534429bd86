//! The metrics that are counted: which there are, what a record adds to each, what ends.

use std::fmt;

use crate::definition::{Definition, Kind, MOST_LISTS};
use crate::filter::{DirectionMask, Filter, PartsAtHand, Reading};
use crate::pair_cache::{KnownSlot, PairCache, Place};
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
    pairs: PairCache,
    filters: Vec<SharedFilter>,
    groups: Vec<LabelGroup>,
    values: Vec<SharedValue>,
    /// What is done with a record, made of the metrics whenever these change.
    batches: Vec<Batch>,
    /// In the order of their names.
    pub(crate) metrics: Vec<Metric>,
}

/// A filter that several metrics may have, judged once for a record.
#[derive(Debug)]
struct SharedFilter {
    filter: Filter,
    /// Set if it looks at the direction alone.
    directions: Option<DirectionMask>,
    users: usize,
    generation: u32,
    passes: bool,
}

/// A number of the record that several metrics may count, read once for a record.
#[derive(Debug)]
struct SharedValue {
    /// `None`: each record counts one.
    source: Option<Source>,
    generation: u32,
    value: Option<u64>,
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
}

#[derive(Debug)]
struct Member {
    /// Place in [`Registry::metrics`].
    metric: usize,
    /// Place in [`Registry::values`].
    value: usize,
}

/// Metrics with these labels look their series up together.
#[derive(Debug)]
pub(crate) struct LabelGroup {
    /// Fields of the labels; `None`: of a metric that flattens, which looks up alone.
    sources: Option<Vec<Source>>,
    /// Places of the labels that do not follow from who stands on the sides.
    own: Vec<usize>,
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
            pairs: PairCache::default(),
            filters: Vec::new(),
            groups: Vec::new(),
            values: Vec::new(),
            batches: Vec::new(),
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
        metric.series.leave(&mut group.table);
        group.users -= 1;
        for at in metric.filters {
            self.filters[at].users -= 1;
        }
        self.plan();
        true
    }

    /// Counts a record that came now, in ms since 1970 UTC. Allocates nothing unless a
    /// series is new.
    pub fn observe(&mut self, record: &impl Record, now_ms: u64) {
        let Self {
            scratch,
            pairs,
            filters,
            groups,
            values,
            batches,
            metrics,
            ..
        } = self;
        scratch.begin();
        let place = record.identities().map(|pair| pairs.place(pair));
        let primary = source::is_primary(record);
        for batch in batches {
            if !primary && !batch.all_observations {
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
            let expired = metric.series.end_where(table, |series| idle(series.touched_ms));
            if expired > 0 {}
            metric.expired += expired as u64;
            ended += expired;
        }
        if ended > 0 {
            self.pairs.forget();
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
        let buckets = match &definition.kind {
            Kind::Histogram(bounds) => bounds.len() + 1,
            _ => 0,
        };
        let metric = Metric {
            object,
            counted,
            filters,
            part_filters,
            group,
            series: SeriesTable::new(&mut self.groups[group].table, buckets),
            max_series: definition.max_series.unwrap_or(self.limits.max_series),
            refused: 0,
            expired: 0,
            definition,
        };
        let before = |other: &Metric| other.definition.name < metric.definition.name;
        self.metrics.insert(self.metrics.partition_point(before), metric);
        self.plan();
    }

    /// Puts together what a record is held against once.
    fn plan(&mut self) {
        (self.values, self.batches) = (Vec::new(), Vec::new());
        self.pairs.reset(self.groups.len());
        for (at, metric) in self.metrics.iter_mut().enumerate() {
            let source = metric.definition.value;
            let known = self.values.iter().position(|value| value.source == source);
            let value = known.unwrap_or_else(|| {
                self.values.push(SharedValue {
                    source,
                    generation: 0,
                    value: None,
                });
                self.values.len() - 1
            });
            let member = Member { metric: at, value };
            metric.filters.sort_unstable();
            let all_observations = metric.definition.all_observations;
            let same = |batch: &&mut Batch| {
                (batch.group, batch.all_observations) == (metric.group, all_observations)
                    && batch.filters == metric.filters
            };
            match self.batches.iter_mut().find(same) {
                Some(batch) => batch.members.push(member),
                None => self.batches.push(Batch {
                    filters: metric.filters.clone(),
                    all_observations,
                    group: metric.group,
                    members: vec![member],
                }),
            }
        }
    }

    fn share_filter(&mut self, filter: Filter) -> usize {
        let same = |shared: &SharedFilter| shared.users > 0 && shared.filter == filter;
        if let Some(at) = self.filters.iter().position(same) {
            self.filters[at].users += 1;
            return at;
        }
        let shared = SharedFilter {
            directions: filter.direction_mask(),
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
        let of_flow = sources.iter().flatten().enumerate();
        let own = of_flow.filter(|(_, source): &(_, &Source)| !source.follows_from_identities());
        let group = LabelGroup {
            own: own.map(|(at, _)| at).collect(),
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
            self.passes = match self.directions {
                Some(mask) => mask.passes(scratch.directions(record)),
                None => {
                    self.filter.prepare(scratch, record);
                    self.filter.passes(scratch, &[], record)
                }
            };
        }
        self.passes
    }
}

impl SharedValue {
    #[inline]
    fn read(&mut self, generation: u32, record: &impl Record) -> Option<u64> {
        if self.generation != generation {
            self.generation = generation;
            self.value = self.source.map_or(Some(1), |source| source.number(record));
        }
        self.value
    }
}

impl LabelGroup {
    /// Looks the record's label values up, once for all metrics that have them.
    #[inline]
    fn look_up(
        &mut self,
        scratch: &mut Scratch,
        record: &impl Record,
        pairs: &mut PairCache,
        memory: Option<Memory>,
    ) {
        if self.generation == scratch.generation() {
            return;
        }
        self.generation = scratch.generation();
        let Some(sources) = self.sources.as_deref() else {
            return;
        };
        if let Some(known) = memory.and_then(|memory| pairs.slot(memory.place, memory.group)) {
            let same = self.own.iter().all(|at| {
                scratch.ensure(sources[*at], record);
                let text = scratch.label(sources[*at]);
                (known.is_plain && text.is_empty()) || self.table.has(known.slot, *at, text)
            });
            if same {
                self.slot = Some(known.slot);
                return;
            }
        }
        self.hash = sources
            .iter()
            .fold(0, |hash, source| combine(hash, scratch.hash_of(*source, record)));
        let scratch = &*scratch;
        self.slot = self.table.find(self.hash, |at| scratch.label(sources[at]));
        if let Some(slot) = self.slot {
            self.remember(slot, scratch, pairs, memory);
        }
    }

    fn remember(&self, slot: u32, scratch: &Scratch, pairs: &mut PairCache, memory: Option<Memory>) {
        let sources = self.sources.as_deref().unwrap_or_default();
        let Some(Memory { place, group }) = memory else {
            return;
        };
        let mut own = self.own.iter();
        let is_plain = own.all(|at| scratch.label(sources[*at]).is_empty());
        pairs.remember(place, group, KnownSlot { slot, is_plain });
    }

    fn insert(&mut self, scratch: &Scratch, (pairs, memory): (&mut PairCache, Option<Memory>)) -> u32 {
        let sources = self.sources.as_deref().unwrap_or_default();
        let label = |at: usize| scratch.label(sources[at]);
        let slot = self.table.insert(self.hash, sources.len(), label);
        self.slot = Some(slot);
        self.remember(slot, scratch, pairs, memory);
        slot
    }
}

/// Where the slot of a pair of identities in a label group is remembered.
#[derive(Debug, Clone, Copy)]
struct Memory {
    place: Place,
    group: usize,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
struct Count {
    raw: u64,
    now_ms: u64,
}

impl Metric {
    /// Counts in the series of the labels that were looked up; false if there is none.
    #[inline]
    fn count_known(&mut self, group: &mut LabelGroup, count: Count) -> bool {
        group
            .slot
            .is_some_and(|slot| self.add(slot, &mut group.table, count))
    }

    /// The same with a new series, if there may be one more.
    fn count_new(
        &mut self,
        group: &mut LabelGroup,
        scratch: &Scratch,
        memory: (&mut PairCache, Option<Memory>),
        count: Count,
    ) {
        if self.admits() {
            let slot = group.slot.unwrap_or_else(|| group.insert(scratch, memory));
            self.series.create(slot, count.now_ms, &mut group.table);
            self.add(slot, &mut group.table, count);
        }
    }

    /// Whether there is room for one series more; counts where there is none.
    fn admits(&mut self) -> bool {
        let admits = self.series.alive() < self.max_series;
        self.refused += u64::from(!admits);
        admits
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
        if self.admits() {
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
        let Some(series) = self.series.at(slot, table) else {
            return false;
        };
        series.touched_ms = count.now_ms.max(1);
        match &self.definition.kind {
            Kind::Counter => series.raw = series.raw.saturating_add(count.raw),
            Kind::Gauge => series.raw = count.raw,
            Kind::Histogram(bounds) => {
                series.raw = series.raw.saturating_add(count.raw);
                let value = self.definition.scaled(count.raw);
                let bucket = bounds.partition_point(|bound| *bound < value);
                self.series.bucket(slot, bucket);
            }
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

#[cfg(test)]
mod tests;
