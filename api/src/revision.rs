//! A revision: all that decides what nodes are told, so that it can be told again. The
//! controller keeps each in a `ControllerRevision` of its namespace, named after its hash.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::export::{BridgeExport, NodeFlowExportSpec};
use crate::identity::netflow_engine;
use crate::network::ExportNetworkFlows;
use crate::plan::{NodeFacts, ResolveService, Targets, plan, retarget};
use crate::profile::{ExportProfile, ExportProfileSpec};
use crate::{FlowsConfig, flows_config};

/// The present one and those before it that are kept.
pub const KEPT_REVISIONS: usize = 10;

/// The name of the `ControllerRevision` of a hash.
pub fn object_name(hash: &str) -> String {
    format!("weir-export-{hash}")
}

/// What nodes are told follows from this, from the addresses that Services have, from the
/// node's own labels and address, and from the number of its exporter.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RevisionData {
    /// `spec.exportNetworkFlows` of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<ExportNetworkFlows>,
    /// Data of the ConfigMap with IPFIX tuning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_config: Option<BTreeMap<String, String>>,
    /// Specs of all `ExportProfile`s by name.
    #[serde(default)]
    pub profiles: BTreeMap<String, ExportProfileSpec>,
    /// What the version that made this tells the nodes of each profile (empty: of none),
    /// with its defaults spelled out. All addresses are [`NO_ADDRESS`], all numbers of
    /// exporters are 0.
    #[serde(default)]
    pub told: BTreeMap<String, NodeFlowExportSpec>,
}

/// Stands for the address of a node and of a Service in [`RevisionData::told`].
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl RevisionData {
    /// What is asked for now, and what this version makes of it.
    pub fn new(
        flows: Option<ExportNetworkFlows>,
        flows_config: Option<BTreeMap<String, String>>,
        profiles: BTreeMap<String, ExportProfileSpec>,
    ) -> Self {
        let mut data = Self {
            flows,
            flows_config,
            profiles,
            told: BTreeMap::new(),
        };
        let facts = NodeFacts {
            name: String::new(),
            address: Some(NO_ADDRESS),
        };
        let targets = data.targets(&|_| Ok(NO_ADDRESS));
        let profiles = data.profiles();
        for profile in profiles.iter().map(Some).chain([None]) {
            let told = plan(&targets, profile, &facts, &|_| 0).0;
            data.told.insert(name_of(profile), told);
        }
        data
    }

    /// A hash (FNV-1a, 64 bits) of this.
    pub fn hash(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// What a node is told by this: the settings are those of the version that made it,
    /// the addresses those of now.
    pub fn spec(
        &self,
        targets: &Targets,
        profile: Option<&ExportProfile>,
        node: &NodeFacts,
        exporter_id: &dyn Fn(&str) -> u32,
    ) -> NodeFlowExportSpec {
        let Some(told) = self.told.get(&name_of(profile)) else {
            return plan(targets, profile, node, exporter_id).0;
        };
        let standard = ExportProfileSpec::default();
        let settings = profile.map_or(&standard, |profile| &profile.spec);
        let mut spec = retarget(told, targets, node).0;
        for bridge in &mut spec.bridges {
            let id = exporter_id(&bridge.name);
            number(bridge, id, settings);
            if let Some(s_flow) = &mut bridge.s_flow
                && settings.s_flow.agent.is_none()
            {
                s_flow.agent = node.address.map(|address| address.to_string());
            }
            if let Some(ipfix) = &mut bridge.ipfix
                && settings.ipfix.interface_names == Some(true)
            {
                ipfix.interface_names.clone_from(&ipfix.targets);
            }
        }
        spec
    }

    /// The profiles as objects.
    pub fn profiles(&self) -> Vec<ExportProfile> {
        let profiles = self.profiles.iter();
        profiles
            .map(|(name, spec)| ExportProfile::new(name, spec.clone()))
            .collect()
    }

    /// The tuning of the ConfigMap.
    pub fn config(&self) -> Option<FlowsConfig> {
        let data = self.flows_config.as_ref()?;
        flows_config::parse(data).0
    }

    /// The collectors, with the addresses that `services` knows.
    pub fn targets(&self, services: ResolveService<'_>) -> Targets {
        Targets::resolve(self.flows.as_ref(), self.config().as_ref(), services).0
    }
}

fn name_of(profile: Option<&ExportProfile>) -> String {
    let name = profile.and_then(|profile| profile.metadata.name.clone());
    name.unwrap_or_default()
}

/// Puts the number of the exporter where the settings name no other.
fn number(bridge: &mut BridgeExport, id: u32, settings: &ExportProfileSpec) {
    bridge.exporter_id = id;
    let (engine_type, engine_id) = netflow_engine(id);
    if let Some(net_flow) = &mut bridge.net_flow {
        net_flow.engine_type = settings.net_flow.engine_type.or(Some(engine_type));
        net_flow.engine_id = settings.net_flow.engine_id.or(Some(engine_id));
    }
    if let Some(ipfix) = &mut bridge.ipfix {
        ipfix.obs_domain_id = settings.ipfix.obs_domain_id.or(Some(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn revision(collector: &str, timeout: i64) -> RevisionData {
        let flows = json!({"netFlow": {"collectors": [collector]}, "sFlow": {"collectors": [":6343"]},
            "ipfix": {"collectors": ["weir-collector.weir-system.svc:4739", "192.0.2.7:4739"]}});
        let profiles = json!({"p": {"netFlow": {"activeTimeout": timeout}, "ipfix": {"interfaceNames": true}},
            "q": {"ipfix": {"obsDomainId": 9}, "sFlow": {"agent": "eth0"}, "netFlow": {"engineId": 3}}});
        let parse = |value| serde_json::from_value(value).unwrap();
        RevisionData::new(parse(flows), None, serde_json::from_value(profiles).unwrap())
    }

    #[test]
    fn the_hash_tells_revisions_apart_and_survives_the_api_server() {
        let one = revision("flows.default.svc:2055", 5);
        let again: RevisionData = serde_json::from_value(serde_json::to_value(&one).unwrap()).unwrap();
        assert_eq!(again.hash(), one.hash());
        let mut of_another_version = one.clone();
        of_another_version.told.get_mut("p").unwrap().bridges.clear();
        let hashes = [
            one.hash(),
            revision("flows.default.svc:2056", 5).hash(),
            revision("flows.default.svc:2055", 6).hash(),
            of_another_version.hash(),
            RevisionData::default().hash(),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
        assert!(hashes.iter().all(|hash| hash.len() == 16));
    }

    #[test]
    fn what_a_revision_tells_is_the_plan_with_the_addresses_of_now() {
        let one = revision("flows.default.svc:2055", 5);
        let targets = one.targets(&|_| Ok("10.96.0.9".parse().unwrap()));
        for address in [None, Some("10.0.0.1".parse().unwrap())] {
            let facts = NodeFacts {
                name: "n".to_owned(),
                address,
            };
            let profiles = one.profiles();
            for profile in profiles.iter().map(Some).chain([None]) {
                let planned = plan(&targets, profile, &facts, &|_| 777).0;
                assert_eq!(one.spec(&targets, profile, &facts, &|_| 777), planned);
            }
        }
    }

    #[test]
    fn settings_stay_those_of_the_version_that_made_it() {
        let mut one = revision("192.0.2.1:2055", 5);
        let told = one.told.get_mut("").unwrap();
        told.bridges[0].net_flow.as_mut().unwrap().active_timeout = Some(17);
        let targets = one.targets(&|_| Err("none".to_owned()));
        let spec = one.spec(&targets, None, &NodeFacts::default(), &|_| 1);
        assert_eq!(
            spec.bridges[0].net_flow.as_ref().unwrap().active_timeout,
            Some(17)
        );
    }
}
