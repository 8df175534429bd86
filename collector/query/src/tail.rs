//! Records as they arrive, for all who watch: rows are taken out of the store once, as
//! narrow as they are in memory; the filter of each who watches looks at the columns that
//! it names, and what it lets through alone is widened and made into records.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::Schema;
use datafusion_physical_expr::PhysicalExpr;
use weir_api::fields::Column;
use weir_store::schema::{self, DST_ID, SRC_ID};
use weir_store::{Closed, Identities, Reader, TailBatch};

use crate::budget::{Budget, off_thread};
use crate::engine::{RecordTail, TailEnd, TailRequest};
use crate::filter::expr::{self, Test};
use crate::identity_table::IdentityTable;
use crate::lower::{self, LoweringContext};
use crate::plan;
use crate::records::{shown, stored};
use crate::{AnswerRows, Filter, Limits, QueryError, groups};

/// Batches that wait for one who watches; what comes beyond is not shown.
const WAITING: usize = 64;
/// Batches that are kept for who comes back, and how long when nobody watches.
const RECENT: usize = WAITING;
const LINGERS: Duration = Duration::from_secs(30);
/// So often it is looked whether anybody still watches.
const LOOK: Duration = Duration::from_secs(1);

/// What all tails of a store share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reader: Reader,
    /// Makes marks of numbers: they tell nothing of how much comes, and are of one process.
    marks: RandomState,
    watchers: Mutex<Watchers>,
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
struct Numbered {
    number: u64,
    rows: TailBatch,
}

#[derive(Debug)]
struct Watcher {
    sender: SyncSender<Numbered>,
    missed: Arc<AtomicU64>,
}

/// The records of one who watches, as a page has them.
#[derive(Debug)]
pub(crate) struct LiveTail {
    /// What came since the mark that it goes on behind.
    before: VecDeque<Numbered>,
    arrived: Receiver<Numbered>,
    missed: Arc<AtomicU64>,
    marks: RandomState,
    /// The number of the batch that was shown last.
    last: u64,
    has_gap: bool,
    chooser: Chooser,
    columns: Vec<Column>,
    /// Rows that were widened so far.
    #[cfg(test)]
    widened: usize,
}

impl Live {
    /// Of a store.
    pub(crate) fn new(reader: Reader) -> Self {
        Self(Arc::new(Shared {
            reader,
            marks: RandomState::new(),
            watchers: Mutex::default(),
        }))
    }

    /// Every record from now on that the request and `limits` let see. The filter is read
    /// within the time of `limits`, on a thread of its own.
    ///
    /// # Errors
    /// The filter or a column is wrong, there is no time, or the system refuses a thread.
    pub(crate) async fn follow(
        &self,
        request: &TailRequest,
        limits: &Limits,
    ) -> Result<LiveTail, QueryError> {
        let budget = Budget::new(limits);
        let (live, request, scope) = (self.clone(), request.clone(), limits.scope.clone());
        let prepared = off_thread(move || {
            let (both, all) = (request.both_directions, request.all_observations);
            let filter = Filter::of_records(&request.filter, both, all, &scope)?;
            let columns = match request.columns.as_slice() {
                [] => Column::all().collect(),
                names => groups::columns(names)?,
            };
            live.watch(filter, columns, request.resume.as_deref())
        });
        budget.spend(prepared).await
    }

    fn watch(
        &self,
        filter: Filter,
        columns: Vec<Column>,
        resume: Option<&str>,
    ) -> Result<LiveTail, QueryError> {
        let mut chooser = Chooser::new(filter);
        // What is wrong with the filter is told now, not when the first record comes.
        let nothing = RecordBatch::new_empty(Arc::new(chooser.looked_at.clone()));
        chooser.choose(&nothing, Identities::nobody)?;
        let (sender, arrived) = sync_channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        let mut watchers = self.0.watchers();
        if !watchers.runs {
            let (shared, tail) = (Arc::clone(&self.0), self.0.reader.tail());
            let spawned = thread::Builder::new()
                .name("tails".to_owned())
                .spawn(move || shared.run(&tail));
            spawned
                .map_err(|error: io::Error| QueryError::Engine(format!("no thread for tails: {error}")))?;
            watchers.runs = true;
            // Nobody knows what came before: no mark holds any more.
            watchers.last += 1;
            watchers.recent.clear();
        }
        let before = resume.map(|mark| watchers.since(&self.0.marks, mark));
        let (has_gap, before) = match before {
            Some(None) => (true, VecDeque::new()),
            Some(Some(before)) => (false, before),
            None => (false, VecDeque::new()),
        };
        let last = watchers.last;
        watchers.all.push(Watcher {
            sender,
            missed: Arc::clone(&missed),
        });
        Ok(LiveTail {
            last: before.front().map_or(last, |first| first.number - 1),
            before,
            arrived,
            missed,
            marks: self.0.marks.clone(),
            has_gap,
            chooser,
            columns,
            #[cfg(test)]
            widened: 0,
        })
    }
}

impl Shared {
    fn watchers(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes rows out of the store and hands them to all who watch, while there are any.
    fn run(&self, tail: &weir_store::Tail) {
        let mut missed = 0;
        loop {
            let arrived = tail.next_batch(LOOK);
            let mut watchers = self.watchers();
            let lost = tail.missed() - std::mem::replace(&mut missed, tail.missed());
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
                Err(Closed) => {
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
    fn show(&mut self, rows: TailBatch) {
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
fn mark(marks: &RandomState, number: u64) -> String {
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

impl RecordTail for LiveTail {
    fn next(&mut self, within: Duration) -> Result<Option<AnswerRows>, TailEnd> {
        let arrived = match self.before.pop_front() {
            Some(before) => Ok(before),
            None => self.arrived.recv_timeout(within),
        };
        match arrived {
            Ok(arrived) => {
                let records = self.records(&arrived.rows)?;
                self.last = arrived.number;
                Ok(records)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(TailEnd::Closed),
        }
    }

    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn mark(&self) -> String {
        mark(&self.marks, self.last)
    }

    fn has_gap(&self) -> bool {
        self.has_gap
    }
}

impl LiveTail {
    fn records(&mut self, arrived: &TailBatch) -> Result<Option<AnswerRows>, QueryError> {
        let looked_at = arrived.batch().conform(&self.chooser.looked_at);
        let chosen = self.chooser.choose(&looked_at, || arrived.identities())?;
        if chosen.true_count() == 0 {
            return Ok(None);
        }
        let rows = self.widened(arrived, &chosen)?;
        let who = IdentityTable::new(&arrived.identities());
        Ok(Some(shown(&rows, &who, &self.columns)?))
    }

    /// The chosen rows with all their columns: what costs most.
    fn widened(&mut self, arrived: &TailBatch, chosen: &BooleanArray) -> Result<RecordBatch, QueryError> {
        let rows = arrived.chosen_rows(chosen)?;
        #[cfg(test)]
        {
            self.widened += rows.num_rows();
        }
        Ok(rows)
    }
}

/// A filter, made ready once for as long as the identities are the same, and for ever if
/// it looks at none.
#[derive(Debug)]
pub(crate) struct Chooser {
    filter: Filter,
    /// The columns that it looks at.
    pub(crate) looked_at: Schema,
    of_identities: bool,
    ready: Option<Ready>,
}

#[derive(Debug)]
struct Ready {
    /// Those of which it is; none if it looks at none.
    identities: Option<Arc<Identities>>,
    test: Arc<dyn PhysicalExpr>,
}

impl Chooser {
    pub(crate) fn new(filter: Filter) -> Self {
        let mut of_identities = false;
        expr::columns(&filter.test, &mut |column| {
            of_identities |= column.field().identity
        });
        Self {
            looked_at: looked_at(&filter.test),
            of_identities,
            ready: None,
            filter,
        }
    }

    /// Which rows the filter lets through, of a batch of the columns that it looks at.
    pub(crate) fn choose(
        &mut self,
        rows: &RecordBatch,
        identities: impl FnOnce() -> Arc<Identities>,
    ) -> Result<BooleanArray, QueryError> {
        let ready = match self.ready.take() {
            Some(ready) if !self.of_identities => ready,
            ready => {
                let identities = identities();
                let is_of = |ready: &Ready| {
                    ready
                        .identities
                        .as_ref()
                        .is_some_and(|its| Arc::ptr_eq(its, &identities))
                };
                match ready.filter(is_of) {
                    Some(ready) => ready,
                    None => self.prepare(identities)?,
                }
            }
        };
        let ready = self.ready.insert(ready);
        Ok(lower::apply(ready.test.as_ref(), rows)?)
    }

    fn prepare(&self, identities: Arc<Identities>) -> Result<Ready, QueryError> {
        let who = IdentityTable::new(&identities);
        let test = LoweringContext::Facts(&who).test(&self.filter.test)?;
        Ok(Ready {
            test: plan::physical(&test, &self.looked_at)?,
            identities: self.of_identities.then_some(identities),
        })
    }
}

/// The stored columns that a condition looks at.
fn looked_at(test: &Test) -> Schema {
    let mut names = HashSet::from([SRC_ID, DST_ID]);
    expr::columns(test, &mut |column| {
        names.insert(stored(column));
    });
    let facts = schema::facts();
    let fields = facts.fields().iter();
    let fields = fields
        .filter(|field| names.contains(field.name().as_str()))
        .cloned();
    Schema::new(fields.collect::<Vec<_>>())
}

#[cfg(test)]
impl Filter {
    /// Which rows of a batch of stored facts the filter lets through.
    pub(crate) fn select(
        &self,
        rows: &RecordBatch,
        identities: &Arc<Identities>,
    ) -> Result<BooleanArray, QueryError> {
        let mut chooser = Chooser::new(self.clone());
        let rows = schema::conform(rows, &chooser.looked_at);
        chooser.choose(&rows, || Arc::clone(identities))
    }
}

#[cfg(test)]
mod tests {
    use weir_store::{Settings, open};

    use super::*;
    use crate::lower::tests::flows::Flows;

    #[tokio::test]
    async fn who_comes_back_goes_on_where_they_left_without_a_gap_and_without_a_record_twice() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
        let live = Live::new(reader);
        let follow = async |resume: Option<String>| {
            let request = TailRequest {
                resume,
                all_observations: true,
                ..TailRequest::default()
            };
            live.follow(&request, &Limits::default()).await.unwrap()
        };
        let mut records = Flows::new(3, 60);
        let mut append = |count| {
            writer.append(&records.batch(count)).unwrap();
            writer.flush();
        };
        let take = |tail: &mut LiveTail, wanted: usize| {
            let mut taken = 0;
            while taken < wanted {
                taken += tail
                    .next(Duration::from_secs(60))
                    .unwrap()
                    .map_or(0, |rows| rows.len());
            }
            taken
        };
        let mut first = follow(None).await;
        append(10);
        assert_eq!(take(&mut first, 10), 10);
        let mark = first.mark();
        drop(first);
        append(20);
        // Until another tail has seen them, they may be on their way.
        let mut other = follow(Some(mark.clone())).await;
        assert!(!other.has_gap());
        assert_eq!(take(&mut other, 20), 20);
        let mut again = follow(Some(mark.clone())).await;
        append(5);
        assert_eq!((again.has_gap(), take(&mut again, 25)), (false, 25));
        assert_ne!(again.mark(), mark);
        let mut at_the_end = follow(Some(again.mark())).await;
        append(7);
        assert_eq!((at_the_end.has_gap(), take(&mut at_the_end, 7)), (false, 7));
        for lost in ["", "1", "x", "0000000000000000"] {
            assert!(follow(Some(lost.to_owned())).await.has_gap(), "{lost}");
        }
        for _ in 0..=RECENT {
            append(1);
            take(&mut at_the_end, 1);
        }
        assert!(follow(Some(mark)).await.has_gap(), "it is too long ago");
    }

    #[tokio::test]
    async fn rows_that_a_filter_does_not_let_through_are_never_widened() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
        let live = Live::new(reader);
        let follow = async |filter: &str| {
            let request = TailRequest {
                filter: filter.to_owned(),
                all_observations: true,
                ..TailRequest::default()
            };
            live.follow(&request, &Limits::default()).await.unwrap()
        };
        let mut none = Vec::new();
        for filter in [
            "bytes < 0",
            "dst_port == 443 && port == 443 && ttl > 300",
            r#"ns == "nobody's""#,
        ] {
            none.push(follow(filter).await);
        }
        let mut some = follow(r#"dst_port == 443 && ns == "team-0""#).await;
        let records = Flows::new(3, 60).batch(2_000);
        for part in records.chunks(500) {
            writer.append(part).unwrap();
            writer.flush();
        }
        writer.close();
        let take_all = |tail: &mut LiveTail| {
            let mut taken = 0;
            loop {
                match tail.next(Duration::from_secs(60)) {
                    Ok(rows) => taken += rows.map_or(0, |rows| rows.len()),
                    Err(end) => break assert_eq!(end.to_string(), "the store was closed"),
                }
            }
            (taken, tail.widened)
        };
        for tail in &mut none {
            assert_eq!((take_all(tail), tail.missed()), ((0, 0), 0), "{tail:?}");
        }
        let wanted = records
            .iter()
            .filter(|record| record.dst.port == Some(443) && &*record.src.identity.ns == "team-0");
        let wanted = wanted.count();
        assert!(wanted > 0 && wanted < 500, "{wanted}");
        assert_eq!(take_all(&mut some), (wanted, wanted));
    }
}
