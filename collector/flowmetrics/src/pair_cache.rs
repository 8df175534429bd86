//! Which label sets the flows between two identities have: most records are of pairs that
//! were met before, and what follows from who stands on the sides needs no second look.
//!
//! A place holds a pair and its slot in each label group, side by side in memory, and where the series stand
//! that each of its records adds to ([`Cell`]). Where two pairs meet in one place, the newer one stays.

use crate::record::Identities;
use crate::series::Addition;

/// Places; a power of two.
const PLACES: usize = 1 << 15;
/// Words of the pair itself.
const PAIR: usize = 4;
/// Words of a place before its slots: the pair, and which cells are its own.
const HEAD: usize = PAIR + 2;
/// Cells that are known at most; beyond that all is forgotten.
const MOST_CELLS: usize = 1 << 19;
/// No slot is remembered.
const NO_SLOT: u32 = u32::MAX;
/// No cells can be found.
const NO_CELLS: u32 = NO_SLOT - 1;
/// Says of a slot that none of its labels but those of identities has a value.
const PLAIN: u32 = 1 << 31;

/// Pairs of identities and their slots.
#[derive(Debug, Default)]
pub(crate) struct PairCache {
    words: Vec<u32>,
    groups: usize,
    cells: Vec<Cell>,
}

/// A series that each record of a pair adds to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    /// Its place in the grid of its label group.
    pub at: u32,
    /// The slot of its labels there.
    pub slot: u32,
    /// The label group.
    pub group: u16,
    /// The metric.
    pub metric: u16,
    /// Which number is added.
    pub value: u16,
    /// How.
    pub addition: Addition,
}

/// The place of the pair at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// A slot that was remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSlot {
    pub slot: u32,
    /// None of its labels but those of identities has a value.
    pub is_plain: bool,
}

impl PairCache {
    /// Forgets all; there are so many label groups now.
    pub fn reset(&mut self, groups: usize) {
        *self = Self {
            words: Vec::new(),
            groups,
            cells: Vec::new(),
        };
    }

    /// Forgets all: slots have new owners.
    pub fn forget(&mut self) {
        self.words.fill(NO_SLOT);
        self.cells.clear();
    }

    /// The place of this pair, which is its own from now on.
    #[inline]
    pub fn place(&mut self, pair: Identities) -> Place {
        let width = HEAD + self.groups;
        if self.words.is_empty() {
            self.words = vec![NO_SLOT; PLACES * width];
        }
        let mixed = pair.src.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ pair.dst;
        let at = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize * width;
        let halves = |number: u64| [number as u32, (number >> 32) as u32];
        let ([a, b], [c, d]) = (halves(pair.src), halves(pair.dst));
        let place = &mut self.words[at..at + width];
        if place[..PAIR] != [a, b, c, d] {
            place.fill(NO_SLOT);
            place[..PAIR].copy_from_slice(&[a, b, c, d]);
        }
        Place(at + HEAD)
    }

    /// The series that each record of the pair in this place adds to; `None` until they are known.
    #[inline]
    pub fn cells(&self, place: Place) -> Option<&[Cell]> {
        let (start, end) = (self.words[place.0 - 2], self.words[place.0 - 1]);
        self.cells.get(start as usize..end as usize)
    }

    /// Nobody tried yet to find the cells of the pair in this place.
    pub fn is_new(&self, place: Place) -> bool {
        self.words[place.0 - 2] == NO_SLOT
    }

    /// Each record of the pair in this place adds to these; `None`: they cannot be found before all is forgotten.
    pub fn know_cells(&mut self, place: Place, cells: Option<&[Cell]>) {
        let Some(cells) = cells else {
            self.words[place.0 - 2] = NO_CELLS;
            return;
        };
        if self.cells.len() + cells.len() > MOST_CELLS {
            self.forget();
            return;
        }
        self.words[place.0 - 2] = self.cells.len() as u32;
        self.cells.extend_from_slice(cells);
        self.words[place.0 - 1] = self.cells.len() as u32;
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
