//! Where records end: in the store, when there is one, else printed or let go. A
//! record counts as stored when the store has accepted it; without a store, when it
//! has left this process.
//!
//! The printer is a reader of the store's log, or without a store of one in memory. Nothing
//! waits for it: what waits there beyond its bound is not printed, and counted.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use weir_store::{Bounds, CloseSummary, LogReader, MemoryLog, Reader, Refusal};

use crate::health::Health;
use crate::metrics::{Drop, Metrics};
use crate::outlet::UntilClosed;
use crate::printer::Printer;

/// The name of the printer among the readers of the log.
pub const STDOUT: &str = "stdout";

/// So often the printer looks whether it is to end, and what was dropped.
const LOOK: Duration = Duration::from_millis(100);

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

/// What may wait for the printer.
fn bounds(bytes: usize) -> Bounds {
    Bounds {
        bytes: bytes as u64,
        age: None,
    }
}

/// Prints what comes into a log in memory until nobody has the outlet any more and all is
/// printed. A record is stored when it was printed.
pub fn print_from_memory(
    out: Box<dyn Write + Send>,
    (log, queue_bytes): (MemoryLog, usize),
    until_closed: &UntilClosed,
    (metrics, health): (&Metrics, &Health),
) {
    let mut reader = log.follow(STDOUT, bounds(queue_bytes));
    let (mut log, mut printer, mut told) = (Some(log), Printer::new(out), 0);
    loop {
        let next = reader.next_frame(LOOK);
        let dropped = reader.status().dropped.sum();
        metrics.drop_records(Drop::QueueFull, dropped - std::mem::replace(&mut told, dropped));
        match next {
            Ok(None) if until_closed.is_over() => drop(log.take()),
            Ok(None) => {}
            Ok(Some(frame)) => printer.print(&frame, |records, written| match written {
                Ok(()) => metrics.store(records),
                Err(why) => {
                    health.set_sink(Err(why.to_owned()));
                    metrics.drop_records(Drop::SinkFailed, records);
                }
            }),
            Err(_) => return,
        }
    }
}

/// Waits until nobody stores anything any more, then lets the store make segments of what
/// it has in memory.
///
/// # Errors
/// The disk took not all of that: how many records are lost.
pub fn close_at_the_end(
    store: weir_store::Writer,
    until_closed: &UntilClosed,
    metrics: &Metrics,
) -> Result<(), String> {
    until_closed.wait();
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

/// The printer's end of the log: at most so many bytes wait for it.
pub fn log_of(store: &Reader, bytes: usize) -> LogReader {
    store.follow_log(STDOUT, bounds(bytes))
}

/// Prints what is stored, until nothing more comes.
pub fn print_stored(out: Box<dyn Write + Send>, mut log: LogReader, metrics: &Metrics) {
    let mut printer = Printer::new(out);
    // A reader in memory reads no file that could fail: it ends when the store is closed.
    while let Ok(frame) = log.next_frame(LOOK) {
        if let Some(frame) = frame {
            printer.print(&frame, |records, written| {
                if written.is_err() {
                    metrics.leave_unprinted(records);
                }
            });
        }
    }
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
