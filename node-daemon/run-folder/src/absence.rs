//! When a folder that was removed is gone for good. Pure; the clock is the caller's.

use std::time::{Duration, Instant};

use crate::state::SocketPresence;

/// How long the socket may be absent from a folder that was removed.
pub const REMOVED_FOLDER_LIMIT: Duration = Duration::from_secs(60);

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
}
