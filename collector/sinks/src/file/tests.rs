use std::os::unix::fs::MetadataExt;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::testing::Frame;

fn spec(folder: &Path) -> FileSpec {
    FileSpec {
        path: folder.join("flows.json"),
        format: Format::Json,
        rotate: Rotation::default(),
        sync: false,
    }
}

fn archive(spec: &FileSpec) -> FileTarget {
    FileTarget::new(spec.clone(), "archive", "store")
}

/// All lines that were written, the oldest first.
fn lines(spec: &FileSpec) -> Vec<String> {
    let mut files = rotation::list(&spec.path).unwrap();
    files.sort();
    files.push(spec.path.clone());
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap_or_default())
        .collect();
    text.lines().map(str::to_owned).collect()
}

fn expected(frames: u64) -> Vec<String> {
    let frames = (0..frames).map(|frame| Frame::of(1, frame, 3));
    frames
        .flat_map(|frame| (0..3).map(move |row| frame.line(row)))
        .collect()
}

fn write(target: &mut FileTarget, frames: std::ops::Range<u64>) {
    for frame in frames {
        target.take(&Frame::of(1, frame, 3)).unwrap();
    }
    target.flush().unwrap();
}

#[test]
fn rows_are_lines_and_who_may_not_cannot_read_them() {
    let folder = TempDir::new().unwrap();
    let spec = spec(folder.path());
    write(&mut archive(&spec), 0..2);
    assert_eq!(lines(&spec), expected(2));
    assert_eq!(fs::metadata(&spec.path).unwrap().mode() & 0o007, 0);
}

proptest! {
    /// `cut`: how many octets reached the disk of what was written behind the last position.
    #[test]
    fn after_kill_9_at_any_octet_each_row_stands_there_once(
        before in 0..5_u64,
        during in 1..4_u64,
        cut in 0..400_usize,
        rotates in any::<bool>(),
    ) {
        let folder = TempDir::new().unwrap();
        let mut spec = spec(folder.path());
        if rotates {
            spec.rotate.bytes = 150;
        }
        let mut target = archive(&spec);
        if before > 0 {
            write(&mut target, 0..before);
        }
        drop(target);
        let mut torn = Vec::new();
        for frame in before..before + during {
            Frame::of(1, frame, 3).write_json(&mut torn);
        }
        torn.truncate(cut);
        // It is opened before anything is written, which says where it is whole.
        archive(&spec).opened().unwrap();
        let mut file = OpenOptions::new().append(true).open(&spec.path).unwrap();
        file.write_all(&torn).unwrap();
        // Who reads the log shows again all that was not acknowledged, perhaps more.
        let mut again = archive(&spec);
        write(&mut again, before.saturating_sub(1)..before + during);
        prop_assert_eq!(lines(&spec), expected(before + during));
    }
}

#[test]
fn frames_of_another_store_or_sink_are_others_whatever_their_names() {
    let folder = TempDir::new().unwrap();
    let spec = spec(folder.path());
    for (sink, store) in [("a", "one"), ("a", "two"), ("b", "two")] {
        write(&mut FileTarget::new(spec.clone(), sink, store), 0..2);
    }
    assert_eq!(lines(&spec).len(), 18);
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing was moved aside"
    );
}

#[test]
fn somebody_elses_file_is_moved_aside_as_it_is() {
    let folder = TempDir::new().unwrap();
    let spec = spec(folder.path());
    let aside = |content: &[u8]| {
        let files = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().path());
        let mut found = files.filter(|file| file.to_string_lossy().contains("flows.json.found-"));
        found.any(|file| fs::read(file).unwrap() == content)
    };
    fs::write(&spec.path, b"no line's end").unwrap();
    write(&mut archive(&spec), 0..1);
    assert!(aside(b"no line's end"));
    assert_eq!(lines(&spec), expected(1));
    // A longer one in the place of ours.
    fs::remove_file(&spec.path).unwrap();
    fs::write(&spec.path, [b'x'; 5_000]).unwrap();
    write(&mut archive(&spec), 1..2);
    assert!(aside(&[b'x'; 5_000]));
    // Ours without its position, a message that is no line among them.
    let mut binary = spec.clone();
    binary.format = Format::Goflow2Proto;
    binary.path = folder.path().join("flows.bin");
    write(&mut archive(&binary), 0..2);
    let whole = fs::read(&binary.path).unwrap();
    fs::remove_file(folder.path().join("flows.bin.position")).unwrap();
    write(&mut archive(&binary), 2..3);
    let files = fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path());
    let kept = files.filter(|file| file.to_string_lossy().contains("flows.bin.found-"));
    assert_eq!(
        kept.map(|file| fs::read(file).unwrap()).collect::<Vec<_>>(),
        [whole]
    );
}

#[test]
fn a_link_is_refused_and_a_file_that_is_cut_while_it_is_open_is_gone_on_with() {
    let folder = TempDir::new().unwrap();
    let spec = spec(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "kept").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &spec.path).unwrap();
    let failure = archive(&spec).take(&Frame::of(1, 0, 3)).unwrap_err();
    assert!(failure.to_string().contains("it is a link"), "{failure}");
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
    fs::remove_file(&spec.path).unwrap();
    let mut target = archive(&spec);
    write(&mut target, 0..1);
    // As logrotate's copytruncate does.
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&spec.path)
        .unwrap();
    write(&mut target, 1..2);
    assert_eq!(lines(&spec), expected(2)[3..]);
}

#[test]
fn full_files_are_renamed_and_the_oldest_go_and_nobody_elses() {
    let folder = TempDir::new().unwrap();
    let mut spec = spec(folder.path());
    spec.rotate = Rotation {
        bytes: 1,
        age: None,
        keep: 3,
    };
    for name in [
        "flows-old.json",
        "flows-20261130T184500Z.json",
        "flows-20261130T184500Z-1-2.json",
    ] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let mut target = archive(&spec);
    for frame in 0..10 {
        write(&mut target, frame..frame + 1);
    }
    assert_eq!(rotation::list(&spec.path).unwrap().len(), 3);
    assert_eq!(lines(&spec), expected(10)[21..]);
    assert!(folder.path().join("flows-old.json").exists());
    assert!(folder.path().join("flows-20261130T184500Z-1-2.json").exists());
}

#[test]
fn a_file_that_somebody_moves_away_is_followed_by_a_new_one() {
    let folder = TempDir::new().unwrap();
    let spec = spec(folder.path());
    let mut target = archive(&spec);
    write(&mut target, 0..1);
    let moved = folder.path().join("moved");
    fs::rename(&spec.path, &moved).unwrap();
    write(&mut target, 1..2);
    assert_eq!(fs::read_to_string(moved).unwrap().lines().count(), 3);
    assert_eq!(lines(&spec), expected(2)[3..]);
}

#[test]
fn a_folder_that_is_not_there_is_named_and_nothing_is_lost() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing");
    let spec = spec(&missing);
    let mut target = archive(&spec);
    let failure = target.take(&Frame::of(1, 0, 3)).unwrap_err();
    assert!(failure.to_string().contains("missing/flows.json"), "{failure}");
    target.reset();
    fs::create_dir(&missing).unwrap();
    write(&mut target, 0..1);
    assert_eq!(lines(&spec), expected(1));
}

#[test]
fn a_write_that_fails_in_the_middle_costs_no_row() {
    // `/dev/full` takes nothing; it is no file, which is told before anything is written.
    let full = FileSpec {
        path: "/dev/full".into(),
        ..spec(Path::new("/"))
    };
    let failure = archive(&full).take(&Frame::of(1, 0, 3)).unwrap_err();
    assert!(failure.to_string().contains("it is no file"), "{failure}");
    let folder = TempDir::new().unwrap();
    let spec = spec(folder.path());
    let mut target = archive(&spec);
    write(&mut target, 0..1);
    target.take(&Frame::of(1, 1, 3)).unwrap();
    // The file can be read alone from now on: what is written fails.
    target.open.as_mut().unwrap().file = File::open(&spec.path).unwrap();
    let failure = target.flush().unwrap_err();
    assert!(failure.to_string().contains("cannot write"), "{failure}");
    let mut file = OpenOptions::new().append(true).open(&spec.path).unwrap();
    file.write_all(b"{\"frame\":\"1-1\",\"ro").unwrap();
    target.reset();
    write(&mut target, 1..2);
    assert_eq!(lines(&spec), expected(2));
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_being_removed() {
    let folder = TempDir::new().unwrap();
    let mut spec = spec(folder.path());
    spec.rotate = Rotation {
        bytes: 1,
        age: None,
        keep: 2,
    };
    // The oldest, and no file.
    fs::create_dir(
        folder
            .path()
            .join("flows-20000101T000000Z-0000000001-0000000001.json"),
    )
    .unwrap();
    let mut target = archive(&spec);
    for frame in 0..6 {
        write(&mut target, frame..frame + 1);
    }
    assert_eq!(rotation::list(&spec.path).unwrap().len(), 2);
}

#[test]
fn an_old_file_is_rotated_though_nothing_comes() {
    let folder = TempDir::new().unwrap();
    let mut spec = spec(folder.path());
    spec.rotate.age = Some(Duration::from_nanos(1));
    let mut target = archive(&spec);
    target.take(&Frame::of(1, 0, 3)).unwrap();
    target.write(Place { head: 1, frame: 0 }).unwrap();
    assert!(rotation::list(&spec.path).unwrap().is_empty());
    target.idle().unwrap();
    assert_eq!(rotation::list(&spec.path).unwrap().len(), 1);
}

#[test]
fn messages_of_goflow2_stand_one_behind_the_other() {
    let folder = TempDir::new().unwrap();
    let mut spec = spec(folder.path());
    spec.format = Format::Goflow2Json;
    write(&mut archive(&spec), 0..2);
    assert!(
        lines(&spec)
            .iter()
            .all(|line| line.starts_with(r#"{"type":"IPFIX","#))
    );
    assert_eq!(lines(&spec).len(), 6);
    spec.path = folder.path().join("flows.bin");
    spec.format = Format::Goflow2Proto;
    write(&mut archive(&spec), 0..2);
    let octets = fs::read(&spec.path).unwrap();
    let (mut at, mut messages) = (0, 0);
    while at < octets.len() {
        at += 1 + usize::from(octets[at]);
        messages += 1;
    }
    assert_eq!((at, messages), (octets.len(), 6));
}
