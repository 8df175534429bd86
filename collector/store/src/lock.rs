//! One process writes a directory: a file in it is locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Held as long as the directory is written; the system lets go of it with the process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
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
        Ok(Self { _file: file })
    }
}
