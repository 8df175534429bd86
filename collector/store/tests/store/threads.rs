//! Several threads append at once.

use std::collections::BTreeMap;
use std::sync::Arc;

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

/// Appends the records of a thread, a few at a time, and says how many were taken.
fn append_all(appender: &Appender, thread: u64) -> Vec<u64> {
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
    let appenders: Vec<_> = (0..THREADS)
        .map(|thread| match thread {
            0 | 1 => writer.appender().clone(),
            _ => writer.appender().apart(),
        })
        .collect();
    std::thread::scope(|scope| {
        for (thread, appender) in (0..).zip(&appenders) {
            scope.spawn(move || assert_eq!(append_all(appender, thread).len() as u64, RECORDS));
        }
    });
    wait_until("all rows are seen", || {
        numbers(&reader.view(TimeRange::ALL)).len() == expected.len()
    });
    assert_eq!(sources(&reader.view(TimeRange::ALL)), expected);
    let summary = writer.close();
    assert_eq!((summary.logged_rows, summary.lost_rows), (0, 0));
    let reader = Reader::open_dir(directory.path()).unwrap();
    assert!(reader.status().tiers[0].segments > 1);
    assert_eq!(sources(&reader.view(TimeRange::ALL)), expected);
    assert_eq!(appenders[0].append(&numbered(0..1)), Err(Refusal::Behind));
}

#[test]
fn what_threads_append_while_the_store_is_closed_is_stored_or_refused() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let (writer, _, _) = open(settings(directory.path())).unwrap();
        let appenders: Vec<_> = (0..THREADS).map(|_| writer.appender().apart()).collect();
        let mut taken: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(&appenders)
                .map(|(thread, appender)| scope.spawn(move || append_all(appender, thread)))
                .collect();
            writer.close();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        taken.sort_unstable();
        let reader = Reader::open_dir(directory.path()).unwrap();
        assert_eq!(numbers(&reader.view(TimeRange::ALL)), taken);
    }
}
