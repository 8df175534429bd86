//! Numbers of who stands on the sides of flows. A number stands for one identity in all the
//! time that the process runs: identities are told apart by where they are in memory, and one
//! that has a number is held, so that nothing else is put there meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_flow::{FlowRecord, Identity, Who};
use weir_flowmetrics::Identities;

/// Identities that one table knows; a power of two. Where two meet in one place, the newer
/// one stays, and the other gets a new number when it comes again.
const PLACES: usize = 1 << 13;

/// The next number that nobody has.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Identities and their numbers.
#[derive(Debug, Default)]
pub struct IdentityNumbers {
    /// Empty until the first is asked for.
    places: Vec<Option<(Arc<Identity>, u64)>>,
}

impl IdentityNumbers {
    /// The numbers of a record's sides.
    #[inline]
    pub fn of(&mut self, record: &FlowRecord) -> Identities {
        Identities {
            src: self.number(&record.src.identity),
            dst: self.number(&record.dst.identity),
        }
    }

    #[inline]
    fn number(&mut self, who: &Who) -> u64 {
        let identity = who.shared();
        if self.places.is_empty() {
            self.places = vec![None; PLACES];
        }
        let address = Arc::as_ptr(identity) as usize as u64;
        let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.places[(mixed >> (64 - PLACES.trailing_zeros())) as usize];
        match place {
            Some((known, number)) if Arc::ptr_eq(known, identity) => *number,
            _ => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                *place = Some((Arc::clone(identity), number));
                number
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_keeps_its_number_and_no_other_ever_has_it() {
        let mut numbers = IdentityNumbers::default();
        let mut given = std::collections::HashSet::new();
        let shop = Who::from(Identity::default());
        assert_eq!(numbers.number(&shop), numbers.number(&shop.clone()));
        assert!(given.insert(numbers.number(&shop)));
        for n in 0..3 * PLACES {
            let name = Arc::from(n.to_string());
            let who = Who::from(Identity {
                name,
                ..Identity::default()
            });
            // It is let go at once: what comes to be in its place in memory is not it.
            assert!(given.insert(numbers.number(&who)), "{n}");
        }
    }
}
