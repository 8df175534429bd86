//! Which settings a node gets: those of the profile that selects it. Where that
//! profile cannot be read and never could since this process began, the node keeps the
//! settings that it has, and one that has none exports nothing. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;
use weir_api::plan::Targets;
use weir_api::profile::ExportSwitch;
use weir_api::{ExportProfile, ExportProfileSpec, NodeFlowExportSpec, Protocol, profile};

use crate::cluster_state::ClusterState;
use crate::facts::NodeRecord;
use crate::object::is_ours;

/// Where the settings of a node come from.
pub struct Chosen<'a> {
    /// The node.
    pub node: &'a NodeRecord,
    /// The profile that serves it.
    pub profile: Option<&'a ExportProfile>,
    /// The spec that it has, where it keeps its settings.
    pub kept: Option<&'a NodeFlowExportSpec>,
    /// Its profile cannot be read.
    pub unknown: bool,
}

impl<'a> Chosen<'a> {
    /// The node's name.
    pub fn node_name(&self) -> &str {
        &self.node.facts.name
    }

    /// The node's name, where it keeps its settings.
    pub fn keeps(&self) -> Option<&'a str> {
        self.kept.map(|_| self.node.facts.name.as_str())
    }
}

/// A profile that cannot be read, and has no earlier form.
pub struct UnknownProfile {
    /// Its name and its selector; it exports nothing.
    profile: ExportProfile,
    /// Its selector can be read.
    selects: bool,
}

impl UnknownProfile {
    /// Its name.
    pub fn name(&self) -> String {
        self.profile.metadata.name.clone().unwrap_or_default()
    }
}

/// The profiles of which nobody knows the settings.
pub fn unknown_profiles(cluster: &ClusterState) -> Vec<UnknownProfile> {
    let unreadable = cluster.unreadable_profiles();
    let unknown = unreadable.filter(|(name, _)| cluster.profile(name).is_none());
    let read = |(name, invalid): (&str, &crate::guarded::Invalid)| {
        let selector = invalid.spec.get("nodeSelector").unwrap_or(&Value::Null);
        let selector = Option::<LabelSelector>::deserialize(selector);
        let spec = ExportProfileSpec {
            export: ExportSwitch::Disabled,
            ..Default::default()
        };
        let mut profile = ExportProfile::new(name, spec);
        let selects = selector.is_ok();
        profile.spec.node_selector = selector.ok().flatten();
        UnknownProfile { profile, selects }
    };
    unknown.map(read).collect()
}

/// Chooses for a node, of these profiles. With `holds` every node keeps what it has.
pub fn choose<'a>(
    cluster: &'a ClusterState,
    profiles: impl Iterator<Item = &'a ExportProfile> + Clone,
    unknown: &'a [UnknownProfile],
    node: &'a NodeRecord,
    holds: bool,
) -> Chosen<'a> {
    let export = cluster.export(&node.facts.name);
    let spec = export.filter(|export| is_ours(export)).map(|export| &export.spec);
    // Whom a profile selects whose selector cannot be read is not known: those that it
    // has served, and those that nothing has served yet.
    let maybe = |unknown: &&UnknownProfile| {
        let name = unknown.profile.metadata.name.as_deref();
        !unknown.selects && spec.is_none_or(|spec| spec.profile.as_deref() == name)
    };
    let readable = unknown.iter().filter(|unknown| unknown.selects);
    let all = readable.map(|unknown| &unknown.profile).chain(profiles);
    let profile = match unknown.iter().find(maybe) {
        Some(unknown) => Some(&unknown.profile),
        None => profile::choose(all, &node.labels),
    };
    let is_unknown = |profile: &ExportProfile| {
        let mut unknown = unknown.iter();
        unknown.any(|unknown| unknown.profile.metadata.name == profile.metadata.name)
    };
    let unknown = profile.is_some_and(is_unknown);
    Chosen {
        node,
        profile,
        kept: spec.filter(|_| holds || unknown),
        unknown,
    }
}

/// What a node that keeps its settings is asked to export and has no settings for.
pub fn not_begun<'a>(
    chosen: &'a Chosen<'_>,
    spec: &'a NodeFlowExportSpec,
    targets: &'a Targets,
) -> impl Iterator<Item = String> + 'a {
    let asked = Protocol::ALL
        .into_iter()
        .filter(|protocol| targets.asks(*protocol));
    let new = asked.filter(|protocol| !spec.bridges.iter().any(|bridge| bridge.exports(*protocol)));
    new.map(|protocol| {
        let (name, field) = (name_of(chosen), protocol.field());
        format!("ExportProfile {name} cannot be read: its nodes begin no export of {field}, with what settings is not known")
    })
}

/// That a node exports nothing, because its profile cannot be read and it has no settings
/// to keep.
pub fn not_exporting(chosen: &Chosen<'_>) -> Option<String> {
    chosen.unknown.then(|| {
        let (name, node) = (name_of(chosen), &chosen.node.facts.name);
        format!("ExportProfile {name} cannot be read: node {node} has no settings yet and exports nothing")
    })
}

fn name_of<'a>(chosen: &'a Chosen<'_>) -> &'a str {
    let name = chosen
        .profile
        .and_then(|profile| profile.metadata.name.as_deref());
    name.unwrap_or_default()
}
