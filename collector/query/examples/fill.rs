//! Fills a directory with named flows of the last hours, for who wants to look at them: the
//! tests of the web UI do. The same flows for the same number of rows, but for their time.
//!
//! `cargo run --example fill -- DIRECTORY [ROWS [HOURS]]`

#![allow(clippy::unwrap_used, reason = "a tool for tests fails by panicking")]

#[allow(dead_code, reason = "shared with tests")]
#[path = "../../store/tests/flows/mod.rs"]
mod flows;

use std::path::Path;
use std::time::Duration;

use flows::Flows;
use jiff::Timestamp;
use weir_flow::Verdict;
use weir_store::{Settings, open};

const HOUR: i64 = 3_600_000_000;
const ENDPOINTS: usize = 400;
/// Records that are handed over at once.
const BATCH: usize = 4_096;
/// One in so many is dropped.
const DROPPED: usize = 97;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.first().expect("a directory is named");
    let number = |at: usize, usual: i64| arguments.get(at).map_or(usual, |text| text.parse().unwrap());
    let (rows, hours) = (number(1, 100_000), number(2, 3));
    let (mut writer, _, _) = open(Settings::new(Path::new(directory))).unwrap();
    let mut flows = Flows::new(1, ENDPOINTS);
    flows.now = Timestamp::now().as_microsecond() - hours * HOUR;
    flows.pace = hours * HOUR / rows;
    let rows = usize::try_from(rows).unwrap();
    for done in (0..rows).step_by(BATCH) {
        let mut batch = flows.batch(BATCH.min(rows - done));
        for record in batch.iter_mut().step_by(DROPPED) {
            record.verdict = Verdict::Dropped;
            record.dropped_packets = record.packets;
            record.dropped_bytes = record.bytes;
        }
        while writer.append(&batch).is_err() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    writer.seal().unwrap();
    writer.close();
}
