//! Totals of connection tracking become what was added since the last one.

use std::sync::Arc;

use crate::counts::{Counts, PerEnd};
use crate::key::same_text;
use crate::observation::{Amount, Method, Micros, Observation};
use crate::stats::Stats;

/// Totals by one node's tracking (or exporter of totals) of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tracked {
    pub node: Arc<str>,
    pub method: Method,
    pub domain: u32,
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

impl Tracked {
    pub fn new(observation: &Observation, of: TrackingId) -> Self {
        Self {
            node: Arc::clone(&observation.node),
            method: observation.method,
            domain: observation.domain,
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
            && same_text(&self.node, &observation.node)
    }

    /// Whether both are by the same source of totals.
    pub fn is_same_source(&self, other: &Self) -> bool {
        (self.method, self.domain, &self.node) == (other.method, other.domain, &other.node)
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

/// What an observation adds for each end, by what is known of its source of totals.
pub(crate) fn added(
    observation: &Observation,
    sender_high: bool,
    tracked: &mut Vec<Tracked>,
    stats: &mut Stats,
) -> Advance {
    let Amount::Totals { sent, answered } = observation.amount else {
        let mut added = PerEnd::default();
        if let Amount::Delta(counts) = observation.amount {
            *added.at_mut(sender_high) = counts;
        }
        return Advance { added, reset: false };
    };
    let Some(of) = tracking(observation) else {
        return Advance::default();
    };
    let mut totals = PerEnd::default();
    *totals.at_mut(sender_high) = sent;
    *totals.at_mut(!sender_high) = answered;
    if let Some(known) = tracked.iter_mut().find(|known| known.is_by(observation)) {
        return known.advance(of.polled, totals, stats);
    }
    let mut new = Tracked::new(observation, of);
    let advance = new.advance(of.polled, totals, stats);
    tracked.push(new);
    advance
}
