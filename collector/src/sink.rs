//! Where records end. In this first form: printed as JSON lines, or counted and
//! let go. A record counts as stored when it has left this process.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use crate::health::Health;
use crate::metrics::{Drop, Metrics};
use crate::queue::{Closed, Inbox};
use weir_flow::FlowRecord;

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

/// Takes records out of the queue until it is closed and empty.
pub fn run(sink: Sink, inbox: &Inbox, metrics: Arc<Metrics>, health: &Health) {
    let mut writer = Writer {
        sink,
        metrics,
        text: Vec::with_capacity(CHUNK * 2),
        held: 0,
        broken: false,
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
            Ok(batch) => writer.take(&batch, health),
            Err(Closed) => break writer.flush(health),
        }
    }
}

struct Writer {
    sink: Sink,
    metrics: Arc<Metrics>,
    text: Vec<u8>,
    /// Records in `text`.
    held: u64,
    broken: bool,
}

impl Writer {
    fn take(&mut self, batch: &[FlowRecord], health: &Health) {
        if matches!(self.sink, Sink::Discard) {
            return self.metrics.store(batch.len() as u64);
        }
        if self.broken {
            return self.metrics.drop_records(Drop::SinkFailed, batch.len() as u64);
        }
        for record in batch {
            serde_json::to_writer(&mut self.text, record)
                .expect("a Vec takes what is written, and a record has only string keys");
            self.text.push(b'\n');
            self.held += 1;
            if self.text.len() >= CHUNK {
                self.flush(health);
            }
        }
    }

    fn flush(&mut self, health: &Health) {
        let held = std::mem::take(&mut self.held);
        if held == 0 {
            return;
        }
        let outcome = match &mut self.sink {
            Sink::Discard => Ok(()),
            Sink::Json(_) if self.broken => Err(std::io::ErrorKind::BrokenPipe.into()),
            Sink::Json(out) => out.write_all(&self.text).and_then(|()| out.flush()),
        };
        self.text.clear();
        match outcome {
            Ok(()) => self.metrics.store(held),
            Err(error) => self.fail(&error, held, health),
        }
    }

    /// Nobody reads any more; there is nothing to try again.
    fn fail(&mut self, error: &std::io::Error, lost: u64, health: &Health) {
        self.metrics.drop_records(Drop::SinkFailed, lost);
        if !self.broken {
            self.broken = true;
            tracing::error!(%error, "records cannot be printed any more and are dropped from now on");
            health.set_sink(Err(format!("records cannot be printed: {error}")));
        }
    }
}
