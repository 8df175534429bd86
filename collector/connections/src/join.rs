//! A connection to a Service and the one to its endpoint are the same, before and after
//! the server's address was translated. Connection tracking says so; without it they are
//! joined when they have the client, its port and the time in common, and there is one of
//! each. Nothing waits for it. What was joined is let go when the endpoint is seen no
//! more: the client's next call may go to another one.

use std::net::IpAddr;

use crate::connection::{Connection, Ending, Rare, Service};
use crate::connections::{Connections, Outputs};
use crate::conntrack::{MOST_TRACKED, Tracked};
use crate::counts::{Biflow, PerEnd};
use crate::key::{Socket, tuple_of};
use crate::lines;
use crate::observation::{Evidence, Observation};
use crate::output::{JoinedBy, Reason, Stage};
use crate::table::Place;
use crate::views::Refused;

impl Connections {
    /// Looks whether names make a connection a part of another.
    pub(crate) fn join_by_names(&mut self, slot: u32, out: Outputs<'_>) {
        let Some(connection) = self.pool.get(slot).filter(|one| one.service().is_none()) else {
            return;
        };
        let Some(client_high) = connection.part().map(|part| part.client_high) else {
            self.joins.remove(slot, &mut self.pool);
            return;
        };
        if !self.joins.put(slot, client_high, &mut self.pool) {
            self.stats.joins_refused += 1;
            return;
        }
        let Some(found) = self.joins.look(slot, &self.pool, &self.periods) else {
            return;
        };
        if let Some(outlived) = found.outlived {
            self.let_go(outlived);
        }
        for waiting in [Some(slot), found.at_another_time].into_iter().flatten() {
            if let Some(one) = self.pool.get_mut(waiting) {
                one.waits_for_part = found.at_another_time.is_some();
            }
        }
        if let Some((service, endpoint)) = found.pair {
            self.join_pair(service, endpoint, out);
        }
    }

    fn join_pair(&mut self, service: u32, endpoint: u32, out: Outputs<'_>) {
        let whole = self.pool.get(endpoint);
        let client = whole.and_then(|one| Some(one.part()?.client_high));
        let may = whole
            .zip(client)
            .is_some_and(|(one, client_high)| one.may_turn(client_high));
        if let Some(client_high) = client.filter(|_| may) {
            self.absorb(service, endpoint, (client_high, JoinedBy::Service), out);
        }
    }

    /// What comes under the address before translation is of that connection no more.
    pub(crate) fn let_go(&mut self, slot: u32) {
        let key = self.pool.get(slot).and_then(|one| one.key(true));
        if let Some(key) = key {
            self.table.remove(&key, Place::new(slot, true));
            self.stats.let_go += 1;
        }
        self.joins.remove(slot, &mut self.pool);
        if let Some(connection) = self.pool.get_mut(slot) {
            connection.let_go();
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
        let Some(connection) = self.pool.get(slot) else {
            return;
        };
        let (tuple, sender_high) = tuple_of(observation);
        let client_high = connection.client_high;
        let server = Socket::new(Some(addr), port);
        let (service_tuple, _) = connection.tuple.with_server(client_high, server);
        let told_of_server = tuple == connection.tuple && sender_high == client_high;
        if !told_of_server || service_tuple == connection.tuple {
            return;
        }
        let network = &observation.network;
        let hash = self.table.hash(network, &service_tuple);
        let known = self
            .table
            .find(hash, (network, &service_tuple), |slot| self.pool.get(slot));
        match known.map(|place| (place, self.meaning(place, slot))) {
            None => {}
            Some((place, Meaning::Part)) => {
                let by = (client_high, JoinedBy::Conntrack);
                return self.absorb(place.slot(), slot, by, out);
            }
            Some((place, Meaning::Outlived)) if place.by_service() => self.let_go(place.slot()),
            Some((place, Meaning::Outlived)) => {
                self.wheel.remove(place.slot());
                self.finish(place.slot(), Reason::Idle, out);
            }
            Some((_, Meaning::Another)) => return,
        }
        self.bind(slot, server);
    }

    /// What stands under a Service's address to a connection that was translated from it.
    fn meaning(&self, place: Place, slot: u32) -> Meaning {
        let (Some(other), Some(own)) = (self.pool.get(place.slot()), self.pool.get(slot)) else {
            return Meaning::Another;
        };
        let last = match other.service() {
            Some(service) if place.by_service() => service.endpoint_end,
            Some(_) => return Meaning::Another,
            None if other.meets(own, &self.periods) => return Meaning::Part,
            None => other.settled_end(),
        };
        if own.start > last.saturating_add(self.periods.linger_us) {
            Meaning::Outlived
        } else {
            Meaning::Another
        }
    }

    /// A connection has the Service's address, under which nothing was seen yet.
    fn bind(&mut self, slot: u32, server: Socket) {
        self.change(slot, |connection, _, _| {
            let service = Service {
                server,
                who: None,
                totals: Biflow::default(),
                reported: Biflow::default(),
                joined_by: JoinedBy::Conntrack,
                bound: true,
                endpoint_end: connection.settled_end(),
            };
            connection.rare.get_or_insert_default().service = Some(service);
        });
        if let Some(key) = self.pool.get(slot).and_then(|one| one.key(true)) {
            let hash = self.table.hash(&key.network, &key.tuple);
            self.table
                .insert(hash, Place::new(slot, true), |slot| self.pool.get(slot));
        }
    }

    /// Makes a connection by a Service's address a part of the endpoint's. What was put
    /// out of it stays under its own id, with a last output; the rest goes over.
    fn absorb(&mut self, from: u32, into: u32, (client_high, by): (bool, JoinedBy), out: Outputs<'_>) {
        self.wheel.remove(from);
        let Some(part) = self.remove(from) else { return };
        self.stats.joined += 1;
        if part.seq > 0 {
            out(part.describe(&self.config.cluster, &self.periods, Reason::Forced, Stage::Last));
            self.stats.outputs += 1;
            self.stats.finished += 1;
        }
        let (network, tuple) = (part.network.clone(), part.tuple);
        let due = self.change(into, |whole, periods, stats| {
            whole.client_high = client_high;
            whole.evidence = whole.evidence.max(Evidence::Service);
            let refused = whole.absorb(part, by);
            whole.keep_beyond(refused, stats);
            whole.due(periods)
        });
        let Some(due) = due else { return };
        let hash = self.table.hash(&network, &tuple);
        self.table
            .insert(hash, Place::new(into, true), |slot| self.pool.get(slot));
        if due < self.wheel.tick_of(into) {
            self.wheel.remove(into);
            self.wheel.insert(into, due);
        }
    }
}

/// What a connection under a Service's address is to the one of an endpoint.
enum Meaning {
    /// A part of it.
    Part,
    /// Over when that began.
    Outlived,
    /// Neither, or nobody knows.
    Another,
}

impl Connection {
    /// Takes in what has not been put out of a connection that is a part of this one.
    /// Says what found no room.
    fn absorb(&mut self, part: Self, by: JoinedBy) -> Refused {
        let client = self.tuple.end(self.client_high);
        let part_client_high = part.tuple.end(true) == client;
        let totals = part.totals().oriented(part_client_high);
        let told = part.seq == 0;
        let service = Service {
            server: part.tuple.end(!part_client_high),
            who: part.who.at(!part_client_high).clone(),
            totals: if told { totals } else { Biflow::default() },
            reported: Biflow::default(),
            joined_by: by,
            bound: true,
            endpoint_end: self.settled_end(),
        };
        let client_who = self.who.at_mut(self.client_high);
        if client_who.is_none() {
            client_who.clone_from(part.who.at(part_client_high));
        }
        if let Some(rare) = &part.rare {
            self.absorb_tracked(rare, part_client_high);
        }
        self.waits_for_part = false;
        self.rare.get_or_insert_default().service = Some(service);
        if !told {
            return Refused::default();
        }
        let flip = part_client_high != self.client_high;
        let shift = lines::since(self.origin, part.origin);
        let mut refused = self.views.absorb(&part.views, flip, shift);
        let beyond = part.rare.as_ref().map_or(PerEnd::default(), |rare| rare.beyond);
        let beyond = PerEnd::of(beyond.oriented(part_client_high), self.client_high);
        refused.primary = refused.primary.plus(beyond);
        self.absorb_state(&part, part_client_high);
        self.complete = self.is_complete();
        refused
    }

    fn absorb_state(&mut self, part: &Self, part_client_high: bool) {
        self.start = self.start.min(part.start);
        self.end = self.end.max(part.end);
        part.cover
            .iter()
            .for_each(|(start, end)| self.cover.add(start, end));
        let flags = PerEnd::of(part.flags.oriented(part_client_high), self.client_high);
        self.flags.low |= flags.low;
        self.flags.high |= flags.high;
        self.tcp_state = self.tcp_state.or(part.tcp_state);
        self.since = match (self.ending, part.ending) {
            (Ending::Seen, _) => self.since,
            (_, Ending::Seen) => part.since,
            _ => self.since.min(part.since),
        };
        self.ending = self.ending.max(part.ending);
        self.last_seen = self.last_seen.max(part.last_seen);
        self.sampled_packets = self.sampled_packets.saturating_add(part.sampled_packets);
        self.clock_off |= part.clock_off;
        self.midstream &= part.midstream;
        self.fresh |= part.fresh;
    }

    /// What is known of totals goes over in any case: the next ones add to them.
    fn absorb_tracked(&mut self, part: &Rare, part_client_high: bool) {
        let client_high = self.client_high;
        let rare = self.rare.get_or_insert_default();
        rare.resets = rare.resets.saturating_add(part.resets);
        for tracked in &part.tracked {
            let known = rare.tracked.iter().any(|one| one.is_same_source(tracked));
            if known || rare.tracked.len() >= MOST_TRACKED {
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
