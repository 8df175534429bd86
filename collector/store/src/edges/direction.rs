//! Which end of a record is the server, by all that the records around it tell.
//!
//! ```text
//! what the record itself tells for sure: a handshake, a Service, a listener
//!   -> what such a record of the same part told of one of its two endpoints
//!   -> fan-in: many ports that sent to one, and not the other way round
//!   -> the port numbers, where the record named a server by them
//!   -> nothing
//! ```
//!
//! An endpoint is an identity, a protocol and a port. Pure; the order of records does not
//! matter.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::evidence::Evidence;
use super::record::Record;
use crate::rollup::Fold;

/// Remote ports that make a server likely.
const SOME: u32 = 3;
/// Remote ports that prove it.
const MANY: u32 = 10;

/// RFC 6335 section 6.
const FIRST_USER_PORT: u16 = 1_024;
/// `net.ipv4.ip_local_port_range`, as Linux has it by default.
const CLIENT_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// Identity, protocol and port, as a number.
type Endpoint = u64;
type Map<T> = HashMap<Endpoint, T, BuildHasherDefault<Fold>>;

/// What was found out of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Direction {
    /// The record went from the server to the client.
    pub is_answer: bool,
    /// What that rests on.
    pub evidence: Evidence,
    /// The server's; none where it is unknown.
    pub port: Option<u16>,
}

/// What all records together tell.
#[derive(Debug)]
pub(super) struct Directions {
    /// Endpoints that records name as servers for sure, and what that rests on.
    servers: Map<Evidence>,
    /// How many remote ports called an endpoint, where these are some.
    callers: Map<u32>,
    /// The same of those that had to do with it, whoever called.
    peers: Map<u32>,
    /// Pairs of endpoints, the lower first, of which records name either as the server.
    contradicted: HashSet<(Endpoint, Endpoint)>,
}

impl Directions {
    /// Of these records.
    pub fn of(records: &[Record]) -> Self {
        let mut servers = Map::default();
        for record in records.iter().filter(|record| record.claim.evidence.is_sure()) {
            if let Some((src, dst)) = endpoints(record) {
                let server = if record.claim.is_source { src } else { dst };
                let known = servers.entry(server).or_insert(Evidence::NONE);
                *known = known.and(record.claim.evidence);
            }
        }
        let met = Meetings::of(records);
        Self {
            servers,
            callers: counted(met.callers),
            peers: counted(met.peers),
            contradicted: met.contradicted,
        }
    }

    /// Who answers whom in a record.
    pub fn judge(&self, record: &Record) -> Direction {
        let (Some((src, dst)), Some(ports)) = (endpoints(record), record.both_ports()) else {
            return Direction {
                is_answer: false,
                evidence: Evidence::NONE,
                port: None,
            };
        };
        let claim = record.claim;
        if claim.evidence.is_sure() {
            let pair = (src.min(dst), src.max(dst));
            let doubt = match self.contradicted.contains(&pair) {
                true => Evidence::CONTRADICTED,
                false => Evidence::NONE,
            };
            return by(claim.is_source, claim.evidence.and(doubt), ports);
        }
        let known = [src, dst].map(|end| self.servers.get(&end).copied());
        // Where many ports meet many, neither is called.
        let called = [(src, dst), (dst, src)].map(|(end, other)| {
            let count = self.callers.get(&end)?;
            (!self.peers.contains_key(&other)).then_some(*count)
        });
        let found = one_of(known).or_else(|| {
            let (is_source, count) = one_of(called)?;
            let evidence = match count {
                MANY.. => Evidence::MANY_CLIENTS,
                _ => Evidence::SOME_CLIENTS,
            };
            Some((is_source, evidence))
        });
        match found {
            Some((is_source, evidence)) => {
                let hints = match claim.is_source == is_source {
                    true => hints(record, ports),
                    false => Evidence::NONE,
                };
                by(is_source, evidence.and(hints), ports)
            }
            None if hints(record, ports) != Evidence::NONE => {
                by(claim.is_source, hints(record, ports), ports)
            }
            // Peers that speak from the same port have it in common.
            None => Direction {
                is_answer: false,
                evidence: Evidence::NONE,
                port: (ports.0 == ports.1).then_some(ports.0),
            },
        }
    }
}

fn by(is_source: bool, evidence: Evidence, (src, dst): (u16, u16)) -> Direction {
    Direction {
        is_answer: is_source,
        evidence,
        port: Some(if is_source { src } else { dst }),
    }
}

/// What is there of the source or of the destination alone, and whether of the source.
fn one_of<T>([src, dst]: [Option<T>; 2]) -> Option<(bool, T)> {
    match (src, dst) {
        (Some(of), None) => Some((true, of)),
        (None, Some(of)) => Some((false, of)),
        _ => None,
    }
}

/// What the port numbers tell of the server that the record names by them. A port that
/// clients take is none.
fn hints(record: &Record, (src, dst): (u16, u16)) -> Evidence {
    let (client, server) = if record.claim.is_source {
        (dst, src)
    } else {
        (src, dst)
    };
    if record.claim.evidence != Evidence::PORT || server >= *CLIENT_PORTS.start() {
        return Evidence::NONE;
    }
    match server < FIRST_USER_PORT && CLIENT_PORTS.contains(&client) {
        true => Evidence::PORT.and(Evidence::SYSTEM_PORT),
        false => Evidence::PORT,
    }
}

fn endpoint(id: u32, proto: Option<u8>, port: u16) -> Endpoint {
    u64::from(id) << 24 | u64::from(proto.unwrap_or_default()) << 16 | u64::from(port)
}

/// The port of an endpoint.
const fn port_of(endpoint: Endpoint) -> u16 {
    endpoint as u16
}

/// Whether its port is a system port, a user port, or one that clients take.
fn kind(endpoint: Endpoint) -> u8 {
    let port = port_of(endpoint);
    u8::from(port >= FIRST_USER_PORT) + u8::from(port >= *CLIENT_PORTS.start())
}

/// Of source and destination.
fn endpoints(record: &Record) -> Option<(Endpoint, Endpoint)> {
    let (src, dst) = record.both_ports()?;
    Some((
        endpoint(record.src, record.proto, src),
        endpoint(record.dst, record.proto, dst),
    ))
}

/// A record's place among those of its pair of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    low: Endpoint,
    high: Endpoint,
    /// Microseconds.
    time: i64,
    from_high: bool,
    /// The low endpoint is the server for sure; the high one is.
    is_server: [bool; 2],
}

impl Sent {
    fn of(record: &Record) -> Option<Self> {
        let (src, dst) = endpoints(record)?;
        let from_high = src > dst;
        let is_sure = record.claim.evidence.is_sure();
        let server_is_high = record.claim.is_source == from_high;
        Some(Self {
            low: src.min(dst),
            high: src.max(dst),
            time: record.time,
            from_high,
            is_server: [is_sure && !server_is_high, is_sure && server_is_high],
        })
    }
}

/// Who had to do with whom.
#[derive(Debug, Default)]
struct Meetings {
    /// Each endpoint with the port of a remote one that called it: that it did not write to
    /// first. What answers a scan calls nobody.
    callers: Vec<(Endpoint, u16)>,
    /// The same, whoever called.
    peers: Vec<(Endpoint, u16)>,
    /// Pairs of endpoints whose records contradict each other. Where both have the same
    /// port, either may call.
    contradicted: HashSet<(Endpoint, Endpoint)>,
}

impl Meetings {
    fn of(records: &[Record]) -> Self {
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
        let first = |from_high| {
            let mut sent = pair.iter().filter(|sent| sent.from_high == from_high);
            sent.next().map(|sent| sent.time)
        };
        // Of what came at once, as in one datagram, the port that is rather a client's calls.
        let (low_calls, high_calls) = match (first(false), first(true)) {
            (Some(from_low), Some(from_high)) if from_low == from_high => {
                (kind(low) >= kind(high), kind(high) >= kind(low))
            }
            (Some(from_low), Some(from_high)) => (from_low < from_high, from_high < from_low),
            (from_low, from_high) => (from_low.is_some(), from_high.is_some()),
        };
        let (of_high, of_low) = ((high, port_of(low)), (low, port_of(high)));
        self.peers.extend([of_high, of_low]);
        self.callers.extend(low_calls.then_some(of_high));
        self.callers.extend(high_calls.then_some(of_low));
        let are_both_servers = [0, 1]
            .iter()
            .all(|end: &usize| pair.iter().any(|sent| sent.is_server[*end]));
        if are_both_servers && port_of(low) != port_of(high) {
            self.contradicted.insert((low, high));
        }
    }
}

/// How many remote ports each endpoint has to do with.
fn counted(mut met: Vec<(Endpoint, u16)>) -> Map<u32> {
    met.sort_unstable();
    met.dedup();
    let same = met.chunk_by(|(one, _), (other, _)| one == other);
    let counts = same.filter_map(|met| Some((met.first()?.0, u32::try_from(met.len()).unwrap_or(u32::MAX))));
    // Who met few ports is as one that met none.
    counts.filter(|(_, count)| *count >= SOME).collect()
}
