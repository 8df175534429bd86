//! Numbers of who stands on the sides of flows ([`crate::Identities`]). A number stands for one identity in all the
//! time that the process runs: identities are told apart by where they are in memory, and one
//! that has a number is held, so that nothing else is put there meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identities that share a place.
const WAYS: usize = 2;
/// Places at first, and at most; powers of two. So many are made while identities that others still have
/// lose their number for want of room.
const FEWEST: usize = 1 << 12;
const MOST: usize = 1 << 15;

/// The next number that nobody has.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Identities and their numbers. Where three meet in one place, the one that came first goes, and gets a new number when
/// it comes again.
#[derive(Debug)]
pub struct IdentityNumbers<T> {
    /// Empty until the first is asked for.
    places: Vec<Place<T>>,
    /// That others have, and that lost their number since there are so many places.
    lost: usize,
}

type Place<T> = [Option<(Arc<T>, u64)>; WAYS];

impl<T> Default for IdentityNumbers<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            lost: 0,
        }
    }
}

impl<T> IdentityNumbers<T> {
    /// The number of an identity.
    #[inline]
    pub fn number(&mut self, identity: &Arc<T>) -> u64 {
        let at = self.at(identity);
        let known = self.places.get(at).into_iter().flatten().flatten();
        for (other, number) in known {
            if Arc::ptr_eq(other, identity) {
                return *number;
            }
        }
        self.give(identity)
    }

    #[inline]
    fn at(&self, identity: &Arc<T>) -> usize {
        let address = Arc::as_ptr(identity) as usize as u64;
        let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize & self.places.len().wrapping_sub(1)
    }

    #[cold]
    fn give(&mut self, identity: &Arc<T>) -> u64 {
        let places = self.places.len();
        if places == 0 || (places < MOST && self.lost > places) {
            self.widen((places * 2).max(FEWEST));
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let gone = self.put(Arc::clone(identity), number);
        self.lost += usize::from(gone.is_some_and(|gone| Arc::strong_count(&gone) > 1));
        number
    }

    /// Puts it where it belongs; who had to go.
    fn put(&mut self, identity: Arc<T>, number: u64) -> Option<Arc<T>> {
        let at = self.at(&identity);
        let place = self.places.get_mut(at)?;
        place.rotate_right(1);
        let gone = place[0].replace((identity, number));
        gone.map(|(identity, _)| identity)
    }

    fn widen(&mut self, places: usize) {
        let known = std::mem::take(&mut self.places);
        self.places.resize_with(places, Default::default);
        self.lost = 0;
        for (identity, number) in known
            .into_iter()
            .flat_map(|place| place.into_iter().rev().flatten())
        {
            self.put(identity, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_identity_keeps_its_number_and_no_other_ever_has_it() {
        let mut numbers = IdentityNumbers::default();
        let mut given = HashSet::new();
        let shop = Arc::new("shop".to_owned());
        assert_eq!(numbers.number(&shop), numbers.number(&Arc::clone(&shop)));
        assert!(given.insert(numbers.number(&shop)));
        for n in 0..3 * FEWEST * WAYS {
            // It is let go at once: what comes to be in its place in memory is not it.
            assert!(given.insert(numbers.number(&Arc::new(n.to_string()))), "{n}");
        }
        assert_eq!(numbers.places.len(), FEWEST, "nobody else has any of them");
    }

    #[test]
    fn more_identities_than_there_are_places_get_more_places_and_most_keep_their_numbers() {
        let mut numbers = IdentityNumbers::default();
        let identities: Vec<_> = (0..6 * FEWEST).map(|n| Arc::new(n.to_string())).collect();
        for _ in 0..6 {
            for identity in &identities {
                numbers.number(identity);
            }
        }
        assert!(numbers.places.len() > FEWEST && numbers.places.len() <= MOST);
        let before: Vec<_> = identities
            .iter()
            .map(|identity| numbers.number(identity))
            .collect();
        let after = identities.iter().map(|identity| numbers.number(identity));
        let kept = before
            .iter()
            .zip(after)
            .filter(|(before, after)| **before == *after);
        let (kept, all) = (kept.count(), identities.len());
        assert!(kept * 10 > all * 8, "{kept} of {all}");
    }
}
