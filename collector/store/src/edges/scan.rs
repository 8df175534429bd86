//! Ports of a pair in an hour, where these are more than a client calls: a scan. What has
//! most packets keeps its port; the rest of the pair is one row without one. So nobody's
//! scan takes the room that the edges of all have. Pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::{Evidence, Key, Sums};

/// Rows of an edges segment that are borne before pairs with fewer ports are folded, too.
const MANY_ROWS: usize = 1 << 18;

/// Ports that a pair may have in an hour, and how many of more keep theirs. The first holds
/// always, each other one where there are too many rows after the one before.
const BOUNDS: [(usize, usize); 4] = [(256, 64), (32, 16), (8, 4), (1, 1)];

/// A client and a server in an hour, and their protocol.
type Pair = (i64, u32, u32, Option<u8>);

fn pair(key: &Key) -> Pair {
    (key.hour, key.client, key.server, key.proto)
}

/// A port that can be left out: what a Service has is nobody's scan.
fn may_fold((key, sums): &(Key, Sums)) -> bool {
    key.port.is_some() && !sums.evidence.has(Evidence::SERVICE)
}

/// The edges, and how many of them lost their port. Each edge is there once before and
/// after; in which order they are given does not matter.
pub(super) fn fold(edges: Vec<(Key, Sums)>) -> (Vec<(Key, Sums)>, u64) {
    fold_to(edges, MANY_ROWS)
}

fn fold_to(mut edges: Vec<(Key, Sums)>, many: usize) -> (Vec<(Key, Sums)>, u64) {
    let mut folded = 0;
    for (place, (most, kept)) in BOUNDS.into_iter().enumerate() {
        if place > 0 && edges.len() <= many {
            break;
        }
        let over = over(&edges, most);
        if !over.is_empty() {
            edges = without_ports(edges, &over, kept, &mut folded);
        }
    }
    (edges, folded)
}

/// The pairs that have more ports than this.
fn over(edges: &[(Key, Sums)], most: usize) -> HashSet<Pair> {
    let mut counts = HashMap::<Pair, usize>::new();
    for (key, _) in edges.iter().filter(|edge| may_fold(edge)) {
        *counts.entry(pair(key)).or_default() += 1;
    }
    counts.retain(|_, count| *count > most);
    counts.into_keys().collect()
}

/// The edges, those of these pairs without their ports but for `kept` of each.
fn without_ports(
    edges: Vec<(Key, Sums)>,
    pairs: &HashSet<Pair>,
    kept: usize,
    folded: &mut u64,
) -> Vec<(Key, Sums)> {
    let is_folded =
        |edge: &(Key, Sums)| pairs.contains(&pair(&edge.0)) && edge.0.port.is_none_or(|_| may_fold(edge));
    let (mut many, mut left): (Vec<_>, Vec<_>) = edges.into_iter().partition(is_folded);
    many.sort_unstable_by_key(|(key, sums)| {
        let packets = sums.forward.packets.saturating_add(sums.reverse.packets);
        let flows = sums.forward.flows.saturating_add(sums.reverse.flows);
        // What has no port is added to and takes no place.
        (
            pair(key),
            key.port.is_none(),
            Reverse((packets, flows)),
            key.port,
            key.standing,
        )
    });
    for edges in many.chunk_by(|(one, _), (other, _)| pair(one) == pair(other)) {
        let mut ported = edges.iter().filter(|(key, _)| key.port.is_some());
        left.extend(ported.by_ref().take(kept));
        let mut rest = Vec::<(Key, Sums)>::new();
        let mut add = |key: Key, sums: &Sums| match rest.iter_mut().find(|(other, _)| *other == key) {
            Some((_, total)) => total.add(sums),
            None => rest.push((key, *sums)),
        };
        for (key, sums) in ported {
            *folded += 1;
            let sums = Sums {
                evidence: sums.evidence.and(Evidence::SCAN),
                ..*sums
            };
            add(Key { port: None, ..*key }, &sums);
        }
        let without = edges.iter().filter(|(key, _)| key.port.is_none());
        without.for_each(|(key, sums)| add(*key, sums));
        left.append(&mut rest);
    }
    left
}

#[cfg(test)]
mod tests;
