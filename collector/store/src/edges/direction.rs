//! Which end of a record is the server, by all that the records around it tell.
//!
//! ```text
//! what the record itself tells for sure: a handshake, a Service, a listener
//!   -> what another record of the same two endpoints told
//!   -> what such records of the same part told of one of its two endpoints
//!   -> fan-in: many ports that were seen to write first to one, and not the other way round
//!   -> the port numbers, where the record named a server by them, and fan-in beside them
//!   -> nothing
//! ```
//!
//! An endpoint is an identity, a protocol and a port. Pure; the order of records does not
//! matter.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::Crowds;
use super::evidence::Evidence;
use super::meetings::{
    CLIENT_PORTS, Endpoint, FIRST_USER_PORT, Meetings, Met, Pair, endpoints, identity_of, port_of,
};
use super::record::Record;
use crate::rollup::Fold;

/// Remote ports that make a server likely.
const SOME: u32 = 3;
/// Remote ports that prove it.
const MANY: u32 = 10;
/// Of so many remote ports that were seen to write first one may have been written to first:
/// a flow that is older than its first record has its order by chance.
const CALLS_FOR_ONE: u32 = 3;

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
    /// Pairs of which some records do so, and whether it is the higher endpoint; none where
    /// it is either.
    named: HashMap<Pair, Option<(bool, Evidence)>>,
    /// How many remote ports were seen to call an endpoint, where these are some.
    called: Map<u32>,
    /// Endpoints that some more remote ports called, or may have called.
    maybe_called: HashSet<Endpoint, BuildHasherDefault<Fold>>,
    /// How many remote ports an endpoint has to do with, whoever called.
    peers: Map<u32>,
    /// How many of them are rather a server's: these endpoints are not judged by fan-in.
    lower: Map<u32>,
    /// Pairs of endpoints, of which records name either as the server.
    contradicted: HashSet<Pair>,
}

impl Directions {
    /// Of these records. What tells for sure of one host tells nothing of the others of a
    /// crowd.
    pub fn of(records: &[Record], crowds: &Crowds) -> Self {
        let met = Meetings::of(records);
        let calling = counted(met.calling, 1);
        let mut called = counted(met.called, SOME);
        called.retain(|end, count| {
            let wrote_first = calling.get(end).copied().unwrap_or(0);
            wrote_first.saturating_mul(CALLS_FOR_ONE) <= *count
        });
        let maybe_called = counted(met.maybe_called, SOME);
        Self {
            servers: servers(met.servers, crowds),
            named: met.named,
            called,
            maybe_called: maybe_called.into_keys().collect(),
            peers: counted(met.peers, SOME),
            lower: counted(met.lower, SOME),
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
        let pair = (src.min(dst), src.max(dst));
        if claim.evidence.is_sure() {
            let doubt = match self.contradicted.contains(&pair) {
                true => Evidence::CONTRADICTED,
                false => Evidence::NONE,
            };
            return by(claim.is_source, claim.evidence.and(doubt), ports);
        }
        let hints = hints(record, ports);
        match self.found(src, dst, claim.is_source, hints) {
            Some((is_source, evidence)) if claim.is_source == is_source => {
                by(is_source, evidence.and(hints), ports)
            }
            Some((is_source, evidence)) => by(is_source, evidence, ports),
            None if hints != Evidence::NONE => by(claim.is_source, hints, ports),
            // Peers that speak from the same port have it in common.
            None => Direction {
                is_answer: false,
                evidence: Evidence::NONE,
                port: (ports.0 == ports.1).then_some(ports.0),
            },
        }
    }

    /// What others tell of a record: whether the source is the server, and why. `hints` are
    /// what its port numbers tell, of the source where `of_source`.
    fn found(
        &self,
        src: Endpoint,
        dst: Endpoint,
        of_source: bool,
        hints: Evidence,
    ) -> Option<(bool, Evidence)> {
        if let Some(named) = self.named.get(&(src.min(dst), src.max(dst))) {
            return named.map(|(is_high, evidence)| ((src > dst) == is_high, evidence));
        }
        let hinted = (hints != Evidence::NONE).then_some(of_source);
        let called = one_of(self.by_fan_in([src, dst], |end| self.called.get(&end).copied()));
        if let Some((is_source, evidence)) = one_of([src, dst].map(|end| self.servers.get(&end).copied())) {
            let others = [hinted, called.map(|(called, _)| called)];
            let is_doubted = others.into_iter().flatten().any(|other| other != is_source);
            let doubt = match is_doubted && !evidence.has(Evidence::SERVICE) {
                true => Evidence::CONTRADICTED,
                false => Evidence::NONE,
            };
            return Some((is_source, evidence.and(doubt)));
        }
        if let Some((is_source, count)) = called {
            let evidence = match count {
                MANY.. => Evidence::MANY_CLIENTS,
                _ => Evidence::SOME_CLIENTS,
            };
            return Some((is_source, evidence));
        }
        let maybe = |end| self.maybe_called.contains(&end).then_some(());
        let (is_source, ()) = one_of(self.by_fan_in([src, dst], maybe))?;
        let agrees = hinted.is_none_or(|hinted| hinted == is_source);
        agrees.then_some((is_source, Evidence::SOME_CLIENTS))
    }

    /// What fan-in tells of either end. Where many ports meet many, neither is called; who
    /// meets ports that are rather a server's may be a scanner.
    fn by_fan_in<T>(&self, ends: [Endpoint; 2], of: impl Fn(Endpoint) -> Option<T>) -> [Option<T>; 2] {
        let [src, dst] = ends;
        [(src, dst), (dst, src)].map(|(end, other)| {
            let may_serve = !self.peers.contains_key(&other) && !self.lower.contains_key(&end);
            of(end).filter(|_| may_serve)
        })
    }
}

/// The endpoints that records name as servers. A port that clients take is one where several
/// shook hands with it: one handshake may be a peer's.
fn servers(mut named: Vec<(Endpoint, u16, Evidence)>, crowds: &Crowds) -> Map<Evidence> {
    named.retain(|(end, ..)| !crowds.has(identity_of(*end)));
    named.sort_unstable();
    let mut servers = Map::default();
    for of_one in named.chunk_by(|(one, ..), (other, ..)| one == other) {
        let Some((end, ..)) = of_one.first() else {
            continue;
        };
        let all = of_one
            .iter()
            .fold(Evidence::NONE, |all, (.., evidence)| all.and(*evidence));
        let shook_hands = of_one
            .iter()
            .filter(|(.., evidence)| evidence.has(Evidence::SYN))
            .count();
        let is_rare = port_of(*end) >= *CLIENT_PORTS.start() && shook_hands < SOME as usize;
        let evidence = if is_rare { all.without(Evidence::SYN) } else { all };
        if evidence != Evidence::NONE {
            servers.insert(*end, evidence);
        }
    }
    servers
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

/// How many remote ports each endpoint has to do with, where these are `least`.
fn counted(mut met: Met, least: u32) -> Map<u32> {
    met.sort_unstable();
    met.dedup();
    let same = met.chunk_by(|(one, _), (other, _)| one == other);
    let counts = same.filter_map(|met| Some((met.first()?.0, u32::try_from(met.len()).unwrap_or(u32::MAX))));
    counts.filter(|(_, count)| *count >= least).collect()
}
