//! Records as they arrive, for all who watch: rows are taken out of the store once, as
//! narrow as they are in memory; the filter of each who watches looks at the columns that
//! it names, and what it lets through alone is widened and made into records.

mod choosers;
mod watchers;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use weir_api::fields::Column;
use weir_store::Reader;

use self::choosers::SharedChooser;
use self::watchers::{Feed, Numbered, Shared, mark};
use crate::budget::{Budget, off_thread};
use crate::engine::{RecordTail, TailEnd, TailRequest};
use crate::frame_selection::chosen_records;
use crate::{AnswerRows, Limits, QueryError, groups};

/// What all tails of a store share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Live(Arc<Shared>);

/// The records of one who watches, as a page has them.
#[derive(Debug)]
pub(crate) struct LiveTail {
    /// What comes; `last` is the number of the batch that was shown last.
    feed: Feed,
    shared: Arc<Shared>,
    chooser: Arc<SharedChooser>,
    columns: Vec<Column>,
    /// Rows that were widened so far.
    #[cfg(test)]
    widened: usize,
}

impl Live {
    /// Of a store.
    pub(crate) fn new(reader: Reader) -> Self {
        Self(Arc::new(Shared::new(reader)))
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
            let chooser = live.0.choosers.of(&request, &scope)?;
            let columns = match request.columns.as_slice() {
                [] => Column::all().collect(),
                names => groups::columns(names)?,
            };
            Ok(LiveTail {
                feed: live.0.join(request.resume.as_deref())?,
                shared: live.0,
                chooser,
                columns,
                #[cfg(test)]
                widened: 0,
            })
        });
        budget.spend(prepared).await
    }
}

impl RecordTail for LiveTail {
    fn next(&mut self, within: Duration) -> Result<Option<AnswerRows>, TailEnd> {
        let arrived = match self.feed.before.pop_front() {
            Some(before) => Ok(before),
            None => self.feed.arrived.recv_timeout(within),
        };
        match arrived {
            Ok(arrived) => {
                let records = self.records(&arrived)?;
                self.feed.last = arrived.number;
                Ok(records)
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(TailEnd::Closed),
        }
    }

    fn missed(&self) -> u64 {
        self.feed.missed.load(Ordering::Relaxed)
    }

    fn mark(&self) -> String {
        mark(&self.shared.marks, self.feed.last)
    }

    fn has_gap(&self) -> bool {
        self.feed.has_gap
    }
}

impl LiveTail {
    fn records(&mut self, arrived: &Numbered) -> Result<Option<AnswerRows>, QueryError> {
        let chosen = self.chooser.choose(arrived)?;
        if chosen.true_count() == 0 {
            return Ok(None);
        }
        let records = chosen_records(&arrived.rows, &chosen, &self.columns)?;
        #[cfg(test)]
        {
            self.widened += records.len();
        }
        Ok(Some(records))
    }
}

#[cfg(test)]
mod tests;
