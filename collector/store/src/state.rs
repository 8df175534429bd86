//! The store's state that its threads share: the rows in memory, where they are
//! on their way to disk, the segments. Every change is under one lock and does
//! no I/O.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::appender::Gatherings;
use crate::batch::Batch;
use crate::catalog::Catalog;
use crate::expiry;
use crate::gathering::Named;
use crate::identities::Content;
use crate::identity_cache::IdentityCache;
use crate::identity_ids::IdentityIds;
use crate::lock::Lock;
use crate::log_frame::{Cursor, LogFrame};
use crate::log_readers::LogReaders;
use crate::memory_identities::{MemoryIdentities, NamedIdentities};
use crate::memtable::{self, FullMemtable, Memtable};
use crate::name::Tier;
use crate::range::TimeRange;
use crate::segment::Segment;
use crate::settings::{Retention, Settings};
use crate::status::{Counts, Refusal, Trouble};
use crate::wal::Frame;

/// Heads that wait to be sealed; beyond, rows gather in the open one.
const WAITING: usize = 2;

/// What all threads of an open store hold.
#[derive(Debug)]
pub(crate) struct Shared {
    pub settings: Settings,
    /// Which store it is.
    pub store: String,
    /// Tables of identities that were read.
    pub identities: IdentityCache,
    /// Who reads the log.
    pub readers: Arc<LogReaders>,
    /// The directory's, as long as somebody writes there: the writer, and readers of the log
    /// with a cursor, who have theirs to write when all else is done.
    pub lock: Weak<Lock>,
    /// Rows that are in no batch yet.
    pub gatherings: Gatherings,
    /// Bytes of rows in batches that are in no segment.
    pub memory: Arc<AtomicUsize>,
    /// No more records are taken in.
    pub is_closing: AtomicBool,
    /// Records that were taken in.
    pub stored: AtomicU64,
    state: Mutex<State>,
    /// There is something to log.
    pub log: Condvar,
    /// There is something to seal, or sealing got on.
    pub seal: Condvar,
    /// There is something to sync.
    pub sync: Condvar,
    /// There is something to keep house about.
    pub keep: Condvar,
}

impl Shared {
    pub fn new(settings: Settings, store: String, state: State, lock: Weak<Lock>) -> Self {
        Self {
            settings,
            store,
            identities: IdentityCache::default(),
            readers: Arc::clone(&state.readers),
            lock,
            gatherings: Gatherings::default(),
            memory: Arc::clone(&state.memory),
            is_closing: AtomicBool::new(false),
            stored: AtomicU64::new(0),
            state: Mutex::new(state),
            log: Condvar::new(),
            seal: Condvar::new(),
            sync: Condvar::new(),
            keep: Condvar::new(),
        }
    }

    /// The state. A thread that panicked left it whole: each change is one call
    /// that does no I/O.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a call, and that long at most.
    pub fn wait<'a>(
        &self,
        condition: &Condvar,
        state: MutexGuard<'a, State>,
        within: Duration,
    ) -> MutexGuard<'a, State> {
        let waited = condition.wait_timeout(state, within);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Everybody looks again.
    pub fn call_all(&self) {
        for condition in [&self.log, &self.seal, &self.sync, &self.keep] {
            condition.notify_all();
        }
    }
}

/// How far the store is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It runs.
    Running,
    /// It seals what it has, then ends.
    Sealing,
    /// It ends as soon as all is in the log.
    Ending,
}

#[derive(Debug)]
pub(crate) struct State {
    pub stage: Stage,
    /// Rows are on their way to the disk. Otherwise those alone see them who read the log.
    pub keeps_rows: bool,
    pub ids: IdentityIds,
    pub open: Memtable,
    /// Full heads, the oldest first; each stays until its segment is readable.
    pub full: VecDeque<Arc<FullMemtable>>,
    /// Rows that are not in the log yet.
    pub unlogged: VecDeque<Frame>,
    /// Rows that are being written to the log.
    pub logging: u64,
    pub catalog: Catalog,
    /// The last head whose segment is durable: its log may go.
    pub sealed: u64,
    /// The last head whose sums were tried with its segment.
    pub rolled: u64,
    /// The last head of each tier that expired.
    pub expired: [u64; Tier::ALL.len()],
    /// For how long the clock has been steady, as far as that was looked at.
    pub steady_for: Duration,
    /// The last head whose log is gone for certain: its segment may be changed.
    pub forgotten: u64,
    /// What expired for want of room and may still be read.
    pub leaving: Vec<Weak<Segment>>,
    /// Bytes of rows in `open` and `full`.
    pub memory: Arc<AtomicUsize>,
    /// Of the records that were taken in, those that are in a batch.
    pub pushed: u64,
    /// At the end the log could not be synced: what is in it may be lost.
    pub log_sync_failed: bool,
    /// Who reads the log.
    pub readers: Arc<LogReaders>,
    pub counts: Counts,
    pub troubles: Vec<Trouble>,
    /// The latest `time` of a row.
    pub newest: Option<i64>,
    /// Logs of other stores or versions.
    pub foreign_logs: Vec<(PathBuf, String)>,
}

impl State {
    pub fn new(ids: IdentityIds, catalog: Catalog, number: u64) -> Self {
        Self {
            stage: Stage::Running,
            keeps_rows: true,
            ids,
            open: Memtable::new(number),
            full: VecDeque::new(),
            unlogged: VecDeque::new(),
            logging: 0,
            catalog,
            sealed: 0,
            rolled: 0,
            expired: [0; Tier::ALL.len()],
            steady_for: Duration::ZERO,
            forgotten: 0,
            leaving: Vec::new(),
            log_sync_failed: false,
            memory: Arc::default(),
            pushed: 0,
            readers: Arc::default(),
            counts: Counts::default(),
            troubles: Vec::new(),
            newest: None,
            foreign_logs: Vec::new(),
        }
    }

    /// So many records are not taken in.
    pub fn refuse(&mut self, records: usize) -> Refusal {
        let reason = self.why_behind();
        *self.counts.refused(reason) += records as u64;
        reason
    }

    /// What keeps rows in memory.
    pub fn why_behind(&self) -> Refusal {
        match self.troubles.iter().find(|t| t.holds_rows()) {
            Some(trouble) if trouble.full_disk => Refusal::DiskFull,
            Some(_) => Refusal::DiskFailed,
            None => Refusal::Behind,
        }
    }

    /// Takes a batch: from now on its rows can be seen, and wait for the disk. Returns the
    /// number of the memtable that has it.
    pub fn push(&mut self, batch: Batch, time: TimeRange, named: &Named<'_>, settings: &Settings) -> u64 {
        let head = &mut self.open;
        let number = head.number;
        // Of the memtable that its predecessor went to, it tells who is new there.
        let others = if named.memtable == number {
            &[]
        } else {
            named.again
        };
        let ids = &mut self.ids;
        let names = named.new.iter().chain(others);
        let fresh: Vec<_> = names
            .filter_map(|(id, identity)| Some((*id, ids.name(*id, || Content::of(identity), number)?)))
            .collect();
        let named = (!fresh.is_empty()).then(|| Arc::new(NamedIdentities::new(fresh)));
        if let Some(named) = &named {
            head.identities.push(Arc::clone(named));
        }
        head.opened.get_or_insert_with(Instant::now);
        let bytes = batch.memory_size();
        head.count += batch.num_rows();
        head.bytes += bytes;
        self.pushed += batch.num_rows() as u64;
        self.newest = self.newest.max(Some(time.until.saturating_sub(1)));
        let cursor = Cursor {
            head: number,
            frame: head.frames,
        };
        head.frames += 1;
        if self.readers.is_read() {
            let frame = LogFrame::new(cursor, batch.clone(), Arc::clone(&head.identities));
            self.readers.push(frame);
        }
        if !self.keeps_rows {
            if self.open.is_full(settings) {
                self.open = Memtable::new(number + 1);
            }
            return number;
        }
        self.memory.fetch_add(bytes, Ordering::Relaxed);
        self.unlogged.push_back(Frame {
            cursor,
            named,
            batch: batch.clone(),
        });
        head.batches.push((batch, time));
        if self.open.is_full(settings) && self.full.len() < WAITING {
            self.fill();
        }
        number
    }

    /// Closes a memtable that waited long enough, or has rows enough.
    pub fn fill_aged(&mut self, settings: &Settings) {
        let is_due = |opened: Instant| opened.elapsed() >= settings.seal_age;
        let aged = self.open.opened.is_some_and(is_due);
        if (aged || self.open.is_full(settings)) && self.full.len() < WAITING {
            self.fill();
        }
    }

    /// The open head takes no more rows; the next one is opened.
    pub fn fill(&mut self) {
        if self.open.count == 0 {
            return;
        }
        let next = Memtable::new(self.open.number + 1);
        let head = std::mem::replace(&mut self.open, next);
        self.full.push_back(Arc::new(FullMemtable {
            number: head.number,
            batches: head.batches,
            bytes: head.bytes,
            identities: head.identities,
        }));
    }

    /// Forgets identities where too many are known.
    pub fn trim(&mut self) {
        let oldest = self.full.front().map_or(self.open.number, |head| head.number);
        self.ids.trim(oldest);
    }

    /// The rows of the oldest full head are in this segment from now on.
    pub fn sealed(&mut self, head: &FullMemtable, segment: Segment) {
        self.full.retain(|other| other.number != head.number);
        if !self.readers.has_cursors() {
            self.unlogged.retain(|frame| frame.cursor.head != head.number);
        }
        self.memory.fetch_sub(head.bytes, Ordering::Relaxed);
        self.sealed = self.sealed.max(head.number);
        self.catalog.add(segment);
        self.readers.sealed(self.sealed);
    }

    /// Where the next frame will stand.
    pub fn end(&self) -> Cursor {
        Cursor {
            head: self.open.number,
            frame: self.open.frames,
        }
    }

    /// Whom the rows name that are in no segment and have something of the range.
    pub fn memory_identities(&self, range: &TimeRange) -> Vec<Arc<MemoryIdentities>> {
        let within = |batches: &[(Batch, TimeRange)]| batches.iter().any(|(_, time)| time.overlaps(range));
        let full = self.full.iter().map(|head| (&head.batches[..], &head.identities));
        let heads = full.chain([(&self.open.batches[..], &self.open.identities)]);
        let heads = heads.filter(|(batches, _)| within(batches));
        heads.map(|(_, identities)| Arc::clone(identities)).collect()
    }

    /// Rows of the range are in no segment yet that are of the store's first memtable.
    pub fn has_first_rows(&self, range: &TimeRange) -> bool {
        let full = self.full.iter().map(|full| (full.number, &full.batches));
        let mut memtables = full.chain([(self.open.number, &self.open.batches)]);
        memtables.any(|(number, batches)| {
            number == memtable::FIRST && batches.iter().any(|(_, time)| time.overlaps(range))
        })
    }

    /// The rows that are in no segment, the oldest first.
    pub fn in_memory(&self) -> impl Iterator<Item = &(Batch, TimeRange)> {
        let full = self.full.iter().flat_map(|head| &head.batches);
        full.chain(&self.open.batches)
    }

    /// Segments of a tier that lack their sums of a coarser one, and can still have them:
    /// these neither expired nor would at once, by how long the coarser tier is kept.
    pub fn lacking(&self, finer: Tier, coarser: Tier, kept: Retention, now: i64) -> Vec<Arc<Segment>> {
        self.lacking_by(finer, coarser, kept, (now, self.steady_for))
    }

    /// The same by a clock that was steady for so long.
    pub fn lacking_by(
        &self,
        finer: Tier,
        coarser: Tier,
        kept: Retention,
        (now, steady_for): (i64, Duration),
    ) -> Vec<Arc<Segment>> {
        let expired = self.expired[coarser as usize];
        let mut without = self.catalog.without(finer, coarser);
        if without.is_empty() {
            return without;
        }
        let [of_finer, of_coarser] =
            [finer, coarser].map(|tier| self.catalog.tier(tier).cloned().collect::<Vec<_>>());
        let late = expiry::too_late(&of_finer, &of_coarser, kept, now, steady_for);
        without.retain(|s| *s.heads.end() > expired && !late.contains(s.heads.start()));
        without
    }

    /// Those of them whose sums are to be made.
    pub fn without_sums(&self, finer: Tier, coarser: Tier, kept: Retention, now: i64) -> Vec<Arc<Segment>> {
        let mut without = self.lacking(finer, coarser, kept, now);
        // Those of later heads are being made with their segment.
        without.retain(|s| *s.heads.end() <= self.rolled);
        without
    }

    /// Gives a segment up: its file goes when nobody reads it any more.
    pub fn expire(&mut self, segment: &Segment) {
        if self.catalog.remove(segment).is_none() {
            return;
        }
        segment.give_up();
        let expired = &mut self.expired[segment.tier as usize];
        *expired = (*expired).max(*segment.heads.end());
        self.counts.expired_segments += 1;
        if segment.tier == Tier::Raw {
            self.counts.expired_rows += segment.rows;
        }
    }

    /// Notes what is wrong, or that it is right again.
    pub fn note(&mut self, part: &'static str, outcome: Result<(), Trouble>) {
        let before = self.troubles.len();
        self.troubles.retain(|t| t.part != part);
        match outcome {
            Err(trouble) => {
                if self.troubles.len() == before {
                    tracing::error!(part, reason = %trouble.reason, "the store is in trouble; it tries again");
                }
                self.troubles.push(trouble);
            }
            Ok(()) if self.troubles.len() < before => tracing::info!(part, "the store is well again"),
            Ok(()) => {}
        }
    }
}
