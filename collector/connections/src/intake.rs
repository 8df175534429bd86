//! Observations find the connection that they are of, or begin one.

use std::sync::Arc;

use crate::connection::{Arrival, Connection};
use crate::connections::{Connections, Outputs};
use crate::key::{Key, Tuple, tuple_of};
use crate::lifetime::Fit;
use crate::observation::Observation;
use crate::table::Place;
use crate::tcp;

/// The key of an observation.
struct Location {
    tuple: Tuple,
    /// Its source is the higher end.
    sender_high: bool,
    hash: u64,
}

impl Connections {
    /// Takes in the observations of a frame.
    pub(crate) fn take_in(&mut self, observations: &[Observation], out: Outputs<'_>) {
        for observation in observations {
            self.observe(observation, out);
        }
    }

    fn observe(&mut self, observation: &Observation, out: Outputs<'_>) {
        self.stats.records += 1;
        let network = &observation.network;
        let location = &self.locate(observation);
        let tuple = &location.tuple;
        let open = self
            .table
            .find(location.hash, (network, tuple), |slot| self.pool.get(slot));
        let Some(place) = open else {
            let before = self.tombstones.find(network, tuple);
            return match before.filter(|before| self.takes(*before, observation)) {
                Some(before) => self.take_late(before, observation, location.sender_high, out),
                None => self.open(observation, location, before, out),
            };
        };
        let connection = self.pool.get(place.slot());
        let may_be_before = connection.is_some_and(|open| open.may_be_after(observation));
        let before = may_be_before
            .then(|| self.tombstones.find(network, tuple))
            .flatten();
        match self.fit(place, before, observation) {
            Fit::Same => self.take(place, observation, location, out),
            Fit::Stale => self.stats.stale_totals += 1,
            Fit::Before => {
                if let Some(before) = before {
                    self.take_late(before, observation, location.sender_high, out);
                }
            }
            Fit::Next(reason) => {
                self.wheel.remove(place.slot());
                self.finish(place.slot(), reason, out);
                let before = self.tombstones.find(network, tuple);
                self.open(observation, location, before, out);
            }
        }
    }

    fn locate(&self, observation: &Observation) -> Location {
        let (tuple, sender_high) = tuple_of(observation);
        Location {
            hash: self.table.hash(&observation.network, &tuple),
            tuple,
            sender_high,
        }
    }

    fn takes(&self, before: Place, observation: &Observation) -> bool {
        let before = self.tombstones.get(before);
        before.is_some_and(|before| before.takes(observation, &self.periods))
    }

    fn fit(&self, place: Place, before: Option<Place>, observation: &Observation) -> Fit {
        let before = before.and_then(|before| self.tombstones.get(before));
        let open = self.pool.get(place.slot());
        open.map_or(Fit::Same, |open| open.fit(observation, before, &self.periods))
    }

    fn open(
        &mut self,
        observation: &Observation,
        location: &Location,
        before: Option<Place>,
        out: Outputs<'_>,
    ) {
        let goes_on = self.goes_on(before, observation);
        while self.pool.len() >= self.config.max_connections.max(1) {
            self.evict(out);
        }
        let key = Key {
            network: Arc::clone(&observation.network),
            tuple: location.tuple,
        };
        let now = self.wheel.now();
        let mut connection = Connection::new(key, observation, self.ordinal, now);
        connection.midstream = goes_on;
        self.ordinal = self.ordinal.wrapping_add(1);
        self.stats.opened += 1;
        let slot = self.pool.insert(connection);
        let place = Place::new(slot, false);
        self.table
            .insert(location.hash, place, |slot| self.pool.get(slot));
        self.wheel.insert(slot, u32::MAX);
        self.take(place, observation, location, out);
    }

    /// Whether it is the middle of something: it does not begin, and bits of TCP would
    /// show that, or the connection before did not end.
    fn goes_on(&self, before: Option<Place>, observation: &Observation) -> bool {
        let begins = observation.tcp_flags.map(|flags| flags.bits & tcp::SYN != 0);
        let unended = before
            .and_then(|before| self.tombstones.get(before))
            .is_some_and(|one| !one.ended);
        match begins {
            Some(begins) => !begins,
            None => unended,
        }
    }

    fn take(&mut self, place: Place, observation: &Observation, location: &Location, out: Outputs<'_>) {
        let slot = place.slot();
        let Some(connection) = self.pool.get_mut(slot) else {
            return;
        };
        let arrival = Arrival {
            sender_high: if place.by_service() {
                connection.sender_by_service(location.tuple.end(location.sender_high))
            } else {
                location.sender_high
            },
            by_service: place.by_service(),
            now: self.now,
            tick: self.wheel.now(),
        };
        let named = connection.take(observation, arrival, &self.periods, &mut self.stats);
        let due = connection.due(&self.periods);
        let untold = connection.untold_service(observation);
        if due < self.wheel.tick_of(slot) {
            self.wheel.remove(slot);
            self.wheel.insert(slot, due);
        }
        if let Some(service) = untold {
            self.join_told(slot, service, observation, out);
        }
        if named {
            self.join_by_names(slot, out);
        }
    }

    fn take_late(&mut self, before: Place, observation: &Observation, sender_high: bool, out: Outputs<'_>) {
        let Some(tombstone) = self.tombstones.get_mut(before) else {
            return;
        };
        self.stats.late += 1;
        let sender_high = if before.by_service() {
            tombstone.sender_by_service(tuple_of(observation).0.end(sender_high))
        } else {
            sender_high
        };
        let added = tombstone.take(observation, sender_high, before.by_service(), &mut self.stats);
        if added == Default::default() {
            self.stats.late_unshown += u64::from(!observation.primary);
            return;
        }
        let covered = observation.end.saturating_sub(observation.start);
        out(tombstone.describe(&self.config.cluster, added, covered));
        tombstone.mark_output();
        self.stats.outputs += 1;
    }
}
