//! Which label sets the flows between two identities have: most records are of pairs that
//! were met before, and what follows from who stands on the sides needs no second look.

use crate::record::Identities;

/// Pairs that are remembered; where two meet in one place, the newer one stays.
const PLACES: usize = 1 << 15;

/// Pairs of identities, by place.
#[derive(Debug)]
pub(crate) struct PairCache {
    pairs: Vec<Option<Identities>>,
}

/// Where the slots of a label group are remembered, by place; [`NO_SLOT`]: nowhere.
#[derive(Debug, Default)]
pub(crate) struct PairSlots(Vec<u32>);

const NO_SLOT: u32 = u32::MAX;

/// The place of the pair at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    at: usize,
    /// It was another pair's, or nobody's: what groups remember there is not of this pair.
    pub is_new: bool,
}

impl PairCache {
    pub const fn new() -> Self {
        Self { pairs: Vec::new() }
    }

    /// The place of this pair, which is its own from now on.
    #[inline]
    pub fn place(&mut self, pair: Identities) -> Place {
        if self.pairs.is_empty() {
            self.pairs = vec![None; PLACES];
        }
        let mixed = pair.src.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ pair.dst;
        let at = (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 49) as usize;
        let is_new = self.pairs[at] != Some(pair);
        if is_new {
            self.pairs[at] = Some(pair);
        }
        Place { at, is_new }
    }
}

impl PairSlots {
    #[inline]
    pub fn slot(&self, place: Place) -> Option<u32> {
        self.0.get(place.at).copied().filter(|slot| *slot != NO_SLOT)
    }

    pub fn remember(&mut self, place: Place, slot: u32) {
        if self.0.is_empty() {
            self.0 = vec![NO_SLOT; PLACES];
        }
        self.0[place.at] = slot;
    }

    pub fn forget(&mut self, place: Place) {
        if let Some(slot) = self.0.get_mut(place.at) {
            *slot = NO_SLOT;
        }
    }

    /// Slots have new owners.
    pub fn forget_all(&mut self) {
        self.0.fill(NO_SLOT);
    }
}
