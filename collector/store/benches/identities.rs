//! What a store of many identities and segments costs: opening it, and a first look at
//! its last hour.
//!
//! `cargo bench --workspace --bench identities -- fill DIRECTORY [SEGMENTS [IDENTITIES OF EACH [ROWS OF EACH]]]`,
//! then `… -- look DIRECTORY`; `… -- copy DIRECTORY [TIMES]` makes many segments of the first one.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[allow(dead_code, reason = "shared with tests")]
#[path = "../tests/flows/mod.rs"]
mod flows;

use std::fs;
use std::path::Path;
use std::time::Instant;

use flows::{Flows, START};
use weir_store::{Reader, Retention, Settings, TimeRange, open};

const HOUR: i64 = 3_600_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |n| n.parse().unwrap());
    let directory = Path::new(arguments.get(1).expect("a directory is named"));
    match arguments[0].as_str() {
        "fill" => fill(directory, number(2, 200), number(3, 10_000), number(4, 20_000)),
        "copy" => copy(directory, number(2, 1_000)),
        _ => look(directory),
    }
}

fn settings(directory: &Path) -> Settings {
    let kept = Retention {
        age: None,
        bytes: None,
    };
    Settings {
        retention: [kept; weir_store::Tier::ALL.len()],
        max_memory: 4 << 30,
        // Segments stay as they are.
        seal_rows: 1 << 20,
        ..Settings::new(directory)
    }
}

/// A segment an hour, each with identities that no other has.
fn fill(directory: &Path, segments: usize, identities: usize, rows: usize) {
    let (mut writer, _, _) = open(settings(directory)).unwrap();
    for segment in 0..segments {
        let mut flows = Flows::new(1 + segment as u64, 1_000);
        flows.now = START + segment as i64 * HOUR;
        flows.pace = (HOUR / rows as i64).max(1);
        for at in (0..rows).step_by(1_000) {
            let mut batch = flows.batch(1_000.min(rows - at));
            for (n, record) in batch.iter_mut().enumerate() {
                let name = |side: usize| format!("pod-{segment}-{}", (2 * (at + n) + side) % identities);
                for (side, at) in [&mut record.src, &mut record.dst].into_iter().zip(0..) {
                    let mut identity = (*side.identity).clone();
                    identity.name = name(at).into();
                    side.identity = identity.into();
                }
            }
            while writer.append(&batch).is_err() {
                std::thread::park_timeout(std::time::Duration::from_millis(5));
            }
        }
        writer.seal().unwrap();
    }
    println!("{:?}", writer.close());
}

/// Many segments out of one, under other heads and in other hours.
fn copy(directory: &Path, times: usize) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((stem, end)) = name.split_once("-1-1.") else {
            continue;
        };
        let fields: Vec<_> = stem.split('-').collect();
        let at = |field: usize, hour: usize| fields[field].parse::<i64>().unwrap() + hour as i64 * HOUR;
        for n in 2..=times {
            let (from, to) = (at(1, n), at(2, n));
            let name = format!("{}-{from}-{to}-{n}-{n}.{end}", fields[0]);
            fs::hard_link(&path, directory.join(name)).unwrap();
        }
    }
}

fn look(directory: &Path) {
    let before = resident();
    let began = Instant::now();
    let (writer, reader, _) = open(settings(directory)).unwrap();
    println!(
        "open to write: {:?}, {} MiB resident",
        began.elapsed(),
        resident() - before
    );
    drop(writer);
    let began = Instant::now();
    let snapshot = Reader::open_dir(directory).unwrap();
    println!("open to read: {:?}", began.elapsed());
    drop(snapshot);
    let last = reader.status().tiers[0].time.unwrap().until;
    let hour = TimeRange {
        from: last - HOUR,
        until: last,
    };
    for _ in 0..2 {
        let began = Instant::now();
        let view = reader.view(hour);
        println!(
            "identities of the last hour: {} in {:?}, {} MiB resident in all",
            view.identities.batch().num_rows(),
            began.elapsed(),
            resident()
        );
    }
    let began = Instant::now();
    println!(
        "namespaces of all: {} in {:?}",
        reader.namespaces(TimeRange::ALL).len(),
        began.elapsed()
    );
    println!("{} MiB resident in all", resident());
}

/// Resident memory in MiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1_024
}
