//! The cluster as the watches show it, reduced to what decisions read. It owns
//! no I/O: a watch event goes in, how much it matters comes out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use serde_json::json;
use weir_api::identity::Exporter;
use weir_api::network::CLUSTER;
use weir_api::{
    Condition, ExportNetworkFlows, ExportProfile, ExportProfileStatus, ExportRollout, NodeFlowExport,
    flows_config,
};

use crate::facts::{
    DaemonPod, NodeRecord, ServiceAddress, SourceFacts, read_flow_export, read_network, read_node,
    strip_export, strip_profile,
};
use crate::guarded::{Guarded, Invalid};
use crate::moment::is_within;
use crate::source::{FlowSource, SourceSettings};
use crate::table::{ObjectChange, Table, key_of};
use crate::weigh::{weigh_export, weigh_node, weigh_plan, weigh_profile, weigh_source};

/// How many uids of deleted `NodeFlowExport`s are remembered.
const REMEMBERED_DELETIONS: usize = 1024;

/// How long the number of an exporter that is gone is given to nobody else: its last
/// records are still on their way, and questions about the last hour name it. In memory, too.
const ID_REST: Duration = Duration::from_secs(3600);

/// Everything that was gathered.
#[derive(Debug, Default)]
pub struct ClusterState {
    settings: SourceSettings,
    networks: Table<SourceFacts>,
    flow_exports: Table<SourceFacts>,
    profiles: Table<ExportProfile>,
    flows_configs: Table<BTreeMap<String, String>>,
    nodes: Table<NodeRecord>,
    exports: Table<NodeFlowExport>,
    services: Table<ServiceAddress>,
    daemons: Table<DaemonPod>,
    rollouts: Table<ExportRollout>,
    /// Why the `ExportRollout` cannot be read, where it never could be.
    unknown_rollout: Option<String>,
    revisions: Table<KeptRevision>,
    collector: CollectorState,
    /// The last addresses of Services that are gone, and since when they are.
    held_addresses: BTreeMap<(String, String), (IpAddr, Timestamp)>,
    /// Nodes whose last pod of the daemon went, and when.
    left_by_daemon: BTreeMap<String, Timestamp>,
    /// Numbers of exporters that are gone, and since when they are.
    resting_ids: BTreeMap<Exporter, (u32, Timestamp)>,
    /// Uids of `NodeFlowExport`s that are gone, so that the late answer to a
    /// write does not bring one back.
    deleted: VecDeque<String>,
}

impl ClusterState {
    /// Nothing was gathered yet.
    pub fn new(settings: SourceSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Takes an event in and says what it may have changed.
    pub fn apply(&mut self, event: WatchEvent, now: Timestamp) -> ObjectChange {
        match event {
            WatchEvent::Network(event) => self.networks.apply(event, read_network, weigh_source),
            WatchEvent::FlowExport(event) => self.flow_exports.apply(event, read_flow_export, weigh_source),
            WatchEvent::Profile(event) => self.profiles.apply(event, strip_profile, weigh_profile),
            WatchEvent::FlowsConfig(event) => {
                self.flows_configs
                    .apply(event, |map| map.data.unwrap_or_default(), weigh_plan)
            }
            WatchEvent::Node(event) => {
                let change = self.nodes.apply(event, read_node, weigh_node);
                self.forget_gone_nodes();
                change
            }
            WatchEvent::Export(event) => self.apply_export(event, now),
            WatchEvent::Service(event) => self.apply_service(event, now),
            WatchEvent::Daemon(event) => self.apply_daemon(event, now),
            WatchEvent::Rollout(event) => self.apply_rollout(event),
            WatchEvent::Revision(event) => self.apply_revision(event),
            WatchEvent::CollectorSlice(event) => self.apply_slice(event, now),
        }
    }

    fn apply_export(&mut self, event: Event<Guarded<NodeFlowExport>>, now: Timestamp) -> ObjectChange {
        match &event {
            Event::Apply(object) if self.is_outdated(object) => return ObjectChange::Nothing,
            Event::Delete(object) => {
                self.rest_ids(&object.name_any(), now);
                self.remember_deletion(object);
            }
            _ => {}
        }
        self.exports.apply(event, strip_export, weigh_export)
    }

    /// A watch lags behind the answers to our own writes; what it shows of
    /// older generations is no news.
    fn is_outdated(&self, object: &Guarded<NodeFlowExport>) -> bool {
        let Some(known) = self.exports.named(&object.name_any()) else {
            return false;
        };
        known.uid() == object.uid() && known.metadata.generation > object.meta().generation
    }

    fn rest_ids(&mut self, node: &str, now: Timestamp) {
        self.resting_ids
            .retain(|_, (_, gone)| is_within(*gone, ID_REST, now));
        let bridges = self
            .exports
            .named(node)
            .map(|export| export.spec.bridges.as_slice());
        for bridge in bridges.unwrap_or_default() {
            let exporter = Exporter {
                node: node.to_owned(),
                bridge: bridge.name.clone(),
            };
            self.resting_ids.insert(exporter, (bridge.exporter_id, now));
        }
    }

    /// Numbers that only the exporter that had them may get.
    pub fn resting_ids(&self, now: Timestamp) -> impl Iterator<Item = (&Exporter, u32)> {
        let resting = self.resting_ids.iter();
        let resting = resting.filter(move |(_, (_, gone))| is_within(*gone, ID_REST, now));
        resting.map(|(exporter, (id, _))| (exporter, *id))
    }

    fn remember_deletion(&mut self, object: &Guarded<NodeFlowExport>) {
        if self.deleted.len() == REMEMBERED_DELETIONS {
            self.deleted.pop_front();
        }
        self.deleted.extend(object.uid());
    }

    /// Takes in the answer to a write, which the watch will show later. Where
    /// the watch was faster, its view stays: its status may be newer.
    pub fn wrote(&mut self, answer: NodeFlowExport) {
        let known = self.exports.named(&answer.name_any());
        let newer = known.is_none_or(|known| {
            known.uid() != answer.uid() || known.metadata.generation < answer.metadata.generation
        });
        let deleted = answer.uid().is_some_and(|uid| self.deleted.contains(&uid));
        if newer && !deleted {
            self.exports.insert(key_of(&answer), strip_export(answer));
        }
    }

    /// These are our conditions in the status of a source now; the watch will show it.
    pub fn reported(&mut self, source: FlowSource, conditions: &[Condition]) {
        let sources = match source {
            FlowSource::Network => &mut self.networks,
            FlowSource::FlowExport => &mut self.flow_exports,
        };
        if let Some(facts) = sources.named_mut(CLUSTER) {
            facts.conditions = conditions.to_vec();
        }
        if let Some(invalid) = sources.invalid_mut(CLUSTER) {
            invalid.status = json!({ "conditions": conditions });
        }
    }

    /// The status was put in the profile; the watch will show it.
    pub fn assessed(&mut self, name: &str, status: &ExportProfileStatus) {
        if let Some(profile) = self.profiles.named_mut(name) {
            profile.status = Some(status.clone());
        }
        if let Some(invalid) = self.profiles.invalid_mut(name) {
            invalid.status = json!(status);
        }
    }

    /// Kinds that were not listed to the end yet. The source that is not read and
    /// the daemon's pods are no reason to wait.
    pub fn missing(&self) -> Vec<&'static str> {
        let source = match self.settings.source {
            FlowSource::Network => ("networks", self.networks.synced()),
            FlowSource::FlowExport => ("flowexports", self.flow_exports.synced()),
        };
        let kinds = [
            source,
            ("exportprofiles", self.profiles.synced()),
            ("configmaps", self.flows_configs.synced()),
            ("nodes", self.nodes.synced()),
            ("nodeflowexports", self.exports.synced()),
            ("services", self.services.synced()),
            ("exportrollouts", self.rollouts.synced()),
        ];
        kinds
            .into_iter()
            .filter(|(_, synced)| !synced)
            .map(|(kind, _)| kind)
            .collect()
    }

    /// Where the configuration comes from, and what its absence means.
    pub fn settings(&self) -> SourceSettings {
        self.settings
    }

    fn sources(&self, source: FlowSource) -> &Table<SourceFacts> {
        match source {
            FlowSource::Network => &self.networks,
            FlowSource::FlowExport => &self.flow_exports,
        }
    }

    /// The source that counts, if it exists and was ever readable.
    pub fn source(&self) -> Option<&SourceFacts> {
        self.sources(self.settings.source).named(CLUSTER)
    }

    /// The source that is not read.
    pub fn other_source(&self) -> Option<&SourceFacts> {
        self.sources(self.settings.source.other()).named(CLUSTER)
    }

    /// Why the source that counts cannot be read as it is now.
    pub fn unreadable_source(&self) -> Option<&str> {
        let invalid = self.sources(self.settings.source).invalid(CLUSTER);
        invalid.map(|invalid| invalid.why.as_str())
    }

    /// What stands in the source that counts, whether it can be read or not.
    pub fn shown_source(&self) -> Option<SourceFacts> {
        let invalid = self.sources(self.settings.source).invalid(CLUSTER);
        invalid
            .map(SourceFacts::of_invalid)
            .or_else(|| self.source().cloned())
    }

    /// What the source asks for.
    pub fn flows(&self) -> Option<&ExportNetworkFlows> {
        self.source().and_then(|source| source.flows.as_ref())
    }

    /// Names of profiles that cannot be read as they are now, and what is left of them.
    pub fn unreadable_profiles(&self) -> impl Iterator<Item = (&str, &Invalid)> {
        self.profiles
            .unreadable()
            .map(|((_, name), invalid)| (name.as_str(), invalid))
    }

    /// A profile in its last readable form.
    pub fn profile(&self, name: &str) -> Option<&ExportProfile> {
        self.profiles.named(name)
    }

    /// All profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &ExportProfile> + Clone {
        let rows: Vec<_> = self.profiles.rows().collect();
        rows.into_iter()
    }

    /// The data of the ConfigMap, if it exists.
    pub fn flows_config(&self) -> Option<&BTreeMap<String, String>> {
        self.flows_configs
            .within(flows_config::NAMESPACE, flows_config::NAME)
    }

    /// All nodes by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.rows()
    }

    /// A node.
    pub fn node(&self, name: &str) -> Option<&NodeRecord> {
        self.nodes.named(name)
    }

    /// All `NodeFlowExport`s by name.
    pub fn exports(&self) -> impl Iterator<Item = &NodeFlowExport> {
        self.exports.rows()
    }

    /// The `NodeFlowExport` of a node.
    pub fn export(&self, node: &str) -> Option<&NodeFlowExport> {
        self.exports.named(node)
    }
}

mod collector;
mod daemons;
mod rollouts;
mod services;
mod watch_event;

use collector::CollectorState;
pub use rollouts::KeptRevision;
pub use services::SERVICE_HOLD;
pub use watch_event::WatchEvent;

#[cfg(test)]
mod tests;
