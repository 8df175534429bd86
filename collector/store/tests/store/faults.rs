//! Files that are not what they should be, and disks that do not take any.

use super::identities::beside;
use super::*;

/// A store of three segments of ten rows each.
fn three(directory: &Path) -> Vec<PathBuf> {
    let (mut writer, _, _) = open(settings(directory)).unwrap();
    for start in [0, 10, 20] {
        writer.append(&numbered(start..start + 10)).unwrap();
        writer.seal().unwrap();
    }
    writer.close();
    let mut raw = files(directory, "raw-");
    raw.retain(|p| p.to_str().unwrap().contains("flows"));
    raw.sort_by_key(|p| p.to_str().unwrap().rsplit('-').next().map(str::to_owned));
    raw
}

#[test]
fn a_truncated_or_foreign_segment_is_named_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    let whole = fs::read(&segments[1]).unwrap();
    for (bytes, kind) in [
        (&whole[..whole.len() / 2], "damaged"),
        (b"no Parquet at all", "damaged"),
        (b"", "damaged"),
    ] {
        fs::write(&segments[1], bytes).unwrap();
        let (writer, reader, _) = open(settings(directory.path())).unwrap();
        let expected: Vec<_> = (0..10).chain(20..30).collect();
        let view = reader.view(TimeRange::ALL);
        assert_eq!(numbers(&view), expected);
        assert_eq!(
            (view.unreadable[0].path.as_path(), view.unreadable[0].kind),
            (segments[1].as_path(), kind)
        );
        drop(writer);
        assert!(segments[1].exists(), "what cannot be read is left for a human");
    }
}

#[test]
fn a_segment_whose_identities_nobody_has_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    let read = || {
        let reader = Reader::open_dir(directory.path()).unwrap();
        (numbers(&reader.view(TimeRange::ALL)), reader.status().unreadable)
    };
    for (tier, left) in [
        ("raw", 0..30),
        ("minute", 0..30),
        ("hour", 0..30),
        ("edges", 10..30),
    ] {
        let identities = files(directory.path(), "-1-1.identities");
        let identities = identities
            .iter()
            .find(|p| p.to_str().unwrap().contains(tier))
            .unwrap();
        fs::write(identities, "nothing").unwrap();
        assert_eq!(
            read().0,
            left.collect::<Vec<_>>(),
            "the sums' identities are as good: {tier}"
        );
    }
    let unreadable = read().1;
    assert_eq!(unreadable.len(), 4);
    assert!(unreadable.iter().any(|u| u.path == segments[0]));
}

#[test]
fn a_segment_that_a_query_found_broken_is_in_no_later_view() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    let (_writer, running, _) = open(settings(directory.path())).unwrap();
    for reader in [running, Reader::open_dir(directory.path()).unwrap()] {
        assert_eq!(reader.view(TimeRange::ALL).raw.len(), 3);
        let broken = weir_store::Unreadable {
            path: segments[1].clone(),
            kind: "damaged",
            reason: "a page that the disk changed".to_owned(),
        };
        // Several queries may have come upon it.
        for _ in 0..2 {
            assert_eq!(reader.put_aside(&broken), weir_store::Broken::PutAside);
        }
        let view = reader.view(TimeRange::ALL);
        assert_eq!((view.raw.len(), view.minute.len()), (2, 3));
        assert_eq!(numbers(&view), (0..10).chain(20..30).collect::<Vec<_>>());
        let named: Vec<_> = reader
            .status()
            .unreadable
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(named, [segments[1].clone()]);
        assert!(segments[1].exists());
    }
}

#[test]
fn identities_without_rows_are_removed_at_the_start_and_with_what_expires() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    fs::remove_file(&segments[0]).unwrap();
    fs::write(&segments[1], "no rows").unwrap();
    let limits = Retention {
        age: None,
        bytes: Some(1),
    };
    let (mut writer, reader, _) = open(Settings {
        retention: [limits; Tier::ALL.len()],
        ..settings(directory.path())
    })
    .unwrap();
    assert!(!beside(&segments[0]).exists() && beside(&segments[1]).exists());
    // As if the removal of an expired segment had stopped between its files.
    let left = beside(&segments[0]);
    fs::write(&left, "").unwrap();
    writer.append(&numbered(30..40)).unwrap();
    writer.seal().unwrap();
    wait_until("the last one alone is left", || {
        reader.status().tiers.iter().all(|tier| tier.segments == 1) && !left.exists()
    });
    assert!(
        beside(&segments[1]).exists(),
        "what cannot be read is left for a human"
    );
    writer.close();
}

#[test]
fn a_store_that_is_being_written_is_read_whole_while_its_segments_are_merged() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = open(settings(directory.path())).unwrap();
    let path = directory.path().to_owned();
    let done = std::sync::atomic::AtomicBool::new(false);
    let (done, counts) = (&done, &reader);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..80 {
                writer.append(&numbered(n * 10..n * 10 + 10)).unwrap();
                writer.seal().unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Release);
            writer.close();
        });
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            let before = counts.status().counts.sealed_rows;
            let reader = Reader::open_dir(&path).unwrap();
            let view = reader.view(TimeRange::ALL);
            let after = counts.status().counts.stored;
            let rows = view.raw.iter().map(|segment| segment.rows).sum::<u64>()
                + view
                    .memory
                    .iter()
                    .map(|batch| batch.num_rows() as u64)
                    .sum::<u64>();
            assert!(view.unreadable.is_empty(), "{:?}", view.unreadable);
            assert!(before <= rows && rows <= after, "{before} {rows} {after}");
        }
    });
    assert!(reader.status().counts.merged > 0);
    // Who holds a view on for longer, and comes upon what was merged since, looks again.
    let old = Reader::open_dir(&path).unwrap();
    let gone = old.view(TimeRange::ALL).raw[0].path.clone();
    let name = PathBuf::from(gone.to_str().unwrap().replace("raw-", "raw-000"));
    fs::rename(&gone, &name).unwrap();
    fs::rename(beside(&gone), beside(&name)).unwrap();
    let file = weir_store::Unreadable {
        path: gone,
        kind: "unreadable",
        reason: "no such file".to_owned(),
    };
    assert_eq!(old.put_aside(&file), weir_store::Broken::Gone);
    assert_eq!(numbers(&old.view(TimeRange::ALL)), (0..800).collect::<Vec<_>>());
    // What was put aside before stays so when the directory is listed anew.
    let broken = weir_store::Unreadable {
        path: old.view(TimeRange::ALL).raw[1].path.clone(),
        kind: "damaged",
        reason: "a page that the disk changed".to_owned(),
    };
    assert_eq!(old.put_aside(&broken), weir_store::Broken::PutAside);
    assert_eq!(old.put_aside(&file), weir_store::Broken::Gone);
    let view = old.view(TimeRange::ALL);
    assert!(view.raw.iter().all(|segment| segment.path != broken.path));
    let named: Vec<_> = view.unreadable.into_iter().map(|file| file.path).collect();
    assert_eq!(named, [broken.path]);
}

#[test]
fn a_segment_of_another_store_is_named() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    three(one.path());
    three(other.path());
    let name = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        one.path().join(name.replace("-1-1.", "-0-0."))
    };
    for file in files(other.path(), "-1-1.")
        .iter()
        .filter(|p| p.to_str().unwrap().contains("raw-"))
    {
        fs::copy(file, name(file)).unwrap();
    }
    let reader = Reader::open_dir(one.path()).unwrap();
    assert_eq!(numbers(&reader.view(TimeRange::ALL)), (0..30).collect::<Vec<_>>());
    assert_eq!(reader.status().unreadable.len(), 1);
    assert_eq!(reader.status().unreadable[0].kind, "foreign");
}

/// Writes the segment anew with other columns and another format.
pub(super) fn rewrite(segment: &Path, format: &str, change: impl Fn(&RecordBatch) -> RecordBatch) {
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::metadata::KeyValue;
    use parquet::file::properties::WriterProperties;
    let builder = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(segment).unwrap()).unwrap();
    let mut pairs = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .unwrap()
        .clone();
    pairs.retain(|pair| !["weir.format", "weir.next_id", "ARROW:schema"].contains(&pair.key.as_str()));
    pairs.push(KeyValue::new("weir.format".to_owned(), format.to_owned()));
    let rows = change(&builder.build().unwrap().next().unwrap().unwrap());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(pairs))
        .build();
    let file = fs::File::create(segment).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

fn with_column(rows: &RecordBatch, name: &str, column: arrow::array::ArrayRef) -> RecordBatch {
    let schema = rows.schema();
    let fields = schema
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .zip(rows.columns().iter().cloned());
    let others = fields.filter(|(other, _)| *other != name);
    RecordBatch::try_from_iter_with_nullable(others.chain([(name, column)]).map(|(name, column)| {
        let nullable = column.null_count() > 0;
        (name, column, nullable)
    }))
    .unwrap()
}

#[test]
fn segments_of_versions_with_more_and_fewer_columns_are_read_together() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    rewrite(&segments[0], "1", |rows| {
        let older = rows.schema().index_of("ttl").unwrap();
        let mut rows = rows.clone();
        rows.remove_column(older);
        let new: arrow::array::ArrayRef =
            std::sync::Arc::new(rows["bytes"].as_primitive::<UInt64Type>().clone());
        with_column(&rows, "a_field_of_the_future", new)
    });
    let reader = Reader::open_dir(directory.path()).unwrap();
    let view = reader.view(TimeRange::ALL);
    assert_eq!(numbers(&view), (0..30).collect::<Vec<_>>());
    let older = weir_store::schema::conform(&view.raw[0].read().unwrap(), &weir_store::schema::facts());
    assert_eq!(older["ttl"].null_count(), 10);
    assert!(older.column_by_name("a_field_of_the_future").is_none());
}

#[test]
fn a_newer_segment_and_one_with_a_column_of_another_type_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    rewrite(&segments[0], "99", Clone::clone);
    rewrite(&segments[1], "1", |rows| {
        let texts = std::iter::repeat_n("six", rows.num_rows());
        with_column(
            rows,
            "proto",
            std::sync::Arc::new(arrow::array::StringArray::from_iter_values(texts)),
        )
    });
    let reader = Reader::open_dir(directory.path()).unwrap();
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (20..30).collect::<Vec<_>>()
    );
    let mut found: Vec<_> = reader
        .status()
        .unreadable
        .iter()
        .map(|u| (u.kind, u.reason.clone()))
        .collect();
    found.sort();
    assert_eq!((found[0].0, found[1].0), ("newer", "schema"));
    assert!(
        found[0].1.contains("format 99") && found[1].1.contains("column proto"),
        "{found:?}"
    );
}

#[test]
fn what_a_newer_version_wrote_is_still_there_after_an_older_one_ran() {
    let directory = tempfile::tempdir().unwrap();
    let last = three(directory.path()).remove(2);
    let bytes = fs::read(&last).unwrap();
    rewrite(&last, "99", Clone::clone);
    // Nothing but its own name says that its head ever was.
    for sums in files(directory.path(), "-3-3.")
        .iter()
        .filter(|p| !p.to_str().unwrap().contains("raw-"))
    {
        fs::remove_file(sums).unwrap();
    }
    let (mut writer, _, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(30..40)).unwrap();
    writer.close();
    fs::write(&last, bytes).unwrap();
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    assert_eq!(numbers(&reader.view(TimeRange::ALL)), (0..40).collect::<Vec<_>>());
    writer.close();
}

#[test]
fn a_directory_that_cannot_be_written_is_told_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let error = open(settings(&directory.path().join("file"))).unwrap_err();
    assert!(error.to_string().contains("writable volume"), "{error}");
}

const DIRECTORY: &str = "WEIR_STORE_TEST_DIRECTORY";

/// Runs in a mount namespace of its own, where the directory is a disk of 4 MiB.
#[test]
#[ignore = "a part of another test, which runs it on a small disk"]
fn fill_a_small_disk() {
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    let small = Settings {
        seal_rows: 20_000,
        max_memory: 16 << 20,
        min_free: Some(0),
        ..settings(&directory)
    };
    let (mut writer, reader, _) = open(small).unwrap();
    let (mut next, mut stored) = (0, Vec::new());
    let refused = loop {
        match writer.append(&numbered(next..next + 1_000)) {
            Ok(()) => stored.extend(next..next + 1_000),
            // Sealing may be behind for a moment before the disk is full.
            Err(refused) if refused.as_str() == "store_full" => break refused,
            Err(_) => std::thread::park_timeout(Duration::from_millis(10)),
        }
        next += 1_000;
    };
    let status = reader.status();
    assert_eq!(
        (refused.as_str(), status.counts.refused_disk_full),
        ("store_full", 1_000)
    );
    assert_eq!(status.counts.stored, stored.len() as u64);
    assert!(
        status.troubles.iter().any(|t| t.full_disk),
        "{:?}",
        status.troubles
    );
    wait_until("what was taken is read all the same", || {
        numbers(&reader.view(TimeRange::ALL)) == stored
    });
    let room = format!("mount -o remount,size=256m {}", directory.display());
    assert!(
        std::process::Command::new("sh")
            .args(["-c", &room])
            .status()
            .unwrap()
            .success()
    );
    wait_until("the store is well again", || reader.status().troubles.is_empty());
    next += 1_000;
    wait_until("rows are taken again", || {
        writer.append(&numbered(next..next + 1_000)).is_ok()
    });
    stored.extend(next..next + 1_000);
    writer.close();
    let reader = Reader::open_dir(&directory).unwrap();
    assert_eq!(numbers(&reader.view(TimeRange::ALL)), stored);
    assert_eq!(reader.status().memory_rows, 0, "all of it is sealed");
}

/// Runs an ignored test in a mount namespace of its own, after a command of the
/// shell that makes `$1`, the directory, into the disk that it is about.
fn on_disk(directory: &Path, mount: &str, test: &str) {
    let script = format!("{mount} && exec \"$2\" --exact faults::{test} --ignored");
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script, "sh"]);
    command.arg(directory).arg(std::env::current_exe().unwrap());
    let output = command.env(DIRECTORY, directory).output().unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[test]
fn a_full_disk_refuses_new_rows_keeps_the_old_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    on_disk(
        directory.path(),
        "mount -t tmpfs -o size=4m none \"$1\"",
        "fill_a_small_disk",
    );
}

/// Runs on a disk of 512 KiB: however fast rows are sealed and their logs removed, it holds
/// fewer rows than memory does.
#[test]
#[ignore = "a part of another test, which runs it on a small disk"]
fn close_on_a_full_disk() {
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    let small = Settings {
        seal_rows: 20_000,
        max_memory: 16 << 20,
        min_free: Some(0),
        ..settings(&directory)
    };
    let (mut writer, reader, _) = open(small.clone()).unwrap();
    let mut next = 0;
    loop {
        match writer.append(&numbered(next..next + 1_000)) {
            Err(refused) if refused.as_str() == "store_full" => break,
            _ => next += 1_000,
        }
    }
    let counts = reader.status().counts;
    let summary = writer.close();
    let sealed = reader.status().counts.sealed_rows;
    assert_eq!(
        sealed + summary.logged_rows + summary.lost_rows,
        counts.stored,
        "each row once: {summary:?}"
    );
    assert!(
        summary.lost_rows > 0 && summary.reason == Some(weir_store::Refusal::DiskFull),
        "{summary:?}"
    );
    drop(reader);
    // What was said to be in the log is: the next start has it.
    let reader = Reader::open_dir(&directory).unwrap();
    let found = numbers(&reader.view(TimeRange::ALL)).len() as u64;
    assert_eq!(found, counts.stored - summary.lost_rows);
    assert_eq!(reader.status().memory_rows, summary.logged_rows);
}

#[test]
fn closing_on_a_full_disk_says_which_rows_are_sealed_logged_and_lost() {
    let directory = tempfile::tempdir().unwrap();
    on_disk(
        directory.path(),
        "mount -t tmpfs -o size=512k none \"$1\"",
        "close_on_a_full_disk",
    );
}

/// Runs on a disk of 5 MiB.
#[test]
#[ignore = "a part of another test, which runs it on a small disk"]
fn go_on_on_a_full_disk() {
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    let small = Settings {
        seal_rows: 10_000,
        max_memory: 3 << 20,
        ..settings(&directory)
    };
    let (mut writer, reader, _) = open(small).unwrap();
    // More than the disk holds.
    let (mut next, mut refused, mut behind) = (0, 0, 0);
    while next < 300_000 && behind < 3_000 && refused == 0 {
        match writer.append(&numbered(next..next + 1_000)) {
            Ok(()) => (next, behind) = (next + 1_000, 0),
            // Sealing may be behind, however long it takes, as long as it gets on.
            Err(reason) if reason.as_str() == "store_behind" => {
                behind += 1;
                std::thread::park_timeout(Duration::from_millis(10));
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 0, "{:?}", reader.status().troubles);
    let summary = writer.close();
    assert_eq!((summary.lost_rows, summary.logged_rows), (0, 0), "{summary:?}");
    let status = reader.status();
    assert!(status.counts.expired_early_rows > 0);
    let left = numbers(&reader.view(TimeRange::ALL));
    assert_eq!(left.last(), Some(&299_999), "the newest are there");
    assert_eq!(left.len() as u64 + status.counts.expired_early_rows, 300_000);
}

#[test]
fn on_a_full_disk_the_oldest_records_expire_before_a_new_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    on_disk(
        directory.path(),
        "mount -t tmpfs -o size=5m none \"$1\"",
        "go_on_on_a_full_disk",
    );
}

#[test]
fn the_oldest_records_expire_where_less_is_free_than_is_to_stay_so() {
    let directory = tempfile::tempdir().unwrap();
    three(directory.path());
    let bytes = |tier: &str| -> u64 {
        let files = files(directory.path(), tier);
        files
            .iter()
            .map(|file| file.metadata().map_or(0, |m| m.len()))
            .sum()
    };
    let (all, records) = (bytes(".parquet"), bytes("raw-"));
    let (total, path) = (all * 2, directory.path().to_owned());
    let used = move || -> u64 {
        let files = files(&path, ".parquet");
        files
            .iter()
            .map(|file| file.metadata().map_or(0, |m| m.len()))
            .sum()
    };
    let short = Settings {
        min_free: Some(all + records / 3 + 10),
        disk: weir_store::Disk::new(move |_| {
            let free = total - used();
            Ok(weir_store::DiskSpace { free, total })
        }),
        ..settings(directory.path())
    };
    let (writer, reader, _) = open(short).unwrap();
    wait_until("two of three are expired", || {
        reader.status().counts.expired_early_rows == 20
    });
    let status = reader.status();
    assert_eq!((status.tiers[0].segments, status.tiers[2].segments), (1, 3));
    assert!(status.troubles.iter().any(|trouble| trouble.part == "disk"));
    assert_eq!(status.disk.map(|space| space.total), Some(total));
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (20..30).collect::<Vec<_>>()
    );
    writer.close();
}

#[test]
fn a_read_only_disk_is_told_and_can_still_be_read() {
    let directory = tempfile::tempdir().unwrap();
    three(directory.path());
    let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    on_disk(directory.path(), mount, "open_a_read_only_disk");
}

#[test]
#[ignore = "a part of another test, which runs it on a read-only disk"]
fn open_a_read_only_disk() {
    let directory = PathBuf::from(std::env::var(DIRECTORY).unwrap());
    let error = open(settings(&directory)).unwrap_err();
    assert!(
        matches!(error, OpenError::Write { .. }) && error.to_string().contains("Read-only"),
        "{error}"
    );
    let reader = Reader::open_dir(&directory).unwrap();
    assert_eq!(numbers(&reader.view(TimeRange::ALL)), (0..30).collect::<Vec<_>>());
}
