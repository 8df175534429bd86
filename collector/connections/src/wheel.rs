//! When what is due: a wheel of whole seconds. Entries of one second come in the order
//! in which they were put there, whatever the numbers of their slots are.

/// Seconds that it reaches ahead. What is due later is met at its end and put again.
const SPAN: u32 = 1 << 12;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: u32,
    last: u32,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    before: u32,
    after: u32,
    tick: u32,
}

const UNLINKED: Link = Link {
    before: NONE,
    after: NONE,
    tick: 0,
};

/// Slots by the second at which to look at them; each is in it once.
#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: Vec<Bucket>,
    links: Vec<Link>,
    now: u32,
    /// No entry is before it.
    nearest: u32,
    len: usize,
}

impl Wheel {
    /// All up to `now` is done.
    pub fn new(now: u32) -> Self {
        let empty = Bucket {
            first: NONE,
            last: NONE,
        };
        Self {
            buckets: vec![empty; SPAN as usize],
            links: Vec::new(),
            now,
            nearest: now,
            len: 0,
        }
    }

    pub fn now(&self) -> u32 {
        self.now
    }

    /// At the second `tick`, the next one at the soonest.
    pub fn insert(&mut self, slot: u32, tick: u32) {
        let soonest = self.now.saturating_add(1);
        self.put(slot, tick.clamp(soonest, soonest.saturating_add(SPAN - 2)));
    }

    fn put(&mut self, slot: u32, tick: u32) {
        let bucket = self.bucket(tick);
        let before = bucket.last;
        bucket.last = slot;
        if before == NONE {
            bucket.first = slot;
        }
        if let Some(link) = self.links.get_mut(before as usize) {
            link.after = slot;
        }
        let at = slot as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, UNLINKED);
        }
        if let Some(link) = self.links.get_mut(at) {
            *link = Link {
                before,
                after: NONE,
                tick,
            };
        }
        self.len += 1;
        self.nearest = self.nearest.min(tick);
    }

    fn bucket(&mut self, tick: u32) -> &mut Bucket {
        let at = (tick % SPAN) as usize;
        self.buckets.get_mut(at).expect("there are SPAN of them")
    }

    fn link(&self, slot: u32) -> Link {
        self.links.get(slot as usize).copied().unwrap_or(UNLINKED)
    }

    /// Takes out a slot that is in it.
    pub fn remove(&mut self, slot: u32) {
        let Link { before, after, tick } = self.link(slot);
        let bucket = self.bucket(tick);
        if bucket.first == slot {
            bucket.first = after;
        }
        if bucket.last == slot {
            bucket.last = before;
        }
        if let Some(link) = self.links.get_mut(before as usize) {
            link.after = after;
        }
        if let Some(link) = self.links.get_mut(after as usize) {
            link.before = before;
        }
        self.len -= 1;
    }

    /// The second at which a slot is looked at.
    pub fn tick_of(&self, slot: u32) -> u32 {
        self.link(slot).tick
    }

    /// Takes out what comes next, if that is at `until` at the latest. Then it is that
    /// second; without any, it is `until`.
    pub fn pop(&mut self, until: u32) -> Option<u32> {
        let next = self.front().filter(|slot| self.tick_of(*slot) <= until);
        match next {
            Some(slot) => {
                self.now = self.now.max(self.tick_of(slot));
                self.remove(slot);
            }
            None => self.now = self.now.max(until),
        }
        next
    }

    /// What comes next.
    pub fn front(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        // One round finds it: no entry is before now, and none SPAN after it.
        self.nearest = self.nearest.max(self.now);
        for _ in 0..SPAN {
            let first = self.bucket(self.nearest).first;
            if first != NONE && self.tick_of(first) == self.nearest {
                return Some(first);
            }
            self.nearest = self.nearest.saturating_add(1);
        }
        None
    }

    /// All slots with their seconds, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let start = self.nearest.max(self.now);
        let ticks = (0..SPAN).map(move |n| start.saturating_add(n));
        ticks.flat_map(move |tick| {
            let bucket = self.buckets.get((tick % SPAN) as usize);
            let first = bucket.map_or(NONE, |bucket| bucket.first);
            let mut slot = Some(first).filter(|slot| *slot != NONE && self.tick_of(*slot) == tick);
            std::iter::from_fn(move || {
                let this = slot?;
                slot = Some(self.link(this).after).filter(|after| *after != NONE);
                Some((this, tick))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_in_the_order_of_their_seconds_and_then_as_they_were_put() {
        let mut wheel = Wheel::new(100);
        for (slot, tick) in [(7, 105), (3, 103), (9, 103), (1, 0), (4, u32::MAX)] {
            wheel.insert(slot, tick);
        }
        wheel.remove(9);
        wheel.insert(9, 105);
        let listed: Vec<_> = wheel.iter().collect();
        assert_eq!(
            listed,
            [(1, 101), (3, 103), (7, 105), (9, 105), (4, 100 + SPAN - 1)]
        );
        let mut popped = Vec::new();
        while let Some(slot) = wheel.pop(110) {
            popped.push((slot, wheel.now()));
        }
        assert_eq!(popped, [(1, 101), (3, 103), (7, 105), (9, 105)]);
        assert_eq!(wheel.now(), 110);
        assert_eq!(wheel.front(), Some(4));
    }

    #[test]
    fn what_is_put_while_its_second_passes_is_met_a_second_later() {
        let mut wheel = Wheel::new(0);
        wheel.insert(1, 5);
        wheel.insert(2, 5);
        assert_eq!(wheel.pop(9), Some(1));
        wheel.insert(1, 3);
        assert_eq!(wheel.pop(9), Some(2));
        assert_eq!((wheel.now(), wheel.pop(9), wheel.now()), (5, Some(1), 6));
    }

    #[test]
    fn what_was_taken_out_does_not_hide_what_comes_later() {
        let mut wheel = Wheel::new(0);
        wheel.insert(1, 5);
        wheel.remove(1);
        wheel.insert(2, 3_000);
        assert_eq!((wheel.pop(2_999), wheel.now()), (None, 2_999));
        wheel.insert(3, 7_000);
        wheel.remove(2);
        assert_eq!(wheel.iter().collect::<Vec<_>>(), [(3, 7_000)]);
        assert_eq!(wheel.pop(7_000), Some(3));
    }

    #[test]
    fn a_leap_of_years_passes_what_was_due() {
        let mut wheel = Wheel::new(10);
        wheel.insert(1, 20);
        assert_eq!(wheel.pop(3_000_000_000), Some(1));
        assert_eq!((wheel.pop(3_000_000_000), wheel.now()), (None, 3_000_000_000));
        wheel.insert(1, 0);
        assert_eq!(wheel.tick_of(1), 3_000_000_001);
        assert_eq!(wheel.pop(u32::MAX), Some(1));
    }
}
