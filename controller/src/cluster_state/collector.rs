//! What the watches show of Weir's own collector.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::Event;

use super::ClusterState;
use crate::collector::{
    CollectorAddresses, CollectorSettings, DeclaredAddress, is_asked_for, read_replicas, replicas,
};
use crate::decide::Decision;
use crate::guarded::Guarded;
use crate::table::{ObjectChange, key_of};
use crate::weigh::weigh_report;

/// What tells whether a target is Weir's collector.
pub struct CollectorTargets<'a> {
    known: &'a CollectorAddresses,
    declared: &'a [DeclaredAddress],
    nodes: BTreeSet<IpAddr>,
}

impl CollectorTargets<'_> {
    /// Whether it is.
    pub fn contain(&self, target: &str) -> bool {
        let is_node = |address| self.nodes.contains(&address);
        self.known.contain(target, self.declared, is_node)
    }
}

impl ClusterState {
    /// Knows which collector is Weir's.
    pub fn with_collector(mut self, collector: CollectorSettings) -> Self {
        self.collector = collector;
        self
    }

    /// Follows the addresses of its Service, whether the configuration names that or has one
    /// of them in figures.
    pub(super) fn see_collector(&mut self, event: &Event<Guarded<Service>>) -> ObjectChange {
        let is_its = |service: &Guarded<Service>| Some(key_of(service)) == self.collector.service;
        // One that cannot be read has the addresses that it had.
        let read = |service: &Guarded<Service>| match &service.0 {
            Ok(service) => CollectorAddresses::of(service),
            Err(_) => self.collector_addresses.clone(),
        };
        let now = match event {
            Event::Init => {
                self.collector_listing = CollectorAddresses::default();
                return ObjectChange::Nothing;
            }
            Event::InitApply(service) if is_its(service) => {
                self.collector_listing = read(service);
                return ObjectChange::Nothing;
            }
            Event::InitDone => std::mem::take(&mut self.collector_listing),
            Event::Apply(service) if is_its(service) => read(service),
            Event::Delete(service) if is_its(service) => CollectorAddresses::default(),
            _ => return ObjectChange::Nothing,
        };
        let before = std::mem::replace(&mut self.collector_addresses, now);
        weigh_report(Some(&before), Some(&self.collector_addresses))
    }

    pub(super) fn apply_slice(&mut self, event: Event<Guarded<EndpointSlice>>) -> ObjectChange {
        let change = self.collector_slices.apply(event, read_replicas, weigh_report);
        // The first listing is no reason to plan.
        change.min(ObjectChange::Report)
    }

    /// The targets that are Weir's collector; `None`: none is asked about what it receives.
    pub fn collector_targets(&self) -> Option<CollectorTargets<'_>> {
        self.collector.service.as_ref()?;
        Some(CollectorTargets {
            known: &self.collector_addresses,
            declared: &self.collector.addresses,
            nodes: self
                .nodes()
                .flat_map(|node| node.addresses.iter().copied())
                .collect(),
        })
    }

    /// Whether any node is to send anything to Weir's collector.
    pub fn sends_to_collector(&self, decision: &Decision) -> bool {
        self.collector_targets().is_some_and(|targets| {
            let mut wanted = decision.wanted.values();
            wanted.any(|wanted| is_asked_for(&wanted.spec, |target| targets.contain(target)))
        })
    }

    /// How many replicas the collector has; `None`: that could not be listed. Each knows only
    /// what it received itself.
    pub fn collector_replicas(&self) -> Option<usize> {
        let listed = self.collector_slices.synced();
        listed.then(|| replicas(self.collector_slices.rows()))
    }
}
