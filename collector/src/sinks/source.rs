//! The store's log as a sink reads it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_api::fields::Column;
use weir_flow::Value;
use weir_query::{AnswerRows, FrameSelection, JsonLines, RowValues};
use weir_sink_formats::FlowRow;
use weir_sinks::{Counters, Next, Place, RowBatch, Source};
use weir_store::{Cursor, LogReader, NoFrame};

/// How long a log that cannot be read is left alone.
const UNREADABLE: Duration = Duration::from_secs(1);

/// A reader of the log behind a filter.
#[derive(Debug)]
pub struct LogSource {
    log: LogReader,
    selection: FrameSelection,
    counters: Arc<Counters>,
}

/// What of a frame went through.
#[derive(Debug)]
pub struct SelectedRows {
    place: Place,
    /// `None`: nobody could look at it, by a fault of ours.
    rows: Option<AnswerRows>,
    /// Rows of the frame.
    all: u64,
}

impl LogSource {
    /// What of this log goes through that filter.
    pub fn new(log: LogReader, selection: FrameSelection, counters: Arc<Counters>) -> Self {
        Self {
            log,
            selection,
            counters,
        }
    }
}

impl Source for LogSource {
    type Frame = SelectedRows;

    fn next(&mut self, within: Duration) -> Next<SelectedRows> {
        let frame = match self.log.next_frame(within) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Next::Nothing,
            Err(NoFrame::Closed) => return Next::Over,
            Err(NoFrame::Io(error)) => {
                if self.counters.hindered(format!("the log cannot be read: {error}")) {
                    tracing::warn!(%error, "a sink cannot read the log; it is tried again");
                }
                std::thread::sleep(UNREADABLE.min(within));
                return Next::Nothing;
            }
        };
        let Cursor { head, frame: number } = frame.cursor();
        // The same filter worked when the sink was checked: what fails now is a fault of ours.
        let rows = self.selection.select(&frame).inspect_err(
            |error| tracing::error!(%error, head, frame = number, "a frame cannot be filtered and goes to no sink"),
        );
        let rows = rows.ok();
        Next::Frame(SelectedRows {
            place: Place { head, frame: number },
            all: frame.batch().num_rows() as u64,
            rows,
        })
    }

    fn acknowledge(&mut self, through: Place) {
        self.log.acknowledge_before(Cursor {
            head: through.head,
            frame: through.frame + 1,
        });
    }
}

impl RowBatch for SelectedRows {
    fn place(&self) -> Place {
        self.place
    }

    fn rows(&self) -> u64 {
        self.rows.as_ref().map_or(0, AnswerRows::len) as u64
    }

    fn filtered(&self) -> u64 {
        let through = |rows: &AnswerRows| self.all.saturating_sub(rows.len() as u64);
        self.rows.as_ref().map_or(0, through)
    }

    fn unreadable(&self) -> u64 {
        if self.rows.is_none() { self.all } else { 0 }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        if let Some(rows) = self.rows.clone() {
            let lines = JsonLines::from(rows);
            lines.write(0..lines.len(), out);
        }
    }

    fn each(&self, take: &mut dyn FnMut(&dyn FlowRow)) {
        let Some(rows) = &self.rows else { return };
        let values = rows.values();
        for row in 0..values.len() {
            take(&Row { values: &values, row });
        }
    }
}

struct Row<'r> {
    values: &'r RowValues<'r>,
    row: usize,
}

impl FlowRow for Row<'_> {
    fn number(&self, column: Column) -> Option<u64> {
        match self.values.get(self.row, column)? {
            Value::Unsigned(number) => Some(number),
            Value::Flags(flags) => Some(flags.bits.into()),
            Value::Bool(yes) => Some(yes.into()),
            _ => None,
        }
    }

    fn address(&self, column: Column) -> Option<IpAddr> {
        match self.values.get(self.row, column)? {
            Value::Address(address) => Some(address),
            _ => None,
        }
    }

    fn mac(&self, column: Column) -> Option<[u8; 6]> {
        match self.values.get(self.row, column)? {
            Value::Mac(mac) => Some(mac),
            _ => None,
        }
    }

    fn time(&self, column: Column) -> Option<u64> {
        match self.values.get(self.row, column)? {
            Value::Time(ns) => Some(ns),
            _ => None,
        }
    }

    fn text(&self, column: Column) -> &str {
        match self.values.get(self.row, column) {
            Some(Value::Text(Cow::Borrowed(text))) => text,
            _ => "",
        }
    }
}
