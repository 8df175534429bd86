//! Policies: which objects of the cluster they are and select, as they are now.
//!
//! ```text
//! files (--policies) -----+
//!                         +--> known objects --> PolicyObjects::now (for the API)
//! Kubernetes's watches ---+         |
//!                                   +--> compiled --> versions, swapped by one task
//!                                                        ^ each by those of its time
//!                                worker -- Judge::judge --+
//! ```
//!
//! A record is judged in the thread that receives it, before it is handed on. Nothing of that
//! waits: versions are read by a pointer swap, and who stands on a side is kept.

mod cluster;
mod compiled;
mod counts;
mod earlier;
mod end_cache;
mod ends;
mod files;
mod follow;
mod gaps;
mod holders;
mod judge;
mod kinds;
mod known;
mod services;
mod state;
mod touched;
mod versions;
mod watches;

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_policy::parse::Objects;
use weir_policy::{Cni, Profile};

pub use cluster::Feed;
pub use counts::PolicyCounts;
use files::ObjectFiles;
pub use judge::Judge;
use known::Known;
use state::StateFile;
pub use versions::Versions;

use crate::metrics::PolicyMetrics;

/// Where policies come from, and what they are read with.
#[derive(Debug, Clone, Default)]
pub struct PolicySources {
    /// Files and folders of objects, instead of the cluster's.
    pub paths: Vec<PathBuf>,
    /// The CNI whose behaviour is assumed; unset: the one that the nodes tell.
    pub cni: Option<Cni>,
}

/// Where records are judged from: what follows the objects, and publishes versions.
#[derive(Debug)]
pub struct Policies {
    /// The objects; none where nothing says which there are.
    pub objects: Option<PolicyObjects>,
    versions: watch::Receiver<Arc<Versions>>,
    publisher: Option<watch::Sender<Arc<Versions>>>,
}

impl Policies {
    /// Of files, or else of the cluster that names come from, if they do.
    pub fn new(sources: &PolicySources, has_cluster: bool) -> Self {
        let (publisher, versions) = watch::channel(Arc::default());
        let is_on = has_cluster || !sources.paths.is_empty();
        Self {
            objects: is_on.then(|| PolicyObjects::new(sources.cni)),
            versions,
            publisher: Some(publisher),
        }
    }

    /// What the watches of names bring; none where files say which objects there are.
    pub fn of_names(&self, sources: &PolicySources) -> Option<PolicyObjects> {
        self.objects.clone().filter(|_| sources.paths.is_empty())
    }

    /// Starts whatever follows the objects. `state`: the directory for what is kept over a
    /// restart.
    pub fn follow(
        &mut self,
        sources: PolicySources,
        cluster: Option<&Client>,
        state: Option<&Path>,
        metrics: &Arc<PolicyMetrics>,
        tasks: &mut JoinSet<()>,
    ) {
        let (Some(objects), Some(publisher)) = (&self.objects, self.publisher.take()) else {
            return;
        };
        match cluster.filter(|_| sources.paths.is_empty()) {
            Some(client) => cluster::follow(client, objects, tasks),
            None => {
                let files = ObjectFiles::open(sources.paths, objects);
                tasks.spawn(files.follow(objects.clone()));
            }
        }
        let state = StateFile::within(state);
        let metrics = Arc::clone(metrics);
        tasks.spawn(follow::follow(objects.clone(), state, metrics, publisher));
    }

    /// Where records find what they are judged by; none where nothing says so.
    pub fn versions(&self) -> Option<watch::Receiver<Arc<Versions>>> {
        self.objects.as_ref().map(|_| self.versions.clone())
    }
}

/// The objects that policies are and select, as they are now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PolicyObjects(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    cni: Option<Cni>,
    known: Mutex<Known>,
    /// What was made of `known`, after so many changes.
    made: Mutex<Option<(u64, Arc<Objects>)>>,
    /// Something changed.
    changed: watch::Sender<()>,
}

impl PolicyObjects {
    /// Nothing is known yet.
    pub fn new(cni: Option<Cni>) -> Self {
        Self(Arc::new(Parts {
            cni,
            known: Mutex::default(),
            made: Mutex::default(),
            changed: watch::channel(()).0,
        }))
    }

    /// The CNI that was given.
    fn cni(&self) -> Option<Cni> {
        self.0.cni
    }

    /// Tells of changes.
    fn changed(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// One number for all policies and namespaces that are there, and how they are read.
    fn in_force(&self) -> u64 {
        let hasher = foldhash::quality::FixedState::default();
        self.known().in_force(hasher.hash_one(self.0.cni))
    }

    /// The watches that verdicts need and that are broken, and why.
    fn broken(&self) -> Vec<String> {
        let known = self.known();
        let told = known.broken();
        told.map(|(kind, why)| format!("{}: {why}", kind.kind().name))
            .collect()
    }

    /// Whether records can be judged by the objects; else what is waited for, or not seen.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn condition(&self) -> Result<(), String> {
        self.known()
            .is_complete()
            .map_err(|why| format!("wait for {why}"))?;
        match self.broken() {
            broken if broken.is_empty() => Ok(()),
            broken => Err(format!("degraded: {}", broken.join("; "))),
        }
    }

    /// All objects as they are now; why not, where not all that verdicts need was read yet or
    /// nothing says which there are. After a change they are read anew, which takes half a
    /// second at 50,000 pods: ask where one may wait.
    ///
    /// # Errors
    /// What is waited for, in words.
    pub fn now(&self) -> Result<Arc<Objects>, String> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, texts) = {
            let known = self.known();
            known.is_complete()?;
            if let Some((changes, objects)) = &*made
                && *changes == known.changes()
            {
                return Ok(Arc::clone(objects));
            }
            (known.changes(), known.texts())
        };
        let mut objects = Objects::default();
        for text in texts {
            // It was written by us.
            objects.add(&serde_json::from_str::<Value>(&text).unwrap_or_default());
        }
        let objects = Arc::new(objects);
        *made = Some((changes, Arc::clone(&objects)));
        Ok(objects)
    }

    /// The CNI that is assumed: the one that was given, or that the nodes tell.
    pub fn profile(&self, objects: &Objects) -> Profile {
        Profile::of(self.0.cni.or(objects.cni).unwrap_or_default())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known; who follows it is told.
    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.known();
        let before = known.changes();
        let changed = change(&mut known);
        if known.changes() != before {
            self.0.changed.send_replace(());
        }
        changed
    }
}

/// What is judged by these objects alone, from the beginning of time.
#[cfg(test)]
pub(crate) fn versions_of(objects: &[Value]) -> Arc<Versions> {
    let mut known = Known::default();
    for object in objects {
        known.put(known::Key::of(object).expect("an object that is needed"), object);
    }
    let mut compiled = compiled::Compiled::new(None, known.take_all(), 0);
    Arc::new(Versions::new(compiled.version(compiled::moment(0)), false))
}

#[cfg(test)]
mod tests;
