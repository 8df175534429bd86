//! The status of every `ExportProfile`: whether it can be used, and which nodes
//! take their settings from it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use weir_api::condition::{Finding, Time, conclude};
use weir_api::profile::ACCEPTED;
use weir_api::{ExportProfile, ExportProfileStatus};

use crate::cluster_state::ClusterState;
use crate::decide::Decision;
use crate::rollup::enumerate;

/// Most nodes that a message names.
const NAMED_NODES: usize = 5;

/// The statuses that differ from what stands in the profiles, by name.
pub fn assess(
    cluster: &ClusterState,
    decision: &Decision,
    now: Timestamp,
) -> Vec<(String, ExportProfileStatus)> {
    let mut nodes = BTreeMap::<&str, Vec<&str>>::new();
    for (node, wanted) in &decision.wanted {
        if let Some(profile) = &wanted.spec.profile {
            nodes.entry(profile).or_default().push(node);
        }
    }
    let status = |profile: &ExportProfile| {
        let name = profile.metadata.name.clone()?;
        let served = nodes.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        let mut unreadable = cluster.unreadable_profiles();
        let unreadable = unreadable.find(|(other, _)| *other == name).map(|(_, why)| why);
        let status = status(profile, served, unreadable, now);
        (profile.status.as_ref() != Some(&status)).then_some((name, status))
    };
    cluster.profiles().filter_map(status).collect()
}

fn status(
    profile: &ExportProfile,
    nodes: &[&str],
    unreadable: Option<&str>,
    now: Timestamp,
) -> ExportProfileStatus {
    let malformed = profile.spec.selects(&BTreeMap::new()).err();
    let (holds, reason, message) = match (unreadable, malformed) {
        (Some(why), _) => (
            false,
            "Unreadable",
            format!("its last readable form counts: {why}"),
        ),
        (None, Some(why)) => (
            false,
            "SelectorMalformed",
            format!("it selects no node, its nodeSelector is malformed: {why}"),
        ),
        (None, None) if nodes.is_empty() => {
            (true, "Accepted", "no node takes its settings from it".to_owned())
        }
        (None, None) => {
            let names = enumerate(nodes.iter().map(|node| (*node).to_owned()), NAMED_NODES, ", ");
            (true, "Accepted", format!("its settings serve {names}"))
        }
    };
    let finding = Finding {
        kind: ACCEPTED,
        status: holds.into(),
        reason,
        message,
    };
    let before = profile
        .status
        .as_ref()
        .map_or(&[][..], |status| &status.conditions);
    let generation = profile.metadata.generation;
    ExportProfileStatus {
        observed_generation: generation,
        nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
        conditions: conclude(&[finding], before, generation, &Time(now)),
    }
}
