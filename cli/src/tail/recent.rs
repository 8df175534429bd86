//! What is known of the records of a tail: which were shown, which may come again, and from
//! where on the store has more.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use weir_collector::api::answer::Row;
use weir_query::Moment;

use super::{Arrival, OVERLAP, TIME, UNMARKED};

/// A record as it is told from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Two that differ hardly share it.
    pub(super) key: u64,
    /// When it reached the collector, by the collector's clock.
    pub(super) time: Option<Timestamp>,
}

impl Seen {
    pub(super) fn of(row: &Row) -> Self {
        let time = row.0.get(TIME).and_then(Value::as_str);
        Self {
            key: key(row),
            time: time.and_then(|time| time.parse().ok()),
        }
    }
}

/// The records of the last moments, by a number that two different ones hardly share, and
/// how often each. Moments are of the collector's clock: who reads late forgets nothing. It
/// outlives a connection.
#[derive(Debug, Default)]
pub struct Recent {
    /// When the first tail began.
    pub(super) begun: Option<Instant>,
    /// When the newest record that is known reached the collector.
    pub(super) newest: Option<Timestamp>,
    /// What comes before the lines.
    pub(super) first: VecDeque<Arrival>,
    /// Those that were shown, of the last [`OVERLAP`] at least: now, and before.
    shown: [HashMap<u64, usize>; 2],
    turned: Option<Timestamp>,
    /// Where the tail may go on, as the collector calls it.
    pub(super) mark: Option<String>,
    /// Those that were shown behind that mark, as many as are kept.
    unmarked: Vec<Seen>,
    /// Those out of pages that the tail may bring again, and the newest of them.
    expected: HashMap<u64, usize>,
    newest_expected: Option<Timestamp>,
}

impl Recent {
    /// From where on the store may have what is not known: a little before the newest record,
    /// or before the first tail where none came.
    pub(super) fn known_until(&self) -> Moment {
        let overlapping = self.newest.map(|newest| newest.checked_sub(OVERLAP));
        match (overlapping, self.begun) {
            (Some(Ok(then)), _) => Moment::At(then),
            (_, Some(begun)) => Moment::Ago(begun.elapsed() + OVERLAP),
            (_, None) => Moment::Ago(OVERLAP),
        }
    }

    pub(super) fn show(&mut self, seen: Seen) {
        self.newest = self.newest.max(seen.time);
        if self.turned.is_none() || is_later(self.newest, self.turned) {
            self.turned = self.newest;
            self.shown.swap(0, 1);
            self.shown[0].clear();
        }
        if self.mark.is_some() && self.unmarked.len() < UNMARKED {
            self.unmarked.push(seen);
        }
        *self.shown[0].entry(seen.key).or_default() += 1;
    }

    pub(super) fn shown(&self) -> HashMap<u64, usize> {
        let mut all = self.shown[0].clone();
        for (key, times) in &self.shown[1] {
            *all.entry(*key).or_default() += times;
        }
        all
    }

    pub(super) fn set_mark(&mut self, mark: &str) {
        self.mark = Some(mark.to_owned());
        self.unmarked.clear();
    }

    /// Nobody knows where that was any more.
    pub(super) fn forget_mark(&mut self) {
        self.mark = None;
        self.unmarked.clear();
    }

    /// A tail that goes on behind a mark brings again what was shown behind it.
    pub(super) fn expect_unmarked(&mut self) {
        for seen in std::mem::take(&mut self.unmarked) {
            self.expect(seen);
        }
    }

    pub(super) fn expect(&mut self, seen: Seen) {
        self.newest_expected = self.newest_expected.max(seen.time);
        *self.expected.entry(seen.key).or_default() += 1;
    }

    /// A tail that has come further than what was expected brings no more of it.
    pub(super) fn was_expected(&mut self, seen: Seen) -> bool {
        if is_later(seen.time, self.newest_expected) {
            self.expected = HashMap::new();
            self.newest_expected = None;
        }
        take(&mut self.expected, seen.key)
    }
}

/// By more than [`OVERLAP`].
fn is_later(time: Option<Timestamp>, than: Option<Timestamp>) -> bool {
    let bound = than.and_then(|than| than.checked_add(OVERLAP).ok());
    time.zip(bound).is_some_and(|(time, bound)| time > bound)
}

/// Each one counts once.
pub(super) fn take(among: &mut HashMap<u64, usize>, key: u64) -> bool {
    match among.get_mut(&key) {
        Some(times) if *times > 0 => {
            *times -= 1;
            true
        }
        _ => false,
    }
}

/// The sum of what the fields hash to: two pages may have them in another order.
pub(super) fn key(row: &Row) -> u64 {
    let fields = row.0.iter().map(|field| {
        let mut hasher = DefaultHasher::new();
        field.hash(&mut hasher);
        hasher.finish()
    });
    fields.fold(0, u64::wrapping_add)
}
