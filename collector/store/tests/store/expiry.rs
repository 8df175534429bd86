//! What is too old or too much goes, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

const DAY: i64 = 24 * 3_600 * 1_000_000;

/// A store with a record a day for five days, on a clock that is set by the test.
fn five_days(
    directory: &Path,
    age: Option<u64>,
    bytes: Option<u64>,
) -> (weir_store::Writer, Reader, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(START + 4 * DAY));
    let shown = Arc::clone(&clock);
    let kept = Retention {
        age: age.map(|days| Duration::from_hours(24 * days)),
        bytes,
    };
    let all = Retention {
        age: None,
        bytes: None,
    };
    let settings = Settings {
        retention: [kept, all, all, all],
        clock: Clock::new(move || shown.load(Ordering::Relaxed)),
        ..settings(directory)
    };
    let (mut writer, reader, _) = open(settings).unwrap();
    let mut flows = Flows::new(1, 5);
    for day in 0..5 {
        flows.now = START + day * DAY;
        writer.append(&flows.batch(1)).unwrap();
        writer.seal().unwrap();
    }
    (writer, reader, clock)
}

#[test]
fn old_records_expire_and_their_sums_live_on() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader, _) = five_days(directory.path(), Some(2), None);
    wait_until("two are expired, and all have sums", || {
        let status = reader.status();
        status.counts.expired_rows == 2 && status.tiers[2].segments == 5
    });
    let view = reader.view(TimeRange::ALL);
    assert_eq!((view.raw.len(), view.minute.len(), view.hour.len()), (3, 5, 5));
    assert_eq!(view.oldest[0], Some(START + 2 * DAY + 5));
    assert_eq!(files(directory.path(), "raw-").len(), 2 * 3);
    let cover = view.cover(Tier::Hour);
    assert_eq!((cover.hour.len(), cover.minute.len(), cover.raw.len()), (5, 0, 0));
    writer.close();
}

#[test]
fn too_many_bytes_make_the_oldest_expire() {
    let directory = tempfile::tempdir().unwrap();
    let (writer, reader, _) = five_days(directory.path(), None, Some(1));
    wait_until("one is left, and all have sums", || {
        let tiers = reader.status().tiers;
        tiers[0].segments == 1 && tiers[2].segments == 5
    });
    assert_eq!(reader.view(TimeRange::ALL).oldest[0], Some(START + 4 * DAY + 5));
    assert_eq!(
        reader.status().tiers[1].segments,
        5,
        "their sums are none too many"
    );
    writer.close();
}

#[test]
fn a_file_that_is_being_read_outlives_its_expiry() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, clock) = five_days(directory.path(), Some(4), None);
    let held = reader.view(TimeRange::ALL).raw.remove(0);
    clock.fetch_add(300_000_000, Ordering::Relaxed);
    writer.append(&numbered(0..1)).unwrap();
    writer.seal().unwrap();
    wait_until("the first is expired", || reader.status().counts.expired_rows > 0);
    assert_eq!(held.read().unwrap().num_rows(), 1);
    let path = held.path.clone();
    drop(held);
    wait_until("its file is gone", || !path.exists());
    writer.close();
}

#[test]
fn a_clock_that_leaps_ahead_expires_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, clock) = five_days(directory.path(), Some(30), None);
    clock.store(START + 4_000 * DAY, Ordering::Relaxed);
    let mut flows = Flows::new(1, 5);
    flows.now = START + 4_000 * DAY;
    writer.append(&flows.batch(10)).unwrap();
    writer.seal().unwrap();
    wait_until("the leap is noticed", || {
        reader.status().troubles.iter().any(|t| t.part == "clock")
    });
    let view = reader.view(TimeRange::ALL);
    assert_eq!((view.raw.len(), reader.status().counts.expired_rows), (6, 0));
    assert_eq!(
        view.raw[5].time,
        TimeRange::spanning(START + 4_000 * DAY + 5, START + 4_000 * DAY + 50)
    );
    // And back: what comes now is read where it belongs.
    clock.store(START + 5 * DAY, Ordering::Relaxed);
    flows.now = START + 5 * DAY;
    writer.append(&flows.batch(1)).unwrap();
    writer.seal().unwrap();
    let day = TimeRange::spanning(START + 5 * DAY, START + 6 * DAY);
    assert_eq!(reader.view(day).raw.len(), 1);
    writer.close();
}
