//! OVS's run folder, beside the database's socket: whether an ovs-vswitchd lives, and
//! whether the folder that we look into is still the one that OVS uses. The database
//! tells neither: rows stand when the switch is dead, and a folder that was made anew
//! stays out of sight of a mount of the old one.
//!
//! Reads the file system and nothing else; the clock is the caller's.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ovsdb::Endpoint;
use rustix::process::{Flock, FlockType, fcntl_getlk};

/// How often it is looked at.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How long the socket may be absent from a folder that was removed.
pub const REMOVED_FOLDER_LIMIT: Duration = Duration::from_secs(60);

/// How long the socket may be absent from a folder that is still there. Another start
/// of the daemon seldom helps then, so it is not tried often.
pub const ABSENT_SOCKET_LIMIT: Duration = Duration::from_secs(600);

/// Name of the file that ovs-vswitchd keeps locked while it runs
/// (`lib/daemon-unix.c`, `make_pidfile`).
const PID_FILE: &str = "ovs-vswitchd.pid";

/// Whether ovs-vswitchd runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SwitchProcess {
    /// It holds the lock on its pid file.
    Alive,
    /// Its pid file is not locked, or was and is gone.
    Dead,
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
    let file = File::open(path)?;
    Ok(fcntl_getlk(&file, &Flock::from(FlockType::WriteLock))?.is_some())
}

/// For how long the socket has been absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absence {
    since: Option<Instant>,
    folder_removed: bool,
}

impl Absence {
    /// A look was taken at `now`.
    pub fn saw(&mut self, socket: SocketPresence, now: Instant) {
        match socket {
            SocketPresence::Present => *self = Self::default(),
            SocketPresence::Absent | SocketPresence::FolderRemoved => {
                self.since.get_or_insert(now);
                self.folder_removed = socket == SocketPresence::FolderRemoved;
            }
        }
    }

    /// Why the daemon has to be started again, in a mount of its own; `None` while it has not.
    pub fn complaint(&self, now: Instant) -> Option<&'static str> {
        let absent = now.saturating_duration_since(self.since?);
        if self.folder_removed && absent >= REMOVED_FOLDER_LIMIT {
            return Some("the folder of the OVSDB socket was made anew; only another start can see it");
        }
        (absent >= ABSENT_SOCKET_LIMIT).then_some("there is no OVSDB socket")
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
    fn a_removed_folder_ends_the_daemon_after_a_minute_and_a_lone_absence_much_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut absence = Absence::default();
        absence.saw(SocketPresence::FolderRemoved, start);
        absence.saw(SocketPresence::FolderRemoved, at(55));
        assert_eq!(absence.complaint(at(59)), None);
        assert!(absence.complaint(at(60)).is_some_and(|why| why.contains("anew")));

        let mut absence = Absence::default();
        absence.saw(SocketPresence::Absent, start);
        assert_eq!(absence.complaint(at(599)), None);
        assert!(absence.complaint(at(600)).is_some());
        absence.saw(SocketPresence::Present, at(601));
        assert_eq!(absence.complaint(at(10_000)), None);
    }
}
