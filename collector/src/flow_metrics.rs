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
//! looked at. The merged registry has the series, their age and their bound.

mod definitions;
mod figures;
pub mod files;
mod first_records;
mod identity_numbers;
pub mod objects;
mod page;
mod record;
mod shard;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kube::Client;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use weir_flow::FlowRecord;
use weir_flowmetrics::{Exposition, FlowMetric, Limits, ObjectName, Registry};

use definitions::Definitions;
pub use definitions::{DefinedBy, Outcome};
pub use figures::Figures;
use files::DefinitionFiles;
use first_records::FirstRecords;
use objects::MetricNamespace;
pub use page::page;
use shard::Shard;

/// Time between two looks at what the shards have counted, so that none of them is full.
const GATHER_INTERVAL: Duration = Duration::from_secs(5);
/// The same when a shard is full.
const GATHER_PAUSE: Duration = Duration::from_millis(100);

/// What says which metrics are counted.
#[derive(Debug, Clone, Default)]
pub struct FlowMetricSources {
    /// Of the command line.
    pub predefined: Vec<FlowMetric>,
    /// A file or folder.
    pub path: Option<PathBuf>,
    /// Where the objects are, where names come from Kubernetes.
    pub namespace: MetricNamespace,
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
    merged: Mutex<Merged>,
    /// As of the last change or gathering; nobody waits for the series to see them.
    figures: Mutex<Figures>,
    /// A shard refused a series.
    full: Notify,
}

/// What is known beside the shards.
#[derive(Debug)]
struct Merged {
    definitions: Definitions,
    /// All series, but for what was counted since they were gathered.
    registry: Registry,
    /// Which metrics there are changed so many times.
    generation: u64,
    /// Empty, with the metrics of this generation.
    spare: Option<Registry>,
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
            merged: Mutex::new(Merged {
                definitions: Definitions::default(),
                registry: Registry::new(Limits::default()),
                generation: 0,
                spare: None,
                gone: Figures::default(),
            }),
            figures: Mutex::default(),
            full: Notify::new(),
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
    /// `present` is told, other objects of the source are removed.
    pub fn define(
        &self,
        by: &DefinedBy,
        resources: impl IntoIterator<Item = FlowMetric>,
        present: Option<&BTreeSet<ObjectName>>,
    ) -> Vec<(ObjectName, Outcome)> {
        let mut merged = self.0.merged();
        let before: Vec<_> = merged.definitions.counted().cloned().collect();
        let Merged {
            definitions,
            registry,
            gone,
            ..
        } = &mut *merged;
        let outcomes = gone.keep(registry, |registry| {
            if let Some(present) = present {
                definitions.retain(registry, by, present);
            }
            definitions.apply(registry, by, resources)
        });
        let counts_the_same = merged.definitions.counted().eq(&before);
        if !counts_the_same {
            merged.generation += 1;
            merged.spare = None;
            self.0.gather(&mut merged);
            let counts = merged.definitions.counted().next().is_some();
            self.0.counts.store(counts, Ordering::Relaxed);
        }
        self.0.publish(&merged);
        outcomes
    }

    /// What became of this object, which may have changed with what became of others.
    pub fn outcome(&self, by: &DefinedBy, name: &ObjectName) -> Option<Outcome> {
        self.0.merged().definitions.outcome(by, name).cloned()
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
            tokio::select! {
                () = tokio::time::sleep(GATHER_INTERVAL) => {}
                () = self.0.full.notified() => tokio::time::sleep(GATHER_PAUSE).await,
            }
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
    fn merged(&self) -> MutexGuard<'_, Merged> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, merged: &Merged) {
        let figures = merged.gone.now(&merged.registry, &merged.definitions);
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }

    /// Takes over what the shards have counted. Each has an empty registry then, with the
    /// metrics that there are.
    fn gather(&self, merged: &mut Merged) {
        for shard in &self.shards {
            let spare = merged.spare.take();
            let empty = spare.unwrap_or_else(|| replica(&merged.definitions));
            let mut counted = shard.swap(empty, merged.generation);
            merged.registry.absorb(&mut counted.registry);
            if counted.generation == merged.generation {
                merged.spare = Some(counted.registry);
            }
        }
    }
}

/// A registry without series that counts the same.
fn replica(definitions: &Definitions) -> Registry {
    let mut registry = Registry::new(Limits::default());
    for resource in definitions.counted() {
        if let Err(problems) = registry.apply(resource) {
            tracing::error!(?problems, "a FlowMetric is good once and bad the next time");
        }
    }
    registry
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
        if counting.registry.has_refused() {
            self.parts.full.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
