//! The process dies at any moment.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

const DIRECTORY: &str = "WEIR_STORE_TEST_DIRECTORY";

/// Appends numbered records for ever, and says which are surely written: the
/// process itself waits for the log, as nobody else does.
#[test]
#[ignore = "a part of another test, which runs it as a process and kills it"]
fn append_until_killed() {
    let directory = std::env::var(DIRECTORY).unwrap();
    let small = Settings {
        seal_rows: 2_000,
        ..settings(Path::new(&directory))
    };
    let (mut writer, reader, _) = open(small).unwrap();
    let mut next = numbers(&reader.view(TimeRange::ALL))
        .last()
        .map_or(0, |last| last + 1);
    loop {
        let before = reader.status().counts.log_bytes;
        let end = next + 1 + next % 700;
        let _ = writer.append(&numbered(next..end));
        writer.flush();
        next = end;
        while reader.status().unlogged_rows > 0 {
            std::thread::yield_now();
        }
        assert!(reader.status().counts.log_bytes > before || reader.status().counts.sealed > 0);
        println!("written {next}");
    }
}

fn child(directory: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "crash::append_until_killed",
        "--ignored",
        "--nocapture",
    ]);
    command
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Lets it write `lines` lines, kills it, and says how much it had written.
fn kill_after(mut child: Child, lines: usize) -> u64 {
    let mut output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let number = |line: String| line.split_once("written ")?.1.parse().ok();
    let mut written = output.by_ref().filter_map(number).take(lines).last().unwrap_or(0);
    child.kill().unwrap();
    child.wait().unwrap();
    written = output.filter_map(number).last().unwrap_or(written);
    written
}

#[test]
fn a_killed_process_leaves_every_written_row_once() {
    let directory = tempfile::tempdir().unwrap();
    for lines in [3, 1, 17, 40, 9, 2, 60, 25] {
        let written = kill_after(child(directory.path()), lines);
        assert!(written > 0);
        // Without a writer first, then with one.
        let reader = Reader::open_dir(directory.path()).unwrap();
        let found = numbers(&reader.view(TimeRange::ALL));
        assert_eq!(
            found,
            (0..found.len() as u64).collect::<Vec<_>>(),
            "none twice, none missing"
        );
        assert!(found.len() as u64 >= written, "{} of {written}", found.len());
        let (writer, reader, recovery) = open(settings(directory.path())).unwrap();
        assert_eq!(numbers(&reader.view(TimeRange::ALL)), found);
        assert!(recovery.rows <= found.len() as u64);
        drop(writer);
    }
    assert_eq!(files(directory.path(), "unfinished"), [] as [PathBuf; 0]);
    let (writer, reader, _) = open(settings(directory.path())).unwrap();
    wait_until("no record lacks its edges", || {
        let view = reader.view(TimeRange::ALL);
        view.raw_without_edges().is_empty()
    });
    let view = reader.view(TimeRange::ALL);
    assert_eq!(edges::of_edges(&view.edges), edges::of_records(&view.raw));
    writer.close();
}

#[test]
fn rows_of_a_log_come_back_and_are_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..300)).unwrap();
    drop(writer);
    assert_eq!(files(directory.path(), "parquet").len(), 0);
    let log = &files(directory.path(), "wal-")[0];
    let whole = fs::read(log).unwrap();
    fs::write(log, [&whole[..], &[9, 1, 0, 0, 7]].concat()).unwrap();
    let (writer, reader, recovery) = open(settings(directory.path())).unwrap();
    assert_eq!(
        (recovery.rows, recovery.torn_bytes, recovery.lost_rows),
        (300, 5, 0)
    );
    assert_eq!(recovery.until, Some(START + 300 * 5));
    writer.close();
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (0..300).collect::<Vec<_>>()
    );
    assert_eq!(files(directory.path(), "wal-"), [] as [PathBuf; 0]);
}

#[test]
fn a_log_that_outlived_its_segment_is_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _, _) = open(settings(directory.path())).unwrap();
    writer.append(&numbered(0..300)).unwrap();
    drop(writer);
    let log = files(directory.path(), "wal-").remove(0);
    let bytes = fs::read(&log).unwrap();
    let (writer, _, _) = open(settings(directory.path())).unwrap();
    writer.close();
    // As if the crash had come between the segment and the removal of its log.
    fs::write(&log, bytes).unwrap();
    let (writer, reader, recovery) = open(settings(directory.path())).unwrap();
    assert_eq!(recovery.rows, 0);
    assert_eq!(
        numbers(&reader.view(TimeRange::ALL)),
        (0..300).collect::<Vec<_>>()
    );
    wait_until("the log is removed", || {
        files(directory.path(), "wal-").is_empty()
    });
    writer.close();
}
