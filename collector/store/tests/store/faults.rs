//! Files that are not what they should be, and disks that do not take any.

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
    for (octets, kind) in [
        (&whole[..whole.len() / 2], "damaged"),
        (b"no Parquet at all", "damaged"),
        (b"", "damaged"),
    ] {
        fs::write(&segments[1], octets).unwrap();
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
fn a_segment_without_its_identities_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let segments = three(directory.path());
    let identities = segments[0].to_str().unwrap().replace("flows", "identities");
    fs::write(identities, "nothing").unwrap();
    let reader = Reader::open_dir(directory.path()).unwrap();
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (10..30).collect::<Vec<_>>()
    );
    assert_eq!(reader.status().unreadable[0].path, segments[0]);
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

#[test]
fn a_directory_that_cannot_be_written_is_told_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let error = open(settings(&directory.path().join("file"))).unwrap_err();
    assert!(error.to_string().contains("writable volume"), "{error}");
}
