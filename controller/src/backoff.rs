//! Delays between attempts of a watch or of the election: from 100 ms, doubled up to
//! 2 s, with jitter, so that an API server that comes back is found at once and not
//! stormed. Writes have a pace of their own, see [`crate::write_pace`].

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use kube::runtime::utils::Backoff;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
const PATIENT: Duration = Duration::from_secs(60);

/// An endless series of growing delays.
#[derive(Debug, Clone)]
pub struct Delays {
    next: Duration,
    longest: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            next: SHORTEST,
            longest: LONGEST,
        }
    }
}

impl Delays {
    /// For what may never succeed: up to a minute.
    pub fn patient() -> Self {
        Self {
            longest: PATIENT,
            ..Self::default()
        }
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        Some(jitter(delay))
    }
}

impl Backoff for Delays {
    fn reset(&mut self) {
        self.next = SHORTEST;
    }
}

/// A delay between 80 and 120 % of the given one, so that replicas do not move
/// in step.
pub fn jitter(delay: Duration) -> Duration {
    let percent = 80 + random() % 41;
    delay.mul_f64(percent as f64 / 100.0)
}

/// A number that differs between calls and processes; nothing secret.
pub fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit_and_start_anew() {
        let mut delays = Delays::default();
        let tenth = delays.nth(9).unwrap();
        assert!(
            tenth >= LONGEST.mul_f64(0.8) && tenth <= LONGEST.mul_f64(1.2),
            "{tenth:?}"
        );
        delays.reset();
        assert!(delays.next().unwrap() <= SHORTEST.mul_f64(1.2));
    }
}
