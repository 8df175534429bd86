//! Which label sets the flows between two identities have: most records are of pairs that
//! were met before, and what follows from who stands on the sides needs no second look.
//!
//! A place holds a pair and its slot in each label group, side by side in memory, and where the series stand
//! that each of its records adds to ([`Row`]), from the second time that it is met: what comes once is not worth it.
//! Where two pairs meet in one place, the newer one stays. Where pairs mostly take the place of others, and few
//! are found again, nothing is remembered for a while: a look at a place costs more than it saves.

use crate::record::Identities;

/// Places; a power of two.
const PLACES: usize = 1 << 15;
/// Words of the pair itself.
const PAIR: usize = 4;
/// Words of a place before its slots: the pair, and which rows are its own.
const HEAD: usize = PAIR + 3;
/// Rows that are known at most.
const MOST_ROWS: usize = 1 << 19;
/// No slot is remembered.
const NO_SLOT: u32 = u32::MAX;
/// The pair was met once.
const MET: u32 = NO_SLOT - 1;
/// No rows can be found.
const NO_ROWS: u32 = NO_SLOT - 2;
/// Says of a slot that none of its labels but those of identities has a value.
const PLAIN: u32 = 1 << 31;
/// Records after which it is judged whether remembering pays.
const TRIAL: u32 = 1 << 12;
/// Records that are counted without, where it does not.
const PAUSE: u32 = 31 * TRIAL;

/// Pairs of identities and their slots.
#[derive(Debug, Default)]
pub(crate) struct PairCache {
    words: Vec<u32>,
    groups: usize,
    rows: Vec<Row>,
    trial: Trial,
}

/// Whether remembering pays.
#[derive(Debug, Default)]
struct Trial {
    records: u32,
    /// Pairs that were found in their places.
    found: u32,
    /// Pairs that took the place of another.
    took: u32,
    /// So many records are still counted without a place.
    pause: u32,
}

/// Where the series of one batch of metrics stand that each record of a pair adds to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The first place of its slot in the grid of the label group.
    pub at: u32,
    /// The batch.
    pub batch: u32,
}

/// The place of the pair at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// Which labels have a value of those that do not follow from the pair, see [`crate::registry`].
pub(crate) type OwnLabels = u32;

/// What is known of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was not met before.
    Nothing,
    /// It was met once.
    Met,
    /// Where the series stand of batches that have none of these labels, see [`PairCache::rows`].
    Rows(OwnLabels),
    /// That these cannot be found.
    NoRows,
}

/// A slot that was remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSlot {
    pub slot: u32,
    /// None of its labels but those of identities has a value.
    pub is_plain: bool,
}

impl Trial {
    /// Counts a record; whether it may have a place.
    #[inline]
    fn goes_on(&mut self) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        self.records += 1;
        if self.records == TRIAL {
            // At first few are found, and few take the place of others.
            let pause = if self.took > self.found + TRIAL / 8 {
                PAUSE
            } else {
                0
            };
            *self = Self {
                pause,
                ..Self::default()
            };
        }
        true
    }
}

impl PairCache {
    /// Forgets all; there are so many label groups now.
    pub fn reset(&mut self, groups: usize) {
        *self = Self {
            groups,
            ..Self::default()
        };
    }

    /// Forgets all: slots have new owners.
    pub fn forget(&mut self) {
        self.words.fill(NO_SLOT);
        self.rows.clear();
    }

    /// Whether records are counted without places for the time being.
    #[inline]
    pub const fn is_paused(&self) -> bool {
        self.trial.pause > 0
    }

    const fn width(&self) -> usize {
        HEAD + self.groups
    }

    /// The place of this pair, which is its own from now on; `None` where remembering does not pay.
    #[inline]
    pub fn place(&mut self, pair: Identities) -> Option<Place> {
        if !self.trial.goes_on() {
            return None;
        }
        let width = self.width();
        if self.words.is_empty() {
            self.words = vec![NO_SLOT; PLACES * width];
        }
        let mixed = pair.src.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ pair.dst;
        let at = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize * width;
        let halves = |number: u64| [number as u32, (number >> 32) as u32];
        let ([a, b], [c, d]) = (halves(pair.src), halves(pair.dst));
        let place = &mut self.words[at..at + width];
        if place[..PAIR] == [a, b, c, d] {
            self.trial.found += 1;
        } else {
            self.trial.took += u32::from(place[..PAIR] != [NO_SLOT; PAIR]);
            place.fill(NO_SLOT);
            place[..PAIR].copy_from_slice(&[a, b, c, d]);
        }
        Some(Place(at + HEAD))
    }

    /// What is known of the pair in this place.
    #[inline]
    pub fn known(&self, place: Place) -> Known {
        match self.words[place.0 - 3] {
            NO_SLOT => Known::Nothing,
            MET => Known::Met,
            NO_ROWS => Known::NoRows,
            _ => Known::Rows(self.words[place.0 - 1]),
        }
    }

    /// The series that each record of the pair in this place adds to.
    #[inline]
    pub fn rows(&self, place: Place) -> &[Row] {
        let (start, end) = (self.words[place.0 - 3], self.words[place.0 - 2]);
        self.rows.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The pair in this place was met.
    pub fn meet(&mut self, place: Place) {
        self.words[place.0 - 3] = MET;
    }

    /// Each record of the pair in this place adds to these, as far as batches have none of the labels `but`; `None`:
    /// they cannot be found before all is forgotten.
    pub fn know_rows(&mut self, place: Place, rows: Option<&[Row]>, but: OwnLabels) {
        self.words[place.0 - 3] = NO_ROWS;
        let Some(rows) = rows else { return };
        if self.rows.len() + rows.len() > MOST_ROWS {
            self.give_rows_back();
        }
        let start = self.rows.len() as u32;
        self.rows.extend_from_slice(rows);
        self.words[place.0 - 3..place.0].copy_from_slice(&[start, self.rows.len() as u32, but]);
    }

    /// Lets rows go that are of no pair any more; where that is not worth it, those of all pairs, which are met anew.
    fn give_rows_back(&mut self) {
        let (width, mut kept) = (self.width(), Vec::new());
        for place in self.words.chunks_exact_mut(width) {
            if place[PAIR] < NO_ROWS {
                let own = self.rows.get(place[PAIR] as usize..place[PAIR + 1] as usize);
                place[PAIR] = kept.len() as u32;
                kept.extend_from_slice(own.unwrap_or_default());
                place[PAIR + 1] = kept.len() as u32;
            }
        }
        if kept.len() > MOST_ROWS / 4 * 3 {
            kept.clear();
            for place in self.words.chunks_exact_mut(width) {
                place[PAIR] = place[PAIR].max(MET);
            }
        }
        self.rows = kept;
    }

    #[inline]
    pub fn slot(&self, place: Place, group: usize) -> Option<KnownSlot> {
        let word = self.words[place.0 + group];
        (word != NO_SLOT).then_some(KnownSlot {
            slot: word & !PLAIN,
            is_plain: word & PLAIN != 0,
        })
    }

    pub fn remember(&mut self, place: Place, group: usize, known: KnownSlot) {
        let plain = if known.is_plain { PLAIN } else { 0 };
        self.words[place.0 + group] = known.slot | plain;
    }
}

#[cfg(test)]
mod tests;
