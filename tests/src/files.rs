//! Reading the lab's own files: the ends of logs, and where they are kept when
//! the lab is gone.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};

/// The folder of this package in the clone at hand. cargo names it to what it runs;
/// programs that others run know the one that they were built in.
pub fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The last `lines` lines of a file; a note instead when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    match fs::read(path) {
        Err(error) => format!("({}: {error})", path.display()),
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
    }
}

/// Every log and output file under `directory` that was written since `start`.
pub fn logs_since(directory: &Path, start: SystemTime) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(directory, &mut found);
    found.retain(|path| {
        let written = |meta: fs::Metadata| meta.len() > 0 && meta.modified().is_ok_and(|at| at >= start);
        fs::metadata(path).is_ok_and(written)
    });
    found.sort();
    found
}

/// Copies every log and output file below `directory` to `target`.
pub fn save_logs(directory: &Path, target: &Path) -> Result<()> {
    let mut found = Vec::new();
    collect(directory, &mut found);
    for path in found {
        let relative = path.strip_prefix(directory).unwrap_or(&path);
        let copy = target.join(relative);
        let parent = copy.parent().unwrap_or(target);
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        fs::copy(&path, &copy).with_context(|| format!("copy {} to {}", path.display(), copy.display()))?;
    }
    Ok(())
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    // A directory that vanishes meanwhile (a removed node) has no logs to show.
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "log" || extension == "out")
        {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_short_file_is_the_whole_file_and_of_a_missing_one_a_note() {
        let directory = std::env::temp_dir().join(format!("weir-lab-files-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("a.log");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(tail(&path, 2), "two\nthree");
        assert_eq!(tail(&path, 9), "one\ntwo\nthree");
        assert_eq!(logs_since(&directory, SystemTime::UNIX_EPOCH), [path]);
        fs::remove_dir_all(&directory).unwrap();
        assert!(tail(&directory.join("a.log"), 2).contains("a.log"));
    }
}
