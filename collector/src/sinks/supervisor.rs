//! Which sinks run: as the file says.

use std::collections::BTreeMap;
use std::fs;
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
        ending: Vec::new(),
        gone: BTreeMap::new(),
        wrong: None,
    };
    let mut files = WatchedFiles::new(path.clone(), "sinks", MAX_BYTES);
    let mut look = Look::All;
    while !sinks.is_over() {
        let unreadable = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Some("it is a folder; name a file".to_owned()),
            Ok(_) => None,
            Err(error) => Some(format!("it cannot be read: {error}")),
        };
        if unreadable.is_none() {
            supervisor.look(&mut files, look);
        }
        sinks.set_wrong(unreadable.or_else(|| supervisor.wrong.clone()));
        supervisor.tend();
        look = Look::Settled;
        let next = Instant::now() + LOOK_INTERVAL;
        while !sinks.is_over() && Instant::now() < next {
            thread::sleep(NAP);
        }
    }
    let workers: Vec<Worker> = supervisor
        .ending
        .into_iter()
        .chain(supervisor.workers.into_values())
        .collect();
    // All at once: each may take its time.
    workers.iter().for_each(Worker::stop);
    workers.into_iter().for_each(Worker::join);
}

struct Supervisor<'a> {
    sinks: &'a Sinks,
    reader: Reader,
    workers: BTreeMap<String, Worker>,
    /// Those that were told to end, which takes seconds. Who has the name of one begins behind it.
    ending: Vec<Worker>,
    /// Cursors that nobody reads from, and since when.
    gone: BTreeMap<String, Instant>,
    /// What was wrong with the file when it was read last.
    wrong: Option<String>,
}

struct Worker {
    spec: SinkSpec,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn new(spec: SinkSpec, counters: Arc<Counters>) -> Self {
        Self {
            spec,
            counters,
            stop: Arc::default(),
            thread: None,
        }
    }

    fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Tells it to send what it has taken, for seconds at most, and to end.
    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for that.
    fn join(mut self) {
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
                    self.wrong = None;
                    self.apply(specs);
                    tracing::info!(file = %path.display(), sinks = self.workers.len(), "sinks are as the file says");
                }
                Err(error) => {
                    let error = error.to_string();
                    tracing::error!(file = %path.display(), error, "the file of sinks is wrong; they stay as they were");
                    self.wrong = Some(error);
                }
            }
        }
    }

    /// Does what does not come of the file.
    fn tend(&mut self) {
        let ended = self.ending.extract_if(.., |worker| worker.is_finished());
        ended.for_each(Worker::join);
        self.revive();
        self.forget_cursors();
    }

    /// Ends those that are gone or changed, has those begin that are new or changed.
    fn apply(&mut self, specs: Vec<SinkSpec>) {
        let mut before = std::mem::take(&mut self.workers);
        for spec in specs {
            let name = spec.name.clone();
            self.gone.remove(&name);
            let worker = match before.remove(&name) {
                Some(worker) if worker.spec == spec => worker,
                Some(worker) => {
                    let counters = Arc::clone(&worker.counters);
                    worker.stop();
                    self.ending.push(worker);
                    Worker::new(spec, counters)
                }
                None => Worker::new(spec, Arc::default()),
            };
            self.workers.insert(name, worker);
        }
        before.values().for_each(Worker::stop);
        self.ending.extend(before.into_values());
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
            let has_predecessor = self.ending.iter().any(|ending| ending.spec.name == *name);
            if !worker.is_finished() || has_predecessor {
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
        let _named = tracing::info_span!("sink", name = spec.name).entered();
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "a sink runs with the priority of who receives");
        }
        let mut target: Box<dyn Target> = match spec.target {
            TargetSpec::File(file) => Box::new(FileTarget::new(file, spec.name.as_str(), store)),
            TargetSpec::Ipfix(to) => Box::new(IpfixTarget::new(to)),
        };
        let seed = spec.name.bytes().fold(0, |seed: u64, octet| {
            seed.wrapping_mul(31).wrapping_add(octet.into())
        });
        let mut source = LogSource::new(log, selection, Arc::clone(&counters));
        weir_sinks::run(&mut source, target.as_mut(), counters, seed, &stop);
    };
    let thread = thread::Builder::new().name(format!("sink-{}", worker.spec.name));
    thread.spawn(work).map_err(|error| error.to_string())
}
