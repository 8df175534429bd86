//! For how long the nodes of a step have been watched. Pure; both clocks are passed in.
//!
//! Whoever leads goes by a clock that nobody sets. Of the time before only calendars tell: since
//! when the soak goes on stands in the status, and until when the leader before renewed its Lease
//! stands there; both by the clock of that leader, so that their difference rests on no other.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use weir_api::{ExportRolloutStatus, RolloutPhase};

/// What the loop remembers of the soak that goes on.
#[derive(Debug, Clone, Default)]
pub struct SoakClock {
    /// When the leader before this one renewed its Lease last, by its own clock.
    led_until: Option<Timestamp>,
    soak: Option<Soak>,
}

/// A soak: the step it belongs to, and since when it goes on by what was stored of it, in
/// seconds as they are stored. A time that is told anew may stand there only later.
#[derive(Debug, Clone)]
struct Soak {
    rollout: Option<String>,
    step: u32,
    since: [Option<i64>; 2],
    /// When this process saw it first, and how long it had gone on by then.
    at: Instant,
    before: Duration,
}

impl Soak {
    fn new(state: &ExportRolloutStatus, before: Duration, at: Instant) -> Self {
        Self {
            rollout: state.rollout.clone(),
            step: state.step,
            since: [seconds(state); 2],
            at,
            before,
        }
    }

    fn is_of(&self, state: &ExportRolloutStatus) -> bool {
        self.rollout == state.rollout && self.step == state.step && self.since.contains(&seconds(state))
    }
}

fn seconds(state: &ExportRolloutStatus) -> Option<i64> {
    state.since.as_ref().map(|since| since.0.as_second())
}

impl SoakClock {
    /// Of a process that leads after another, where that is known.
    pub fn after(led_until: Option<Timestamp>) -> Self {
        Self {
            led_until,
            soak: None,
        }
    }

    /// For how long the soak of the stored state goes on; no time, where it is in none.
    pub fn gone_by(&mut self, state: &ExportRolloutStatus, now: Timestamp, instant: Instant) -> Duration {
        if state.phase != RolloutPhase::Soaking {
            self.soak = None;
            return Duration::ZERO;
        }
        let known = self.soak.take().filter(|soak| soak.is_of(state));
        let soak = known.unwrap_or_else(|| Soak::new(state, self.by_calendar(state, now), instant));
        let gone_by = soak.before + instant.saturating_duration_since(soak.at);
        self.soak = Some(soak);
        gone_by
    }

    /// This state is to be stored: a soak begins with it, or the one that goes on has its time
    /// told anew.
    pub fn stores(&mut self, state: &ExportRolloutStatus, instant: Instant) {
        if state.phase != RolloutPhase::Soaking {
            return;
        }
        match &mut self.soak {
            Some(soak) if !soak.is_of(state) => soak.since[1] = seconds(state),
            Some(_) => {}
            None => self.soak = Some(Soak::new(state, Duration::ZERO, instant)),
        }
    }

    /// What is known of a soak that another leader watched.
    fn by_calendar(&self, state: &ExportRolloutStatus, now: Timestamp) -> Duration {
        let Some(since) = &state.since else {
            return Duration::ZERO;
        };
        let until = self.led_until.map_or(now, |led_until| led_until.min(now));
        Duration::try_from(until.duration_since(since.0)).unwrap_or_default()
    }
}
