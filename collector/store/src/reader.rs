//! What a query sees: the segments and the rows in memory of one moment.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;

use crate::catalog::Unreadable;
use crate::identities::{self, Identities};
use crate::identity_cache::IdentityCache;
use crate::log_readers::{Bounds, LogReader, LogStatus, ReadLogError};
use crate::memory_identities::MemoryIdentities;
use crate::name::Tier;
use crate::range::TimeRange;
use crate::recovery;
use crate::segment::{Segment, SegmentError};
use crate::selection;
use crate::state::{Shared, State};
use crate::status::{Counts, Status};
use crate::view::{View, is_left_out};
use crate::writer::OpenError;

/// Reads a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader(Source);

#[derive(Debug, Clone)]
enum Source {
    /// A store that this process writes.
    Running(Arc<Shared>),
    /// A directory as it was when it was opened.
    Snapshot(Arc<Snapshot>),
}

/// A directory that this process does not write.
#[derive(Debug)]
struct Snapshot {
    directory: PathBuf,
    state: Mutex<State>,
    identities: IdentityCache,
}

/// How often a directory is listed anew because a file of it is gone.
const RETRIES: usize = 8;

/// What became of a segment that a query could not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// It is in no view any more, and named in the status. Its file stays.
    PutAside,
    /// Its file is gone: the process that writes the directory merged or expired it. A
    /// new view has what is there now.
    Gone,
}

impl Reader {
    pub(crate) fn running(shared: Arc<Shared>) -> Self {
        Self(Source::Running(shared))
    }

    /// Reads a directory as it is now, whether a server runs on it or not.
    ///
    /// # Errors
    /// The directory cannot be read, or holds a part of a selection. A file that cannot
    /// be read is no error: it is skipped and named in the status.
    pub fn open_dir(path: &Path) -> Result<Self, OpenError> {
        selection::refuse_partial(path)?;
        let directory = fs::canonicalize(path);
        let snapshot = directory.and_then(|directory| {
            let recovered = recovery::recover(&directory, false)?;
            Ok(Snapshot {
                directory,
                state: Mutex::new(recovered.state),
                identities: IdentityCache::default(),
            })
        });
        let snapshot = snapshot.map_err(|error| OpenError::Read {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self(Source::Snapshot(Arc::new(snapshot))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        match &self.0 {
            Source::Running(shared) => shared.lock(),
            Source::Snapshot(snapshot) => snapshot.state.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn cache(&self) -> &IdentityCache {
        match &self.0 {
            Source::Running(shared) => &shared.identities,
            Source::Snapshot(snapshot) => &snapshot.identities,
        }
    }

    /// What there is of a range. Reads the identities of its rows that are not at
    /// hand; a segment whose identities nobody can read is put aside, and left out of this
    /// view alone where it is the system that refuses at the moment.
    pub fn view(&self, range: TimeRange) -> View {
        let mut retries = RETRIES;
        let mut left_out = Vec::new();
        loop {
            let (mut view, mut naming, memory) = self.look(range);
            view.leave_out(&left_out);
            naming.retain(|segment| !is_left_out(segment, &left_out));
            match self.identities_of(&naming, &memory) {
                Ok(identities) => {
                    view.identities = identities;
                    return view;
                }
                Err((segment, error)) => {
                    if is_gone(&error) && retries > 0 && self.list_anew() {
                        retries -= 1;
                    } else if error.is_passing() {
                        let unreadable = Unreadable::new(segment.path.clone(), &error);
                        left_out.push((segment, unreadable));
                    } else {
                        self.lock().catalog.put_aside(&segment, &error);
                    }
                }
            }
        }
    }

    /// The same for who asks for no name: nobody is in the identities of the view, and no
    /// file is read.
    pub fn view_without_identities(&self, range: TimeRange) -> View {
        self.look(range).0
    }

    /// What there is of a range, and who knows the identities of its rows. Of these
    /// the view has none yet.
    fn look(&self, range: TimeRange) -> (View, Vec<Arc<Segment>>, Vec<Arc<MemoryIdentities>>) {
        let state = self.lock();
        let within = |tier| state.catalog.within(tier, &range);
        let memory = state.in_memory().filter(|(_, time)| time.overlaps(&range));
        let view = View {
            raw: within(Tier::Raw),
            minute: within(Tier::Minute),
            hour: within(Tier::Hour),
            edges: within(Tier::Edges),
            memory: memory
                .map(|(batch, time)| batch.clone().spanning(*time))
                .collect(),
            oldest: oldest(&state),
            unreadable: unreadable(&state),
            identities: Identities::nobody(),
        };
        let naming = state.catalog.naming(&range);
        (view, naming, state.memory_identities(&range))
    }

    /// Everybody whom these segments and heads name. No lock of the state is held
    /// while files are read.
    fn identities_of(
        &self,
        segments: &[Arc<Segment>],
        memory: &[Arc<MemoryIdentities>],
    ) -> Result<Arc<Identities>, (Arc<Segment>, SegmentError)> {
        let cache = self.cache();
        if let Some(given) = cache.given(segments).filter(|_| memory.is_empty()) {
            return Ok(given);
        }
        let mut tables = Vec::with_capacity(segments.len());
        for segment in segments {
            tables.push(
                self.table_of(segment)
                    .map_err(|error| (Arc::clone(segment), error))?,
            );
        }
        tables.extend(memory.iter().flat_map(|memory| memory.tables()));
        let identities = Arc::new(Identities::of_tables(&tables));
        if memory.is_empty() {
            cache.give(segments, &identities);
        }
        Ok(identities)
    }

    /// The identities of a segment. A coarser one that has its rows names the same.
    fn table_of(&self, segment: &Segment) -> Result<RecordBatch, SegmentError> {
        self.cache().table(segment).or_else(|error| {
            let coarser = self.lock().catalog.coarser(segment);
            let mut others = coarser.iter().filter_map(|other| self.cache().table(other).ok());
            others.next().ok_or(error)
        })
    }

    /// The store begins with rows of this time, as far as tiers up to this one have them:
    /// they are among the first that it ever got, and none before them has expired.
    pub fn begins_at(&self, time: i64, tier: Tier) -> bool {
        self.has_first_rows(time, Tier::FLOWS.into_iter().filter(|finer| *finer <= tier))
    }

    /// The same, as far as edges have them, or records that edges can be made of.
    pub fn edges_begin_at(&self, time: i64) -> bool {
        self.has_first_rows(time, [Tier::Raw, Tier::Edges].into_iter())
    }

    fn has_first_rows(&self, time: i64, tiers: impl Iterator<Item = Tier>) -> bool {
        let range = TimeRange::spanning(time, time);
        let state = self.lock();
        let mut segments = tiers.flat_map(|tier| state.catalog.within(tier, &range));
        segments.any(|segment| segment.has_first_rows()) || state.has_first_rows(&range)
    }

    /// The parts of a range of which there are sums of flows, but neither edges nor records
    /// that edges can be made of.
    pub fn without_edges(&self, range: TimeRange) -> Vec<TimeRange> {
        self.lock().catalog.without_edges(&range)
    }

    /// Segments of records of which there are no edges, and will be: the others' are kept
    /// for less time than the records, or for fewer bytes. A directory of another process
    /// has what it has.
    pub fn edges_to_come(&self) -> Vec<Arc<Segment>> {
        let Source::Running(shared) = &self.0 else {
            return Vec::new();
        };
        let (kept, now) = (
            shared.settings.retention[Tier::Edges as usize],
            shared.settings.clock.now(),
        );
        self.lock().lacking(Tier::Raw, Tier::Edges, kept, now)
    }

    /// A query could not read this file to its end: it is the last one that tries.
    pub fn put_aside(&self, file: &Unreadable) -> Broken {
        if !file.path.exists() && self.list_anew() {
            return Broken::Gone;
        }
        self.lock().catalog.put_aside_file(file.clone());
        Broken::PutAside
    }

    /// The namespaces of those whom rows of a range name. Of each segment they are read
    /// once; those of one whose identities cannot be read are left out, as its rows will be.
    pub fn namespaces(&self, range: TimeRange) -> BTreeSet<String> {
        let (naming, memory) = {
            let state = self.lock();
            (state.catalog.naming(&range), state.memory_identities(&range))
        };
        let mut namespaces = BTreeSet::new();
        let mut add = |name: &str| {
            if !namespaces.contains(name) {
                namespaces.insert(name.to_owned());
            }
        };
        for segment in naming {
            let names = segment.namespaces();
            names
                .iter()
                .flat_map(|names| names.iter())
                .for_each(|name| add(name));
        }
        for table in memory.iter().flat_map(|memory| memory.tables()) {
            identities::namespaces(&table).into_iter().for_each(&mut add);
        }
        namespaces
    }

    /// Lists a directory anew that another process writes, which merged or expired
    /// what was there. False: this one writes it, and nothing goes that is read.
    fn list_anew(&self) -> bool {
        let Source::Snapshot(snapshot) = &self.0 else {
            return false;
        };
        let Ok(recovered) = recovery::recover(&snapshot.directory, false) else {
            return false;
        };
        let mut state = self.lock();
        let before = std::mem::replace(&mut *state, recovered.state);
        // What a query found broken is as broken as it was.
        for file in before.catalog.unreadable {
            state.catalog.put_aside_file(file);
        }
        true
    }

    /// Another process may merge or expire the files of a view while it is used; who needs
    /// them opens them at once.
    pub fn is_of_another_process(&self) -> bool {
        matches!(self.0, Source::Snapshot(_))
    }

    /// How the store is.
    pub fn status(&self) -> Status {
        let disk = match &self.0 {
            Source::Running(shared) => shared.settings.disk.space(&shared.settings.directory).ok(),
            Source::Snapshot(_) => None,
        };
        let state = self.lock();
        let stored = match &self.0 {
            Source::Running(shared) => shared.stored.load(Ordering::Relaxed),
            Source::Snapshot(_) => 0,
        };
        Status {
            disk,
            unreadable: unreadable(&state),
            memory_rows: state.in_memory().map(|(batch, _)| batch.num_rows() as u64).sum(),
            memory_bytes: state.memory.load(Ordering::Relaxed) as u64,
            unlogged_rows: state.unlogged_rows() + stored.saturating_sub(state.pushed),
            identities: state.ids.len(),
            counts: Counts {
                stored,
                ..state.counts
            },
            troubles: state.troubles.clone(),
            ..Status::of(&state.catalog)
        }
    }

    /// Every frame of the log from now on, out of memory. What waits beyond the bounds is
    /// given up and counted. There are none of a directory that was only read.
    pub fn follow_log(&self, name: &str, bounds: Bounds) -> LogReader {
        let state = self.lock();
        state.readers.join(name, bounds, state.end())
    }

    /// Every frame of the log from where the reader of that name is, however the process
    /// ended in which it got there; one that is new begins now.
    ///
    /// # Errors
    /// The name cannot be a file's, somebody reads under it, this process does not write the
    /// store (any more), or the cursor cannot be written.
    pub fn read_log(&self, name: &str, bounds: Bounds) -> Result<LogReader, ReadLogError> {
        let Source::Running(shared) = &self.0 else {
            return Err(ReadLogError::NotWritten);
        };
        let lock = shared.lock.upgrade().ok_or(ReadLogError::NotWritten)?;
        // Nothing comes between the look at the end and being there.
        let state = shared.lock();
        let joined = shared.readers.attach(name, bounds, state.end())?;
        drop(state);
        let settings = &shared.settings;
        joined.begin(&settings.directory, &shared.store, lock)
    }

    /// The name of the store, which no other has; empty of a directory that was only read.
    pub fn store_name(&self) -> &str {
        match &self.0 {
            Source::Running(shared) => &shared.store,
            Source::Snapshot(_) => "",
        }
    }

    /// Forgets the cursor of that name, from which nobody reads. False: there is none.
    ///
    /// # Errors
    /// Its file cannot be removed.
    pub fn forget_log_reader(&self, name: &str) -> io::Result<bool> {
        match &self.0 {
            // A directory that this process has let go of is another's.
            Source::Running(shared) if shared.lock.strong_count() > 0 => {
                shared.readers.forget(name, &shared.settings.directory)
            }
            Source::Running(_) | Source::Snapshot(_) => Ok(false),
        }
    }

    /// Who reads the log, and how far each is.
    pub fn log_status(&self) -> LogStatus {
        LogStatus(Arc::clone(&self.lock().readers))
    }
}

/// The file was there and is no more.
fn is_gone(error: &SegmentError) -> bool {
    matches!(error, SegmentError::Read(error) if error.kind() == io::ErrorKind::NotFound)
}

fn oldest(state: &State) -> [Option<i64>; Tier::ALL.len()] {
    Tier::ALL.map(|tier| {
        let segments = state.catalog.tier(tier).map(|s| s.time.from);
        let memory = state.in_memory().map(|(_, time)| time.from);
        match tier {
            Tier::Raw => segments.chain(memory).min(),
            Tier::Minute | Tier::Hour | Tier::Edges => segments.min(),
        }
    })
}

fn unreadable(state: &State) -> Vec<Unreadable> {
    let logs = state.foreign_logs.iter().map(|(path, reason)| Unreadable {
        path: path.clone(),
        kind: "foreign",
        reason: reason.clone(),
    });
    state.catalog.unreadable.iter().cloned().chain(logs).collect()
}
