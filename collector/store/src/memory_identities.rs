//! Whom the rows of a head name, as they come: what its segment, the log, queries
//! and watchers read their identities from. Nobody waits for anybody to read.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow::array::RecordBatch;

use crate::identities::{self, Content, Identities};

/// Identities that a head named for the first time in one batch.
#[derive(Debug)]
pub(crate) struct NamedIdentities {
    named: Vec<(u32, Content)>,
    /// The table of them, from when somebody wanted it.
    table: OnceLock<RecordBatch>,
}

impl NamedIdentities {
    pub fn new(named: Vec<(u32, Content)>) -> Self {
        Self {
            named,
            table: OnceLock::new(),
        }
    }

    /// Of a table that came back from a log.
    pub fn of_table(table: &RecordBatch) -> Self {
        let table = identities::conform(table);
        Self {
            named: Vec::new(),
            table: table.into(),
        }
    }

    pub fn table(&self) -> &RecordBatch {
        self.table.get_or_init(|| identities::table_of(&self.named))
    }
}

/// All whom a head names so far.
#[derive(Debug, Default)]
pub(crate) struct MemoryIdentities(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    named: Vec<Arc<NamedIdentities>>,
    /// Those of them, until others join.
    all: Option<Arc<Identities>>,
}

impl MemoryIdentities {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, named: Arc<NamedIdentities>) {
        let mut inner = self.lock();
        inner.named.push(named);
        inner.all = None;
    }

    /// Tables that together have each of them.
    pub fn tables(&self) -> Vec<RecordBatch> {
        self.tables_from(0)
    }

    /// The same without the first so many.
    pub fn tables_from(&self, seen: usize) -> Vec<RecordBatch> {
        let named = self.lock().named.get(seen..).unwrap_or_default().to_vec();
        named.iter().map(|named| named.table().clone()).collect()
    }

    /// The table for the segment.
    pub fn table(&self) -> RecordBatch {
        identities::union(&self.tables())
    }

    /// For those who watch: made once for all of them.
    pub fn all(&self) -> Arc<Identities> {
        let inner = self.lock();
        if let Some(all) = &inner.all {
            return Arc::clone(all);
        }
        let count = inner.named.len();
        drop(inner);
        let all = Arc::new(Identities::of_tables(
            self.tables().get(..count).unwrap_or_default(),
        ));
        let mut inner = self.lock();
        if inner.named.len() == count {
            inner.all = Some(Arc::clone(&all));
        }
        all
    }
}
