//! The state machine: frames of the log and the time go in, outputs come out.

use crate::config::{Config, Periods};
use crate::connection::Connection;
use crate::join::JoinIndex;
use crate::lifetime::Due;
use crate::observation::{Micros, Observation};
use crate::output::{Output, Reason};
use crate::pool::Pool;
use crate::stats::Stats;
use crate::table::{Place, Table};
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
        self.take_in(frame.observations, out);
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
    pub(crate) fn finish(&mut self, slot: u32, reason: Reason, out: Outputs<'_>) {
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

    /// Puts out the connection that is nearest to its timer, and forgets it.
    pub(crate) fn evict(&mut self, out: Outputs<'_>) {
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
}

/// The second that a time is in.
fn tick(time: Micros) -> u32 {
    u32::try_from(time / 1_000_000).unwrap_or(u32::MAX)
}
