//! What is found in clusters that have something wrong.

use serde_json::{Value, json};

use super::facts::{Facts, Seen};
use super::{Finding, Level, cluster, nodes};
use crate::platform::{Images, Platform};

/// A cluster with nothing wrong.
fn well() -> Facts {
    let installed = Platform::Kubernetes.objects(&Images::default(), false).unwrap();
    let now: jiff::Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
    let condition =
        |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "m"});
    Facts {
        platform: Some(Platform::Kubernetes),
        groups: vec!["apps".into()],
        minor: Some(34),
        clocks: Some((now, now)),
        installed: installed
            .iter()
            .map(|object| (object.clone(), Seen::There(object.clone())))
            .collect(),
        network: Seen::There(
            json!({"spec": {"exportNetworkFlows": {"ipfix": {}}}, "status": {"conditions": [
            condition("FlowExportAvailable", "True"), condition("FlowExportDegraded", "False")]}}),
        ),
        flow_export: Seen::Absent,
        flows_config: Seen::Absent,
        nodes: vec![json!({"metadata": {"name": "a"}})],
        exports: Some(vec![json!({"metadata": {"name": "a", "generation": 2},
            "spec": {"bridges": [{"ipfix": {"targets": ["10.96.0.9:4739", "192.0.2.1:4739"]}}]},
            "status": {"observedGeneration": 2, "conditions": [
                condition("Applied", "True"), condition("Exporting", "True"), condition("Conflict", "False")]}})]),
        leases: vec![
            json!({"metadata": {"name": "a"}, "spec": {"renewTime": "2026-11-29T11:59:55.000000Z"}}),
        ],
        pods: vec![json!({"metadata": {"name": "weir-node-x"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}})],
        warnings: Vec::new(),
        services: vec![
            json!({"metadata": {"namespace": "weir-system", "name": "weir-collector"},
            "spec": {"clusterIPs": ["10.96.0.9"]}}),
        ],
        slices: Some(vec![json!({"metadata": {"namespace": "weir-system",
            "labels": {"kubernetes.io/service-name": "weir-collector"}}, "endpoints": [{"conditions": {}}]})]),
        collector: serde_json::from_value(json!({"version": "1", "exporters": []}))
            .map_err(|e| e.to_string()),
        unread: Vec::new(),
    }
}

fn judge(facts: &Facts) -> Vec<Finding> {
    [cluster::judge(facts), nodes::judge(facts)].concat()
}

/// Of a cluster with this wrong, the one fault that is found.
fn fault(spoil: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = well();
    spoil(&mut facts);
    let found = judge(&facts);
    let faults: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.level == Level::Fault)
        .collect();
    assert_eq!(faults.len(), 1, "{found:#?}");
    assert!(!faults[0].remedy.is_empty(), "{faults:?}");
    faults[0].clone()
}

fn installed<'a>(facts: &'a mut Facts, kind: &str, name: &str) -> &'a mut Seen {
    let of_name =
        |(wanted, _): &&mut (Value, Seen)| wanted["kind"] == kind && wanted["metadata"]["name"] == name;
    &mut facts.installed.iter_mut().find(of_name).unwrap().1
}

fn object<'a>(facts: &'a mut Facts, kind: &str, name: &str) -> &'a mut Value {
    inside(installed(facts, kind, name))
}

fn inside(seen: &mut Seen) -> &mut Value {
    match seen {
        Seen::There(object) => object,
        other => panic!("{other:?}"),
    }
}

fn exports(facts: &mut Facts) -> &mut Vec<Value> {
    facts.exports.as_mut().unwrap()
}

#[test]
fn what_the_collector_does_not_receive_is_a_fault() {
    let found = fault(|facts| {
        facts.network = Seen::There(json!({"status": {"conditions": [
            {"type": "FlowExportReceived", "status": "False", "message": "of 2 nodes, what 1 send is not received"}]}}));
    });
    assert!(
        found.what.contains("what 1 send is not received"),
        "{}",
        found.what
    );
}

#[test]
fn nothing_is_wrong_where_nothing_is() {
    let found = judge(&well());
    assert!(
        found.iter().all(|finding| finding.level == Level::Fine),
        "{found:#?}"
    );
}

#[test]
fn each_thing_that_is_wrong_is_found_once_with_what_to_do() {
    type Spoil = fn(&mut Facts);
    let cases: &[(Spoil, &str, &str)] = &[
        (
            |facts| *installed(facts, "ValidatingAdmissionPolicy", "weir-node-own-status") = Seen::Absent,
            "not installed: validatingadmissionpolicy/weir-node-own-status",
            "weir install",
        ),
        (
            |facts| {
                let namespace = object(facts, "Namespace", "weir-node");
                namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("restricted");
            },
            "pods are refused",
            "kubectl label namespace weir-node",
        ),
        (
            |facts| {
                let role = object(facts, "ClusterRole", "weir-node");
                role["rules"][0]["verbs"] = json!(["list"]);
            },
            "clusterrole/weir-node",
            "weir install",
        ),
        (
            |facts| {
                facts.pods[0]["status"] = json!({"phase": "Pending"});
                facts.warnings = vec![
                    json!({"involvedObject": {"name": "weir-node-x"}, "reason": "FailedMount",
                    "message": "hostPath type check failed: /var/run/openvswitch is not a directory"}),
                ];
            },
            "hostPath type check failed",
            "no Open vSwitch there",
        ),
        (
            |facts| {
                facts.warnings = vec![
                    json!({"involvedObject": {"name": "weir-node"}, "reason": "FailedCreate",
                    "message": "pods \"weir-node-\" is forbidden: violates PodSecurity \"baseline:latest\""}),
                ];
            },
            "weir-node cannot make pods",
            "levels of Pod Security",
        ),
        (
            |facts| facts.groups.push("config.openshift.io".into()),
            "reads the same field",
            "--platform openshift",
        ),
        (
            |facts| {
                facts.groups.push("config.openshift.io".into());
                facts.flow_export = facts.network.clone();
                let controller = object(facts, "Deployment", "weir-controller");
                controller["spec"]["template"]["spec"]["containers"][0]["args"] =
                    json!([crate::platform::OWN_SOURCE]);
            },
            "rows of its own",
            "FlowExport/cluster alone",
        ),
        (
            |facts| facts.network = Seen::Absent,
            "no Network",
            "make an empty one",
        ),
        (
            |facts| inside(&mut facts.network)["status"] = json!({}),
            "has not read the Network",
            "controller",
        ),
        (
            |facts| {
                facts.pods[0]["metadata"]["namespace"] = json!("weir-system");
                facts.pods[0]["metadata"]["labels"] = json!({"app.kubernetes.io/name": "weir-node"});
            },
            "an earlier version",
            "kubectl delete -n weir-system daemonset/weir-node",
        ),
        (
            |facts| facts.nodes.push(json!({"metadata": {"name": "b"}})),
            "no NodeFlowExport: b",
            "controller",
        ),
        (
            |facts| exports(facts)[0]["status"] = json!({}),
            "never reported: a",
            "Forbidden",
        ),
        (
            |facts| exports(facts)[0]["metadata"]["generation"] = json!(3),
            "newest change: a",
            "API server",
        ),
        (
            |facts| {
                exports(facts)[0]["status"]["conditions"][0] = json!({"type": "Applied", "status": "False",
                    "reason": "OvsdbUnreachable", "message": "db.sock: Permission denied"});
            },
            "OvsdbUnreachable on a",
            "runAsUser",
        ),
        (
            |facts| {
                exports(facts)[0]["status"]["conditions"][0] = json!({"type": "Applied", "status": "False",
                    "reason": "OvsdbUnreachable", "message": "gate.sock: connection closed by the server; weir-node runs \
                    as user 7, and the gate serves the users of its --client-uid alone: name it there"});
            },
            "as user 7",
            "are to be the same",
        ),
        (
            |facts| {
                exports(facts)[0]["status"]["conditions"][2] = json!({"type": "GateRefused", "status": "True",
                    "reason": "RequestsRefused", "message": "refused requests (peer)"});
            },
            "(peer)",
            "-c weir-ovsdb-gate",
        ),
        (
            |facts| {
                exports(facts)[0]["status"]["conditions"][2] = json!({"type": "Throttled", "status": "True",
                    "reason": "OverBudget", "message": "sampling is 1 in 800"});
            },
            "OverBudget on a: sampling",
            "has the reasons",
        ),
        (
            |facts| facts.leases[0]["spec"]["renewTime"] = json!("2026-11-29T12:01:00.000000Z"),
            "60 s ahead",
            "chrony",
        ),
        (
            |facts| facts.leases[0]["spec"]["renewTime"] = json!("2026-11-29T11:50:00.000000Z"),
            "600 s ago",
            "chronyc",
        ),
        (
            |facts| {
                facts.slices.as_mut().unwrap()[0]["endpoints"] = json!([{"conditions": {"ready": false}}])
            },
            "nobody receives at 10.96.0.9:4739",
            "ready",
        ),
        (
            |facts| {
                facts.collector = serde_json::from_value(json!({"version": "1", "exporters": [],
                    "records": {"decoded": 1, "stored": 1, "dropped": 0, "kernel_drops": 7}}))
                .map_err(|e| e.to_string());
            },
            "kernel dropped 7",
            "net.core.rmem_max",
        ),
        (
            |facts| {
                let service = object(facts, "APIService", "v1.flows.weir.dev");
                service["status"] = json!({"conditions": [{"type": "Available", "status": "False",
                    "reason": "MissingEndpoints", "message": "no endpoints"}]});
            },
            "MissingEndpoints",
            "certificate",
        ),
    ];
    for (spoil, what, remedy) in cases {
        let found = fault(spoil);
        assert!(
            found.what.contains(what) && found.remedy.contains(remedy),
            "{what}, {remedy}: {found:?}"
        );
    }
}

#[test]
fn what_may_be_meant_is_no_fault() {
    let mut facts = well();
    facts.platform = Some(Platform::Antrea);
    facts.flows_config = Seen::There(json!({}));
    facts.collector = Err("403".into());
    facts.unread = vec!["cannot list pods".into()];
    exports(&mut facts)[0]["status"]["conditions"][2] = json!({"type": "SwitchAlive", "status": "Unknown",
        "reason": "NoPidFile", "message": "it cannot be told"});
    facts.clocks = facts
        .clocks
        .map(|(theirs, ours)| (theirs, ours + jiff::SignedDuration::from_secs(9)));
    let found = judge(&facts);
    let notes: Vec<&str> = found
        .iter()
        .filter(|finding| finding.level == Level::Note)
        .map(|finding| finding.what.as_str())
        .collect();
    assert_eq!(notes.len(), 6, "{notes:?}");
    assert!(
        found.iter().all(|finding| finding.level != Level::Fault),
        "{found:?}"
    );
}

fn faults(facts: &Facts) -> Vec<Finding> {
    let mut found = judge(facts);
    found.retain(|finding| finding.level == Level::Fault);
    found
}

#[test]
fn of_what_may_not_be_read_nothing_is_said() {
    let mut facts = well();
    facts.groups.push("config.openshift.io".into());
    facts
        .installed
        .iter_mut()
        .for_each(|(_, found)| *found = Seen::Unknown);
    facts.network = Seen::Unknown;
    facts.flow_export = Seen::Unknown;
    facts.flows_config = Seen::Unknown;
    facts.slices = None;
    facts.unread = vec!["you may not read much".into()];
    assert_eq!(faults(&facts), []);
    let told = judge(&facts);
    assert!(
        told.iter()
            .all(|finding| !finding.what.contains("installed") && !finding.what.contains("Operator")),
        "{told:#?}"
    );
    facts.exports = None;
    assert_eq!(faults(&facts), []);
    assert!(
        judge(&facts)
            .iter()
            .all(|finding| !finding.what.contains("report"))
    );
    // What is known to be missing is told all the same.
    *installed(&mut facts, "ClusterRole", "weir-node") = Seen::Absent;
    assert!(
        faults(&facts)[0]
            .what
            .ends_with("not installed: clusterrole/weir-node")
    );
}

#[test]
fn no_collector_at_all_is_a_choice_and_a_part_of_one_is_not() {
    let mut facts = well();
    let of_it = ["weir-collector", "weir-flows", "v1.flows.weir.dev"];
    for (wanted, found) in &mut facts.installed {
        if of_it.iter().any(|name| wanted["metadata"]["name"] == *name) {
            *found = Seen::Absent;
        }
    }
    facts.collector = Err("404".into());
    assert_eq!(faults(&facts), []);
    let told = judge(&facts);
    assert!(
        told.iter()
            .any(|finding| finding.level == Level::Note && finding.what.contains("not installed")),
        "{told:#?}"
    );
    let deployment = well();
    let deployment = deployment
        .installed
        .into_iter()
        .find(|(wanted, _)| wanted["kind"] == "Deployment" && wanted["metadata"]["name"] == "weir-collector");
    *installed(&mut facts, "Deployment", "weir-collector") = deployment.unwrap().1;
    assert_eq!(faults(&facts).len(), 1);
}

#[test]
fn an_event_of_pods_that_were_made_since_is_past() {
    let mut facts = well();
    let event =
        |name: &str| json!({"involvedObject": {"name": name}, "reason": "FailedCreate", "message": "m"});
    facts.warnings = vec![event("weir-node"), event("weir-controller-5d8f")];
    let daemons = |desired: u32, current: u32| json!({"desiredNumberScheduled": desired, "currentNumberScheduled": current});
    object(&mut facts, "DaemonSet", "weir-node")["status"] = daemons(3, 3);
    object(&mut facts, "Deployment", "weir-controller")["status"] = json!({"updatedReplicas": 2});
    assert_eq!(faults(&facts), []);
    object(&mut facts, "DaemonSet", "weir-node")["status"] = daemons(3, 2);
    object(&mut facts, "Deployment", "weir-controller")["status"] = json!({});
    assert_eq!(faults(&facts).len(), 2);
}

#[test]
fn a_lease_that_was_renewed_within_the_second_of_the_answer_is_not_ahead() {
    let mut facts = well();
    let renewed = |text: &str| json!({"metadata": {"name": "a"}, "spec": {"renewTime": text}});
    facts.leases = vec![renewed("2026-11-29T12:00:02.900000Z")];
    assert_eq!(faults(&facts), []);
    facts.leases = vec![renewed("2026-11-29T12:00:03.100000Z")];
    assert_eq!(faults(&facts).len(), 1);
}

#[test]
fn a_version_that_was_not_tested_is_named_and_no_fault() {
    let mut facts = well();
    facts.minor = Some(31);
    assert_eq!(faults(&facts), []);
    assert!(judge(&facts)[0].what.contains("1.31; Weir was tested with"));
}
