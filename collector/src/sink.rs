//! Where records end: in the store, when there is one, else printed or let go. A
//! record counts as stored when the store has accepted it; without a store, when it
//! has left this process.
//!
//! With a store nothing else holds it up: what is to be printed as well goes over a
//! queue, and what that has no room for is not printed, and counted.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, mpsc};

use crate::health::Health;
use crate::metrics::{Drop, Metrics, Unprinted};
use crate::printer::{self, Printer};
use crate::queue::Inbox;
use weir_store::{CloseSummary, Refusal};

/// What becomes of the records.
#[derive(Default)]
pub enum Sink {
    /// They are counted as stored and let go.
    #[default]
    Discard,
    /// One JSON object a line goes to this writer.
    Json(Box<dyn Write + Send>),
}

impl Sink {
    /// JSON lines on standard output.
    pub fn stdout() -> Self {
        Self::Json(Box::new(std::io::stdout()))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discard => "Discard",
            Self::Json(_) => "Json",
        })
    }
}

/// Takes records out of the queue until it is closed and empty, where there is no store.
pub fn run(sink: Sink, inbox: &Inbox, metrics: &Metrics, health: &Health) {
    match sink {
        Sink::Discard => {
            while let Ok(batch) = inbox.wait() {
                metrics.store(batch.len() as u64);
                inbox.give_back(batch);
            }
        }
        Sink::Json(out) => printer::run(Printer::new(out), inbox, |records, written| match written {
            Ok(()) => metrics.store(records),
            Err(why) => {
                health.set_sink(Err(why.to_owned()));
                metrics.drop_records(Drop::SinkFailed, records);
            }
        }),
    }
}

/// Waits until nobody stores anything any more, then lets the store make segments of what
/// it has in memory.
///
/// # Errors
/// The disk took not all of that: how many records are lost.
pub fn close_at_the_end(
    store: weir_store::Writer,
    until_closed: &mpsc::Receiver<()>,
    metrics: &Arc<Metrics>,
) -> Result<(), String> {
    // Nothing is ever sent: it ends when the last who could is gone.
    while until_closed.recv().is_ok() {}
    account(&store.close(), metrics)
}

/// Says what became of the records that were in no segment at the end.
fn account(summary: &CloseSummary, metrics: &Metrics) -> Result<(), String> {
    let CloseSummary {
        sealed_rows,
        logged_rows,
        lost_rows,
        reason,
    } = *summary;
    let Some(reason) = reason else {
        tracing::info!(sealed_rows, "the store is closed");
        return Ok(());
    };
    let word = reason.as_str();
    if lost_rows == 0 {
        tracing::warn!(
            sealed_rows,
            logged_rows,
            reason = word,
            "the store is closed; the next start reads its log"
        );
        return Ok(());
    }
    metrics.lose_stored(reason.into(), lost_rows);
    tracing::error!(
        sealed_rows,
        logged_rows,
        lost_rows,
        reason = word,
        "the store is closed, and records are lost"
    );
    Err(format!(
        "{lost_rows} records that counted as stored are lost ({word}); {logged_rows} more are in the log, which \
         the next start reads"
    ))
}

/// Prints what was stored, until nothing more comes.
pub fn print_stored(out: Box<dyn Write + Send>, inbox: &Inbox, metrics: &Metrics) {
    printer::run(Printer::new(out), inbox, |records, written| {
        if written.is_err() {
            metrics.leave_unprinted(Unprinted::Failed, records);
        }
    });
}

impl From<Refusal> for Drop {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Behind => Self::StoreBehind,
            Refusal::DiskFull => Self::StoreFull,
            Refusal::DiskFailed => Self::StoreFailed,
        }
    }
}
