//! The time that records cover: the union of their intervals, in any order.

use crate::observation::Micros;

/// So many intervals are kept apart; of more, those nearest to each other become one.
const MOST: usize = 8;

/// An interval of microseconds, both ends in it.
pub(crate) type Interval = (Micros, Micros);

/// A union of intervals. Most connections have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cover {
    /// [`NONE`] where there is none.
    first: Interval,
    #[allow(clippy::box_collection, reason = "a third of the room where there are none")]
    more: Option<Box<Vec<Interval>>>,
}

/// It ends before it begins.
const NONE: Interval = (Micros::MAX, 0);

impl Default for Cover {
    fn default() -> Self {
        Self {
            first: NONE,
            more: None,
        }
    }
}

impl Cover {
    pub fn add(&mut self, start: Micros, end: Micros) {
        let mut new = (start, end.max(start));
        if self.more.is_none() && (self.first == NONE || touch(self.first, new)) {
            self.first = joined(self.first, new);
            return;
        }
        let mut all: Vec<Interval> = self.iter().collect();
        all.retain(|interval| {
            let apart = !touch(*interval, new);
            if !apart {
                new = joined(*interval, new);
            }
            apart
        });
        all.push(new);
        all.sort_unstable();
        bound(&mut all);
        *self = Self::of(all);
    }

    fn of(all: Vec<Interval>) -> Self {
        let mut all = all.into_iter();
        let first = all.next().unwrap_or(NONE);
        let rest: Vec<_> = all.collect();
        Self {
            first,
            more: (!rest.is_empty()).then(|| Box::new(rest)),
        }
    }

    /// Microseconds in it.
    pub fn length(&self) -> u64 {
        self.iter()
            .fold(0, |sum, (start, end)| sum.saturating_add(end - start))
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that it has beyond its own place.
    pub fn heap(&self) -> usize {
        self.more.as_ref().map_or(0, |more| {
            size_of::<Vec<Interval>>() + more.capacity() * size_of::<Interval>()
        })
    }

    /// The intervals, the earliest first.
    pub fn iter(&self) -> impl Iterator<Item = Interval> {
        let more = self.more.iter().flat_map(|more| more.iter());
        let first = Some(&self.first).filter(|first| **first != NONE);
        first.into_iter().chain(more).copied()
    }
}

fn touch(one: Interval, other: Interval) -> bool {
    one.0 <= other.1 && other.0 <= one.1
}

fn joined(one: Interval, other: Interval) -> Interval {
    (one.0.min(other.0), one.1.max(other.1))
}

fn bound(all: &mut Vec<Interval>) {
    while all.len() > MOST {
        let gaps = all.windows(2).map(|pair| match pair {
            [before, after] => after.0 - before.1,
            _ => u64::MAX,
        });
        let Some((at, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) else {
            return;
        };
        let after = all.remove(at + 1);
        if let Some(before) = all.get_mut(at) {
            *before = joined(*before, after);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_time_covered_is_that_of_the_union_in_any_order(
            intervals in prop::collection::vec((0u64..200, 0u64..20), 1..8),
        ) {
            let mut cover = Cover::default();
            for (start, length) in &intervals {
                cover.add(*start, start + length);
            }
            let within = |at: u64| intervals.iter().any(|(start, length)| (*start..start + length).contains(&at));
            prop_assert_eq!(cover.length(), (0..300).filter(|at| within(*at)).count() as u64);
        }

        #[test]
        fn however_many_intervals_there_are_few_are_kept(
            intervals in prop::collection::vec((0u64..1_000_000, 0u64..20), 0..200),
        ) {
            let mut cover = Cover::default();
            for (start, length) in &intervals {
                cover.add(*start, start + length);
            }
            prop_assert!(cover.iter().count() <= MOST);
        }
    }
}
