//! Totals of connection tracking become what was added since the last one.

use std::sync::Arc;

use crate::counts::{Counts, PerEnd};
use crate::key::same_text;
use crate::observation::{Amount, Method, Micros, Observation};
use crate::stats::Stats;

/// Sources of totals that are kept of a connection.
pub(crate) const MOST_TRACKED: usize = 8;

/// Totals by one node's tracking (or exporter of totals) of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracked {
    pub node: Arc<str>,
    pub method: Method,
    pub domain: u32,
    pub zone: u16,
    /// It is gone there.
    pub ended: bool,
    /// The id there, and when it began: another pair is another connection.
    pub id: u32,
    pub start: Micros,
    /// When the newest totals were read.
    pub polled: Micros,
    pub last: PerEnd<Counts>,
}

/// Which connection of its own a source of totals means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrackingId {
    pub id: u32,
    pub start: Micros,
    pub polled: Micros,
}

/// `None`: the observation has no totals.
pub(crate) fn tracking(observation: &Observation) -> Option<TrackingId> {
    if let Amount::Delta(_) = observation.amount {
        return None;
    }
    Some(match observation.conntrack {
        Some(line) => TrackingId {
            id: line.id,
            start: line.start,
            polled: line.polled,
        },
        None => TrackingId {
            id: 0,
            start: observation.start,
            polled: observation.end,
        },
    })
}

fn zone(observation: &Observation) -> u16 {
    observation.conntrack.map_or(0, |line| line.zone)
}

impl Tracked {
    pub fn new(observation: &Observation, of: TrackingId) -> Self {
        Self {
            node: Arc::clone(&observation.node),
            method: observation.method,
            domain: observation.domain,
            zone: zone(observation),
            ended: false,
            id: of.id,
            start: of.start,
            polled: 0,
            last: PerEnd::default(),
        }
    }

    /// Whether the observation is by the same source of totals.
    pub fn is_by(&self, observation: &Observation) -> bool {
        self.method == observation.method
            && self.domain == observation.domain
            && self.zone == zone(observation)
            && same_text(&self.node, &observation.node)
    }

    /// Whether both are by the same source of totals.
    pub fn is_same_source(&self, other: &Self) -> bool {
        let place = |one: &Self| (one.method, one.domain, one.zone);
        place(self) == place(other) && self.node == other.node
    }

    /// Whether it is of the same connection there.
    pub fn is_of(&self, of: TrackingId) -> bool {
        self.id == of.id && self.start == of.start
    }

    /// What was added. Less than before is a counter that began again, unless it was read
    /// earlier: then it is known.
    pub fn advance(&mut self, polled: Micros, totals: PerEnd<Counts>, stats: &mut Stats) -> Advance {
        let below = totals.low.is_below(self.last.low) || totals.high.is_below(self.last.high);
        if polled < self.polled || (polled == self.polled && below) {
            stats.stale_totals += 1;
            return Advance::default();
        }
        self.polled = polled;
        let before = std::mem::replace(&mut self.last, totals);
        if below {
            stats.counter_resets += 1;
            return Advance {
                added: totals,
                reset: true,
            };
        }
        Advance {
            added: PerEnd {
                low: totals.low.since(before.low),
                high: totals.high.since(before.high),
            },
            reset: false,
        }
    }
}

/// What totals added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Advance {
    pub added: PerEnd<Counts>,
    pub reset: bool,
}

/// What is known of totals that come for the first time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bases {
    pub forgotten: Forgotten,
    /// What began so long before it is first told was not looked at from its beginning.
    pub patience: u64,
}

/// Totals that are known no more, though more might come of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Forgotten {
    /// None of them began later.
    pub start: Micros,
    /// None of them was read later.
    pub polled: Micros,
}

impl Forgotten {
    /// These are, at a time.
    pub fn add(&mut self, tracked: &Tracked, now: Micros) {
        self.start = self.start.max(tracked.start.min(now));
        self.polled = self.polled.max(tracked.polled.min(now));
    }
}

impl Bases {
    /// Whether all that totals say was added since their beginning, and in no output yet.
    fn begins(self, of: TrackingId) -> bool {
        of.start > self.forgotten.start && of.polled <= of.start.saturating_add(self.patience)
    }

    /// Whether they may be older than some that were known.
    fn is_stale(self, of: TrackingId) -> bool {
        of.start <= self.forgotten.start && of.polled <= self.forgotten.polled
    }
}

/// What totals add for each end, by what is known of their source.
pub(crate) fn added(
    observation: &Observation,
    sender_high: bool,
    tracked: &mut Vec<Tracked>,
    bases: Bases,
    stats: &mut Stats,
) -> Advance {
    let (Amount::Totals { sent, answered }, Some(of)) = (observation.amount, tracking(observation)) else {
        return Advance::default();
    };
    let mut totals = PerEnd::default();
    *totals.at_mut(sender_high) = sent;
    *totals.at_mut(!sender_high) = answered;
    let ended = observation.conntrack.is_some_and(|line| line.ended);
    if let Some(known) = tracked.iter_mut().find(|known| known.is_by(observation)) {
        known.ended |= ended;
        return known.advance(of.polled, totals, stats);
    }
    if tracked.len() >= MOST_TRACKED {
        stats.totals_refused += 1;
        return Advance::default();
    }
    if bases.is_stale(of) {
        stats.stale_totals += 1;
        return Advance::default();
    }
    let mut new = Tracked::new(observation, of);
    new.ended = ended;
    let all = new.advance(of.polled, totals, stats);
    tracked.push(new);
    if bases.begins(of) {
        return all;
    }
    stats.bases_unknown += 1;
    Advance::default()
}
