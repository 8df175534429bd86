//! Policies: which objects of the cluster they are and select, as they are now.
//!
//! ```text
//! files (--policies) -----+
//!                         +--> known objects --> PolicyObjects::now (for the API)
//! Kubernetes's watches ---+
//! ```

mod files;
mod kinds;
mod known;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_policy::parse::Objects;
use weir_policy::{Cni, Profile};

use files::ObjectFiles;
use known::Known;

/// Where policies come from, and what they are read with.
#[derive(Debug, Clone, Default)]
pub struct PolicySources {
    /// Files and folders of objects, instead of the cluster's.
    pub paths: Vec<PathBuf>,
    /// The CNI whose behaviour is assumed; unset: the one that the nodes tell.
    pub cni: Option<Cni>,
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

    /// Follows what says which objects there are.
    pub fn follow(sources: PolicySources, tasks: &mut JoinSet<()>) -> Self {
        let objects = Self::new(sources.cni);
        if !sources.paths.is_empty() {
            let files = ObjectFiles::open(sources.paths, &objects);
            tasks.spawn(files.follow(objects.clone()));
        }
        objects
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

#[cfg(test)]
mod tests;
