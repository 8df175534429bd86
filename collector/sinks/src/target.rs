//! What takes rows.

use std::io;

use crate::rows::RowBatch;

/// Where rows go.
pub trait Target: Send {
    /// Takes the rows of a frame; they need not be there before [`Self::flush`] is.
    ///
    /// # Errors
    /// They, or those before, are not there.
    fn take(&mut self, rows: &dyn RowBatch) -> Result<(), Failure>;

    /// All that was taken is there. Returns how many octets that was since the last time.
    ///
    /// # Errors
    /// It is not; nobody knows how much of it is.
    fn flush(&mut self) -> Result<u64, Failure>;

    /// Nothing came for a while, and nothing is taken that is not flushed.
    ///
    /// # Errors
    /// What is due by the clock does not work.
    fn idle(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// After a failure: what was taken since the last flush comes again.
    fn reset(&mut self);

    /// Octets that were taken and are not flushed.
    fn waiting(&self) -> usize;
}

/// Why rows are not there.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The disk, or the way there.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        error: io::Error,
    },
}

impl Failure {
    /// A failure of `what`, to be used with `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    /// A word for metrics, out of a fixed set.
    pub fn reason(&self) -> Reason {
        let Self::Io { error, .. } = self;
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::DiskFull,
            io::ErrorKind::PermissionDenied => Reason::Denied,
            io::ErrorKind::ConnectionRefused => Reason::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Reason::TimedOut,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Reason::Closed
            }
            _ => Reason::Other,
        }
    }
}

/// Why something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is no room on the disk.
    DiskFull,
    /// Rights are lacking.
    Denied,
    /// Nobody listens there.
    Refused,
    /// No answer came in time.
    TimedOut,
    /// The other side closed the connection.
    Closed,
    /// Something else.
    Other,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DiskFull,
        Self::Denied,
        Self::Refused,
        Self::TimedOut,
        Self::Closed,
        Self::Other,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}
