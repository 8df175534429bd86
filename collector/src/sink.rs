//! Where records end: in the store, when there is one, and printed as JSON lines or
//! let go. A record counts as stored when the store has accepted it; without a
//! store, when it has left this process.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use crate::health::Health;
use crate::metrics::{Drop, Metrics};
use crate::queue::{Closed, Inbox};
use weir_flow::FlowRecord;
use weir_store::Refusal;

/// Octets that are gathered before they are written.
const CHUNK: usize = 64 << 10;

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

/// Takes records out of the queue until it is closed and empty; then the store
/// makes segments of what it has in memory.
pub fn run(
    sink: Sink,
    store: Option<weir_store::Writer>,
    inbox: &Inbox,
    metrics: Arc<Metrics>,
    health: &Health,
) {
    let mut writer = Writer {
        printer: Printer {
            sink,
            text: Vec::with_capacity(CHUNK * 2),
            held: 0,
            broken: false,
        },
        store,
        metrics,
    };
    loop {
        let next = match inbox.poll() {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => {
                writer.flush(health);
                inbox.wait()
            }
            Err(Closed) => Err(Closed),
        };
        match next {
            Ok(batch) => {
                writer.take(&batch, health);
                inbox.give_back(batch);
            }
            Err(Closed) => break,
        }
    }
    writer.flush(health);
    if let Some(store) = writer.store {
        store.close();
    }
}

/// Decides what becomes of each record. With a store that alone decides: what
/// cannot be printed as well is not lost.
struct Writer {
    printer: Printer,
    store: Option<weir_store::Writer>,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn take(&mut self, batch: &[FlowRecord], health: &Health) {
        let records = batch.len() as u64;
        if let Some(store) = &mut self.store {
            match store.append(batch) {
                Ok(()) => self.metrics.store(records),
                Err(refusal) => self.metrics.drop_records(refusal.into(), records),
            }
        }
        for record in batch {
            if self.printer.hold(record) >= CHUNK {
                self.flush(health);
            }
        }
        if self.printer.text.is_empty() {
            // Nothing is printed: there is no reason to wait for more.
            self.flush(health);
        }
    }

    fn flush(&mut self, health: &Health) {
        let (held, printed) = self.printer.flush(health);
        match (&self.store, printed) {
            (Some(_), _) => {}
            _ if held == 0 => {}
            (None, true) => self.metrics.store(held),
            (None, false) => self.metrics.drop_records(Drop::SinkFailed, held),
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

/// Writes lines, many at a time.
struct Printer {
    sink: Sink,
    text: Vec<u8>,
    /// Records since the last flush.
    held: u64,
    broken: bool,
}

impl Printer {
    /// Takes a record. Returns how many octets wait.
    fn hold(&mut self, record: &FlowRecord) -> usize {
        self.held += 1;
        if matches!(self.sink, Sink::Json(_)) && !self.broken {
            serde_json::to_writer(&mut self.text, record)
                .expect("a Vec takes what is written, and a record has only string keys");
            self.text.push(b'\n');
        }
        self.text.len()
    }

    /// Writes what waits. Returns how many records that were, and whether they were
    /// written.
    fn flush(&mut self, health: &Health) -> (u64, bool) {
        let held = std::mem::take(&mut self.held);
        let outcome = match &mut self.sink {
            Sink::Discard => return (held, true),
            Sink::Json(_) if held == 0 || self.broken => return (held, false),
            Sink::Json(out) => out.write_all(&self.text).and_then(|()| out.flush()),
        };
        self.text.clear();
        if let Err(error) = &outcome {
            self.fail(error, health);
        }
        (held, outcome.is_ok())
    }

    /// Nobody reads any more; there is nothing to try again.
    fn fail(&mut self, error: &std::io::Error, health: &Health) {
        self.broken = true;
        tracing::error!(%error, "records cannot be printed any more");
        health.set_sink(Err(format!("records cannot be printed: {error}")));
    }
}
