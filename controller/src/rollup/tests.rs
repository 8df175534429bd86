use super::*;
use crate::cluster_state::WatchEvent;
use crate::decide::decide;
use crate::fixture::{add_node, decided, empty, object, patch, start};
use crate::guarded::Guarded;
use crate::object::export;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use weir_api::condition::find;
use weir_api::export::reason;
use weir_api::export::{APPLIED, CONFLICT, EXPORTING, SWITCH_ALIVE};

fn cluster(nodes: usize) -> ClusterState {
    let mut cluster = empty();
    for i in 0..nodes {
        add_node(&mut cluster, &format!("node-{i:02}"), "10.0.0.1");
    }
    cluster
}

fn ask(cluster: &mut ClusterState) {
    patch(cluster, json!({"netFlow": {"collectors": ["192.0.2.9:2056"]}}));
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "in words",
        "lastTransitionTime": start().to_string()})
}

fn well() -> Vec<Value> {
    vec![
        condition(APPLIED, "True", reason::APPLIED),
        condition(EXPORTING, "True", reason::EXPORTING),
        condition(CONFLICT, "False", reason::NO_CONFLICT),
    ]
}

/// A node reports these conditions on generation 3 of its current spec, which
/// is at generation `generation`.
fn report(cluster: &mut ClusterState, node: &str, generation: i64, conditions: &[Value]) {
    let mut object = export(node, &decided(cluster).wanted[node]);
    object.metadata.generation = Some(generation);
    object.status = Some(self::object(
        json!({"observedGeneration": 3, "conditions": conditions}),
    ));
    cluster.see(WatchEvent::Export(Event::Apply(Guarded(Ok(object)))));
}

const DEADLINE: Duration = Duration::from_secs(300);

fn nothing_failed(_: &str) -> Option<String> {
    None
}

type Said = [(bool, &'static str, String); 3];

fn say(cluster: &ClusterState) -> Said {
    say_at(cluster, start())
}

fn say_at(cluster: &ClusterState, now: Timestamp) -> Said {
    say_with(cluster, &nothing_failed, now)
}

fn say_with(cluster: &ClusterState, write_error: &dyn Fn(&str) -> Option<String>, now: Timestamp) -> Said {
    let judge = NodeJudge::new(cluster, write_error, DEADLINE, now);
    let decision = decide(cluster, now);
    let findings = NodeCounts::count(&judge, &decision).findings(&decision);
    findings.map(|f| (f.status.as_str() == "True", f.reason, f.message))
}

fn roll_up_at(cluster: &ClusterState, now: Timestamp) -> RollUp {
    let receptions = Receptions::default();
    roll_up(
        cluster,
        &decide(cluster, now),
        &receptions,
        &nothing_failed,
        DEADLINE,
        now,
    )
}

fn after(seconds: i64) -> Timestamp {
    start() + k8s_openapi::jiff::SignedDuration::from_secs(seconds)
}

/// The daemon's pods as a watch lists them: names of nodes, and whether it is ready.
fn daemons(cluster: &mut ClusterState, pods: &[(&str, bool)]) {
    cluster.see(WatchEvent::Daemon(Event::Init));
    for (node, ready) in pods {
        let status = if *ready { "True" } else { "False" };
        let pod = object(json!({
            "metadata": {"name": format!("weir-node-{node}"), "namespace": "weir-system"},
            "spec": {"nodeName": node, "containers": []},
            "status": {
                "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": start().to_string()}],
                "containerStatuses": [{
                    "name": "weir-node", "image": "i", "imageID": "i", "ready": ready, "restartCount": 0,
                    "state": {"waiting": {"reason": "ImagePullBackOff"}},
                }],
            },
        }));
        cluster.see(WatchEvent::Daemon(Event::InitApply(pod)));
    }
    cluster.see(WatchEvent::Daemon(Event::InitDone));
}

#[test]
fn when_all_nodes_export_all_is_well() {
    let mut cluster = cluster(2);
    ask(&mut cluster);
    for node in ["node-00", "node-01"] {
        report(&mut cluster, node, 3, &well());
    }
    let [available, progressing, degraded] = say(&cluster);
    assert_eq!(available, (true, "Exporting", "all 2 nodes export".into()));
    assert_eq!((progressing.0, progressing.1), (false, "UpToDate"));
    assert_eq!((degraded.0, degraded.1), (false, "AsExpected"));
}

#[test]
fn without_collectors_nothing_is_available_and_nothing_is_wrong() {
    let mut cluster = cluster(1);
    report(
        &mut cluster,
        "node-00",
        3,
        &[
            condition(APPLIED, "True", reason::NO_COLLECTORS),
            condition(EXPORTING, "False", reason::NO_COLLECTORS),
        ],
    );
    patch(&mut cluster, json!(null));
    let [available, progressing, degraded] = say(&cluster);
    assert_eq!((available.0, available.1), (false, "NoCollectors"));
    assert!(!progressing.0 && !degraded.0);
}

#[test]
fn a_node_without_a_daemon_is_behind_and_does_not_export() {
    let mut cluster = cluster(7);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    let [available, progressing, degraded] = say(&cluster);
    assert_eq!(available.2, "1 of 7 nodes export");
    assert!(!available.0 && progressing.0 && !degraded.0);
    let named = "node-01, node-02, node-03, node-04, node-05, and 1 more";
    assert!(
        progressing.2.starts_with("6 of 7") && progressing.2.ends_with(named),
        "{progressing:?}"
    );
}

#[test]
fn a_report_on_an_older_generation_is_none() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 4, &well());
    let [available, progressing, _] = say(&cluster);
    assert!(!available.0 && progressing.0);
}

#[test]
fn what_is_pending_is_behind_and_does_not_fail() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    for pending in [
        vec![condition(APPLIED, "False", reason::PENDING)],
        vec![condition(APPLIED, "Unknown", reason::PENDING)],
        vec![condition(APPLIED, "True", reason::APPLIED)],
        vec![],
    ] {
        report(&mut cluster, "node-00", 3, &pending);
        let [_, progressing, degraded] = say(&cluster);
        assert!(progressing.0 && !degraded.0, "{pending:?}");
    }
}

#[test]
fn failing_nodes_are_counted_and_the_first_are_named_with_the_reason() {
    let mut cluster = cluster(5);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    let not_applied = [condition(APPLIED, "False", reason::BRIDGE_MISSING)];
    let mut conflict = well();
    conflict[2] = condition(CONFLICT, "True", reason::FOREIGN_ROW);
    let mut silent = well();
    silent[1] = condition(EXPORTING, "Unknown", reason::SFLOW_AGENT_MISSING);
    report(&mut cluster, "node-01", 3, &not_applied);
    report(&mut cluster, "node-02", 3, &conflict);
    report(&mut cluster, "node-03", 3, &silent);
    report(&mut cluster, "node-04", 3, &not_applied);
    let [available, progressing, degraded] = say(&cluster);
    // A part that fails is no outage of the others.
    assert_eq!(available, (true, "PartlyExporting", "1 of 5 nodes export".into()));
    assert!(!progressing.0);
    assert_eq!((degraded.0, degraded.1), (true, "NodesFailing"));
    assert_eq!(
        degraded.2,
        "4 of 5 nodes fail: BridgeMissing on node-01, node-04 (in words; make the bridge, or name others in an \
         ExportProfile); ForeignRow on node-02 (in words; remove that row, or set conflictPolicy: Adopt in an \
         ExportProfile); SFlowAgentMissing on node-03 (in words; set sFlow.agent in an ExportProfile)"
    );
}

#[test]
fn rows_that_were_adopted_are_no_failure() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    let mut adopted = well();
    adopted[2] = condition(CONFLICT, "True", reason::ADOPTED);
    report(&mut cluster, "node-00", 3, &adopted);
    let [available, _, degraded] = say(&cluster);
    assert!(available.0 && !degraded.0);
}

#[test]
fn skipped_entries_are_named_and_the_message_is_bounded() {
    let mut cluster = cluster(1);
    let long = format!("{}:1", "x".repeat(5000));
    let entries: Vec<String> = (0..7).map(|i| format!("{long}{i}")).collect();
    patch(&mut cluster, json!({"netFlow": {"collectors": entries}}));
    let [_, _, degraded] = say(&cluster);
    assert_eq!((degraded.0, degraded.1), (true, "EntriesSkipped"));
    assert!(degraded.2.contains("netFlow.collectors[4]") && degraded.2.ends_with("and 2 more"));
    assert!(degraded.2.chars().count() < 2000, "{}", degraded.2.len());
}

#[test]
fn conditions_that_stand_are_not_written_again_and_forged_ones_are() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    let conditions = roll_up_at(&cluster, start()).conditions.unwrap();
    assert!(conditions.iter().all(|c| c.observed_generation == Some(7)));
    let mut stands = |conditions: &[Condition]| {
        cluster.see(WatchEvent::Network(Event::Apply(object(json!({
            "metadata": {"name": "cluster", "generation": 7},
            "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["192.0.2.9:2056"]}}},
            "status": {"conditions": conditions},
        })))));
        roll_up_at(&cluster, after(1)).conditions
    };
    assert_eq!(stands(&conditions), None);
    let mut forged = conditions.clone();
    forged[0].status = "True".to_owned();
    assert_eq!(stands(&forged).unwrap()[0].status, "False");
    assert_eq!(stands(&conditions[1..]).unwrap().len(), 3);
}

#[test]
fn a_definition_without_generations_in_conditions_is_no_reason_to_write_again() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    let mut stored = roll_up_at(&cluster, start()).conditions.unwrap();
    for condition in &mut stored {
        condition.observed_generation = None;
    }
    cluster.see(WatchEvent::Network(Event::Apply(object(json!({
        "metadata": {"name": "cluster", "generation": 8},
        "spec": {"exportNetworkFlows": {"netFlow": {"collectors": ["192.0.2.9:2056"]}}},
        "status": {"conditions": stored},
    })))));
    assert_eq!(roll_up_at(&cluster, after(9)).conditions, None);
}

#[test]
fn without_a_source_there_is_nowhere_to_report() {
    assert_eq!(roll_up_at(&cluster(1), start()).conditions, None);
}

#[test]
fn nodes_without_a_daemon_are_left_out_and_listed_with_the_reason() {
    let mut cluster = cluster(2);
    let mut windows = crate::fixture::node("win", "10.0.0.9");
    windows["metadata"]["labels"] = json!({"kubernetes.io/os": "windows"});
    let mut virtual_node = crate::fixture::node("vk", "10.0.0.9");
    virtual_node["metadata"]["labels"] = json!({"type": "virtual-kubelet"});
    for node in [windows, virtual_node] {
        cluster.see(WatchEvent::Node(Event::Apply(object(node))));
    }
    ask(&mut cluster);
    daemons(&mut cluster, &[("node-00", true)]);
    report(&mut cluster, "node-00", 3, &well());
    let [available, progressing, degraded] = say(&cluster);
    assert_eq!(
        available,
        (
            true,
            "Exporting",
            "all 1 nodes export; 3 of 4 nodes are left out: node-01 has no weir-node pod, \
             vk is a virtual node, win runs windows"
                .into()
        )
    );
    assert_eq!(
        progressing,
        (false, "UpToDate", "1 of 1 nodes are up to date".into())
    );
    assert!(!degraded.0);
}

#[test]
fn what_a_daemon_said_before_it_left_does_not_pin_the_cluster() {
    let mut cluster = cluster(2);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    let unreachable = [condition(APPLIED, "False", reason::OVSDB_UNREACHABLE)];
    report(&mut cluster, "node-01", 3, &unreachable);
    daemons(&mut cluster, &[("node-00", true)]);
    let [available, _, degraded] = say(&cluster);
    assert!(
        available.2.contains("node-01 has no weir-node pod") && !degraded.0,
        "{}",
        degraded.2
    );
}

#[test]
fn where_no_daemon_runs_at_all_that_is_said() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    daemons(&mut cluster, &[]);
    let [available, progressing, _] = say(&cluster);
    assert_eq!((available.0, available.1), (false, "NoDaemons"));
    assert!(!progressing.0);
}

#[test]
fn a_daemon_that_is_not_ready_makes_its_node_fail_after_a_while_whatever_its_status_says() {
    let mut cluster = cluster(2);
    ask(&mut cluster);
    daemons(&mut cluster, &[("node-00", true), ("node-01", false)]);
    for node in ["node-00", "node-01"] {
        report(&mut cluster, node, 3, &well());
    }
    // As when its DaemonSet is updated.
    assert_eq!(say_at(&cluster, after(29))[2].1, "AsExpected");
    assert_eq!(roll_up_at(&cluster, start()).next_check, Some(after(30)));
    let [available, _, degraded] = say_at(&cluster, after(30));
    assert_eq!(available.2, "1 of 2 nodes export");
    assert_eq!(degraded.1, "NodesFailing");
    let text = "DaemonNotRunning on node-01 (pod weir-node-node-01: ImagePullBackOff; look at it";
    assert!(degraded.2.contains(text), "{}", degraded.2);
    daemons(&mut cluster, &[("node-00", true), ("node-01", true)]);
    assert_eq!(say_at(&cluster, after(31))[0].2, "all 2 nodes export");
}

#[test]
fn a_node_that_its_daemon_left_with_rows_in_force_fails() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    let mut export = cluster.export("node-00").unwrap().clone();
    export.status.as_mut().unwrap().protocols = "NetFlow".to_owned();
    cluster.see(WatchEvent::Export(Event::Apply(Guarded(Ok(export)))));
    daemons(&mut cluster, &[("node-00", true)]);
    daemons(&mut cluster, &[]);
    assert_eq!(say_at(&cluster, after(29))[2].1, "AsExpected");
    let [available, _, degraded] = say_at(&cluster, after(30));
    assert!(!available.0);
    assert!(
        degraded
            .2
            .contains("DaemonMissing on node-00 (no weir-node pod is there, its rows stay")
    );
    assert!(!degraded.2.contains("describe pod"), "{}", degraded.2);
}

/// The node's spec as we wrote it at a moment.
fn written(cluster: &mut ClusterState, node: &str, at: Timestamp, conditions: &[Value]) {
    let mut object = export(node, &decided(cluster).wanted[node]);
    object.metadata.generation = Some(3);
    object.metadata.managed_fields = Some(vec![self::object(json!({
        "manager": "weir-controller", "operation": "Apply", "time": at.to_string(),
    }))]);
    if !conditions.is_empty() {
        object.status = Some(self::object(
            json!({"observedGeneration": 2, "conditions": conditions}),
        ));
    }
    cluster.see(WatchEvent::Export(Event::Apply(Guarded(Ok(object)))));
}

#[test]
fn a_node_that_does_not_report_in_time_fails_and_nothing_is_under_way_any_longer() {
    let mut cluster = cluster(2);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    written(&mut cluster, "node-01", start(), &well());
    let rolled = roll_up_at(&cluster, after(299));
    assert_eq!((rolled.counts.behind, rolled.next_check), (1, Some(after(300))));
    let [available, progressing, degraded] = say_at(&cluster, after(300));
    assert_eq!((available.0, available.1), (true, "PartlyExporting"));
    assert_eq!(
        (progressing.0, progressing.1),
        (false, "ProgressDeadlineExceeded")
    );
    assert!(
        degraded.2.contains("ProgressDeadlineExceeded on node-01"),
        "{}",
        degraded.2
    );
}

#[test]
fn a_node_is_not_late_with_what_was_not_written_yet() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    written(&mut cluster, "node-00", start(), &well());
    patch(
        &mut cluster,
        json!({"netFlow": {"collectors": ["192.0.2.10:2056"]}}),
    );
    let [_, progressing, degraded] = say_at(&cluster, after(3600));
    assert_eq!((progressing.0, progressing.1), (true, "NodesUpdating"));
    assert!(!degraded.0, "{}", degraded.2);
}

#[test]
fn a_node_that_never_reported_is_left_out_after_the_deadline_where_no_pods_are_known() {
    let mut cluster = cluster(2);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    written(&mut cluster, "node-01", start(), &[]);
    assert!(say_at(&cluster, after(1))[1].0);
    let [available, progressing, degraded] = say_at(&cluster, after(300));
    assert_eq!(
        available.2,
        "all 1 nodes export; 1 of 2 nodes are left out: node-01 has never reported"
    );
    assert!(available.0 && !progressing.0 && !degraded.0);
}

#[test]
fn what_cannot_be_written_is_said_with_the_servers_words() {
    let mut cluster = cluster(2);
    ask(&mut cluster);
    for node in ["node-00", "node-01"] {
        report(&mut cluster, node, 3, &well());
    }
    let refused = |node: &str| (node == "node-01").then(|| "denied by a policy (422)".to_owned());
    let [available, _, degraded] = say_with(&cluster, &refused, start());
    assert_eq!(available.2, "1 of 2 nodes export");
    assert!(
        degraded
            .2
            .contains("NotWritten on node-01 (denied by a policy (422)"),
        "{}",
        degraded.2
    );
}

#[test]
fn two_sources_are_told_with_the_way_out() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    cluster.see(WatchEvent::FlowExport(Event::Apply(object(json!({
        "metadata": {"name": "cluster"},
        "spec": {"exportNetworkFlows": {"ipfix": {"collectors": ["192.0.2.8:4739"]}}},
    })))));
    let degraded = &say(&cluster)[2];
    assert_eq!((degraded.0, degraded.1), (true, "TwoSources"));
    for words in [
        "the FlowExport cluster asks",
        "take exportNetworkFlows out of it",
        "--source=flow-export",
    ] {
        assert!(degraded.2.contains(words), "{}", degraded.2);
    }
}

#[test]
fn a_dead_switch_is_not_well_whatever_its_rows_say() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    let mut dead = well();
    dead.push(condition(SWITCH_ALIVE, "False", reason::SWITCH_NOT_RUNNING));
    report(&mut cluster, "node-00", 3, &dead);
    let [available, _, degraded] = say(&cluster);
    assert!(!available.0);
    let text = "SwitchNotRunning on node-00 (in words; start ovs-vswitchd there)";
    assert!(degraded.2.contains(text), "{}", degraded.2);
    // Where there is no telling, nothing is told.
    dead[3] = condition(SWITCH_ALIVE, "Unknown", reason::NO_PID_FILE);
    report(&mut cluster, "node-00", 3, &dead);
    assert!(say(&cluster)[0].0);
}

const FAR: &str = "9999-12-30T22:00:00Z";

/// A daemon's pod on `node-00` that says that it has not been ready since then.
fn pod_down_since(cluster: &mut ClusterState, since: &str) {
    cluster.see(WatchEvent::Daemon(Event::Init));
    let conditions = json!([{"type": "Ready", "status": "False", "lastTransitionTime": since}]);
    let pod = object(json!({
        "metadata": {"name": "weir-node-x"},
        "spec": {"nodeName": "node-00", "containers": []},
        "status": {"conditions": conditions},
    }));
    cluster.see(WatchEvent::Daemon(Event::InitApply(pod)));
    cluster.see(WatchEvent::Daemon(Event::InitDone));
}

#[test]
fn times_at_the_end_of_the_calendar_hurt_nobody_and_grant_no_delay() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    written(&mut cluster, "node-00", FAR.parse().unwrap(), &[]);
    assert!(say(&cluster)[1].0);
    let mut pending = condition(APPLIED, "False", reason::PENDING);
    pending["lastTransitionTime"] = json!(FAR);
    report(&mut cluster, "node-00", 3, &[pending]);
    assert!(say(&cluster)[1].0);
    pod_down_since(&mut cluster, FAR);
    assert_eq!(say_at(&cluster, after(29))[2].1, "AsExpected");
    assert_eq!(say_at(&cluster, after(30))[2].1, "NodesFailing");
}

#[test]
fn a_reason_of_any_length_leaves_the_message_bounded() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    report(
        &mut cluster,
        "node-00",
        3,
        &[condition(APPLIED, "False", &"R".repeat(100_000))],
    );
    let [_, _, degraded] = say(&cluster);
    assert!(degraded.0 && degraded.2.len() < 1000, "{}", degraded.2.len());
}

#[test]
fn a_node_that_is_busy_with_an_old_spec_has_its_time_from_when_it_began() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    let mut pending = condition(APPLIED, "False", reason::PENDING);
    pending["lastTransitionTime"] = json!(after(86_400).to_string());
    let mut object = export("node-00", &decided(&cluster).wanted["node-00"]);
    object.metadata.generation = Some(3);
    object.metadata.creation_timestamp = Some(weir_api::condition::Time(start()));
    object.status = Some(self::object(
        json!({"observedGeneration": 3, "conditions": [pending]}),
    ));
    cluster.see(WatchEvent::Export(Event::Apply(Guarded(Ok(object)))));
    let rolled = roll_up_at(&cluster, after(86_401));
    assert_eq!(rolled.counts.behind, 1);
    assert_eq!(rolled.next_check, Some(after(86_700)));
    let degraded = &say_at(&cluster, after(86_700))[2];
    let text = "ProgressDeadlineExceeded on node-00 (it has not come to an end within 300s";
    assert!(degraded.2.contains(text), "{}", degraded.2);
}

#[test]
fn a_rolling_update_is_no_failure() {
    let mut cluster = cluster(1);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let pod = object(json!({
        "metadata": {
            "name": "weir-node-x",
            "deletionTimestamp": after(40).to_string(),
            "deletionGracePeriodSeconds": 30,
        },
        "spec": {"nodeName": "node-00", "containers": []},
        "status": {"conditions": ready},
    }));
    cluster.see(WatchEvent::Daemon(Event::InitDone));
    cluster.apply(WatchEvent::Daemon(Event::Apply(pod)), after(10));
    assert_eq!(say_at(&cluster, after(39))[2].1, "AsExpected");
    assert_eq!(say_at(&cluster, after(40))[2].1, "NodesFailing");
}

#[test]
fn a_source_that_was_never_readable_is_told_so() {
    let mut cluster = cluster(1);
    cluster.see(WatchEvent::Network(Event::Apply(object(json!({
        "metadata": {"name": "cluster", "generation": 9},
        "spec": {"exportNetworkFlows": 7},
        "status": {"conditions": [condition(DEGRADED, "False", "AsExpected"), {"type": 1}]},
    })))));
    let conditions = roll_up_at(&cluster, start()).conditions.unwrap();
    let degraded = &conditions[2];
    assert_eq!(
        (degraded.status.as_str(), degraded.reason.as_str()),
        ("True", "SourceUnreadable")
    );
    assert_eq!(degraded.observed_generation, Some(9));
    cluster.reported(crate::source::FlowSource::Network, &conditions);
    assert_eq!(roll_up_at(&cluster, after(1)).conditions, None);
}

#[test]
fn the_source_that_is_not_read_says_so_where_the_one_that_counts_is_absent() {
    use crate::source::FlowSource;
    let mut cluster = cluster(1);
    let flow_export = |conditions: &[Condition]| {
        WatchEvent::FlowExport(Event::Apply(object(json!({
            "metadata": {"name": "cluster", "generation": 2},
            "spec": {"exportNetworkFlows": {"ipfix": {"collectors": ["192.0.2.8:4739"]}}},
            "status": {"conditions": conditions},
        }))))
    };
    cluster.see(flow_export(&[]));
    let conditions = roll_up_at(&cluster, start()).other.unwrap();
    assert_eq!(conditions.len(), 1);
    let degraded = &conditions[0];
    assert_eq!(
        (
            degraded.type_.as_str(),
            degraded.status.as_str(),
            degraded.reason.as_str()
        ),
        (DEGRADED, "True", "SourceNotRead")
    );
    assert!(
        degraded.message.contains("--source=flow-export"),
        "{}",
        degraded.message
    );
    cluster.reported(FlowSource::FlowExport, &conditions);
    assert_eq!(roll_up_at(&cluster, after(1)).other, None);
    // As soon as there is one that counts, that one tells of two.
    ask(&mut cluster);
    assert_eq!(roll_up_at(&cluster, after(2)).other, Some(Vec::new()));
    cluster.reported(FlowSource::FlowExport, &[]);
    assert_eq!(roll_up_at(&cluster, after(3)).other, None);
}

#[test]
fn that_nodes_hold_what_they_export_is_told_where_any_does() {
    let mut cluster = cluster(1);
    let source = crate::source::FlowSource::Network;
    assert_eq!(crate::notice::holding(source, &decided(&cluster)), None);
    ask(&mut cluster);
    report(&mut cluster, "node-00", 3, &well());
    let network = object(json!({"metadata": {"name": "cluster"}, "spec": {}}));
    cluster.see(WatchEvent::Network(Event::Delete(network)));
    let decision = decided(&cluster);
    assert!(decision.holds);
    let notice = crate::notice::holding(source, &decision).unwrap();
    assert!(
        notice.warning && notice.note.contains("1 nodes keep"),
        "{notice:?}"
    );
}

#[test]
fn that_names_of_pods_are_kept_from_others_is_told_until_a_profile_decides() {
    let said = |cluster: &ClusterState| {
        let conditions = roll_up_at(cluster, start()).conditions.unwrap();
        let available = find(&conditions, AVAILABLE).unwrap();
        available
            .message
            .contains("set ipfix.interfaceNames in an ExportProfile")
    };
    let mut cluster = cluster(1);
    ask(&mut cluster);
    assert!(!said(&cluster), "NetFlow has no names");
    patch(&mut cluster, json!({"ipfix": {"collectors": ["192.0.2.9:4739"]}}));
    assert!(said(&cluster));
    for decided in [json!({"interfaceNames": true}), json!({"interfaceNames": false})] {
        let profile = object(json!({"metadata": {"name": "p"}, "spec": {"ipfix": decided}}));
        cluster.see(WatchEvent::Profile(Event::Apply(profile)));
        assert!(!said(&cluster));
    }
    let undecided = object(json!({"metadata": {"name": "p"}, "spec": {"ipfix": {"sampling": 7}}}));
    cluster.see(WatchEvent::Profile(Event::Apply(undecided)));
    assert!(said(&cluster));
}
