//! OVS's run folder, beside the database's socket: whether an ovs-vswitchd lives, and
//! whether the folder that we look into is still the one that OVS uses. The database
//! tells neither: rows stand when the switch is dead, and a folder that was made anew
//! stays out of sight of a mount of the old one.
//!
//! Reads the file system and nothing else; the clock is the caller's.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ovsdb::Endpoint;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Flock, FlockType, fcntl_getlk};

/// How often it is looked at.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How long the socket may be absent from a folder that was removed.
pub const REMOVED_FOLDER_LIMIT: Duration = Duration::from_secs(60);

/// Name of the file that ovs-vswitchd keeps locked while it runs
/// (`lib/daemon-unix.c`, `make_pidfile`).
const PID_FILE: &str = "ovs-vswitchd.pid";
/// Bytes of it that are read.
const MAX_PID_FILE: u64 = 32;

/// Whether ovs-vswitchd runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SwitchProcess {
    /// It holds the lock on its pid file.
    Alive,
    /// Its pid file is not locked, or was and is gone.
    Dead,
    /// Its pid file is not locked, and configurations are taken over all the same.
    Elsewhere,
    /// There is no pid file to tell by.
    #[default]
    Unknown,
}

/// Whether the database's socket can be found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Probe {
    /// The switch.
    pub switch: SwitchProcess,
    /// The socket.
    pub socket: SocketPresence,
}

/// The folder. Without a local socket there is none, and nothing is known.
#[derive(Debug, Clone)]
pub struct RunFolder {
    socket: Option<PathBuf>,
    seen_alive: bool,
}

impl RunFolder {
    /// The folder of the database's socket.
    pub fn of(endpoint: &Endpoint) -> Self {
        let socket = match endpoint {
            Endpoint::Unix(path) => Some(path.clone()),
            Endpoint::Tcp(..) | Endpoint::Ssl { .. } => None,
        };
        Self {
            socket,
            seen_alive: false,
        }
    }

    /// Whether there is a folder to look into.
    pub fn is_local(&self) -> bool {
        self.socket.is_some()
    }

    /// Looks.
    pub fn probe(&mut self) -> Probe {
        let Some((socket, folder)) = self.socket.as_deref().and_then(|s| Some((s, s.parent()?))) else {
            return Probe::default();
        };
        let presence = presence(socket, folder);
        let switch = match is_locked(&folder.join(PID_FILE)) {
            Ok(true) => SwitchProcess::Alive,
            Ok(false) => SwitchProcess::Dead,
            // One that ends in peace removes its file. Where the folder is another, its
            // file is out of our sight.
            Err(error) if error.kind() == ErrorKind::NotFound && self.seen_alive => match presence {
                SocketPresence::FolderRemoved => SwitchProcess::Unknown,
                SocketPresence::Present | SocketPresence::Absent => SwitchProcess::Dead,
            },
            Err(_) => SwitchProcess::Unknown,
        };
        self.seen_alive |= switch == SwitchProcess::Alive;
        Probe {
            switch,
            socket: presence,
        }
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

/// The process that ovs-vswitchd says it is.
///
/// # Errors
/// There is no such file, or it holds no number.
pub fn switch_pid(folder: &Path) -> io::Result<u32> {
    let mut text = String::new();
    open_file(&folder.join(PID_FILE))?
        .take(MAX_PID_FILE)
        .read_to_string(&mut text)?;
    let pid = text.trim().parse();
    pid.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
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

/// For how long the folder has been gone. A socket that is absent from a folder that is
/// still there comes back into sight by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absence {
    since: Option<Instant>,
}

impl Absence {
    /// A look was taken at `now`.
    pub fn saw(&mut self, socket: SocketPresence, now: Instant) {
        match socket {
            SocketPresence::Present | SocketPresence::Absent => *self = Self::default(),
            SocketPresence::FolderRemoved => {
                self.since.get_or_insert(now);
            }
        }
    }

    /// Why the daemon has to be started again, in a mount of its own; `None` while it has not.
    pub fn complaint(&self, now: Instant) -> Option<&'static str> {
        let absent = now.saturating_duration_since(self.since?);
        (absent >= REMOVED_FOLDER_LIMIT)
            .then_some("the folder of the OVSDB socket was made anew; only another start can see it")
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

    fn probe_of(socket: PathBuf) -> Probe {
        RunFolder::of(&Endpoint::Unix(socket)).probe()
    }

    #[test]
    fn a_pid_file_that_nobody_holds_is_of_a_dead_switch_and_none_tells_nothing() {
        let path = folder("pid");
        let socket = path.join("db.sock");
        fs::write(&socket, "").unwrap();
        assert_eq!(probe_of(socket.clone()), Probe::default());
        fs::write(path.join(PID_FILE), "1\n").unwrap();
        assert_eq!(probe_of(socket).switch, SwitchProcess::Dead);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_database_elsewhere_tells_nothing_of_the_switch() {
        let mut remote = RunFolder::of(&"tcp:192.0.2.1:6640".parse().unwrap());
        assert!(!remote.is_local());
        assert_eq!(remote.probe(), Probe::default());
    }

    /// Through a descriptor the removed folder stays in sight, as through a mount.
    #[test]
    fn a_folder_that_was_made_anew_is_told_from_one_without_a_socket() {
        let path = folder("anew");
        let held = File::open(&path).unwrap();
        let mounted = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let probe = || probe_of(mounted.join("db.sock")).socket;
        assert_eq!(probe(), SocketPresence::Absent);
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(path.join("db.sock"), "").unwrap();
        assert_eq!(probe(), SocketPresence::FolderRemoved);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_removed_folder_ends_the_daemon_after_a_minute_and_a_lone_absence_never() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut absence = Absence::default();
        absence.saw(SocketPresence::FolderRemoved, start);
        absence.saw(SocketPresence::FolderRemoved, at(55));
        assert_eq!(absence.complaint(at(59)), None);
        assert!(absence.complaint(at(60)).is_some_and(|why| why.contains("anew")));

        let mut absence = Absence::default();
        absence.saw(SocketPresence::Absent, start);
        absence.saw(SocketPresence::Absent, at(10_000));
        assert_eq!(absence.complaint(at(10_000)), None);
    }

    #[test]
    fn a_pid_file_that_is_none_is_not_waited_for_and_not_believed() {
        let path = folder("odd");
        fs::write(path.join("db.sock"), "").unwrap();
        let pid_file = path.join(PID_FILE);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pid_file,
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert_eq!(probe_of(path.join("db.sock")).switch, SwitchProcess::Unknown);
        assert!(switch_pid(&path).is_err());
        fs::remove_file(&pid_file).unwrap();
        for (text, pid) in [("4711\n", Some(4711)), ("../../x", None), ("", None)] {
            fs::write(&pid_file, text).unwrap();
            assert_eq!(switch_pid(&path).ok(), pid, "{text}");
        }
        fs::write(&pid_file, "1".repeat(1 << 20)).unwrap();
        assert!(switch_pid(&path).is_err());
        fs::remove_dir_all(path).unwrap();
    }
}
