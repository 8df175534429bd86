//! The state machine: frames of the log and the time go in, outputs come out.

use std::sync::Arc;

use crate::config::{Config, Periods};
use crate::connection::{Arrival, Connection};
use crate::join::JoinIndex;
use crate::key::{Key, Tuple, tuple_of};
use crate::lifetime::{Due, Fit};
use crate::observation::{Micros, Observation};
use crate::output::{Output, Reason};
use crate::pool::Pool;
use crate::stats::Stats;
use crate::table::{Place, Table};
use crate::tcp;
use crate::tombstone::{Tombstone, Tombstones};
use crate::wheel::Wheel;

/// Where in the log a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The log file.
    pub head: u64,
    /// The frame in it.
    pub frame: u64,
}

/// Records as the log has them together.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Where it is. Frames come in order; one that came before is not applied again.
    pub position: Position,
    /// When the log took it. It stands in for the clock, so that a replay does the same.
    pub time: Micros,
    /// The records.
    pub observations: &'a [Observation],
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It went in.
    New,
    /// It had been applied before.
    Repeated,
}

/// Where outputs go.
pub(crate) type Outputs<'a> = &'a mut dyn FnMut(Output);

/// All connections of one shard.
#[derive(Debug)]
pub struct Connections {
    pub(crate) config: Config,
    pub(crate) periods: Periods,
    /// The last frame that is in; `None`: none is.
    pub(crate) position: Option<Position>,
    pub(crate) now: Micros,
    /// Connections that began.
    pub(crate) ordinal: u64,
    pub(crate) pool: Pool<Connection>,
    pub(crate) table: Table,
    pub(crate) wheel: Wheel,
    pub(crate) joins: JoinIndex,
    pub(crate) tombstones: Tombstones,
    pub(crate) stats: Stats,
}

impl Connections {
    /// Without any.
    pub fn new(config: Config) -> Self {
        Self {
            periods: Periods::of(&config),
            config,
            position: None,
            now: 0,
            ordinal: 0,
            pool: Pool::default(),
            table: Table::default(),
            wheel: Wheel::new(0),
            joins: JoinIndex::default(),
            tombstones: Tombstones::default(),
            stats: Stats::default(),
        }
    }

    /// The last frame that was applied: after a restart the log is read from the next.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Connections that are open.
    pub fn len(&self) -> usize {
        self.pool.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it counts of itself.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Does what is due until the frame's time, then takes its records in.
    pub fn apply(&mut self, frame: Frame<'_>, out: &mut dyn FnMut(Output)) -> Applied {
        if self.position.is_some_and(|last| frame.position <= last) {
            self.stats.repeated_frames += 1;
            return Applied::Repeated;
        }
        self.advance(frame.time, out);
        for observation in frame.observations {
            self.observe(observation, out);
        }
        self.position = Some(frame.position);
        Applied::New
    }

    /// Does what is due until `now`. No frame may come later that the log took before
    /// it: a replay would do that frame first. How often it is called changes nothing.
    pub fn advance(&mut self, now: Micros, out: &mut dyn FnMut(Output)) {
        self.now = self.now.max(now);
        let until = tick(self.now);
        while let Some(slot) = self.wheel.pop(until) {
            self.tend(slot, out);
        }
        self.tombstones.expire(until);
    }

    /// Puts out all that is new, for the end of the program. The state goes on: hand
    /// these on when a checkpoint with them is safe, since a replay would not repeat them.
    pub fn flush(&mut self, out: &mut dyn FnMut(Output)) {
        let slots: Vec<u32> = self.wheel.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if self.pool.get(slot).is_some_and(|connection| connection.fresh) {
                self.put_out(slot, Reason::Forced, out);
            }
        }
    }

    /// What each open connection would put out now, the next due first.
    pub fn live(&self) -> impl Iterator<Item = Output> {
        let open = self.wheel.iter().filter_map(|(slot, _)| self.pool.get(slot));
        open.map(|one| one.describe(&self.config.cluster, &self.periods, Reason::Active, false))
    }

    /// Does what is due for a connection that the wheel has given out.
    fn tend(&mut self, slot: u32, out: Outputs<'_>) {
        let tick = self.wheel.now();
        let Some(connection) = self.pool.get(slot) else {
            return;
        };
        match connection.at(tick, &self.periods) {
            Due::At(due) => self.wheel.insert(slot, due),
            Due::Output => {
                self.put_out(slot, Reason::Active, out);
                self.schedule(slot);
            }
            Due::Finish(reason) => self.finish(slot, reason, out),
        }
    }

    fn schedule(&mut self, slot: u32) {
        let due = self
            .pool
            .get(slot)
            .map(|connection| connection.due(&self.periods));
        if let Some(due) = due {
            self.wheel.insert(slot, due);
        }
    }

    fn put_out(&mut self, slot: u32, reason: Reason, out: Outputs<'_>) {
        let now = self.wheel.now();
        let Some(connection) = self.pool.get_mut(slot) else {
            return;
        };
        out(connection.describe(&self.config.cluster, &self.periods, reason, false));
        connection.mark_output(now);
        self.stats.outputs += 1;
    }

    /// Puts a connection out for the last time and remembers it. It is not in the wheel.
    fn finish(&mut self, slot: u32, reason: Reason, out: Outputs<'_>) {
        let now = self.wheel.now();
        let Some(mut connection) = self.remove(slot) else {
            return;
        };
        let output = connection.describe(&self.config.cluster, &self.periods, reason, true);
        let sides = [output.src_side, output.dst_side].into_iter().flatten().count();
        self.stats.one_sided += u64::from(sides == 1);
        out(output);
        connection.mark_output(now);
        self.stats.outputs += 1;
        self.stats.finished += 1;
        self.bury(connection, now);
    }

    /// Takes a connection out of all but the wheel.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Connection> {
        self.joins.remove(slot, &mut self.pool);
        let connection = self.pool.get(slot)?;
        let mut key = connection.key.clone();
        self.table.remove(&key, Place::new(slot, false));
        if let Some(service) = connection.service() {
            key.tuple = key.tuple.with_server(connection.client_high, service.server).0;
            self.table.remove(&key, Place::new(slot, true));
        }
        self.pool.remove(slot)
    }

    fn bury(&mut self, connection: Connection, now: u32) {
        if self.config.max_tombstones == 0 {
            return;
        }
        while self.tombstones.len() >= self.config.max_tombstones {
            self.tombstones.pop();
            self.stats.forgotten_early += 1;
        }
        let until = now.saturating_add(self.periods.late);
        self.tombstones.push(Tombstone::of(connection, until));
    }

    fn observe(&mut self, observation: &Observation, out: Outputs<'_>) {
        self.stats.records += 1;
        let (tuple, sender_high) = tuple_of(observation);
        let network = &observation.network;
        let hash = self.table.hash(network, &tuple);
        let open = self
            .table
            .find(hash, (network, &tuple), |slot| self.pool.get(slot));
        let before = self.tombstones.find(network, &tuple);
        let Some(place) = open else {
            let late = before.filter(|before| self.takes(*before, observation));
            match late {
                Some(before) => self.take_late(before, observation, sender_high, out),
                None => self.open(observation, (hash, tuple, sender_high), before, out),
            }
            return;
        };
        match self.fit(place, before, observation) {
            Fit::Same => self.take(place, observation, sender_high, out),
            Fit::Stale => self.stats.stale_totals += 1,
            Fit::Before => {
                if let Some(before) = before {
                    self.take_late(before, observation, sender_high, out);
                }
            }
            Fit::Next(reason) => {
                self.wheel.remove(place.slot());
                self.finish(place.slot(), reason, out);
                let before = self.tombstones.find(network, &tuple);
                self.open(observation, (hash, tuple, sender_high), before, out);
            }
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
        (hash, tuple, sender_high): (u64, Tuple, bool),
        before: Option<Place>,
        out: Outputs<'_>,
    ) {
        let goes_on = self.goes_on(before, observation);
        while self.pool.len() >= self.config.max_connections.max(1) {
            self.evict(out);
        }
        let key = Key {
            network: Arc::clone(&observation.network),
            tuple,
        };
        let now = self.wheel.now();
        let mut connection = Connection::new(key, observation, self.ordinal, now);
        connection.midstream = goes_on;
        self.ordinal = self.ordinal.wrapping_add(1);
        self.stats.opened += 1;
        let slot = self.pool.insert(connection);
        let place = Place::new(slot, false);
        self.table.insert(hash, place, |slot| self.pool.get(slot));
        self.wheel.insert(slot, u32::MAX);
        self.take(place, observation, sender_high, out);
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

    /// Puts out the connection that is nearest to its timer, and forgets it.
    fn evict(&mut self, out: Outputs<'_>) {
        while let Some(slot) = self.wheel.front() {
            let tick = self.wheel.tick_of(slot);
            let due = self
                .pool
                .get(slot)
                .map_or(0, |connection| connection.due(&self.periods));
            self.wheel.remove(slot);
            if due > tick {
                self.wheel.insert(slot, due);
                if self.wheel.tick_of(slot) > tick {
                    continue;
                }
                self.wheel.remove(slot);
            }
            self.stats.evicted += 1;
            self.finish(slot, Reason::LackOfResources, out);
            return;
        }
    }

    fn take(&mut self, place: Place, observation: &Observation, sender_high: bool, out: Outputs<'_>) {
        let slot = place.slot();
        let Some(connection) = self.pool.get_mut(slot) else {
            return;
        };
        let arrival = Arrival {
            sender_high: if place.by_service() {
                connection.sender_by_service(tuple_of(observation).0.end(sender_high))
            } else {
                sender_high
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

/// The second that a time is in.
fn tick(time: Micros) -> u32 {
    u32::try_from(time / 1_000_000).unwrap_or(u32::MAX)
}
