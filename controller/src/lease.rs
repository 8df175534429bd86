//! Leadership as a decision: what the Lease shows and for how long it has shown
//! it, against what this replica should do. Pure; [`crate::election`] does it.
//!
//! Only this process's own clock counts: a Lease has run out when it has not
//! changed for its duration since it was first seen as it is, so that clocks
//! of different machines need not agree (as in client-go `leaderelection`).

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// Times of an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// A Lease that was not renewed for so long may be taken.
    pub lease: Duration,
    /// A leader that could not renew for so long stops being one.
    pub renew_deadline: Duration,
    /// Pause between attempts.
    pub retry: Duration,
}

/// The Lease as it was last seen, and since when it has looked like that.
#[derive(Debug, Clone)]
pub struct Observed {
    spec: LeaseSpec,
    since: Instant,
}

impl Observed {
    /// Takes a new look. A Lease that did not change keeps its time.
    pub fn look(before: Option<Self>, spec: LeaseSpec, now: Instant) -> Self {
        match before {
            Some(before) if before.spec == spec => before,
            _ => Self { spec, since: now },
        }
    }

    fn holder(&self) -> Option<&str> {
        self.spec
            .holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// When the Lease may be taken. Its own duration counts; one of nonsense
    /// counts as one second.
    fn runs_out(&self) -> Instant {
        let seconds = self.spec.lease_duration_seconds.unwrap_or(1).max(1);
        self.since + Duration::from_secs(seconds.unsigned_abs().into())
    }
}

/// What a replica should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The Lease is its own: renew it.
    Renew,
    /// The Lease is free or has run out: take it.
    Take,
    /// Somebody else leads.
    Wait,
}

/// Decides what the replica named `me` should do now.
pub fn decide(now: Instant, observed: &Observed, me: &str) -> Step {
    match observed.holder() {
        None => Step::Take,
        Some(holder) if holder == me => Step::Renew,
        Some(_) if now >= observed.runs_out() => Step::Take,
        Some(_) => Step::Wait,
    }
}

/// The Lease renewed or taken by `me`.
pub fn held(before: &LeaseSpec, step: Step, me: &str, lease: Duration, now: Timestamp) -> LeaseSpec {
    let now = MicroTime(now);
    let taken = step == Step::Take;
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: Some(whole_seconds(lease)),
        acquire_time: Some(now.clone())
            .filter(|_| taken)
            .or_else(|| before.acquire_time.clone()),
        renew_time: Some(now),
        lease_transitions: Some(
            before
                .lease_transitions
                .unwrap_or(0)
                .saturating_add(i32::from(taken)),
        ),
        ..Default::default()
    }
}

/// The Lease given back: nobody holds it.
pub fn released(before: &LeaseSpec, now: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: None,
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(now)),
        ..before.clone()
    }
}

fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs_f64().ceil().max(1.0);
    // Saturates: a lease of 68 years is as good as any.
    seconds as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: Option<&str>, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..Default::default()
        }
    }

    #[test]
    fn a_free_lease_is_taken_and_ones_own_is_renewed() {
        let now = Instant::now();
        for free in [None, Some("")] {
            let observed = Observed::look(None, lease(free, 0), now);
            assert_eq!(decide(now, &observed, "me"), Step::Take);
        }
        let mine = Observed::look(None, lease(Some("me"), 0), now);
        assert_eq!(decide(now + Duration::from_secs(60), &mine, "me"), Step::Renew);
    }

    #[test]
    fn anothers_lease_is_taken_when_it_has_not_changed_for_its_duration() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let observed = Observed::look(None, lease(Some("other"), 0), start);
        assert_eq!(decide(after(14), &observed, "me"), Step::Wait);
        assert_eq!(decide(after(15), &observed, "me"), Step::Take);
        let renewed = Observed::look(Some(observed.clone()), lease(Some("other"), 1), after(14));
        assert_eq!(decide(after(15), &renewed, "me"), Step::Wait);
        let unchanged = Observed::look(Some(observed), lease(Some("other"), 0), after(14));
        assert_eq!(decide(after(15), &unchanged, "me"), Step::Take);
    }

    #[test]
    fn taking_counts_a_transition_and_renewing_does_not() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let fifteen = Duration::from_secs(15);
        let taken = held(&lease(Some("other"), 0), Step::Take, "me", fifteen, at(1));
        assert_eq!(
            (taken.lease_transitions, &taken.acquire_time),
            (Some(1), &Some(MicroTime(at(1))))
        );
        let renewed = held(&taken, Step::Renew, "me", fifteen, at(2));
        assert_eq!(renewed.lease_transitions, Some(1));
        assert_eq!(renewed.acquire_time, Some(MicroTime(at(1))));
        assert_eq!(renewed.renew_time, Some(MicroTime(at(2))));
    }

    #[test]
    fn a_released_lease_is_free_at_once() {
        let now = Instant::now();
        let spec = released(&lease(Some("other"), 0), Timestamp::UNIX_EPOCH);
        assert_eq!(decide(now, &Observed::look(None, spec, now), "me"), Step::Take);
    }

    #[test]
    fn a_duration_is_never_below_a_second() {
        assert_eq!(whole_seconds(Duration::from_millis(10)), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1500)), 2);
    }
}
