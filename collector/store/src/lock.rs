//! One process writes a directory: a file in it is locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held as long as the directory is written; the system lets go of it with the process.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum Refused {
    /// Somebody has it: the number of the process, as it wrote it down.
    Held(String),
    /// The file cannot be made, or the system cannot lock it.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock of this name, without waiting, and writes down whose it is.
    ///
    /// # Errors
    /// Another process, or another part of this one, has it; or the file cannot be used.
    pub fn take(directory: &Path, name: &str) -> Result<Self, Refused> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(directory.join(name)).map_err(Refused::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.take(32).read_to_string(&mut holder);
                return Err(Refused::Held(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(Refused::Io(error)),
        }
        // A full disk does not keep the store from running; the number is a hint.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Self { file })
    }
}

/// Not by closing the file alone: a child that this process is just starting has it, too,
/// until it runs its program.
impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the lock is let go of with the file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lets_go_of_it_has_let_go_though_a_child_has_the_file_still() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Lock::take(directory.path(), "lock").unwrap();
        // As a child has it between fork and exec.
        let inherited = lock.file.try_clone().unwrap();
        let held = Lock::take(directory.path(), "lock").unwrap_err();
        assert!(matches!(held, Refused::Held(holder) if holder == std::process::id().to_string()));
        drop(lock);
        assert!(Lock::take(directory.path(), "lock").is_ok());
        drop(inherited);
    }
}
