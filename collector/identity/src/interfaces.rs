//! Which pod stands behind which interface of a switch, as node daemons tell in IPFIX
//! options data (interface scope; name; description). It outranks the address: it
//! holds where networks overlap and where a pod's address was given to another.
//!
//! | said by | counts for |
//! |---|---|
//! | an exporter that is known | all that its node sends: by ifIndex (IPFIX, sFlow), by OpenFlow port (NetFlow v5) |
//! | one that is not, where there is no source of names | the IPFIX records of the same source address and observation domain |
//!
//! Whose word counts is [`crate::exporters::Attribution::may_name_interfaces`]'s to say,
//! and is asked before anything is learned here.
//!
//! The interface where packets came in tells who sent them, the one where they went
//! out who gets them. Only records of Open vSwitch are named so, because other
//! exporters' descriptions say whatever their owners wrote; and only interfaces with
//! a pod are ever told, so that no tunnel, patch port or uplink gives a name.
//!
//! Numbers are used again: a pod is behind an interface from when it was first told,
//! and a flow that began before is not its. What a switch tells when it is heard of for
//! the first time may have been so for long, and counts for all of the past.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::quality::RandomState;
use weir_flow::Side;
use wire::{InterfaceName, Options, OptionsRecord, Protocol};

use crate::exporters::Exporter;

mod switch;

use switch::Switch;
pub use switch::{AnnouncedPod, MAX_NAME};

/// Interfaces of one switch.
pub const MAX_INTERFACES: usize = 1_024;
/// Interfaces of all switches of exporters that are known.
const MAX_OF_NODES: usize = 131_072;
/// Interfaces of the others, and so switches.
pub const MAX_OF_STRANGERS: usize = 32_768;
/// Interfaces of one of them, over all its observation domains: one cannot take the
/// room of all.
pub const MAX_OF_STRANGER: usize = 2 * MAX_INTERFACES;
/// An interface that was not told for so long is forgotten. It is told every minute.
pub const FORGOTTEN_MS: u64 = 600_000;

/// The interfaces of all switches, shared by the workers.
#[derive(Debug, Default)]
pub struct Interfaces {
    known: RwLock<Known>,
    /// Interfaces in `known`, so that nobody waits while there are none.
    count: AtomicUsize,
    /// How often something was learned, so that nobody looks for what is as it was.
    version: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    nodes: HashMap<Arc<str>, Arc<Switch>, RandomState>,
    strangers: HashMap<(IpAddr, u32), Arc<Switch>, RandomState>,
    /// How many interfaces each stranger has there.
    by_stranger: HashMap<IpAddr, usize, RandomState>,
    of_nodes: usize,
    of_strangers: usize,
    swept_ms: u64,
}

/// The interfaces that the records of one datagram name.
#[derive(Debug, Clone)]
pub struct SwitchInterfaces {
    switch: Arc<Switch>,
    /// Of the bridge, for OpenFlow ports.
    domain: u32,
    format: Protocol,
}

/// Whose datagram it is.
#[derive(Debug, Clone, Copy)]
pub struct ExporterRef<'a> {
    /// Its exporter, if known.
    pub exporter: Option<&'a Exporter>,
    /// Its source address.
    pub source: IpAddr,
    /// Its observation domain; 0 where the format has none.
    pub domain: u32,
}

impl Interfaces {
    /// Takes in what one datagram says.
    pub fn learn(&self, origin: ExporterRef<'_>, options: &[OptionsRecord], now_ms: u64) {
        let mut told = options.iter().filter_map(|record| match &record.content {
            Options::Interface(interface) => Some(interface),
            _ => None,
        });
        let Some(first) = told.next() else { return };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.sweep(now_ms);
        known.put(origin, std::iter::once(first).chain(told), now_ms);
        let count = known.of_nodes + known.of_strangers;
        self.count.store(count, Ordering::Relaxed);
        // Under the lock: who reads it before a look is told of what came after the look.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The interfaces of the switch that sent a datagram of this format. NetFlow v5 and
    /// sFlow have no domain; that of the bridge is to be put in its place.
    pub fn here(&self, origin: ExporterRef<'_>, format: Protocol) -> Option<SwitchInterfaces> {
        if self.is_empty() {
            return None;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let switch = match origin.exporter {
            Some(exporter) => known.nodes.get(&exporter.node),
            None => known.strangers.get(&(origin.source, origin.domain)),
        };
        Some(SwitchInterfaces {
            switch: Arc::clone(switch?),
            domain: origin.domain,
            format,
        })
    }

    /// How many interfaces are known.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The switches that one thread has looked for of late; as long as nothing is learned it
/// need not look again. A table of fixed places.
#[derive(Debug, Default)]
pub struct Switches {
    places: Vec<Option<(SwitchKey, Option<SwitchInterfaces>)>>,
    version: usize,
    hasher: RandomState,
}

/// Switches of one thread that are kept; a power of two.
const PLACES: usize = 512;

/// By what a switch is looked for.
#[derive(Debug, PartialEq, Eq)]
struct SwitchKey {
    node: Option<Arc<str>>,
    source: IpAddr,
    domain: u32,
    format: Protocol,
}

impl Switches {
    /// As [`Interfaces::here`].
    pub fn here(
        &mut self,
        interfaces: &Interfaces,
        origin: ExporterRef<'_>,
        format: Protocol,
    ) -> Option<&SwitchInterfaces> {
        if interfaces.is_empty() {
            return None;
        }
        let version = interfaces.version.load(Ordering::Acquire);
        if self.version != version {
            self.places.clear();
            self.version = version;
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let place = self.hasher.hash_one((origin.source, origin.domain)) as usize % PLACES;
        let known = &mut self.places[place];
        if !known.as_ref().is_some_and(|(key, _)| key.is(origin, format)) {
            let key = SwitchKey {
                node: origin.exporter.map(|exporter| Arc::clone(&exporter.node)),
                source: origin.source,
                domain: origin.domain,
                format,
            };
            *known = Some((key, interfaces.here(origin, format)));
        }
        known.as_ref()?.1.as_ref()
    }
}

impl SwitchKey {
    fn is(&self, origin: ExporterRef<'_>, format: Protocol) -> bool {
        self.node.as_ref() == origin.exporter.map(|exporter| &exporter.node)
            && (self.source, self.domain, self.format) == (origin.source, origin.domain, format)
    }
}

impl Known {
    /// Takes in what a switch says, as far as there is room.
    fn put<'a>(
        &mut self,
        origin: ExporterRef<'_>,
        told: impl Iterator<Item = &'a InterfaceName>,
        now_ms: u64,
    ) {
        let of_stranger = self.by_stranger.get(&origin.source).copied().unwrap_or(0);
        let (switch, total, own) = match origin.exporter {
            Some(exporter) => {
                let switch = self.nodes.entry(Arc::clone(&exporter.node)).or_default();
                (switch, &mut self.of_nodes, MAX_INTERFACES)
            }
            None => {
                let switch = self.strangers.entry((origin.source, origin.domain)).or_default();
                let others = of_stranger - switch.len();
                (switch, &mut self.of_strangers, MAX_OF_STRANGER - others)
            }
        };
        let limit = match origin.exporter {
            Some(_) => MAX_OF_NODES,
            None => MAX_OF_STRANGERS,
        };
        let switch = Arc::make_mut(switch);
        if switch.len() == 0 {
            switch.heard_ms = now_ms;
        }
        let before = switch.len();
        *total -= before;
        let most = MAX_INTERFACES.min(own).min(limit - *total);
        for interface in told {
            switch.put(interface, origin, most, now_ms);
        }
        let now = switch.len();
        *total += now;
        let is_empty = now == 0;
        if origin.exporter.is_none() {
            self.count_stranger(origin.source, of_stranger + now - before);
        }
        if is_empty {
            match origin.exporter {
                Some(exporter) => drop(self.nodes.remove(&exporter.node)),
                None => drop(self.strangers.remove(&(origin.source, origin.domain))),
            }
        }
    }

    fn count_stranger(&mut self, source: IpAddr, interfaces: usize) {
        if interfaces == 0 {
            self.by_stranger.remove(&source);
        } else {
            self.by_stranger.insert(source, interfaces);
        }
    }

    /// Forgets what was not told for long, a few times in that while.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms.abs_diff(self.swept_ms) < FORGOTTEN_MS / 10 {
            return;
        }
        self.swept_ms = now_ms;
        let oldest = now_ms.saturating_sub(FORGOTTEN_MS);
        let keep = |switch: &mut Arc<Switch>| {
            Arc::make_mut(switch).forget(oldest);
            switch.len() > 0
        };
        self.nodes.retain(|_, switch| keep(switch));
        self.strangers.retain(|_, switch| keep(switch));
        self.of_nodes = self.nodes.values().map(|switch| switch.len()).sum();
        self.by_stranger.clear();
        for ((source, _), switch) in &self.strangers {
            *self.by_stranger.entry(*source).or_default() += switch.len();
        }
        self.of_strangers = self.by_stranger.values().sum();
    }
}

impl SwitchInterfaces {
    /// The pod behind the interface that this side of a record names, for a flow that
    /// began then (ns since the epoch UTC). A record that names the interface otherwise
    /// is of one that had the number before, or has it since.
    #[inline]
    pub fn pod(&self, side: &Side, began_ns: u64) -> Option<&AnnouncedPod> {
        let number = side.if_index?;
        let pod = match self.format {
            Protocol::NetFlow5 => self.switch.at_port(self.domain, number)?,
            _ => self.switch.at_index(number)?,
        };
        pod.is_behind(side, began_ns).then_some(pod)
    }
}
