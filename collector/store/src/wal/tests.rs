use arrow::array::{ArrayRef, UInt32Array};

use super::*;

fn frame(rows: std::ops::Range<u32>) -> Frame {
    let ids: ArrayRef = Arc::new(UInt32Array::from_iter_values(rows));
    Frame {
        cursor: Cursor { head: 3, frame: 0 },
        named: None,
        batch: Batch::of_rows(RecordBatch::try_from_iter([("src_id", ids)]).unwrap()),
    }
}

/// A log of three frames of ten rows each, and where each frame ends.
fn log(directory: &Path) -> (PathBuf, Vec<u64>) {
    let mut log = Log::open(directory, 3, "abc").unwrap();
    let mut ends = Vec::new();
    for start in [0, 10, 20] {
        log.append(&frame(start..start + 10)).unwrap();
        ends.push(log.length);
    }
    (path(directory, 3), ends)
}

#[test]
fn a_log_gives_back_what_was_appended() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = log(directory.path());
    assert_eq!(list(directory.path()).unwrap(), [(3, path.clone())]);
    let (read, store) = read(&path, Some("abc")).unwrap();
    assert_eq!(store, "abc");
    assert_eq!(read.frames.len(), 3);
    assert_eq!(read.frames[2].batch, frame(20..30).batch);
    assert_eq!((read.torn, read.damaged, read.lost), (0, 0, 0));
}

#[test]
fn a_log_cut_anywhere_gives_back_its_whole_frames() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ends) = log(directory.path());
    let whole = fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let (read, _) = read(&path, Some("abc")).unwrap();
        let expected = ends.iter().filter(|end| **end <= cut as u64).count();
        assert_eq!(read.frames.len(), expected, "cut at {cut}");
        let start = ends.iter().rfind(|end| **end <= cut as u64).copied();
        let start = start.unwrap_or((HEADER as u64).min(cut as u64));
        assert_eq!(read.torn, cut as u64 - start, "cut at {cut}");
        assert!(read.lost == 0 || read.lost == 10, "cut at {cut}: {}", read.lost);
    }
}

#[test]
fn a_byte_changed_on_disk_costs_its_frame_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, ends) = log(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[ends[0] as usize + FRAME + 100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (read, _) = read(&path, Some("abc")).unwrap();
    assert_eq!((read.frames.len(), read.damaged, read.lost), (2, 1, 10));
}

#[test]
fn zeros_at_the_end_are_torn_and_no_frames() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = log(directory.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0; 4096]);
    fs::write(&path, bytes).unwrap();
    let (read, _) = read(&path, Some("abc")).unwrap();
    assert_eq!((read.frames.len(), read.torn, read.lost), (3, 4096, 0));
}

#[test]
fn the_log_of_another_store_or_program_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = log(directory.path());
    assert!(matches!(read(&path, Some("xyz")), Err(ReadError::OtherStore)));
    fs::write(&path, "some text that is no log of ours").unwrap();
    assert!(matches!(read(&path, None), Err(ReadError::Foreign)));
}
