//! When the status of an object is written again that comes back different: another collector
//! that comes to something else would write its own each time that it sees ours. Pure.

use std::time::{Duration, Instant};

/// Pause before the first such time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What was written of one object.
#[derive(Debug, Default)]
pub struct StatusBackoff {
    /// What the status said, without times.
    written: Option<String>,
    pause: Duration,
    /// Another one wrote something else; it is not written again before then.
    until: Option<Instant>,
}

/// What to do about a status that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Write it.
    Write,
    /// Another one has written since.
    Wait {
        /// For the first time, as long as both say what they say.
        is_new: bool,
    },
}

impl StatusBackoff {
    /// The status should say this, and does not.
    pub fn turn(&mut self, says: &str, now: Instant) -> Turn {
        if self.written.as_deref() != Some(says) {
            return Turn::Write;
        }
        let Some(until) = self.until else {
            let is_new = self.pause.is_zero();
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.until = Some(now + self.pause);
            return Turn::Wait { is_new };
        };
        if now < until {
            return Turn::Wait { is_new: false };
        }
        Turn::Write
    }

    /// It was written.
    pub fn wrote(&mut self, says: String) {
        if self.written.as_ref() != Some(&says) {
            self.pause = Duration::ZERO;
        }
        (self.written, self.until) = (Some(says), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_overwritten_waits_longer_each_time_and_begins_anew_with_something_else_to_say() {
        let (mut backoff, start) = (StatusBackoff::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(backoff.turn("a", after(0)), Turn::Write);
        // It could not be written: it is another one's to say what then.
        assert_eq!(backoff.turn("a", after(1)), Turn::Write);
        backoff.wrote("a".to_owned());
        assert_eq!(backoff.turn("a", after(2)), Turn::Wait { is_new: true });
        assert_eq!(backoff.turn("a", after(11)), Turn::Wait { is_new: false });
        assert_eq!(backoff.turn("a", after(12)), Turn::Write);
        let mut now = 12;
        for pause in [20, 40, 80, 160, 320, 600, 600] {
            backoff.wrote("a".to_owned());
            assert_eq!(backoff.turn("a", after(now)), Turn::Wait { is_new: false });
            assert_ne!(backoff.turn("a", after(now + pause - 1)), Turn::Write);
            now += pause;
            assert_eq!(backoff.turn("a", after(now)), Turn::Write);
        }
        assert_eq!(backoff.turn("b", after(now)), Turn::Write);
        backoff.wrote("b".to_owned());
        assert_eq!(backoff.turn("b", after(now)), Turn::Wait { is_new: true });
    }
}
