//! Which sinks run: as the file says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use weir_query::FrameSelection;
use weir_sinks::file::FileTarget;
use weir_sinks::ipfix::IpfixTarget;
use weir_sinks::{Counters, Target};
use weir_store::Reader;

use super::config::{self, SinkSpec, TargetSpec};
use super::source::LogSource;
use super::{CURSOR, Running, Sinks};
use crate::watched_files::{FileChange, LOOK_INTERVAL, Look, WatchedFiles};

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 20;
/// How long the cursor of a sink that is gone is kept.
const CURSOR_KEPT: Duration = Duration::from_secs(24 * 3600);
/// So often it is looked whether all is over.
const NAP: Duration = Duration::from_millis(100);
/// The nice value (nice(1)) of threads that send: receiving goes before.
const NICE: i32 = 10;

/// Runs what the file says until the store is closed, and then until all have sent what
/// waits, for seconds at most.
pub fn run(sinks: &Sinks, path: PathBuf, reader: Reader) {
    let mut supervisor = Supervisor {
        sinks,
        reader,
        workers: BTreeMap::new(),
        gone: BTreeMap::new(),
    };
    let mut files = WatchedFiles::new(path, "sinks", MAX_BYTES);
    let mut look = Look::All;
    while !sinks.is_over() {
        supervisor.look(&mut files, look);
        look = Look::Settled;
        let next = Instant::now() + LOOK_INTERVAL;
        while !sinks.is_over() && Instant::now() < next {
            thread::sleep(NAP);
        }
    }
    supervisor.workers.into_values().for_each(Worker::join);
}

struct Supervisor<'a> {
    sinks: &'a Sinks,
    reader: Reader,
    workers: BTreeMap<String, Worker>,
    /// Cursors that nobody reads from, and since when.
    gone: BTreeMap<String, Instant>,
}

struct Worker {
    spec: SinkSpec,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Sends what it has taken, for seconds at most, and ends.
    fn join(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!(sink = self.spec.name, "a sink panicked");
        }
    }
}

impl Supervisor<'_> {
    fn look(&mut self, files: &mut WatchedFiles, look: Look) {
        for change in files.changes(look) {
            let FileChange::Changed(path) = change else {
                continue;
            };
            let Some(text) = files.read(&path) else { continue };
            match config::parse(&text) {
                Ok(specs) => {
                    self.sinks.set_wrong(None);
                    self.apply(specs);
                    tracing::info!(file = %path.display(), sinks = self.workers.len(), "sinks are as the file says");
                }
                Err(error) => {
                    let error = error.to_string();
                    tracing::error!(file = %path.display(), error, "the file of sinks is wrong; they stay as they were");
                    self.sinks.set_wrong(Some(error));
                }
            }
        }
        self.revive();
        self.forget_cursors();
    }

    /// Ends those that are gone or changed, starts those that are new or changed.
    fn apply(&mut self, specs: Vec<SinkSpec>) {
        let wanted: BTreeMap<String, SinkSpec> =
            specs.into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        let (stay, end) = std::mem::take(&mut self.workers)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(name, worker)| wanted.get(name) == Some(&worker.spec));
        self.workers = stay;
        // All at once: each may take its time.
        end.values()
            .for_each(|worker| worker.stop.store(true, Ordering::Relaxed));
        let mut counters: BTreeMap<String, Arc<Counters>> = BTreeMap::new();
        for (name, worker) in end {
            counters.insert(name, Arc::clone(&worker.counters));
            worker.join();
        }
        for (name, spec) in wanted {
            self.gone.remove(&name);
            let counters = counters.remove(&name).unwrap_or_default();
            self.workers.entry(name).or_insert_with(|| Worker {
                spec,
                counters,
                stop: Arc::default(),
                thread: None,
            });
        }
        let running = self.workers.values().map(|worker| Running {
            name: worker.spec.name.clone(),
            to: worker.spec.target.describe(),
            counters: Arc::clone(&worker.counters),
        });
        self.sinks.set_running(running.collect());
    }

    /// Starts those that do not run: new ones, and those that ended by a fault.
    fn revive(&mut self) {
        for (name, worker) in &mut self.workers {
            if !worker.is_finished() {
                continue;
            }
            if let Some(Err(_)) = worker.thread.take().map(JoinHandle::join) {
                tracing::error!(sink = name, "a sink panicked and is started anew");
            }
            match start(worker, &self.reader) {
                Ok(thread) => worker.thread = Some(thread),
                Err(error) => {
                    tracing::error!(sink = name, error, "a sink cannot be started; it is tried again")
                }
            }
        }
    }

    /// Forgets the cursors of sinks that have been gone for a day.
    fn forget_cursors(&mut self) {
        let now = Instant::now();
        let readers = self.reader.log_status().readers();
        let names = readers
            .iter()
            .filter_map(|reader| reader.name.strip_prefix(CURSOR));
        for name in names.filter(|name| !self.workers.contains_key(*name)) {
            let since = *self.gone.entry(name.to_owned()).or_insert(now);
            if now.duration_since(since) < CURSOR_KEPT {
                continue;
            }
            match self.reader.forget_log_reader(&format!("{CURSOR}{name}")) {
                Ok(_) => tracing::info!(sink = name, "the cursor of a sink that is gone is forgotten"),
                Err(error) => tracing::warn!(sink = name, %error, "the cursor of a sink cannot be removed"),
            }
            self.gone.remove(name);
        }
    }
}

fn start(worker: &Worker, reader: &Reader) -> Result<JoinHandle<()>, String> {
    let spec = worker.spec.clone();
    let selection = FrameSelection::new(&spec.filter, spec.all_observations, &spec.columns)
        .map_err(|error| error.to_string())?;
    let log = reader
        .read_log(&format!("{CURSOR}{}", spec.name), spec.bounds)
        .map_err(|error| error.to_string())?;
    let store = reader.store_name().to_owned();
    let (counters, stop) = (Arc::clone(&worker.counters), Arc::clone(&worker.stop));
    let work = move || {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "a sink runs with the priority of who receives");
        }
        let mut target: Box<dyn Target> = match spec.target {
            TargetSpec::File(file) => Box::new(FileTarget::new(file, store)),
            TargetSpec::Ipfix(to) => Box::new(IpfixTarget::new(to)),
        };
        let seed = spec.name.bytes().fold(0, |seed: u64, octet| {
            seed.wrapping_mul(31).wrapping_add(octet.into())
        });
        weir_sinks::run(
            &mut LogSource::new(log, selection),
            target.as_mut(),
            counters,
            seed,
            &stop,
        );
    };
    let thread = thread::Builder::new().name(format!("sink-{}", worker.spec.name));
    thread.spawn(work).map_err(|error| error.to_string())
}
