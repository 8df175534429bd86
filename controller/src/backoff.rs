//! Delays between attempts of a watch or of the election: from 100 ms, doubled up to
//! 2 s, with jitter, so that an API server that comes back is found at once and not
//! stormed. Writes have a pace of their own, see [`crate::write_pace`].

use std::time::Duration;

use kube::runtime::utils::Backoff;
use weir_process::jitter::jittered;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);
const PATIENT: Duration = Duration::from_secs(60);

/// Thousandths by which replicas part, up or down.
pub const JITTER: u64 = 200;

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
        Some(jittered(delay, JITTER))
    }
}

impl Backoff for Delays {
    fn reset(&mut self) {
        self.next = SHORTEST;
    }
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
