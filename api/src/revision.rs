//! A revision: all that decides what nodes are told, so that it can be told again. The
//! controller keeps each in a `ControllerRevision` of its namespace, named after its hash.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::collector::ServiceRef;
use crate::export::NodeFlowExportSpec;
use crate::network::ExportNetworkFlows;
use crate::plan::{NodeFacts, Targets, plan};
use crate::profile::{ExportProfile, ExportProfileSpec};
use crate::{FlowsConfig, flows_config};

/// The present one and those before it that are kept.
pub const KEPT_REVISIONS: usize = 10;

/// The name of the `ControllerRevision` of a hash.
pub fn object_name(hash: &str) -> String {
    format!("weir-export-{hash}")
}

/// What nodes are told follows from this, from the node's own labels and address, and from
/// the number of its exporter.
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
    /// Addresses of the Services that are named, by `NAMESPACE/NAME`.
    #[serde(default)]
    pub services: BTreeMap<String, IpAddr>,
}

impl RevisionData {
    /// A hash (FNV-1a, 64 bits) of this and of what nodes are told by it: defaults of this
    /// version count, too.
    pub fn hash(&self) -> String {
        let profiles = self.profiles();
        let told = profiles.iter().map(Some).chain([None]);
        let told: Vec<NodeFlowExportSpec> = told.map(|profile| self.told(profile)).collect();
        let text = serde_json::to_vec(&(self, told)).unwrap_or_default();
        let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    /// What a node of that profile is told that has no address.
    fn told(&self, profile: Option<&ExportProfile>) -> NodeFlowExportSpec {
        plan(&self.targets(), profile, &NodeFacts::default(), &|_| 0).0
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

    /// The collectors, with the addresses that Services had.
    pub fn targets(&self) -> Targets {
        let service = |service: &ServiceRef| {
            let key = format!("{}/{}", service.namespace, service.name);
            self.services
                .get(&key)
                .copied()
                .ok_or_else(|| "had no address".to_owned())
        };
        Targets::resolve(self.flows.as_ref(), self.config().as_ref(), &service).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn revision(value: serde_json::Value) -> RevisionData {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_hash_tells_revisions_apart_and_survives_the_api_server() {
        let one = revision(json!({
            "flows": {"netFlow": {"collectors": ["flows.default.svc:2055"]}},
            "profiles": {"p": {"netFlow": {"activeTimeout": 5}}},
            "services": {"default/flows": "10.96.0.9"},
        }));
        let again = revision(serde_json::to_value(&one).unwrap());
        assert_eq!(again.hash(), one.hash());
        let mut moved = one.clone();
        moved
            .services
            .insert("default/flows".into(), "10.96.0.8".parse().unwrap());
        let mut tuned = one.clone();
        tuned.profiles.clear();
        let hashes = [
            one.hash(),
            moved.hash(),
            tuned.hash(),
            RevisionData::default().hash(),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
        assert!(hashes.iter().all(|hash| hash.len() == 16));
    }
}
