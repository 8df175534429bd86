//! Records as they arrive, for all who watch: rows are taken out of the store and widened
//! once, whoever watches; the filter of each looks at the columns that it names, and what
//! it lets through alone is made into records.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Schema;
use datafusion::physical_plan::PhysicalExpr;
use weir_api::fields::Column;
use weir_store::schema::{self, DST_ID, SRC_ID};
use weir_store::{Closed, Identities, Reader};

use crate::budget::{Budget, off_thread};
use crate::engine::{RecordTail, TailEnd, TailRequest};
use crate::filter::expr::{self, Test};
use crate::identity_table::IdentityTable;
use crate::lower::{self, LoweringContext};
use crate::records::{shown, stored};
use crate::{AnswerRows, Filter, Limits, QueryError, compile, groups};

/// Batches that wait for one who watches; what comes beyond is not shown.
const WAITING: usize = 64;
/// So often it is looked whether anybody still watches.
const LOOK: Duration = Duration::from_secs(1);

/// Rows that arrived, widened, and everybody whom they name.
#[derive(Debug)]
struct Arrived {
    rows: RecordBatch,
    identities: Arc<Identities>,
}

/// What all tails of a store share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reader: Reader,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    all: Vec<Watcher>,
    /// A thread takes rows for them.
    runs: bool,
}

#[derive(Debug)]
struct Watcher {
    sender: SyncSender<Arc<Arrived>>,
    missed: Arc<AtomicU64>,
}

/// The records of one who watches, as a page has them.
#[derive(Debug)]
pub(crate) struct LiveTail {
    arrived: Receiver<Arc<Arrived>>,
    missed: Arc<AtomicU64>,
    chooser: Chooser,
    columns: Vec<Column>,
}

impl Live {
    /// Of a store.
    pub(crate) fn new(reader: Reader) -> Self {
        Self(Arc::new(Shared {
            reader,
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
            let filter = compile(&request.filter)?.within(&scope);
            let filter = match request.all_observations {
                true => filter,
                false => filter.primary(),
            };
            let columns = match request.columns.as_slice() {
                [] => Column::all().collect(),
                names => groups::columns(names)?,
            };
            live.watch(filter, columns)
        });
        budget.spend(prepared).await
    }

    fn watch(&self, filter: Filter, columns: Vec<Column>) -> Result<LiveTail, QueryError> {
        let mut chooser = Chooser::new(filter);
        // What is wrong with the filter is told now, not when the first record comes.
        chooser.choose(
            &RecordBatch::new_empty(schema::facts()),
            &self.0.reader.identities(),
        )?;
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
        }
        watchers.all.push(Watcher {
            sender,
            missed: Arc::clone(&missed),
        });
        Ok(LiveTail {
            arrived,
            missed,
            chooser,
            columns,
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
            let arrived = tail.next(LOOK).map(|rows| {
                rows.map(|rows| {
                    Arc::new(Arrived {
                        rows,
                        identities: self.reader.identities(),
                    })
                })
            });
            let mut watchers = self.watchers();
            let lost = tail.missed() - std::mem::replace(&mut missed, tail.missed());
            for watcher in &watchers.all {
                watcher.missed.fetch_add(lost, Ordering::Relaxed);
            }
            match arrived {
                Ok(Some(arrived)) => watchers.all.retain(|watcher| watcher.show(&arrived)),
                Ok(None) => watchers.all.retain(Watcher::is_there),
                Err(Closed) => watchers.all.clear(),
            }
            if watchers.all.is_empty() {
                watchers.runs = false;
                return;
            }
        }
    }
}

impl Watcher {
    /// Shows the rows; false when nobody watches any more.
    fn show(&self, arrived: &Arc<Arrived>) -> bool {
        match self.sender.try_send(Arc::clone(arrived)) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(arrived)) => {
                self.missed
                    .fetch_add(arrived.rows.num_rows() as u64, Ordering::Relaxed);
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
        match self.arrived.recv_timeout(within) {
            Ok(arrived) => Ok(self.records(&arrived)?),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(TailEnd::Closed),
        }
    }

    fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl LiveTail {
    fn records(&mut self, arrived: &Arrived) -> Result<Option<AnswerRows>, QueryError> {
        let (chosen, who) = self.chooser.choose(&arrived.rows, &arrived.identities)?;
        if chosen.true_count() == 0 {
            return Ok(None);
        }
        let rows = filter_record_batch(&arrived.rows, &chosen)?;
        Ok(Some(shown(&rows, who, &self.columns)?))
    }
}

/// A filter, made ready once for as long as the identities are the same.
#[derive(Debug)]
struct Chooser {
    filter: Filter,
    /// The columns that it looks at.
    looked_at: Schema,
    ready: Option<Ready>,
}

#[derive(Debug)]
struct Ready {
    identities: Arc<Identities>,
    who: IdentityTable,
    test: Arc<dyn PhysicalExpr>,
}

impl Chooser {
    fn new(filter: Filter) -> Self {
        Self {
            looked_at: looked_at(&filter.test),
            ready: None,
            filter,
        }
    }

    /// Which rows the filter lets through.
    fn choose(
        &mut self,
        rows: &RecordBatch,
        identities: &Arc<Identities>,
    ) -> Result<(BooleanArray, &IdentityTable), QueryError> {
        let ready = match self.ready.take() {
            Some(ready) if Arc::ptr_eq(&ready.identities, identities) => ready,
            _ => self.prepare(identities)?,
        };
        let ready = self.ready.insert(ready);
        let rows = schema::conform(rows, &self.looked_at);
        Ok((lower::apply(ready.test.as_ref(), &rows)?, &ready.who))
    }

    fn prepare(&self, identities: &Arc<Identities>) -> Result<Ready, QueryError> {
        let who = IdentityTable::new(identities);
        let test = LoweringContext::Facts(&who).test(&self.filter.test)?;
        Ok(Ready {
            test: lower::physical(&test, &self.looked_at)?,
            identities: Arc::clone(identities),
            who,
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
        chooser.choose(rows, identities).map(|(chosen, _)| chosen)
    }
}
