//! The agent through the gate, on a real Open vSwitch; and what somebody in its place would
//! try there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../bench/mod.rs"]
mod bench;
mod gated;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bench::wait;
use gated::{Gated, Intruder, agent, own_uid, run};
use serde_json::json;
use tokio::sync::watch;
use weir_api::condition::find;
use weir_api::export::{APPLIED, EXPORTING, GATE_REFUSED, SWITCH_ALIVE};
use weir_api::{
    BridgeExport, IpfixExport, NetFlowExport, NodeFlowExportSpec, NodeFlowExportStatus, SFlowExport,
};
use weir_node::switch_state::SwitchState;
use weir_node::{AgentConfig, Desired};
use weir_ovsdb_gate::check::check;

const TABLES: [&str; 3] = ["netflow", "sflow", "ipfix"];

fn desired(generation: i64, bridge: BridgeExport) -> Option<Desired> {
    Some(Desired {
        spec: NodeFlowExportSpec {
            bridges: vec![bridge],
            ..Default::default()
        },
        generation: Some(generation),
        ..Default::default()
    })
}

fn everything(ip: &str) -> BridgeExport {
    BridgeExport {
        name: "br-int".to_owned(),
        exporter_id: 7,
        net_flow: Some(NetFlowExport {
            targets: vec![format!("{ip}:2055")],
            engine_id: Some(7),
            ..Default::default()
        }),
        s_flow: Some(SFlowExport {
            targets: vec![format!("{ip}:6343")],
            agent: Some("127.0.0.1".to_owned()),
            sampling: Some(64),
            ..Default::default()
        }),
        ipfix: Some(IpfixExport {
            targets: vec![format!("{ip}:4739")],
            sampling: Some(400),
            enable_output_sampling: Some(false),
            ..Default::default()
        }),
    }
}

fn wait_for(status: &watch::Receiver<NodeFlowExportStatus>, kind: &str, generation: i64) {
    wait(&format!("{kind} of {generation}"), || {
        let status = status.borrow();
        status.observed_generation == Some(generation)
            && find(&status.conditions, kind).is_some_and(|c| c.status == "True")
    });
}

#[test]
fn through_the_gate_all_protocols_are_programmed_changed_removed_and_measured() {
    let gated = Gated::start(vec![own_uid()]);
    let (spec, status, agent) = agent(&gated);
    spec.send_replace(desired(1, everything("127.0.0.9")));
    wait_for(&status, APPLIED, 1);
    wait_for(&status, EXPORTING, 1);
    wait_for(&status, SWITCH_ALIVE, 1);
    let rows = gated.rows();
    assert!(rows.iter().all(|row| !row.is_empty()), "{rows:?}");
    assert_eq!(gated.switch.column("ipfix", "external_ids"), "weir-owner=node-a");
    // OVS's own counters come through, too.
    let told = SwitchState::Gate(gated.socket.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    wait("OVS's counters", || {
        let told =
            runtime.block_on(async { (told.ipfix_counters("br-int").await, told.lost_packets().await) });
        matches!(told, (Ok(_), Ok(_)))
    });

    spec.send_replace(desired(2, everything("127.0.0.10")));
    wait_for(&status, APPLIED, 2);
    assert_eq!(gated.rows(), rows, "edited in place");
    assert_eq!(gated.switch.column("netflow", "targets"), "127.0.0.10:2055");

    let nothing = BridgeExport {
        name: "br-int".to_owned(),
        ..Default::default()
    };
    spec.send_replace(desired(3, nothing));
    wait_for(&status, APPLIED, 3);
    for table in TABLES {
        assert_eq!(gated.switch.column(table, "_uuid"), "", "{table}");
    }
    drop(agent);
}

#[test]
fn nothing_but_export_is_done_through_the_gate_and_the_switch_stays_as_it_was() {
    let gated = Gated::start(vec![own_uid()]);
    gated.switch.vsctl(&[
        "add-port",
        "br-int",
        "tun0",
        "--",
        "set",
        "interface",
        "tun0",
        "type=gre",
        "options:remote_ip=192.0.2.7",
        "options:psk=secret",
    ]);
    let before = gated.database();
    let mut intruder = Intruder::connect(&gated);
    let all = json!([]);
    let operations = [
        json!([{"op": "insert", "table": "Bridge", "uuid-name": "row1", "row": {"name": "br-evil"}},
            {"op": "mutate", "table": "Open_vSwitch", "where": all, "mutations": [["bridges", "insert", ["named-uuid", "row1"]]]}]),
        json!([{"op": "update", "table": "Open_vSwitch", "where": all, "row": {"bridges": ["set", []]}}]),
        json!([{"op": "update", "table": "Interface", "where": all, "row": {"options": ["map", [["remote_ip", "198.51.100.6"]]]}}]),
        json!([{"op": "insert", "table": "Manager", "uuid-name": "row1", "row": {"target": "ptcp:6640"}},
            {"op": "mutate", "table": "Open_vSwitch", "where": all, "mutations": [["manager_options", "insert", ["named-uuid", "row1"]]]}]),
        json!([{"op": "update", "table": "Open_vSwitch", "where": all, "row": {"other_config": ["map", [["x", "y"]]]}}]),
        json!([{"op": "select", "table": "Interface", "where": all, "columns": ["options"]}]),
        json!([{"op": "update", "table": "Bridge", "where": all, "row": {"ipfix": ["set", []]}}]),
    ];
    for operations in operations {
        let mut params = vec![json!("Open_vSwitch")];
        params.extend(operations.as_array().unwrap().iter().cloned());
        let answer = intruder.ask("transact", json!(params));
        assert_eq!(
            answer["error"]["error"], "permission error",
            "{operations}: {answer}"
        );
    }
    for (method, params) in [
        ("lock", json!(["ovs_vswitchd"])),
        ("monitor", json!(["Open_vSwitch", "m", {"Interface": [{}]}])),
        ("stats", json!(["exit"])),
    ] {
        assert_eq!(
            intruder.ask(method, params)["error"]["error"],
            "permission error",
            "{method}"
        );
    }
    let monitor = json!(["Open_vSwitch", "m", {"Interface": [{"columns": ["name", "options"]}]}]);
    let rows = intruder.ask("monitor_cond", monitor)["result"].to_string();
    assert!(rows.contains("192.0.2.7") && !rows.contains("secret"), "{rows}");
    assert_eq!(gated.database(), before);
}

#[test]
fn what_the_gate_refuses_to_somebody_else_stands_in_the_nodes_status_and_metrics() {
    let gated = Gated::start(vec![own_uid()]);
    let config = AgentConfig::through_gate("node-a", gated.socket.clone());
    let metrics = Arc::clone(&config.metrics);
    let (spec, status, _agent) = run(config);
    spec.send_replace(desired(1, everything("127.0.0.9")));
    wait_for(&status, EXPORTING, 1);
    let condition = || find(&status.borrow().conditions, GATE_REFUSED).cloned();
    wait("the gate to be asked", || {
        condition().is_some_and(|c| c.status == "False")
    });
    let answer = Intruder::connect(&gated).ask("lock", json!(["ovs_vswitchd"]));
    assert_eq!(answer["error"]["error"], "permission error");
    wait("it to be told", || {
        condition().is_some_and(|c| c.status == "True" && c.message.contains("(method)"))
    });
    let metrics = metrics.text();
    assert!(
        metrics.contains("weir_node_gate_refusals_total{reason=\"method\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("weir_node_gate_refusals_total{reason=\"peer\"} 0\n"),
        "{metrics}"
    );
    let exporting = status.borrow().conditions.clone();
    assert!(
        find(&exporting, EXPORTING).is_some_and(|c| c.status == "True"),
        "{exporting:?}"
    );
}

#[test]
fn ovs_vsctl_does_nothing_through_the_gate() {
    let gated = Gated::start(vec![own_uid()]);
    let before = gated.database();
    let through = format!("--db=unix:{}", gated.socket.display());
    for command in [
        &["add-br", "br-evil"][..],
        &["del-br", "br-int"],
        &["set-manager", "ptcp:6640"],
    ] {
        let mut vsctl = std::process::Command::new("ovs-vsctl");
        let output = vsctl
            .args([&through, "--no-wait", "--timeout=2"])
            .args(command)
            .output();
        assert!(!output.unwrap().status.success(), "{command:?}");
    }
    assert_eq!(gated.database(), before);
}

#[test]
fn who_is_another_user_is_let_go_without_a_word() {
    let gated = Gated::start(vec![own_uid() + 1]);
    let mut stream = UnixStream::connect(&gated.socket).unwrap();
    stream.set_read_timeout(Some(bench::PATIENCE)).unwrap();
    let echo = json!({"method": "echo", "params": [], "id": 0}).to_string();
    // It may be gone before anything could be sent.
    let _ = stream.write_all(echo.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
}

#[test]
fn a_daemon_of_another_user_says_which_it_is_and_what_to_name() {
    let gated = Gated::start(vec![own_uid() + 1]);
    let config = AgentConfig::through_gate("node-a", gated.socket.clone());
    let metrics = Arc::clone(&config.metrics);
    let (spec, status, _agent) = run(config);
    spec.send_replace(desired(1, everything("127.0.0.9")));
    let remedy = format!(
        "runs as user {}, and the gate serves the users of its --client-uid",
        own_uid()
    );
    wait("the remedy", || {
        let status = status.borrow();
        find(&status.conditions, APPLIED).is_some_and(|c| c.status == "False" && c.message.contains(&remedy))
    });
    let unready = metrics.facts().unready();
    assert!(unready.iter().any(|why| why.contains(&remedy)), "{unready:?}");
}

#[test]
fn bytes_that_are_no_messages_end_the_connection_and_others_go_on() {
    let gated = Gated::start(vec![own_uid()]);
    let mut other = Intruder::connect(&gated);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"{\"id\":}",
        &[b'{'; 1 << 19],
        b"{\"method\":1,\"id\":2}",
    ] {
        let mut stream = UnixStream::connect(&gated.socket).unwrap();
        stream.set_read_timeout(Some(bench::PATIENCE)).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.write_all(b"}}}}");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
        assert_eq!(other.ask("echo", json!(["still"]))["result"], json!(["still"]));
    }
}

/// So many at once, and each one after that waits a second. The first of a client is a
/// connection to the database as well.
#[test]
fn the_schema_is_not_asked_for_without_a_pause_whatever_the_connection() {
    use weir_ovsdb_gate::pace::{COPIES, COPY_INTERVAL};
    let gated = Gated::start(vec![own_uid()]);
    let start = std::time::Instant::now();
    for _ in 0..COPIES.div_ceil(2) + 1 {
        let answer = Intruder::connect(&gated).ask("get_schema", json!(["Open_vSwitch"]));
        assert_eq!(answer["result"]["name"], "Open_vSwitch");
    }
    assert!(start.elapsed() >= COPY_INTERVAL);
}

/// It is let go, as who is no client, or answered.
#[test]
fn a_gate_that_runs_is_told_from_one_that_hangs_and_from_none() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for uid in [own_uid(), own_uid() + 1] {
        let gated = Gated::start(vec![uid]);
        runtime.block_on(check(&gated.socket)).unwrap();
    }
    let folder = std::env::temp_dir().join(format!("weir-hangs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("gate.sock");
    assert!(runtime.block_on(check(&socket)).is_err());
    let _hangs = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = runtime.block_on(check(&socket)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_database_that_is_gone_is_named_and_found_again() {
    let mut gated = Gated::start(vec![own_uid()]);
    gated.switch.kill_server();
    std::fs::remove_file(gated.switch.path("db.sock")).unwrap();
    let answer = Intruder::connect(&gated).ask("echo", json!([]));
    assert!(
        answer["error"]["details"]
            .to_string()
            .contains("cannot be reached"),
        "{answer}"
    );
    gated.switch.start_server();
    assert_eq!(
        Intruder::connect(&gated).ask("echo", json!([]))["result"],
        json!([])
    );
}
