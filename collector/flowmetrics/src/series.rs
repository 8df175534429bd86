//! Label sets and the values behind them. A label set has a slot; metrics with the same
//! labels share slots, so that a record is looked up once for all of them. Each metric has
//! its own values, bound, expiry and creation times.

use hashbrown::HashTable;

mod grid;

use grid::SeriesGrid;

/// Values of the labels of series, by slot.
#[derive(Debug, Default)]
pub(crate) struct LabelTable {
    index: HashTable<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    grid: SeriesGrid,
}

/// Room that is not worth giving back.
const MIN_ROOM: usize = 256;

/// Empties it, and gives room back where it was not a quarter full.
fn shrink<T>(cells: &mut Vec<T>) {
    let used = cells.len();
    cells.clear();
    if cells.capacity() > MIN_ROOM.max(4 * used) {
        cells.shrink_to(2 * used);
    }
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

    /// Hash of the values of this slot.
    #[inline]
    pub fn hash(&self, slot: u32) -> u64 {
        self.slots[slot as usize].hash
    }

    /// Whether the label of this slot has this value.
    #[inline]
    pub fn has(&self, slot: u32, label: usize, value: &[u8]) -> bool {
        self.slots[slot as usize].value(label) == value
    }

    /// Adds a value to the series in this slot and column; false if there is none.
    #[inline]
    pub fn add(&mut self, slot: u32, column: usize, addition: Addition, raw: u64, now_ms: u64) -> bool {
        self.add_at(self.grid.place(slot, column), addition, raw, now_ms)
    }

    /// The same by the place in the grid, which [`Self::place_of`] told.
    #[inline]
    pub fn add_at(&mut self, at: usize, addition: Addition, raw: u64, now_ms: u64) -> bool {
        let series = self.grid.series.get_mut(at);
        let Some(series) = series.filter(|series| series.touched_ms != DEAD) else {
            return false;
        };
        series.touched_ms = now_ms.max(1);
        series.raw = match addition {
            Addition::Sum => series.raw.saturating_add(raw),
            Addition::Last => raw,
        };
        true
    }

    /// Where the series of this slot and column stands, or would, until another metric comes or goes.
    pub fn place_of(&self, slot: u32, column: usize) -> Option<u32> {
        u32::try_from(self.grid.place(slot, column)).ok()
    }

    /// The slot whose series stand from this place on.
    pub fn slot_at(&self, at: u32) -> u32 {
        at / self.grid.taken.len().max(1) as u32
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

    /// Lets all slots and series go; columns stay with their metrics. Room that is not a quarter
    /// full is given back, for half of it.
    pub fn clear(&mut self) {
        let slots = self.slots.len();
        self.index.clear();
        self.free.clear();
        shrink(&mut self.slots);
        shrink(&mut self.grid.series);
        shrink(&mut self.grid.created_ms);
        if self.index.capacity() > MIN_ROOM.max(4 * slots) {
            self.index.shrink_to(2 * slots, |_| 0);
        }
        if self.free.capacity() > MIN_ROOM.max(4 * slots) {
            self.free.shrink_to(2 * slots);
        }
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

    /// The most for which a part of it has room.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        let cells = self.grid.series.capacity().max(self.grid.created_ms.capacity());
        let columns = self.grid.taken.len().max(1);
        (cells / columns)
            .max(self.slots.capacity())
            .max(self.index.capacity())
            .max(self.free.capacity())
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
    /// When it was last counted in, ms since 1970 UTC; [`DEAD`] where there is no series.
    pub touched_ms: u64,
}

/// What was counted of a series elsewhere.
#[derive(Debug)]
pub(crate) struct SeriesCount<'c> {
    pub series: Series,
    /// When it was made, ms since 1970 UTC.
    pub created_ms: u64,
    /// Of a histogram.
    pub buckets: &'c [u64],
}

const DEAD: u64 = 0;
const NONE: Series = Series {
    raw: 0,
    touched_ms: DEAD,
};

/// How a value changes a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addition {
    /// It is added.
    Sum,
    /// It takes the place of what was there.
    Last,
}

/// What one metric has in a [`LabelTable`].
#[derive(Debug)]
pub(crate) struct SeriesTable {
    column: usize,
    /// Observations by bucket, the last without a bound; not summed up. `width` to a slot;
    /// none but for histograms.
    buckets: Vec<u64>,
    width: usize,
    alive: usize,
}

impl SeriesTable {
    /// Takes a column of the table. `buckets`: of a histogram; 0 of other metrics.
    pub fn new(table: &mut LabelTable, buckets: usize) -> Self {
        Self {
            column: table.grid.join(),
            buckets: Vec::new(),
            width: buckets,
            alive: 0,
        }
    }

    /// The table was cleared: there is no series any more.
    pub fn clear(&mut self) {
        shrink(&mut self.buckets);
        self.alive = 0;
    }

    /// Gives the column back, without a series.
    pub fn leave(&mut self, table: &mut LabelTable) {
        self.end_where(table, |_| true, |_| {});
        table.grid.taken[self.column] = false;
    }

    pub const fn alive(&self) -> usize {
        self.alive
    }

    /// The metric's column in the table.
    pub const fn column(&self) -> usize {
        self.column
    }

    /// A new series, from 0.
    pub fn create(&mut self, slot: u32, now_ms: u64, table: &mut LabelTable) {
        let rows = slot as usize + 1;
        let at = table.grid.place(slot, self.column);
        let grid = &mut table.grid;
        let cells = grid.series.len().max(rows * grid.taken.len());
        grid.series.resize(cells, NONE);
        grid.created_ms.resize(cells, 0);
        grid.series[at] = Series {
            raw: 0,
            touched_ms: now_ms.max(1),
        };
        grid.created_ms[at] = now_ms;
        let buckets = self.buckets.len().max(rows * self.width);
        self.buckets.resize(buckets, 0);
        self.buckets[slot as usize * self.width..][..self.width].fill(0);
        self.alive += 1;
        table.retain(slot);
    }

    /// When the series was made, ms since 1970 UTC.
    pub fn created_ms(&self, slot: u32, table: &LabelTable) -> u64 {
        table.grid.created_ms[table.grid.place(slot, self.column)]
    }

    /// One more in the bucket of this number.
    #[inline]
    pub fn bucket(&mut self, slot: u32, bucket: usize) {
        if bucket < self.width {
            self.buckets[slot as usize * self.width + bucket] += 1;
        }
    }

    pub fn buckets(&self, slot: u32) -> &[u64] {
        &self.buckets[slot as usize * self.width..][..self.width]
    }

    pub fn iter<'t>(&self, table: &'t LabelTable) -> impl Iterator<Item = (u32, &'t Series)> {
        table.grid.column(self.column)
    }

    /// Adds what was counted elsewhere to the series in this slot; false if there is none.
    pub fn merge(
        &mut self,
        slot: u32,
        table: &mut LabelTable,
        addition: Addition,
        counted: &SeriesCount<'_>,
    ) -> bool {
        let at = table.grid.place(slot, self.column);
        let created_ms = table.grid.created_ms.get_mut(at);
        let series = table.grid.series.get_mut(at);
        let Some(series) = series.filter(|series| series.touched_ms != DEAD) else {
            return false;
        };
        let Series { raw, touched_ms } = counted.series;
        match addition {
            Addition::Sum => series.raw = series.raw.saturating_add(raw),
            Addition::Last if touched_ms >= series.touched_ms => series.raw = raw,
            Addition::Last => {}
        }
        series.touched_ms = series.touched_ms.max(touched_ms);
        if let Some(created_ms) = created_ms {
            *created_ms = counted.created_ms.min(*created_ms);
        }
        let buckets = &mut self.buckets[slot as usize * self.width..][..self.width];
        for (bucket, more) in buckets.iter_mut().zip(counted.buckets) {
            *bucket += more;
        }
        true
    }

    /// Ends series for which `ends` holds, tells the hash of each, and how many they were.
    pub fn end_where(
        &mut self,
        table: &mut LabelTable,
        ends: impl Fn(&Series) -> bool,
        ended_hash: impl Fn(u64),
    ) -> usize {
        let ended: Vec<u32> = self
            .iter(table)
            .filter(|(_, series)| ends(series))
            .map(|(slot, _)| slot)
            .collect();
        for slot in &ended {
            let at = table.grid.place(*slot, self.column);
            table.grid.series[at] = NONE;
            ended_hash(table.hash(*slot));
            table.release(*slot);
        }
        self.alive -= ended.len();
        ended.len()
    }
}
