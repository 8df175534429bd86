//! When a connection is put out and ends, and which of several epochs of a key an
//! observation is of.

use crate::config::Periods;
use crate::connection::{Connection, Ending};
use crate::conntrack::{TrackingId, tracking};
use crate::lines;
use crate::observation::{Micros, Observation};
use crate::output::Reason;

/// Records of one packet by one node differ by so much at most: NetFlow tells whole
/// milliseconds since the switch began, IPFIX microseconds.
const ROUNDING_MS: i32 = 10;

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

/// An observation that asks which connection it is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'o> {
    pub observation: &'o Observation,
    /// Its source is the higher end of the connection's key.
    pub sender_high: bool,
    pub now: Micros,
}

impl Candidate<'_> {
    fn begins(&self) -> bool {
        self.observation.tcp_flags.is_some_and(|flags| flags.begins())
    }

    /// Its start, by a clock that is not ahead of arrival.
    fn settled_start(&self) -> Micros {
        self.observation.start.min(self.now)
    }
}

impl Connection {
    /// Its end was seen.
    pub fn is_over(&self) -> bool {
        self.ending == Ending::Seen
    }

    /// The second at which something has to be done.
    pub fn due(&self, periods: &Periods) -> u32 {
        let idle = self.last_seen.saturating_add(periods.inactive);
        let next = if self.is_over() || (self.fresh && self.seq == 0) {
            self.since.saturating_add(self.patience(periods))
        } else if self.fresh {
            self.since.saturating_add(periods.active)
        } else {
            idle
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
        match (self.is_over(), idle) {
            (true, _) => Due::Finish(Reason::End),
            (false, true) => Due::Finish(Reason::Idle),
            (false, false) => Due::Output,
        }
    }

    /// Whether it began after an observation's start, by the clock of the observation's
    /// node where that saw it.
    pub fn begins_after(&self, observation: &Observation) -> bool {
        if observation.start >= self.start {
            return false;
        }
        let at = self.views.of(&observation.node);
        let span = at.and_then(|at| self.views.span(at));
        span.is_none_or(|(start, _)| lines::since(self.origin, observation.start) < start)
    }

    /// Whether an observation may be of the connection before it.
    pub fn may_be_after(&self, observation: &Observation) -> bool {
        observation.start < self.start || tracking(observation).is_some()
    }

    /// Where an observation of its key belongs.
    pub fn fit(&self, one: Candidate<'_>, before: Option<(&Self, bool)>, periods: &Periods) -> Fit {
        let observation = one.observation;
        let takes = |(before, sender_high): (&Self, bool)| {
            before.takes_late(Candidate { sender_high, ..one }, periods)
        };
        if let Some(of) = tracking(observation)
            && let Some(fit) = self.fit_by_totals(observation, of, (before, before.is_some_and(takes)))
        {
            return fit;
        }
        if self.is_over() && self.is_before(one, periods.linger_us, periods) {
            return Fit::Next(Reason::End);
        }
        if self.has_ended_before(one) {
            return Fit::Next(Reason::End);
        }
        if self.begins_after(observation) && before.is_some_and(takes) {
            return Fit::Before;
        }
        if self.is_silent_before(one, periods) {
            return Fit::Next(Reason::Idle);
        }
        Fit::Same
    }

    /// Who counts totals knows which connection they are of. `takes`: the one before would
    /// take them for late.
    fn fit_by_totals(
        &self,
        observation: &Observation,
        of: TrackingId,
        (before, takes): (Option<(&Self, bool)>, bool),
    ) -> Option<Fit> {
        let known = self.tracked().iter().find(|known| known.is_by(observation));
        let is_before = before.is_some_and(|(before, _)| before.tracks(observation));
        match known {
            Some(known) if known.is_of(of) => Some(Fit::Same),
            Some(_) if is_before => Some(Fit::Before),
            None => (is_before && takes).then_some(Fit::Before),
            Some(known) if (of.start, of.polled) > (known.start, known.polled) => {
                Some(Fit::Next(if self.is_over() { Reason::End } else { Reason::Idle }))
            }
            Some(_) => Some(Fit::Stale),
        }
    }

    /// Whether totals are of this very connection.
    pub fn tracks(&self, observation: &Observation) -> bool {
        tracking(observation).is_some_and(|of| {
            let mut tracked = self.tracked().iter();
            tracked.any(|known| known.is_by(observation) && known.is_of(of))
        })
    }

    /// Whether an observation is a late one of it, and no beginning. It is over.
    pub fn takes_late(&self, one: Candidate<'_>, periods: &Periods) -> bool {
        // After an end come the last acknowledgements; what did not end may go on.
        let straggles = if self.is_over() {
            periods.linger_us
        } else {
            periods.tolerance_us
        };
        if let Some(of) = tracking(one.observation) {
            let mut tracked = self.tracked().iter();
            if let Some(known) = tracked.find(|known| known.is_by(one.observation)) {
                let goes_on = of.polled > self.last_told().saturating_add(straggles);
                return known.is_of(of) && (self.is_over() || !goes_on);
            }
        }
        !self.has_ended_before(one) && !self.is_before(one, straggles, periods)
    }

    /// When something was told of it last.
    fn last_told(&self) -> Micros {
        let polled = self.tracked().iter().map(|known| known.polled);
        polled.fold(self.settled_end(), Micros::max)
    }

    /// Whether it was over when an observation began: so much later than its last packet
    /// by all clocks, and by that of the observation's node. A beginning needs no more
    /// than the difference of clocks.
    fn is_before(&self, one: Candidate<'_>, straggles: u64, periods: &Periods) -> bool {
        let straggles = if one.begins() {
            straggles.min(periods.tolerance_us)
        } else {
            straggles
        };
        one.settled_start() > self.settled_end().saturating_add(straggles) && {
            let last = self.last_of_node(one.observation);
            last.is_none_or(|last| one.observation.start > last.saturating_add(straggles))
        }
    }

    /// The last packet that the observation's node saw; `None`: it saw none, or who knows
    /// when.
    fn last_of_node(&self, observation: &Observation) -> Option<Micros> {
        let (_, end) = self.views.span(self.views.of(&observation.node)?)?;
        lines::time(self.origin, end)
    }

    /// Whether an observation begins another connection, by what its own node has seen of
    /// this one: its sender had finished, or either end had reset. Clocks of nodes differ,
    /// and records of one packet come in any order.
    fn has_ended_before(&self, one: Candidate<'_>) -> bool {
        one.begins()
            && self
                .views
                .of(&one.observation.node)
                .and_then(|at| self.views.own_end(at, one.sender_high))
                .is_some_and(|end| {
                    lines::since(self.origin, one.observation.start) > end.saturating_add(ROUNDING_MS)
                })
    }

    /// Whether neither the observation's node nor anybody else has seen anything of it for
    /// so long that it was over.
    fn is_silent_before(&self, one: Candidate<'_>, periods: &Periods) -> bool {
        let over = |last: Micros| last.saturating_add(periods.inactive_us);
        one.settled_start() > over(self.last_told()) && {
            let last = self.last_of_node(one.observation);
            last.is_some_and(|last| one.observation.start > over(last))
        }
    }
}
