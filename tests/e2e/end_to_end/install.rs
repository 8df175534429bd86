//! Installing: the manifests are valid, and each part may do what it needs and
//! nothing else.

use anyhow::{Result, ensure};
use weir_lab::harness::Case;

use crate::stage::{NAMESPACE, Stage, manifests};

pub const CASES: &[Case<Stage>] = &[
    Case::new("the API server accepts the manifests", the_manifests_are_valid),
    Case::new(
        "each part has the rights that it needs and no others",
        rights_are_minimal,
    ),
];

fn the_manifests_are_valid(stage: &mut Stage) -> Result<()> {
    let manifests = manifests().display().to_string();
    let answer = stage
        .kube
        .kubectl(&["apply", "-k", &manifests, "--dry-run=server"])?;
    for object in [
        "daemonset.apps/weir-node",
        "deployment.apps/weir-controller",
        "deployment.apps/weir-collector",
    ] {
        ensure!(answer.contains(object), "no {object} in:\n{answer}");
    }
    let policy = manifests.clone() + "/network-policy/collector.yaml";
    let answer = stage
        .kube
        .kubectl(&["create", "-f", &policy, "--dry-run=server"])?;
    ensure!(
        answer.contains("networkpolicy.networking.k8s.io/weir-collector"),
        "{answer}"
    );
    Ok(())
}

/// Account, verb, resource and its subresource.
type Right = (&'static str, &'static str, &'static str, &'static str);

const ALLOWED: &[Right] = &[
    (
        "weir-controller",
        "patch",
        "networks.operator.openshift.io/cluster",
        "status",
    ),
    ("weir-controller", "create", "nodeflowexports.weir.dev", ""),
    ("weir-controller", "watch", "nodes", ""),
    ("weir-node", "watch", "nodeflowexports.weir.dev", ""),
    ("weir-node", "patch", "nodeflowexports.weir.dev", "status"),
    ("weir-collector", "watch", "pods", ""),
    ("weir-collector", "watch", "replicasets.apps", ""),
    (
        "weir-collector",
        "patch",
        "apiservices.apiregistration.k8s.io/v1.flows.weir.dev",
        "",
    ),
];

const REFUSED: &[Right] = &[
    (
        "weir-controller",
        "patch",
        "networks.operator.openshift.io/cluster",
        "",
    ),
    (
        "weir-controller",
        "patch",
        "networks.operator.openshift.io/other",
        "status",
    ),
    ("weir-controller", "list", "secrets", ""),
    ("weir-controller", "list", "configmaps", ""),
    ("weir-controller", "watch", "pods", ""),
    ("weir-node", "patch", "nodeflowexports.weir.dev", ""),
    ("weir-node", "get", "pods", ""),
    ("weir-node", "get", "nodes", ""),
    ("weir-collector", "list", "secrets", ""),
    ("weir-collector", "get", "secrets", ""),
    (
        "weir-collector",
        "patch",
        "apiservices.apiregistration.k8s.io/v1.apps",
        "",
    ),
    ("weir-collector", "patch", "pods", ""),
    ("weir-collector", "patch", "nodeflowexports.weir.dev", "status"),
];

fn rights_are_minimal(stage: &mut Stage) -> Result<()> {
    for right in ALLOWED {
        ensure!(may(stage, right)?, "{right:?} is not allowed");
    }
    for right in REFUSED {
        ensure!(!may(stage, right)?, "{right:?} is allowed");
    }
    Ok(())
}

fn may(stage: &Stage, (account, verb, resource, subresource): &Right) -> Result<bool> {
    let who = format!("--as=system:serviceaccount:{NAMESPACE}:{account}");
    let mut command = stage.kube.command();
    command.args(["auth", "can-i", "-q", "--all-namespaces", &who, verb, resource]);
    if !subresource.is_empty() {
        command.arg(format!("--subresource={subresource}"));
    }
    Ok(command.output()?.status.success())
}
