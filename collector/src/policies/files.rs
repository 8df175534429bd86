//! Objects and policies out of files, where no cluster is asked for them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use weir_identity::time;
use weir_policy::parse;

use super::PolicyObjects;
use super::kinds::KindNumber;
use super::known::Key;
use crate::watched_files::{FileChange, LOOK_INTERVAL, Look, WatchedFiles};

/// The longest file that is read: as long as that of a command.
const MAX_BYTES: u64 = 512 << 20;

/// Files and folders of objects. Of several objects with one name the one in the last file
/// counts, in the order in which files were given, those of a folder by name.
#[derive(Debug)]
pub struct ObjectFiles {
    paths: Vec<WatchedFiles>,
    /// By place in `paths` and file.
    objects: BTreeMap<(usize, PathBuf), Vec<(Key, Value)>>,
    /// Those that were put in.
    present: BTreeSet<Key>,
}

impl ObjectFiles {
    /// Reads all files for the first time.
    pub fn open(paths: Vec<PathBuf>, objects: &PolicyObjects) -> Self {
        let watched = paths.into_iter();
        let watched = watched.map(|path| WatchedFiles::new(path, "policies and objects", MAX_BYTES));
        let mut files = Self {
            paths: watched.collect(),
            objects: BTreeMap::new(),
            present: BTreeSet::new(),
        };
        files.look(objects, Look::All);
        files
    }

    /// Reads what has changed, again and again, for ever.
    pub async fn follow(mut self, objects: PolicyObjects) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let to = objects.clone();
            let looked = tokio::task::spawn_blocking(move || {
                self.look(&to, Look::Settled);
                self
            });
            match looked.await {
                Ok(files) => self = files,
                Err(error) => {
                    tracing::error!(%error, "files of policies are not read any more");
                    return;
                }
            }
        }
    }

    pub(super) fn look(&mut self, objects: &PolicyObjects, look: Look) {
        let mut is_changed = false;
        for place in 0..self.paths.len() {
            let Some(watched) = self.paths.get_mut(place) else {
                break;
            };
            for change in watched.changes(look) {
                is_changed |= match change {
                    FileChange::Changed(path) => match watched.read(&path) {
                        Some(text) => take(&mut self.objects, place, path, &text),
                        None => false,
                    },
                    FileChange::Gone(path) => self.objects.remove(&(place, path)).is_some(),
                };
            }
        }
        if is_changed || look == Look::All {
            self.put(objects);
        }
    }

    /// Tells what there is now, of all kinds.
    fn put(&mut self, objects: &PolicyObjects) {
        let all: BTreeMap<&Key, &Value> = self
            .objects
            .values()
            .flatten()
            .map(|(key, value)| (key, value))
            .collect();
        let now = time::now();
        objects.change(|known| {
            for key in self.present.iter().filter(|key| !all.contains_key(key)) {
                known.remove(key);
            }
            for (key, value) in &all {
                known.put((*key).clone(), value);
            }
            for kind in KindNumber::all() {
                known.settle(kind, now);
            }
        });
        self.present = all.into_keys().cloned().collect();
    }
}

/// Takes the objects of a file; whether it could be read.
fn take(
    objects: &mut BTreeMap<(usize, PathBuf), Vec<(Key, Value)>>,
    place: usize,
    path: PathBuf,
    text: &str,
) -> bool {
    match parse::values(text) {
        Ok(values) => {
            let named = values
                .into_iter()
                .filter_map(|value| Some((Key::of(&value)?, value)));
            let named: Vec<_> = named.collect();
            tell_problems(&path, &named);
            tracing::info!(file = %path.display(), objects = named.len(), "policies and objects were read");
            objects.insert((place, path), named);
            true
        }
        Err(error) => {
            let remedy = "write it as `kubectl get -o yaml` does";
            tracing::warn!(file = %path.display(), %error, remedy, "a file of policies is not as it must be; what it said before stays");
            false
        }
    }
}

/// What of a policy cannot be understood: it is there all the same, and fails closed.
fn tell_problems(path: &Path, objects: &[(Key, Value)]) {
    for (key, value) in objects {
        let (_, problems) = parse::stored(value);
        for problem in problems {
            tracing::warn!(file = %path.display(), object = %key.name, %problem, "a policy is not as it must be; what cannot be understood allows nothing");
        }
    }
}
