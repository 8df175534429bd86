use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use proptest::prelude::*;

use super::*;
use crate::batch::Batch;

const AGE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Event {
    Push(u32),
    /// The oldest frame that is not in the log yet gets there, or never does.
    Log(bool),
    /// All heads but the open one are in segments; another is opened.
    Seal,
    Deliver(usize),
    Acknowledge(usize, usize),
    Come(usize),
    Go(usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..4usize;
    prop_oneof![
        4 => (1..9u32).prop_map(Event::Push),
        4 => prop::bool::weighted(0.9).prop_map(Event::Log),
        1 => Just(Event::Seal),
        4 => who.clone().prop_map(Event::Deliver),
        3 => (who.clone(), 0..3usize).prop_map(|(who, nth)| Event::Acknowledge(who, nth)),
        1 => who.clone().prop_map(Event::Come),
        1 => who.prop_map(Event::Go),
        1 => (1..8u64).prop_map(Event::Wait),
    ]
}

/// Two in memory and two with cursors, one of each bounded.
fn bounds(who: usize) -> Bounds {
    match who % 2 {
        0 => Bounds {
            bytes: u64::MAX,
            age: None,
        },
        _ => Bounds {
            bytes: 2_000,
            age: Some(AGE),
        },
    }
}

fn is_durable(who: usize) -> bool {
    who >= 2
}

#[derive(Default)]
struct Known {
    id: Option<u64>,
    /// What it was shown since it came, and has not acknowledged.
    shown: Vec<Cursor>,
    last: Option<Cursor>,
    /// Rows that came for it since it was first there.
    came: u64,
}

struct World {
    registry: Registry,
    known: [Known; 4],
    end: Cursor,
    unlogged: VecDeque<(Cursor, u32)>,
    now: Instant,
}

impl World {
    fn push(&mut self, rows: u32) {
        let ids: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..rows));
        let batch = Batch::of_rows(RecordBatch::try_from_iter([("src_id", ids)]).unwrap());
        if self.registry.is_read() {
            let frame = LogFrame::new(self.end, batch, Arc::default());
            self.registry.push(frame, self.now);
        }
        for known in self.known[..2].iter_mut().filter(|known| known.id.is_some()) {
            known.came += u64::from(rows);
        }
        self.unlogged.push_back((self.end, rows));
        self.end = self.end.next();
    }

    /// The next frame gets into the log. Where it does not, and its head is sealed, neither do
    /// those after it.
    fn log(&mut self, is_written: bool) {
        let Some((cursor, _)) = self.unlogged.front() else {
            return;
        };
        let (first, open) = (*cursor, self.end.head);
        let is_written = is_written || first.head == open;
        while let Some((cursor, rows)) = self.unlogged.front().copied() {
            if cursor != first && (is_written || cursor.head == open) {
                return;
            }
            self.unlogged.pop_front();
            let rows = u64::from(rows);
            for who in 2..4 {
                self.known[who].came += if self.is_for(who, cursor) { rows } else { 0 };
            }
            if is_written {
                self.registry.logged(cursor, rows, 100 + rows, self.now);
            } else {
                self.registry.skipped(cursor, rows);
            }
        }
    }

    /// It was there before the frame came.
    fn is_for(&self, who: usize, cursor: Cursor) -> bool {
        let entries = self.registry.readers.values();
        let mut its = entries.filter(|entry| entry.name == who.to_string());
        its.any(|entry| entry.position <= cursor)
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Push(rows) => self.push(rows),
            Event::Log(is_written) => self.log(is_written),
            Event::Seal => {
                self.registry.sealed(self.end.head);
                self.end = Cursor {
                    head: self.end.head + 1,
                    frame: 0,
                };
            }
            Event::Deliver(who) => self.deliver(who),
            Event::Acknowledge(who, nth) => {
                let known = &mut self.known[who];
                if let Some(id) = known.id.filter(|_| nth < known.shown.len()) {
                    self.registry.acknowledge(id, known.shown.remove(nth));
                }
            }
            Event::Come(who) if self.known[who].id.is_none() => {
                let name = who.to_string();
                let id = match is_durable(who) {
                    true => {
                        let id = self.registry.attach(&name, bounds(who), self.end).unwrap();
                        self.registry.saved(&self.registry.saved_form(id));
                        id
                    }
                    false => self.registry.join(&name, bounds(who), self.end),
                };
                assert!(!is_durable(who) || self.registry.attach(&name, bounds(who), self.end).is_none());
                let came = if is_durable(who) { self.known[who].came } else { 0 };
                self.known[who] = Known {
                    id: Some(id),
                    came,
                    ..Known::default()
                };
            }
            Event::Come(_) => {}
            Event::Go(who) => {
                if let Some(id) = self.known[who].id.take() {
                    self.registry.leave(id);
                }
            }
            Event::Wait(seconds) => self.now += Duration::from_secs(seconds),
        }
    }

    fn deliver(&mut self, who: usize) {
        let known = &mut self.known[who];
        let Some(id) = known.id else { return };
        let cursor = match self.registry.deliver(id) {
            Delivery::Frame(frame) => frame.cursor(),
            Delivery::InFile(cursor) if is_durable(who) => cursor,
            Delivery::Nothing => return,
            other => panic!("{other:?}"),
        };
        assert!(known.last < Some(cursor), "in order");
        known.last = Some(cursor);
        if is_durable(who) {
            known.shown.push(cursor);
        }
    }

    fn check(&mut self) {
        self.registry.look_at_ages(self.now);
        for status in self.registry.status(self.now) {
            let who: usize = status.name.parse().unwrap();
            let counted = status.acknowledged_rows + status.dropped.sum() + status.lag_rows;
            assert_eq!(counted, self.known[who].came, "{status:?}");
            assert!(status.lag_bytes <= bounds(who).bytes, "{status:?}");
            let is_young = |age: Duration| bounds(who).age.is_none_or(|bound| age <= bound);
            assert!(status.lag_age.is_none_or(is_young), "{status:?}");
            assert_eq!(status.lag_rows == 0, status.lag_age.is_none(), "{status:?}");
        }
        let needs = |entry: &Entry| entry.lag_rows > 0 || !self.unlogged.is_empty();
        let is_needed = self.registry.readers.values().any(needs);
        assert!(is_needed || self.registry.memory.is_empty(), "nobody needs it");
    }
}

proptest! {
    #[test]
    fn each_row_is_had_or_dropped_or_waits_and_memory_has_what_somebody_needs(
        events in prop::collection::vec(event(), 1..120)
    ) {
        let mut world = World {
            registry: Registry::default(),
            known: Default::default(),
            end: Cursor { head: 1, frame: 0 },
            unlogged: VecDeque::new(),
            now: Instant::now(),
        };
        for event in &events {
            world.happens(event);
            world.check();
        }
    }
}
