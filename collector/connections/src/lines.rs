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

    /// The less the better; no two lines of a view and direction have the same.
    pub fn rank(&self) -> (u8, bool, u8, u32) {
        let merit = self.merit.get();
        ((merit - 1) / 4, !self.place.primary(), merit, self.domain)
    }

    /// It counted each packet.
    pub fn is_exact(&self) -> bool {
        self.merit.get() < FIRST_INEXACT
    }

    pub fn seen(&self) -> Seen {
        Seen {
            counts: self.counts,
            exact: self.is_exact(),
            start_ms: self.start_ms,
            end_ms: self.end_ms,
        }
    }

    /// What of it was before a time, as if it had come evenly.
    pub fn before(&self, ms: i32) -> Counts {
        let until = i64::from(ms) - i64::from(self.start_ms);
        let all = i64::from(self.end_ms) - i64::from(self.start_ms);
        if until >= all {
            self.counts
        } else {
            self.counts.share(until.max(0).unsigned_abs(), all.unsigned_abs())
        }
    }
}

/// Milliseconds since the origin, as far as they go: 24 days either way.
pub(crate) fn since(origin: Micros, at: Micros) -> i32 {
    let ms = (i128::from(at) - i128::from(origin)).div_euclid(1_000);
    i32::try_from(ms).unwrap_or(if ms < 0 { i32::MIN } else { i32::MAX })
}

/// The time so many milliseconds after the origin; `None`: it is farther away.
pub(crate) fn time(origin: Micros, ms: i32) -> Option<Micros> {
    if [i32::MIN, i32::MAX].contains(&ms) {
        return None;
    }
    origin.checked_add_signed(i64::from(ms) * 1_000)
}
