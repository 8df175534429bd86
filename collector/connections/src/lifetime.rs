//! When a connection is put out and ends, and which of several epochs of a key an
//! observation is of.

use crate::config::Periods;
use crate::connection::Connection;
use crate::conntrack::{Tracked, tracking};
use crate::observation::Observation;
use crate::output::Reason;
use crate::tombstone::Tombstone;

/// What to do with a connection at a second of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before this second.
    At(u32),
    /// It goes on; it is put out.
    Output,
    /// It is over.
    Finish(Reason),
}

/// What an observation is to an open connection of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// A part of it.
    Same,
    /// The beginning of the next one; the open one ended for this reason.
    Next(Reason),
    /// A part of the one before, which is still known.
    Before,
    /// Totals of one before that is known no more.
    Stale,
}

impl Connection {
    /// The second at which something has to be done.
    pub fn due(&self, periods: &Periods) -> u32 {
        let idle = self.last_seen.saturating_add(periods.inactive);
        let next = if self.ended != 0 {
            self.ended.saturating_add(self.patience(periods))
        } else if !self.fresh {
            idle
        } else if self.seq == 0 {
            self.created.saturating_add(self.patience(periods))
        } else {
            self.last_output.saturating_add(periods.active)
        };
        next.min(idle)
    }

    /// How long there is something to wait for.
    fn patience(&self, periods: &Periods) -> u32 {
        if self.complete {
            periods.linger
        } else {
            periods.side_wait
        }
    }

    /// What to do at a second.
    pub fn at(&self, tick: u32, periods: &Periods) -> Due {
        let due = self.due(periods);
        if due > tick {
            return Due::At(due);
        }
        let idle = self.last_seen.saturating_add(periods.inactive) <= tick;
        match (self.ended != 0, idle) {
            (true, _) => Due::Finish(Reason::End),
            (false, true) => Due::Finish(Reason::Idle),
            (false, false) => Due::Output,
        }
    }

    /// Whether an observation may be of the connection before it.
    pub fn may_be_after(&self, observation: &Observation) -> bool {
        observation.start < self.start || tracking(observation).is_some()
    }

    /// Where an observation of its key belongs.
    pub fn fit(&self, observation: &Observation, before: Option<&Tombstone>, periods: &Periods) -> Fit {
        if let Some(fit) = self.fit_by_totals(observation, before) {
            return fit;
        }
        let begins = observation.tcp_flags.is_some_and(|flags| flags.begins());
        if self.ended != 0 {
            let end = self.settled_end();
            let apart = observation.start > end.saturating_add(periods.linger_us);
            if apart || (begins && observation.start >= end) {
                return Fit::Next(Reason::End);
            }
        }
        if observation.start < self.start && before.is_some_and(|before| before.takes(observation, periods)) {
            return Fit::Before;
        }
        let of_node = self.views.of(&observation.node);
        let last = of_node
            .and_then(|at| self.views.views.get(at))
            .map(|view| view.end);
        if last.is_some_and(|last| observation.start > last.saturating_add(periods.inactive_us)) {
            return Fit::Next(Reason::Idle);
        }
        Fit::Same
    }

    /// Who counts totals knows which connection they are of.
    fn fit_by_totals(&self, observation: &Observation, before: Option<&Tombstone>) -> Option<Fit> {
        let of = tracking(observation)?;
        let is_before = before.is_some_and(|before| before.tracks(observation));
        let tracked: &[Tracked] = self.rare.as_ref().map_or(&[], |rare| &rare.tracked);
        let known = tracked.iter().find(|known| known.is_by(observation));
        Some(match known {
            Some(known) if known.is_of(of) => Fit::Same,
            _ if is_before => Fit::Before,
            None => Fit::Same,
            Some(known) if (of.start, of.polled) > (known.start, known.polled) => {
                Fit::Next(if self.ended != 0 {
                    Reason::End
                } else {
                    Reason::Idle
                })
            }
            Some(_) => Fit::Stale,
        })
    }
}
