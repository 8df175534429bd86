//! What those who watch cost: processor time of the whole process for each record that is
//! appended, without anybody who watches and with four whose filter lets nothing through.
//!
//! `make bench-tail`, or `cargo bench --workspace --bench tail -- [RECORDS [ENDPOINTS [ROUNDS]]]`: prints one JSON
//! object a filter, medians of rounds in which nobody and four watch in turn. Records go in as fast as everybody takes them, so that none is missed.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[allow(dead_code, reason = "shared with tests")]
#[path = "../../store/tests/flows/mod.rs"]
mod flows;

use std::thread::{self, JoinHandle};
use std::time::Duration;

use flows::Flows;
use serde_json::json;
use weir_flow::FlowRecord;
use weir_query::{Embedded, Engine, Limits, RecordTail, TailRequest};
use weir_store::{Settings, open};

/// Those who watch.
const TAILS: usize = 4;
/// Records of a batch of the store.
const BATCH: usize = 8_192;
/// Batches that those who watch may be behind.
const AHEAD: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let (count, endpoints, rounds) = (number(0, 2_000_000), number(1, 10_000), number(2, 5));
    let mut made = Flows::new(1, endpoints);
    let records: Vec<Vec<FlowRecord>> = (0..count.div_ceil(BATCH)).map(|_| made.batch(BATCH)).collect();
    // The first run of all also fills the caches.
    run(&records, &[]);
    for (name, filters) in [
        ("four of facts", ["bytes < 0"; TAILS]),
        ("four of identities", [r#"ns == "nobody's""#; TAILS]),
        (
            "four of both ends",
            [r#"zone != "" && zone == dst_zone && bytes < 0"#; TAILS],
        ),
        (
            "four that differ",
            [
                "bytes < 0",
                r#"ns == "nobody's" || dst_ns == "nobody's""#,
                "dst_port == 443 && ttl > 300",
                r#"workload_name.matches("^none-[0-9]+$")"#,
            ],
        ),
    ] {
        let round = |_| (run(&records, &[]), run(&records, &filters));
        let (alone, watched) = (0..rounds.max(1)).map(round).unzip();
        let (alone, watched) = (median(alone), median(watched));
        println!(
            "{}",
            json!({
                "tails": name,
                "records": records.len() * BATCH,
                "endpoints": endpoints,
                "us_a_record_alone": alone,
                "us_a_record": watched,
                "more": watched - alone,
            })
        );
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// Microseconds of the processor a record.
fn run(records: &[Vec<FlowRecord>], filters: &[&str]) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let engine = Embedded::new(reader);
    let tails: Vec<_> = filters
        .iter()
        .map(|filter| watch(&runtime, &engine, filter))
        .collect();
    let before = processor_time();
    for (number, batch) in records.iter().enumerate() {
        while writer.append(batch).is_err() {
            thread::park_timeout(Duration::from_millis(5));
        }
        if number % AHEAD == AHEAD - 1 {
            // They catch up: what is missed would cost nothing.
            thread::park_timeout(Duration::from_millis(20));
        }
    }
    writer.flush();
    writer.close();
    for tail in tails {
        assert_eq!(tail.join().unwrap(), 0, "all was looked at");
    }
    let took = processor_time() - before;
    took.as_secs_f64() * 1e6 / (records.len() * BATCH) as f64
}

/// One who watches, on a thread of their own; it tells how many records they missed.
fn watch(runtime: &tokio::runtime::Runtime, engine: &Embedded, filter: &str) -> JoinHandle<u64> {
    let request = TailRequest {
        filter: filter.to_owned(),
        all_observations: true,
        ..TailRequest::default()
    };
    let mut tail: Box<dyn RecordTail> = runtime
        .block_on(engine.tail(&request, &Limits::default()))
        .unwrap();
    thread::spawn(move || {
        while let Ok(rows) = tail.next(Duration::from_secs(60)) {
            assert!(rows.is_none(), "nothing is let through");
        }
        tail.missed()
    })
}

/// That of the whole process so far (proc(5), fields 14 and 15, in hundredths of a second).
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}
