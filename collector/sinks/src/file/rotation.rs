//! Files that are full get a name of their own, and the oldest of them go.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::rows::Place;

/// Renames `flows.json` to `flows-20261130T184500Z-HEAD-FRAME.json`, the last frame that it has,
/// and removes all but `keep` files of such names.
pub fn rotate(path: &Path, through: Place, keep: usize) -> io::Result<()> {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let (stem, ending) = parts(path);
    // Numbers of equal width: the order of names is that of frames also within a second.
    let name = format!("{stem}-{now}-{:010}-{:010}{ending}", through.head, through.frame);
    fs::rename(path, path.with_file_name(name))?;
    let mut rotated = list(path)?;
    rotated.sort();
    let surplus = rotated.len().saturating_sub(keep);
    rotated.iter().take(surplus).try_for_each(fs::remove_file)
}

/// Files that were rotated from this one.
pub fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let (stem, ending) = parts(path);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.path();
        let name = entry.file_name().and_then(OsStr::to_str).unwrap_or("");
        let middle = name
            .strip_prefix(stem.as_str())
            .and_then(|rest| rest.strip_suffix(ending.as_str()))
            .and_then(|rest| rest.strip_prefix('-'));
        if middle.is_some_and(is_ours) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// `TIME-HEAD-FRAME`, as it was written here: nobody else's file is removed.
fn is_ours(middle: &str) -> bool {
    let is_number =
        |text: &str, digits: usize| text.len() >= digits && text.bytes().all(|octet| octet.is_ascii_digit());
    let mut parts = middle.split('-');
    let mut next = || parts.next();
    let (Some(time), Some(head), Some(frame), None) = (next(), next(), next(), next()) else {
        return false;
    };
    let is_time = time
        .strip_suffix('Z')
        .and_then(|time| time.split_once('T'))
        .is_some_and(|(day, second)| {
            day.len() == 8 && is_number(day, 8) && second.len() == 6 && is_number(second, 6)
        });
    is_time && is_number(head, 10) && is_number(frame, 10)
}

/// `flows` and `.json`.
fn parts(path: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let ending = text(path.extension()).map_or_else(String::new, |ending| format!(".{ending}"));
    (text(path.file_stem()).unwrap_or_default(), ending)
}
