//! Who had to do with whom, on which ports, and who wrote first. Pure.
//!
//! An order counts between records of one exporter alone, and by the start of what they
//! are of: the clocks of two exporters and the order in which datagrams arrive tell nothing.

use std::collections::{HashMap, HashSet};

use super::evidence::Evidence;
use super::record::{ACK, RST, Record, SYN};

/// RFC 6335 section 6.
pub(super) const FIRST_USER_PORT: u16 = 1_024;
/// `net.ipv4.ip_local_port_range`, as Linux has it by default.
pub(super) const CLIENT_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Identity, protocol and port, as a number.
pub(super) type Endpoint = u64;
/// Two endpoints, the lower first.
pub(super) type Pair = (Endpoint, Endpoint);

fn endpoint(id: u32, proto: Option<u8>, port: u16) -> Endpoint {
    u64::from(id) << 24 | u64::from(proto.unwrap_or_default()) << 16 | u64::from(port)
}

/// The port of an endpoint.
pub(super) const fn port_of(endpoint: Endpoint) -> u16 {
    endpoint as u16
}

/// The identity of an endpoint.
pub(super) const fn identity_of(endpoint: Endpoint) -> u32 {
    (endpoint >> 24) as u32
}

/// Of source and destination.
pub(super) fn endpoints(record: &Record) -> Option<(Endpoint, Endpoint)> {
    let (src, dst) = record.both_ports()?;
    Some((
        endpoint(record.src, record.proto, src),
        endpoint(record.dst, record.proto, dst),
    ))
}

/// Whether a port is a system port, a user port, or one that clients take.
fn kind(port: u16) -> u8 {
    u8::from(port >= FIRST_USER_PORT) + u8::from(port >= *CLIENT_PORTS.start())
}

/// A record's place among those of its pair of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    low: Endpoint,
    high: Endpoint,
    exporter: u32,
    has_start: bool,
    /// Microseconds.
    start: i64,
    from_high: bool,
    /// What the record alone tells for sure.
    claim: Evidence,
    server_is_high: bool,
    /// It has an ACK that refuses nothing: somebody listens where it comes from, or called.
    is_accepted: bool,
}

impl Sent {
    fn of(record: &Record) -> Option<Self> {
        let (src, dst) = endpoints(record)?;
        let from_high = src > dst;
        let is_sure = record.claim.evidence.is_sure();
        let has = |bit| record.flags.is_some_and(|flags| flags & bit != 0);
        Some(Self {
            low: src.min(dst),
            high: src.max(dst),
            exporter: record.exporter,
            has_start: record.has_start,
            start: record.start,
            from_high,
            claim: if is_sure {
                record.claim.evidence
            } else {
                Evidence::NONE
            },
            server_is_high: is_sure && record.claim.is_source == from_high,
            // The flags of a whole flow are those of all its packets.
            is_accepted: has(ACK) && (has(SYN) || !has(RST)),
        })
    }

    const fn is_sure(&self) -> bool {
        self.claim.is_sure()
    }
}

/// Each endpoint with the port of a remote one.
pub(super) type Met = Vec<(Endpoint, u16)>;

/// Who had to do with whom.
#[derive(Debug, Default)]
pub(super) struct Meetings {
    /// Who was seen to be called: the remote port wrote first.
    pub called: Met,
    /// Who was seen to call it: it wrote first.
    pub calling: Met,
    /// Who may have been called, or was: the remote port is rather a client's.
    pub maybe_called: Met,
    /// Remote ports that are rather a server's: system ports and those of a lower kind.
    pub lower: Met,
    /// All.
    pub peers: Met,
    /// Whom records name as servers for sure, the remote port, and what that rests on. A SYN
    /// that nobody answered, or that was refused, names nobody.
    pub servers: Vec<(Endpoint, u16, Evidence)>,
    /// Pairs of which some records name the one server for sure, and others do not; whether
    /// it is the higher endpoint. None where either calls the same port of the other.
    pub named: HashMap<Pair, Option<(bool, Evidence)>>,
    /// Pairs of endpoints whose records contradict each other. Where both have the same
    /// port, either may call.
    pub contradicted: HashSet<Pair>,
}

impl Meetings {
    pub fn of(records: &[Record]) -> Self {
        let mut sent: Vec<Sent> = records.iter().filter_map(Sent::of).collect();
        sent.sort_unstable();
        let mut met = Self::default();
        let same_pair = |one: &Sent, other: &Sent| (one.low, one.high) == (other.low, other.high);
        sent.chunk_by(same_pair).for_each(|pair| met.add(pair));
        met
    }

    /// Adds all that was sent between two endpoints.
    fn add(&mut self, pair: &[Sent]) {
        let Some(Sent { low, high, .. }) = pair.first().copied() else {
            return;
        };
        let (low_port, high_port) = (port_of(low), port_of(high));
        let low_wrote_first = first(pair);
        for (end, own, remote, was_called) in [
            (high, high_port, low_port, low_wrote_first),
            (low, low_port, high_port, low_wrote_first.map(|low| !low)),
        ] {
            self.peers.push((end, remote));
            match was_called {
                Some(true) => self.called.push((end, remote)),
                Some(false) => self.calling.push((end, remote)),
                None => {}
            }
            if kind(remote) > kind(own) && was_called != Some(false) {
                self.maybe_called.push((end, remote));
            }
            if remote < FIRST_USER_PORT || kind(remote) < kind(own) {
                self.lower.push((end, remote));
            }
        }
        self.add_servers(pair, [low, high]);
    }

    /// Adds what they tell for sure.
    fn add_servers(&mut self, pair: &[Sent], [low, high]: [Endpoint; 2]) {
        let claims = |of_high: bool| {
            let sure = pair
                .iter()
                .filter(move |sent| sent.is_sure() && sent.server_is_high == of_high);
            sure.fold(Evidence::NONE, |all, sent| all.and(sent.claim))
        };
        let claims = [claims(false), claims(true)];
        for (claim, of_high, end, other) in [(claims[0], false, low, high), (claims[1], true, high, low)] {
            let from_it = || pair.iter().filter(|sent| sent.from_high == of_high);
            let is_answered = from_it().any(|sent| {
                sent.is_accepted || sent.server_is_high == of_high && sent.claim.has(Evidence::SYN)
            });
            let claim = if is_answered {
                claim
            } else {
                claim.without(Evidence::SYN)
            };
            if claim != Evidence::NONE {
                self.servers.push((end, port_of(other), claim));
            }
        }
        let is_mixed = !pair.iter().all(Sent::is_sure);
        let named = match claims.map(|claim| claim != Evidence::NONE) {
            [true, true] if port_of(low) != port_of(high) => {
                self.contradicted.insert((low, high));
                return;
            }
            [false, false] => return,
            [true, true] => None,
            [_, is_high] => Some((is_high, claims[usize::from(is_high)])),
        };
        if is_mixed {
            self.named.insert((low, high), named);
        }
    }
}

/// Whether the low endpoint of a pair wrote first; none where nobody saw it, or what was
/// seen differs.
fn first(pair: &[Sent]) -> Option<bool> {
    let of_one_clock =
        |one: &Sent, other: &Sent| (one.exporter, one.has_start) == (other.exporter, other.has_start);
    let mut found = None;
    for sent in pair.chunk_by(of_one_clock) {
        let start = |from_high| Some(sent.iter().find(|sent| sent.from_high == from_high)?.start);
        let (Some(from_low), Some(from_high)) = (start(false), start(true)) else {
            continue;
        };
        let low_wrote_first = from_low < from_high;
        if from_low == from_high || found.is_some_and(|found| found != low_wrote_first) {
            return None;
        }
        found = Some(low_wrote_first);
    }
    found
}
