//! What the watches show.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::Event;
use weir_api::{ExportProfile, ExportRollout, FlowExport, Network, NodeFlowExport};

use crate::guarded::Guarded;

/// One event of one watch.
#[allow(
    clippy::large_enum_variant,
    reason = "each is passed on once; a box for each event would cost more"
)]
pub enum WatchEvent {
    /// A `Network`.
    Network(Event<Guarded<Network>>),
    /// A `FlowExport`.
    FlowExport(Event<Guarded<FlowExport>>),
    /// An `ExportProfile`.
    Profile(Event<Guarded<ExportProfile>>),
    /// The ConfigMap with IPFIX tuning.
    FlowsConfig(Event<Guarded<ConfigMap>>),
    /// A `Node`.
    Node(Event<Guarded<Node>>),
    /// A `NodeFlowExport`.
    Export(Event<Guarded<NodeFlowExport>>),
    /// A `Service`.
    Service(Event<Guarded<Service>>),
    /// A pod of the node daemon.
    Daemon(Event<Guarded<Pod>>),
    /// The `ExportRollout`.
    Rollout(Event<Guarded<ExportRollout>>),
    /// A revision that is kept.
    Revision(Event<Guarded<ControllerRevision>>),
    /// An `EndpointSlice` of the collector's Service.
    CollectorSlice(Event<Guarded<EndpointSlice>>),
}
