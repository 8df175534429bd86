//! Who reads the log: each frame at least once and in order, or its rows counted.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::UInt64Array;
use arrow::compute::is_not_null;
use proptest::prelude::*;
use weir_store::{Cursor, LogFrame, LogReader, LogReaderStatus, NoFrame, ReadLogError, Writer};

use super::*;

#[test]
fn readers_in_memory_see_each_row_as_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..10)).unwrap();
    writer.flush();
    let mut log = reader.follow_log("test", UNBOUNDED);
    writer.append(&numbered(10..20)).unwrap();
    let batch = log.next_frame(Duration::from_secs(60)).unwrap().unwrap();
    let rows = batch.rows();
    assert_eq!(bytes_of(&rows), (10..20).collect::<Vec<_>>());
    // Which are chosen is said of the batch, in whose order they are not yet.
    let chosen = batch.batch().widen()["bytes"]
        .as_primitive::<UInt64Type>()
        .unary_opt::<_, UInt64Type>(|bytes| (bytes % 3 == 0).then_some(bytes));
    let chosen = is_not_null(&chosen).unwrap();
    assert_eq!(bytes_of(&batch.chosen_rows(&chosen).unwrap()), [12, 15, 18]);
    assert_eq!(batch.chosen_rows(&chosen).unwrap().schema(), rows.schema());
    let too_many = is_not_null(&UInt64Array::from_iter_values(0..11)).unwrap();
    assert!(batch.chosen_rows(&too_many).is_err());
    assert_eq!(log.status().dropped.sum(), 0);
    writer.close();
    assert!(log.next_frame(Duration::from_secs(60)).is_err());
}

#[test]
fn one_in_memory_that_lags_beyond_its_bound_loses_the_oldest_and_each_row_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let bounds = Bounds {
        bytes: 200_000,
        age: None,
    };
    let mut log = reader.follow_log("test", bounds);
    for n in 0..100 {
        writer.append(&numbered(n..n + 1)).unwrap();
        writer.flush();
    }
    let lag = log.status();
    assert!(lag.lag_bytes <= bounds.bytes && lag.dropped.behind > 0, "{lag:?}");
    assert_eq!(lag.lag_rows + lag.dropped.behind, 100);
    let mut seen = Vec::new();
    while let Ok(Some(frame)) = log.next_frame(Duration::ZERO) {
        seen.extend(bytes_of(&frame.rows()));
    }
    assert_eq!(seen, (lag.dropped.behind..100).collect::<Vec<_>>());
    let status = log.status();
    assert_eq!((status.lag_rows, status.acknowledged_rows), (0, lag.lag_rows));
}

#[test]
fn long_texts_take_room_too() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.follow_log("test", UNBOUNDED);
    let mut waits = |names: usize| {
        let mut records = numbered(0..1);
        records[0].src.if_name = "v".repeat(names).as_str().into();
        writer.append(&records).unwrap();
        writer.flush();
        let waits = log.status().lag_bytes;
        next(&mut log).unwrap();
        waits
    };
    let (short, long) = (waits(30), waits(60_000));
    assert!(long >= short + 30_000, "{short} {long}");
}

#[test]
fn a_log_in_memory_is_read_from_memory_alone_and_ends() {
    let log = weir_store::MemoryLog::new().unwrap();
    let appender = log.appender().clone();
    let mut reader = log.follow("all", UNBOUNDED);
    let mut nothing = log.follow("nothing", Bounds { bytes: 0, age: None });
    // More than go into one head, so that who is named is told anew.
    let records = numbered(0..10_000);
    for _ in 0..30 {
        appender.append(&records).unwrap();
    }
    drop(log);
    assert!(appender.append(&records).is_err(), "it takes in nothing more");
    let (mut seen, mut heads) = (0, BTreeSet::new());
    while let Ok(frame) = reader.next_frame(Duration::from_secs(60)) {
        let frame = frame.unwrap();
        let (rows, identities) = (frame.rows(), frame.identities());
        let ids = rows["src_id"].as_primitive::<arrow::datatypes::UInt32Type>();
        assert!(ids.values().iter().all(|id| identities.row(*id).is_some()));
        seen += rows.num_rows() as u64;
        heads.insert(frame.cursor().head);
    }
    assert_eq!(seen, 300_000);
    assert!(heads.len() > 1, "{heads:?}");
    assert!(matches!(nothing.next_frame(Duration::ZERO), Err(NoFrame::Closed)));
    let status = nothing.status();
    assert_eq!((status.dropped.behind, status.lag_rows), (seen, 0));
}

/// Waits until all that was appended is in the log.
fn log_all(writer: &mut Writer, reader: &Reader) {
    writer.flush();
    wait_until("all is logged", || reader.status().unlogged_rows == 0);
}

fn kept(directory: &Path) -> usize {
    files(directory, "kept-").len()
}

fn next(log: &mut LogReader) -> Option<LogFrame> {
    log.next_frame(Duration::ZERO).unwrap()
}

fn numbers_of(frame: &LogFrame) -> BTreeSet<u64> {
    bytes_of(&frame.rows()).into_iter().collect()
}

#[test]
fn the_log_of_a_sealed_head_stays_until_the_last_reader_has_it_and_is_read_from_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut slow = reader.read_log("slow", UNBOUNDED).unwrap();
    let mut quick = reader.read_log("quick", UNBOUNDED).unwrap();
    for head in 0..3 {
        writer.append(&numbered(head * 100..head * 100 + 50)).unwrap();
        writer.flush();
        writer
            .append(&numbered(head * 100 + 50..head * 100 + 100))
            .unwrap();
        log_all(&mut writer, &reader);
        for _ in 0..2 {
            let frame = next(&mut quick).unwrap();
            assert!(quick.acknowledge(frame.cursor()));
        }
        writer.seal().unwrap();
    }
    wait_until("all logs are kept", || kept(directory.path()) == 3);
    assert_eq!(files(directory.path(), "wal-").len(), 0);
    let mut seen = Vec::new();
    while let Some(frame) = next(&mut slow) {
        let identities = frame.identities();
        let ids = frame.rows()["src_id"]
            .as_primitive::<arrow::datatypes::UInt32Type>()
            .clone();
        assert!(ids.values().iter().all(|id| identities.row(*id).is_some()));
        seen.extend(bytes_of(&frame.rows()));
        slow.acknowledge(frame.cursor());
    }
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
    wait_until("no log is kept", || kept(directory.path()) == 0);
    let status = slow.status();
    assert_eq!(
        (status.acknowledged_rows, status.lag_rows, status.lag_bytes),
        (300, 0, 0)
    );
    assert_eq!(status.dropped.sum(), 0);
    writer.close();
    assert!(matches!(
        slow.next_frame(Duration::from_secs(60)),
        Err(NoFrame::Closed)
    ));
}

#[test]
fn what_was_not_acknowledged_comes_again_after_a_restart_whatever_the_order_of_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    for n in 0..5 {
        writer.append(&numbered(n * 10..n * 10 + 10)).unwrap();
        writer.flush();
    }
    log_all(&mut writer, &reader);
    let shown: Vec<Cursor> = std::iter::from_fn(|| next(&mut log))
        .map(|frame| frame.cursor())
        .collect();
    assert_eq!(shown.len(), 5);
    for nth in [1, 0, 4, 3] {
        assert!(log.acknowledge(shown[nth]));
    }
    assert_eq!(log.status().cursor, shown[2]);
    assert_eq!((log.status().acknowledged_rows, log.status().lag_rows), (20, 30));
    writer.close();
    drop(log);
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    assert_eq!((log.status().acknowledged_rows, log.status().lag_rows), (20, 30));
    let again: Vec<Cursor> = std::iter::from_fn(|| next(&mut log))
        .map(|frame| frame.cursor())
        .collect();
    assert_eq!(again, shown[2..]);
    log.acknowledge_before(Cursor {
        head: u64::MAX,
        frame: 0,
    });
    assert_eq!((log.status().acknowledged_rows, log.status().lag_rows), (50, 0));
    // It has nothing of what comes, whatever it says, and so it is after a restart.
    writer.append(&numbered(50..60)).unwrap();
    log_all(&mut writer, &reader);
    assert_eq!(numbers_of(&next(&mut log).unwrap()), (50..60).collect());
    writer.close();
    drop(log);
    let (_writer, reader, _) = open(settings(directory.path())).unwrap();
    let log = reader.read_log("sink", UNBOUNDED).unwrap();
    assert_eq!((log.status().acknowledged_rows, log.status().lag_rows), (50, 10));
}

#[test]
fn what_is_acknowledged_after_the_store_was_closed_is_saved_and_the_directory_is_in_use_until_then() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    let idle = reader.read_log("idle", UNBOUNDED).unwrap();
    for n in 0..3 {
        writer.append(&numbered(n * 10..n * 10 + 10)).unwrap();
        writer.flush();
    }
    writer.close();
    let second = next(&mut log).and_then(|_| next(&mut log)).unwrap();
    log.acknowledge_before(Cursor {
        frame: second.cursor().frame + 1,
        ..second.cursor()
    });
    assert!(matches!(
        open(settings(directory.path())).unwrap_err(),
        OpenError::InUse { .. }
    ));
    drop(log);
    assert!(open(settings(directory.path())).is_err(), "another still reads");
    drop(idle);
    let late = reader.read_log("sink", UNBOUNDED);
    assert!(
        matches!(late, Err(ReadLogError::NotWritten)),
        "it is another's by now"
    );
    let (_writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    assert_eq!((log.status().acknowledged_rows, log.status().lag_rows), (20, 10));
    assert_eq!(numbers_of(&next(&mut log).unwrap()), (20..30).collect());
}

#[test]
fn rows_that_the_disk_changed_or_lost_are_counted_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    drop(reader.read_log("sink", UNBOUNDED).unwrap());
    for head in 0..2 {
        for part in 0..3 {
            let first = head * 300 + part * 100;
            writer.append(&numbered(first..first + 100)).unwrap();
            writer.flush();
        }
        log_all(&mut writer, &reader);
        writer.seal().unwrap();
    }
    writer.close();
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    wait_until("both are kept", || kept(directory.path()) == 2);
    let logs = files(directory.path(), "kept-");
    let mut bytes = fs::read(&logs[0]).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&logs[0], bytes).unwrap();
    fs::remove_file(&logs[1]).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    let mut seen = Vec::new();
    while let Some(frame) = next(&mut log) {
        seen.extend(bytes_of(&frame.rows()));
        log.acknowledge(frame.cursor());
    }
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
    let status = log.status();
    assert_eq!(
        (status.acknowledged_rows, status.dropped.lost, status.lag_rows),
        (200, 400, 0)
    );
    writer.close();
}

/// A closed store of so many heads of a hundred rows each that a reader has not seen.
fn closed_with_kept(directory: &Path, heads: u64) {
    let (mut writer, reader, _) = open(settings(directory)).unwrap();
    drop(reader.read_log("sink", UNBOUNDED).unwrap());
    for head in 0..heads {
        for part in [0, 50] {
            let first = head * 100 + part;
            writer.append(&numbered(first..first + 50)).unwrap();
            writer.flush();
        }
        log_all(&mut writer, &reader);
        writer.seal().unwrap();
    }
    writer.close();
}

/// All that waits, acknowledged.
fn drain(log: &mut LogReader) -> Vec<u64> {
    let mut seen = Vec::new();
    while let Some(frame) = next(log) {
        seen.extend(bytes_of(&frame.rows()));
        log.acknowledge(frame.cursor());
    }
    seen
}

#[test]
fn a_log_that_cannot_be_read_at_the_start_waits_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    closed_with_kept(directory.path(), 3);
    let [kept, aside] = ["kept-2", "aside"].map(|name| directory.path().join(name));
    fs::rename(&kept, &aside).unwrap();
    // Opening it is an error of the system.
    std::os::unix::fs::symlink("kept-2", &kept).unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    assert_eq!(log.status().lag_rows, 300);
    for part in [0..50, 50..100] {
        let frame = next(&mut log).unwrap();
        assert_eq!(numbers_of(&frame), part.collect());
        log.acknowledge(frame.cursor());
    }
    writer.append(&numbered(300..310)).unwrap();
    writer.seal().unwrap();
    wait_until("what was read goes", || {
        files(directory.path(), "kept-1").is_empty() && files(directory.path(), "wal-").is_empty()
    });
    for _ in 0..3 {
        assert!(matches!(log.next_frame(Duration::ZERO), Err(NoFrame::Io(_))));
    }
    assert_eq!(
        (log.status().acknowledged_rows, log.status().lag_rows),
        (100, 210)
    );
    fs::rename(&aside, &kept).unwrap();
    assert_eq!(drain(&mut log), (100..310).collect::<Vec<_>>());
    let status = log.status();
    assert_eq!(
        (status.acknowledged_rows, status.lag_rows, status.lag_bytes),
        (310, 0, 0)
    );
    assert_eq!(status.dropped.sum(), 0);
    writer.close();
}

#[test]
fn rows_whose_log_was_gone_at_the_start_are_counted_as_lost_once() {
    let directory = tempfile::tempdir().unwrap();
    closed_with_kept(directory.path(), 3);
    fs::remove_file(directory.path().join("kept-2")).unwrap();
    for is_first in [true, false] {
        let (writer, reader, _) = open(settings(directory.path())).unwrap();
        let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
        if is_first {
            // Shown, and not acknowledged: what is lost behind it comes again with it.
            assert_eq!((next(&mut log).is_some(), next(&mut log).is_some()), (true, true));
            assert_eq!(numbers_of(&next(&mut log).unwrap()), (200..250).collect());
        } else {
            let others: Vec<u64> = (0..100).chain(200..300).collect();
            assert_eq!(drain(&mut log), others);
        }
        writer.close();
    }
    let (_writer, reader, _) = open(settings(directory.path())).unwrap();
    let status = reader.read_log("sink", UNBOUNDED).unwrap().status();
    assert_eq!(
        (status.acknowledged_rows, status.dropped.lost, status.lag_rows),
        (200, 100, 0)
    );
}

#[test]
fn no_place_is_given_twice_where_segments_were_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    closed_with_kept(directory.path(), 3);
    for segment in files(directory.path(), ".parquet") {
        fs::remove_file(segment).unwrap();
    }
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    writer.append(&numbered(300..400)).unwrap();
    log_all(&mut writer, &reader);
    writer.seal().unwrap();
    let mut places = BTreeSet::new();
    let mut seen = Vec::new();
    while let Some(frame) = next(&mut log) {
        assert!(places.insert(frame.cursor()), "{places:?}");
        seen.extend(bytes_of(&frame.rows()));
        log.acknowledge(frame.cursor());
    }
    assert_eq!(seen, (0..400).collect::<Vec<_>>());
    assert_eq!((log.status().acknowledged_rows, log.status().lag_rows), (400, 0));
    writer.close();
}

#[test]
fn who_comes_back_with_smaller_bounds_has_no_more_waiting_than_they_allow() {
    let directory = tempfile::tempdir().unwrap();
    closed_with_kept(directory.path(), 2);
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    let log = reader.read_log("sink", Bounds { bytes: 1, age: None }).unwrap();
    let status = log.status();
    assert_eq!(
        (status.lag_rows, status.lag_bytes, status.dropped.behind),
        (0, 0, 200)
    );
    writer.close();
}

#[test]
fn a_store_opens_though_its_cursors_cannot_be_listed_and_keeps_the_logs_that_are_there() {
    let directory = tempfile::tempdir().unwrap();
    closed_with_kept(directory.path(), 2);
    let [readers, aside] = ["readers", "aside"].map(|name| directory.path().join(name));
    fs::rename(&readers, &aside).unwrap();
    fs::write(&readers, "no folder").unwrap();
    let (mut writer, _, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(200..250)).unwrap();
    writer.seal().unwrap();
    wait_until("what nobody needs goes", || {
        files(directory.path(), "wal-").is_empty()
    });
    writer.close();
    assert_eq!(kept(directory.path()), 2);
    fs::remove_file(&readers).unwrap();
    fs::rename(&aside, &readers).unwrap();
    fs::create_dir(readers.join("other.unfinished")).unwrap();
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    assert_eq!(drain(&mut log), (0..200).collect::<Vec<_>>());
    assert_eq!((log.status().dropped.lost, log.status().lag_rows), (50, 0));
    writer.close();
}

#[test]
fn what_is_no_log_of_the_store_is_left_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    closed_with_kept(directory.path(), 1);
    let other = directory.path().join("kept-0");
    fs::write(&other, "weirwal2 of another store, and more").unwrap();
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
    assert_eq!(drain(&mut log).len(), 100);
    wait_until("what was read goes", || kept(directory.path()) == 1);
    assert!(other.exists());
    writer.close();
}

#[test]
fn a_first_cursor_that_cannot_be_written_leaves_no_reader() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    fs::write(directory.path().join("readers"), "no folder").unwrap();
    let refused = reader.read_log("sink", UNBOUNDED);
    assert!(matches!(refused, Err(ReadLogError::Write(..))));
    assert_eq!(reader.log_status().readers(), []);
    writer.append(&numbered(0..100)).unwrap();
    log_all(&mut writer, &reader);
    writer.seal().unwrap();
    wait_until("its log is gone", || files(directory.path(), "wal-").is_empty());
    assert_eq!(kept(directory.path()), 0);
    writer.close();
}

#[test]
fn a_cursor_that_cannot_be_written_any_more_keeps_no_more_than_its_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let log = reader.read_log("sink", SMALL).unwrap();
    let folder = directory.path().join("readers");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "no folder").unwrap();
    let mut heads = 0;
    while log.status().dropped.behind < 500 {
        writer.append(&numbered(heads * 100..heads * 100 + 100)).unwrap();
        log_all(&mut writer, &reader);
        writer.seal().unwrap();
        heads += 1;
    }
    let bytes = || -> u64 {
        let logs = files(directory.path(), "kept-").into_iter();
        logs.filter_map(|log| Some(fs::metadata(log).ok()?.len())).sum()
    };
    wait_until("logs beyond the bound are gone", || {
        files(directory.path(), "wal-").is_empty() && bytes() <= 2 * SMALL.bytes
    });
    assert!(
        reader
            .status()
            .troubles
            .iter()
            .any(|trouble| trouble.part == "readers")
    );
    writer.close();
}

#[test]
fn who_reads_has_a_name_of_its_own_that_a_file_can_have() {
    let directory = tempfile::tempdir().unwrap();
    let (_writer, reader, _) = open(settings(directory.path())).unwrap();
    for name in ["", ".", "..", "a/b", "A", "a b", &"a".repeat(65)] {
        let refused = reader.read_log(name, UNBOUNDED);
        assert!(matches!(refused, Err(ReadLogError::Name(_))), "{name:?}");
    }
    let log = reader.read_log("a-b_1", UNBOUNDED).unwrap();
    let again = reader.read_log("a-b_1", UNBOUNDED);
    assert!(matches!(again, Err(ReadLogError::Attached(_))));
    assert!(!reader.forget_log_reader("a-b_1").unwrap(), "somebody reads");
    drop(log);
    assert_eq!(files(&directory.path().join("readers"), "a-b_1").len(), 1);
    assert!(reader.forget_log_reader("a-b_1").unwrap());
    assert_eq!(files(&directory.path().join("readers"), "a-b_1").len(), 0);
    let others = Reader::open_dir(directory.path()).unwrap();
    assert!(matches!(
        others.read_log("x", UNBOUNDED),
        Err(ReadLogError::NotWritten)
    ));
}

#[test]
fn a_cursor_that_cannot_be_read_begins_with_the_oldest_that_is_there() {
    for damage in [
        "",
        "{}",
        "no cursor",
        r#"{"format":1,"store":"STORE","head":18446744073709551615,"frame":0,"max_bytes":1,
        "acknowledged_rows":0,"dropped_rows":{"behind":0,"disk_short":0,"lost":0}}"#,
        r#"{"format":2,"store":"","head":9,"frame":0,"max_bytes":1,
        "acknowledged_rows":0,"dropped_rows":{"behind":0,"disk_short":0,"lost":0}}"#,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
        drop(reader.read_log("sink", UNBOUNDED).unwrap());
        writer.append(&numbered(0..50)).unwrap();
        writer.close();
        let damage = damage.replace("STORE", reader.store_name());
        fs::write(directory.path().join("readers/sink"), &damage).unwrap();
        let (_writer, reader, _) = open(settings(directory.path())).unwrap();
        let mut log = reader.read_log("sink", UNBOUNDED).unwrap();
        assert_eq!(numbers_of(&next(&mut log).unwrap()).len(), 50, "{damage}");
    }
}

#[test]
fn a_short_disk_gives_up_the_logs_of_readers_before_any_record() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_owned();
    let disk = weir_store::Disk::new(move |_| {
        let free = if kept(&place) > 2 { 999 } else { 1_000 };
        Ok(weir_store::DiskSpace { free, total: 20_000 })
    });
    let settings = Settings {
        disk,
        ..settings(directory.path())
    };
    let (mut writer, reader, _) = open(settings).unwrap();
    let log = reader.read_log("sink", UNBOUNDED).unwrap();
    for head in 0..3 {
        writer.append(&numbered(head * 100..head * 100 + 100)).unwrap();
        log_all(&mut writer, &reader);
        writer.seal().unwrap();
    }
    // House is kept whenever a log got its other name.
    wait_until("a log is given up", || log.status().dropped.disk_short > 0);
    wait_until("it is gone", || kept(directory.path()) == 2);
    assert_eq!(reader.status().counts.expired_early_rows, 0);
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (0..300).collect::<Vec<_>>()
    );
    let LogReaderStatus {
        lag_rows, dropped, ..
    } = log.status();
    assert_eq!((lag_rows, dropped.disk_short), (200, 100));
    writer.close();
}

/// What happens to a store and its readers.
#[derive(Debug, Clone)]
enum Event {
    Append(u64),
    Flush,
    Seal,
    /// A reader takes so many frames and acknowledges them, but for those that it is late with.
    Read(usize, usize),
    /// A reader acknowledges what it is late with, the latest first.
    CatchUp(usize),
    /// A reader ends and comes back.
    Reattach(usize),
    Close,
    /// The process ends, and of the last log so many bytes in a thousand are there.
    Crash(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..NAMES.len();
    prop_oneof![
        4 => (1..40u64).prop_map(Event::Append),
        2 => Just(Event::Flush),
        2 => Just(Event::Seal),
        4 => (who.clone(), 1..6usize).prop_map(|(who, frames)| Event::Read(who, frames)),
        2 => who.clone().prop_map(Event::CatchUp),
        1 => who.prop_map(Event::Reattach),
        1 => Just(Event::Close),
        1 => (0..=1_000u64).prop_map(Event::Crash),
    ]
}

/// The last one is bound.
const NAMES: [&str; 3] = ["quick", "slow", "bound"];
const SMALL: Bounds = Bounds {
    bytes: 60_000,
    age: None,
};

fn bounds(who: usize) -> Bounds {
    if who == 2 { SMALL } else { UNBOUNDED }
}

/// A reader as the test knows it.
struct Known {
    log: Option<LogReader>,
    /// What it was shown and has not acknowledged, in the order of the log.
    late: Vec<Cursor>,
    last: Option<Cursor>,
    seen: BTreeSet<u64>,
    /// Rows of frames that a crash took from it.
    cut: u64,
}

struct World {
    directory: tempfile::TempDir,
    writer: Option<Writer>,
    reader: Reader,
    readers: Vec<Known>,
    /// Sees and acknowledges all, so that the test knows the frames.
    witness: Option<LogReader>,
    frames: BTreeMap<Cursor, BTreeSet<u64>>,
    /// Frames that crashes took.
    gone: BTreeSet<Cursor>,
    appended: u64,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (writer, reader, _) = open(settings(directory.path())).unwrap();
        let known = |_: &&str| Known {
            log: None,
            late: Vec::new(),
            last: None,
            seen: BTreeSet::new(),
            cut: 0,
        };
        let mut world = Self {
            readers: NAMES.iter().map(known).collect(),
            witness: None,
            frames: BTreeMap::new(),
            gone: BTreeSet::new(),
            appended: 0,
            writer: Some(writer),
            reader,
            directory,
        };
        world.attach_all();
        world
    }

    fn attach_all(&mut self) {
        for who in 0..NAMES.len() {
            self.attach(who);
        }
        self.witness = Some(self.reader.read_log("witness", UNBOUNDED).unwrap());
    }

    fn attach(&mut self, who: usize) {
        let known = &mut self.readers[who];
        known.log = None;
        known.late.clear();
        let log = self.reader.read_log(NAMES[who], bounds(who)).unwrap();
        known.last = None;
        known.log = Some(log);
    }

    /// All that was appended is in the log, and the test knows its frames.
    fn settle(&mut self) {
        log_all(self.writer.as_mut().unwrap(), &self.reader);
        let witness = self.witness.as_mut().unwrap();
        while let Some(frame) = next(witness) {
            let numbers = numbers_of(&frame);
            let before = self.frames.insert(frame.cursor(), numbers.clone());
            assert!(
                before.is_none_or(|before| before == numbers),
                "one place, one content"
            );
            assert!(witness.acknowledge(frame.cursor()));
        }
    }

    fn read(&mut self, who: usize, frames: usize) {
        self.settle();
        let known = &mut self.readers[who];
        let log = known.log.as_mut().unwrap();
        for nth in 0..frames {
            let Some(frame) = next(log) else { return };
            assert!(known.last < Some(frame.cursor()), "in order");
            known.last = Some(frame.cursor());
            let numbers = numbers_of(&frame);
            assert_eq!(
                Some(&numbers),
                self.frames.get(&frame.cursor()),
                "one place, one content"
            );
            known.seen.extend(numbers);
            if nth % 3 == 1 {
                known.late.push(frame.cursor());
            } else {
                log.acknowledge(frame.cursor());
            }
        }
    }

    fn catch_up(&mut self, who: usize) {
        let known = &mut self.readers[who];
        for cursor in known.late.drain(..).rev() {
            known.log.as_ref().unwrap().acknowledge(cursor);
        }
    }

    /// Each row is in one of the three counts, and bounds hold.
    fn check(&mut self) {
        self.settle();
        let all: u64 = self.frames.values().map(|numbers| numbers.len() as u64).sum();
        for (who, known) in self.readers.iter().enumerate() {
            let status = known.log.as_ref().unwrap().status();
            let counted = status.acknowledged_rows + status.dropped.sum() + status.lag_rows;
            assert_eq!(counted + known.cut, all, "{status:?}");
            assert!(status.lag_bytes <= bounds(who).bytes, "{status:?}");
            assert!(who == 2 || status.dropped.sum() == 0, "{status:?}");
            assert_eq!((status.dropped.lost, status.dropped.disk_short), (0, 0));
        }
    }

    fn end(&mut self, crash: Option<u64>) {
        self.settle();
        let writer = self.writer.take().unwrap();
        match crash {
            Some(_) => drop(writer),
            None => drop(writer.close()),
        }
        let cursors: Vec<_> = self
            .readers
            .iter()
            .map(|known| known.log.as_ref().unwrap().status().cursor)
            .collect();
        for known in &mut self.readers {
            known.log = None;
        }
        self.witness = None;
        // The log of a head that is in a segment was synced before that.
        let head_of = |path: &PathBuf, before: &str, after: &str| -> u64 {
            let name = path.to_str().unwrap().strip_suffix(after).unwrap();
            name.rsplit(before).next().unwrap().parse().unwrap()
        };
        let raw = files(self.directory.path(), "raw-").into_iter();
        let raw = raw.filter(|path| path.to_str().unwrap().ends_with(".flows.parquet"));
        let sealed = raw.map(|path| head_of(&path, "-", ".flows.parquet")).max();
        let logs = files(self.directory.path(), "wal-").into_iter();
        let last = logs.max_by_key(|path| head_of(path, "-", ""));
        let last = last.filter(|path| Some(head_of(path, "-", "")) > sealed);
        if let (Some(share), Some(log)) = (crash, last) {
            let length = fs::metadata(&log).unwrap().len();
            let cut = fs::OpenOptions::new().write(true).open(&log).unwrap();
            cut.set_len(length * share / 1_000).unwrap();
        }
        let (writer, reader, _) = open(settings(self.directory.path())).unwrap();
        (self.writer, self.reader) = (Some(writer), reader);
        let there: BTreeSet<u64> = numbers(&self.reader.view(TimeRange::ALL)).into_iter().collect();
        let gone: Vec<_> = self
            .frames
            .iter()
            .filter(|(cursor, numbers)| !self.gone.contains(cursor) && !numbers.is_subset(&there))
            .map(|(cursor, numbers)| (*cursor, numbers.len() as u64))
            .collect();
        assert!(crash.is_some() || gone.is_empty(), "nothing is lost at a close");
        for (known, cursor) in self.readers.iter_mut().zip(cursors) {
            let cut = gone.iter().filter(|(place, _)| *place >= cursor);
            known.cut += cut.map(|(_, rows)| rows).sum::<u64>();
        }
        // Their rows are lost, their places stay taken.
        self.gone.extend(gone.iter().map(|(cursor, _)| cursor));
        self.attach_all();
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Append(rows) => {
                let end = self.appended + rows;
                self.writer
                    .as_mut()
                    .unwrap()
                    .append(&numbered(self.appended..end))
                    .unwrap();
                self.appended = end;
            }
            Event::Flush => self.writer.as_mut().unwrap().flush(),
            Event::Seal => self.writer.as_mut().unwrap().seal().unwrap(),
            Event::Read(who, frames) => self.read(*who, *frames),
            Event::CatchUp(who) => self.catch_up(*who),
            Event::Reattach(who) => self.attach(*who),
            Event::Close => self.end(None),
            Event::Crash(share) => self.end(Some(*share)),
        }
    }

    /// In the end all is read: what nobody was shown is counted.
    fn finish(mut self) {
        // Something has to be sealed for empty logs to go.
        self.happens(&Event::Append(1));
        self.check();
        for who in 0..NAMES.len() {
            self.catch_up(who);
            loop {
                let before = self.readers[who].seen.len();
                self.read(who, 1_000);
                self.catch_up(who);
                if self.readers[who].seen.len() == before {
                    break;
                }
            }
        }
        self.check();
        let there: BTreeSet<u64> = numbers(&self.reader.view(TimeRange::ALL)).into_iter().collect();
        for known in &self.readers {
            let status = known.log.as_ref().unwrap().status();
            assert_eq!((status.lag_rows, status.lag_bytes), (0, 0), "{status:?}");
            let unseen = there.difference(&known.seen).count() as u64;
            assert!(unseen <= status.dropped.behind, "{unseen} of {status:?}");
        }
        self.writer.as_mut().unwrap().seal().unwrap();
        let directory = self.directory.path();
        wait_until("no log is there that nobody needs", || {
            kept(directory) == 0 && files(directory, "wal-").is_empty()
        });
        self.writer.take().unwrap().close();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn each_reader_is_shown_each_frame_in_order_or_its_rows_are_counted_whatever_happens(
        events in prop::collection::vec(event(), 1..40)
    ) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
            if !matches!(event, Event::Append(_)) {
                world.check();
            }
        }
        world.finish();
    }
}
