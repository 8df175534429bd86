//! What is installed on each platform: the same objects as manifests/overlays, which are
//! built into the program, so that `weir install` needs neither the repository nor kubectl.
//! Pure; a test of the lab holds it against `kubectl kustomize`.

mod merge;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

pub use merge::{merged, patched};

/// What runs Open vSwitch on the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// OVN-Kubernetes, or Open vSwitch of your own
    Kubernetes,
    /// OpenShift, whose Network belongs to the Cluster Network Operator
    Openshift,
    /// Kube-OVN
    KubeOvn,
    /// Antrea
    Antrea,
}

/// By which name a part of manifests/ is known, and its text.
macro_rules! manifest {
    ($path:literal) => {
        ($path, include_str!(concat!("../../manifests/", $path)))
    };
}

type Manifest = (&'static str, &'static str);

const DEFINITIONS: [Manifest; 4] = [
    manifest!("crds/exportprofiles.yaml"),
    manifest!("crds/exportrollouts.yaml"),
    manifest!("crds/flowexports.yaml"),
    manifest!("crds/nodeflowexports.yaml"),
];
const NETWORK: Manifest = manifest!("crds/networks.yaml");
const BASE: [Manifest; 12] = [
    manifest!("base/namespaces.yaml"),
    manifest!("base/rbac/controller.yaml"),
    manifest!("base/rbac/node.yaml"),
    manifest!("base/rbac/collector.yaml"),
    manifest!("base/rbac/people.yaml"),
    manifest!("base/admission.yaml"),
    manifest!("base/flow-control.yaml"),
    manifest!("base/controller.yaml"),
    manifest!("base/node.yaml"),
    manifest!("base/collector.yaml"),
    manifest!("base/apiservice.yaml"),
    manifest!("base/metrics-policy.yaml"),
];
const GATE: Manifest = manifest!("components/gate/node.yaml");
const CONSTRAINTS: Manifest = manifest!("overlays/openshift/security-context-constraints.yaml");

impl Platform {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kubernetes, Self::Openshift, Self::KubeOvn, Self::Antrea];

    /// As it is written on the command line, and as its overlay is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Openshift => "openshift",
            Self::KubeOvn => "kube-ovn",
            Self::Antrea => "antrea",
        }
    }

    /// What a cluster is whose API server serves these groups, and by which group it is
    /// known; none by whose groups no network plugin is known.
    pub fn of(groups: &[String]) -> Option<(Self, &'static str)> {
        // OpenShift first: it has OVN-Kubernetes' group as well.
        let known = [
            ("config.openshift.io", Self::Openshift),
            ("kubeovn.io", Self::KubeOvn),
            ("crd.antrea.io", Self::Antrea),
            ("k8s.ovn.org", Self::Kubernetes),
        ];
        known
            .into_iter()
            .find(|(group, _)| groups.iter().any(|served| served == group))
            .map(|(group, platform)| (platform, group))
    }

    /// The directory of a node that its database's socket is in.
    pub fn socket_directory(self) -> &'static str {
        match self {
            Self::Antrea => "/var/run/antrea/openvswitch",
            Self::Kubernetes | Self::Openshift | Self::KubeOvn => "/var/run/openvswitch",
        }
    }

    fn definitions(self) -> Vec<Manifest> {
        let network = (self != Self::Openshift).then_some(NETWORK);
        DEFINITIONS.into_iter().chain(network).collect()
    }

    fn resources(self) -> Vec<Manifest> {
        let constraints = (self == Self::Openshift).then_some(CONSTRAINTS);
        BASE.into_iter().chain(constraints).collect()
    }

    fn patches(self) -> &'static [Manifest] {
        match self {
            Self::Kubernetes => &[],
            Self::Openshift => &[
                manifest!("overlays/openshift/users-of-the-namespace.yaml"),
                manifest!("overlays/openshift/selinux.yaml"),
            ],
            Self::KubeOvn => &[manifest!("overlays/kube-ovn/socket-owner.yaml")],
            Self::Antrea => &[manifest!("overlays/antrea/socket-directory.yaml")],
        }
    }

    /// All objects, in the order in which they are to be made.
    ///
    /// # Errors
    /// What was built in is no YAML, which a test rules out.
    pub fn objects(self, images: &Images, gate: bool) -> Result<Vec<Value>> {
        let mut all = documents(&self.definitions())?;
        let mut resources = documents(&self.resources())?;
        for patch in documents(self.patches())? {
            let target = resources.iter_mut().find(|object| key(object) == key(&patch));
            let target = target.with_context(|| format!("nothing is called {}", describe(&patch)))?;
            *target = merged(target.take(), patch);
        }
        if self == Self::Openshift {
            add_argument(&mut resources, "weir-controller", OWN_SOURCE);
        }
        if gate {
            put_gate(&mut resources)?;
        }
        for object in &mut resources {
            object["metadata"]["labels"]["app.kubernetes.io/part-of"] = json!("weir");
            images.put_into(object);
        }
        all.append(&mut resources);
        // Whatever else is made is made in them.
        all.sort_by_key(|object| object["kind"] != "Namespace");
        Ok(all)
    }
}

/// The definition of the Network, which OpenShift brings itself, and which is never deleted.
pub const NETWORK_DEFINITION: &str = "networks.operator.openshift.io";

/// Has the controller read `FlowExport/cluster`, which no operator reads.
pub const OWN_SOURCE: &str = "--source=flow-export";

/// Whether a controller's Deployment has it read `FlowExport/cluster`.
pub fn reads_own(controller: &Value) -> bool {
    let arguments = controller
        .pointer("/spec/template/spec/containers/0/args")
        .and_then(Value::as_array);
    let arguments = arguments.into_iter().flatten().filter_map(Value::as_str);
    // An option and its value may be two arguments.
    let line = arguments
        .collect::<Vec<_>>()
        .join(" ")
        .replace("--source ", "--source=");
    line.split(' ').any(|argument| argument == OWN_SOURCE)
}

/// Puts the gate between the node daemon and OVS, as the component does.
fn put_gate(objects: &mut [Value]) -> Result<()> {
    let (path, text) = GATE;
    let operations: Vec<Value> = serde_saphyr::from_str(text).context(path)?;
    let daemon = objects.iter_mut().find(|object| is_node_daemon(object));
    let daemon = daemon.context("there is no node daemon")?;
    *daemon = patched(daemon.take(), &operations).context(path)?;
    Ok(())
}

/// Whether an object is the node daemons'.
pub fn is_node_daemon(object: &Value) -> bool {
    object["kind"] == "DaemonSet" && object["metadata"]["name"] == "weir-node"
}

/// Whether a node daemon reaches OVS through the gate.
pub fn has_gate(daemon: &Value) -> bool {
    let mut containers = CONTAINERS
        .iter()
        .filter_map(|list| daemon.pointer(list)?.as_array())
        .flatten();
    containers.any(|container| container["name"] == "weir-ovsdb-gate")
}

/// Where the containers of a workload stand, the sidecars' last.
pub const CONTAINERS: [&str; 2] = [
    "/spec/template/spec/containers",
    "/spec/template/spec/initContainers",
];

/// Gives a program one more option, as the overlay's JSON patch does.
fn add_argument(objects: &mut [Value], deployment: &str, argument: &str) {
    let of_it =
        |object: &&mut Value| object["kind"] == "Deployment" && object["metadata"]["name"] == deployment;
    let arguments = objects
        .iter_mut()
        .find(of_it)
        .and_then(|object| object.pointer_mut("/spec/template/spec/containers/0/args"))
        .and_then(Value::as_array_mut);
    if let Some(arguments) = arguments {
        arguments.push(json!(argument));
    }
}

/// Where the images come from.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// What stands before their names.
    pub registry: Option<String>,
    /// Their tag; `latest` unless it is given.
    pub tag: Option<String>,
}

impl Images {
    fn put_into(&self, object: &mut Value) {
        for list in CONTAINERS {
            let containers = object.pointer_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                if let Some(name) = container["image"].as_str() {
                    container["image"] = json!(self.of(name));
                }
            }
        }
    }

    fn of(&self, name: &str) -> String {
        let registry = self.registry.as_deref().map_or(String::new(), |registry| {
            format!("{}/", registry.trim_end_matches('/'))
        });
        let tag = self.tag.as_deref().unwrap_or("latest");
        format!("{registry}{name}:{tag}")
    }
}

fn documents(manifests: &[Manifest]) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for (path, text) in manifests {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).with_context(|| (*path).to_owned())?;
        all.extend(objects.into_iter().filter(Value::is_object));
    }
    Ok(all)
}

/// By what an object is known.
fn key(object: &Value) -> (&Value, &Value, &Value) {
    let metadata = &object["metadata"];
    (&object["kind"], &metadata["namespace"], &metadata["name"])
}

/// `kind/name`, as kubectl writes it.
pub fn describe(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{}/{}",
        text(&object["kind"]).to_lowercase(),
        text(&object["metadata"]["name"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Option<&'a Value> {
        objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    #[test]
    fn every_platform_has_its_objects_and_openshift_leaves_the_network_alone() {
        for platform in Platform::ALL {
            let objects = platform.objects(&Images::default(), false).unwrap();
            assert_eq!(objects[0]["kind"], "Namespace");
            let network = find(&objects, "CustomResourceDefinition", NETWORK_DEFINITION);
            assert_eq!(network.is_none(), platform == Platform::Openshift);
            let daemon = find(&objects, "DaemonSet", "weir-node").unwrap();
            let pod = &daemon["spec"]["template"]["spec"];
            assert_eq!(pod["volumes"][0]["hostPath"]["path"], platform.socket_directory());
            assert_eq!(pod["containers"][0]["image"], "weir-node:latest");
        }
    }

    #[test]
    fn no_directory_is_made_on_a_host_that_has_no_open_vswitch() {
        for platform in Platform::ALL {
            for gate in [false, true] {
                let objects = platform.objects(&Images::default(), gate).unwrap();
                let daemon = objects.iter().find(|object| is_node_daemon(object)).unwrap();
                let volumes = daemon["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
                let of_host: Vec<_> = volumes.iter().filter(|v| v["hostPath"] != Value::Null).collect();
                assert_eq!(of_host.len(), 1, "{platform:?}");
                assert_eq!(of_host[0]["hostPath"]["type"], "Directory", "{platform:?}");
            }
        }
    }

    #[test]
    fn with_the_gate_the_node_daemon_sees_neither_the_switch_nor_has_the_gate_a_token() {
        for platform in Platform::ALL {
            let objects = platform.objects(&Images::default(), true).unwrap();
            let daemon = objects.iter().find(|object| is_node_daemon(object)).unwrap();
            assert!(has_gate(daemon));
            let pod = &daemon["spec"]["template"]["spec"];
            let mounts = |containers: &str| {
                let mounts = pod[containers][0]["volumeMounts"].as_array().unwrap().iter();
                mounts
                    .map(|mount| mount["name"].as_str().unwrap())
                    .collect::<Vec<_>>()
            };
            assert_eq!(mounts("containers"), ["gate", "api-token"]);
            assert_eq!(mounts("initContainers"), ["openvswitch", "gate"]);
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(pod["containers"][0]["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
            let gate = &pod["initContainers"][0];
            assert_eq!(gate["image"], "weir-ovsdb-gate:latest");
            // Started before weir-node and ended after it, which takes a probe of its start.
            assert_eq!(gate["restartPolicy"], "Always");
            assert!(gate["startupProbe"].is_object() && gate["livenessProbe"].is_object());
            assert_eq!(pod["volumes"][0]["hostPath"]["path"], platform.socket_directory());
        }
        let without = Platform::Kubernetes.objects(&Images::default(), false).unwrap();
        assert!(!without.iter().any(has_gate));
    }

    /// What OpenShift's admission says of a pod's SELinux label: under MustRunAs each part is
    /// to be what the constraints have, and a level that they leave out is the namespace's.
    fn takes_label(constraints: &Value, pod: &Value) -> bool {
        let namespaces = json!("s0:c26,c5");
        let rule = &constraints["seLinuxContext"];
        let of_pod = &pod["securityContext"]["seLinuxOptions"];
        if rule["type"] == "RunAsAny" || of_pod.is_null() {
            return true;
        }
        let wanted = |part: &str| match &rule["seLinuxOptions"][part] {
            Value::Null if part == "level" => namespaces.clone(),
            value => value.clone(),
        };
        ["user", "role", "type", "level"]
            .iter()
            .all(|part| of_pod[*part] == wanted(part))
    }

    #[test]
    fn openshift_takes_the_label_of_the_node_daemons_pod() {
        let objects = Platform::Openshift.objects(&Images::default(), false).unwrap();
        let constraints = find(&objects, "SecurityContextConstraints", "weir-node").unwrap();
        let pod = &find(&objects, "DaemonSet", "weir-node").unwrap()["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["seLinuxOptions"], json!({"type": "spc_t"}));
        assert!(takes_label(constraints, pod), "{}", constraints["seLinuxContext"]);
        let narrow = json!({"seLinuxContext": {"type": "MustRunAs", "seLinuxOptions": {"type": "spc_t"}}});
        assert!(!takes_label(&narrow, pod));
    }

    #[test]
    fn what_a_controller_reads_is_told_by_its_arguments() {
        let of = |arguments: Value| {
            reads_own(&json!({"spec": {"template": {"spec": {"containers": [{"args": arguments}]}}}}))
        };
        assert!(of(json!(["--a", "--source=flow-export"])));
        assert!(of(json!(["--source", "flow-export"])));
        assert!(!of(json!(["--source=network"])) && !of(json!([])) && !of(Value::Null));
        let objects = Platform::Openshift.objects(&Images::default(), false).unwrap();
        assert!(reads_own(
            find(&objects, "Deployment", "weir-controller").unwrap()
        ));
    }

    #[test]
    fn images_are_of_the_registry_and_tag_that_are_asked_for() {
        let images = Images {
            registry: Some("registry.example/weir/".into()),
            tag: Some("1.2".into()),
        };
        let objects = Platform::KubeOvn.objects(&images, false).unwrap();
        let pod = &find(&objects, "Deployment", "weir-collector").unwrap()["spec"]["template"]["spec"];
        assert_eq!(
            pod["containers"][0]["image"],
            "registry.example/weir/weir-collector:1.2"
        );
    }

    #[test]
    fn a_platform_is_known_by_the_groups_of_its_network() {
        let of = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            Platform::of(&groups).map(|(platform, _)| platform)
        };
        assert_eq!(
            of(&["apps", "k8s.ovn.org", "config.openshift.io"]),
            Some(Platform::Openshift)
        );
        assert_eq!(of(&["k8s.ovn.org"]), Some(Platform::Kubernetes));
        assert_eq!(of(&["kubeovn.io"]), Some(Platform::KubeOvn));
        assert_eq!(of(&["crd.antrea.io"]), Some(Platform::Antrea));
        assert_eq!(of(&["apps", "cilium.io"]), None);
    }
}
