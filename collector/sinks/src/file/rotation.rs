//! Files that are full get a name of their own, and the oldest of them go.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::rows::Place;

/// Renames `flows.json` to `flows-20261130T184500Z-HEAD-FRAME.json`, the last frame that it has,
/// and removes all but `keep` files of such names, itself among them.
pub fn rotate(path: &Path, through: Place, keep: usize) -> io::Result<()> {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let (stem, ending) = parts(path);
    // Numbers of equal width: the order of names is that of frames also within a second.
    let name = format!("{stem}-{now}-{:010}-{:010}{ending}", through.head, through.frame);
    let newest = path.with_file_name(name);
    fs::rename(path, &newest)?;
    let mut rotated = list(path)?;
    // Whatever the clock says.
    rotated.retain(|file| *file != newest);
    rotated.sort();
    let surplus = (rotated.len() + 1).saturating_sub(keep.max(1));
    for file in rotated.iter().take(surplus) {
        if let Err(error) = fs::remove_file(file) {
            tracing::warn!(file = %file.display(), %error, "a file that was rotated cannot be removed");
        }
    }
    Ok(())
}

/// Renames somebody else's `flows.json` to `flows.json.found-20261130T184500Z`, as it is: nobody
/// removes it.
pub fn set_aside(path: &Path) -> io::Result<()> {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    for number in 0..100 {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".found-{now}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        let aside = path.with_file_name(name);
        if fs::symlink_metadata(&aside).is_err() {
            tracing::warn!(file = %path.display(), aside = %aside.display(), "a file that this sink did not write is moved aside");
            return fs::rename(path, aside);
        }
    }
    Err(io::Error::other(
        "it is not of this sink, and cannot be moved aside",
    ))
}

/// The folder that a file is in.
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Files that were rotated from this one.
pub fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (stem, ending) = parts(path);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(path))? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let entry = entry.path();
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
