//! Moments of the calendar that others wrote. They may be anything that the API server
//! takes, also beyond what can be added to, and no arithmetic may fail on them. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// A moment and a time after it; the end of the calendar where that is beyond it.
pub fn later(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_add(time).unwrap_or(Timestamp::MAX)
}

/// A moment and a time before it; the beginning of the calendar where that is beyond it.
pub fn earlier(at: Timestamp, time: Duration) -> Timestamp {
    at.checked_sub(time).unwrap_or(Timestamp::MIN)
}

/// A moment at which something began, which cannot be in the future.
pub fn past(at: Timestamp, now: Timestamp) -> Timestamp {
    at.min(now)
}

/// Whether less than a time has gone by since a moment.
pub fn is_within(since: Timestamp, time: Duration, now: Timestamp) -> bool {
    now < later(since, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_is_too_late_or_too_early() {
        let time = Duration::from_secs(u64::MAX);
        assert_eq!(later(Timestamp::MAX, Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(later(Timestamp::UNIX_EPOCH, time), Timestamp::MAX);
        assert_eq!(earlier(Timestamp::MIN, Duration::from_secs(1)), Timestamp::MIN);
        assert_eq!(earlier(Timestamp::UNIX_EPOCH, time), Timestamp::MIN);
        assert_eq!(past(Timestamp::MAX, Timestamp::UNIX_EPOCH), Timestamp::UNIX_EPOCH);
    }
}
