//! The store from outside: what was appended is read, whatever happens between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod flows;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use flows::{Flows, START};
use weir_flow::FlowRecord;
use weir_store::{Batch, Bounds, Clock, OpenError, Reader, Retention, Settings, Tier, TimeRange, View, open};

#[path = "store/crash.rs"]
mod crash;
#[path = "store/edges.rs"]
mod edges;
#[path = "store/expiry.rs"]
mod expiry;
#[path = "store/faults.rs"]
mod faults;
#[path = "store/identities.rs"]
mod identities;
#[path = "store/log_readers.rs"]
mod log_readers;
#[path = "store/sums.rs"]
mod sums;
#[path = "store/threads.rs"]
mod threads;

/// Records whose `bytes` is their number.
fn numbered(numbers: std::ops::Range<u64>) -> Vec<FlowRecord> {
    let mut flows = Flows::new(7, 100);
    let number = |n: u64| {
        let mut record = flows.flow();
        record.bytes = Some(n);
        if n.is_multiple_of(7) {
            record.attributes = flows.attributes(5);
        }
        record
    };
    numbers.map(number).collect()
}

fn bytes_of(batch: &RecordBatch) -> Vec<u64> {
    batch["bytes"].as_primitive::<UInt64Type>().values().to_vec()
}

/// The numbers of all rows of a view, sorted.
fn numbers(view: &View) -> Vec<u64> {
    let sealed = view.raw.iter().map(|s| s.read().unwrap());
    let mut all: Vec<_> = sealed
        .chain(view.memory.iter().map(Batch::widen))
        .flat_map(|b| bytes_of(&b))
        .collect();
    all.sort_unstable();
    all
}

fn settings(directory: &Path) -> Settings {
    Settings {
        write_age: Duration::from_millis(20),
        sync_age: Duration::from_millis(50),
        clock: Clock::new(|| START + 1_000_000),
        ..Settings::new(directory)
    }
}

/// For readers of the log that lose nothing.
const UNBOUNDED: Bounds = Bounds {
    bytes: u64::MAX,
    age: None,
};

fn files(directory: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.to_str().unwrap().contains(part)).collect();
    files.sort();
    files
}

/// Waits until it holds; a minute at most.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("a minute went by without: {what}");
}

#[test]
fn rows_are_read_from_memory_then_from_a_segment_then_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, recovery) = open(settings(directory.path())).unwrap();
    assert_eq!(recovery, Default::default());
    writer.append(&numbered(0..3_000)).unwrap();
    writer.flush();
    let view = reader.view(TimeRange::ALL);
    assert_eq!((view.raw.len(), numbers(&view)), (0, (0..3_000).collect()));
    writer.seal().unwrap();
    let view = reader.view(TimeRange::ALL);
    assert_eq!((view.memory.len(), numbers(&view)), (0, (0..3_000).collect()));
    writer.append(&numbered(3_000..4_000)).unwrap();
    writer.close();
    assert_eq!(files(directory.path(), "wal-"), [] as [PathBuf; 0]);
    let reader = Reader::open_dir(directory.path()).unwrap();
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (0..4_000).collect::<Vec<_>>()
    );
    assert_eq!(reader.status().tiers[0].rows, 4_000);
}

/// The way to a directory from where the process is.
fn relative(directory: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap();
    let up = here.components().skip(1).map(|_| "..");
    up.collect::<PathBuf>().join(directory.strip_prefix("/").unwrap())
}

#[test]
fn a_directory_of_any_name_gives_files_that_are_found_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"\xff no text");
    for name in ["flows".as_ref(), "f\u{fc} ~ # % ? *".as_ref(), odd] {
        let path = relative(directory.path()).join(name);
        let (mut writer, reader, _) = open(settings(&path)).unwrap();
        writer.append(&numbered(0..10)).unwrap();
        writer.seal().unwrap();
        let from_directory = || Reader::open_dir(&path).unwrap();
        for reader in [reader, from_directory()] {
            let view = reader.view(TimeRange::ALL);
            assert_eq!((view.raw.len(), numbers(&view)), (1, (0..10).collect()));
            assert!(view.raw[0].path.is_absolute(), "{}", view.raw[0].path.display());
        }
        writer.close();
        let (writer, reader, _) = open(settings(&path)).unwrap();
        assert_eq!(numbers(&reader.view(TimeRange::ALL)).len(), 10, "{name:?}");
        writer.close();
    }
}

#[test]
fn a_row_has_what_the_record_has() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let records = numbered(0..200);
    writer.append(&records).unwrap();
    writer.seal().unwrap();
    let view = reader.view(TimeRange::ALL);
    let rows = view.raw[0].read().unwrap();
    let who = view.identities.batch()["pod_name"].as_string_view();
    for row in 0..rows.num_rows() {
        let record = &records[bytes_of(&rows)[row] as usize];
        for (side, column) in [(&record.src, "src_id"), (&record.dst, "dst_id")] {
            let id = rows[column]
                .as_primitive::<arrow::datatypes::UInt32Type>()
                .value(row);
            assert_eq!(
                who.value(view.identities.row(id).unwrap()),
                side.identity.pod_name()
            );
        }
        let ports = rows["dst_port"].as_primitive::<arrow::datatypes::UInt16Type>();
        assert_eq!(Some(ports.value(row)), record.dst.port);
        let address = rows["addr"].as_fixed_size_binary().value(row);
        assert!(
            record
                .src
                .addr
                .unwrap()
                .to_string()
                .ends_with(&address[15].to_string())
        );
        assert_eq!(rows["server"].as_string_view().value(row), record.server.as_str());
    }
    assert!(rows.column_by_name("l2_bytes").is_none(), "no record has it");
}

#[test]
fn a_view_has_only_what_has_rows_in_its_range() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut flows = Flows::new(1, 10);
    for hour in 0..3 {
        flows.now = START + hour * 3_600_000_000;
        writer.append(&flows.batch(10)).unwrap();
        writer.seal().unwrap();
    }
    flows.now = START + 3 * 3_600_000_000;
    writer.append(&flows.batch(10)).unwrap();
    writer.flush();
    let range = |from: i64, until: i64| TimeRange {
        from: START + from * 3_600_000_000,
        until: START + until * 3_600_000_000,
    };
    let count = |range| {
        let view = reader.view(range);
        (view.raw.len(), view.memory.len())
    };
    assert_eq!(count(range(0, 1)), (1, 0));
    assert_eq!(count(range(1, 3)), (2, 0));
    assert_eq!(count(range(2, 9)), (1, 1));
    assert_eq!(count(range(4, 9)), (0, 0));
    assert_eq!(reader.view(range(4, 9)).oldest[0], Some(START + 5));
}

#[test]
fn identities_have_the_same_numbers_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..500)).unwrap();
    writer.flush();
    let before = reader.view(TimeRange::ALL).identities.batch().num_rows();
    writer.close();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..500)).unwrap();
    writer.flush();
    assert_eq!(reader.view(TimeRange::ALL).identities.batch().num_rows(), before);
}

#[test]
fn a_second_writer_is_refused_and_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let (_writer, _, _) = open(settings(directory.path())).unwrap();
    let error = open(settings(directory.path())).unwrap_err();
    let OpenError::InUse { holder, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*holder, std::process::id().to_string());
    Reader::open_dir(directory.path()).unwrap();
}

#[test]
fn what_comes_faster_than_it_can_be_sealed_is_refused_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let small = Settings {
        max_memory: 1,
        ..settings(directory.path())
    };
    let (mut writer, reader, _) = open(small).unwrap();
    writer.append(&numbered(0..100)).unwrap();
    writer.flush();
    let refused = writer.append(&numbered(100..150)).unwrap_err();
    assert_eq!(refused.as_str(), "store_behind");
    let counts = reader.status().counts;
    assert_eq!((counts.stored, counts.refused_behind), (100, 50));
    writer.seal().unwrap();
    writer.append(&numbered(150..200)).unwrap();
    writer.close();
    assert_eq!(reader.status().tiers[Tier::Raw as usize].rows, 150);
}

#[test]
fn rows_that_take_much_memory_become_segments_before_there_are_many() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(Settings {
        seal_rows: 1 << 20,
        seal_age: Duration::from_secs(3_600),
        max_memory: 1 << 20,
        ..settings(directory.path())
    })
    .unwrap();
    for first in (0..20_000).step_by(500) {
        let records = numbered(first..first + 500);
        wait_until("there is room again", || writer.append(&records).is_ok());
    }
    writer.close();
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (0..20_000).collect::<Vec<_>>()
    );
}
