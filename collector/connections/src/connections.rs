//! The state machine: frames of the log and the time go in, outputs come out.

use crate::config::{Bounds, Config, Periods};
use crate::connection::{Connection, Ending};
use crate::conntrack::Forgotten;
use crate::join_index::JoinIndex;
use crate::lifetime::Due;
use crate::observation::{Micros, Observation};
use crate::output::{Output, Reason, Stage};
use crate::pool::Pool;
use crate::remembered::Remembered;
use crate::stats::Stats;
use crate::table::{Place, Table};
use crate::wheel::Wheel;

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Which log: a number of its own that it was given when it was made. One that was
    /// removed and made anew is another one.
    pub log: u64,
    /// The file of the log.
    pub head: u64,
    /// The frame in it.
    pub frame: u64,
}

impl Position {
    /// Whether it is in the same log, and not after `last`.
    fn is_until(self, last: Self) -> bool {
        self.log == last.log && (self.head, self.frame) <= (last.head, last.frame)
    }
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

/// Bytes that a connection takes up without what few have: its place, and at most so much
/// in tables, timers and the index of joins.
const PLACE: usize = size_of::<Option<Connection>>() + 64;

/// All connections of one shard.
#[derive(Debug)]
pub struct Connections {
    pub(crate) config: Config,
    pub(crate) periods: Periods,
    pub(crate) bounds: Bounds,
    /// The last frame that is in; `None`: none is.
    pub(crate) position: Option<Position>,
    pub(crate) now: Micros,
    /// Connections that began.
    pub(crate) ordinal: u32,
    pub(crate) forgotten: Forgotten,
    /// Open ones, and those that are over and remembered.
    pub(crate) pool: Pool<Connection>,
    /// Bytes that they have beyond their places.
    pub(crate) heap: usize,
    pub(crate) table: Table,
    pub(crate) wheel: Wheel,
    pub(crate) joins: JoinIndex,
    pub(crate) remembered: Remembered,
    pub(crate) stats: Stats,
}

impl Connections {
    /// Without any.
    pub fn new(config: Config) -> Self {
        Self {
            periods: Periods::of(&config),
            bounds: Bounds::of(&config, PLACE),
            config,
            position: None,
            now: 0,
            ordinal: 0,
            forgotten: Forgotten::default(),
            pool: Pool::default(),
            heap: 0,
            table: Table::default(),
            wheel: Wheel::new(0),
            joins: JoinIndex::default(),
            remembered: Remembered::default(),
            stats: Stats::default(),
        }
    }

    /// The last frame that was applied: after a restart the log is read from the next.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// Connections that are open.
    pub fn len(&self) -> usize {
        self.pool.len() - self.remembered.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that connections take up, open ones and remembered ones; places that were
    /// needed once are kept. Never more than [`Config::max_bytes`].
    pub fn bytes(&self) -> usize {
        self.pool.slots() * PLACE + self.heap
    }

    /// What it counts of itself.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Does what is due until the frame's time, then takes its records in.
    pub fn apply(&mut self, frame: Frame<'_>, out: &mut dyn FnMut(Output)) -> Applied {
        match self.position {
            Some(last) if frame.position.is_until(last) => {
                self.stats.repeated_frames += 1;
                return Applied::Repeated;
            }
            Some(last) => self.stats.other_logs += u64::from(last.log != frame.position.log),
            None => self.forgotten.start = frame.time.saturating_sub(self.periods.inactive_us),
        }
        if frame.time.saturating_add(self.periods.set_back_us) < self.now {
            self.set_back(frame.time);
        }
        self.advance(frame.time, out);
        self.take_in(frame.observations, out);
        self.position = Some(frame.position);
        Applied::New
    }

    /// Does what is due until `now`. No frame may come later that the log took before
    /// it: a replay would do that frame first. How often it is called changes nothing, and
    /// a time before that of the last frame does nothing.
    pub fn advance(&mut self, now: Micros, out: &mut dyn FnMut(Output)) {
        self.now = self.now.max(now);
        let until = tick(self.now);
        while let Some(slot) = self.wheel.pop(until) {
            self.tend(slot, out);
        }
        self.expire(until);
    }

    /// The clock of the log had been ahead: what is open goes on by the time that is
    /// right, as if it had come now.
    fn set_back(&mut self, now: Micros) {
        self.stats.clock_set_back += 1;
        self.now = now;
        let tick = tick(now);
        let open: Vec<u32> = self.wheel.iter().map(|(slot, _)| slot).collect();
        self.wheel = Wheel::new(tick);
        for slot in open.iter().copied().chain(self.remembered.iter()) {
            if let Some(connection) = self.pool.get_mut(slot) {
                connection.turn_back(tick);
            }
        }
        open.into_iter().for_each(|slot| self.schedule(slot));
        self.forgotten.start = self.forgotten.start.min(now);
        self.forgotten.polled = self.forgotten.polled.min(now);
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
        open.map(|one| one.describe(&self.config.cluster, &self.periods, Reason::Active, Stage::Open))
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

    /// Changes a connection, and reckons what it takes up then.
    pub(crate) fn change<T>(
        &mut self,
        slot: u32,
        change: impl FnOnce(&mut Connection, &Periods, &mut Stats) -> T,
    ) -> Option<T> {
        let connection = self.pool.get_mut(slot)?;
        let before = connection.heap();
        let outcome = change(connection, &self.periods, &mut self.stats);
        self.heap = self.heap + connection.heap() - before;
        Some(outcome)
    }

    fn put_out(&mut self, slot: u32, reason: Reason, out: Outputs<'_>) {
        let now = self.wheel.now();
        let Some(connection) = self.pool.get(slot) else {
            return;
        };
        out(connection.describe(&self.config.cluster, &self.periods, reason, Stage::Open));
        self.change(slot, |connection, _, _| connection.mark_output(now));
        self.stats.outputs += 1;
    }

    /// Puts a connection out for the last time and remembers it. It is not in the wheel.
    pub(crate) fn finish(&mut self, slot: u32, reason: Reason, out: Outputs<'_>) {
        let now = self.wheel.now();
        self.take_out(slot);
        let Some(connection) = self.pool.get(slot) else {
            return;
        };
        let output = connection.describe(&self.config.cluster, &self.periods, reason, Stage::Last);
        let sides = [output.src_side, output.dst_side].into_iter().flatten().count();
        self.stats.one_sided += u64::from(sides == 1);
        out(output);
        self.stats.outputs += 1;
        self.stats.finished += 1;
        self.change(slot, |connection, _, _| {
            connection.mark_output(now);
            if reason == Reason::LackOfResources {
                connection.ending = connection.ending.max(Ending::Evicted);
            }
        });
        self.remembered.push(slot, &self.pool);
        while self.remembered.len() > self.bounds.remembered {
            self.forget();
            self.stats.forgotten_early += 1;
        }
    }

    /// Takes a connection out of the tables of open ones.
    pub(crate) fn take_out(&mut self, slot: u32) {
        self.joins.remove(slot, &mut self.pool);
        for by_service in [false, true] {
            if let Some(key) = self.pool.get(slot).and_then(|one| one.key(by_service)) {
                self.table.remove(&key, Place::new(slot, by_service));
            }
        }
    }

    /// Takes a connection out of all but the wheel.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Connection> {
        self.take_out(slot);
        let connection = self.pool.remove(slot)?;
        self.heap -= connection.heap();
        Some(connection)
    }

    /// Forgets the connection that has been over the longest.
    fn forget(&mut self) {
        let Some(connection) = self.remembered.pop(&mut self.pool) else {
            return;
        };
        self.heap -= connection.heap();
        // The time of the wheel, and not how late somebody looks: a replay looks at others.
        let (until, now) = (
            connection.since.saturating_add(self.periods.late),
            self.wheel.now(),
        );
        let known = (u64::from(until.min(now)) + 1) * 1_000_000;
        for tracked in connection.tracked() {
            // Of what ended nothing comes but what is late.
            if !tracked.ended || now < until {
                self.forgotten.add(tracked, known);
            }
        }
    }

    fn expire(&mut self, now: u32) {
        while let Some(oldest) = self.remembered.oldest()
            && self
                .pool
                .get(oldest)
                .is_none_or(|one| one.since.saturating_add(self.periods.late) <= now)
        {
            self.forget();
        }
    }

    /// Makes all fit into the bytes that there may be.
    pub(crate) fn make_room(&mut self, out: Outputs<'_>) {
        while self.bytes() > self.config.max_bytes {
            if self.remembered.len() > 0 {
                self.stats.forgotten_early += 1;
                self.forget();
            } else if self.len() > 1 {
                self.evict(out);
            } else {
                return;
            }
        }
    }

    /// Puts out the connection that is nearest to its timer.
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
