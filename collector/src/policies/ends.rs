//! Who stands on a side of a record for policies: by its address as of the record's time, and
//! by who the collector says it is. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use weir_flow::{IdentifiedBy, Identity, Kind, Side};
use weir_identity::time::steady;
use weir_identity::{CLOCK_TOLERANCE, Span};
use weir_policy::{Endpoint, Lookalikes, Reason};

use super::services::EVERY_NODE;
use super::versions::{Frontend, Holder, Version};

/// So many readings of one side are evaluated at most: one that may be more has no verdict. Of
/// those behind a Service all that are the same to policies are one.
const MOST_READINGS: usize = 64;
/// The kind of workload of a public address that nobody is known to have.
const INTERNET: &str = "internet";

/// One of those that a side may stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What policies make of it.
    pub endpoint: Endpoint,
    /// The port, where it is another than the record's: behind a Service.
    pub port: Option<u16>,
}

/// Who stands on a side.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// One alone.
    One(Reading),
    /// One of several; they must be judged alike, else the verdict is unknown for this reason.
    Several(Arc<[Reading]>, Reason),
    /// One of those behind a Service, by what they are to policies, at its port; they must be
    /// judged alike, too.
    Behind(Arc<[(Lookalikes, u16)]>),
    /// Nobody knows.
    Unknown(Reason),
    /// It is outside of the network that policies are about.
    NotJudged,
}

impl End {
    /// All that it may stand for, but for those behind a Service.
    pub fn readings(&self) -> &[Reading] {
        match self {
            Self::One(reading) => std::slice::from_ref(reading),
            Self::Several(readings, _) => readings,
            Self::Behind(_) | Self::Unknown(_) | Self::NotJudged => &[],
        }
    }

    /// All that it may stand for, as it stands to another.
    pub fn seen_by(&self, other: &Endpoint) -> impl Iterator<Item = Reading> {
        let behind = match self {
            Self::Behind(classes) => &classes[..],
            _ => &[],
        };
        let behind = behind.iter().flat_map(move |(alike, port)| {
            let port = Some(*port);
            alike
                .seen_by(other)
                .map(move |endpoint| Reading { endpoint, port })
        });
        self.readings().iter().copied().chain(behind)
    }

    /// Why the verdict is unknown where those are judged differently.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Several(_, reason) | Self::Unknown(reason) => *reason,
            Self::Behind(_) => Reason::Backend,
            Self::One(_) | Self::NotJudged => Reason::Identity,
        }
    }

    fn one(endpoint: Endpoint) -> Self {
        Self::One(Reading { endpoint, port: None })
    }
}

/// What is asked about a side.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'r> {
    /// Its address.
    pub address: IpAddr,
    /// Who it is, as far as is known.
    pub who: &'r Identity,
    /// What that rests on.
    pub found: IdentifiedBy,
    /// The protocol of the IP header.
    pub protocol: u8,
    /// Its port.
    pub port: u16,
    /// When the record was.
    pub flow: Span,
}

impl<'r> Asked<'r> {
    /// Of a side of a record, which has an address.
    pub fn of(side: &'r Side, protocol: u8, flow: Span) -> Option<Self> {
        Some(Self {
            address: side.addr?,
            who: side.identity.shared(),
            found: side.found,
            protocol,
            port: side.port.unwrap_or_default(),
            flow,
        })
    }

    /// Whether it depends on the port who it is.
    pub fn is_by_port(&self) -> bool {
        match self.who.kind {
            Kind::Pod => false,
            Kind::Service => true,
            // The index says so where a Service has the port.
            Kind::Node => !self.who.service_name.is_empty(),
            Kind::Unknown => &*self.who.workload_kind != INTERNET,
        }
    }
}

impl Version {
    /// Who stands there, and for records of which time that is so, too; `None`: of no other.
    pub fn end(&self, asked: Asked<'_>) -> (End, Option<Span>) {
        if asked.who.kind == Kind::Pod && !matches!(&*asked.who.network, "" | "primary") {
            return (End::NotJudged, Some(Span::ALWAYS));
        }
        if let Some(end) = self.behind_service(asked) {
            return end;
        }
        let known = self
            .holders
            .get(&asked.address)
            .map_or(&[][..], |holders| &holders[..]);
        let spans = known.iter().map(|holder| holder.span);
        let steady = steady(spans, asked.flow, CLOCK_TOLERANCE);
        let flow = asked.flow.widened(CLOCK_TOLERANCE);
        let then: Vec<&Holder> = known.iter().filter(|holder| holder.span.meets(flow)).collect();
        (self.end_of(asked, &then), steady)
    }

    fn end_of(&self, asked: Asked<'_>, then: &[&Holder]) -> End {
        let who = asked.who;
        let is_named = |holder: &&&Holder| match who.kind {
            Kind::Pod => *holder.namespace == *who.ns && *holder.name == *who.name,
            Kind::Node => holder.namespace.is_empty() && *holder.name == *who.name,
            Kind::Service | Kind::Unknown => false,
        };
        let named: Vec<&Holder> = then.iter().filter(is_named).copied().collect();
        let is_certain = asked.found != IdentifiedBy::Ambiguous;
        match (who.kind, &named[..], then) {
            (Kind::Pod | Kind::Node, [_, ..], _) if is_certain => alike(&named),
            (Kind::Node, [], []) if is_certain => match self.nodes.get(&who.name) {
                Some(node) => End::one(self.snapshot.node_at(node, asked.address)),
                None => End::Unknown(Reason::Identity),
            },
            (Kind::Service, ..) => End::one(self.snapshot.service(asked.address)),
            // One whom the objects do not know, or know elsewhere.
            (Kind::Pod | Kind::Node, [], _) => End::Unknown(Reason::Identity),
            (_, _, [_, ..]) => alike(then),
            _ if !is_certain || self.is_of_cluster(asked.address) => End::Unknown(Reason::Identity),
            _ => End::one(self.snapshot.outside(asked.address)),
        }
    }

    /// An address where only pods and Services are.
    fn is_of_cluster(&self, address: IpAddr) -> bool {
        let after = self
            .networks
            .partition_point(|network| network.network() <= address);
        let before = after.checked_sub(1).and_then(|at| self.networks.get(at));
        before.is_some_and(|network| network.contains(&address))
    }

    /// Those behind a Service's address and port.
    fn behind_service(&self, asked: Asked<'_>) -> Option<(End, Option<Span>)> {
        if !asked.is_by_port() {
            return None;
        }
        let address = match asked.who.kind {
            Kind::Pod => return None,
            Kind::Node => EVERY_NODE,
            Kind::Service | Kind::Unknown => asked.address,
        };
        let backends = self.frontends.get(&Frontend {
            address,
            protocol: asked.protocol,
            port: asked.port,
        })?;
        let flow = asked.flow.widened(CLOCK_TOLERANCE);
        let holders_of = |address: &IpAddr| self.holders.get(address).into_iter().flat_map(|all| all.iter());
        let spans = backends.iter().flat_map(|(address, _)| holders_of(address));
        let steady = steady(spans.map(|holder| holder.span), asked.flow, CLOCK_TOLERANCE);
        let ends = backends.iter().flat_map(|(address, port)| {
            let then = holders_of(address).filter(|holder| holder.span.meets(flow));
            let mut endpoints = then.map(|holder| holder.endpoint).peekable();
            // Nobody of the cluster: a backend outside.
            let outside = endpoints
                .peek()
                .is_none()
                .then(|| self.snapshot.outside(*address));
            endpoints.chain(outside).map(|endpoint| (endpoint, *port))
        });
        let end = match Lookalikes::of(ends, MOST_READINGS) {
            Some(classes) if !classes.is_empty() => End::Behind(classes.into()),
            _ => End::Unknown(Reason::Backend),
        };
        Some((end, steady))
    }
}

/// One of these: a pod before and after it got other labels, or several pods.
fn alike(holders: &[&Holder]) -> End {
    let Some((first, others)) = holders.split_first() else {
        return End::Unknown(Reason::Identity);
    };
    if others.iter().all(|other| other.endpoint == first.endpoint) {
        return End::one(first.endpoint);
    }
    let is_first = |other: &&Holder| other.namespace == first.namespace && other.name == first.name;
    let reason = match others.iter().all(is_first) {
        true => Reason::Changed,
        false => Reason::Identity,
    };
    if holders.len() > MOST_READINGS {
        return End::Unknown(reason);
    }
    let readings = holders.iter().map(|holder| Reading {
        endpoint: holder.endpoint,
        port: None,
    });
    End::Several(readings.collect(), reason)
}
