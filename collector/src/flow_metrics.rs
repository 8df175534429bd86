//! FlowMetrics: metrics that resources define over flow records ([`weir_flowmetrics`]), counted
//! where records are received and shown to scrapers at `/flow-metrics`.
//!
//! ```text
//! file or folder -- files --+
//!                           +--> FlowMetrics::define --> definitions
//! Kubernetes ----- objects -+                              |  the same metrics in each registry
//!                                                          v
//! worker -- FlowCounter::observe --> a shard's registry --+
//! worker -- FlowCounter::observe --> a shard's registry --+-- gather --> the merged registry
//!                                                          (swapped out, absorbed)  |
//!                                                          /flow-metrics <-- expose +
//! ```
//!
//! A worker counts in a shard, which is a registry behind a lock that others hold only as long as
//! it takes to swap it for an empty one, or takes another shard. So nothing of what scrapes,
//! defines or expires holds up who receives; and where no metric is defined, records are not
//! looked at. How many series a new metric will have is estimated from stored records, apart from
//! all of this ([`estimator`]). The merged registry has the series and their age; which label sets have one, the
//! shards and it decide together, so that what is known is counted by each of them.

mod definitions;
mod estimate;
pub mod estimator;
mod figures;
pub mod files;
mod first_records;
mod kept_estimate;
pub mod objects;
mod page;
mod record;
mod shard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_flow::FlowRecord;
use weir_flowmetrics::{Exposition, FlowMetric, Limits, ObjectName, Registry};

pub use definitions::{DefinedBy, DueEstimate, Outcome};
use definitions::{Definitions, Taken};
pub use estimate::{Estimate, EstimateBounds, SeriesEstimate, Unknown, estimate, said_in};
pub use figures::Figures;
use files::DefinitionFiles;
use first_records::FirstRecords;
use objects::MetricNamespace;
pub use page::page;
use shard::{SPOILT, Shard};

/// Time between two looks at what the shards have counted, so that they stay small.
const GATHER_INTERVAL: Duration = Duration::from_secs(5);

/// What says which metrics are counted.
#[derive(Debug, Clone, Default)]
pub struct FlowMetricSources {
    /// Of the command line.
    pub predefined: Vec<FlowMetric>,
    /// A file or folder.
    pub path: Option<PathBuf>,
    /// Where the objects are, where names come from Kubernetes.
    pub namespace: MetricNamespace,
    /// Whoever reaches the page may read it.
    pub open: bool,
}

/// The metrics of one collector.
#[derive(Debug, Clone)]
pub struct FlowMetrics(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Something is counted.
    counts: AtomicBool,
    shards: Vec<Shard>,
    next_home: AtomicUsize,
    /// Locked before `merged`, and for as long as it takes to compile.
    definitions: Mutex<Definitions>,
    merged: Mutex<Merged>,
    /// As of the last change or gathering; nobody waits for the series to see them.
    figures: Mutex<Figures>,
    /// Told when there are estimates that there were not.
    estimated: watch::Sender<()>,
}

/// A resource, what became of it and how its metric fares.
#[derive(Debug, Clone)]
pub struct ListedMetric {
    /// Who says it.
    pub by: DefinedBy,
    /// Its object.
    pub object: ObjectName,
    /// What became of it.
    pub outcome: Outcome,
    /// How many series it has by stored flows, once that was looked at.
    pub estimate: Option<Estimate>,
    /// What is counted because of it, as of the last gathering.
    pub counted: Option<CountedSeries>,
}

/// How a metric fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedSeries {
    /// Series that there are.
    pub series: usize,
    /// As many as there may be.
    pub bound: usize,
    /// Counts that were refused because they needed one series too many.
    pub refused: u64,
}

/// What is known beside the shards.
#[derive(Debug)]
struct Merged {
    /// All series, but for what was counted since they were gathered.
    registry: Registry,
    /// Which metrics there are changed so many times.
    generation: u64,
    /// Empty, with the metrics of this generation.
    spare: Option<Registry>,
    /// Resources that are refused.
    bad: usize,
    /// Of metrics that are gone.
    gone: Figures,
}

impl FlowMetrics {
    /// No metric yet; for so many receiving threads, beside the tasks of connections.
    pub fn new(threads: usize) -> Self {
        // Each that runs finds a free one: threads, tasks, and who swaps one out.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = (0..threads + cores + 1).map(|_| Shard::default());
        Self(Arc::new(Parts {
            counts: AtomicBool::new(false),
            shards: shards.collect(),
            next_home: AtomicUsize::new(0),
            definitions: Mutex::default(),
            merged: Mutex::new(Merged {
                registry: Registry::new(Limits::default()),
                generation: 0,
                spare: None,
                bad: 0,
                gone: Figures::default(),
            }),
            figures: Mutex::default(),
            estimated: watch::Sender::default(),
        }))
    }

    /// Where one thread or connection counts, with room for so many flows whose first record it is
    /// to know.
    pub fn counter(&self, room: usize) -> FlowCounter {
        let home = self.0.next_home.fetch_add(1, Ordering::Relaxed);
        FlowCounter {
            parts: Arc::clone(&self.0),
            home: home % self.0.shards.len(),
            first_records: FirstRecords::with_room(room),
        }
    }

    /// Takes resources of a source, new or changed, and tells what became of each. Where
    /// `present` is told, other objects of the source are removed. May take long: expressions
    /// are compiled.
    pub fn define(
        &self,
        by: &DefinedBy,
        resources: impl IntoIterator<Item = FlowMetric>,
        present: Option<&BTreeSet<ObjectName>>,
    ) -> Vec<(ObjectName, Outcome)> {
        // Until all is compiled, who counts, scrapes or gathers waits for nothing.
        let mut definitions = self.0.definitions();
        let taken = definitions.take(by, resources, present);
        let mut merged = self.0.merged();
        let Merged { registry, gone, .. } = &mut *merged;
        if gone.keep(registry, |registry| definitions.install(registry)) {
            merged.generation += 1;
            merged.spare = None;
            self.0.gather(&mut merged);
            let counts = definitions.counted().next().is_some();
            self.0.counts.store(counts, Ordering::Relaxed);
        }
        merged.bad = definitions.refused();
        self.0.publish(&merged);
        let outcomes = taken.into_iter().filter_map(|Taken { name, refused }| {
            let outcome = match refused {
                Some(problem) => Err(vec![problem]),
                None => definitions.outcome(by, &name)?.clone(),
            };
            Some((name, outcome))
        });
        outcomes.collect()
    }

    /// What became of the objects of a source, which may have changed with what became of others.
    pub fn outcomes(&self, by: &DefinedBy) -> BTreeMap<ObjectName, Outcome> {
        let definitions = self.0.definitions();
        let outcomes = definitions.outcomes(by);
        outcomes
            .map(|(name, outcome)| (name.clone(), outcome.clone()))
            .collect()
    }

    /// All resources that are known.
    pub fn list(&self) -> Vec<ListedMetric> {
        let definitions = self.0.definitions();
        let merged = self.0.merged();
        let counted: BTreeMap<_, _> = merged
            .registry
            .stats()
            .map(|stats| {
                let counted = CountedSeries {
                    series: stats.series,
                    bound: stats.max_series,
                    refused: stats.refused,
                };
                (stats.object, counted)
            })
            .collect();
        definitions.list(&counted)
    }

    /// Some of the good resources of which it is to be estimated now, together, how many series they will have.
    pub fn without_estimate(&self, most: usize, now: Instant) -> Vec<DueEstimate> {
        self.0.definitions().without_estimate(most, now)
    }

    /// Takes estimates of resources as they were, made now; what counts something else by now has none.
    pub fn set_estimates(&self, estimates: impl IntoIterator<Item = (DueEstimate, Estimate)>, now: Instant) {
        let mut definitions = self.0.definitions();
        for (due, estimate) in estimates {
            definitions.set_estimate(&due, estimate, now);
        }
        drop(definitions);
        self.0.estimated.send_replace(());
    }

    /// What is estimated of the objects of a source.
    pub fn estimates(&self, by: &DefinedBy) -> BTreeMap<ObjectName, Estimate> {
        let definitions = self.0.definitions();
        let estimates = definitions.estimates(by);
        estimates
            .map(|(name, estimate)| (name.clone(), estimate.clone()))
            .collect()
    }

    /// Changes when there are estimates that there were not.
    pub fn estimated(&self) -> watch::Receiver<()> {
        self.0.estimated.subscribe()
    }

    /// All series as text.
    pub fn expose(&self, format: Exposition) -> String {
        let mut merged = self.0.merged();
        self.0.gather(&mut merged);
        let mut text = String::new();
        self.0.publish(&merged);
        if merged.registry.expose(format, &mut text).is_err() {
            tracing::error!("series cannot be written to memory");
        }
        text
    }

    /// Follows what says which metrics there are, and gathers what is counted.
    pub fn follow(&self, sources: FlowMetricSources, cluster: Option<&Client>, tasks: &mut JoinSet<()>) {
        self.define(&DefinedBy::CommandLine, sources.predefined, None);
        if let Some(path) = sources.path {
            let files = DefinitionFiles::open(path, self);
            tasks.spawn(files.follow(self.clone()));
        }
        if let Some(client) = cluster {
            tasks.spawn(objects::follow(client.clone(), sources.namespace, self.clone()));
        }
        tasks.spawn(self.clone().keep());
    }

    /// How the metrics fare.
    pub fn figures(&self) -> Figures {
        *self.0.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gathers what was counted and ends what has expired, now and then, for ever.
    async fn keep(self) {
        loop {
            tokio::time::sleep(GATHER_INTERVAL).await;
            if !self.0.counts.load(Ordering::Relaxed) {
                continue;
            }
            let parts = Arc::clone(&self.0);
            let gathered = tokio::task::spawn_blocking(move || {
                let mut merged = parts.merged();
                parts.gather(&mut merged);
                merged.registry.expire(now_ms());
                parts.publish(&merged);
            });
            if let Err(error) = gathered.await {
                tracing::error!(%error, "the series of FlowMetrics cannot be gathered");
            }
        }
    }
}

impl Parts {
    fn definitions(&self) -> MutexGuard<'_, Definitions> {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn merged(&self) -> MutexGuard<'_, Merged> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, merged: &Merged) {
        let figures = merged.gone.now(&merged.registry, merged.bad);
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    /// Takes over what the shards have counted. Each has an empty registry then, with the
    /// metrics that there are.
    fn gather(&self, merged: &mut Merged) {
        let mut is_lost = false;
        for shard in &self.shards {
            let spare = merged.spare.take();
            let empty = spare.unwrap_or_else(|| merged.registry.replica());
            let mut counted = shard.swap(empty, merged.generation);
            merged.registry.absorb(&mut counted.registry);
            is_lost |= counted.generation == SPOILT;
            if counted.generation == merged.generation {
                merged.spare = Some(counted.registry);
            }
        }
        if is_lost {
            merged.registry.forget_replica();
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Where one thread or connection counts its records.
#[derive(Debug)]
pub struct FlowCounter {
    parts: Arc<Parts>,
    /// The shard that it takes if that is free.
    home: usize,
    first_records: FirstRecords,
}

impl FlowCounter {
    /// Counts these records, if anything is counted.
    #[inline]
    pub fn observe(&mut self, records: &[FlowRecord]) {
        if self.parts.counts.load(Ordering::Relaxed) && !records.is_empty() {
            self.count(records);
        }
    }

    fn count(&mut self, records: &[FlowRecord]) {
        let (others, first) = self.parts.shards.split_at(self.home);
        let mut shards = first.iter().chain(others);
        let free = shards.find_map(Shard::try_lock);
        let mut counting = free.unwrap_or_else(|| self.parts.shards[self.home].lock());
        counting.observe(records, &mut self.first_records);
    }
}

#[cfg(test)]
mod tests;
