//! How long is waited after a watch has failed: longer each time, and as long as the server
//! says. Pure; times are given.

use std::time::Duration;

use kube::runtime::watcher;
use tokio::time::Instant;
use weir_process::jitter::jittered;
use weir_process::kubernetes::put_off;

/// Longest wish of a server that is granted.
const LONGEST_WISH: Duration = Duration::from_secs(300);
/// A watch that was well for so long, which is less than one lasts, begins with the first pause
/// again.
const FORGIVEN: Duration = Duration::from_secs(20);

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// After the first failure.
    pub first: Duration,
    /// At most. After an outage all that is known is stale for the last of them, so they grow less
    /// than the client's usual 30 s.
    pub longest: Duration,
    /// At most where the server has too much to do (429, 503, 504).
    pub put_off: Duration,
    /// The server may be so late with the end of a watch before that counts as silence.
    pub late: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(5),
            put_off: Duration::from_secs(60),
            late: Duration::from_secs(5),
        }
    }
}

/// The pauses of one watch.
#[derive(Debug)]
pub(super) struct Pace {
    pauses: Pauses,
    next: Duration,
    /// Since when there was no failure.
    well: Option<Instant>,
}

impl Pace {
    pub(super) fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            next: pauses.first,
            well: None,
        }
    }

    /// The watch is as it should be, now.
    pub(super) fn succeed(&mut self, now: Instant) {
        self.well.get_or_insert(now);
    }

    /// It has failed so, now: how long to wait.
    pub(super) fn fail(&mut self, error: &watcher::Error, now: Instant) -> Duration {
        let well = self.well.take();
        if well.is_some_and(|since| now.saturating_duration_since(since) >= FORGIVEN) {
            self.next = self.pauses.first;
        }
        let wish = put_off(error);
        let longest = match wish {
            Some(_) => self.pauses.put_off,
            None => self.pauses.longest,
        };
        let pause = self.next.min(longest);
        self.next = longest.min(pause * 2);
        // Nobody comes before the time, nor all at once.
        let wish = wish.unwrap_or_default().min(LONGEST_WISH);
        let wish = wish + jittered(wish / 12, 1_000);
        jittered(pause, 166).min(longest).max(wish)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn failed(code: u16, retry_after: u32) -> watcher::Error {
        let status = serde_json::json!({"status": "Failure", "code": code,
            "details": {"retryAfterSeconds": retry_after}});
        let status: Status = serde_json::from_value(status).unwrap();
        watcher::Error::WatchStartFailed(kube::Error::Api(status.boxed()))
    }

    /// So many pauses one after the other.
    fn pauses(pace: &mut Pace, error: &watcher::Error, times: usize) -> Vec<Duration> {
        let now = Instant::now();
        (0..times).map(|_| pace.fail(error, now)).collect()
    }

    #[test]
    fn pauses_grow_to_a_bound_that_is_farther_away_for_a_server_with_too_much_to_do() {
        for (code, bound, times) in [(500, 5_000, 6), (429, 60_000, 9), (503, 60_000, 9)] {
            let mut pace = Pace::new(Pauses::default());
            let told = pauses(&mut pace, &failed(code, 0), times);
            for (nth, pause) in told.iter().enumerate() {
                let middle = Duration::from_millis(bound.min(500 << nth));
                let within = middle * 8 / 10..=(middle * 12 / 10).min(Duration::from_millis(bound));
                assert!(within.contains(pause), "{code}: {told:?}");
            }
        }
    }

    #[test]
    fn replicas_that_fail_together_come_back_one_by_one() {
        let mut alike = std::collections::BTreeSet::new();
        let mut wished = alike.clone();
        for _ in 0..50 {
            alike.insert(pauses(&mut Pace::new(Pauses::default()), &failed(429, 0), 1));
            wished.insert(pauses(&mut Pace::new(Pauses::default()), &failed(429, 30), 1));
        }
        assert!(alike.len() > 1 && wished.len() > 1);
    }

    #[test]
    fn the_server_is_left_alone_for_as_long_as_it_says_and_not_for_ever() {
        for (asked, granted) in [(1, 1), (90, 90), (u32::MAX, 300)] {
            let [pause] = pauses(&mut Pace::new(Pauses::default()), &failed(429, asked), 1)[..] else {
                panic!()
            };
            let granted = Duration::from_secs(granted);
            assert!(
                (granted..=granted * 7 / 6).contains(&pause),
                "{asked} s: {pause:?}"
            );
        }
    }

    #[test]
    fn a_watch_that_was_well_for_long_begins_with_the_first_pause_again() {
        let (mut pace, now) = (Pace::new(Pauses::default()), Instant::now());
        pauses(&mut pace, &failed(429, 0), 9);
        let after = |pace: &mut Pace, well: Duration| {
            pace.succeed(now);
            pace.succeed(now + well);
            pace.fail(&failed(429, 0), now + well)
        };
        assert!(after(&mut pace, FORGIVEN / 2) > Duration::from_secs(30));
        assert!(after(&mut pace, FORGIVEN) < Duration::from_secs(1));
    }
}
