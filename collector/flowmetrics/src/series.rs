//! Label sets and the values behind them. A label set has a slot; metrics with the same
//! labels share slots, so that a record is looked up once for all of them. Each metric has
//! its own values, bound, expiry and creation times.

use hashbrown::HashTable;

/// Values of the labels of series, by slot.
#[derive(Debug, Default)]
pub(crate) struct LabelTable {
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    /// Ends of the values in `text`.
    ends: Box<[u32]>,
    text: Box<[u8]>,
    /// Metrics that have a series there.
    users: u32,
}

impl Slot {
    fn value(&self, label: usize) -> &[u8] {
        let start = label.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[label] as usize]
    }

    /// Whether these are its values, however often a hash is met twice.
    #[inline]
    fn is<'t>(&self, label: &impl Fn(usize) -> &'t [u8]) -> bool {
        let mut start = 0;
        for (at, end) in self.ends.iter().enumerate() {
            let end = *end as usize;
            if self.text[start..end] != *label(at) {
                return false;
            }
            start = end;
        }
        true
    }
}

impl LabelTable {
    /// The slot of these values.
    #[inline]
    pub fn find<'t>(&self, hash: u64, label: impl Fn(usize) -> &'t [u8]) -> Option<u32> {
        let same = |slot: &u32| {
            let slot = &self.slots[*slot as usize];
            slot.hash == hash && slot.is(&label)
        };
        self.index.find(hash, same).copied()
    }

    /// A slot for these values, which have none. Nobody uses it yet.
    pub fn insert<'t>(&mut self, hash: u64, labels: usize, label: impl Fn(usize) -> &'t [u8]) -> u32 {
        let mut text = Vec::new();
        let mut ends = Vec::with_capacity(labels);
        for at in 0..labels {
            text.extend_from_slice(label(at));
            ends.push(text.len() as u32);
        }
        let slot = Slot {
            hash,
            ends: ends.into(),
            text: text.into(),
            users: 0,
        };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, at, |at| slots[*at as usize].hash);
        at
    }

    fn retain(&mut self, slot: u32) {
        self.slots[slot as usize].users += 1;
    }

    /// One metric less has a series there; without any, the slot is free.
    fn release(&mut self, slot: u32) {
        let freed = &mut self.slots[slot as usize];
        freed.users -= 1;
        if freed.users > 0 {
            return;
        }
        let hash = freed.hash;
        (freed.ends, freed.text) = (Box::default(), Box::default());
        if let Ok(entry) = self.index.find_entry(hash, |at| *at == slot) {
            entry.remove();
        }
        self.free.push(slot);
    }

    /// The value of a label, which is UTF-8: it came from texts.
    pub fn value(&self, slot: u32, label: usize) -> &str {
        std::str::from_utf8(self.slots[slot as usize].value(label)).unwrap_or_default()
    }

    /// How many slots are in use.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.index.len()
    }
}

/// What is known of one series of one metric.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    /// Sum (counter, histogram) or last value (gauge), before the divider.
    pub raw: u64,
    /// Observations of a histogram.
    pub count: u64,
    /// When it was made, ms since 1970 UTC; [`DEAD`] where there is no series.
    pub created_ms: u64,
    /// When it was last counted in.
    pub touched_ms: u64,
}

const DEAD: u64 = u64::MAX;
const NONE: Series = Series {
    raw: 0,
    count: 0,
    created_ms: DEAD,
    touched_ms: 0,
};

/// The series of one metric, by slot.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    series: Vec<Series>,
    /// Counts of each bucket but the last, not summed up; `bounds` to a slot.
    buckets: Vec<u64>,
    bounds: usize,
    alive: usize,
}

impl SeriesTable {
    pub fn new(bounds: usize) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    pub const fn alive(&self) -> usize {
        self.alive
    }

    #[inline]
    pub fn at(&mut self, slot: u32) -> Option<&mut Series> {
        self.series
            .get_mut(slot as usize)
            .filter(|series| series.created_ms != DEAD)
    }

    /// A new series, from 0.
    pub fn create(&mut self, slot: u32, now_ms: u64, table: &mut LabelTable) {
        let at = slot as usize;
        if self.series.len() <= at {
            self.series.resize(at + 1, NONE);
            self.buckets.resize((at + 1) * self.bounds, 0);
        }
        self.series[at] = Series {
            created_ms: now_ms.min(DEAD - 1),
            touched_ms: now_ms,
            ..NONE
        };
        self.buckets[at * self.bounds..][..self.bounds].fill(0);
        self.alive += 1;
        table.retain(slot);
    }

    /// One more in the bucket of this number.
    pub fn bucket(&mut self, slot: u32, bucket: usize) {
        if bucket < self.bounds {
            self.buckets[slot as usize * self.bounds + bucket] += 1;
        }
    }

    pub fn buckets(&self, slot: u32) -> &[u64] {
        &self.buckets[slot as usize * self.bounds..][..self.bounds]
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Series)> {
        let alive = |(_, series): &(usize, &Series)| series.created_ms != DEAD;
        let series = self.series.iter().enumerate().filter(alive);
        series.map(|(slot, series)| (slot as u32, series))
    }

    /// Ends series for which `ends` holds; how many.
    pub fn end_where(&mut self, table: &mut LabelTable, ends: impl Fn(&Series) -> bool) -> usize {
        let mut ended = 0;
        for (slot, series) in self.series.iter_mut().enumerate() {
            if series.created_ms != DEAD && ends(series) {
                *series = NONE;
                table.release(slot as u32);
                ended += 1;
            }
        }
        self.alive -= ended;
        ended
    }
}
