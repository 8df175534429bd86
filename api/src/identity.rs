//! Exporter ids: one number tells a node and bridge from every other, and what
//! each protocol carries derives from it.
//!
//! In a cluster the controller allocates the numbers 1 to 65535, so that they
//! fit NetFlow's 16 bits and never collide. Without a controller there is
//! nobody to allocate, and [`from_names`] derives a number that is the same
//! after every restart; two nodes collide in NetFlow with odds of 1 in 65535.

use std::collections::{BTreeMap, BTreeSet};

/// The largest number that NetFlow's engine type and id hold together.
pub const MAX_ALLOCATED: u32 = 0xffff;

/// A node and a bridge on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exporter {
    /// Name of the node.
    pub node: String,
    /// Name of the bridge.
    pub bridge: String,
}

/// NetFlow v5's engine type and engine id for an exporter id: its two low
/// octets.
pub const fn netflow_engine(exporter_id: u32) -> (u8, u8) {
    let [_, _, high, low] = exporter_id.to_be_bytes();
    (high, low)
}

/// An exporter id from the names alone (FNV-1a). Its low 16 bits are not zero.
pub fn from_names(node: &str, bridge: &str) -> u32 {
    let octets = node.bytes().chain([0]).chain(bridge.bytes());
    let hash = octets.fold(0x811c_9dc5_u32, |hash, octet| {
        (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
    });
    if hash & MAX_ALLOCATED == 0 { hash | 1 } else { hash }
}

/// Gives each wanted exporter its number. Those that have one in `held` keep
/// it (the first by name, should two claim the same); the others take the
/// lowest free ones, in order. Exporters beyond [`MAX_ALLOCATED`] get none.
pub fn allocate(held: &BTreeMap<Exporter, u32>, wanted: &BTreeSet<Exporter>) -> BTreeMap<Exporter, u32> {
    let mut taken = BTreeSet::new();
    let mut allocated = BTreeMap::new();
    for exporter in wanted {
        let Some(&id) = held.get(exporter) else { continue };
        if (1..=MAX_ALLOCATED).contains(&id) && taken.insert(id) {
            allocated.insert(exporter.clone(), id);
        }
    }
    let mut free = (1..=MAX_ALLOCATED).filter(|id| !taken.contains(id));
    for exporter in wanted {
        if !allocated.contains_key(exporter) {
            let Some(id) = free.next() else { break };
            allocated.insert(exporter.clone(), id);
        }
    }
    allocated
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exporter(node: &str) -> Exporter {
        Exporter {
            node: node.into(),
            bridge: "br-int".into(),
        }
    }

    #[test]
    fn what_is_held_is_kept_and_the_rest_fills_the_gaps() {
        let held = [(exporter("b"), 2), (exporter("gone"), 1)].into();
        let wanted = [exporter("a"), exporter("b"), exporter("c")].into();
        let ids: Vec<u32> = allocate(&held, &wanted).into_values().collect();
        assert_eq!(ids, [1, 2, 3]);
    }

    #[test]
    fn the_engine_is_the_two_low_octets() {
        assert_eq!(netflow_engine(0x0102), (1, 2));
        assert_ne!(
            netflow_engine(from_names("node-a", "br-int")),
            netflow_engine(from_names("node-b", "br-int"))
        );
    }

    proptest! {
        #[test]
        fn numbers_are_unique_and_stable(
            held in prop::collection::btree_map("[a-d]{1,2}", 0u32..6, 0..8),
            wanted in prop::collection::btree_set("[a-d]{1,2}", 0..8),
        ) {
            let held = held.iter().map(|(n, id)| (exporter(n), *id)).collect();
            let wanted = wanted.iter().map(|n| exporter(n)).collect();
            let first = allocate(&held, &wanted);
            prop_assert_eq!(first.len(), wanted.len());
            prop_assert_eq!(first.values().collect::<BTreeSet<_>>().len(), wanted.len());
            prop_assert!(first.values().all(|id| *id != 0));
            prop_assert_eq!(allocate(&first, &wanted), first);
        }
    }
}
