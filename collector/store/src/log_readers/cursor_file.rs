//! Cursors on disk: `readers/<name>` in the store's directory, a line of JSON each,
//! replaced as a whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Bounds, DroppedRows, ReadLogError};
use crate::disk;
use crate::log_frame::Cursor;
use crate::name::{self, UNFINISHED};
use crate::wal;

const FOLDER: &str = "readers";
const FORMAT: u32 = 1;
const LONGEST_NAME: usize = 64;

/// What is on disk of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavedCursor {
    pub name: String,
    /// None: its file cannot be read, and it begins with the oldest that is there.
    pub cursor: Option<Cursor>,
    pub bounds: Bounds,
    pub acknowledged_rows: u64,
    pub dropped: DroppedRows,
}

/// Of a reader whose file cannot be read: what there is waits for it, within a bound.
impl Default for SavedCursor {
    fn default() -> Self {
        Self {
            name: String::new(),
            cursor: None,
            bounds: Bounds {
                bytes: 1 << 30,
                age: None,
            },
            acknowledged_rows: 0,
            dropped: DroppedRows::default(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    store: String,
    head: u64,
    frame: u64,
    max_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
    acknowledged_rows: u64,
    dropped_rows: DroppedRows,
}

pub(super) fn check_name(name: &str) -> Result<(), ReadLogError> {
    let is_good = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_good);
    is_name
        .then_some(())
        .ok_or_else(|| ReadLogError::Name(name.to_owned()))
}

pub(super) fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(FOLDER).join(name)
}

/// The cursors of a directory. Files of no name that a reader can have are left alone.
pub(super) fn list(directory: &Path, store: &str) -> io::Result<Vec<SavedCursor>> {
    let entries = match fs::read_dir(directory.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut saved = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if name::ends_with(&path, UNFINISHED) {
            if let Err(error) = disk::remove(&path) {
                tracing::warn!(path = %path.display(), %error, "what is left of a cursor cannot be removed");
            }
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| check_name(name).is_ok()) {
            saved.push(read(&path, name, store));
        }
    }
    Ok(saved)
}

/// The store that cursors are of: where nothing else is there yet, its name is theirs.
pub(crate) fn store_of(directory: &Path) -> Option<String> {
    let entries = fs::read_dir(directory.join(FOLDER)).ok()?;
    entries.flatten().find_map(|entry| {
        let bytes = fs::read(entry.path()).ok()?;
        let file: File = serde_json::from_slice(&bytes).ok()?;
        Some(file.store).filter(|store| !store.is_empty())
    })
}

fn read(path: &Path, name: &str, store: &str) -> SavedCursor {
    let unknown = |reason: String| {
        tracing::warn!(path = %path.display(), reason,
            "the cursor of a reader of the log cannot be used: it begins with the oldest that is there");
        SavedCursor {
            name: name.to_owned(),
            ..SavedCursor::default()
        }
    };
    let read = fs::read(path).map_err(|error| error.to_string());
    let file =
        read.and_then(|bytes| serde_json::from_slice::<File>(&bytes).map_err(|error| error.to_string()));
    match file {
        Ok(file) if file.head > wal::LAST_HEAD => unknown(format!("no log has a head {}", file.head)),
        Ok(file) if file.format == FORMAT && file.store == store => SavedCursor {
            name: name.to_owned(),
            cursor: Some(Cursor {
                head: file.head,
                frame: file.frame,
            }),
            bounds: Bounds {
                bytes: file.max_bytes,
                age: file.max_age_seconds.map(Duration::from_secs),
            },
            acknowledged_rows: file.acknowledged_rows,
            dropped: file.dropped_rows,
        },
        Ok(file) if file.format == FORMAT => unknown(format!("it is of another store, {:?}", file.store)),
        Ok(file) => unknown(format!(
            "it is of form {}, and this version reads {FORMAT}",
            file.format
        )),
        Err(reason) => unknown(reason),
    }
}

/// Replaces a cursor; it is on disk afterwards.
pub(super) fn write(directory: &Path, store: &str, saved: &SavedCursor) -> io::Result<()> {
    let Some(Cursor { head, frame }) = saved.cursor else {
        return Ok(());
    };
    let folder = directory.join(FOLDER);
    if !folder.exists() {
        fs::create_dir_all(&folder)?;
        disk::sync_directory(directory)?;
    }
    let file = File {
        format: FORMAT,
        store: store.to_owned(),
        head,
        frame,
        max_bytes: saved.bounds.bytes,
        max_age_seconds: saved.bounds.age.map(|age| age.as_secs()),
        acknowledged_rows: saved.acknowledged_rows,
        dropped_rows: saved.dropped,
    };
    disk::write_whole(&path(directory, &saved.name), |mut to| {
        serde_json::to_writer(&mut to, &file)?;
        to.write_all(b"\n")?;
        Ok::<_, io::Error>((to, ()))
    })?;
    disk::sync_directory(&folder)
}

pub(super) fn remove(directory: &Path, name: &str) -> io::Result<()> {
    disk::remove(&path(directory, name))
}
