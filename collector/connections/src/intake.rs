//! Observations find the connection that they are of, or begin one.

use std::sync::Arc;

use crate::connection::{Arrival, Connection};
use crate::connections::{Connections, Outputs};
use crate::conntrack::{Tracked, tracking};
use crate::key::{Key, Tuple, tuple_of};
use crate::lifetime::{Candidate, Fit};
use crate::observation::Observation;
use crate::output::{Reason, Stage};
use crate::table::Place;
use crate::{tcp, times};

/// The key of an observation.
#[derive(Debug, Clone, Copy)]
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
            self.stats.records += 1;
            let mended = times::mended(observation, self.now, self.periods.tolerance_us);
            self.stats.times_mended += u64::from(mended.is_some());
            self.observe(mended.as_ref().unwrap_or(observation), out);
            self.make_room(out);
        }
    }

    fn observe(&mut self, observation: &Observation, out: Outputs<'_>) {
        let location = self.locate(observation);
        let network = &observation.network;
        let open = self
            .table
            .find(location.hash, (network, &location.tuple), |slot| {
                self.pool.get(slot)
            });
        let Some(place) = open.filter(|place| !self.lets_go(*place, observation)) else {
            return self.begin_or_late(observation, location, out);
        };
        let may_be_before = self
            .pool
            .get(place.slot())
            .is_some_and(|open| open.may_be_after(observation));
        let before = may_be_before
            .then(|| self.remembered.find(network, &location.tuple, &self.pool))
            .flatten();
        match self.fit(place, before, observation, location) {
            Fit::Same => {
                let bases = self.bases_of(before, observation);
                self.take(place, observation, location, bases, out);
            }
            Fit::Stale => self.stats.stale_totals += 1,
            Fit::Before => {
                if let Some(before) = before {
                    self.take_late(before, observation, location, out);
                }
            }
            Fit::Next(reason) => {
                self.wheel.remove(place.slot());
                self.finish(place.slot(), reason, out);
                let before = self.remembered.find(network, &location.tuple, &self.pool);
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

    /// No open connection has the key.
    fn begin_or_late(&mut self, observation: &Observation, location: Location, out: Outputs<'_>) {
        let before = self
            .remembered
            .find(&observation.network, &location.tuple, &self.pool);
        match before {
            Some(before) if self.takes_late(before, observation, location) => {
                self.take_late(before, observation, location, out);
            }
            _ => self.open(observation, location, before, out),
        }
    }

    /// Whether what comes under the address before translation is of another connection
    /// now, since the endpoint was seen no more.
    fn lets_go(&mut self, place: Place, observation: &Observation) -> bool {
        if !place.by_service() {
            return false;
        }
        let Some(service) = self.pool.get(place.slot()).and_then(|one| one.service()) else {
            return false;
        };
        let silent = service.endpoint_end.saturating_add(self.periods.inactive_us);
        let over = observation.start.min(self.now) > silent;
        if over {
            self.let_go(place.slot());
        }
        over
    }

    /// Which end of a connection sent an observation.
    fn sender(&self, place: Place, location: Location) -> bool {
        if !place.by_service() {
            return location.sender_high;
        }
        let src = location.tuple.end(location.sender_high);
        let connection = self.pool.get(place.slot());
        connection.is_some_and(|one| one.sender_by_service(src))
    }

    fn takes_late(&self, before: Place, observation: &Observation, location: Location) -> bool {
        let candidate = Candidate {
            observation,
            sender_high: self.sender(before, location),
            now: self.now,
        };
        let before = self.pool.get(before.slot());
        before.is_some_and(|before| before.takes_late(candidate, &self.periods))
    }

    fn fit(&self, place: Place, before: Option<Place>, observation: &Observation, location: Location) -> Fit {
        let candidate = Candidate {
            observation,
            sender_high: self.sender(place, location),
            now: self.now,
        };
        let before =
            before.and_then(|before| Some((self.pool.get(before.slot())?, self.sender(before, location))));
        let open = self.pool.get(place.slot());
        open.map_or(Fit::Same, |open| open.fit(candidate, before, &self.periods))
    }

    fn open(
        &mut self,
        observation: &Observation,
        location: Location,
        before: Option<Place>,
        out: Outputs<'_>,
    ) {
        let midstream = self.goes_on(before, observation);
        let bases = self.bases_of(before, observation);
        while self.len() >= self.bounds.open {
            self.evict(out);
        }
        let key = Key {
            network: Arc::clone(&observation.network),
            tuple: location.tuple,
        };
        let now = self.wheel.now();
        let connection = Connection {
            midstream,
            ..Connection::new(key, observation, self.ordinal, now)
        };
        self.ordinal = self.ordinal.wrapping_add(1);
        self.stats.opened += 1;
        let slot = self.pool.insert(connection);
        let place = Place::new(slot, false);
        self.table
            .insert(location.hash, place, |slot| self.pool.get(slot));
        self.wheel.insert(slot, u32::MAX);
        self.take(place, observation, location, bases, out);
    }

    /// Whether it is the middle of something: it does not begin, and bits of TCP would
    /// show that, or the connection before did not end.
    fn goes_on(&self, before: Option<Place>, observation: &Observation) -> bool {
        let begins = observation.tcp_flags.map(|flags| flags.bits & tcp::SYN != 0);
        let unended = before
            .and_then(|before| self.pool.get(before.slot()))
            .is_some_and(|one| !one.is_over());
        match begins {
            Some(begins) => !begins,
            None => unended,
        }
    }

    /// Takes what is known of the totals of an observation from the connection before,
    /// which they go on from.
    fn bases_of(&mut self, before: Option<Place>, observation: &Observation) -> Vec<Tracked> {
        tracking(observation)
            .and_then(|of| {
                let slot = before.filter(|before| !before.by_service())?.slot();
                let tracks = self.pool.get(slot)?.tracks(observation);
                let is_it = |known: &mut Tracked| known.is_by(observation) && known.is_of(of);
                tracks.then(|| {
                    self.change(slot, |before, _, _| {
                        let rare = before.rare.as_mut();
                        rare.map_or(Vec::new(), |rare| rare.tracked.extract_if(.., is_it).collect())
                    })
                })?
            })
            .unwrap_or_default()
    }

    fn take(
        &mut self,
        place: Place,
        observation: &Observation,
        location: Location,
        bases: Vec<Tracked>,
        out: Outputs<'_>,
    ) {
        let slot = place.slot();
        let arrival = self.arrival(place, location, false);
        let outcome = self.change(slot, |connection, periods, stats| {
            connection.go_on_from(bases);
            let renamed = connection.take(observation, arrival, periods, stats);
            let again = renamed || connection.waits_for_part;
            (
                again,
                connection.due(periods),
                connection.untold_service(observation),
            )
        });
        let Some((again, due, untold)) = outcome else {
            return;
        };
        if due < self.wheel.tick_of(slot) {
            self.wheel.remove(slot);
            self.wheel.insert(slot, due);
        }
        if let Some(service) = untold {
            self.join_told(slot, service, observation, out);
        }
        if again {
            self.join_by_names(slot, out);
        }
    }

    fn arrival(&self, place: Place, location: Location, late: bool) -> Arrival {
        Arrival {
            sender_high: self.sender(place, location),
            by_service: place.by_service(),
            late,
            now: self.now,
            tick: self.wheel.now(),
            forgotten: self.forgotten,
        }
    }

    /// One more output of a connection that is over, if what it has put out changes.
    fn take_late(&mut self, before: Place, observation: &Observation, location: Location, out: Outputs<'_>) {
        let slot = before.slot();
        let arrival = self.arrival(before, location, true);
        self.stats.late += 1;
        self.change(slot, |connection, periods, stats| {
            connection.take(observation, arrival, periods, stats);
        });
        let Some(connection) = self.pool.get(slot) else {
            return;
        };
        let since = connection.since;
        if connection.has_news() {
            let reason = connection.ending.reason();
            out(connection.describe(&self.config.cluster, &self.periods, reason, Stage::Late));
            self.stats.outputs += 1;
            self.change(slot, |connection, _, _| connection.mark_output(since));
        } else {
            self.stats.late_unshown += 1;
            self.change(slot, |connection, _, _| connection.cover.clear());
        }
    }
}

impl crate::connection::Ending {
    /// Why a connection that ended so was put out.
    fn reason(self) -> Reason {
        match self {
            Self::Unknown => Reason::Idle,
            Self::Evicted => Reason::LackOfResources,
            Self::Seen => Reason::End,
        }
    }
}

impl Connection {
    /// Something is there that has not been put out.
    fn has_news(&self) -> bool {
        self.totals() != self.reported || self.views.has_news()
    }

    /// What was known of totals before goes on being known.
    fn go_on_from(&mut self, bases: Vec<Tracked>) {
        if !bases.is_empty() {
            self.rare.get_or_insert_default().tracked.extend(bases);
        }
    }
}
