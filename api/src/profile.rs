//! `ExportProfile` (`weir.dev/v1alpha1`): tuning for the nodes that it selects.
//!
//! Field names are the OVSDB columns in camelCase, times in whole seconds. Fields that
//! this version does not know are left out of account where an object is read, so that
//! one of a newer version still serves; [`crate::document`] refuses them in files.
//! Unset fields take the defaults of [`crate::plan`]; zero stays zero. Limits
//! are those of vswitchd/vswitch.ovsschema 8.8.0.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use kube::core::{Selector, SelectorExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Protocol;
use crate::condition::Condition;
use crate::export::ConflictPolicy;
use crate::network::conditions_schema;
use crate::plan::defaults;

/// The bridge that OVN puts pods on.
pub const DEFAULT_BRIDGE: &str = "br-int";

/// Tuning of flow export for the nodes that the selector matches.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "ExportProfile",
    plural = "exportprofiles",
    singular = "exportprofile",
    status = "ExportProfileStatus",
    doc = "Tuning of flow export for the nodes that it selects.",
    printcolumn(name = "Bridges", type_ = "string", json_path = ".spec.bridges"),
    printcolumn(name = "Conflicts", type_ = "string", json_path = ".spec.conflictPolicy"),
    printcolumn(name = "Export", type_ = "string", json_path = ".spec.export", priority = 1),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ExportProfileSpec {
    /// Nodes that the profile is for; unset or empty: all. A profile with a
    /// selector beats one without; among equals the first by name serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<LabelSelector>,
    /// Whether these nodes export at all. `Disabled` leaves the nodes of the selector out,
    /// whatever collectors there are; what they export is removed.
    #[serde(default)]
    pub export: ExportSwitch,
    /// Bridges to export from; unset: `br-int`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 15)))]
    pub bridges: Option<Vec<String>>,
    /// What to do with rows of somebody else.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// What the export of each node may cost; unset: whatever it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<crate::export::Budget>,
    /// NetFlow v5.
    #[serde(default)]
    pub net_flow: NetFlowTuning,
    /// sFlow v5.
    #[serde(default)]
    pub s_flow: SFlowTuning,
    /// IPFIX.
    #[serde(default)]
    pub ipfix: IpfixTuning,
}

/// Whether nodes export.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ExportSwitch {
    /// They do where there are collectors.
    #[default]
    Enabled,
    /// They do not.
    Disabled,
}

/// The profile can be used as it stands. Reasons: `Accepted`, `SelectorMalformed`,
/// `SettingsUnsafe` (they count within bounds, which the message names), `Unreadable`.
pub const ACCEPTED: &str = "Accepted";

/// What the controller makes of a profile.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportProfileStatus {
    /// Generation of the spec that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many nodes take their settings from it.
    #[serde(default)]
    pub nodes: u32,
    /// `Accepted`.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

/// Tuning of NetFlow v5.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetFlowTuning {
    /// Whether the nodes export this protocol where there are collectors for it (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Seconds after which a long flow is reported (default 60; OVS reads 0 as 600).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub active_timeout: Option<i64>,
    /// Engine type (default: high byte of the exporter id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_type: Option<u8>,
    /// Engine id (default: low byte of the exporter id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<u8>,
    /// Puts 7 bits of the engine id into the interface numbers (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_id_to_interface: Option<bool>,
}

/// Tuning of sFlow v5.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{ "rule": S_FLOW_RULE, "message": S_FLOW_MESSAGE }]))]
pub struct SFlowTuning {
    /// Whether the nodes export this protocol where there are collectors for it (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Agent: an address or a network device (default: the node's address).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = PRINTED))]
    pub agent: Option<String>,
    /// One packet in so many (default 400); 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<u32>,
    /// Seconds between counter samples (default 30); 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling: Option<u32>,
    /// Bytes of each sampled packet that are sent (default 128).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1299))]
    pub header: Option<u32>,
}

/// Tuning of IPFIX.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{ "rule": UNCACHED_RULE, "message": UNCACHED_MESSAGE }]))]
pub struct IpfixTuning {
    /// Whether the nodes export this protocol where there are collectors for it (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// One packet in so many (default 400); 0: no IPFIX export at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<u32>,
    /// Observation domain (default: the exporter id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obs_domain_id: Option<u32>,
    /// Observation point (default: OVS's, 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obs_point_id: Option<u32>,
    /// Seconds that a flow stays in the cache (default 20); 0: no cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4200))]
    pub cache_active_timeout: Option<u32>,
    /// Flows in the cache (default 5000); 0: no cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_max_flows: Option<u32>,
    /// Seconds between exporter statistics (default: OVS's, 600; OVS 3.2 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub stats_interval: Option<u32>,
    /// Seconds between templates (default 60; OVS 3.2 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub template_interval: Option<u32>,
    /// Whether packets are sampled where they enter (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_input_sampling: Option<bool>,
    /// Whether packets are sampled where they leave (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_output_sampling: Option<bool>,
    /// Whether packets on tunnel ports are sampled (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_tunnel_sampling: Option<bool>,
    /// Text that each record carries to name its exporter (default none).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 254), regex(pattern = PRINTED))]
    pub virtual_obs_id: Option<String>,
    /// Whether all IPFIX collectors are told which pods stand behind the interfaces (default
    /// false). Weir's own collector is told in any case where it is named by its Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_names: Option<bool>,
}

/// The least IPFIX sampling with the cache off, or as good as off. At 1 in 1, two pings to a
/// collector behind the bridge became 130,000 packets in 5 s: each datagram is sampled itself.
/// One sampled packet is a datagram to each of at most ten collectors, which two bridges may
/// sample as it comes in and as it leaves: 40, which is less than half of this.
pub const MIN_UNCACHED_SAMPLING: u32 = 100;

/// The least flows of a cache that counts as one. OVS makes room for a new flow by sending the
/// oldest (`ofproto/ofproto-dpif-ipfix.c`, end reason "lack of resources"), so a cache with
/// fewer places than export has flows of its own is none: each datagram sends another. Ten
/// collectors, seen coming in and leaving, and what they answer: 40; this leaves room.
pub const MIN_CACHE_FLOWS: u32 = 100;

/// The same for the API server, in CEL.
const UNCACHED_RULE: &str = "!((has(self.cacheActiveTimeout) && self.cacheActiveTimeout == 0) || \
    (has(self.cacheMaxFlows) && self.cacheMaxFlows < 100)) || \
    !has(self.sampling) || self.sampling == 0 || self.sampling >= 100";

const UNCACHED_MESSAGE: &str = "without a cache (cacheActiveTimeout 0, or cacheMaxFlows below 100) sampling must be \
    at least 100: export through the bridge would feed itself";

/// Collectors of one protocol that there can be.
const MOST_TARGETS: usize = crate::network::MAX_COLLECTORS;

/// The least sFlow sampling with this many bytes of each packet for so many collectors, so
/// that export through bridges does not feed itself. A datagram of OVS has 1400 bytes
/// (`SFL_DEFAULT_DATAGRAM_SIZE`), a sample about 100 beside the packet's; each datagram goes
/// to every collector, and two bridges may sample it: no more than one datagram may come of it.
pub fn min_s_flow_sampling(header: u32, targets: usize) -> u32 {
    let samples = (1_372 / header.saturating_add(100)).max(1);
    let targets = u32::try_from(targets).unwrap_or(u32::MAX);
    targets.saturating_mul(2).div_ceil(samples).max(1)
}

/// What the API server can know of it: without the collectors, samples that fill a datagram
/// of their own are bounded for the most there can be.
const S_FLOW_RULE: &str = "!has(self.header) || self.header <= 128 || !has(self.sampling) || \
    self.sampling == 0 || self.sampling >= 20";

const S_FLOW_MESSAGE: &str = "with more than 128 bytes of each packet (header) sampling must be at least 20: export \
    through the bridge would feed itself";

/// Most bytes of a packet that fit into a datagram of OVS's sFlow, 1400 bytes, with what
/// stands beside them; samples with more are never sent.
pub const MAX_SFLOW_HEADER: u32 = 1299;

/// Longest active timeout of NetFlow, in seconds: a day. OVS cuts what does not fit 32 bits.
pub const MAX_NETFLOW_ACTIVE_TIMEOUT: i64 = 86_400;

/// Longest time of a flow in IPFIX's cache, in seconds (`vswitchd/vswitch.ovsschema`).
pub const MAX_IPFIX_CACHE_TIMEOUT: u32 = 4200;

/// Longest interval of IPFIX's templates and statistics, in seconds (`vswitchd/vswitch.ovsschema`).
pub const MAX_IPFIX_INTERVAL: u32 = 3600;

/// Longest text of a setting, in bytes: 254 characters of four bytes, and a little.
pub const MAX_TEXT: usize = 1024;

/// A text without control characters: in a column they would be somebody else's terminal's.
const PRINTED: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]*$";

/// Longest name of a bridge, in bytes: Linux's IFNAMSIZ less the terminating zero.
pub const MAX_BRIDGE_NAME: usize = 15;

/// Whether Linux takes this name for a bridge's device.
pub fn is_bridge_name(name: &str) -> bool {
    (1..=MAX_BRIDGE_NAME).contains(&name.len())
}

impl IpfixTuning {
    /// Whether export could feed itself: the cache is off, or too small to be one, and more
    /// than one packet in [`MIN_UNCACHED_SAMPLING`] is sampled. Unset, all have defaults that
    /// are safe.
    pub fn is_storm(&self) -> bool {
        is_ipfix_storm(
            self.sampling.unwrap_or(MIN_UNCACHED_SAMPLING),
            self.cache_active_timeout.unwrap_or(1),
            self.cache_max_flows.unwrap_or(MIN_CACHE_FLOWS),
        )
    }
}

/// The same for settings as OVS gets them.
pub fn is_ipfix_storm(sampling: u32, cache_active_timeout: u32, cache_max_flows: u32) -> bool {
    let uncached = cache_active_timeout == 0 || cache_max_flows < MIN_CACHE_FLOWS;
    uncached && (1..MIN_UNCACHED_SAMPLING).contains(&sampling)
}

impl ExportProfileSpec {
    /// Whether the nodes may export that protocol.
    pub fn exports(&self, protocol: Protocol) -> bool {
        let enabled = match protocol {
            Protocol::NetFlow => self.net_flow.enabled,
            Protocol::SFlow => self.s_flow.enabled,
            Protocol::Ipfix => self.ipfix.enabled,
        };
        self.export == ExportSwitch::Enabled && enabled.unwrap_or(true)
    }

    /// The bridges to export from.
    pub fn bridge_names(&self) -> Vec<String> {
        self.bridges
            .clone()
            .unwrap_or_else(|| vec![DEFAULT_BRIDGE.to_owned()])
    }

    /// Whether the profile is for a node with these labels.
    ///
    /// # Errors
    /// The selector is malformed (an operator that does not exist, `In`
    /// without values); the text says how.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> Result<bool, String> {
        let Some(selector) = &self.node_selector else {
            return Ok(true);
        };
        let selector = Selector::try_from(selector.clone()).map_err(|e| e.to_string())?;
        Ok(selector.matches(labels))
    }

    fn is_specific(&self) -> bool {
        self.node_selector
            .as_ref()
            .is_some_and(|s| *s != LabelSelector::default())
    }

    /// What the API server's schema would refuse. Each text names the field and its limits.
    pub fn violations(&self) -> Vec<String> {
        let mut found = self.unusable();
        let mut check = |field: &str, value: Option<i64>, most: i64| {
            if let Some(value) = value.filter(|v| *v > most) {
                found.push(format!("spec.{field} is {value}; it must be from 0 to {most}"));
            }
        };
        let (net_flow, s_flow) = (&self.net_flow, &self.s_flow);
        check(
            "netFlow.activeTimeout",
            net_flow.active_timeout,
            MAX_NETFLOW_ACTIVE_TIMEOUT,
        );
        check(
            "sFlow.header",
            s_flow.header.map(i64::from),
            i64::from(MAX_SFLOW_HEADER),
        );
        if self.ipfix.is_storm() {
            found.push(format!("spec.ipfix: {UNCACHED_MESSAGE}"));
        }
        let least = min_s_flow_sampling(MAX_SFLOW_HEADER, MOST_TARGETS);
        let is_long = s_flow
            .header
            .is_some_and(|header| header > defaults::SFLOW_HEADER);
        if is_long && s_flow.sampling.is_some_and(|n| (1..least).contains(&n)) {
            found.push(format!("spec.sFlow: {S_FLOW_MESSAGE}"));
        }
        found
    }

    /// What nothing can be made of: OVS would refuse it. Of the [violations](Self::violations)
    /// the planner puts the others right and says so, since they were valid once.
    pub fn unusable(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut check = |field: &str, value: Option<i64>, min: i64, max: i64| {
            if let Some(value) = value.filter(|v| !(min..=max).contains(v)) {
                found.push(format!("spec.{field} is {value}; it must be from {min} to {max}"));
            }
        };
        check(
            "netFlow.activeTimeout",
            self.net_flow.active_timeout.filter(|seconds| *seconds < 0),
            0,
            MAX_NETFLOW_ACTIVE_TIMEOUT,
        );
        check(
            "ipfix.cacheActiveTimeout",
            self.ipfix.cache_active_timeout.map(i64::from),
            0,
            4200,
        );
        check(
            "ipfix.statsInterval",
            self.ipfix.stats_interval.map(i64::from),
            1,
            3600,
        );
        check(
            "ipfix.templateInterval",
            self.ipfix.template_interval.map(i64::from),
            1,
            3600,
        );
        let bridges = self.bridge_names();
        check("bridges (their number)", Some(bridges.len() as i64), 1, 16);
        for (i, name) in bridges.iter().enumerate() {
            check(
                &format!("bridges[{i}] (its length)"),
                Some(name.len() as i64),
                1,
                MAX_BRIDGE_NAME as i64,
            );
        }
        if let Some(id) = &self.ipfix.virtual_obs_id {
            check("ipfix.virtualObsId (its length)", Some(id.len() as i64), 1, 254);
        }
        let texts = [
            ("ipfix.virtualObsId", &self.ipfix.virtual_obs_id),
            ("sFlow.agent", &self.s_flow.agent),
        ];
        for (field, text) in texts {
            if let Some(text) = text.as_ref().filter(|text| text.contains(char::is_control)) {
                found.push(format!("spec.{field} {text:?} has control characters"));
            }
        }
        found
    }
}

/// The profile that serves a node, out of all there are: one with a selector
/// beats one without, then the first by name. Malformed selectors select
/// nothing.
pub fn choose<'a>(
    profiles: impl IntoIterator<Item = &'a ExportProfile>,
    labels: &BTreeMap<String, String>,
) -> Option<&'a ExportProfile> {
    profiles
        .into_iter()
        .filter(|p| p.spec.selects(labels).unwrap_or(false))
        .min_by_key(|p| (!p.spec.is_specific(), p.metadata.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, label: Option<(&str, &str)>) -> ExportProfile {
        let node_selector = label.map(|(k, v)| LabelSelector {
            match_labels: Some([(k.to_owned(), v.to_owned())].into()),
            ..Default::default()
        });
        ExportProfile::new(
            name,
            ExportProfileSpec {
                node_selector,
                ..Default::default()
            },
        )
    }

    fn chosen(profiles: &[ExportProfile], labels: &[(&str, &str)]) -> Option<String> {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        choose(profiles, &labels).and_then(|p| p.metadata.name.clone())
    }

    #[test]
    fn a_profile_with_a_selector_beats_one_without() {
        let all = [profile("a-all", None), profile("z-edge", Some(("role", "edge")))];
        assert_eq!(chosen(&all, &[("role", "edge")]).as_deref(), Some("z-edge"));
        assert_eq!(chosen(&all, &[]).as_deref(), Some("a-all"));
    }

    #[test]
    fn among_equals_the_first_by_name_serves() {
        let all = [profile("b", None), profile("a", None)];
        assert_eq!(chosen(&all, &[]).as_deref(), Some("a"));
    }

    #[test]
    fn a_profile_that_selects_other_nodes_does_not_serve() {
        assert_eq!(
            chosen(&[profile("edge", Some(("role", "edge")))], &[("role", "core")]),
            None
        );
    }

    #[test]
    fn a_profile_of_a_newer_version_serves_with_what_is_known_of_it() {
        let newer =
            serde_json::json!({"ipfix": {"sampling": 10_000, "colour": "red"}, "shape": {"round": true}});
        let spec: ExportProfileSpec = serde_json::from_value(newer).unwrap();
        assert_eq!(spec.ipfix.sampling, Some(10_000));
    }

    #[test]
    fn the_rules_of_the_api_server_hold_the_same_numbers() {
        assert!(UNCACHED_RULE.ends_with(&format!(">= {MIN_UNCACHED_SAMPLING}")));
        assert!(UNCACHED_RULE.contains(&format!("cacheMaxFlows < {MIN_CACHE_FLOWS})")));
        let least = min_s_flow_sampling(MAX_SFLOW_HEADER, MOST_TARGETS);
        assert!(S_FLOW_RULE.ends_with(&format!(">= {least}")), "{least}");
        assert!(S_FLOW_RULE.contains(&format!("<= {}", defaults::SFLOW_HEADER)));
    }

    #[test]
    fn a_cache_too_small_to_be_one_is_a_storm_and_so_is_sflow_with_a_datagram_a_sample() {
        let ipfix = |sampling, cache_max_flows| IpfixTuning {
            sampling: Some(sampling),
            cache_max_flows: Some(cache_max_flows),
            ..Default::default()
        };
        assert!(ipfix(1, 1).is_storm() && ipfix(99, 99).is_storm());
        assert!(!ipfix(1, 100).is_storm() && !ipfix(100, 1).is_storm() && !ipfix(0, 1).is_storm());
        assert_eq!(min_s_flow_sampling(128, 1), 1, "six samples a datagram");
        assert_eq!([3, 10].map(|targets| min_s_flow_sampling(128, targets)), [1, 4]);
        assert_eq!(
            min_s_flow_sampling(1_299, 1),
            2,
            "one sample a datagram, on two bridges"
        );
        let mut spec = ExportProfileSpec::default();
        (spec.s_flow.sampling, spec.s_flow.header) = (Some(1), Some(1_299));
        assert!(spec.violations().join("").contains("feed itself"));
    }

    #[test]
    fn values_that_ovs_refuses_are_named() {
        let spec = ExportProfileSpec {
            bridges: Some(vec!["a-name-that-is-too-long".into()]),
            ipfix: IpfixTuning {
                cache_active_timeout: Some(4201),
                template_interval: Some(0),
                ..Default::default()
            },
            ..Default::default()
        };
        let violations = spec.violations().join("\n");
        let storm = ExportProfileSpec {
            s_flow: SFlowTuning {
                header: Some(1300),
                ..Default::default()
            },
            net_flow: NetFlowTuning {
                active_timeout: Some(i64::MAX),
                ..Default::default()
            },
            ipfix: IpfixTuning {
                sampling: Some(99),
                cache_max_flows: Some(0),
                ..Default::default()
            },
            ..Default::default()
        };
        let found = storm.violations();
        assert_eq!(found.len(), 3, "{found:?}");
        let any = |words: &str| found.iter().any(|text| text.contains(words));
        assert!(any("feed itself") && any("sFlow.header is 1300") && any("netFlow.activeTimeout"));
        assert_eq!(
            storm.unusable(),
            Vec::<String>::new(),
            "all of it can be put right"
        );
        for field in [
            "bridges[0]",
            "cacheActiveTimeout is 4201",
            "templateInterval is 0",
        ] {
            assert!(violations.contains(field), "{violations}");
        }
        assert!(ExportProfileSpec::default().violations().is_empty());
    }
}
