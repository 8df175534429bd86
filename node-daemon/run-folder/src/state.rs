//! The files of the run folder: OVSDB's socket and the pid file that ovs-vswitchd keeps
//! locked.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use serde::{Deserialize, Serialize};

/// Name of the file that ovs-vswitchd keeps locked while it runs
/// (`lib/daemon-unix.c`, `make_pidfile`).
const PID_FILE: &str = "ovs-vswitchd.pid";
/// Bytes of it that are read.
const MAX_PID_FILE: u64 = 32;

/// The pid file of ovs-vswitchd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PidFile {
    /// Some process holds the lock on it.
    Locked,
    /// Nobody does.
    Unlocked,
    /// There is none.
    Absent,
    /// It cannot be read, or is no file.
    #[default]
    Unreadable,
}

/// Whether the database's socket can be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketPresence {
    /// It is there, or there is no telling.
    #[default]
    Present,
    /// The folder is there, without a socket.
    Absent,
    /// The folder that we see was removed; a new one of that name would be out of our sight.
    FolderRemoved,
}

/// What one look showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderState {
    /// The switch's pid file.
    pub pid_file: PidFile,
    /// The database's socket.
    pub socket: SocketPresence,
}

/// The folder of one switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    socket: PathBuf,
    folder: PathBuf,
}

impl RunFolder {
    /// The folder of the database's socket.
    pub fn of_socket(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            folder: socket.parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Looks.
    pub fn state(&self) -> FolderState {
        let pid_file = match is_locked(&self.folder.join(PID_FILE)) {
            Ok(true) => PidFile::Locked,
            Ok(false) => PidFile::Unlocked,
            Err(error) if error.kind() == ErrorKind::NotFound => PidFile::Absent,
            Err(_) => PidFile::Unreadable,
        };
        FolderState {
            pid_file,
            socket: presence(&self.socket, &self.folder),
        }
    }

    /// The process that ovs-vswitchd says it is.
    ///
    /// # Errors
    /// There is no such file, or it holds no number.
    pub fn switch_pid(&self) -> io::Result<u32> {
        let mut text = String::new();
        open_file(&self.folder.join(PID_FILE))?
            .take(MAX_PID_FILE)
            .read_to_string(&mut text)?;
        let pid = text.trim().parse();
        pid.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }
}

fn presence(socket: &Path, folder: &Path) -> SocketPresence {
    match fs::symlink_metadata(socket) {
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::metadata(folder) {
            // A folder without a name: removed while a mount of it goes on.
            Ok(folder) if folder.nlink() == 0 => SocketPresence::FolderRemoved,
            _ => SocketPresence::Absent,
        },
        _ => SocketPresence::Present,
    }
}

/// Whether some process holds a POSIX lock on the file, which the kernel drops with the
/// process, however it ends. A reader may ask.
fn is_locked(path: &Path) -> io::Result<bool> {
    let file = open_file(path)?;
    Ok(fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?.is_some())
}

/// Opens a file of the folder, which others write. Waits for nobody, whatever stands there.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("weir-run-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn state(folder: &Path) -> FolderState {
        RunFolder::of_socket(&folder.join("db.sock")).state()
    }

    #[test]
    fn a_pid_file_that_nobody_holds_is_told_from_none() {
        let path = folder("pid");
        fs::write(path.join("db.sock"), "").unwrap();
        assert_eq!(state(&path).pid_file, PidFile::Absent);
        fs::write(path.join(PID_FILE), "1\n").unwrap();
        assert_eq!(state(&path).pid_file, PidFile::Unlocked);
        fs::remove_dir_all(path).unwrap();
    }

    /// Through a descriptor the removed folder stays in sight, as through a mount.
    #[test]
    fn a_folder_that_was_made_anew_is_told_from_one_without_a_socket() {
        let path = folder("anew");
        let held = File::open(&path).unwrap();
        let mounted = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let look = || state(&mounted).socket;
        assert_eq!(look(), SocketPresence::Absent);
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("db.sock"), "").unwrap();
        assert_eq!(look(), SocketPresence::FolderRemoved);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_pid_file_that_is_none_is_not_waited_for_and_not_believed() {
        let path = folder("odd");
        let of = RunFolder::of_socket(&path.join("db.sock"));
        let pid_file = path.join(PID_FILE);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pid_file,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(of.state().pid_file, PidFile::Unreadable);
        assert!(of.switch_pid().is_err());
        fs::remove_file(&pid_file).unwrap();
        for (text, pid) in [("4711\n", Some(4711)), ("../../x", None), ("", None)] {
            fs::write(&pid_file, text).unwrap();
            assert_eq!(of.switch_pid().ok(), pid, "{text}");
        }
        fs::write(&pid_file, "1".repeat(1 << 20)).unwrap();
        assert!(of.switch_pid().is_err());
        fs::remove_dir_all(path).unwrap();
    }
}
