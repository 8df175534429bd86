//! What was in force when: all that verdicts depend on, as of the stretches of time between
//! two changes of policies, namespaces and nodes. Pure.
//!
//! Pods come and go within a version: who had an address when is told beside it, so that a
//! pod that starts makes no version.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use ipnet::IpNet;
use weir_identity::{Shards, Span};
use weir_policy::observed::{Changed, Lifetime, SETTLE};
use weir_policy::{Endpoint, Pod, Snapshot};

use super::gaps::Gaps;
use super::watches::Lost;

/// So many versions are kept at most.
pub const MOST: usize = 64;
/// Changes within so long are taken as one, in nanoseconds: a record is held against six
/// versions at most until they have settled.
pub const CLOSE: u64 = 8 * 1_000_000_000;
/// A version that ended so long ago is not kept, in nanoseconds.
pub const HISTORY: u64 = 15 * 60 * 1_000_000_000;

/// An address and port that a Service has. Of a port on every node the address is unspecified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frontend {
    /// The address.
    pub address: IpAddr,
    /// The protocol of the IP header.
    pub protocol: u8,
    /// The port.
    pub port: u16,
}

/// Who had an address, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// Namespace, or empty for a node.
    pub namespace: Arc<str>,
    /// Name of the pod or node.
    pub name: Arc<str>,
    /// When; from its first to its last moment.
    pub span: Span,
    /// What policies make of it.
    pub endpoint: Endpoint,
    /// What the pod was, where that has ended.
    pub was: Option<Arc<Pod>>,
}

/// Everybody who had an address, the latest last.
pub type Holders = Arc<[Holder]>;

/// Those behind a Service: address and port of each that is ready.
pub type Backends = Arc<[(IpAddr, u16)]>;

/// All that verdicts depend on, from one change to the next.
#[derive(Debug, Clone)]
pub struct Version {
    /// Counts everything that was published: what was found with another stamp may be wrong.
    pub stamp: u64,
    /// When it came into force.
    pub since: Changed,
    /// The policies.
    pub snapshot: Arc<Snapshot>,
    /// Who has which address.
    pub holders: Shards<IpAddr, Holders>,
    /// Each node, by whatever address that no fact tells of.
    pub nodes: Arc<std::collections::HashMap<Arc<str>, Endpoint, RandomState>>,
    /// Who is behind which address and port of a Service.
    pub frontends: Shards<Frontend, Backends>,
    /// Where the addresses of the cluster's pods and Services are: in order, none within
    /// another.
    pub networks: Arc<[IpNet]>,
}

/// The versions that are known, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    all: Vec<Arc<Version>>,
    /// What was in force before the first is not known; else it was as the first.
    begins_with_gap: bool,
    /// When changes may have been missed.
    gaps: Gaps,
}

/// What was in force while a record lasted.
#[derive(Debug, Clone, Copy)]
pub enum InForce<'v> {
    /// Nothing is known of any policies.
    Nothing,
    /// Nobody watched.
    Gap,
    /// One version.
    One(&'v Arc<Version>),
    /// Several, one after the other.
    Several(&'v [Arc<Version>]),
}

impl Versions {
    /// The first that is known. Whether it is not known what was before.
    pub fn new(first: Version, begins_with_gap: bool) -> Self {
        Self {
            all: vec![Arc::new(first)],
            begins_with_gap,
            gaps: Gaps::default(),
        }
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one in force now.
    pub fn last(&self) -> Option<&Arc<Version>> {
        self.all.last()
    }

    /// Another is in force from its beginning on; what is too old is forgotten. Changes that
    /// follow each other closely are one, so that whoever makes many makes few versions. Whether
    /// the one before stays, and was not one of them.
    pub fn push(&mut self, mut version: Version) -> bool {
        let begun = self
            .all
            .get(1..)
            .and_then(<[_]>::last)
            .map(|last| last.since.earliest);
        let close = begun.filter(|begun| version.since.latest < begun.saturating_add(CLOSE));
        if let Some(begun) = close {
            version.since.earliest = begun;
            self.all.pop();
        }
        let horizon = version.since.earliest.saturating_sub(HISTORY);
        self.all.push(Arc::new(version));
        // A version ends where the next begins.
        let old = self.all.windows(2).take_while(|pair| match pair {
            [_, next] => next.since.latest < horizon,
            _ => false,
        });
        let old = old.count().max(self.all.len().saturating_sub(MOST));
        if old > 0 {
            self.all.drain(..old);
            // What was before is not known any more.
            self.begins_with_gap = true;
        }
        close.is_none()
    }

    /// Pods or Services are others within the last version, or so many `back` before it.
    pub fn replace_with(&mut self, back: usize, change: impl FnOnce(&Version) -> Version) {
        let at = self.all.len().checked_sub(back + 1);
        if let Some(version) = at.and_then(|at| self.all.get_mut(at)) {
            *version = Arc::new(change(version));
        }
    }

    /// Changes may have been missed, until now if that is over. Whether that is news.
    pub fn lose(&mut self, lost: Lost, now: u64) -> bool {
        self.gaps.take(lost, now)
    }

    /// What was in force while a record lasted, and until changes have come into force
    /// everywhere.
    #[inline]
    pub fn in_force(&self, record: &Lifetime) -> InForce<'_> {
        let lasted = Span {
            from: record.start,
            to: record.end,
        };
        match self.all.last() {
            Some(_) if self.gaps.meet(lasted) => InForce::Gap,
            Some(last) if record.opened >= last.since.latest.saturating_add(SETTLE) => InForce::One(last),
            _ => self.search(record),
        }
    }

    fn search(&self, record: &Lifetime) -> InForce<'_> {
        let Some(first) = self.all.first() else {
            return InForce::Nothing;
        };
        if self.begins_with_gap && record.start < first.since.latest {
            return InForce::Gap;
        }
        // The last that has settled when the record began, and all until it ended.
        let is_settled =
            |version: &&Arc<Version>| record.opened >= version.since.latest.saturating_add(SETTLE);
        let from = self
            .all
            .iter()
            .rposition(|version| is_settled(&version))
            .unwrap_or(0);
        let later = self.all.iter().skip(from + 1);
        let until = later
            .take_while(|version| version.since.earliest <= record.end)
            .count();
        match self.all.get(from..=from + until) {
            Some([one]) => InForce::One(one),
            Some(several) => InForce::Several(several),
            None => InForce::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_policy::{Engine, Profile};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn version(stamp: u64, at: u64) -> Version {
        Version {
            stamp,
            since: Changed {
                earliest: at,
                latest: at,
            },
            snapshot: Engine::new(Profile::default()).snapshot(),
            holders: Shards::default(),
            nodes: Arc::default(),
            frontends: Shards::default(),
            networks: Arc::from([]),
        }
    }

    /// The stamps in force while a record lasted.
    fn stamps(versions: &Versions, from: u64, to: u64) -> Vec<u64> {
        let record = Lifetime {
            opened: from,
            start: from,
            end: to,
        };
        match versions.in_force(&record) {
            InForce::Nothing | InForce::Gap => Vec::new(),
            InForce::One(one) => vec![one.stamp],
            InForce::Several(several) => several.iter().map(|version| version.stamp).collect(),
        }
    }

    #[test]
    fn in_force_is_what_was_and_until_a_change_has_settled_what_was_before() {
        let begin = 1_000 * SECOND;
        let mut versions = Versions::new(version(0, begin), true);
        assert!(stamps(&Versions::default(), begin, begin).is_empty());
        for (stamp, at) in [(1, 100), (2, 110), (3, 500)] {
            versions.push(version(stamp, begin + at * SECOND));
        }
        let at = |from: u64, to: u64| stamps(&versions, begin + from * SECOND, begin + to * SECOND);
        assert!(
            stamps(&versions, begin - 1, begin + SECOND).is_empty(),
            "nobody watched"
        );
        assert_eq!(at(0, 1), [0]);
        assert_eq!(at(50, 99), [0]);
        assert_eq!(at(99, 100), [0, 1]);
        assert_eq!(at(105, 106), [0, 1]);
        assert_eq!(at(129, 131), [0, 1, 2]);
        assert_eq!(at(131, 132), [1, 2]);
        assert_eq!(at(141, 400), [2]);
        assert_eq!(at(141, 600), [2, 3]);
        assert_eq!(at(531, 531), [3]);
    }

    #[test]
    fn what_was_forgotten_is_a_gap_and_there_are_never_more_than_so_many() {
        let begin = 1_000 * SECOND;
        let mut versions = Versions::new(version(0, begin), false);
        for n in 1..200 {
            versions.push(version(n, begin + n * 10 * SECOND));
        }
        assert_eq!(versions.all.len(), MOST);
        let oldest = 200 - MOST as u64;
        let at = begin + oldest * 10 * SECOND;
        assert_eq!(stamps(&versions, at, at), [oldest]);
        assert!(matches!(
            versions.in_force(&Lifetime {
                opened: begin,
                start: begin,
                end: begin
            }),
            InForce::Gap
        ));
        // Of long ago.
        versions.push(version(200, begin + 4 * HISTORY));
        assert_eq!(versions.all.len(), 2);
        assert!(stamps(&versions, begin, begin).is_empty());
    }

    #[test]
    fn who_makes_many_changes_makes_few_versions_and_all_of_them_count() {
        let begin = 1_000 * SECOND;
        let mut versions = Versions::new(version(0, begin), false);
        for n in 1..=600 {
            versions.push(version(n, begin + 100 * SECOND + n * SECOND / 2));
        }
        let now = begin + 400 * SECOND;
        assert!(
            stamps(&versions, now, now).len() <= 6,
            "{:?}",
            stamps(&versions, now, now)
        );
        assert_eq!(versions.last().unwrap().stamp, 600);
        assert!(versions.all.len() <= 40, "{}", versions.all.len());
        // None of the time between two changes is left out.
        let since: Vec<Changed> = versions.all.iter().map(|version| version.since).collect();
        assert!(since.windows(2).skip(1).all(|pair| {
            let [before, after] = pair else { return false };
            before.latest <= after.earliest && after.earliest - before.latest <= SECOND / 2
        }));
    }
}
