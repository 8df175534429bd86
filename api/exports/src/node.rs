//! One node: what it is to export, what is in force, what ails it, and what that costs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::condition::{Condition, find};
use weir_api::export::{APPLIED, CONFLICT, EXPORTING, THROTTLED, reason};
use weir_api::{BridgeExport, NodeFlowExport, NodeFlowExportStatus, Protocol};

use crate::condition::StatedCondition;
use crate::cost::{self, Figures};

/// What a node's daemon reports, and whether that is of what the node is to do now.
#[derive(Debug, Serialize)]
pub struct NodeReport {
    /// Its name.
    pub name: String,
    /// Whether its daemon has not yet seen the newest spec.
    pub lags: bool,
    /// What its daemon reports; nothing while none has.
    pub status: Option<NodeFlowExportStatus>,
}

impl NodeReport {
    /// A node whose report is of the newest spec.
    pub fn new(name: String, status: Option<NodeFlowExportStatus>) -> Self {
        Self {
            name,
            lags: false,
            status,
        }
    }

    /// What the object says. What a daemon said of an older spec is not what holds now.
    pub fn of(export: NodeFlowExport) -> Self {
        let generation = export.metadata.generation;
        let status = export.status.as_ref();
        Self {
            lags: status.is_some_and(|status| status.observed_generation < generation),
            ..Self::new(export.metadata.name.unwrap_or_default(), export.status)
        }
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status
            .as_ref()
            .and_then(|status| find(&status.conditions, kind))
    }

    /// Status of a condition, or a dash.
    pub fn word(&self, kind: &str) -> &str {
        self.condition(kind).map_or("-", |condition| &condition.status)
    }

    /// Whether all that is asked for is applied, and is on its way out.
    pub fn is_well(&self) -> bool {
        let applied = self.condition(APPLIED).is_some_and(|c| c.status == "True");
        let exporting = self
            .condition(EXPORTING)
            .is_some_and(|c| c.status == "True" || c.reason == reason::NO_COLLECTORS);
        applied && exporting && !self.lags
    }

    /// Protocols in force, or a dash.
    pub fn protocols(&self) -> &str {
        let protocols = self.status.as_ref().map_or("", |status| &status.protocols);
        or_dash(protocols)
    }

    /// The first reason for which not all is well, or that it is.
    pub fn reason(&self) -> &str {
        match &self.status {
            None => "NoReport",
            Some(_) if self.lags => "Pending",
            Some(status) => or_dash(&status.reason),
        }
    }

    /// What fails, one sentence a condition.
    pub fn complaints(&self) -> Vec<String> {
        if self.status.is_none() {
            return vec![NO_REPORT.to_owned()];
        }
        let bad = |kind| {
            let condition = self.condition(kind)?;
            let good = condition.status == if kind == CONFLICT { "False" } else { "True" };
            (!good && condition.reason != reason::NO_COLLECTORS)
                .then(|| format!("{kind} is {}: {}", condition.status, condition.message))
        };
        [APPLIED, EXPORTING, CONFLICT]
            .into_iter()
            .filter_map(bad)
            .collect()
    }
}

const NO_REPORT: &str = "no weir-node has reported; does one run on this node?";

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// What one bridge exports by one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Programmed {
    /// Name of the bridge.
    pub bridge: String,
    /// `netFlow`, `sFlow` or `ipfix`.
    pub protocol: String,
    /// Addresses that records are to go to.
    pub targets: Vec<String>,
    /// Those that are in force; empty: none is.
    pub in_force: Vec<String>,
    /// One packet in so many is looked at, in force; left out where all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sampling: Option<u32>,
}

/// A node and its export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeExport {
    /// Name of the node.
    pub node: String,
    /// It is told something to export.
    pub wanted: bool,
    /// All that is asked for is applied, and is on its way out.
    pub well: bool,
    /// Its daemon has not seen the newest change.
    pub lags: bool,
    /// `True`, `False`, `Unknown`, or a dash.
    pub applied: String,
    /// Likewise.
    pub exporting: String,
    /// Likewise: rows of somebody else are in the way.
    pub conflict: String,
    /// Protocols in force, or a dash.
    pub protocols: String,
    /// The first reason for which not all is well, or that it is.
    pub reason: String,
    /// The ExportProfile that its settings come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub profile: Option<String>,
    /// Version of Open vSwitch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ovs_version: Option<String>,
    /// Version of the node daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub daemon_version: Option<String>,
    /// How often rows that others changed were put right since the daemon began.
    pub drift_healed: u64,
    /// When it was told what it is to export, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub told_at: Option<String>,
    /// What each bridge is to export.
    pub programmed: Vec<Programmed>,
    /// What its daemon says.
    pub conditions: Vec<StatedCondition>,
    /// What ails it where no condition says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trouble: Option<String>,
    /// What it costs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cost: Option<Figures>,
    /// What it cost before the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cost_before: Option<Figures>,
    /// What it may cost, and what is done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub budget: Option<String>,
    /// Why it is held back, or why nobody knows whether it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held_back: Option<String>,
}

impl NodeExport {
    /// What the object of a node says.
    pub fn of(export: NodeFlowExport) -> Self {
        let spec = export.spec.clone();
        let told_at = export.written_at().map(|time| time.to_string());
        let report = NodeReport::of(export);
        let silent = NodeFlowExportStatus::default();
        let status = report.status.as_ref().unwrap_or(&silent);
        let ours = spec.bridges.iter().flat_map(|bridge| programmed(bridge, status));
        let cost = status.cost;
        Self {
            wanted: spec.exports_anything(),
            well: report.is_well(),
            lags: report.lags,
            applied: report.word(APPLIED).to_owned(),
            exporting: report.word(EXPORTING).to_owned(),
            conflict: report.word(CONFLICT).to_owned(),
            protocols: report.protocols().to_owned(),
            reason: report.reason().to_owned(),
            profile: spec.profile.clone(),
            ovs_version: status.ovs_version.clone(),
            daemon_version: status.daemon_version.clone(),
            drift_healed: status.drift_healed,
            told_at,
            programmed: ours.collect(),
            conditions: status.conditions.iter().map(StatedCondition::of_node).collect(),
            trouble: report.status.is_none().then(|| NO_REPORT.to_owned()),
            cost: cost.map(|cost| Figures::from(weir_api::export::CostFigures::from(cost))),
            cost_before: cost.and_then(|cost| cost.before).map(Figures::from),
            budget: spec.budget.and_then(cost::bounds),
            held_back: cost::held_back(find(&status.conditions, THROTTLED)).map(str::to_owned),
            node: report.name,
        }
    }

    /// A node for which the controller has made no object.
    pub fn without(node: String) -> Self {
        let dash = || "-".to_owned();
        Self {
            node,
            wanted: false,
            well: false,
            lags: false,
            applied: dash(),
            exporting: dash(),
            conflict: dash(),
            protocols: dash(),
            reason: "NoObject".to_owned(),
            profile: None,
            ovs_version: None,
            daemon_version: None,
            drift_healed: 0,
            told_at: None,
            programmed: Vec::new(),
            conditions: Vec::new(),
            trouble: Some(
                "the controller has made no NodeFlowExport for it: is one ready? kubectl logs -n weir-system \
                 deployment/weir-controller"
                    .to_owned(),
            ),
            cost: None,
            cost_before: None,
            budget: None,
            held_back: None,
        }
    }
}

/// What a bridge is to export, protocol by protocol, and what of it is in force.
fn programmed(bridge: &BridgeExport, status: &NodeFlowExportStatus) -> Vec<Programmed> {
    let actual = status.bridges.iter().find(|actual| actual.name == bridge.name);
    let of = |protocol: Protocol| {
        let targets = bridge.targets(protocol)?;
        let (in_force, sampling) = match protocol {
            Protocol::NetFlow => (
                actual
                    .and_then(|a| a.net_flow.as_ref())
                    .map(|x| x.targets.clone()),
                None,
            ),
            Protocol::SFlow => {
                let row = actual.and_then(|actual| actual.s_flow.as_ref());
                (
                    row.map(|row| row.targets.clone()),
                    row.and_then(|row| row.sampling),
                )
            }
            Protocol::Ipfix => {
                let row = actual.and_then(|actual| actual.ipfix.as_ref());
                (
                    row.map(|row| row.targets.clone()),
                    row.and_then(|row| row.sampling),
                )
            }
        };
        Some(Programmed {
            bridge: bridge.name.clone(),
            protocol: protocol.field().to_owned(),
            targets: targets.to_vec(),
            in_force: in_force.unwrap_or_default(),
            sampling,
        })
    };
    Protocol::ALL.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Level;
    use serde_json::{Value, json};

    fn export(generation: i64, spec: Value, status: Value) -> NodeFlowExport {
        serde_json::from_value(
            json!({"metadata": {"name": "n", "generation": generation}, "spec": spec, "status": status}),
        )
        .unwrap()
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "why", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn a_node_says_what_it_is_to_export_what_is_in_force_and_what_ails_it() {
        let spec = json!({"profile": "p", "budget": {"vswitchdMillicores": 600, "action": "Throttle"}, "bridges": [{"name": "br-int",
            "ipfix": {"targets": ["192.0.2.1:4739"], "sampling": 400}, "netFlow": {"targets": ["192.0.2.1:2055"]}}]});
        let status = json!({"observedGeneration": 2, "protocols": "IPFIX", "reason": "ForeignRow", "ovsVersion": "3.3.1",
            "driftHealed": 3, "cost": {"vswitchdMillicores": 40, "before": {"vswitchdMillicores": 10}},
            "bridges": [{"name": "br-int", "present": true, "ipfix": {"targets": ["192.0.2.1:4739"], "sampling": 3200}}],
            "conditions": [condition("Applied", "False", "ForeignRow"), condition("Throttled", "True", "ProcessorOverBudget")]});
        let node = NodeExport::of(export(2, spec, status));
        assert!(node.wanted && !node.well && !node.lags);
        let rows: Vec<(&str, bool, Option<u32>)> = node
            .programmed
            .iter()
            .map(|row| (row.protocol.as_str(), row.in_force == row.targets, row.sampling))
            .collect();
        assert_eq!(rows, [("netFlow", false, None), ("ipfix", true, Some(3200))]);
        assert_eq!(node.conditions[0].level, Level::Fault);
        assert_eq!(node.cost_before.unwrap().vswitchd_millicores, Some(10));
        assert_eq!(
            (node.budget.as_deref(), node.held_back.as_deref()),
            (Some("600m: throttle"), Some("why"))
        );
        assert_eq!(
            (node.applied.as_str(), node.exporting.as_str(), node.drift_healed),
            ("False", "-", 3)
        );
    }

    #[test]
    fn a_node_without_a_report_and_one_without_an_object_say_so() {
        let mut silent = export(1, json!({}), json!({}));
        silent.status = None;
        let silent = NodeExport::of(silent);
        assert_eq!(silent.reason, "NoReport");
        assert!(silent.trouble.unwrap().contains("does one run"));
        let none = NodeExport::without("m".to_owned());
        assert!(!none.wanted && !none.well && none.trouble.unwrap().contains("no NodeFlowExport"));
    }

    #[test]
    fn a_report_of_an_older_spec_is_pending() {
        let status = json!({"observedGeneration": 1, "reason": "Applied", "conditions": [
            condition("Applied", "True", "Applied"), condition("Exporting", "True", "Exporting")]});
        let behind = NodeReport::of(export(2, json!({}), status.clone()));
        assert!(behind.lags && !behind.is_well() && behind.reason() == "Pending");
        let met = NodeReport::of(export(1, json!({}), status));
        assert!(met.is_well() && met.reason() == "Applied" && met.complaints().is_empty());
    }
}
