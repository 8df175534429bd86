//! Prints records, one JSON object a line, many lines at a time.

use std::io::Write;

use weir_flow::FlowRecord;

use crate::queue::{Closed, Inbox};

/// Bytes that are gathered before they are written.
const CHUNK: usize = 64 << 10;

/// Why records were not printed.
pub type Failure<'a> = &'a str;

/// Writes lines to one writer, until that fails for good.
pub struct Printer {
    out: Box<dyn Write + Send>,
    text: Vec<u8>,
    /// Records since the last flush.
    held: u64,
    failure: Option<String>,
}

/// Prints what comes out of the queue until it is closed and empty. `report` is told
/// how many records were written, or not and why.
pub fn run(mut printer: Printer, inbox: &Inbox, mut report: impl FnMut(u64, Result<(), Failure<'_>>)) {
    loop {
        let next = match inbox.poll() {
            Ok(None) => {
                printer.flush(&mut report);
                inbox.wait()
            }
            Ok(Some(batch)) => Ok(batch),
            Err(Closed) => Err(Closed),
        };
        let Ok(batch) = next else { break };
        for record in &batch {
            if printer.hold(record) >= CHUNK {
                printer.flush(&mut report);
            }
        }
        inbox.give_back(batch);
    }
    printer.flush(&mut report);
}

impl Printer {
    /// A printer that writes there.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            text: Vec::with_capacity(CHUNK * 2),
            held: 0,
            failure: None,
        }
    }

    /// Takes a record. Returns how many bytes wait.
    fn hold(&mut self, record: &FlowRecord) -> usize {
        self.held += 1;
        if self.failure.is_none() {
            serde_json::to_writer(&mut self.text, record)
                .expect("a Vec takes what is written, and a record has only string keys");
            self.text.push(b'\n');
        }
        self.text.len()
    }

    /// Writes what waits.
    fn flush(&mut self, report: &mut impl FnMut(u64, Result<(), Failure<'_>>)) {
        let held = std::mem::take(&mut self.held);
        if held == 0 {
            return;
        }
        if self.failure.is_none() {
            let written = self.out.write_all(&self.text).and_then(|()| self.out.flush());
            self.text.clear();
            if let Err(error) = written {
                tracing::error!(%error, "records cannot be printed any more");
                // Nobody reads any more; there is nothing to try again.
                self.failure = Some(format!("records cannot be printed: {error}"));
            }
        }
        report(held, self.failure.as_deref().map_or(Ok(()), Err));
    }
}
