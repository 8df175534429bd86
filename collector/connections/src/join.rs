//! A connection to a Service and the one to its endpoint are the same, before and after
//! the server's address was translated. Connection tracking says so; without it they are
//! joined when they have the client, its port and the time in common, and there is one of
//! each. Nothing waits for it.

use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::config::Periods;
use crate::connection::{Connection, Rare, Service};
use crate::connections::{Connections, Outputs};
use crate::conntrack::Tracked;
use crate::counts::{Biflow, PerEnd};
use crate::key::{self, Key, Socket, Tuple, same_text, tuple_of};
use crate::observation::{Evidence, Identity, IdentityKind, Observation};
use crate::output::{JoinedBy, Reason};
use crate::pool::Pool;
use crate::table::Place;
use crate::views;

/// Connections that may be one part of such a pair, by their clients.
#[derive(Debug, Default)]
pub(crate) struct JoinIndex {
    slots: HashTable<u32>,
    state: RandomState,
}

/// Which part a connection is.
struct Part<'a> {
    client_high: bool,
    /// Before translation.
    is_service: bool,
    server: &'a Identity,
}

impl Connection {
    /// `None`: no Service is known for either end, or it has both parts.
    fn part(&self) -> Option<Part<'_>> {
        if self.service().is_some() {
            return None;
        }
        let part = |high: bool| {
            let who = self.who.at(high).as_deref()?;
            let of_service = !who.service_name.is_empty() || who.kind == IdentityKind::Service;
            of_service.then_some(Part {
                client_high: !high,
                is_service: who.kind == IdentityKind::Service,
                server: who,
            })
        };
        match (part(false), part(true)) {
            (Some(low), Some(high)) => Some(if self.client_high { low } else { high }),
            (low, high) => low.or(high),
        }
    }

    fn client_tuple(&self, client_high: bool) -> Tuple {
        Tuple {
            low: self.key.tuple.end(client_high),
            high: Socket::default(),
            proto: self.key.tuple.proto,
        }
    }

    /// Whether both are of one client at one time.
    fn meets(&self, other: &Self, (own, others): (bool, bool), periods: &Periods) -> bool {
        let near = |start: u64, end: u64| start <= end.saturating_add(periods.linger_us);
        self.client_tuple(own) == other.client_tuple(others)
            && same_text(&self.key.network, &other.key.network)
            && near(self.start, other.end)
            && near(other.start, self.end)
    }

    /// Whether its client may still become that end.
    fn may_turn(&self, client_high: bool) -> bool {
        self.seq == 0 || self.client_high == client_high
    }
}

impl JoinIndex {
    fn hash(&self, connection: &Connection, client_high: bool) -> u64 {
        let tuple = connection.client_tuple(client_high);
        key::hash(&self.state, &connection.key.network, &tuple)
    }

    /// Keeps a connection, once.
    pub fn insert(&mut self, slot: u32, client_high: bool, pool: &mut Pool<Connection>) {
        let Some(connection) = pool.get_mut(slot) else {
            return;
        };
        if connection.join_client_high.is_some() {
            return;
        }
        connection.join_client_high = Some(client_high);
        let pool = &*pool;
        let Some(connection) = pool.get(slot) else { return };
        let hash = self.hash(connection, client_high);
        let state = &self.state;
        self.slots.insert_unique(hash, slot, |slot| {
            let other = pool.get(*slot);
            let tuple = other.and_then(|one| Some((one, one.client_tuple(one.join_client_high?))));
            tuple.map_or(0, |(one, tuple)| key::hash(state, &one.key.network, &tuple))
        });
    }

    pub fn remove(&mut self, slot: u32, pool: &mut Pool<Connection>) {
        let Some(connection) = pool.get_mut(slot) else {
            return;
        };
        let Some(client_high) = connection.join_client_high.take() else {
            return;
        };
        let hash = self.hash(connection, client_high);
        if let Ok(entry) = self.slots.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }

    /// The parts of one pair that a connection belongs to: before translation and after.
    /// `None`: there is not exactly one of each.
    fn pair(&self, slot: u32, pool: &Pool<Connection>, periods: &Periods) -> Option<(u32, u32)> {
        let connection = pool.get(slot)?;
        let own = connection.part()?;
        let mut parts = [None; 2];
        for other_slot in self.slots.iter_hash(self.hash(connection, own.client_high)) {
            let Some(other) = pool.get(*other_slot) else {
                continue;
            };
            let Some(part) = other.part() else { continue };
            let ends = (own.client_high, part.client_high);
            if !connection.meets(other, ends, periods) || !part.server.shares_service(own.server) {
                continue;
            }
            let place = if part.is_service {
                &mut parts[0]
            } else {
                &mut parts[1]
            };
            if place.replace(*other_slot).is_some() {
                return None;
            }
        }
        let [service, endpoint] = parts;
        service.zip(endpoint)
    }
}

impl Connections {
    /// Looks whether names make a connection a part of another.
    pub(crate) fn join_by_names(&mut self, slot: u32, out: Outputs<'_>) {
        let part = self
            .pool
            .get(slot)
            .and_then(|connection| Some(connection.part()?.client_high));
        let Some(client_high) = part else { return };
        self.joins.insert(slot, client_high, &mut self.pool);
        let Some((service, endpoint)) = self.joins.pair(slot, &self.pool, &self.periods) else {
            return;
        };
        let client = self
            .pool
            .get(endpoint)
            .and_then(|one| Some(one.part()?.client_high));
        let Some(client_high) = client else { return };
        if self
            .pool
            .get(endpoint)
            .is_some_and(|one| one.may_turn(client_high))
        {
            self.absorb(service, endpoint, (client_high, JoinedBy::Service), out);
        }
    }

    /// Connection tracking says which address the server had before.
    pub(crate) fn join_told(
        &mut self,
        slot: u32,
        (addr, port): (IpAddr, u16),
        observation: &Observation,
        out: Outputs<'_>,
    ) {
        let Some(connection) = self.pool.get_mut(slot) else {
            return;
        };
        let (tuple, sender_high) = tuple_of(observation);
        let client_high = connection.client_high;
        let (key, server) = (connection.key.clone(), Socket::new(Some(addr), port));
        let (service_tuple, _) = key.tuple.with_server(client_high, server);
        let told_of_server = tuple == key.tuple && sender_high == client_high;
        if !told_of_server || service_tuple == key.tuple {
            return;
        }
        let hash = self.table.hash(&key.network, &service_tuple);
        let known = self
            .table
            .find(hash, (&key.network, &service_tuple), |slot| self.pool.get(slot));
        match known {
            Some(place) if place.by_service() || self.is_joined(place.slot()) => {}
            Some(place) => self.absorb(place.slot(), slot, (client_high, JoinedBy::Conntrack), out),
            None => {
                let service = Service {
                    server,
                    who: None,
                    totals: Biflow::default(),
                    reported: Biflow::default(),
                    joined_by: JoinedBy::Conntrack,
                };
                self.joins.remove(slot, &mut self.pool);
                if let Some(connection) = self.pool.get_mut(slot) {
                    connection.rare.get_or_insert_default().service = Some(service);
                }
                self.table
                    .insert(hash, Place::new(slot, true), |slot| self.pool.get(slot));
            }
        }
    }

    fn is_joined(&self, slot: u32) -> bool {
        self.pool
            .get(slot)
            .is_none_or(|connection| connection.service().is_some())
    }

    /// Makes a connection by a Service's address a part of the endpoint's. What was put
    /// out of it stays under its own id, with a last output; the rest goes over.
    fn absorb(&mut self, from: u32, into: u32, (client_high, by): (bool, JoinedBy), out: Outputs<'_>) {
        self.wheel.remove(from);
        let Some(part) = self.remove(from) else { return };
        self.joins.remove(into, &mut self.pool);
        self.stats.joined += 1;
        if part.seq > 0 {
            out(part.describe(&self.config.cluster, &self.periods, Reason::Forced, true));
            self.stats.outputs += 1;
            self.stats.finished += 1;
        }
        let Some(whole) = self.pool.get_mut(into) else {
            return;
        };
        let Key { network, tuple } = part.key.clone();
        whole.client_high = client_high;
        whole.evidence = whole.evidence.max(Evidence::Service);
        self.stats.lines_refused += u64::from(!whole.absorb(part, by));
        let due = whole.due(&self.periods);
        let hash = self.table.hash(&network, &tuple);
        self.table
            .insert(hash, Place::new(into, true), |slot| self.pool.get(slot));
        if due < self.wheel.tick_of(into) {
            self.wheel.remove(into);
            self.wheel.insert(into, due);
        }
    }
}

impl Connection {
    /// Takes in what has not been put out of a connection that is a part of this one.
    /// Says whether all lines of its nodes found room.
    fn absorb(&mut self, part: Self, by: JoinedBy) -> bool {
        let client = self.key.tuple.end(self.client_high);
        let part_client_high = part.key.tuple.end(true) == client;
        let told = part.seq == 0;
        let totals = part.totals.oriented(part_client_high);
        let mut service = Service {
            server: part.key.tuple.end(!part_client_high),
            who: part.who.at(!part_client_high).clone(),
            totals: Biflow::default(),
            reported: Biflow::default(),
            joined_by: by,
        };
        let client_who = self.who.at_mut(self.client_high);
        if client_who.is_none() {
            client_who.clone_from(part.who.at(part_client_high));
        }
        if let Some(rare) = &part.rare {
            self.absorb_tracked(rare, part_client_high);
        }
        if !told {
            self.rare.get_or_insert_default().service = Some(service);
            return true;
        }
        service.totals = totals;
        let added = PerEnd::of(totals, self.client_high);
        self.totals.low = self.totals.low.plus(added.low);
        self.totals.high = self.totals.high.plus(added.high);
        self.start = self.start.min(part.start);
        self.end = self.end.max(part.end);
        part.cover
            .iter()
            .for_each(|(start, end)| self.cover.add(start, end));
        let flags = PerEnd::of(part.flags.oriented(part_client_high), self.client_high);
        self.flags.low |= flags.low;
        self.flags.high |= flags.high;
        self.tcp_state = self.tcp_state.or(part.tcp_state);
        self.created = self.created.min(part.created);
        self.last_seen = self.last_seen.max(part.last_seen);
        self.ended = self.ended.max(part.ended);
        self.sampled_packets = self.sampled_packets.saturating_add(part.sampled_packets);
        self.sampled |= part.sampled;
        self.clock_off |= part.clock_off;
        self.midstream &= part.midstream;
        self.fresh |= part.fresh;
        let flip = part_client_high != self.client_high;
        let shift = views::since(self.origin, part.origin);
        let all = self.views.absorb(&part.views, flip, shift).is_ok();
        self.rare.get_or_insert_default().service = Some(service);
        self.complete = self.is_complete();
        all
    }
    /// What is known of totals goes over in any case: the next ones add to them.
    fn absorb_tracked(&mut self, part: &Rare, part_client_high: bool) {
        let client_high = self.client_high;
        let rare = self.rare.get_or_insert_default();
        rare.resets = rare.resets.saturating_add(part.resets);
        for tracked in &part.tracked {
            if rare.tracked.iter().any(|one| one.is_same_source(tracked)) {
                continue;
            }
            let last = PerEnd::of(tracked.last.oriented(part_client_high), client_high);
            rare.tracked.push(Tracked {
                last,
                ..tracked.clone()
            });
        }
    }
}
