//! What each node saw of a connection. A node may see one direction several times (in
//! and out, two bridges, two formats): each is a line of its own, and the most exact one
//! is what the node saw. Which one that is, and what the node saw in all, depends on what
//! came and not on its order.

use std::num::NonZeroU8;
use std::sync::Arc;

use crate::counts::{Counts, PerEnd};
use crate::few::Few;
use crate::key::same_text;
use crate::observation::{Direction, Method, Micros, Observation};

/// Nodes and lines that are kept of a connection.
const MOST_VIEWS: usize = 8;
const MOST_LINES: usize = 32;

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub node: Arc<str>,
    /// The last packet that it saw.
    pub end: Micros,
    /// What has been put out of it, for what each end sent.
    pub reported: PerEnd<Counts>,
}

/// One place where one node counts one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub counts: Counts,
    /// First and last packet, ms since the connection's origin.
    pub start_ms: i32,
    pub end_ms: i32,
    pub domain: u32,
    pub view: u8,
    pub sender_high: bool,
    /// One of its records was primary.
    pub primary: bool,
    pub merit: NonZeroU8,
}

/// What a node saw of what one end sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub counts: Counts,
    /// Each packet was counted, in one place.
    pub exact: bool,
    pub start_ms: i32,
    pub end_ms: i32,
}

/// Nodes and their lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views {
    pub views: Few<View, 2>,
    pub lines: Few<Line, 4>,
}

/// A line's part of an observation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinePart {
    pub counts: Counts,
    pub sender_high: bool,
    /// The connection's.
    pub origin: Micros,
}

/// What a view's numbers are worth, the best first: by method and sampling, then where
/// packets come in before where they go out.
fn merit(observation: &Observation) -> NonZeroU8 {
    let exact = observation.is_exact();
    let method = match (observation.method, exact) {
        (Method::Conntrack, _) => 0,
        (Method::Ipfix, true) => 1,
        (Method::Ipfix, false) => 3,
        (Method::NetFlow, true) => 2,
        (Method::NetFlow, false) => 4,
        (Method::SFlow, _) => 5,
    };
    let place = match observation.direction {
        Some(Direction::Ingress) => 0,
        None => 1,
        Some(Direction::Egress) => 2,
    };
    NonZeroU8::MIN.saturating_add(method * 4 + place)
}

/// Merits below it are of methods that count each packet.
const FIRST_INEXACT: u8 = 1 + 3 * 4;

impl Line {
    /// The less the better; no two lines of a view and direction have the same.
    fn rank(&self) -> (u8, bool, u8, u32) {
        let merit = self.merit.get();
        ((merit - 1) / 4, !self.primary, merit, self.domain)
    }

    fn seen(&self) -> Seen {
        Seen {
            counts: self.counts,
            exact: self.merit.get() < FIRST_INEXACT,
            start_ms: self.start_ms,
            end_ms: self.end_ms,
        }
    }

    /// What of it was before a time, as if it had come evenly.
    fn before(&self, ms: i32) -> Counts {
        let until = i64::from(ms) - i64::from(self.start_ms);
        let all = i64::from(self.end_ms) - i64::from(self.start_ms);
        if until >= all {
            self.counts
        } else {
            self.counts.share(until.max(0).unsigned_abs(), all.unsigned_abs())
        }
    }
}

/// Milliseconds since the origin, as far as they go.
pub(crate) fn since(origin: Micros, at: Micros) -> i32 {
    let ms = (i128::from(at) - i128::from(origin)) / 1_000;
    i32::try_from(ms).unwrap_or(if ms < 0 { i32::MIN } else { i32::MAX })
}

impl Views {
    /// The number of a node's view.
    pub fn of(&self, node: &Arc<str>) -> Option<usize> {
        self.views.iter().position(|view| same_text(&view.node, node))
    }

    /// Adds what an observation saw of one direction. Says whether the node is new, or
    /// `Err`: there are too many to keep it.
    pub fn add(&mut self, observation: &Observation, part: LinePart) -> Result<bool, TooMany> {
        let known = self.of(&observation.node);
        let at = match known {
            Some(at) => at,
            None if self.views.len() < MOST_VIEWS => self.views.len(),
            None => return Err(TooMany),
        };
        if known.is_none() {
            self.views.push(View {
                node: Arc::clone(&observation.node),
                end: observation.end,
                reported: PerEnd::default(),
            });
        }
        if let Some(view) = self.views.iter_mut().nth(at) {
            view.end = view.end.max(observation.end);
        }
        let line = Line {
            counts: part.counts,
            start_ms: since(part.origin, observation.start),
            end_ms: since(part.origin, observation.end),
            domain: observation.domain,
            view: u8::try_from(at).unwrap_or(u8::MAX),
            sender_high: part.sender_high,
            primary: observation.primary,
            merit: merit(observation),
        };
        self.add_line(line)?;
        Ok(known.is_none())
    }

    /// Adds to the same line, or as another one.
    pub fn add_line(&mut self, new: Line) -> Result<(), TooMany> {
        let same = |line: &&mut Line| {
            line.view == new.view
                && line.sender_high == new.sender_high
                && line.merit == new.merit
                && line.domain == new.domain
        };
        if let Some(line) = self.lines.iter_mut().find(same) {
            line.counts = line.counts.plus(new.counts);
            line.start_ms = line.start_ms.min(new.start_ms);
            line.end_ms = line.end_ms.max(new.end_ms);
            line.primary |= new.primary;
            return Ok(());
        }
        if self.lines.len() >= MOST_LINES {
            return Err(TooMany);
        }
        self.lines.push(new);
        Ok(())
    }

    /// What a view saw of what one end sent: the best line, and of lesser ones what was
    /// before any better one began. `None`: nothing.
    pub fn seen(&self, view: usize, sender_high: bool) -> Option<Seen> {
        let lines = || {
            let of = |line: &&Line| usize::from(line.view) == view && line.sender_high == sender_high;
            self.lines.iter().filter(of)
        };
        let best = lines().min_by_key(|line| line.rank())?;
        let mut seen = best.seen();
        let mut rank = best.rank();
        while let Some(next) = lines()
            .filter(|line| line.rank() > rank)
            .min_by_key(|line| line.rank())
        {
            rank = next.rank();
            if next.start_ms < seen.start_ms {
                seen.counts = seen.counts.plus(next.before(seen.start_ms));
                seen.start_ms = next.start_ms;
                seen.exact = false;
            }
            seen.end_ms = seen.end_ms.max(next.end_ms);
        }
        Some(seen)
    }

    /// What is put out of a view and an end: what it saw, and never less than was put out.
    pub fn total(&self, view: usize, sender_high: bool) -> Counts {
        let seen = self
            .seen(view, sender_high)
            .map_or(Counts::default(), |seen| seen.counts);
        let reported = self.views.get(view).map(|view| *view.reported.at(sender_high));
        seen.greatest(reported.unwrap_or_default())
    }

    /// All that there is has been put out.
    pub fn mark_reported(&mut self) {
        for at in 0..self.views.len() {
            let totals = PerEnd {
                low: self.total(at, false),
                high: self.total(at, true),
            };
            if let Some(view) = self.views.iter_mut().nth(at) {
                view.reported = totals;
            }
        }
    }
}

/// A connection has as many nodes or lines as are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Views {
    /// Adds those of a connection that turned out to be a part of this one: `flip` says
    /// that its ends are in the other order, `shift_ms` how much later its origin is.
    pub fn absorb(&mut self, other: &Self, flip: bool, shift_ms: i32) -> Result<(), TooMany> {
        let mut outcome = Ok(());
        for (at, view) in other.views.iter().enumerate() {
            let Some(into) = self.view_for(view) else {
                outcome = Err(TooMany);
                continue;
            };
            for line in other.lines.iter().filter(|line| usize::from(line.view) == at) {
                let line = Line {
                    view: into,
                    sender_high: line.sender_high != flip,
                    start_ms: line.start_ms.saturating_add(shift_ms),
                    end_ms: line.end_ms.saturating_add(shift_ms),
                    ..*line
                };
                outcome = outcome.and(self.add_line(line));
            }
        }
        outcome
    }

    /// The number of the view of the same node, as late as `view`.
    fn view_for(&mut self, view: &View) -> Option<u8> {
        let at = match self.of(&view.node) {
            Some(at) => at,
            None if self.views.len() < MOST_VIEWS => {
                self.views.push(View {
                    reported: PerEnd::default(),
                    ..view.clone()
                });
                self.views.len() - 1
            }
            None => return None,
        };
        let known = self.views.iter_mut().nth(at)?;
        known.end = known.end.max(view.end);
        u8::try_from(at).ok()
    }
}
