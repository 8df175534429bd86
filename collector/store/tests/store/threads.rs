//! Several threads append at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier};

use arrow::datatypes::UInt32Type;
use weir_flow::{Identity, Kind};
use weir_store::{Appender, Refusal};

use super::*;

const THREADS: u64 = 4;
const RECORDS: u64 = 3_000;

/// Who is the source of a record: one whom all threads name as an object of their own, or
/// one of the thread's, of whom there are more all the time.
fn name(number: u64) -> String {
    match number % 3 {
        0 => format!("everybody-{}", number % 30),
        _ => format!("own-{}", number / 50),
    }
}

/// The records of a thread.
fn records_of(thread: u64) -> Vec<FlowRecord> {
    let first = thread * RECORDS;
    let mut records = numbered(first..first + RECORDS);
    let mut known = BTreeMap::new();
    for record in &mut records {
        let name = name(record.bytes.unwrap());
        let identity = known.entry(name.clone()).or_insert_with(|| {
            Arc::new(Identity {
                kind: Kind::Pod,
                name: name.into(),
                ..Identity::default()
            })
        });
        record.src.identity = Arc::clone(identity).into();
    }
    records
}

/// Appends records, a few at a time, and says which were taken.
fn append_all(appender: &Appender, records: &[FlowRecord]) -> Vec<u64> {
    let taken = records.chunks(61).filter(|some| appender.append(some).is_ok());
    taken.flatten().map(|record| record.bytes.unwrap()).collect()
}

/// The names of the sources by the number of the row, of all rows.
fn sources(view: &View) -> BTreeMap<u64, String> {
    let identities = &view.identities;
    let names = identities.batch()["pod_name"].as_string_view();
    let sealed = view.raw.iter().map(|segment| segment.read().unwrap());
    let batches = sealed.chain(view.memory.iter().map(Batch::widen));
    let rows = batches.flat_map(|rows| {
        let ids = rows["src_id"].as_primitive::<UInt32Type>().values().to_vec();
        bytes_of(&rows).into_iter().zip(ids)
    });
    let name = |id| names.value(identities.row(id).unwrap()).to_owned();
    let mut all = BTreeMap::new();
    for (number, id) in rows {
        assert_eq!(all.insert(number, name(id)), None, "{number} is there twice");
    }
    all
}

/// The same of each segment by itself: it has to have all whom it names.
fn sources_of_each(directory: &Path) -> BTreeMap<u64, String> {
    let alone = tempfile::tempdir().unwrap();
    let mut all = BTreeMap::new();
    for segment in files(directory, "raw-") {
        if !segment.to_str().unwrap().contains(".flows.") {
            continue;
        }
        let parts = [super::identities::beside(&segment), segment];
        let there = parts
            .each_ref()
            .map(|part| alone.path().join(part.file_name().unwrap()));
        for (part, there) in parts.iter().zip(&there) {
            fs::copy(part, there).unwrap();
        }
        all.append(&mut sources(
            &Reader::open_dir(alone.path()).unwrap().view(TimeRange::ALL),
        ));
        there.iter().for_each(|there| fs::remove_file(there).unwrap());
    }
    all
}

#[test]
fn rows_of_several_threads_are_each_read_once_with_whom_they_name() {
    let directory = tempfile::tempdir().unwrap();
    // Memtables change all the time, while others still gather rows for the one before.
    let settings = Settings {
        seal_rows: 500,
        write_age: Duration::from_millis(1),
        ..settings(directory.path())
    };
    let (writer, reader, _) = open(settings).unwrap();
    let expected: BTreeMap<_, _> = (0..THREADS * RECORDS).map(|n| (n, name(n))).collect();
    let appender = writer.appender();
    std::thread::scope(|scope| {
        for records in (0..THREADS).map(records_of) {
            scope.spawn(move || assert_eq!(append_all(appender, &records).len(), records.len()));
        }
    });
    wait_until("all rows are seen", || {
        numbers(&reader.view(TimeRange::ALL)).len() == expected.len()
    });
    assert_eq!(sources(&reader.view(TimeRange::ALL)), expected);
    let appender = writer.appender().clone();
    let summary = writer.close();
    assert_eq!((summary.logged_rows, summary.lost_rows), (0, 0));
    let reader = Reader::open_dir(directory.path()).unwrap();
    assert!(reader.status().tiers[0].segments > 1);
    assert_eq!(sources(&reader.view(TimeRange::ALL)), expected);
    assert_eq!(sources_of_each(directory.path()), expected);
    assert_eq!(appender.append(&numbered(0..1)), Err(Refusal::Behind));
}

#[test]
fn what_several_threads_appended_comes_back_from_the_log_with_whom_it_names() {
    let directory = tempfile::tempdir().unwrap();
    let settings = || Settings {
        seal_rows: 500,
        write_age: Duration::from_millis(1),
        ..settings(directory.path())
    };
    let (writer, _, _) = open(settings()).unwrap();
    let appender = writer.appender();
    std::thread::scope(|scope| {
        for records in (0..THREADS).map(records_of) {
            scope.spawn(move || append_all(appender, &records));
        }
    });
    // Not closed: what is in no segment stays in the logs of several memtables.
    drop(writer);
    let (_writer, reader, recovery) = open(settings()).unwrap();
    assert!(recovery.rows > 0);
    assert_eq!(recovery.lost_rows, 0);
    let expected: BTreeMap<_, _> = (0..THREADS * RECORDS).map(|n| (n, name(n))).collect();
    assert_eq!(sources(&reader.view(TimeRange::ALL)), expected);
}

#[test]
fn what_threads_append_while_the_store_is_closed_is_stored_or_refused() {
    let (mut all_taken, mut all_refused) = (0, 0);
    let records: Vec<_> = (0..THREADS).map(records_of).collect();
    for round in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let (writer, _, _) = open(settings(directory.path())).unwrap();
        let appender = writer.appender().clone();
        let start = Barrier::new(records.len() + 1);
        let mut taken: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = records
                .iter()
                .map(|records| {
                    let (start, appender) = (&start, &appender);
                    scope.spawn(move || {
                        start.wait();
                        append_all(appender, records)
                    })
                })
                .collect();
            start.wait();
            std::thread::park_timeout(Duration::from_micros(200 * round));
            let summary = writer.close();
            assert_eq!((summary.logged_rows, summary.lost_rows), (0, 0));
            let taken = threads.into_iter().map(|thread| thread.join().unwrap());
            taken.flatten().collect()
        });
        taken.sort_unstable();
        let reader = Reader::open_dir(directory.path()).unwrap();
        assert_eq!(numbers(&reader.view(TimeRange::ALL)), taken);
        all_taken += taken.len() as u64;
        all_refused += THREADS * RECORDS - taken.len() as u64;
    }
    assert!(all_taken > 0 && all_refused > 0, "{all_taken} {all_refused}");
}
