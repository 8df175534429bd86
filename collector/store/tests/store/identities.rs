//! Who stands on the sides of rows, read for what is asked and no more.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const HOUR: i64 = 3_600_000_000;

/// Records of an hour between endpoints that no other hour has.
fn hour(number: i64) -> Vec<FlowRecord> {
    let mut flows = Flows::new(1, 10);
    flows.now = START + number * HOUR;
    let mut records = flows.batch(50);
    for record in &mut records {
        for side in [&mut record.src, &mut record.dst] {
            let mut identity = (*side.identity).clone();
            identity.name = format!("{}-{number}", identity.name).into();
            identity.ns = format!("ns-{number}").into();
            side.identity = identity.into();
        }
    }
    records
}

/// A store with a segment for each hour.
fn hours(directory: &Path, hours: std::ops::Range<i64>) {
    let (mut writer, _, _) = open(settings(directory)).unwrap();
    for number in hours {
        writer.append(&hour(number)).unwrap();
        writer.seal().unwrap();
    }
    writer.close();
}

fn range(from: i64, until: i64) -> TimeRange {
    TimeRange {
        from: START + from * HOUR,
        until: START + until * HOUR,
    }
}

/// The file of the identities of a segment.
pub(super) fn beside(segment: &Path) -> PathBuf {
    segment
        .to_str()
        .unwrap()
        .replace(".flows.", ".identities.")
        .into()
}

/// Those who have a name.
fn names(view: &View) -> BTreeSet<String> {
    let names = view.identities.batch()["pod_name"].as_string_view();
    names
        .iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_view_has_the_identities_of_its_range_and_reads_no_others() {
    let directory = tempfile::tempdir().unwrap();
    hours(directory.path(), 0..4);
    for file in files(directory.path(), ".identities.parquet") {
        let name = file.file_name().unwrap().to_str().unwrap();
        if !name.contains("-4-4.") {
            fs::write(&file, "nothing").unwrap();
        }
    }
    for reader in [
        Reader::open_dir(directory.path()).unwrap(),
        open(settings(directory.path())).unwrap().1,
    ] {
        let view = reader.view(range(3, 4));
        assert_eq!((view.raw.len(), view.unreadable.len()), (1, 0));
        let names = names(&view);
        assert!(
            !names.is_empty() && names.iter().all(|name| name.ends_with("-3")),
            "{names:?}"
        );
        assert_eq!(reader.namespaces(range(3, 4)), ["ns-3".to_owned()].into());
        // Who asks for the others hears that they are broken.
        assert!(reader.view(range(0, 3)).raw.is_empty());
        assert_eq!(reader.status().unreadable.len(), 12);
    }
}

#[test]
fn sums_whose_records_expired_have_their_identities() {
    let directory = tempfile::tempdir().unwrap();
    hours(directory.path(), 0..3);
    for file in files(directory.path(), "raw-")
        .iter()
        .chain(&files(directory.path(), "minute-"))
    {
        if file.to_str().unwrap().contains("-1-1.") {
            fs::remove_file(file).unwrap();
        }
    }
    let reader = Reader::open_dir(directory.path()).unwrap();
    let view = reader.view(range(0, 1));
    assert_eq!(view.raw.len(), 0);
    // The hour after starts in the middle of a bucket, of which a part is before.
    assert_eq!((view.minute.len(), view.hour.len()), (1, 2));
    assert!(names(&view).iter().all(|name| name.ends_with("-0")) && names(&view).len() > 5);
    assert_eq!(reader.namespaces(range(0, 2)).len(), 2);
}

#[test]
fn views_of_one_range_share_the_table_and_rows_in_memory_add_to_it() {
    let directory = tempfile::tempdir().unwrap();
    hours(directory.path(), 0..2);
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let [one, other] = [0, 1].map(|_| reader.view(range(0, 2)));
    assert!(std::sync::Arc::ptr_eq(&one.identities, &other.identities));
    writer.append(&hour(2)).unwrap();
    writer.flush();
    let view = reader.view(range(1, 3));
    assert!(names(&view).iter().any(|name| name.ends_with("-2")));
    assert!(!names(&view).iter().any(|name| name.ends_with("-0")));
    assert_eq!(reader.namespaces(range(1, 3)).len(), 2);
    writer.close();
}

#[test]
fn no_id_is_given_twice_whatever_the_newest_segment_names() {
    let directory = tempfile::tempdir().unwrap();
    hours(directory.path(), 0..3);
    // The first one's again, which have low numbers; what an earlier version wrote says
    // nothing of the numbers that were given.
    hours(directory.path(), 0..1);
    for segment in files(directory.path(), ".flows.parquet") {
        if !segment.to_str().unwrap().contains("-2-2.") {
            super::faults::rewrite(&segment, "1", Clone::clone);
        }
    }
    hours(directory.path(), 3..4);
    hours(directory.path(), 4..5);
    let mut by_id = BTreeMap::new();
    let reader = Reader::open_dir(directory.path()).unwrap();
    let view = reader.view(TimeRange::ALL);
    assert_eq!(view.raw.len(), 6);
    for segment in view.raw.iter().chain(&view.minute).chain(&view.hour) {
        let table = segment.identities().unwrap();
        let ids = table["id"].as_primitive::<arrow::datatypes::UInt32Type>();
        let names = table["pod_name"].as_string_view();
        for (id, name) in ids.values().iter().zip(names.iter().flatten()) {
            let before = by_id.insert(*id, name.to_owned());
            assert!(before.is_none_or(|before| before == name), "{id} is {name} too");
        }
    }
    assert!(by_id.len() > 30);
}

#[test]
fn a_reader_of_the_log_gets_with_its_rows_whom_they_name() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let mut log = reader.follow_log("test", UNBOUNDED);
    for number in 0..3 {
        writer.append(&hour(number)).unwrap();
        writer.seal().unwrap();
    }
    for number in 0..3 {
        let batch = log.next_frame(Duration::from_secs(60)).unwrap().unwrap();
        let (rows, identities) = (batch.rows(), batch.identities());
        let names = identities.batch()["pod_name"].as_string_view();
        for id in rows["src_id"]
            .as_primitive::<arrow::datatypes::UInt32Type>()
            .values()
        {
            let name = names.value(identities.row(*id).unwrap());
            assert!(name.ends_with(&format!("-{number}")), "{name}");
        }
        assert_eq!(batch.batch().num_rows(), rows.num_rows());
    }
    writer.close();
}

#[test]
fn rows_in_memory_say_when_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    for number in 0..3 {
        writer.append(&hour(number)).unwrap();
        writer.flush();
    }
    let memory = reader.view(range(1, 3)).memory;
    assert_eq!(memory.len(), 2);
    for (batch, number) in memory.iter().zip(1..) {
        let hour = range(number, number + 1);
        assert!(hour.contains(&batch.time()), "{:?}", batch.time());
    }
    writer.close();
}
