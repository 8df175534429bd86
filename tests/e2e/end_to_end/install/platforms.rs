//! Each platform's overlay, alone and with every component, on a real API server. What the
//! platform brings itself (OpenShift's SecurityContextConstraints, the Prometheus Operator's
//! objects) is defined here without a schema: that such objects are taken says that they
//! are well-formed, not that their own controllers like them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_lab::{product, program, wait_until};

use crate::stage::{DEADLINE, NAMESPACE, NODE_NAMESPACE, Stage, manifests};

pub const OVERLAYS: [&str; 4] = ["kubernetes", "openshift", "kube-ovn", "antrea"];
const COMPONENTS: [&str; 7] = [
    "gate",
    "disruption-budgets",
    "network-policies",
    "monitoring",
    "dashboards",
    "ipv4-only",
    "flow-metrics",
];

/// Group, kind, plural, and whether it is of a namespace.
const FOREIGN: [(&str, &str, &str, bool); 4] = [
    (
        "security.openshift.io",
        "SecurityContextConstraints",
        "securitycontextconstraints",
        false,
    ),
    ("monitoring.coreos.com", "ServiceMonitor", "servicemonitors", true),
    ("monitoring.coreos.com", "PodMonitor", "podmonitors", true),
    ("monitoring.coreos.com", "PrometheusRule", "prometheusrules", true),
];

/// Defines what platforms bring themselves.
pub fn define_foreign(stage: &Stage) -> Result<()> {
    let definition = |(group, kind, plural, namespaced): &(&str, &str, &str, bool)| {
        let scope = if *namespaced { "Namespaced" } else { "Cluster" };
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group, "scope": scope,
                "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    } },
                }],
            },
        })
    };
    let items: Vec<Value> = FOREIGN.iter().map(definition).collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    stage.kube.apply(&list.to_string())?;
    let established = ["wait", "--for=condition=Established", "--timeout=30s"];
    let names: Vec<String> = FOREIGN
        .iter()
        .map(|(group, _, plural, _)| format!("crd/{plural}.{group}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.kube.kubectl(&[&established[..], &names].concat()).map(drop)
}

/// A copy of the manifests with a kustomization beside them, as a user writes one.
pub fn with_components(stage: &Stage, overlay: &str, components: &[&str]) -> Result<PathBuf> {
    let folder = stage.lab.directory().join("platforms");
    fs::create_dir_all(&folder)?;
    if !folder.join("manifests").exists() {
        program::read(program::command("cp")?.arg("-r").arg(manifests()).arg(&folder))?;
    }
    let own = folder.join(format!("{overlay}-{}", components.len()));
    fs::create_dir_all(&own)?;
    let components: String = components
        .iter()
        .map(|name| format!("- ../manifests/components/{name}\n"))
        .collect();
    fs::write(
        own.join("kustomization.yaml"),
        format!("resources:\n- ../manifests/overlays/{overlay}\ncomponents:\n{components}"),
    )?;
    Ok(own)
}

pub fn every_overlay_is_accepted(stage: &mut Stage) -> Result<()> {
    define_foreign(stage)?;
    for overlay in OVERLAYS {
        let folder = with_components(stage, overlay, &COMPONENTS)?
            .display()
            .to_string();
        let dry = ["apply", "-k", &folder, "--dry-run=server"];
        let answer = stage.kube.kubectl(&dry).with_context(|| overlay.to_owned())?;
        for object in [
            "daemonset.apps/weir-node",
            "deployment.apps/weir-controller",
            "deployment.apps/weir-collector",
            "validatingadmissionpolicybinding.admissionregistration.k8s.io/weir-node-own-status",
            "poddisruptionbudget.policy/weir-controller",
            "networkpolicy.networking.k8s.io/weir-collector",
            "servicemonitor.monitoring.coreos.com/weir-collector",
            "prometheusrule.monitoring.coreos.com/weir",
            "configmap/weir-dashboard",
            "customresourcedefinition.apiextensions.k8s.io/flowmetrics.flows.netobserv.io",
        ] {
            ensure!(answer.contains(object), "{overlay}: no {object} in:\n{answer}");
        }
        for definition in definitions()? {
            let is_left_out = overlay == "openshift" && definition.starts_with("networks.");
            ensure!(
                answer.contains(&definition) != is_left_out,
                "{overlay}: {definition} in:\n{answer}"
            );
        }
    }
    let whole = manifests().display().to_string();
    let kustomize = |path: &str| stage.kube.kubectl(&["kustomize", path]);
    ensure!(kustomize(&whole)? == kustomize(&format!("{whole}/overlays/kubernetes"))?);
    Ok(())
}

/// The names of all definitions that are generated.
fn definitions() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(manifests().join("crds"))? {
        let path = file?.path();
        let stem = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        if stem != "kustomization" {
            let group = if stem == "networks" {
                "operator.openshift.io"
            } else {
                "weir.dev"
            };
            names.push(format!("{stem}.{group}"));
        }
    }
    Ok(names)
}

/// The objects of an overlay.
pub fn objects(stage: &Stage, overlay: &str) -> Result<Vec<Value>> {
    objects_of(stage, &manifests().join("overlays").join(overlay))
}

/// The objects of a kustomization.
pub fn objects_of(stage: &Stage, folder: &Path) -> Result<Vec<Value>> {
    let folder = folder.display().to_string();
    // Not applied: that would show what is there already, too.
    let dry = ["create", "-k", &folder, "--dry-run=client", "-o", "json"];
    parse(&stage.kube.kubectl(&dry)?)
}

/// Objects as kubectl prints them, one after the other.
pub fn parse(text: &str) -> Result<Vec<Value>> {
    let objects: Result<_, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    Ok(objects?)
}

pub fn both_families_are_served(stage: &mut Stage) -> Result<()> {
    // The lab's API server gives addresses of both families.
    let service = stage
        .kube
        .object(&["service", "weir-collector", "-n", NAMESPACE])?;
    ensure!(
        service["spec"]["clusterIPs"].as_array().map(Vec::len) == Some(2),
        "{service}"
    );
    let listens = "--http=[::]:8080";
    let objects = objects(stage, "kubernetes")?;
    for (kind, name) in [("Deployment", "weir-controller"), ("DaemonSet", "weir-node")] {
        let container = &find(&objects, kind, name)?["spec"]["template"]["spec"]["containers"][0];
        ensure!(container["args"].to_string().contains(listens), "{container}");
    }
    // As the manifests say, on another port: others of the lab listen there.
    let daemon = stage.lab.node("node-a")?;
    let mut command = daemon
        .netns()
        .command(&product::path("weir-node")?.display().to_string())?;
    command.args([
        "--node-name",
        "node-a",
        "--ovsdb",
        "unix:/nonexistent/db.sock",
        "--http",
        "[::]:9191",
    ]);
    command.env(
        "KUBECONFIG",
        stage.kube.pod_kubeconfig(NODE_NAMESPACE, "weir-node", "node-a")?,
    );
    let process = daemon.spawn("weir-node-of-both-families", &mut command)?;
    for address in ["127.0.0.1:9191", "[::1]:9191"] {
        wait_until(&format!("an answer at {address}"), DEADLINE, || {
            let mut curl = daemon.netns().command("curl")?;
            let url = format!("http://{address}/metrics");
            program::read(curl.args(["--silent", "--show-error", "--fail", "--max-time", "5", &url]))
                .map(|_| true)
        })?;
    }
    process.terminate(DEADLINE).map(drop)
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.with_context(|| format!("{kind} {name}"))
}

pub fn openshift_keeps_its_own(stage: &mut Stage) -> Result<()> {
    define_foreign(stage)?;
    let objects = objects(stage, "openshift")?;
    ensure!(
        find(
            &objects,
            "CustomResourceDefinition",
            "networks.operator.openshift.io"
        )
        .is_err()
    );
    for name in ["weir-controller", "weir-collector"] {
        let pod = &find(&objects, "Deployment", name)?["spec"]["template"]["spec"];
        let context = &pod["securityContext"];
        ensure!(context["runAsNonRoot"] == true, "{name}: {context}");
        for key in ["runAsUser", "runAsGroup", "fsGroup"] {
            ensure!(context[key].is_null(), "{name}: {key} in {context}");
        }
    }
    let constraints = find(&objects, "SecurityContextConstraints", "weir-node")?;
    // MustRunAs would want the level of the namespace as well, which the pod does not name.
    ensure!(constraints["seLinuxContext"] == json!({ "type": "RunAsAny" }));
    ensure!(constraints["users"] == json!([format!("system:serviceaccount:{NODE_NAMESPACE}:weir-node")]));
    for granted in [
        "allowPrivilegedContainer",
        "allowHostNetwork",
        "allowHostPID",
        "allowPrivilegeEscalation",
    ] {
        ensure!(constraints[granted] == false, "{granted}");
    }
    let daemon = &find(&objects, "DaemonSet", "weir-node")?["spec"]["template"]["spec"];
    ensure!(
        daemon["securityContext"]["seLinuxOptions"]["type"] == "spc_t",
        "{daemon}"
    );
    Ok(())
}

pub fn pods_meet_the_level_of_their_namespace(stage: &mut Stage) -> Result<()> {
    for overlay in OVERLAYS {
        define_foreign(stage)?;
        let mut objects = objects(stage, overlay)?;
        let gated = objects_of(stage, &with_components(stage, overlay, &["gate"])?)?;
        let mut gated = find(&gated, "DaemonSet", "weir-node")?.clone();
        gated["metadata"]["name"] = json!("weir-node behind the gate");
        objects.push(gated);
        for (kind, name, namespace, admitted) in [
            ("Deployment", "weir-controller", NAMESPACE, true),
            ("Deployment", "weir-collector", NAMESPACE, true),
            ("DaemonSet", "weir-node", NODE_NAMESPACE, true),
            ("DaemonSet", "weir-node behind the gate", NODE_NAMESPACE, true),
            ("DaemonSet", "weir-node", NAMESPACE, false),
        ] {
            let outcome = admit(stage, find(&objects, kind, name)?, namespace);
            let said = outcome
                .as_ref()
                .err()
                .map(|error| format!("{error:#}"))
                .unwrap_or_default();
            ensure!(
                outcome.is_ok() == admitted,
                "{overlay}: {name} in {namespace}: {said}"
            );
            ensure!(
                admitted || said.contains("violates PodSecurity \"restricted"),
                "{said}"
            );
        }
    }
    Ok(())
}

/// Tries to make a pod of a workload's template.
fn admit(stage: &Stage, workload: &Value, namespace: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "one-of-its-pods", "namespace": namespace },
        "spec": workload["spec"]["template"]["spec"],
    });
    let mut command = stage.kube.command();
    command.args(["create", "--dry-run=server", "-f", "-"]);
    program::read_with_input(&mut command, &pod.to_string()).map(drop)
}
