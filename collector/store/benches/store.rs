//! What it costs to store flows: processor time for each, from appending to the
//! sums by hour, and bytes on disk.
//!
//! `taskset -c 1 cargo bench -p weir-store --bench store -- [rows] [µs from row to row] [directory, or - for one of its own] [one in so many rows with attributes]`

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/flows/mod.rs"]
mod flows;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use flows::Flows;
use weir_store::{Reader, Retention, Settings, Tier, TimeRange, open};

/// Records that the collector's workers hand over at once.
const BATCH: usize = 1_024;
const ENDPOINTS: usize = 10_000;

fn main() {
    let numbers: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let number = |at: usize, default: usize| numbers.get(at).map_or(default, |n| n.parse().unwrap());
    let rows = number(0, 4 << 20);
    let mut flows = Flows::new(1, ENDPOINTS);
    flows.pace = number(1, 5) as i64;
    let temporary = tempfile::tempdir().unwrap();
    let directory = numbers.get(2).filter(|directory| *directory != "-");
    let directory = directory.map_or(temporary.path(), Path::new);
    let one_in = number(3, usize::MAX);
    // The records are of a day that is long past.
    let settings = Settings {
        retention: [Retention {
            age: None,
            bytes: None,
        }; Tier::ALL.len()],
        ..Settings::new(directory)
    };
    let (mut writer, reader, _) = open(settings).unwrap();
    let (mut making, mut appending, started) = (Duration::ZERO, Duration::ZERO, Instant::now());
    for _ in 0..rows.div_ceil(BATCH) {
        let before = thread_time();
        let mut batch = flows.batch(BATCH);
        for record in batch.iter_mut().skip(one_in - 1).step_by(one_in) {
            record.attributes = flows.attributes(6);
        }
        let made = thread_time();
        while writer.append(&batch).is_err() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        making += made - before;
        appending += thread_time() - made;
    }
    writer.seal().unwrap();
    writer.close();
    let wall = started.elapsed();
    let total = process_time().saturating_sub(making);
    let per_row = |time: Duration| time.as_nanos() as f64 / rows as f64;
    println!(
        "rows {rows}, {:.0} rows/s with making them, {:.0} rows/s of processor time without",
        rows as f64 / wall.as_secs_f64(),
        rows as f64 / total.as_secs_f64()
    );
    println!(
        "processor time a row: {:.0} ns, of which appending {:.0} ns",
        per_row(total),
        per_row(appending)
    );
    let counts = reader.status().counts;
    println!(
        "log {:.1} bytes a row; sealing took {:.0} ns a row",
        counts.log_bytes as f64 / rows as f64,
        counts.seal_ns as f64 / counts.sealed_rows as f64
    );
    for tier in Tier::ALL {
        let tiers = reader.status().tiers[tier as usize];
        println!(
            "{:<6} {} segments, {} rows, {:.2} bytes a raw row",
            tier.as_str(),
            tiers.segments,
            tiers.rows,
            tiers.bytes as f64 / rows as f64
        );
    }
    if let Some(segment) = reader.view(TimeRange::ALL).raw.first() {
        let file = fs::File::open(&segment.path).unwrap();
        columns(&file);
    }
    let opened = Instant::now();
    let reader = Reader::open_dir(directory).unwrap();
    println!(
        "opening to read: {:?}, {} identities",
        opened.elapsed(),
        reader.status().identities
    );
}

/// Bytes a row of each column, the largest first.
fn columns(file: &fs::File) {
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
    let loaded = ArrowReaderMetadata::load(file, ArrowReaderOptions::new()).unwrap();
    let mut sizes = std::collections::BTreeMap::<String, i64>::new();
    for group in loaded.metadata().row_groups() {
        for column in group.columns() {
            *sizes.entry(column.column_path().string()).or_default() += column.compressed_size();
        }
    }
    let rows = loaded.metadata().file_metadata().num_rows() as f64;
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, size)| -size);
    let sizes = sizes
        .iter()
        .map(|(name, size)| format!("{name} {:.2}", *size as f64 / rows));
    println!("bytes a row by column: {}", sizes.collect::<Vec<_>>().join(", "));
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Processor time of all threads, those that ended too (proc(5): utime and stime
/// in ticks of 10 ms).
fn process_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
