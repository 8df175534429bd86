//! Which label sets the flows between two identities have: most records are of pairs that
//! were met before, and what follows from who stands on the sides needs no second look.
//!
//! A place holds a pair and its slot in each label group, side by side in memory. Where two
//! pairs meet in one place, the newer one stays.

use crate::record::Identities;

/// Places; a power of two.
const PLACES: usize = 1 << 15;
/// Words of the pair itself.
const PAIR: usize = 4;
/// No slot is remembered.
const NO_SLOT: u32 = u32::MAX;
/// Says of a slot that none of its labels but those of identities has a value.
const PLAIN: u32 = 1 << 31;

/// Pairs of identities and their slots.
#[derive(Debug, Default)]
pub(crate) struct PairCache {
    words: Vec<u32>,
    groups: usize,
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
        };
    }

    /// Forgets all: slots have new owners.
    pub fn forget(&mut self) {
        self.words.fill(NO_SLOT);
    }

    /// The place of this pair, which is its own from now on.
    #[inline]
    pub fn place(&mut self, pair: Identities) -> Place {
        let width = PAIR + self.groups;
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
        Place(at + PAIR)
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
