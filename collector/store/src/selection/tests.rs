use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{StringViewArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::UInt64Type;

use super::*;
use crate::{Reader, Settings, open};

/// So many records from this time on, a second apart, between a few pods.
fn records(from: i64, count: usize) -> RecordBatch {
    let numbers = 0..count as u64;
    let times = numbers.clone().map(|n| from + n as i64 * 1_000_000);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    let names = |shift: u64| {
        let names = numbers.clone().map(|n| format!("pod-{}", (n + shift) % 5));
        StringViewArray::from_iter_values(names)
    };
    let columns: [(&str, ArrayRef); 5] = [
        ("time", Arc::new(times)),
        ("bytes", Arc::new(UInt64Array::from_iter_values(numbers.clone()))),
        (
            "primary",
            Arc::new(arrow::array::BooleanArray::from_iter(
                numbers.clone().map(|n| Some(n % 2 == 0)),
            )),
        ),
        ("pod_name", Arc::new(names(0))),
        ("dst_pod_name", Arc::new(names(1))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn sum(rows: &RecordBatch) -> u64 {
    rows["bytes"].as_primitive::<UInt64Type>().iter().flatten().sum()
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn what_was_chosen_is_a_store_with_all_tiers_and_names() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("a/chosen");
    let mut selection = Selection::begin(&target).unwrap();
    selection.segment_rows = 300;
    for part in 0..10 {
        selection.append(&records(part * 100_000_000, 100)).unwrap();
    }
    assert!(!target.exists());
    assert_eq!(selection.finish().unwrap(), 1_000);
    let view = Reader::open_dir(&target).unwrap().view(TimeRange::ALL);
    let tiers = [&view.raw, &view.minute, &view.hour];
    assert_eq!(tiers.map(Vec::len), [4, 4, 4]);
    let sums = tiers.map(|tier| {
        tier.iter()
            .map(|segment| sum(&segment.read().unwrap()))
            .sum::<u64>()
    });
    let primary = (0..100).step_by(2).sum::<u64>() * 10;
    assert_eq!(sums, [99 * 100 / 2 * 10, primary, primary]);
    assert_eq!(
        view.identities.batch().num_rows(),
        1 + 5,
        "nobody and five pods, each once"
    );
    assert_eq!(names(&directory.path().join("a")), ["chosen".to_owned()].into());
    // Whoever writes on in it numbers on.
    let (writer, reader, _) = open(Settings::new(&target)).unwrap();
    assert_eq!(reader.status().tiers[0].rows, 1_000);
    writer.close();
}

#[test]
fn nothing_that_was_chosen_is_an_empty_store() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("chosen");
    fs::create_dir(&target).unwrap();
    assert_eq!(Selection::begin(&target).unwrap().finish().unwrap(), 0);
    assert_eq!(
        Reader::open_dir(&target).unwrap().view(TimeRange::ALL).raw.len(),
        0
    );
}

#[test]
fn what_was_broken_off_is_never_taken_for_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("chosen");
    let mut selection = Selection::begin(&target).unwrap();
    selection.segment_rows = 10;
    selection.append(&records(0, 100)).unwrap();
    let growing = selection.growing.clone();
    let partial = |opened: Result<(), OpenError>| matches!(opened, Err(OpenError::Partial { .. }));
    assert!(partial(Reader::open_dir(&growing).map(|_| ())));
    assert!(partial(open(Settings::new(&growing)).map(|_| ())));
    assert!(matches!(
        Selection::begin(&target),
        Err(SelectionError::InUse { .. })
    ));
    // As after a crash: nobody removed it.
    let left = names(&growing);
    let copy = directory.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for name in left.iter().filter(|name| *name != LOCK) {
        fs::copy(growing.join(name), copy.join(name)).unwrap();
    }
    drop(selection);
    assert_eq!(names(directory.path()), ["copy".to_owned()].into());
    fs::rename(&copy, &growing).unwrap();
    let mut again = Selection::begin(&target).unwrap();
    again.append(&records(0, 3)).unwrap();
    assert_eq!(again.finish().unwrap(), 3);
    let rows = Reader::open_dir(&target).unwrap().status().tiers[0].rows;
    assert_eq!(rows, 3, "nothing of what was left is in it");
}

#[test]
fn nothing_of_others_is_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let taken = directory.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), "").unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [&taken, &file] {
        let refused = Selection::begin(path).unwrap_err();
        assert!(matches!(refused, SelectionError::NotEmpty(_)), "{refused}");
    }
    let beside = directory.path().join("chosen.unfinished");
    fs::rename(&taken, &beside).unwrap();
    let refused = Selection::begin(&directory.path().join("chosen")).unwrap_err();
    assert!(matches!(refused, SelectionError::NotEmpty(_)), "{refused}");
    assert!(beside.join("mine").exists());
    for none in ["/", ".."] {
        assert!(Selection::begin(Path::new(none)).is_err(), "{none}");
    }
    // What somebody puts there meanwhile stays.
    let target = directory.path().join("late");
    let selection = Selection::begin(&target).unwrap();
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "").unwrap();
    assert!(selection.finish().is_err());
    assert_eq!(names(&target), ["mine".to_owned()].into());
}

#[test]
fn records_of_another_type_or_without_time_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut selection = Selection::begin(&directory.path().join("chosen")).unwrap();
    let whole = records(0, 3);
    let timeless = whole.project(&[1, 2]).unwrap();
    assert!(matches!(selection.append(&timeless), Err(SelectionError::NoTime)));
    let bytes: ArrayRef = Arc::new(StringViewArray::from(vec!["1"; 3]));
    let odd = RecordBatch::try_from_iter([("time", Arc::clone(&whole["time"])), ("bytes", bytes)]).unwrap();
    assert!(matches!(selection.append(&odd), Err(SelectionError::Segment(_))));
    assert_eq!(selection.finish().unwrap(), 0);
}
