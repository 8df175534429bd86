//! Counts what was lost on the way, by the gaps in sequence numbers.
//!
//! | protocol | the number counts | a stream is |
//! |---|---|---|
//! | NetFlow v5 | flows, up to the first of the datagram; from OVS: the index of its *last* flow | a session and engine |
//! | NetFlow v9 | datagrams | a session and source id |
//! | IPFIX | data records before the message | a session and domain; from OVS: a session |
//! | sFlow v5 | datagrams | a session, agent and sub-agent |
//!
//! Datagrams overtake each other. A gap is counted when nothing came to fill it by the
//! time that [`LATE`] more datagrams of the stream were seen, or [`SETTLED_MS`] went by;
//! over a stream transport, which keeps the order, at once. A number that goes back
//! further, or leaps, is a restarted exporter, not a loss: the count is a floor.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use wire::Protocol;

use crate::bounded::BoundedMap;

/// Streams of strangers that are followed at a time, and as many of others.
const MAX_STREAMS: usize = 16_384;

/// A larger gap is a restart.
const MAX_GAP: u32 = 1 << 20;

/// Datagrams by which one may be late without counting as lost.
const LATE: u8 = 8;

/// One that is further behind than so many datagrams begins anew.
const RESTART: u32 = 64;

/// Gaps of one stream that may still be filled; with more, the oldest counts as lost.
const MAX_GAPS: usize = 8;

/// After so long nobody waits for a datagram any more.
const SETTLED_MS: u64 = 2_000;

/// Time between two looks for gaps of streams that fell silent.
const LOOK_MS: u64 = 10_000;

/// What one datagram says about its place in its stream.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Sender's address and port.
    pub session: SocketAddr,
    /// Nothing overtakes on the way: TCP.
    pub in_order: bool,
    /// Its protocol.
    pub protocol: Protocol,
    /// IPFIX observation domain, NetFlow v9 source id.
    pub domain: u32,
    /// sFlow agent and sub-agent.
    pub agent: (Option<IpAddr>, u32),
    /// NetFlow v5 engine type and id.
    pub engine: Option<(u8, u8)>,
    /// The sequence number in its header.
    pub sequence: u32,
    /// Data records in it, options records included.
    pub records: usize,
    /// `records` is all there are.
    pub complete: bool,
    /// Open vSwitch sent it.
    pub ovs: bool,
    /// The node that sent it, if known.
    pub node: Option<&'a Arc<str>>,
    /// When it was received, ms since the epoch UTC.
    pub now_ms: u64,
}

/// What is lost for good, of a stream that fell silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Who sent it.
    pub source: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its node, if known.
    pub node: Option<Arc<str>>,
    /// Flows, records or datagrams, as the protocol counts.
    pub units: u64,
}

/// The streams and what each should bring next.
#[derive(Debug)]
pub struct Sequences {
    streams: BoundedMap<Key, Stream>,
    has_gaps: bool,
    next_look_ms: u64,
}

/// What tells a stream from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    session: SocketAddr,
    protocol: Protocol,
    part: Part,
}

/// What numbers by itself within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Domain(u32),
    Engine(Option<(u8, u8)>),
    Agent(Option<IpAddr>, u32),
}

/// One stream.
#[derive(Debug, Default)]
struct Stream {
    /// The number that should come next; `None` when that cannot be known.
    expected: Option<u32>,
    /// Units in its largest datagram.
    largest: u32,
    gaps: Option<Box<Gaps>>,
}

/// What may still come.
#[derive(Debug, Default)]
struct Gaps {
    open: Vec<Gap>,
    node: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    first: u32,
    units: u32,
    /// Datagrams of the stream since it was seen.
    age: u8,
    since_ms: u64,
}

impl Default for Sequences {
    fn default() -> Self {
        Self {
            streams: BoundedMap::new(MAX_STREAMS),
            has_gaps: false,
            next_look_ms: 0,
        }
    }
}

impl Sequences {
    /// Takes in one datagram. Returns how many units (flows, records or datagrams, as
    /// the protocol counts) of its stream are now known to be lost.
    pub fn arrive(&mut self, arrival: &Arrival<'_>) -> u64 {
        let Some((first, next)) = span(arrival) else {
            return 0;
        };
        let stream = self.streams.meet(Key::of(arrival), false);
        let lost = stream.arrive(first, next, arrival);
        self.has_gaps |= stream.gaps.is_some();
        lost
    }

    /// What is lost of streams that fell silent, when it is time to look.
    pub fn look(&mut self, now_ms: u64) -> Vec<Loss> {
        // Further away than it ever is: the clock was set back.
        let waits = self.next_look_ms.saturating_sub(now_ms);
        if (1..=LOOK_MS).contains(&waits) {
            return Vec::new();
        }
        self.next_look_ms = now_ms.saturating_add(LOOK_MS);
        self.settle(|gap| now_ms.abs_diff(gap.since_ms) >= SETTLED_MS)
    }

    /// Nothing more comes for a while: all that is missing is lost.
    pub fn settle_all(&mut self) -> Vec<Loss> {
        self.settle(|_| true)
    }

    fn settle(&mut self, is_lost: impl Fn(&Gap) -> bool) -> Vec<Loss> {
        if !std::mem::take(&mut self.has_gaps) {
            return Vec::new();
        }
        let mut losses = Vec::new();
        for (key, stream) in self.streams.iter_mut() {
            let Some(gaps) = &mut stream.gaps else { continue };
            let units = gaps.settle(&is_lost);
            if units > 0 {
                losses.push(Loss {
                    source: key.session.ip(),
                    protocol: key.protocol,
                    node: gaps.node.clone(),
                    units,
                });
            }
            if gaps.open.is_empty() {
                stream.gaps = None;
            }
            self.has_gaps |= stream.gaps.is_some();
        }
        losses
    }
}

impl Key {
    fn of(arrival: &Arrival<'_>) -> Self {
        let part = match arrival.protocol {
            Protocol::NetFlow5 => Part::Engine(arrival.engine),
            Protocol::Sflow5 => Part::Agent(arrival.agent.0, arrival.agent.1),
            Protocol::Ipfix if arrival.ovs => Part::Domain(0),
            Protocol::Ipfix | Protocol::NetFlow9 => Part::Domain(arrival.domain),
        };
        Self {
            session: arrival.session,
            protocol: arrival.protocol,
            part,
        }
    }
}

impl Stream {
    fn arrive(&mut self, first: u32, next: u32, arrival: &Arrival<'_>) -> u64 {
        let lost = self.grow_old(arrival.now_ms);
        if !arrival.complete && !counts_datagrams(arrival.protocol) {
            self.expected = None;
            return lost;
        }
        self.largest = self.largest.max(next.wrapping_sub(first));
        let Some(expected) = self.expected else {
            self.expected = Some(next);
            return lost;
        };
        let ahead = first.wrapping_sub(expected);
        if ahead <= MAX_GAP {
            self.expected = Some(next);
            return match ahead {
                0 => lost,
                _ if arrival.in_order => lost + u64::from(ahead),
                _ => lost + self.open(expected, ahead, arrival),
            };
        }
        let behind = ahead.wrapping_neg();
        let is_late = behind <= self.largest.saturating_mul(RESTART);
        if !self.fill(first, next) && !is_late {
            self.expected = Some(next);
        }
        lost
    }

    /// One more datagram came: what was waited for long enough is lost.
    fn grow_old(&mut self, now_ms: u64) -> u64 {
        let Some(gaps) = &mut self.gaps else { return 0 };
        gaps.open.iter_mut().for_each(|gap| gap.age += 1);
        let lost = gaps.settle(|gap| gap.age > LATE || now_ms > gap.since_ms.saturating_add(SETTLED_MS));
        if gaps.open.is_empty() {
            self.gaps = None;
        }
        lost
    }

    fn open(&mut self, first: u32, units: u32, arrival: &Arrival<'_>) -> u64 {
        let gaps = self.gaps.get_or_insert_default();
        gaps.node = arrival.node.cloned();
        let mut lost = 0;
        if gaps.open.len() >= MAX_GAPS {
            lost = u64::from(gaps.open.remove(0).units);
        }
        gaps.open.push(Gap {
            first,
            units,
            age: 0,
            since_ms: arrival.now_ms,
        });
        lost
    }

    /// A datagram came late. Returns whether something of it was missing.
    fn fill(&mut self, first: u32, next: u32) -> bool {
        let Some(gaps) = &mut self.gaps else { return false };
        let filled = gaps.fill(first, next.wrapping_sub(first));
        if gaps.open.is_empty() {
            self.gaps = None;
        }
        filled
    }
}

impl Gaps {
    /// Takes out those that count as lost, and returns how much that is.
    fn settle(&mut self, is_lost: impl Fn(&Gap) -> bool) -> u64 {
        let lost = self.open.iter().filter(|gap| is_lost(gap));
        let units = lost.map(|gap| u64::from(gap.units)).sum();
        self.open.retain(|gap| !is_lost(gap));
        units
    }

    /// What came late is the beginning, the end or the middle of a gap.
    fn fill(&mut self, first: u32, units: u32) -> bool {
        let within = |gap: &Gap| first.wrapping_sub(gap.first) < gap.units;
        let Some(place) = self.open.iter().position(within) else {
            return false;
        };
        let gap = self.open[place];
        let before = first.wrapping_sub(gap.first);
        let after = (gap.units - before).saturating_sub(units);
        let rest = [
            Gap { units: before, ..gap },
            Gap {
                first: first.wrapping_add(units),
                units: after,
                ..gap
            },
        ];
        self.open
            .splice(place..=place, rest.into_iter().filter(|gap| gap.units > 0));
        true
    }
}

const fn counts_datagrams(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::NetFlow9 | Protocol::Sflow5)
}

/// The numbers of the first unit in the datagram and of the one after the last.
/// A datagram that holds no unit says nothing.
fn span(arrival: &Arrival<'_>) -> Option<(u32, u32)> {
    let sequence = arrival.sequence;
    let records = u32::try_from(arrival.records).ok()?;
    match arrival.protocol {
        Protocol::NetFlow9 | Protocol::Sflow5 => Some((sequence, sequence.wrapping_add(1))),
        _ if records == 0 && arrival.complete => None,
        Protocol::NetFlow5 if arrival.ovs => {
            let next = sequence.wrapping_add(1);
            Some((next.wrapping_sub(records), next))
        }
        Protocol::NetFlow5 | Protocol::Ipfix => Some((sequence, sequence.wrapping_add(records))),
    }
}

#[cfg(test)]
mod tests;
