//! The kinds of objects that verdicts and decisions about policies need, and what is kept of
//! each: everything else of an object is left out when it comes in.

use serde_json::{Map, Value};

/// What a kind is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// For verdicts: without it there are none.
    Verdicts,
    /// For replay and generation alone.
    Decisions,
}

/// A kind of objects.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its group; empty: `v1`.
    pub group: &'static str,
    /// Its versions, the one that counts first: a cluster that has not got that may have
    /// another, which says the same.
    pub versions: &'static [&'static str],
    /// Its name.
    pub name: &'static str,
    /// Its objects are in namespaces.
    pub is_namespaced: bool,
    /// What it is needed for.
    pub need: Need,
    /// The places of an object that are kept, `[]` for the items of a list; beside the
    /// metadata.
    kept: &'static [&'static str],
}

/// One of [`KINDS`], by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KindNumber(u8);

const fn kind(
    group: &'static str,
    versions: &'static [&'static str],
    name: &'static str,
    need: Need,
    kept: &'static [&'static str],
) -> Kind {
    Kind {
        group,
        versions,
        name,
        is_namespaced: true,
        need,
        kept,
    }
}

impl Kind {
    const fn of_cluster(self) -> Self {
        Self {
            is_namespaced: false,
            ..self
        }
    }

    /// Its objects decide about connections.
    pub fn decides(&self) -> bool {
        self.need == Need::Verdicts && self.kept == ["spec"]
    }

    /// Group and version, as objects have it.
    pub fn api_version(&self, version: &str) -> String {
        match self.group {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        }
    }
}

const POLICY_GROUP: &str = "policy.networking.k8s.io";
const WORKLOAD: &[&str] = &[
    "spec.selector",
    "spec.template.metadata.labels",
    "spec.template.spec.containers[].ports",
    "spec.template.spec.initContainers[].ports",
];
const CRON_JOB: &[&str] = &[
    "spec.jobTemplate.spec.template.metadata.labels",
    "spec.jobTemplate.spec.template.spec.containers[].ports",
    "spec.jobTemplate.spec.template.spec.initContainers[].ports",
];

/// How many kinds there are. A number, and not the length of [`KINDS`]: that one is worked out by
/// functions, of which an optimising compiler must know the types that this is part of.
pub const KIND_COUNT: usize = 21;

/// All kinds. The order is that in which objects of one name are told.
#[rustfmt::skip]
pub const KINDS: [Kind; KIND_COUNT] = {
    use Need::{Decisions, Verdicts};
    [
        kind("", &["v1"], "Namespace", Verdicts, &[]).of_cluster(),
        kind("", &["v1"], "Pod", Verdicts, &[
            "spec.hostNetwork", "spec.nodeName", "spec.containers[].ports", "spec.initContainers[].ports",
            "status.phase", "status.podIP", "status.podIPs",
        ]),
        kind("", &["v1"], "Node", Verdicts, &["spec.podCIDRs", "status.addresses"]).of_cluster(),
        kind("", &["v1"], "Service", Verdicts, &[
            "spec.clusterIP", "spec.clusterIPs", "spec.externalIPs", "spec.ports", "status.loadBalancer",
        ]),
        kind("discovery.k8s.io", &["v1"], "EndpointSlice", Verdicts, &["endpoints", "ports"]),
        kind("networking.k8s.io", &["v1"], "NetworkPolicy", Verdicts, &["spec"]),
        kind(POLICY_GROUP, &["v1alpha1"], "AdminNetworkPolicy", Verdicts, &["spec"]).of_cluster(),
        kind(POLICY_GROUP, &["v1alpha1"], "BaselineAdminNetworkPolicy", Verdicts, &["spec"]).of_cluster(),
        kind(POLICY_GROUP, &["v1beta1", "v1alpha2"], "ClusterNetworkPolicy", Verdicts, &["spec"]).of_cluster(),
        kind("k8s.ovn.org", &["v1"], "EgressFirewall", Verdicts, &["spec"]),
        kind("crd.antrea.io", &["v1beta1"], "ClusterNetworkPolicy", Verdicts, &["spec"]).of_cluster(),
        kind("crd.antrea.io", &["v1beta1"], "NetworkPolicy", Verdicts, &["spec"]),
        kind("apps", &["v1"], "ReplicaSet", Decisions, WORKLOAD),
        kind("batch", &["v1"], "Job", Decisions, WORKLOAD),
        kind("", &["v1"], "ReplicationController", Decisions, WORKLOAD),
        kind("apps", &["v1"], "Deployment", Decisions, WORKLOAD),
        kind("apps", &["v1"], "StatefulSet", Decisions, WORKLOAD),
        kind("apps", &["v1"], "DaemonSet", Decisions, WORKLOAD),
        kind("batch", &["v1"], "CronJob", Decisions, CRON_JOB),
        kind("argoproj.io", &["v1alpha1"], "Rollout", Decisions, WORKLOAD),
        kind("networking.k8s.io", &["v1", "v1beta1"], "ServiceCIDR", Decisions, &["spec.cidrs"]).of_cluster(),
    ]
};

/// What is kept of every object, beside those of the annotations that begin like this.
const METADATA: [&str; 6] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.labels",
    "metadata.ownerReferences",
    "metadata.generation",
    "metadata.creationTimestamp",
];
/// Those by which a network plugin says what its ports on a node are, and Weir what it made.
const ANNOTATIONS: [&str; 4] = [
    "k8s.ovn.org/",
    "ovn.kubernetes.io/",
    "node.antrea.io/",
    "weir.dev/",
];

impl KindNumber {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..KINDS.len()).map(|number| Self(number as u8))
    }

    /// The kind of an object with this `apiVersion` and `kind`, if it is one of them.
    pub fn of(api_version: &str, name: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let is_it =
            |kind: &Kind| kind.group == group && kind.name == name && kind.versions.contains(&version);
        KINDS.iter().position(is_it).map(|number| Self(number as u8))
    }

    /// Its place among them.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// What is known of it.
    pub fn kind(self) -> &'static Kind {
        &KINDS[self.index()]
    }
}

/// What of an object is kept, with `apiVersion` and `kind` as they are told.
pub fn kept_of(object: &Value, kind: &Kind, api_version: &str) -> Value {
    let mut kept = Map::new();
    kept.insert("apiVersion".to_owned(), api_version.into());
    kept.insert("kind".to_owned(), kind.name.into());
    let mut kept = Value::Object(kept);
    for place in METADATA.iter().chain(kind.kept) {
        keep(object, &mut kept, place);
    }
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    let ours = annotations.into_iter().flatten();
    let ours = ours.filter(|(key, _)| ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix)));
    let ours: Map<_, _> = ours.map(|(key, value)| (key.clone(), value.clone())).collect();
    if !ours.is_empty() && kept["metadata"].is_object() {
        kept["metadata"]["annotations"] = Value::Object(ours);
    }
    kept
}

/// Takes what is at a place over, with all that is around it.
fn keep(from: &Value, to: &mut Value, place: &str) {
    let (first, rest) = place
        .split_once('.')
        .map_or((place, None), |(first, rest)| (first, Some(rest)));
    let (name, is_list) = first
        .strip_suffix("[]")
        .map_or((first, false), |name| (name, true));
    let Some(value) = from.get(name).filter(|value| !value.is_null()) else {
        return;
    };
    let Some(rest) = rest else {
        to[name] = value.clone();
        return;
    };
    match value {
        Value::Array(items) if is_list => {
            let kept = items.iter().map(|item| {
                let mut kept = Value::Object(Map::new());
                keep(item, &mut kept, rest);
                kept
            });
            to[name] = kept.collect();
        }
        Value::Object(_) if !is_list => {
            if !to[name].is_object() {
                to[name] = Value::Object(Map::new());
            }
            keep(value, &mut to[name], rest);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_object_only_what_verdicts_need_is_kept() {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "a"}, "managedFields": [{}],
                "annotations": {"big": "…", "k8s.ovn.org/x": "y"}},
            "spec": {"nodeName": "n", "volumes": [{}], "containers": [
                {"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": 80}]}, {"name": "d"}]},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}], "conditions": [{}]},
        });
        let kind = KindNumber::of("v1", "Pod").unwrap().kind();
        assert_eq!(
            kept_of(&pod, kind, "v1"),
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "a", "namespace": "shop", "labels": {"app": "a"},
                    "annotations": {"k8s.ovn.org/x": "y"}},
                "spec": {"nodeName": "n",
                    "containers": [{"ports": [{"name": "web", "containerPort": 80}]}, {}]},
                "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
            })
        );
        // Of what is no object at all, nothing.
        let none = kept_of(&json!([1]), kind, "v1");
        assert_eq!(none, json!({"apiVersion": "v1", "kind": "Pod"}));
    }

    #[test]
    fn a_kind_is_known_by_group_version_and_name() {
        assert_eq!(
            KindNumber::of("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
            KindNumber::of("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy"),
        );
        assert_ne!(
            KindNumber::of("crd.antrea.io/v1beta1", "NetworkPolicy"),
            KindNumber::of("networking.k8s.io/v1", "NetworkPolicy"),
        );
        assert_eq!(KindNumber::of("v1", "Secret"), None);
        assert!(KindNumber::all().all(|number| {
            let kind = number.kind();
            let found = KindNumber::of(&kind.api_version(kind.versions[0]), kind.name);
            found == Some(number)
        }));
    }
}
