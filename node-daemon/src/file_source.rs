//! The spec from files: a `Network` and perhaps an `ExportProfile`, read again
//! whenever they change. A version that cannot be used leaves the last good one
//! in force and says so.
//!
//! One thread polls the files, since they may lie where the kernel reports no
//! changes; it ends when nobody listens any more.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use weir_api::document::{DocumentError, parse_network, parse_profile};
use weir_api::plan::{NodeFacts, Problem, Targets, no_services, plan};
use weir_api::{ExportNetworkFlows, ExportProfile, NodeFlowExportSpec, identity};

use crate::desired::{Acceptance, Desired};
use crate::metrics::Metrics;
use stamp::FileStamp;

mod stamp;

/// How often the files are looked at.
pub const POLL: Duration = Duration::from_millis(200);

/// A file counts when two readings this far apart agree: then nobody is in the
/// middle of writing it.
const STEADY: Duration = Duration::from_millis(10);

/// Which files, and what they are for.
#[derive(Debug, Clone)]
pub struct FileConfig {
    /// Name of the node.
    pub node_name: String,
    /// The node's own address, for `:port` collectors and as sFlow's agent.
    pub node_ip: Option<IpAddr>,
    /// The `Network`.
    pub network: PathBuf,
    /// The `ExportProfile`.
    pub profile: Option<PathBuf>,
    /// Bridges; when there are any, those of the profile do not count.
    pub bridges: Vec<String>,
}

/// Why a file cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no such document; the reason names the place.
    #[error("{}: {error}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Why.
        error: DocumentError,
    },
    /// The thread that polls cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl FileError {
    /// The file at fault.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. } | Self::Invalid { path, .. } => Some(path),
            Self::Thread(_) => None,
        }
    }
}

/// Reads the files and starts to follow them.
///
/// # Errors
/// At the start all files must be there and valid.
pub fn spawn(
    config: FileConfig,
    metrics: Arc<Metrics>,
) -> Result<watch::Receiver<Option<Desired>>, FileError> {
    let (mut follower, first) = Follower::start(config, metrics)?;
    let (sender, receiver) = watch::channel(Some(first));
    let poll = move || {
        while !sender.is_closed() {
            thread::sleep(POLL);
            if let Some(desired) = follower.poll() {
                sender.send_replace(Some(desired));
            }
        }
    };
    thread::Builder::new()
        .name("files".to_owned())
        .spawn(poll)
        .map_err(FileError::Thread)?;
    Ok(receiver)
}

/// Reads the files once.
///
/// # Errors
/// A file is missing or invalid.
pub fn read(config: &FileConfig) -> Result<Desired, FileError> {
    Ok(Follower::start(config.clone(), Arc::default())?.1)
}

#[derive(Debug)]
struct Follower {
    config: FileConfig,
    metrics: Arc<Metrics>,
    files: Vec<File>,
    desired: Desired,
}

/// A file and what was seen of it last.
#[derive(Debug)]
struct File {
    path: PathBuf,
    stamp: Option<FileStamp>,
    text: Result<String, String>,
}

impl Follower {
    fn start(config: FileConfig, metrics: Arc<Metrics>) -> Result<(Self, Desired), FileError> {
        let paths = [Some(config.network.clone()), config.profile.clone()];
        let files = paths.into_iter().flatten().map(File::open);
        let files = files.collect::<Result<_, _>>()?;
        let desired = Desired::default();
        let mut follower = Self {
            config,
            metrics,
            files,
            desired,
        };
        let desired = follower.interpret_files()?;
        Ok((follower, desired))
    }

    /// What is wanted, if that is not the same as before.
    fn poll(&mut self) -> Option<Desired> {
        let mut changed = false;
        for file in &mut self.files {
            changed |= file.poll();
        }
        if !changed {
            return None;
        }
        let before = self.desired.clone();
        match self.interpret_files() {
            Ok(desired) => (desired != before).then_some(desired),
            Err(error) => Some(self.refuse(&error)),
        }
    }

    fn interpret_files(&mut self) -> Result<Desired, FileError> {
        let mut texts = Vec::new();
        for file in &self.files {
            let text = file.text.as_deref();
            texts.push(text.map_err(|e| unreadable(&file.path, io::Error::other(e.clone())))?);
        }
        let profile = texts.get(1).copied();
        let (spec, acceptance) =
            interpret(&self.config, texts.first().copied().unwrap_or_default(), profile)?;
        match &acceptance {
            Acceptance::Accepted => tracing::info!(file = %self.config.network.display(), "read"),
            Acceptance::SomeRefused(problems)
            | Acceptance::Unreadable(problems)
            | Acceptance::ProfileUnreadable(problems) => {
                tracing::warn!(file = %self.config.network.display(), %problems, "read; some entries are skipped");
            }
        }
        let same = self.desired.spec == spec && self.desired.generation.is_some();
        let generation = self.desired.generation.unwrap_or(0) + i64::from(!same);
        self.desired = Desired {
            spec,
            generation: Some(generation),
            acceptance: Some(acceptance),
            ..Desired::default()
        };
        Ok(self.desired.clone())
    }

    fn refuse(&mut self, error: &FileError) -> Desired {
        tracing::error!(%error, "the last good version stays in force");
        self.metrics.file_errors.inc();
        let message = format!("{error}; the last good version stays in force");
        let of_profile = error
            .path()
            .is_some_and(|path| Some(path) == self.config.profile.as_deref());
        self.desired.acceptance = Some(match of_profile {
            true => Acceptance::ProfileUnreadable(message),
            false => Acceptance::Unreadable(message),
        });
        self.desired.clone()
    }
}

impl File {
    fn open(path: PathBuf) -> Result<Self, FileError> {
        let stamp = FileStamp::of(&path).ok();
        let text = read_steady(&path).map_err(|error| unreadable(&path, error))?;
        Ok(Self {
            path,
            stamp,
            text: Ok(text),
        })
    }

    /// Whether there is something new. Editors replace files, so a file that is
    /// missing once may only be between two versions: it must be missing twice.
    fn poll(&mut self) -> bool {
        let stamp = FileStamp::of(&self.path).ok();
        let same = stamp == self.stamp;
        let nothing_new = match &stamp {
            Some(stamp) => same && stamp.is_settled(),
            None => !same || self.text.is_err(),
        };
        self.stamp = stamp;
        if nothing_new {
            return false;
        }
        let text = read_steady(&self.path).map_err(|e| e.to_string());
        let changed = text != self.text;
        self.text = text;
        changed
    }
}

/// Reads until two readings agree; gives up waiting after a while, when the
/// parser shall judge.
fn read_steady(path: &Path) -> io::Result<String> {
    let mut text = std::fs::read_to_string(path)?;
    for _ in 0..10 {
        thread::sleep(STEADY);
        let again = std::fs::read_to_string(path)?;
        if again == text {
            break;
        }
        text = again;
    }
    Ok(text)
}

fn unreadable(path: &Path, error: io::Error) -> FileError {
    FileError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

/// What files ask of this node. Pure.
fn interpret(
    config: &FileConfig,
    network: &str,
    profile: Option<&str>,
) -> Result<(NodeFlowExportSpec, Acceptance), FileError> {
    let invalid = |path: &Path, error| FileError::Invalid {
        path: path.to_owned(),
        error,
    };
    let flows = parse_network(network).map_err(|e| invalid(&config.network, e))?;
    let profile = match (profile, &config.profile) {
        (Some(text), Some(path)) => Some(parse_profile(text).map_err(|e| invalid(path, e))?),
        _ => None,
    };
    let (spec, problems) = plan_node(config, flows.as_ref(), profile);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let acceptance = if problems.is_empty() {
        Acceptance::Accepted
    } else {
        Acceptance::SomeRefused(format!("{}: {}", config.network.display(), problems.join("; ")))
    };
    Ok((spec, acceptance))
}

fn plan_node(
    config: &FileConfig,
    flows: Option<&ExportNetworkFlows>,
    profile: Option<ExportProfile>,
) -> (NodeFlowExportSpec, Vec<Problem>) {
    let (targets, mut problems) = Targets::resolve(flows, None, &no_services);
    let mut profile = profile;
    if !config.bridges.is_empty() {
        let standard = || ExportProfile::new("command-line", Default::default());
        profile.get_or_insert_with(standard).spec.bridges = Some(config.bridges.clone());
    }
    let facts = NodeFacts {
        name: config.node_name.clone(),
        address: config.node_ip,
    };
    let exporter_id = |bridge: &str| identity::from_names(&config.node_name, bridge);
    let (spec, more) = plan(&targets, profile.as_ref(), &facts, &exporter_id);
    problems.extend(more);
    (spec, problems)
}

#[cfg(test)]
mod tests;
