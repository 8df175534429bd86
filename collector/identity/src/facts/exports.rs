//! NodeFlowExports, cut down: which bridge of which node exports what.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use weir_api::export::EXPORTING;
use weir_api::identity::netflow_engine;
use weir_api::{IpfixExport, NetFlowExport, NodeFlowExport, SFlowExport};

use super::Fact;
use crate::DEFAULT_SAMPLING;
use crate::exporters::{Exporter, Formats, Ipfix, NetFlow};

/// Cuts a NodeFlowExport down. What the spec leaves to derive from the exporter
/// id is derived, so that late records of an export that was just turned off
/// still find their node; what is in force is the status's, which says what is unset
/// in the spec and what could not be applied. A status of an older spec says what was:
/// the daemon applies a spec within milliseconds and reports it a second later. A node
/// without a status has no daemon that works, and one that says it exports nothing does
/// not: what counts on their records would be lost.
pub fn exports(export: &NodeFlowExport) -> Fact {
    let node: Arc<str> = export.metadata.name.as_deref().unwrap_or("").into();
    let state = Reported::of(export);
    let in_force = |bridge: &str| {
        let status = export.status.as_ref()?;
        status.bridges.iter().find(|b| b.name == bridge)
    };
    let exporters = export.spec.bridges.iter().map(|bridge| {
        let ipfix = bridge.ipfix.as_ref();
        let engine = netflow_engine(bridge.exporter_id);
        let configured = bridge
            .net_flow
            .as_ref()
            .and_then(|n| n.engine_type.zip(n.engine_id));
        let known = bridge.exporter_id != 0;
        Exporter {
            node: Arc::clone(&node),
            bridge: bridge.name.as_str().into(),
            domain: ipfix
                .and_then(|i| i.obs_domain_id)
                .or(known.then_some(bridge.exporter_id)),
            engine: configured.or(known.then_some(engine)),
            agent: bridge
                .s_flow
                .as_ref()
                .and_then(|s| s.agent.as_deref()?.parse().ok()),
            formats: match (state, in_force(&bridge.name)) {
                (Reported::Nothing, _) => Formats::default(),
                (Reported::InForce, Some(b)) => {
                    formats(b.net_flow.as_ref(), b.s_flow.as_ref(), b.ipfix.as_ref())
                }
                _ => formats(bridge.net_flow.as_ref(), bridge.s_flow.as_ref(), ipfix),
            },
            tunnels: in_force(&bridge.name).map_or_else(Arc::default, |b| b.tunnel_ports.as_slice().into()),
            single_pass: in_force(&bridge.name).is_some_and(|b| b.single_pass),
            tunnel_inputs: in_force(&bridge.name)
                .map_or_else(Arc::default, |b| b.tunnel_inputs.as_slice().into()),
            // Not told: Services are known where these are read.
            tunnel_names: Arc::default(),
            tunnel_udp_ports: in_force(&bridge.name)
                .map_or_else(Arc::default, |b| b.tunnel_udp_ports.as_slice().into()),
        }
    });
    Fact::Exports(exporters.collect())
}

/// What the node's daemon says.
#[derive(Clone, Copy)]
enum Reported {
    /// There is no daemon, or nothing is exported.
    Nothing,
    /// What is in force for the spec as it is.
    InForce,
    /// What was in force for an older spec.
    Outdated,
}

impl Reported {
    fn of(export: &NodeFlowExport) -> Self {
        let Some(status) = &export.status else {
            return Self::Nothing;
        };
        if status.observed_generation < export.metadata.generation {
            return Self::Outdated;
        }
        let silent = |c: &Condition| c.type_ == EXPORTING && c.status == "False";
        if status.conditions.iter().any(silent) {
            return Self::Nothing;
        }
        Self::InForce
    }
}

/// What OVS does where a setting is not set: vswitch.xml.
fn formats(
    net_flow: Option<&NetFlowExport>,
    s_flow: Option<&SFlowExport>,
    ipfix: Option<&IpfixExport>,
) -> Formats {
    Formats {
        net_flow: net_flow.map(|n| NetFlow::new(n.add_id_to_interface == Some(true), n.active_timeout)),
        s_flow: s_flow
            .map(|s| s.sampling.unwrap_or(DEFAULT_SAMPLING))
            .filter(|n| *n != 0),
        ipfix: ipfix.map(|i| Ipfix {
            sampling: i.sampling.unwrap_or(DEFAULT_SAMPLING),
            ingress: i.enable_input_sampling.unwrap_or(true),
            egress: i.enable_output_sampling.unwrap_or(true),
        }),
    }
}
