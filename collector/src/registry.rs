//! What each exporter has sent, by its source address: asked for by the API, so that
//! every counter can be had per exporter without a series of Prometheus for each.
//! And what is wrong with it: whoever sends what cannot be used is named in the log,
//! with what helps, now and then.
//!
//! Workers count by themselves ([`ExporterTally`]) and add it all at the end of a batch.
//! Memory: [`MAX_EXPORTERS`] addresses of which little was heard, and as many others;
//! strangers go first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use foldhash::quality::RandomState;
use weir_identity::exporters::{Attribution, Standing};
use wire::Protocol;

use crate::bounded::BoundedMap;

mod counts;
mod nodes;
mod warning;

pub use counts::{ExporterCounters, ExporterCounts, LastReject};
use nodes::NodeTally;
pub use nodes::{NodeReception, Reception};
use warning::Warner;

/// Addresses that are kept.
pub const MAX_EXPORTERS: usize = 4_096;
/// Nodes that are kept. Their names come from the cluster, not from the network.
const MAX_NODES: usize = 16_384;

/// An exporter that told nothing of what comes in for so long meters egress alone, ms.
const INGRESS_MS: u64 = 3_600_000;
/// How often the time of that is noted.
const NOTED_MS: u64 = 60_000;

/// All exporters that were heard of.
#[derive(Debug)]
pub struct ExporterRegistry {
    known: Mutex<Known>,
    /// When each told of packets that came in, ms since the epoch UTC.
    ingress: RwLock<BoundedMap<IpAddr, u64>>,
}

#[derive(Debug)]
struct Known {
    exporters: BoundedMap<IpAddr, ExporterCounts>,
    nodes: BoundedMap<Arc<str>, NodeReception>,
    warner: Warner,
}

impl Default for ExporterRegistry {
    fn default() -> Self {
        Self {
            known: Mutex::new(Known {
                exporters: BoundedMap::new(MAX_EXPORTERS),
                nodes: BoundedMap::new(MAX_NODES),
                warner: Warner::default(),
            }),
            ingress: RwLock::new(BoundedMap::new(MAX_EXPORTERS)),
        }
    }
}

impl ExporterRegistry {
    /// All that is known, by address, and how many addresses had to be forgotten.
    pub fn all(&self) -> (Vec<(IpAddr, ExporterCounts)>, u64) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let exporters = known.exporters.iter();
        let mut all: Vec<_> = exporters
            .map(|(address, counts)| (*address, counts.clone()))
            .collect();
        let forgotten = known.exporters.forgotten();
        drop(known);
        all.sort_unstable_by_key(|(address, _)| *address);
        (all, forgotten)
    }

    /// What was received of each node, by name.
    pub fn nodes(&self) -> Vec<(Arc<str>, NodeReception)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = known.nodes.iter();
        let mut nodes: Vec<_> = nodes.map(|(node, of)| (Arc::clone(node), *of)).collect();
        drop(known);
        nodes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        nodes
    }

    /// An exporter told of packets that came in.
    pub fn met_ingress(&self, exporter: IpAddr, now_ms: u64) {
        let noted = |at: &u64| now_ms.abs_diff(*at) < NOTED_MS;
        let ingress = self.ingress.read().unwrap_or_else(PoisonError::into_inner);
        // Until it is met as often as makes it no stranger, each time counts: noted once a
        // minute it would be one for so many minutes.
        if ingress.get_regular(&exporter).is_some_and(noted) {
            return;
        }
        drop(ingress);
        let mut ingress = self.ingress.write().unwrap_or_else(PoisonError::into_inner);
        *ingress.meet(exporter, false) = now_ms;
    }

    /// Whether an exporter tells of packets that come in.
    pub fn meters_ingress(&self, exporter: IpAddr, now_ms: u64) -> bool {
        let ingress = self.ingress.read().unwrap_or_else(PoisonError::into_inner);
        let at = ingress.get(&exporter);
        at.is_some_and(|at| now_ms.abs_diff(*at) < INGRESS_MS)
    }

    fn add(
        &self,
        fresh: impl Iterator<Item = (IpAddr, ExporterCounts)>,
        nodes: impl Iterator<Item = (Arc<str>, NodeReception)>,
    ) {
        let mut warnings = Vec::new();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known {
            exporters,
            nodes: known_nodes,
            warner,
        } = &mut *known;
        for (node, of) in nodes {
            *known_nodes.meet(node, true) += of;
        }
        for (address, counts) in fresh {
            let is_known = counts.standing != Standing::Stranger || counts.role.is_some();
            warnings.extend(warner.look(address, &counts));
            exporters.meet(address, is_known).add(counts);
        }
        drop(known);
        for warning in warnings {
            warning.log();
        }
    }
}

/// What one worker counts, exporter by exporter. Nobody sees it before
/// [`Self::publish`].
#[derive(Debug)]
pub struct ExporterTally {
    registry: Arc<ExporterRegistry>,
    fresh: HashMap<IpAddr, ExporterCounts, RandomState>,
    nodes: NodeTally,
}

impl ExporterTally {
    /// Nothing is counted yet.
    pub fn new(registry: Arc<ExporterRegistry>) -> Self {
        Self {
            registry,
            fresh: HashMap::default(),
            nodes: NodeTally::default(),
        }
    }

    /// What an exporter's datagram of so many bytes is counted in.
    pub fn datagram(&mut self, exporter: IpAddr, bytes: usize, now_ms: u64) -> &mut ExporterCounts {
        let counts = self.of(exporter);
        counts.seen(now_ms);
        counts.counters.datagrams += 1;
        counts.counters.bytes += bytes as u64;
        counts
    }

    /// What is counted of an exporter beside its datagrams.
    pub fn of(&mut self, exporter: IpAddr) -> &mut ExporterCounts {
        self.fresh.entry(exporter).or_default()
    }

    /// What is counted of a node, whatever address it sends from.
    pub fn node(&mut self, node: &Arc<str>) -> &mut NodeReception {
        self.nodes.of(node)
    }

    /// Adds what was counted to what everybody sees.
    pub fn publish(&mut self) {
        if !self.fresh.is_empty() || !self.nodes.is_empty() {
            self.registry.add(self.fresh.drain(), self.nodes.drain());
        }
    }
}

impl ExporterCounts {
    /// Who it is, as this datagram shows.
    pub fn attribute(&mut self, attribution: &Attribution<'_>, protocol: Protocol) {
        self.standing = attribution.standing;
        self.formats |= 1 << (protocol as u8);
        if let Some(exporter) = attribution.exporter
            && self.node.as_ref().is_none_or(|node| *node != exporter.node)
        {
            self.node = Some(Arc::clone(&exporter.node));
        }
        if let Some(node) = attribution.claims {
            self.counters.unproven_marks += 1;
            if self.claims.as_ref() != Some(node) {
                self.claims = Some(Arc::clone(node));
            }
        }
    }
}

#[cfg(test)]
mod tests;
