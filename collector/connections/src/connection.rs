//! A connection: what is known of it, and what an observation changes. Which connection
//! an observation is of, and what becomes of it, is not decided here.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Periods;
use crate::conntrack::{self, Advance, Tracked};
use crate::counts::{Biflow, Counts, PerEnd};
use crate::cover::Cover;
use crate::id::{ConnectionId, connection_id};
use crate::key::{Key, Socket, Tuple};
use crate::observation::{Amount, Evidence, Identity, IdentityKind, Micros, Observation};
use crate::orientation::who_began;
use crate::output::JoinedBy;
use crate::stats::Stats;
use crate::table::Keyed;
use crate::tcp::{self, TcpState};
use crate::views::{LinePart, Views};

/// A connection that is open.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub key: Key,
    /// How many began before it. Its id is made of it, the key and the origin.
    pub ordinal: u64,
    /// Start of the observation that it began with.
    pub origin: Micros,
    pub start: Micros,
    pub end: Micros,
    /// What primary observations saw each end send.
    pub totals: PerEnd<Counts>,
    /// What of it has been put out.
    pub reported: PerEnd<Counts>,
    /// The time of observations since the last output.
    pub cover: Cover,
    pub who: PerEnd<Option<Arc<Identity>>>,
    pub views: Views,
    pub rare: Option<Box<Rare>>,
    /// Seconds: when it began, was last seen and put out, and its end was seen (0: not).
    pub created: u32,
    pub last_seen: u32,
    pub last_output: u32,
    pub ended: u32,
    pub seq: u32,
    /// Packets that were looked at, of sampled observations.
    pub sampled_packets: u32,
    pub flags: PerEnd<u8>,
    pub tcp_state: Option<TcpState>,
    pub evidence: Evidence,
    pub client_high: bool,
    /// It came in since the last output.
    pub fresh: bool,
    pub sampled: bool,
    pub midstream: bool,
    pub clock_off: bool,
    /// All sides that can be expected have reported.
    pub complete: bool,
    /// Names that the end's own node told.
    pub owned: PerEnd<bool>,
    /// It is in the index of joins, with this end for its client.
    pub join_client_high: Option<bool>,
}

/// What few connections have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rare {
    pub tracked: Vec<Tracked>,
    pub resets: u32,
    pub service: Option<Service>,
}

/// A server's address before translation, and what was seen under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub server: Socket,
    pub who: Option<Arc<Identity>>,
    /// What of the connection's totals primary observations saw under this address.
    pub totals: Biflow<Counts>,
    pub reported: Biflow<Counts>,
    pub joined_by: JoinedBy,
}

/// How an observation came to a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The source is the higher end of the connection's key.
    pub sender_high: bool,
    /// Under the address before translation.
    pub by_service: bool,
    pub now: Micros,
    pub tick: u32,
}

impl Connection {
    /// With nothing in it yet.
    pub fn new(key: Key, observation: &Observation, ordinal: u64, tick: u32) -> Self {
        Self {
            key,
            ordinal,
            origin: observation.start,
            start: observation.start,
            end: observation.end.max(observation.start),
            totals: PerEnd::default(),
            reported: PerEnd::default(),
            cover: Cover::default(),
            who: PerEnd::default(),
            views: Views::default(),
            rare: None,
            created: tick,
            last_seen: tick,
            last_output: tick,
            ended: 0,
            seq: 0,
            sampled_packets: 0,
            flags: PerEnd::default(),
            tcp_state: None,
            evidence: Evidence::FirstSeen,
            client_high: false,
            fresh: false,
            sampled: false,
            midstream: false,
            clock_off: false,
            complete: false,
            owned: PerEnd::default(),
            join_client_high: None,
        }
    }

    pub fn id(&self, cluster: &str) -> ConnectionId {
        connection_id(
            cluster,
            &self.key.network,
            &self.key.tuple,
            self.origin,
            self.ordinal,
        )
    }

    pub fn service(&self) -> Option<&Service> {
        self.rare.as_ref()?.service.as_ref()
    }

    /// Its end by a clock that is not ahead of arrival.
    pub fn settled_end(&self) -> Micros {
        self.end.min((u64::from(self.last_seen) + 1) * 1_000_000)
    }

    /// Takes in an observation. Says whether who stands on its ends may have changed.
    pub fn take(
        &mut self,
        observation: &Observation,
        arrival: Arrival,
        periods: &Periods,
        stats: &mut Stats,
    ) -> bool {
        let is_first = !self.fresh && self.seq == 0;
        self.fresh = true;
        self.last_seen = arrival.tick;
        let Advance { added, reset } = self.added(observation, arrival.sender_high, stats);
        if reset {
            let resets = &mut self.rare.get_or_insert_default().resets;
            *resets = resets.saturating_add(1);
        }
        self.count(observation, added, arrival.by_service);
        let new_view = self.look(observation, added, arrival.sender_high, stats);
        self.extend(observation, arrival.now, periods, stats);
        self.follow_tcp(observation, arrival);
        self.orient(observation, arrival.sender_high, is_first);
        let named = self.name(observation, arrival);
        if new_view || named {
            self.complete = self.is_complete();
        }
        named
    }

    fn added(&mut self, observation: &Observation, sender_high: bool, stats: &mut Stats) -> Advance {
        if let Amount::Delta(counts) = observation.amount {
            let mut added = PerEnd::default();
            *added.at_mut(sender_high) = counts;
            return Advance { added, reset: false };
        }
        let tracked = &mut self.rare.get_or_insert_default().tracked;
        conntrack::added(observation, sender_high, tracked, stats)
    }

    fn count(&mut self, observation: &Observation, added: PerEnd<Counts>, by_service: bool) {
        if !observation.primary {
            return;
        }
        self.totals.low = self.totals.low.plus(added.low);
        self.totals.high = self.totals.high.plus(added.high);
        if !observation.is_exact() {
            let packets = added.low.packets.saturating_add(added.high.packets);
            let looked_at = packets / u64::from(observation.sampling.max(1));
            let looked_at = u32::try_from(looked_at).unwrap_or(u32::MAX);
            self.sampled_packets = self.sampled_packets.saturating_add(looked_at);
            self.sampled = true;
        }
        let client_high = self.client_high;
        let service = self.rare.as_mut().and_then(|rare| rare.service.as_mut());
        if let Some(service) = service.filter(|_| by_service) {
            service.totals = service.totals.plus(added.oriented(client_high));
        }
    }

    /// Adds to what the node saw; says whether the node is new.
    fn look(
        &mut self,
        observation: &Observation,
        added: PerEnd<Counts>,
        sender_high: bool,
        stats: &mut Stats,
    ) -> bool {
        let both = matches!(observation.amount, Amount::Totals { .. });
        let mut new_view = false;
        for high in [sender_high, !sender_high]
            .into_iter()
            .take(1 + usize::from(both))
        {
            let part = LinePart {
                counts: *added.at(high),
                sender_high: high,
                origin: self.origin,
            };
            match self.views.add(observation, part) {
                Ok(new) => new_view |= new,
                Err(_) => stats.lines_refused += 1,
            }
        }
        new_view
    }

    fn extend(&mut self, observation: &Observation, now: Micros, periods: &Periods, stats: &mut Stats) {
        self.start = self.start.min(observation.start);
        self.end = self.end.max(observation.end);
        if observation.end > now.saturating_add(periods.tolerance_us) {
            self.clock_off = true;
            stats.clock_off += 1;
        } else {
            self.cover.add(observation.start, observation.end);
        }
    }

    fn follow_tcp(&mut self, observation: &Observation, arrival: Arrival) {
        if let Some(flags) = observation.tcp_flags {
            *self.flags.at_mut(arrival.sender_high) |= flags.bits;
        }
        if observation.tcp_state.is_some() {
            self.tcp_state = observation.tcp_state;
        }
        let over = tcp::is_over(self.flags.low, self.flags.high)
            || self.tcp_state.is_some_and(TcpState::is_over)
            || observation.conntrack.is_some_and(|line| line.ended);
        if over && self.ended == 0 {
            self.ended = arrival.tick.max(1);
        }
    }

    /// By the best that is known, as long as nothing was put out and nothing rests on it.
    fn orient(&mut self, observation: &Observation, sender_high: bool, is_first: bool) {
        let (client_sends, evidence) = who_began(observation);
        let better = evidence > self.evidence && self.seq == 0 && self.service().is_none();
        if is_first || better {
            self.client_high = if client_sends { sender_high } else { !sender_high };
            self.evidence = evidence;
        }
    }

    fn name(&mut self, observation: &Observation, arrival: Arrival) -> bool {
        let ends = [
            (&observation.src, arrival.sender_high),
            (&observation.dst, !arrival.sender_high),
        ];
        let mut changed = false;
        for (end, high) in ends {
            let Some(who) = &end.who else { continue };
            if arrival.by_service && high != self.client_high {
                self.name_service(who);
            } else {
                changed |= self.learn(high, who, &observation.node);
            }
        }
        changed
    }

    fn name_service(&mut self, who: &Arc<Identity>) {
        let service = self.rare.as_mut().and_then(|rare| rare.service.as_mut());
        if let Some(service) = service.filter(|service| service.who.is_none()) {
            service.who = Some(Arc::clone(who));
        }
    }

    /// Names stay as they were at first, except that somebody is better than nobody, and
    /// that the end's own node knows best.
    fn learn(&mut self, high: bool, who: &Arc<Identity>, node: &Arc<str>) -> bool {
        let known = self.who.at(high);
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, who)) {
            return false;
        }
        let owner = !node.is_empty() && who.node == *node;
        let better = known.as_ref().is_none_or(|known| {
            let nobody = known.kind == IdentityKind::Unknown && who.kind != IdentityKind::Unknown;
            nobody || (owner && !self.owned.at(high))
        });
        if !better {
            return false;
        }
        let changed = known.as_ref() != Some(who);
        *self.who.at_mut(high) = Some(Arc::clone(who));
        *self.owned.at_mut(high) |= owner;
        changed
    }

    /// Whether each end that is on a node was seen by that node. A Service's address
    /// hides where its end is.
    pub fn is_complete(&self) -> bool {
        [&self.who.low, &self.who.high]
            .into_iter()
            .flatten()
            .all(|who| match who.kind {
                IdentityKind::Service => false,
                IdentityKind::Unknown => true,
                IdentityKind::Pod | IdentityKind::Node => {
                    who.node.is_empty() || self.views.of(&who.node).is_some()
                }
            })
    }

    /// The state of TCP, where something tells it.
    pub fn tcp_state(&self) -> Option<TcpState> {
        let flags = self.flags.oriented(self.client_high);
        self.tcp_state
            .or_else(|| TcpState::of_flags(flags.forward, flags.reverse))
    }

    /// Whether the key is also that of an address before translation: the end that
    /// observations under it have for their server.
    pub fn sender_by_service(&self, src: Socket) -> bool {
        if src == self.key.tuple.end(self.client_high) {
            self.client_high
        } else {
            !self.client_high
        }
    }

    /// The address that a line of connection tracking says was translated, if it is not
    /// known yet.
    pub fn untold_service(&self, observation: &Observation) -> Option<(IpAddr, u16)> {
        let service = observation.conntrack?.service?;
        self.service().is_none().then_some(service)
    }
}

impl Keyed for Connection {
    fn network(&self) -> &Arc<str> {
        &self.key.network
    }

    fn tuple(&self, by_service: bool) -> Option<Tuple> {
        if !by_service {
            return Some(self.key.tuple);
        }
        let server = self.service()?.server;
        Some(self.key.tuple.with_server(self.client_high, server).0)
    }
}
