//! Who claims what, and when: the writer's side of [`Published`] timelines.
//! Claims that ended are kept for a while. Pure: the time is given.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use weir_flow::{Identity, Kind};

use super::ObjectKey;
use super::services::Published;
use super::time::{Held, Span, Timeline};

/// Claims on things of one kind: addresses, endpoints, names.
#[derive(Debug)]
pub struct OwnershipHistory<K> {
    claims: HashMap<K, Vec<OwnershipClaim>>,
    /// What has claims that ended, by when.
    ended: BTreeSet<(u64, K)>,
    changed: HashSet<K>,
}

#[derive(Debug)]
struct OwnershipClaim {
    by: ObjectKey,
    span: Span,
    who: Arc<Identity>,
    leaving: bool,
}

/// The times of an object, ns since the epoch UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    /// When the object was made; an elder one of the same name is another.
    pub created: u64,
    /// Since when it may have what it is not known to have yet.
    pub from: u64,
    /// When it ended, if it did.
    pub until: Option<u64>,
    /// It is being deleted.
    pub leaving: bool,
}

impl<K> Default for OwnershipHistory<K> {
    fn default() -> Self {
        Self {
            claims: HashMap::new(),
            ended: BTreeSet::new(),
            changed: HashSet::new(),
        }
    }
}

impl<K: Hash + Ord + Clone> OwnershipHistory<K> {
    /// An object has this, and is `who`, also where that became known later.
    pub fn claim(&mut self, key: &K, by: &ObjectKey, term: Tenure, who: &Arc<Identity>) {
        let claims = self.claims.entry(key.clone()).or_default();
        let (mut known, mut open) = (false, false);
        let same = |claim: &&mut OwnershipClaim| claim.by == *by && claim.span.to > term.created;
        for claim in claims.iter_mut().filter(same) {
            claim.who = Arc::clone(who);
            claim.leaving = term.leaving;
            known = true;
            open |= claim.span.is_open();
        }
        if !(open || known && term.until.is_some()) {
            // Nearly everything has one holder.
            claims.reserve_exact(1);
            claims.push(OwnershipClaim {
                by: by.clone(),
                span: Span::since(term.from),
                who: Arc::clone(who),
                leaving: term.leaving,
            });
        }
        self.changed.insert(key.clone());
        if let Some(at) = term.until {
            self.release(key, by, at);
        }
    }

    /// An object has this no longer.
    pub fn release(&mut self, key: &K, by: &ObjectKey, at: u64) {
        let claims = self.claims.get_mut(key).into_iter().flatten();
        for claim in claims.filter(|claim| claim.by == *by && claim.span.is_open()) {
            claim.span.to = at.max(claim.span.from).min(u64::MAX - 1);
            self.ended.insert((claim.span.to, key.clone()));
            self.changed.insert(key.clone());
        }
    }

    /// Forgets what ended before a moment, and of the rest all but the last `most`.
    pub fn expire(&mut self, before: u64, most: usize) {
        while let Some((at, _)) = self.ended.first() {
            if *at >= before && self.ended.len() <= most {
                return;
            }
            if let Some((at, key)) = self.ended.pop_first() {
                self.forget(key, at);
            }
        }
    }

    fn forget(&mut self, key: K, at: u64) {
        if let Some(claims) = self.claims.get_mut(&key) {
            claims.retain(|claim| claim.span.to > at);
            if claims.is_empty() {
                self.claims.remove(&key);
            }
        }
        self.changed.insert(key);
    }

    /// Whether readers do not see all yet.
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Shows readers what changed.
    pub fn publish(&mut self, shown: &mut impl Published<K>) {
        for key in self.changed.drain() {
            match self.claims.get(&key) {
                Some(claims) => shown.insert(key, timeline(claims)),
                None => shown.remove(&key),
            }
        }
        if self.changed.capacity() > 65_536 {
            self.changed.shrink_to(1_024);
        }
    }

    /// How many claims there are, those that ended included.
    pub fn len(&self) -> usize {
        self.claims.values().map(Vec::len).sum()
    }
}

/// A pod that is being deleted has lost its address when a younger one has it:
/// word of its end may come late, or wait for a finalizer.
fn timeline(claims: &[OwnershipClaim]) -> Timeline {
    let mut held: Vec<Held> = claims
        .iter()
        .map(|claim| {
            let heirs = claims.iter().filter(|heir| inherits(heir, claim));
            let lost = heirs.map(|heir| heir.span.from).min().unwrap_or(u64::MAX);
            Held {
                span: Span {
                    from: claim.span.from,
                    to: claim.span.to.min(lost),
                },
                who: Arc::clone(&claim.who),
            }
        })
        .collect();
    held.sort_by_key(|held| held.span.from);
    held.into()
}

fn inherits(heir: &OwnershipClaim, claim: &OwnershipClaim) -> bool {
    let pods = heir.who.kind == Kind::Pod && claim.who.kind == Kind::Pod;
    let younger = heir.by != claim.by && heir.span.from > claim.span.from;
    let one_network = heir.who.network == claim.who.network;
    claim.leaving && pods && younger && one_network
}

#[cfg(test)]
mod tests;
