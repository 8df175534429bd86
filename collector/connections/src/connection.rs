//! A connection: what is known of it, and what an observation changes. Which connection
//! an observation is of, and what becomes of it, is not decided here.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Periods;
use crate::conntrack::{self, Advance, Bases, Forgotten, Tracked};
use crate::counts::{Biflow, Counts, PerEnd};
use crate::cover::Cover;
use crate::id::{ConnectionId, connection_id};
use crate::key::{Key, Socket, Tuple};
use crate::observation::{Amount, Evidence, Identity, Micros, Observation};
use crate::output::JoinedBy;
use crate::stats::Stats;
use crate::table::Keyed;
use crate::tcp::{self, TcpState};
use crate::views::{LinePart, Refused, Views};

/// A connection that is open, or over and remembered for what comes late.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub network: Arc<str>,
    pub tuple: Tuple,
    /// How many began before it. Its id is made of it, the key and the origin.
    pub ordinal: u32,
    /// Start of the observation that it began with.
    pub origin: Micros,
    pub start: Micros,
    pub end: Micros,
    /// What of its totals has been put out.
    pub reported: PerEnd<Counts>,
    /// The time of observations since the last output.
    pub cover: Cover,
    pub who: PerEnd<Option<Arc<Identity>>>,
    pub views: Views,
    pub rare: Option<Box<Rare>>,
    /// The second since which its next output is waited for: that in which it began, was
    /// put out last, or its end was seen. Of one that is over: since when.
    pub since: u32,
    /// The second in which the last record came, late ones left out.
    pub last_seen: u32,
    pub seq: u32,
    /// Packets that were looked at, of sampled observations.
    pub sampled_packets: u32,
    pub flags: PerEnd<u8>,
    pub tcp_state: Option<TcpState>,
    pub evidence: Evidence,
    pub client_high: bool,
    /// Something came since the last output.
    pub fresh: bool,
    pub midstream: bool,
    pub clock_off: bool,
    /// All sides that can be expected have reported.
    pub complete: bool,
    pub ending: Ending,
    /// Names that the end's own node told.
    pub owned: PerEnd<bool>,
    /// It is in the index of joins, with this end for its client.
    pub join_client_high: Option<bool>,
    /// The other part of it is there, and was not seen at the same time yet.
    pub waits_for_part: bool,
}

/// What is known of a connection's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub(crate) enum Ending {
    /// Nothing.
    #[default]
    Unknown,
    /// There was no room for it.
    Evicted,
    /// It was seen.
    Seen,
}

/// What few connections have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rare {
    pub tracked: Vec<Tracked>,
    pub resets: u32,
    pub service: Option<Service>,
    /// What primary observations counted that no line had room for.
    pub beyond: PerEnd<Counts>,
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
    /// What comes under this address is of this connection.
    pub bound: bool,
    /// The last packet that was seen under the endpoint's own address.
    pub endpoint_end: Micros,
}

/// How an observation came to a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The source is the higher end of the connection's key.
    pub sender_high: bool,
    /// Under the address before translation.
    pub by_service: bool,
    /// The connection is over.
    pub late: bool,
    pub now: Micros,
    pub tick: u32,
    pub forgotten: Forgotten,
}

impl Connection {
    /// With nothing in it yet.
    pub fn new(key: Key, observation: &Observation, ordinal: u32, tick: u32) -> Self {
        Self {
            network: key.network,
            tuple: key.tuple,
            ordinal,
            origin: observation.start,
            start: observation.start,
            end: observation.end,
            reported: PerEnd::default(),
            cover: Cover::default(),
            who: PerEnd::default(),
            views: Views::default(),
            rare: None,
            since: tick,
            last_seen: tick,
            seq: 0,
            sampled_packets: 0,
            flags: PerEnd::default(),
            tcp_state: None,
            evidence: Evidence::FirstSeen,
            client_high: false,
            fresh: false,
            midstream: false,
            clock_off: false,
            complete: false,
            ending: Ending::Unknown,
            owned: PerEnd::default(),
            join_client_high: None,
            waits_for_part: false,
        }
    }

    pub fn id(&self, cluster: &str) -> ConnectionId {
        let (origin, ordinal) = (self.origin, u64::from(self.ordinal));
        connection_id(cluster, &self.network, &self.tuple, origin, ordinal)
    }

    pub fn service(&self) -> Option<&Service> {
        self.rare.as_ref()?.service.as_ref()
    }

    pub fn service_mut(&mut self) -> Option<&mut Service> {
        self.rare.as_mut()?.service.as_mut()
    }

    pub fn tracked(&self) -> &[Tracked] {
        self.rare.as_ref().map_or(&[], |rare| &rare.tracked)
    }

    /// What primary observations saw each end send.
    pub fn totals(&self) -> PerEnd<Counts> {
        let beyond = self.rare.as_ref().map_or(PerEnd::default(), |rare| rare.beyond);
        self.views.primary().plus(beyond)
    }

    /// No primary observation was sampled.
    pub fn is_exact(&self) -> bool {
        let mut primary = self.views.lines().filter(|line| line.place.primary());
        self.sampled_packets == 0 && primary.all(|line| line.is_exact())
    }

    /// Its end by a clock that is not ahead of arrival.
    pub fn settled_end(&self) -> Micros {
        self.end.min((u64::from(self.last_seen) + 1) * 1_000_000)
    }

    /// Bytes that it has beyond its own place.
    pub fn heap(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            size_of::<Rare>() + rare.tracked.capacity() * size_of::<Tracked>()
        });
        self.views.heap() + self.cover.heap() + rare
    }

    /// Takes in an observation. Says whether who stands on its ends, or which of them is
    /// the client, may have changed.
    pub fn take(
        &mut self,
        observation: &Observation,
        arrival: Arrival,
        periods: &Periods,
        stats: &mut Stats,
    ) -> bool {
        let is_first = !self.fresh && self.seq == 0;
        self.fresh = true;
        if !arrival.late {
            self.last_seen = arrival.tick;
        }
        let bases = Bases {
            forgotten: arrival.forgotten,
            patience: periods.inactive_us,
        };
        let Advance { added, reset } = self.added(observation, arrival.sender_high, bases, stats);
        if reset {
            let resets = &mut self.rare.get_or_insert_default().resets;
            *resets = resets.saturating_add(1);
        }
        self.count(observation, added, arrival);
        let new_view = self.look(observation, added, arrival.sender_high, stats);
        self.extend(observation, arrival.now, periods, stats);
        self.follow_tcp(observation, arrival);
        let turned = self.orient(observation, arrival.sender_high, is_first);
        let named = self.name(observation, arrival);
        if new_view || named {
            self.complete = self.is_complete();
        }
        named || turned
    }

    fn added(
        &mut self,
        observation: &Observation,
        sender_high: bool,
        bases: Bases,
        stats: &mut Stats,
    ) -> Advance {
        if let Amount::Delta(counts) = observation.amount {
            let mut added = PerEnd::default();
            *added.at_mut(sender_high) = counts;
            return Advance { added, reset: false };
        }
        let tracked = &mut self.rare.get_or_insert_default().tracked;
        conntrack::added(observation, sender_high, tracked, bases, stats)
    }

    fn count(&mut self, observation: &Observation, added: PerEnd<Counts>, arrival: Arrival) {
        let seen_until = observation.end.min(arrival.now);
        let client_high = self.client_high;
        if let Some(service) = self.service_mut() {
            if !arrival.by_service {
                service.endpoint_end = service.endpoint_end.max(seen_until);
            } else if observation.primary {
                service.totals = service.totals.plus(added.oriented(client_high));
            }
        }
        if observation.primary && !observation.is_exact() {
            let packets = added.low.packets.saturating_add(added.high.packets);
            let looked_at = packets / u64::from(observation.sampling.max(1));
            let looked_at = u32::try_from(looked_at).unwrap_or(u32::MAX);
            self.sampled_packets = self.sampled_packets.saturating_add(looked_at);
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
        let flags = observation.tcp_flags.map_or(0, |flags| flags.bits);
        let mut new_view = false;
        for high in [sender_high, !sender_high]
            .into_iter()
            .take(1 + usize::from(both))
        {
            let part = LinePart {
                counts: *added.at(high),
                sender_high: high,
                flags: if high == sender_high { flags } else { 0 },
                origin: self.origin,
            };
            match self.views.add(observation, part) {
                Ok(new) => new_view |= new,
                Err(_) => {
                    let mut refused = Refused {
                        lines: 1,
                        ..Refused::default()
                    };
                    if observation.primary {
                        *refused.primary.at_mut(high) = part.counts;
                    }
                    self.keep_beyond(refused, stats);
                }
            }
        }
        new_view
    }

    /// Lines that found no room count in the totals.
    pub fn keep_beyond(&mut self, refused: Refused, stats: &mut Stats) {
        stats.lines_refused += refused.lines;
        if refused.primary != PerEnd::default() {
            let rare = self.rare.get_or_insert_default();
            rare.beyond = rare.beyond.plus(refused.primary);
        }
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
        if over && self.ending != Ending::Seen {
            self.ending = Ending::Seen;
            if !arrival.late {
                self.since = arrival.tick;
            }
        }
    }

    /// The state of TCP, where something tells it.
    pub fn tcp_state(&self) -> Option<TcpState> {
        let flags = self.flags.oriented(self.client_high);
        self.tcp_state
            .or_else(|| TcpState::of_flags(flags.forward, flags.reverse))
    }

    /// Which end sent what came from `src` under the address before translation.
    pub fn sender_by_service(&self, src: Socket) -> bool {
        if src == self.tuple.end(self.client_high) {
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

    /// What comes under the address before translation is of it no more.
    pub fn let_go(&mut self) {
        if let Some(service) = self.service_mut() {
            service.bound = false;
        }
    }

    /// What was described has been put out at this second.
    pub fn mark_output(&mut self, tick: u32) {
        self.seq = self.seq.saturating_add(1);
        self.reported = self.totals();
        if let Some(service) = self.service_mut() {
            service.reported = service.totals;
        }
        self.views.mark_reported();
        self.cover.clear();
        self.fresh = false;
        self.since = tick;
    }

    /// The clock of the log was set back to this second.
    pub fn turn_back(&mut self, tick: u32) {
        self.since = self.since.min(tick);
        self.last_seen = self.last_seen.min(tick);
    }
}

impl Keyed for Connection {
    fn network(&self) -> &Arc<str> {
        &self.network
    }

    fn tuple(&self, by_service: bool) -> Option<Tuple> {
        if !by_service {
            return Some(self.tuple);
        }
        let service = self.service().filter(|service| service.bound)?;
        Some(self.tuple.with_server(self.client_high, service.server).0)
    }
}
