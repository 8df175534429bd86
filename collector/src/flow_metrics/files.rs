//! Definitions of metrics out of a file, or the files of a folder: reads them, and reads them
//! again when they changed.
//!
//! A file is read when it has stayed the same from one look to the next, so that one that is
//! being written is not read by half; at the start at once. What is wrong in it is logged with
//! the file, the field and the remedy, and what was good before goes on. A file of a folder
//! that is gone takes its metrics with it; a file that was named itself does not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_flowmetrics::{FlowMetric, MetricChange, ObjectName, Problem, ProblemKind, read_yaml};

use super::{DefinedBy, FlowMetrics, Outcome};
use crate::names::subnet_labels::FileStamp;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The longest file that is read.
const MAX_BYTES: u64 = 4 << 20;
/// So many files of a folder are read at most.
const MAX_FILES: usize = 1_000;
/// How files end that are read out of a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A file or folder, and how its files were.
#[derive(Debug)]
pub struct DefinitionFiles {
    path: PathBuf,
    files: BTreeMap<PathBuf, FileState>,
    /// Why the folder could not be listed, when it was tried last.
    unlisted: Option<String>,
}

#[derive(Debug, Default)]
struct FileState {
    /// When it was looked at last.
    seen: Option<FileStamp>,
    /// When it was read last.
    read: Option<FileStamp>,
    /// Why it could not be read, when it was tried last.
    unread: Option<String>,
    /// Objects that are in it, or were when all of it could be read.
    objects: BTreeSet<ObjectName>,
}

/// What one look found to do.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// It is new, or another one.
    Changed(PathBuf),
    /// It is gone.
    Gone(PathBuf),
}

/// What a file says.
#[derive(Debug, Default)]
struct Contents {
    metrics: Vec<FlowMetric>,
    problems: Vec<Problem>,
}

impl DefinitionFiles {
    /// Reads all files for the first time.
    pub fn open(path: PathBuf, flow_metrics: &FlowMetrics) -> Self {
        let mut files = Self {
            path,
            files: BTreeMap::new(),
            unlisted: None,
        };
        files.look(flow_metrics, |_| true);
        files
    }

    /// Reads what has changed, again and again, for ever.
    pub async fn follow(mut self, flow_metrics: FlowMetrics) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let metrics = flow_metrics.clone();
            let looked = tokio::task::spawn_blocking(move || {
                self.look(&metrics, |settled| settled);
                self
            });
            match looked.await {
                Ok(files) => self = files,
                Err(error) => {
                    tracing::error!(%error, "files of FlowMetrics are not read any more");
                    return;
                }
            }
        }
    }

    /// `wanted` says whether a changed file is read, by whether it has settled.
    fn look(&mut self, flow_metrics: &FlowMetrics, wanted: impl Fn(bool) -> bool) {
        for found in self.changes(wanted) {
            match found {
                Found::Changed(path) => self.read(&path, flow_metrics),
                Found::Gone(path) => {
                    self.files.remove(&path);
                    tracing::info!(file = %path.display(), "a file of FlowMetrics is gone, and its metrics with it");
                    flow_metrics.define(&DefinedBy::File(path), [], Some(&BTreeSet::new()));
                }
            }
        }
    }

    fn changes(&mut self, wanted: impl Fn(bool) -> bool) -> Vec<Found> {
        let present = match self.list() {
            Ok(present) => present,
            Err(error) => {
                let error = error.to_string();
                if self.unlisted.as_ref() != Some(&error) {
                    tracing::warn!(path = %self.path.display(), error, "FlowMetrics cannot be read and stay as they were");
                }
                self.unlisted = Some(error);
                return Vec::new();
            }
        };
        self.unlisted = None;
        let is_folder = !present.contains_key(&self.path);
        for path in present.keys() {
            self.files.entry(path.clone()).or_default();
        }
        let mut found = Vec::new();
        for (path, state) in &mut self.files {
            let now = present.get(path).cloned();
            let settled = now == state.seen;
            state.seen.clone_from(&now);
            if now == state.read || !wanted(settled) {
                continue;
            }
            if now.is_some() {
                found.push(Found::Changed(path.clone()));
            } else if is_folder {
                found.push(Found::Gone(path.clone()));
            }
        }
        found
    }

    /// The files that there are.
    fn list(&self) -> io::Result<BTreeMap<PathBuf, FileStamp>> {
        let stamped = |path: PathBuf| FileStamp::of(&path).map(|stamp| (path, stamp));
        Ok(paths(&self.path)?.into_iter().filter_map(stamped).collect())
    }

    fn read(&mut self, path: &Path, flow_metrics: &FlowMetrics) {
        let Some(state) = self.files.get_mut(path) else {
            return;
        };
        let Contents { metrics, problems } = match contents(path) {
            Ok(contents) => contents,
            Err(error) => {
                // It is tried again, also where nobody writes it: its owner may change.
                let error = error.to_string();
                if state.unread.as_ref() != Some(&error) {
                    tracing::warn!(file = %path.display(), error, "a file of FlowMetrics cannot be read, will be tried again; its metrics stay as they were");
                }
                state.unread = Some(error);
                return;
            }
        };
        state.unread = None;
        // What it was before it was read.
        state.read.clone_from(&state.seen);
        for problem in &problems {
            warn(path, None, problem);
        }
        let mut present: BTreeSet<_> = metrics.iter().map(ObjectName::of).collect();
        if !problems.is_empty() {
            // Nobody knows which objects those are that cannot be read.
            present.append(&mut state.objects);
        }
        let by = DefinedBy::File(path.to_owned());
        for (object, outcome) in flow_metrics.define(&by, metrics, Some(&present)) {
            tell(path, &object, &outcome);
        }
        state.objects = present;
    }
}

/// The file, or those of the folder, in order.
fn paths(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        // A ConfigMap's files are links into a hidden folder.
        if !hidden && ENDINGS.contains(&ending) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > MAX_FILES {
        let message = format!("{} files, more than {MAX_FILES}", paths.len());
        return Err(io::Error::other(message));
    }
    Ok(paths)
}

/// What files say.
#[derive(Debug, Default)]
pub struct FileMetrics {
    /// The resources, file by file.
    pub metrics: Vec<FlowMetric>,
    /// What is wrong, and in which file.
    pub problems: Vec<(PathBuf, Problem)>,
}

/// Reads a file, or all files of a folder, once.
///
/// # Errors
/// One of them cannot be read.
pub fn read_metrics(path: &Path) -> io::Result<FileMetrics> {
    let mut all = FileMetrics::default();
    for path in paths(path)? {
        let Contents { metrics, problems } = contents(&path)?;
        all.metrics.extend(metrics);
        all.problems
            .extend(problems.into_iter().map(|problem| (path.clone(), problem)));
    }
    Ok(all)
}

/// Reads a file; of two objects of one name the second is a problem.
fn contents(path: &Path) -> io::Result<Contents> {
    let length = fs::metadata(path)?.len();
    if length > MAX_BYTES {
        return Err(io::Error::other(format!("{length} bytes, more than {MAX_BYTES}")));
    }
    let mut contents = Contents::default();
    let mut names = BTreeSet::new();
    for document in read_yaml(&fs::read_to_string(path)?) {
        match document {
            Ok(metric) if names.insert(ObjectName::of(&metric)) => contents.metrics.push(metric),
            Ok(metric) => contents.problems.push(Problem {
                field: "metadata.name".to_owned(),
                kind: ProblemKind::NameTaken,
                message: format!("{} is there twice", ObjectName::of(&metric)),
                remedy: "give one of them another name".to_owned(),
            }),
            Err(problem) => contents.problems.push(problem),
        }
    }
    Ok(contents)
}

fn tell(path: &Path, object: &ObjectName, outcome: &Outcome) {
    match outcome {
        Ok(applied) => {
            for warning in &applied.warnings {
                tracing::warn!(file = %path.display(), %object, field = warning.field, "{}", warning.message);
            }
            let metric = &applied.prometheus_name;
            let file = path.display();
            match applied.change {
                MetricChange::Added => tracing::info!(%file, %object, metric, "a FlowMetric is counted"),
                MetricChange::Reset => {
                    tracing::info!(%file, %object, metric, "a FlowMetric changed, its series begin anew");
                }
                MetricChange::Kept => {}
            }
        }
        Err(problems) => problems
            .iter()
            .for_each(|problem| warn(path, Some(object), problem)),
    }
}

fn warn(path: &Path, object: Option<&ObjectName>, problem: &Problem) {
    let object = object.map(ToString::to_string);
    let Problem {
        field,
        message,
        remedy,
        ..
    } = problem;
    tracing::warn!(file = %path.display(), object, field, problem = message, remedy, "a FlowMetric is refused; what was good before stays");
}

#[cfg(test)]
mod tests;
