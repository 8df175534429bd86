//! One place and way in which a node counts one direction. A node may see one direction
//! several times (in and out, two bridges, two formats), and each is a line of its own.

use std::num::NonZeroU8;

use crate::counts::Counts;
use crate::observation::{Direction, Method, Micros, Observation};

/// One place where one node counts one direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub counts: Counts,
    /// First and last packet, ms since the connection's origin.
    pub start_ms: i32,
    pub end_ms: i32,
    pub domain: u32,
    pub place: LinePlace,
    /// Control bits of TCP.
    pub flags: u8,
    pub merit: NonZeroU8,
}

/// Of which view and end it is, and whether its records are primary, in one octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinePlace(u8);

impl LinePlace {
    pub fn new(view: u8, sender_high: bool, primary: bool) -> Self {
        Self(view << 2 | u8::from(primary) << 1 | u8::from(sender_high))
    }

    pub fn view(self) -> usize {
        usize::from(self.0 >> 2)
    }

    pub fn primary(self) -> bool {
        self.0 & 2 != 0
    }

    pub fn sender_high(self) -> bool {
        self.0 & 1 != 0
    }
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

/// Packets take so much more or less time from node to node.
const JITTER_MS: u32 = 200;

impl Seen {
    /// By lines of one method, which count the same packets come in and go out. The one
    /// that has told of the most is what was seen, with what others had before it began or
    /// after its end: that was not more than there was, whatever has not been told yet.
    pub fn of_method<'l>(lines: impl Iterator<Item = &'l Line> + Clone) -> Option<Self> {
        let most = |lines: &mut dyn Iterator<Item = &'l Line>| {
            lines.max_by_key(|line| {
                (
                    line.counts.packets,
                    line.counts.bytes,
                    std::cmp::Reverse(line.rank()),
                )
            })
        };
        let main = most(&mut lines.clone())?;
        let mut seen = main.seen();
        let before = most(&mut lines.clone().filter(|line| line.end_ms < main.start_ms));
        let after = most(&mut lines.clone().filter(|line| line.start_ms > main.end_ms));
        for other in [before, after].into_iter().flatten() {
            seen.counts = seen.counts.plus(other.counts);
            seen.start_ms = seen.start_ms.min(other.start_ms);
            seen.end_ms = seen.end_ms.max(other.end_ms);
            seen.exact = false;
        }
        Some(seen)
    }

    /// A lesser method was there before: what it counted until then is added.
    pub fn begin_with(&mut self, lesser: &Self) {
        if lesser.start_ms < self.start_ms {
            self.counts = self.counts.plus(lesser.before(self.start_ms));
            self.start_ms = lesser.start_ms;
            self.exact = false;
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

    /// Whether both are of the same packets, but for lost ones: from and until the same
    /// time by clocks that differ by `tolerance` µs at most, and for as long.
    pub fn is_of_the_time_of(&self, other: &Self, tolerance: u64) -> bool {
        let times = [self.start_ms, self.end_ms, other.start_ms, other.end_ms];
        let known = times.iter().all(|ms| ![i32::MIN, i32::MAX].contains(ms));
        let near = |one: i32, other: i32| u64::from(one.abs_diff(other)).saturating_mul(1_000) <= tolerance;
        let length = |seen: &Self| seen.end_ms.abs_diff(seen.start_ms);
        known
            && near(self.start_ms, other.start_ms)
            && near(self.end_ms, other.end_ms)
            && length(self).abs_diff(length(other)) <= JITTER_MS
    }
}

/// What a view's numbers are worth, the best first: by method and sampling, then where
/// packets come in before where they go out.
pub(crate) fn merit(observation: &Observation) -> NonZeroU8 {
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
    /// Whether both count the same at the same place: what the sums count is apart from
    /// copies of it.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.place, self.merit, self.domain) == (other.place, other.merit, other.domain)
    }

    pub fn add(&mut self, other: &Self) {
        self.counts = self.counts.plus(other.counts);
        self.start_ms = self.start_ms.min(other.start_ms);
        self.end_ms = self.end_ms.max(other.end_ms);
        self.flags |= other.flags;
    }

    /// By what it counted; the less the better.
    pub fn method(&self) -> u8 {
        (self.merit.get() - 1) / 4
    }

    /// The less the better; no two lines of a view, direction and method have the same.
    fn rank(&self) -> (bool, u8, u32) {
        (!self.place.primary(), self.merit.get(), self.domain)
    }

    /// It counted each packet.
    pub fn is_exact(&self) -> bool {
        self.merit.get() < FIRST_INEXACT
    }

    fn seen(&self) -> Seen {
        Seen {
            counts: self.counts,
            exact: self.is_exact(),
            start_ms: self.start_ms,
            end_ms: self.end_ms,
        }
    }
}

/// Milliseconds since the origin, as far as they go: 24 days either way.
pub(crate) fn since(origin: Micros, at: Micros) -> i32 {
    let ahead = at >= origin;
    let micros = i64::try_from(at.abs_diff(origin)).unwrap_or(i64::MAX);
    let ms = if ahead { micros } else { -micros }.div_euclid(1_000);
    i32::try_from(ms).unwrap_or(if ahead { i32::MAX } else { i32::MIN })
}

/// The time so many milliseconds after the origin; `None`: it is farther away.
pub(crate) fn time(origin: Micros, ms: i32) -> Option<Micros> {
    if [i32::MIN, i32::MAX].contains(&ms) {
        return None;
    }
    origin.checked_add_signed(i64::from(ms) * 1_000)
}
