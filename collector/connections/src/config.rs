//! What connections are told once.

use std::sync::Arc;
use std::time::Duration;

/// Periods and bounds. The defaults are those of `docs/connections.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Goes into each id, so that two clusters have no id in common.
    pub cluster: Arc<str>,
    /// A connection that goes on is put out so often.
    pub active: Duration,
    /// So long without a record ends a connection.
    pub inactive: Duration,
    /// So long after the end was seen a connection is kept for what is on its way.
    pub linger: Duration,
    /// So long the first output waits for the side that has not reported.
    pub side_wait: Duration,
    /// So long a finished connection is remembered for late records.
    pub late: Duration,
    /// Clocks of nodes may differ by so much.
    pub clock_tolerance: Duration,
    /// Connections that are open at a time; more evict those nearest to their timers.
    pub max_connections: usize,
    /// Finished connections that are remembered at a time; the oldest go first.
    pub max_remembered: usize,
    /// Bytes that all of them may take up; beyond, the finished ones go first. Names,
    /// which connections share, are not among them.
    pub max_bytes: usize,
}

impl Config {
    /// The defaults, where the longest time for which an exporter keeps a flow to itself
    /// is `export_timeout`.
    pub fn new(cluster: &str, export_timeout: Duration) -> Self {
        let active = Duration::from_secs(60);
        Self {
            cluster: cluster.into(),
            active,
            inactive: Duration::from_secs(90).max(export_timeout * 2 + Duration::from_secs(15)),
            linger: Duration::from_secs(5),
            side_wait: active.min(export_timeout * 2).max(Duration::from_secs(5)),
            late: Duration::from_secs(300),
            clock_tolerance: Duration::from_secs(2),
            max_connections: 1 << 20,
            max_remembered: 1 << 18,
            max_bytes: 768 << 20,
        }
    }
}

/// Bounds on numbers, such that the places of all take up seven eighths of what they may
/// at most. What few connections have beyond their places has at least the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub open: usize,
    pub remembered: usize,
}

impl Bounds {
    /// With places of so many bytes.
    pub fn of(config: &Config, place: usize) -> Self {
        let places = config.max_bytes / place / 8 * 7;
        let open = config.max_connections.min(places - places / 5).max(1);
        Self {
            open,
            remembered: config.max_remembered.min(places.saturating_sub(open)),
        }
    }
}

/// Periods in the units that connections count in: whole seconds, rounded up, and µs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Periods {
    pub active: u32,
    pub inactive: u32,
    pub linger: u32,
    pub side_wait: u32,
    pub late: u32,
    pub inactive_us: u64,
    pub linger_us: u64,
    pub tolerance_us: u64,
    pub set_back_us: u64,
}

/// The clock of the log is never put right by more than so much in one step; when a frame
/// is further behind the one before, the clock had been wrong.
const SET_BACK: Duration = Duration::from_secs(60);

impl Periods {
    pub fn of(config: &Config) -> Self {
        Self {
            active: seconds(config.active),
            inactive: seconds(config.inactive),
            linger: seconds(config.linger),
            side_wait: seconds(config.side_wait.max(config.linger)),
            late: seconds(config.late),
            inactive_us: micros(config.inactive),
            linger_us: micros(config.linger),
            tolerance_us: micros(config.clock_tolerance),
            set_back_us: micros(SET_BACK),
        }
    }
}

/// At least one: a timer of none would fire for ever.
fn seconds(period: Duration) -> u32 {
    let up = period.as_secs() + u64::from(period.subsec_nanos() > 0);
    u32::try_from(up).unwrap_or(u32::MAX).max(1)
}

fn micros(period: Duration) -> u64 {
    u64::try_from(period.as_micros()).unwrap_or(u64::MAX)
}
