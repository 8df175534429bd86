//! The interfaces of one switch behind which there is a pod, by their numbers.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use weir_flow::{Identity, Kind, Side};
use wire::{InterfaceName, Text};

use super::ExporterRef;
use crate::exporters::Exporter;

/// Bytes of an interface's name; one that has more is not taken.
pub const MAX_NAME: usize = 255;
/// A switch tells all its interfaces within this time when it is heard of first.
const FIRST_WORDS_MS: u64 = 5_000;
/// How late an interface may be told, and how far clocks may be apart.
const LATE_MS: u64 = 2_000;

/// The interfaces of one switch.
#[derive(Debug, Clone, Default)]
pub(super) struct Switch {
    /// When it was heard of first, ms since the epoch UTC.
    pub(super) heard_ms: u64,
    by_index: Numbers,
    by_port: Numbers,
}

/// Interfaces by their numbers.
#[derive(Debug, Clone, Default)]
struct Numbers {
    pods: HashTable<AnnouncedPod>,
    hasher: RandomState,
}

/// What an interface is known by: its ifIndex, or domain and OpenFlow port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Index(u32),
    Port { domain: u32, port: u32 },
}

/// The pod behind an interface. What is asked of every record is in one line of the
/// processor's caches.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub struct AnnouncedPod {
    number: Number,
    /// Flows that began earlier are of another pod.
    since_ms: u64,
    identity: Arc<Identity>,
    interface_name: Text,
    announcement: Arc<Announcement>,
}

/// What else is known of it.
#[derive(Debug)]
struct Announcement {
    /// `namespace/name`.
    pod: Arc<str>,
    seen_ms: u64,
    index: u32,
    port: Option<Number>,
}

impl Switch {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_index.pods.len()
    }

    /// The one with this ifIndex.
    #[inline]
    pub(super) fn at_index(&self, index: u32) -> Option<&AnnouncedPod> {
        self.by_index.get(Number::Index(index))
    }

    /// The one with this OpenFlow port of a bridge.
    #[inline]
    pub(super) fn at_port(&self, domain: u32, port: u32) -> Option<&AnnouncedPod> {
        self.by_port.get(Number::Port { domain, port })
    }

    /// An interface without a pod in its description is one that lost it.
    pub(super) fn put(&mut self, told: &InterfaceName, origin: ExporterRef<'_>, most: usize, now_ms: u64) {
        let Some((ns, pod)) = parse_pod(told.description.as_str()) else {
            self.remove(told.interface);
            return;
        };
        let known = self.at_index(told.interface);
        let is_odd = told.interface == 0 || told.name.as_str().len() > MAX_NAME;
        if is_odd || (known.is_none() && self.len() >= most) {
            return;
        }
        let same = |known: &&AnnouncedPod| (&*known.identity.ns, &*known.identity.name) == (ns, pod);
        let (identity, pod, since_ms) = match known.filter(same) {
            // The clock may have been set back.
            Some(known) => (
                Arc::clone(&known.identity),
                Arc::clone(known.name()),
                known.since_ms.min(now_ms),
            ),
            None => (
                identity(ns, pod, origin.exporter),
                [ns, "/", pod].concat().into(),
                self.since(now_ms),
            ),
        };
        let port = told.port.filter(|port| *port != 0).map(|port| Number::Port {
            domain: origin.domain,
            port,
        });
        self.remove(told.interface);
        let interface = AnnouncedPod {
            number: Number::Index(told.interface),
            since_ms,
            identity,
            interface_name: told.name.clone(),
            announcement: Arc::new(Announcement {
                pod,
                seen_ms: now_ms,
                index: told.interface,
                port,
            }),
        };
        if let Some(number) = port {
            self.by_port.put(AnnouncedPod {
                number,
                ..interface.clone()
            });
        }
        self.by_index.put(interface);
    }

    /// Since when what is told now for the first time may have been so.
    fn since(&self, now_ms: u64) -> u64 {
        if now_ms.abs_diff(self.heard_ms) < FIRST_WORDS_MS {
            return 0;
        }
        now_ms.saturating_sub(LATE_MS)
    }

    fn remove(&mut self, index: u32) {
        let Some(removed) = self.by_index.remove(Number::Index(index)) else {
            return;
        };
        let Some(port) = removed.announcement.port else {
            return;
        };
        if self
            .by_port
            .get(port)
            .is_some_and(|known| known.announcement.index == index)
        {
            self.by_port.remove(port);
        }
    }

    /// Forgets what was not told since then.
    pub(super) fn forget(&mut self, oldest_ms: u64) {
        self.by_index
            .pods
            .retain(|known| known.announcement.seen_ms >= oldest_ms);
        let known = &self.by_index;
        self.by_port
            .pods
            .retain(|port| known.get(Number::Index(port.announcement.index)).is_some());
    }
}

impl Numbers {
    #[inline]
    fn get(&self, number: Number) -> Option<&AnnouncedPod> {
        self.pods
            .find(number.hash(&self.hasher), |known| known.number == number)
    }

    fn put(&mut self, pod: AnnouncedPod) {
        let (number, hasher) = (pod.number, &self.hasher);
        let entry = self.pods.entry(
            number.hash(hasher),
            |known| known.number == number,
            |known| known.number.hash(hasher),
        );
        match entry {
            Entry::Occupied(mut known) => *known.get_mut() = pod,
            Entry::Vacant(free) => drop(free.insert(pod)),
        }
    }

    fn remove(&mut self, number: Number) -> Option<AnnouncedPod> {
        let hash = number.hash(&self.hasher);
        let known = self.pods.find_entry(hash, |known| known.number == number);
        known.ok().map(|known| known.remove().0)
    }
}

impl Number {
    #[inline]
    fn hash(self, hasher: &RandomState) -> u64 {
        match self {
            Self::Index(index) => hasher.hash_one(u64::from(index)),
            Self::Port { domain, port } => hasher.hash_one(u64::from(domain) << 32 | u64::from(port)),
        }
    }
}

impl AnnouncedPod {
    /// `namespace/name`.
    pub fn name(&self) -> &Arc<str> {
        &self.announcement.pod
    }

    /// As far as the interface tells: namespace, name and the exporter's node.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Whether it was behind the interface that this side of a record names when the flow
    /// began (ns since the epoch UTC).
    #[inline]
    pub(super) fn is_behind(&self, side: &Side, began_ns: u64) -> bool {
        let agrees = side.if_name.is_empty() || side.if_name == self.interface_name;
        agrees && began_ns / 1_000_000 >= self.since_ms
    }
}

/// Who an interface says that its pod is.
fn identity(ns: &str, name: &str, exporter: Option<&Exporter>) -> Arc<Identity> {
    Arc::new(Identity {
        kind: Kind::Pod,
        name: name.into(),
        ns: ns.into(),
        node_name: exporter.map(|e| Arc::clone(&e.node)).unwrap_or_default(),
        ..Identity::default()
    })
}

/// `namespace/pod`, perhaps with the container's interface after a space.
fn parse_pod(description: &str) -> Option<(&str, &str)> {
    let word = description.split(' ').next()?;
    let (ns, pod) = word.split_once('/')?;
    let is_name = |name: &str| {
        let octets = name.bytes();
        let mut octets =
            octets.map(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
        (1..=253).contains(&name.len()) && octets.all(|fits| fits)
    };
    (is_name(ns) && is_name(pod)).then_some((ns, pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_behind_an_interface_takes_a_line_of_the_processors_caches() {
        assert_eq!(size_of::<AnnouncedPod>(), 64);
    }
}
