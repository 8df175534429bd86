//! What the watches show of Weir's own collector.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;

use super::ClusterState;
use crate::collector::{
    CollectorAddresses, CollectorSettings, DeclaredAddress, is_asked_for, read_replicas, replicas,
};
use crate::decide::Decision;
use crate::guarded::Guarded;
use crate::table::{ObjectChange, Table, key_of};
use crate::weigh::weigh_report;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct CollectorState {
    settings: CollectorSettings,
    addresses: CollectorAddresses,
    /// The same of the listing that is under way.
    listing: Option<CollectorAddresses>,
    /// Of a Service that is gone: its last addresses, and since when. In memory, too.
    gone: Option<(CollectorAddresses, Timestamp)>,
    /// Of its Service: replicas by address family.
    slices: Table<(String, usize)>,
    /// Since when it has more than one.
    several_since: Option<Timestamp>,
}

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
        self.collector.settings = collector;
        self
    }

    /// Follows the addresses of its Service, whether the configuration names that or has one
    /// of them in figures.
    pub(super) fn see_collector(&mut self, event: &Event<Guarded<Service>>, now: Timestamp) -> ObjectChange {
        let known = &mut self.collector;
        let is_its = |service: &Guarded<Service>| Some(key_of(service)) == known.settings.service;
        // One that cannot be read has the addresses that it had.
        let read = |service: &Guarded<Service>| match &service.0 {
            Ok(service) => CollectorAddresses::of(service),
            Err(_) => known.addresses.clone(),
        };
        let shown = match event {
            Event::Init => {
                known.listing = None;
                return ObjectChange::Nothing;
            }
            Event::InitApply(service) if is_its(service) => {
                known.listing = Some(read(service));
                return ObjectChange::Nothing;
            }
            Event::InitDone => known.listing.take(),
            Event::Apply(service) if is_its(service) => Some(read(service)),
            Event::Delete(service) if is_its(service) => None,
            _ => return ObjectChange::Nothing,
        };
        let is_gone = shown.is_none();
        let before = std::mem::replace(&mut known.addresses, shown.unwrap_or_default());
        let change = weigh_report(Some(&before), Some(&known.addresses));
        if !is_gone {
            known.gone = None;
        } else if before != CollectorAddresses::default() {
            known.gone = Some((before, now));
        }
        change
    }

    pub(super) fn apply_slice(
        &mut self,
        event: Event<Guarded<EndpointSlice>>,
        now: Timestamp,
    ) -> ObjectChange {
        let change = self.collector.slices.apply(event, read_replicas, weigh_report);
        let several = replicas(self.collector.slices.rows()) > 1;
        let since = self.collector.several_since.unwrap_or(now);
        self.collector.several_since = several.then_some(since);
        // The first listing is no reason to plan.
        change.min(ObjectChange::Report)
    }

    /// The targets that are Weir's collector; `None`: none is asked about what it receives.
    pub fn collector_targets(&self) -> Option<CollectorTargets<'_>> {
        self.targets_at(&self.collector.addresses)
    }

    fn targets_at<'a>(&'a self, known: &'a CollectorAddresses) -> Option<CollectorTargets<'a>> {
        let settings = &self.collector.settings;
        settings.service.as_ref()?;
        Some(CollectorTargets {
            known,
            declared: &settings.addresses,
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

    /// Namespace and name of the collector's Service, where that is not there.
    pub fn missing_collector(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.collector.settings.service.as_ref()?;
        let is_there = self.services.within(namespace, name).is_some();
        (self.services.synced() && !is_there).then_some((namespace, name))
    }

    /// Since when the collector's Service is gone at whose addresses some node still sends,
    /// where this process saw it go.
    pub fn sends_to_gone_collector(&self, decision: &Decision) -> Option<Timestamp> {
        self.missing_collector()?;
        let (addresses, since) = self.collector.gone.as_ref()?;
        let (gone, there) = (self.targets_at(addresses)?, self.collector_targets()?);
        let leads_nowhere = |target: &str| gone.contain(target) && !there.contain(target);
        let mut wanted = decision.wanted.values();
        let any = wanted.any(|wanted| is_asked_for(&wanted.spec, leads_nowhere));
        any.then_some(*since)
    }

    /// How many replicas the collector has; `None`: that could not be listed. Each knows only
    /// what it received itself.
    pub fn collector_replicas(&self) -> Option<usize> {
        let listed = self.collector.slices.synced();
        listed.then(|| replicas(self.collector.slices.rows()))
    }

    /// Since when it has several.
    pub fn several_collectors_since(&self) -> Option<Timestamp> {
        self.collector.several_since
    }
}
