//! How long questions take over a day of flows of 10,000 endpoints.
//!
//! `cargo bench -p weir-query --bench query -- DIRECTORY [ROWS [ROUNDS]]`: fills
//! the directory with that many flows unless it has some, then asks. Prints one
//! JSON object a question. `scripts/bench-query` asks other engines the same.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[allow(dead_code, reason = "shared with tests")]
#[path = "../../store/tests/flows/mod.rs"]
mod flows;

use std::path::Path;
use std::time::{Duration, Instant};

use flows::{Flows, START};
use jiff::Timestamp;
use serde_json::json;
use weir_query::{Embedded, Engine, FlowsRequest, Limits, Measure, Moment, Question, Since, Until};
use weir_store::{Reader, Retention, Settings, open};

const DAY: i64 = 86_400_000_000;
const HOUR: i64 = DAY / 24;
const ENDPOINTS: usize = 10_000;
/// Records that are handed over at once.
const BATCH: usize = 4_096;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let directory = Path::new(arguments.first().expect("a directory is named"));
    if !directory.join("filled").exists() {
        fill(directory, number(1, 1_000_000));
    }
    let (mut opened, rounds) = (Vec::new(), number(2, 5));
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        let reader = Reader::open_dir(directory).unwrap();
        opened.push(began.elapsed().as_secs_f64());
        drop(reader);
    }
    let reader = Reader::open_dir(directory).unwrap();
    let segments = reader.status().tiers[0].segments;
    say(json!({ "query": "open", "seconds": median(opened), "segments": segments }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(ask_all(&Embedded::new(reader), rounds));
}

/// A day of flows.
fn fill(directory: &Path, rows: usize) {
    let kept = Retention {
        age: None,
        bytes: None,
    };
    let settings = Settings {
        retention: [kept; weir_store::Tier::ALL.len()],
        max_memory: 4 << 30,
        ..Settings::new(directory)
    };
    let (mut writer, _, _) = open(settings).unwrap();
    let mut flows = Flows::new(1, ENDPOINTS);
    flows.pace = (DAY / rows as i64).max(1);
    let (started, mut told) = (Instant::now(), 0);
    for done in (0..rows).step_by(BATCH) {
        let batch = flows.batch(BATCH.min(rows - done));
        while writer.append(&batch).is_err() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if done / 10_000_000 > told {
            told = done / 10_000_000;
            eprintln!("{done} rows after {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    writer.seal().unwrap();
    writer.close();
    std::fs::write(directory.join("filled"), rows.to_string()).unwrap();
}

fn question(filter: &str, group_by: &[&str], raw_only: bool) -> Question {
    let at = |micros| Moment::At(Timestamp::from_microsecond(micros).unwrap());
    Question {
        filter: filter.to_owned(),
        since: Since(at(START - START % HOUR)),
        until: Until(at(START - START % HOUR + DAY + 2 * HOUR)),
        group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
        measures: vec![Measure::Bytes, Measure::Flows],
        top: Some(20),
        raw_only,
        ..Question::default()
    }
}

async fn ask_all(engine: &Embedded, rounds: usize) {
    let cross = r#"zone != "" && dst_zone != "" && zone != dst_zone"#;
    let zones: &[&str] = &["zone", "dst_zone"];
    let pairs: &[&str] = &["ns", "dst_ns", "workload_name", "dst_workload_name"];
    for raw_only in [true, false] {
        for (name, filter, group_by) in [
            ("top workloads", "", &["workload_name"][..]),
            ("cross-zone", cross, zones),
            ("top pairs", "", pairs),
        ] {
            ask(engine, name, question(filter, group_by, raw_only), rounds).await;
        }
    }
    let at = |micros| Moment::At(Timestamp::from_microsecond(micros).unwrap());
    let point = Question {
        since: Since(at(START + 10 * HOUR)),
        until: Until(at(START + 11 * HOUR)),
        ..question(r#"addr == "10.128.3.232""#, &[], true)
    };
    ask(engine, "point search", point, rounds).await;
    let nobody = question(
        r#"addr == "10.255.255.1" || dst_addr == "10.255.255.1""#,
        &[],
        true,
    );
    ask(engine, "an address nobody has", nobody, rounds).await;
    let two = question(r#"ns == "team-1" && dst_ns == "team-2""#, &[], true);
    ask(engine, "two namespaces", two, rounds).await;
    newest_page(engine, rounds).await;
}

/// The newest records of all.
async fn newest_page(engine: &Embedded, rounds: usize) {
    let Question { since, until, .. } = question("", &[], true);
    let request = FlowsRequest {
        since,
        until,
        limit: Some(20),
        ..FlowsRequest::default()
    };
    let (mut seconds, mut rows_read) = (Vec::new(), 0);
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        let page = engine.flows(&request, &limits()).await.unwrap();
        seconds.push(began.elapsed().as_secs_f64());
        assert_eq!(page.rows.json().len(), 20);
        rows_read = page.stats.rows_read;
    }
    say(json!({
        "query": "newest page",
        "engine": "weir",
        "seconds": median(seconds),
        "rows_read": rows_read,
    }));
}

fn limits() -> Limits {
    Limits {
        threads: 2,
        memory: 4 << 30,
        ..Limits::default()
    }
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn say(line: serde_json::Value) {
    println!("{line}");
}

async fn ask(engine: &Embedded, name: &str, question: Question, rounds: usize) {
    let limits = limits();
    let mut seconds = Vec::new();
    let mut found = None;
    for _ in 0..rounds.max(1) {
        let began = Instant::now();
        found = Some(engine.answer(&question, &limits).await.unwrap());
        seconds.push(began.elapsed().as_secs_f64());
    }
    let found = found.unwrap();
    let rows = found.rows.json();
    let answered_by = if question.raw_only {
        "weir"
    } else {
        "weir, rollups"
    };
    say(json!({
        "query": name,
        "engine": answered_by,
        "seconds": median(seconds),
        "groups": found.groups,
        "bytes": found.totals.json()[0]["bytes"],
        "first": rows.first(),
        "rows_read": found.stats.rows_read,
    }));
    if std::env::var_os("EXPLAIN").is_some() {
        eprintln!("{}", engine.explain(&question, &limits).await.unwrap().plan);
    }
}
