//! What the token of each program may do, and that it does all of it.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{program, wait_for, wait_until};

use crate::{
    flow_metrics, policies,
    questions::{aggregated, asking},
    stage::{DEADLINE, NAMESPACE, NODE_ACCOUNT, NODE_NAMESPACE, Stage},
};

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
    (
        "weir-controller",
        "patch",
        "exportrollouts.weir.dev/cluster",
        "status",
    ),
    ("weir-controller", "watch", "nodes", ""),
    ("weir-node", "watch", "nodeflowexports.weir.dev", ""),
    ("weir-node", "patch", "nodeflowexports.weir.dev", "status"),
    ("weir-collector", "watch", "pods", ""),
    ("weir-collector", "watch", "replicasets.apps", ""),
    ("weir-collector", "watch", "flowmetrics.flows.netobserv.io", ""),
    ("weir-collector", "watch", "networkpolicies.networking.k8s.io", ""),
    ("weir-collector", "watch", "namespaces", ""),
    (
        "weir-collector",
        "get",
        "networks.operator.openshift.io/cluster",
        "",
    ),
    ("weir-collector", "list", "exportprofiles.weir.dev", ""),
    (
        "weir-collector",
        "watch",
        "flowcollectors.flows.netobserv.io/cluster",
        "",
    ),
    (
        "weir-collector",
        "patch",
        "flowmetrics.flows.netobserv.io",
        "status",
    ),
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
    ("weir-controller", "patch", "exportrollouts.weir.dev/cluster", ""),
    (
        "weir-controller",
        "patch",
        "exportrollouts.weir.dev/other",
        "status",
    ),
    // In its own namespace alone.
    ("weir-controller", "list", "controllerrevisions.apps", ""),
    ("weir-controller", "list", "deployments.apps", ""),
    ("weir-controller", "list", "secrets", ""),
    ("weir-controller", "list", "configmaps", ""),
    ("weir-controller", "watch", "pods", ""),
    ("weir-node", "patch", "nodeflowexports.weir.dev", ""),
    ("weir-node", "create", "nodeflowexports.weir.dev", ""),
    ("weir-node", "delete", "nodeflowexports.weir.dev", ""),
    ("weir-node", "patch", "networks.operator.openshift.io/cluster", ""),
    ("weir-node", "list", "exportprofiles.weir.dev", ""),
    ("weir-node", "list", "secrets", ""),
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
    (
        "weir-collector",
        "patch",
        "networks.operator.openshift.io/cluster",
        "",
    ),
    (
        "weir-collector",
        "get",
        "networks.operator.openshift.io/other",
        "",
    ),
    ("weir-collector", "patch", "exportprofiles.weir.dev", ""),
    ("weir-collector", "patch", "exportrollouts.weir.dev/cluster", ""),
    ("weir-collector", "get", "networkpolicies.networking.k8s.io", ""),
    ("weir-collector", "patch", "networkpolicies.networking.k8s.io", ""),
    ("weir-collector", "patch", "nodeflowexports.weir.dev", "status"),
    ("weir-collector", "patch", "flowmetrics.flows.netobserv.io", ""),
    ("weir-collector", "create", "flowmetrics.flows.netobserv.io", ""),
    (
        "weir-collector",
        "watch",
        "flowcollectors.flows.netobserv.io/other",
        "",
    ),
];

pub fn rights_are_minimal(stage: &mut Stage) -> Result<()> {
    // kubectl asks about resources that there are.
    flow_metrics::with_the_definition(stage, |stage| {
        for right in ALLOWED {
            ensure!(may(stage, right)?, "{right:?} is not allowed");
        }
        for right in REFUSED {
            ensure!(!may(stage, right)?, "{right:?} is allowed");
        }
        Ok(())
    })
}

fn may(stage: &Stage, (account, verb, resource, subresource): &Right) -> Result<bool> {
    let who = format!("--as={}", user(account));
    let mut command = stage.kube.command();
    command.args(["auth", "can-i", "-q", "--all-namespaces", &who, verb, resource]);
    if !subresource.is_empty() {
        command.arg(format!("--subresource={subresource}"));
    }
    Ok(command.output()?.status.success())
}

/// Nothing in the lab adds aggregated roles up, so the roles are asked what they give, and
/// to which of Kubernetes' own.
pub fn people_have_view_and_edit(stage: &mut Stage) -> Result<()> {
    let role = |name: &str| stage.kube.object(&["clusterrole", name]);
    let (view, edit) = (role("weir-view")?, role("weir-edit")?);
    let label = |to: &str| format!("rbac.authorization.k8s.io/aggregate-to-{to}");
    ensure!(view["metadata"]["labels"][label("view")] == "true", "{view}");
    let labels = &edit["metadata"]["labels"];
    ensure!(
        labels[label("edit")] == "true" && labels[label("view")].is_null(),
        "{edit}"
    );
    let rule = |role: &Value| {
        (
            role["rules"][0]["resources"].clone(),
            role["rules"][0]["verbs"].clone(),
        )
    };
    let read = serde_json::json!(["get", "list", "watch"]);
    ensure!(rule(&view) == (serde_json::json!(["*"]), read), "{view}");
    // Where flows go is said by resources that nobody is given by these.
    ensure!(rule(&edit).0 == serde_json::json!(["exportprofiles"]), "{edit}");
    let one_rule = |role: &Value| role["rules"].as_array().map(Vec::len) == Some(1);
    ensure!(one_rule(&view) && one_rule(&edit), "{view} {edit}");
    Ok(())
}

/// The user that an account of ours is.
fn user(account: &str) -> String {
    let namespace = if account == NODE_ACCOUNT {
        NODE_NAMESPACE
    } else {
        NAMESPACE
    };
    format!("system:serviceaccount:{namespace}:{account}")
}

const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

pub fn a_node_reports_of_itself_alone(stage: &mut Stage) -> Result<()> {
    let own = stage
        .kube
        .pod_kubeconfig(NODE_NAMESPACE, NODE_ACCOUNT, "node-a")?;
    let bound_to_no_node = stage
        .kube
        .service_account_kubeconfig(NODE_NAMESPACE, NODE_ACCOUNT)?;
    for form in [MERGE, APPLY] {
        let (code, answer) = report(stage, &own, "node-a", form)?;
        ensure!(code == 200, "{form}: {code} {answer}");
        let (code, answer) = report(stage, &own, "node-b", form)?;
        ensure!(
            code == 403 && answer.contains("node node-a's") && answer.contains("the report is node node-b's"),
            "{form}: {code} {answer}"
        );
        let (code, answer) = report(stage, &bound_to_no_node, "node-a", form)?;
        ensure!(
            code == 403 && answer.contains("bound to no node"),
            "{form}: {code} {answer}"
        );
    }
    // Others, the controller first of all, are not concerned.
    let (code, answer) = report(stage, &stage.kube.kubeconfig(), "node-b", MERGE)?;
    ensure!(code == 200, "{code} {answer}");
    Ok(())
}

/// A machine that is gone leaves a token, and another takes its name.
pub fn a_node_of_the_same_name_is_another(stage: &mut Stage) -> Result<()> {
    const NODE: &str = "reborn";
    let begin = || -> Result<()> {
        stage
            .kube
            .apply("{apiVersion: v1, kind: Node, metadata: {name: reborn}}")?;
        wait_until("an object of the node", DEADLINE, || {
            let uid = stage.kube.object(&["node", NODE])?["metadata"]["uid"].clone();
            let owners = stage.kube.object(&["nodeflowexport", NODE])?["metadata"]["ownerReferences"].clone();
            ensure!(owners[0]["uid"] == uid, "{owners} is not {uid}");
            Ok(true)
        })
    };
    let end = || -> Result<()> {
        stage.kube.kubectl(&["delete", "node", NODE])?;
        let object = format!("nodeflowexport/{NODE}");
        let gone = ["wait", "--for=delete", &object, "--timeout=30s"];
        stage.kube.kubectl(&gone).map(drop)
    };
    let token = |file: &str| -> Result<_> {
        let kubeconfig = stage.kube.pod_kubeconfig(NODE_NAMESPACE, NODE_ACCOUNT, NODE)?;
        let own = stage.lab.directory().join(file);
        fs::copy(kubeconfig, &own)?;
        Ok(own)
    };
    let unnamed = token("token-without-uid")?;
    begin()?;
    let (code, answer) = report(stage, &unnamed, NODE, MERGE)?;
    ensure!(
        code == 403 && answer.contains("which names no uid") && answer.contains("a pod made anew"),
        "{code} {answer}"
    );
    let old = token("token-of-the-first")?;
    let (code, answer) = report(stage, &old, NODE, MERGE)?;
    ensure!(code == 200, "{code} {answer}");
    end()?;
    begin()?;
    for form in [MERGE, APPLY] {
        let (code, answer) = report(stage, &old, NODE, form)?;
        ensure!(
            code == 403 && answer.contains("another node of the name reborn"),
            "{form}: {code} {answer}"
        );
    }
    let new = token("token-of-the-second")?;
    let (code, answer) = report(stage, &new, NODE, MERGE)?;
    ensure!(code == 200, "{code} {answer}");
    end()?;
    let pod = format!("{NODE_ACCOUNT}-{NODE}");
    let delete = [
        "delete",
        "pod",
        "-n",
        NODE_NAMESPACE,
        &pod,
        "--grace-period=0",
        "--force",
    ];
    stage.kube.kubectl(&delete).map(drop)
}

/// Tries to write a node's report, without doing it; the code and the text of the answer.
fn report(stage: &Stage, kubeconfig: &Path, node: &str, form: &str) -> Result<(u16, String)> {
    let config: Value = serde_json::from_str(&fs::read_to_string(kubeconfig)?)?;
    let token = config["users"][0]["user"]["token"].as_str().context("a token")?;
    let body = serde_json::json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": { "name": node },
        "status": { "ovsVersion": "forged" },
    });
    let url = format!(
        "{}/apis/weir.dev/v1alpha1/nodeflowexports/{node}/status?dryRun=All&fieldManager=forger&force={}",
        stage.kube.url(),
        form == APPLY,
    );
    // Only applying may be forced.
    let url = url.trim_end_matches("&force=false");
    let mut curl = stage.lab.underlay().command("curl")?;
    curl.args([
        "--silent",
        "--show-error",
        "--insecure",
        "--max-time",
        "10",
        "--request",
        "PATCH",
    ]);
    curl.args(["--header", &format!("Authorization: Bearer {token}")]);
    curl.args([
        "--header",
        &format!("Content-Type: {form}"),
        "--data",
        &body.to_string(),
    ]);
    curl.args(["--write-out", "\n%{http_code}", url]);
    let answer = program::read(&mut curl)?;
    let (text, code) = answer.trim_end().rsplit_once('\n').context("a code")?;
    Ok((code.parse()?, text.to_owned()))
}

/// Account, group of the API, resource with its subresource, verb.
type Use = (String, String, String, String);

/// Who applies an object that is not there needs these rights beside those to patch, and
/// the request is logged as the patch that it is.
const WITHIN_A_PATCH: [(&str, &str, &str); 2] = [
    ("weir.dev", "nodeflowexports", "create"),
    ("apps", "controllerrevisions", "create"),
];

pub fn each_right_is_used(stage: &mut Stage) -> Result<()> {
    use_all_rights(stage)?;
    policies::with_all_kinds(stage, all_are_used)
}

fn all_are_used(stage: &mut Stage) -> Result<()> {
    let given = rights_given(stage)?;
    ensure!(given.len() > 20, "only {given:?}");
    let mut unused = BTreeSet::new();
    wait_until("each right to be used", DEADLINE, || {
        let used = rights_used(&stage.kube.audit_log()?);
        unused = given.difference(&used).cloned().collect();
        unused
            .retain(|(_, group, resource, verb)| !WITHIN_A_PATCH.contains(&(&**group, &**resource, &**verb)));
        ensure!(unused.is_empty(), "nobody used {unused:?}");
        Ok(true)
    })
}

/// Export comes and goes twice, a node comes and goes, a spec is meddled with, the Lease is
/// gone, the other source is read, somebody asks, a certificate is made, and a FlowMetric counts.
fn use_all_rights(stage: &mut Stage) -> Result<()> {
    stage
        .kube
        .apply("{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: used}, spec: {}}")?;
    // What happens again is the same event, seen once more.
    for _ in 0..2 {
        stage.clear()?;
        stage.wait_condition(NETWORK, "FlowExportAvailable", "False", &[])?;
        stage.export("netFlow", &["172.30.0.1:2056"])?;
        stage.wait_condition(NETWORK, "FlowExportAvailable", "True", &[])?;
    }
    meddle(stage)?;
    roll_out(stage)?;
    // Nothing runs on it.
    stage
        .kube
        .apply("{apiVersion: v1, kind: Node, metadata: {name: passing}}")?;
    let object = "nodeflowexport/passing";
    wait_until("an object of the new node", DEADLINE, || {
        stage.kube.kubectl(&["get", object]).map(|_| true)
    })?;
    stage.kube.kubectl(&["delete", "node", "passing"])?;
    let gone = ["wait", "--for=delete", object, "--timeout=30s"];
    stage.kube.kubectl(&gone)?;
    stage
        .kube
        .kubectl(&["delete", "lease", "-n", NAMESPACE, "weir-controller"])?;
    stage.kube.kubectl(&["delete", "exportprofile", "used"])?;
    let token = asking::account(stage, "sees-all", Some("*"))?;
    asking::weir(&["query", "--server", asking::SERVER], &token)?;
    the_export_is_hidden(&token)?;
    aggregated::with_certificate(stage, the_export_is_told)?;
    flow_metrics::with_the_definition(stage, flow_metrics::define_one)?;
    stage.clear()?;
    read_the_other_source(stage)
}

/// Who sees all flows and may not read the objects is told which rights they lack.
fn the_export_is_hidden(sees_flows: &str) -> Result<()> {
    for page in ["exports", "exports/changes"] {
        let (status, told) = asking::ask(&format!("/api/v1/{page}"), sees_flows)?;
        ensure!(
            status == 200 && told["nodes"].is_null(),
            "{page}: {status} {told}"
        );
        ensure!(
            told["hidden"].as_array().is_some_and(|hidden| hidden.len() > 2),
            "{told}"
        );
    }
    Ok(())
}

/// Who may read the objects is told all that they say.
fn the_export_is_told(stage: &Stage) -> Result<()> {
    let page = "/apis/flows.weir.dev/v1/exports";
    let all: Value = serde_json::from_str(&stage.kube.kubectl(&["get", "--raw", page])?)?;
    let nodes = all["nodes"].as_array().context("nodes")?;
    ensure!(!nodes.is_empty() && all["source"]["kind"] == "Network", "{all}");
    ensure!(all["unread"].as_array().is_some_and(Vec::is_empty), "{all}");
    let changes = stage
        .kube
        .kubectl(&["get", "--raw", &format!("{page}/changes")])?;
    let changes: Value = serde_json::from_str(&changes)?;
    ensure!(
        changes["unread"].as_array().is_some_and(Vec::is_empty)
            && changes["hidden"].as_array().is_some_and(Vec::is_empty),
        "{changes}"
    );
    let plan = format!("{page}/plan?net_flow=none");
    let plan: Value = serde_json::from_str(&stage.kube.kubectl(&["get", "--raw", &plan])?)?;
    ensure!(
        plan["documents"][0]["object"] == "network.operator cluster",
        "{plan}"
    );
    Ok(())
}

const NETWORK: &[&str] = &["network.operator", "cluster"];
const FLOW_EXPORT: &[&str] = &["flowexport", "cluster"];

/// As on OpenShift, and as where the node daemons run in pods.
fn read_the_other_source(stage: &mut Stage) -> Result<()> {
    let names: Vec<String> = stage.controllers.keys().cloned().collect();
    for name in &names {
        let controller = stage.controllers.remove(name).context("it runs")?;
        controller.terminate(DEADLINE)?;
    }
    stage
        .kube
        .apply("{apiVersion: weir.dev/v1alpha1, kind: FlowExport, metadata: {name: cluster}, spec: {}}")?;
    let options = ["--source=flow-export", "--daemon-namespace", NODE_NAMESPACE];
    stage.start_controller_with("controller-of-openshift", &options)?;
    stage.wait_condition(FLOW_EXPORT, "FlowExportProgressing", "False", &[])?;
    let other = stage.controllers.remove("controller-of-openshift");
    other.context("it runs")?.terminate(DEADLINE)?;
    stage.kube.kubectl(&["delete", "flowexport", "cluster"])?;
    names.iter().try_for_each(|name| stage.start_controller(name))
}

/// More revisions than are kept, none of which makes a difference to a node.
fn roll_out(stage: &Stage) -> Result<()> {
    const ROLLOUT: &[&str] = &["exportrollout", "cluster"];
    stage.kube.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: ExportRollout, metadata: {name: cluster}, spec: {soak: 0s}}",
    )?;
    let completed = |other_than: &Value| {
        wait_for("a completed revision", DEADLINE, || {
            let status = stage.kube.object(ROLLOUT)?["status"].clone();
            let completed = status["completedRevision"].clone();
            let is = status["phase"] == "Completed" && completed.is_string() && completed != *other_than;
            ensure!(is, "it is {status}");
            Ok(Some(completed))
        })
    };
    let mut last = completed(&Value::Null)?;
    for tag in 0..11 {
        let patch =
            serde_json::json!({"spec": {"nodeSelector": {"matchLabels": {"nobody-has": tag.to_string()}}}});
        let patch = patch.to_string();
        stage
            .kube
            .kubectl(&["patch", "exportprofile", "used", "--type=merge", "-p", &patch])?;
        last = completed(&last)?;
    }
    stage.kube.kubectl(&["delete", ROLLOUT[0], ROLLOUT[1]]).map(drop)
}

/// Adds to a spec what the controller did not write; it takes that away.
fn meddle(stage: &Stage) -> Result<()> {
    let mine = r#"{"spec":{"bridges":[{"name":"br-mine"}]}}"#;
    stage
        .kube
        .kubectl(&["patch", "nodeflowexport", "node-b", "--type=merge", "-p", mine])?;
    wait_until("the spec to be the controller's again", DEADLINE, || {
        let spec = stage.kube.object(&["nodeflowexport", "node-b"])?["spec"].to_string();
        ensure!(!spec.contains("br-mine"), "{spec}");
        Ok(true)
    })
}

/// What the roles of our accounts give, a verb each.
fn rights_given(stage: &Stage) -> Result<BTreeSet<Use>> {
    let mut given = BTreeSet::new();
    for (name, kind, namespace) in [
        ("weir-controller", "clusterrole", NAMESPACE),
        ("weir-controller", "role", NAMESPACE),
        ("weir-controller-daemons", "role", NODE_NAMESPACE),
        ("weir-controller", "role", "default"),
        ("weir-node", "clusterrole", NODE_NAMESPACE),
        ("weir-collector", "clusterrole", NAMESPACE),
        ("weir-collector", "role", NAMESPACE),
    ] {
        let role = stage.kube.object(&[kind, name, "-n", namespace])?;
        // The account's other roles are called after it and after what they are for.
        let account = name.trim_end_matches("-daemons");
        for rule in role["rules"].as_array().context("rules")? {
            let words = |key: &str| -> Vec<String> {
                let list = rule[key].as_array().cloned().unwrap_or_default();
                list.iter()
                    .filter_map(|word| word.as_str().map(str::to_owned))
                    .collect()
            };
            for group in words("apiGroups") {
                for resource in words("resources") {
                    for verb in words("verbs") {
                        given.insert((user(account), group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    Ok(given)
}

/// What the API server's audit log says that was done.
fn rights_used(log: &str) -> BTreeSet<Use> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let object = &event["objectRef"];
            let resource = match object["subresource"].as_str() {
                Some(subresource) => format!("{}/{subresource}", text(&object["resource"])),
                None => text(&object["resource"]),
            };
            let user = event["user"]["username"].as_str()?.to_owned();
            Some((user, text(&object["apiGroup"]), resource, text(&event["verb"])))
        })
        .collect()
}
