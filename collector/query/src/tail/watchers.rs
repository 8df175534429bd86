//! All who watch a store: rows are taken out of it once, and handed to each of them; the
//! last of them are kept for who comes back.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use weir_store::{Bounds, LogFrame, LogReader, Reader};

use super::choosers::Choosers;
use crate::QueryError;

/// Batches that wait for one who watches; what comes beyond is not shown.
const WAITING: usize = 64;
/// Batches that are kept for who comes back, and how long when nobody watches.
pub(super) const RECENT: usize = WAITING;
const LINGERS: Duration = Duration::from_secs(30);
/// What may wait in memory for all who watch: a reader of the log as any other.
const BOUNDS: Bounds = Bounds {
    bytes: 64 << 20,
    age: None,
};
/// What that reader is called.
const NAME: &str = "tail";
/// So often it is looked whether anybody still watches.
const LOOK: Duration = Duration::from_secs(1);

/// What all tails of a store share.
#[derive(Debug)]
pub(super) struct Shared {
    reader: Reader,
    /// Makes marks of numbers: they tell nothing of how much comes, and are of one process.
    pub(super) marks: RandomState,
    watchers: Mutex<Watchers>,
    pub(super) choosers: Choosers,
}

/// What one who watches gets: what came since their mark, and what comes.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) before: VecDeque<Numbered>,
    pub(super) arrived: Receiver<Numbered>,
    pub(super) missed: Arc<AtomicU64>,
    /// The number of the batch before all of it.
    pub(super) last: u64,
    /// What came since the mark is not all there.
    pub(super) has_gap: bool,
}

#[derive(Debug, Default)]
struct Watchers {
    all: Vec<Watcher>,
    /// A thread takes rows for them.
    runs: bool,
    /// The number of the batch taken last.
    last: u64,
    /// The batches taken last.
    recent: VecDeque<Numbered>,
    /// When the last of those who watched left.
    left: Option<Instant>,
}

/// A batch, and its number: they count up by one.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) rows: LogFrame,
}

#[derive(Debug)]
struct Watcher {
    sender: SyncSender<Numbered>,
    missed: Arc<AtomicU64>,
}

impl Shared {
    /// Of a store.
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            marks: RandomState::new(),
            watchers: Mutex::default(),
            choosers: Choosers::default(),
        }
    }

    /// All from now on, and what came since a mark.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn join(self: &Arc<Self>, resume: Option<&str>) -> Result<Feed, QueryError> {
        let (sender, arrived) = sync_channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        let mut watchers = self.watchers();
        if !watchers.runs {
            let (shared, log) = (Arc::clone(self), self.reader.follow_log(NAME, BOUNDS));
            let spawned = thread::Builder::new()
                .name("tails".to_owned())
                .spawn(move || shared.run(log));
            spawned
                .map_err(|error: io::Error| QueryError::Engine(format!("no thread for tails: {error}")))?;
            watchers.runs = true;
            // Nobody knows what came before: no mark holds any more.
            watchers.last += 1;
            watchers.recent.clear();
        }
        let since = resume.map(|mark| watchers.since(&self.marks, mark));
        let has_gap = matches!(since, Some(None));
        let before = since.flatten().unwrap_or_default();
        watchers.all.push(Watcher {
            sender,
            missed: Arc::clone(&missed),
        });
        Ok(Feed {
            last: before.front().map_or(watchers.last, |first| first.number - 1),
            before,
            arrived,
            missed,
            has_gap,
        })
    }

    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows out of the log and hands them to all who watch, while there are any.
    fn run(&self, mut log: LogReader) {
        let mut missed = 0;
        loop {
            let arrived = log.next_frame(LOOK);
            let dropped = log.status().dropped.sum();
            let mut watchers = self.watchers();
            let lost = dropped - std::mem::replace(&mut missed, dropped);
            for watcher in &watchers.all {
                watcher.missed.fetch_add(lost, Ordering::Relaxed);
            }
            if lost > 0 {
                // Who comes back over that is told.
                watchers.last += 1;
                watchers.recent.clear();
            }
            match arrived {
                Ok(Some(rows)) => watchers.show(rows),
                Ok(None) => watchers.all.retain(Watcher::is_there),
                // The store was closed: a reader in memory reads no file that could fail.
                Err(_) => {
                    watchers.all.clear();
                    return watchers.end();
                }
            }
            if watchers.nobody_comes_back(Instant::now()) {
                return watchers.end();
            }
        }
    }
}

impl Watchers {
    /// Hands rows to all who watch, and keeps them for who comes back.
    fn show(&mut self, rows: LogFrame) {
        self.last += 1;
        let arrived = Numbered {
            number: self.last,
            rows,
        };
        self.all.retain(|watcher| watcher.show(&arrived));
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(arrived);
    }

    /// What came behind a mark; none when that is not all there any more.
    fn since(&self, marks: &RandomState, of: &str) -> Option<VecDeque<Numbered>> {
        let oldest = self.recent.front().map_or(self.last + 1, |first| first.number);
        let number = (oldest.saturating_sub(1)..=self.last).find(|number| mark(marks, *number) == of)?;
        let behind = self.recent.iter().filter(|batch| batch.number > number);
        Some(behind.cloned().collect())
    }

    /// Nobody has watched for a while.
    fn nobody_comes_back(&mut self, now: Instant) -> bool {
        if !self.all.is_empty() {
            self.left = None;
            return false;
        }
        let left = *self.left.get_or_insert(now);
        now.saturating_duration_since(left) >= LINGERS
    }

    fn end(&mut self) {
        self.runs = false;
        self.recent.clear();
        self.left = None;
    }
}

/// The mark behind a batch.
pub(super) fn mark(marks: &RandomState, number: u64) -> String {
    format!("{:016x}", marks.hash_one(number))
}

impl Watcher {
    /// Shows the rows; false when nobody watches any more.
    fn show(&self, arrived: &Numbered) -> bool {
        match self.sender.try_send(arrived.clone()) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(arrived)) => {
                self.missed
                    .fetch_add(arrived.rows.batch().num_rows() as u64, Ordering::Relaxed);
                true
            }
        }
    }

    /// The other end holds the counter, too.
    fn is_there(&self) -> bool {
        Arc::strong_count(&self.missed) > 1
    }
}
