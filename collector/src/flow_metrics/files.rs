//! Definitions of metrics out of a file, or the files of a folder ([`WatchedFiles`]).
//!
//! What is wrong in a file is logged with the file, the field and the remedy, and what was
//! good before goes on. A file of a folder that is gone takes its metrics with it; a file that
//! was named itself does not.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use weir_flowmetrics::{FlowMetric, MetricChange, ObjectName, Problem, ProblemKind, read_yaml};

use super::{DefinedBy, FlowMetrics, Outcome};
use crate::watched_files::{self, FileChange, LOOK_INTERVAL, Look, WatchedFiles};

/// The longest file that is read.
const MAX_BYTES: u64 = 4 << 20;

/// A file or folder of definitions.
#[derive(Debug)]
pub struct DefinitionFiles {
    files: WatchedFiles,
    /// By file: the objects that are in it, or were when all of it could be read.
    objects: BTreeMap<PathBuf, BTreeSet<ObjectName>>,
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
            files: WatchedFiles::new(path, "FlowMetrics", MAX_BYTES),
            objects: BTreeMap::new(),
        };
        files.look(flow_metrics, Look::All);
        files
    }

    /// Reads what has changed, again and again, for ever.
    pub async fn follow(mut self, flow_metrics: FlowMetrics) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let metrics = flow_metrics.clone();
            let looked = tokio::task::spawn_blocking(move || {
                self.look(&metrics, Look::Settled);
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

    fn look(&mut self, flow_metrics: &FlowMetrics, look: Look) {
        for change in self.files.changes(look) {
            match change {
                FileChange::Changed(path) => self.read(&path, flow_metrics),
                FileChange::Gone(path) => {
                    self.objects.remove(&path);
                    flow_metrics.define(&DefinedBy::File(path), [], Some(&BTreeSet::new()));
                }
            }
        }
    }

    fn read(&mut self, path: &Path, flow_metrics: &FlowMetrics) {
        let Some(text) = self.files.read(path) else {
            return;
        };
        let Contents { metrics, problems } = contents(&text);
        for problem in &problems {
            warn(path, None, problem);
        }
        let mut present: BTreeSet<_> = metrics.iter().map(ObjectName::of).collect();
        let known = self.objects.entry(path.to_owned()).or_default();
        if !problems.is_empty() {
            // Nobody knows which objects those are that cannot be read.
            present.append(known);
        }
        let by = DefinedBy::File(path.to_owned());
        for (object, outcome) in flow_metrics.define(&by, metrics, Some(&present)) {
            tell(path, &object, &outcome);
        }
        *known = present;
    }
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
    for path in watched_files::paths(path)? {
        let Contents { metrics, problems } = contents(&watched_files::text_of(&path, MAX_BYTES)?);
        all.metrics.extend(metrics);
        all.problems
            .extend(problems.into_iter().map(|problem| (path.clone(), problem)));
    }
    Ok(all)
}

/// What a text says; of two objects of one name the second is a problem.
fn contents(text: &str) -> Contents {
    let mut contents = Contents::default();
    let mut names = BTreeSet::new();
    for document in read_yaml(text) {
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
    contents
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
