//! Connections that are over and are remembered for what comes late.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::Periods;
use crate::connection::{Connection, Rare};
use crate::conntrack::{self, tracking};
use crate::counts::{Counts, PerEnd};
use crate::key::{Key, Socket, Tuple};
use crate::observation::{Amount, Evidence, Identity, Micros, Observation};
use crate::pool::Pool;
use crate::stats::Stats;
use crate::table::{Keyed, Place, Table};
use crate::tcp::TcpState;

/// What is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Tombstone {
    pub key: Key,
    pub ordinal: u64,
    pub origin: Micros,
    pub start: Micros,
    pub end: Micros,
    /// Its end by a clock that is not ahead of arrival.
    pub settled_end: Micros,
    pub totals: PerEnd<Counts>,
    pub who: PerEnd<Option<Arc<Identity>>>,
    pub rare: Option<Box<Rare>>,
    /// The second at which it is forgotten.
    pub until: u32,
    pub seq: u32,
    pub sampled_packets: u32,
    pub tcp_state: Option<TcpState>,
    pub evidence: Evidence,
    pub client_high: bool,
    pub sampled: bool,
    pub midstream: bool,
    pub clock_off: bool,
    /// Its end was seen.
    pub ended: bool,
}

impl Tombstone {
    pub fn of(connection: Connection, until: u32) -> Self {
        Self {
            settled_end: connection.settled_end(),
            tcp_state: connection.tcp_state(),
            key: connection.key,
            ordinal: connection.ordinal,
            origin: connection.origin,
            start: connection.start,
            end: connection.end,
            totals: connection.totals,
            who: connection.who,
            rare: connection.rare,
            until,
            seq: connection.seq,
            sampled_packets: connection.sampled_packets,
            evidence: connection.evidence,
            client_high: connection.client_high,
            sampled: connection.sampled,
            midstream: connection.midstream,
            clock_off: connection.clock_off,
            ended: connection.ended != 0,
        }
    }

    /// Whether totals are of this very connection.
    pub fn tracks(&self, observation: &Observation) -> bool {
        let Some(of) = tracking(observation) else {
            return false;
        };
        let tracked = self.rare.iter().flat_map(|rare| &rare.tracked);
        tracked
            .into_iter()
            .any(|known| known.is_by(observation) && known.is_of(of))
    }

    /// Whether an observation is a late one of it, and no beginning.
    pub fn takes(&self, observation: &Observation, periods: &Periods) -> bool {
        if let Some(of) = tracking(observation) {
            let mut tracked = self.rare.iter().flat_map(|rare| &rare.tracked);
            if let Some(known) = tracked.find(|known| known.is_by(observation)) {
                return known.is_of(of);
            }
        }
        if observation.tcp_flags.is_some_and(|flags| flags.begins()) {
            return observation.start < self.settled_end;
        }
        // After an end come the last acknowledgements; what did not end may go on.
        let straggles = if self.ended {
            periods.linger_us
        } else {
            periods.tolerance_us
        };
        observation.start <= self.settled_end.saturating_add(straggles)
    }

    /// Takes in a late observation; says what it adds.
    pub fn take(
        &mut self,
        observation: &Observation,
        sender_high: bool,
        by_service: bool,
        stats: &mut Stats,
    ) -> PerEnd<Counts> {
        let added = if let Amount::Delta(counts) = observation.amount {
            let mut added = PerEnd::default();
            *added.at_mut(sender_high) = counts;
            added
        } else {
            let tracked = &mut self.rare.get_or_insert_default().tracked;
            conntrack::added(observation, sender_high, tracked, stats).added
        };
        if !observation.primary {
            return PerEnd::default();
        }
        self.start = self.start.min(observation.start);
        self.end = self.end.max(observation.end);
        self.totals.low = self.totals.low.plus(added.low);
        self.totals.high = self.totals.high.plus(added.high);
        let client_high = self.client_high;
        let service = self.rare.as_mut().and_then(|rare| rare.service.as_mut());
        if let Some(service) = service.filter(|_| by_service) {
            service.totals = service.totals.plus(added.oriented(client_high));
        }
        added
    }

    /// Which end sent an observation under the address before translation.
    pub fn sender_by_service(&self, src: Socket) -> bool {
        if src == self.key.tuple.end(self.client_high) {
            self.client_high
        } else {
            !self.client_high
        }
    }

    /// The key under the address before translation.
    fn service_key(&self) -> Option<Key> {
        let tuple = self.tuple(true)?;
        Some(Key {
            network: Arc::clone(&self.key.network),
            tuple,
        })
    }
}

impl Keyed for Tombstone {
    fn network(&self) -> &Arc<str> {
        &self.key.network
    }

    fn tuple(&self, by_service: bool) -> Option<Tuple> {
        if !by_service {
            return Some(self.key.tuple);
        }
        let server = self.rare.as_ref()?.service.as_ref()?.server;
        Some(self.key.tuple.with_server(self.client_high, server).0)
    }
}

/// Those that are remembered, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    table: Table,
    pool: Pool<Tombstone>,
    order: VecDeque<u32>,
}

impl Tombstones {
    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tombstone> {
        self.order.iter().filter_map(|slot| self.pool.get(*slot))
    }

    pub fn find(&self, network: &Arc<str>, tuple: &Tuple) -> Option<Place> {
        let hash = self.table.hash(network, tuple);
        self.table
            .find(hash, (network, tuple), |slot| self.pool.get(slot))
    }

    pub fn get(&self, place: Place) -> Option<&Tombstone> {
        self.pool.get(place.slot())
    }

    pub fn get_mut(&mut self, place: Place) -> Option<&mut Tombstone> {
        self.pool.get_mut(place.slot())
    }

    /// Remembers one, instead of an earlier one of the same key.
    pub fn push(&mut self, tombstone: Tombstone) {
        let keys = [Some(tombstone.key.clone()), tombstone.service_key()];
        let slot = self.pool.insert(tombstone);
        self.order.push_back(slot);
        for (key, by_service) in keys.into_iter().zip([false, true]) {
            let Some(key) = key else { continue };
            if let Some(earlier) = self.find(&key.network, &key.tuple) {
                self.table.remove(&key, earlier);
            }
            let hash = self.table.hash(&key.network, &key.tuple);
            self.table
                .insert(hash, Place::new(slot, by_service), |slot| self.pool.get(slot));
        }
    }

    /// Forgets the oldest.
    pub fn pop(&mut self) {
        let Some(slot) = self.order.pop_front() else {
            return;
        };
        let Some(tombstone) = self.pool.get(slot) else {
            return;
        };
        if let Some(key) = tombstone.service_key() {
            self.table.remove(&key, Place::new(slot, true));
        }
        let key = tombstone.key.clone();
        self.table.remove(&key, Place::new(slot, false));
        self.pool.remove(slot);
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: u32) {
        while let Some(slot) = self.order.front()
            && self.pool.get(*slot).is_none_or(|oldest| oldest.until <= now)
        {
            self.pop();
        }
    }
}
