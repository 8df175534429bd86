//! The file that gives names to networks ([`Labels`]): reads it, and reads it again
//! when it changed; and what it and the cluster's FlowCollector say together.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use weir_identity::subnets::{Labels, LabelsError};

/// Time between two looks at the file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The longest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// Labels by who says them. Of one network the file's holds.
#[derive(Debug, Clone)]
pub struct LabelSources(Arc<Sources>);

#[derive(Debug)]
struct Sources {
    said: Mutex<Said>,
    all: watch::Sender<Arc<Labels>>,
}

#[derive(Debug, Default)]
struct Said {
    file: Arc<Labels>,
    flow_collector: Arc<Labels>,
}

impl LabelSources {
    /// None yet, and where to read what all say.
    pub fn new() -> (Self, watch::Receiver<Arc<Labels>>) {
        let (all, labels) = watch::channel(Arc::default());
        let said = Mutex::default();
        (Self(Arc::new(Sources { said, all })), labels)
    }

    /// The file says this.
    pub fn set_file(&self, labels: Arc<Labels>) {
        self.set(|said| said.file = labels);
    }

    /// The FlowCollector says this.
    pub fn set_flow_collector(&self, labels: Arc<Labels>) {
        self.set(|said| said.flow_collector = labels);
    }

    fn set(&self, change: impl FnOnce(&mut Said)) {
        let mut said = self.0.said.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut said);
        let all = match (said.file.is_empty(), said.flow_collector.is_empty()) {
            (_, true) => Arc::clone(&said.file),
            (true, false) => Arc::clone(&said.flow_collector),
            (false, false) => Arc::new(said.file.or(&said.flow_collector)),
        };
        self.0.all.send_replace(all);
    }

    /// Until nobody reads them.
    async fn closed(&self) {
        self.0.all.closed().await;
    }
}

/// Why a file of labels is not used.
#[derive(Debug, Error)]
pub enum LabelFileError {
    /// It cannot be read.
    #[error("cannot read {0}")]
    Read(PathBuf, #[source] io::Error),
    /// It is too long.
    #[error("{0} has {1} bytes, more than 64 MiB")]
    Long(PathBuf, u64),
    /// What it says is wrong.
    #[error(transparent)]
    Labels(#[from] LabelsError),
}

/// Reads the labels out of a file.
fn read(path: &Path) -> Result<Labels, LabelFileError> {
    let failed = |error| LabelFileError::Read(path.to_owned(), error);
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_BYTES {
        return Err(LabelFileError::Long(path.to_owned(), length));
    }
    Ok(Labels::parse(&fs::read_to_string(path).map_err(failed)?, path)?)
}

/// What tells that a file is another one, or has been written: a ConfigMap is
/// changed by turning a symbolic link to another directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileStamp(u64, u64, u64, (i64, i64));

impl FileStamp {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self(
            data.dev(),
            data.ino(),
            data.len(),
            (data.mtime(), data.mtime_nsec()),
        ))
    }
}

/// The file, and how it was when it was read last.
#[derive(Debug)]
pub struct LabelFile {
    path: PathBuf,
    stamp: Option<FileStamp>,
}

impl LabelFile {
    /// Reads the labels for the first time. A file that is wrong or not there yet
    /// labels nothing until it changes: flows without labels are better than none.
    pub fn open(path: PathBuf) -> (Self, Arc<Labels>) {
        let stamp = FileStamp::of(&path);
        let labels = read(&path).unwrap_or_else(|error| {
            warn(&error, "there are no subnet labels");
            Labels::default()
        });
        (Self { path, stamp }, Arc::new(labels))
    }

    /// What the file says now, if it changed.
    fn look(&mut self) -> Option<Result<Labels, LabelFileError>> {
        let stamp = FileStamp::of(&self.path);
        if stamp == self.stamp {
            return None;
        }
        self.stamp = stamp;
        Some(read(&self.path))
    }
}

/// Reads the file again whenever it changes, until the receivers of `labels` are
/// gone. A file with an error changes nothing.
pub async fn follow(mut file: LabelFile, labels: LabelSources) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = labels.closed() => return,
        }
        match file.look() {
            None => {}
            Some(Ok(read)) => {
                tracing::info!(networks = read.len(), "subnet labels were read again");
                labels.set_file(Arc::new(read));
            }
            Some(Err(error)) => warn(&error, "subnet labels stay as they were"),
        }
    }
}

fn warn(error: &LabelFileError, consequence: &str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, "{consequence}");
}

#[cfg(test)]
mod tests;
