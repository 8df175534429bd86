//! Prints frames of the flow log, one JSON object a record and line.

use std::fmt;
use std::io::Write;

use weir_query::JsonLines;
use weir_store::LogFrame;

/// Records that are written at a time, some tens of kibibytes.
const RECORDS: usize = 64;

/// Why records were not printed.
pub type Failure<'a> = &'a str;

/// Writes lines to one writer, until that fails for good.
pub struct Printer {
    out: Box<dyn Write + Send>,
    text: Vec<u8>,
    failure: Option<String>,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Printer")
    }
}

impl Printer {
    /// A printer that writes there.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            text: Vec::new(),
            failure: None,
        }
    }

    /// Prints a frame. `report` is told how many of its records were written, or not and
    /// why: each of them once.
    pub fn print(&mut self, frame: &LogFrame, mut report: impl FnMut(u64, Result<(), Failure<'_>>)) {
        let records = frame.batch().num_rows();
        if let Some(failure) = &self.failure {
            return report(records as u64, Err(failure));
        }
        let lines = match JsonLines::of(frame) {
            Ok(lines) => lines,
            Err(error) => {
                tracing::error!(%error, records, "records cannot be made lines of JSON");
                return report(records as u64, Err("records cannot be made lines of JSON"));
            }
        };
        for start in (0..records).step_by(RECORDS) {
            let end = records.min(start + RECORDS);
            lines.write(start..end, &mut self.text);
            self.flush();
            report((end - start) as u64, self.failure.as_deref().map_or(Ok(()), Err));
        }
    }

    /// Writes what is in `text`.
    fn flush(&mut self) {
        if self.failure.is_none() {
            let written = self.out.write_all(&self.text).and_then(|()| self.out.flush());
            if let Err(error) = written {
                tracing::error!(%error, "records cannot be printed any more");
                // Nobody reads any more; there is nothing to try again.
                self.failure = Some(format!("records cannot be printed: {error}"));
            }
        }
        self.text.clear();
    }
}
