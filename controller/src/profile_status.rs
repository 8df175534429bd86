//! The status of every `ExportProfile`: whether it can be used, and which nodes
//! take their settings from it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use weir_api::condition::{Finding, Time, conclude};
use weir_api::plan::unsafe_settings;
use weir_api::profile::ACCEPTED;
use weir_api::{ExportProfile, ExportProfileStatus, FlowsConfig, flows_config};

use crate::cluster_state::ClusterState;
use crate::decide::Decision;
use crate::rollup::{cut, enumerate};

/// Most nodes that a message names.
const NAMED_NODES: usize = 5;
/// Most settings that a message names.
const NAMED_SETTINGS: usize = 5;

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
    let config = cluster
        .flows_config()
        .and_then(|data| flows_config::parse(data).0);
    let served = |name: &str| nodes.get(name).map_or(&[][..], Vec::as_slice);
    let unreadable = cluster.unreadable_profiles().filter_map(|(name, invalid)| {
        let counts = match cluster.profile(name) {
            Some(_) => "its last readable form counts",
            None => "its nodes keep the settings they have, and new ones export nothing",
        };
        let message = format!("{counts}: {}", invalid.why);
        let before = ExportProfileStatus::deserialize(&invalid.status).ok();
        let verdict = (false, "Unreadable", message);
        let status = status(
            verdict,
            served(name),
            before.as_ref(),
            invalid.metadata.generation,
            now,
        );
        (before != Some(status.clone())).then(|| (name.to_owned(), status))
    });
    let unreadable: Vec<_> = unreadable.collect();
    let is_readable = |profile: &&ExportProfile| {
        let mut unreadable = cluster.unreadable_profiles();
        !unreadable.any(|(name, _)| Some(name) == profile.metadata.name.as_deref())
    };
    let readable = cluster.profiles().filter(is_readable).filter_map(|profile| {
        let name = profile.metadata.name.clone()?;
        let served = served(&name);
        let before = profile.status.as_ref();
        let verdict = verdict(profile, served, config.as_ref());
        let status = status(verdict, served, before, profile.metadata.generation, now);
        (before != Some(&status)).then_some((name, status))
    });
    readable.chain(unreadable).collect()
}

/// Whether a profile that can be read is accepted, the reason, and a sentence.
fn verdict(
    profile: &ExportProfile,
    nodes: &[&str],
    config: Option<&FlowsConfig>,
) -> (bool, &'static str, String) {
    if let Err(why) = profile.spec.selects(&BTreeMap::new()) {
        let why = cut(why);
        let message = format!("it selects no node, its nodeSelector is malformed: {why}");
        return (false, "SelectorMalformed", message);
    }
    let found = unsafe_settings(profile, config);
    if !found.is_empty() {
        return (
            false,
            "SettingsUnsafe",
            enumerate(found.into_iter(), NAMED_SETTINGS, "; "),
        );
    }
    if nodes.is_empty() {
        return (true, "Accepted", "no node takes its settings from it".to_owned());
    }
    let names = enumerate(nodes.iter().map(|node| (*node).to_owned()), NAMED_NODES, ", ");
    (true, "Accepted", format!("its settings serve {names}"))
}

fn status(
    (holds, reason, message): (bool, &'static str, String),
    nodes: &[&str],
    before: Option<&ExportProfileStatus>,
    generation: Option<i64>,
    now: Timestamp,
) -> ExportProfileStatus {
    let finding = Finding {
        kind: ACCEPTED,
        status: holds.into(),
        reason,
        message,
    };
    let before = before.map_or(&[][..], |status| &status.conditions);
    ExportProfileStatus {
        observed_generation: generation,
        nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
        conditions: conclude(&[finding], before, generation, &Time(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::WatchEvent;
    use crate::fixture::{add_node, decided, empty, object, start};
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    fn apply(cluster: &mut ClusterState, spec: Value) {
        let metadata = json!({"name": "p", "generation": 4});
        let profile = object(json!({"metadata": metadata, "spec": spec}));
        cluster.see(WatchEvent::Profile(Event::Apply(profile)));
    }

    /// What is to be written in the profile's status, which is then shown to stand there.
    fn said(cluster: &mut ClusterState) -> (String, String, String) {
        let decision = decided(cluster);
        let (name, status) = assess(cluster, &decision, start()).remove(0);
        assert_eq!((name.as_str(), status.observed_generation), ("p", Some(4)));
        cluster.assessed(&name, &status);
        assert_eq!(assess(cluster, &decision, start()), []);
        let accepted = status.conditions[0].clone();
        (accepted.status, accepted.reason, accepted.message)
    }

    #[test]
    fn settings_that_are_bounded_are_named_with_the_value_that_counts() {
        let mut cluster = empty();
        apply(&mut cluster, json!({"sFlow": {"header": 9000}}));
        let (status, reason, message) = said(&mut cluster);
        assert_eq!((status.as_str(), reason.as_str()), ("False", "SettingsUnsafe"));
        assert!(
            message.contains("9000") && message.contains("is taken as 1299"),
            "{message}"
        );
        apply(&mut cluster, json!({"ipfix": {"cacheActiveTimeout": 4201}}));
        assert!(said(&mut cluster).2.contains("cacheActiveTimeout is 4201"));
        apply(&mut cluster, json!({"ipfix": {"cacheActiveTimeout": 0}}));
        assert_eq!(said(&mut cluster).1, "Accepted");
        let metadata = json!({"name": flows_config::NAME, "namespace": flows_config::NAMESPACE});
        let data = json!({"nodePort": "4739", "sampling": "1"});
        let map = object(json!({"metadata": metadata, "data": data}));
        cluster.see(WatchEvent::FlowsConfig(Event::Apply(map)));
        let (_, reason, message) = said(&mut cluster);
        assert!(
            reason == "SettingsUnsafe" && message.contains("cache on (20 s, 5000 flows)"),
            "{message}"
        );
    }

    #[test]
    fn a_profile_that_was_never_readable_is_told_so() {
        let mut cluster = empty();
        add_node(&mut cluster, "a", "10.0.0.1");
        apply(&mut cluster, json!({"ipfix": {"sampling": "x".repeat(100_000)}}));
        let (status, reason, message) = said(&mut cluster);
        assert_eq!((status.as_str(), reason.as_str()), ("False", "Unreadable"));
        assert!(
            message.starts_with("its nodes keep") && message.len() < 400,
            "{}",
            message.len()
        );
    }
}
