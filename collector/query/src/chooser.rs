//! Which rows a filter lets through, batch after batch.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::Schema;
use datafusion_physical_expr::PhysicalExpr;
use weir_store::schema::{self, DST_ID, SRC_ID};
use weir_store::{Identities, IdentityCursor, LogFrame};

use crate::arriving::{ArrivingIdentities, Asked, is_of_each};
use crate::filter::expr::{self, Test};
use crate::identity_table::IdentityTable;
use crate::lower::{self, LoweringContext};
use crate::plan;
use crate::records::stored;
use crate::{Filter, QueryError};

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

/// A filter of rows as they arrive, with identities that come one by one.
#[derive(Debug)]
pub(crate) enum LiveChooser {
    /// What it asks of an identity is found out once.
    OfEach {
        looked_at: Schema,
        test: Arc<dyn PhysicalExpr>,
        asked: Vec<Asked>,
        seen: IdentityCursor,
    },
    /// It asks of two together: it is made ready for each who comes.
    OfAll(Chooser),
}

impl LiveChooser {
    /// Makes the filter ready.
    ///
    /// # Errors
    /// The engine does not take it.
    pub(crate) fn new(filter: Filter) -> Result<Self, QueryError> {
        if is_of_each(&filter.test) {
            let (looked_at, arriving) = (looked_at(&filter.test), ArrivingIdentities::default());
            let test = LoweringContext::Arriving(&arriving).test(&filter.test)?;
            return Ok(Self::OfEach {
                test: plan::physical(&test, &looked_at)?,
                asked: arriving.into_asked()?,
                looked_at,
                seen: IdentityCursor::default(),
            });
        }
        let mut chooser = Chooser::new(filter);
        let nothing = RecordBatch::new_empty(Arc::new(chooser.looked_at.clone()));
        chooser.choose(&nothing, Identities::nobody)?;
        Ok(Self::OfAll(chooser))
    }

    /// Which rows of a batch the filter lets through.
    ///
    /// # Errors
    /// The engine fails.
    pub(crate) fn choose(&mut self, arrived: &LogFrame) -> Result<BooleanArray, QueryError> {
        match self {
            Self::OfEach {
                looked_at,
                test,
                asked,
                seen,
            } => {
                if !asked.is_empty() {
                    let fresh = arrived.fresh_identities(seen);
                    if fresh.is_of_another_memtable {
                        // It names all again who come.
                        asked.iter_mut().for_each(Asked::forget);
                    }
                    for table in fresh.tables {
                        for one in asked.iter_mut() {
                            one.learn(&table)?;
                        }
                    }
                }
                Ok(lower::apply(test.as_ref(), &arrived.batch().conform(looked_at))?)
            }
            Self::OfAll(chooser) => {
                let rows = arrived.batch().conform(&chooser.looked_at);
                chooser.choose(&rows, || arrived.identities())
            }
        }
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
