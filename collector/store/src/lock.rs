//! One process writes a store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// The name of the file that is locked.
const NAME: &str = "lock";

/// Held as long as the store is open; the system lets go of it with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Why there is no lock.
pub(crate) enum Refused {
    /// Another process has it; what it said of itself.
    Held(String),
    Io(io::Error),
}

impl Lock {
    pub fn take(directory: &Path) -> Result<Self, Refused> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(directory.join(NAME)).map_err(Refused::Io)?;
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
