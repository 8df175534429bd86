//! The agent through the gate, on a real Open vSwitch; and what somebody in its place would
//! try there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use bench::{Switch, wait};
use serde_json::{Value, json};
use tokio::sync::watch;
use weir_api::condition::find;
use weir_api::export::{APPLIED, EXPORTING, SWITCH_ALIVE};
use weir_api::{
    BridgeExport, IpfixExport, NetFlowExport, NodeFlowExportSpec, NodeFlowExportStatus, SFlowExport,
};
use weir_node::switch_state::SwitchState;
use weir_node::{AgentConfig, Desired, agent};
use weir_ovsdb_gate::Gate;
use weir_ovsdb_gate::check::check;

const TABLES: [&str; 3] = ["netflow", "sflow", "ipfix"];

/// A task in a thread with a runtime of its own, as in a program; it ends with the test.
struct Task {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Task {
    fn spawn<F: Future<Output = ()>>(task: impl FnOnce() -> F + Send + 'static) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::select! {
                    () = task() => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

/// Our own user: whoever made this directory's files.
fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

/// A gate in front of a switch.
struct Gated {
    switch: Switch,
    socket: PathBuf,
    _gate: Task,
}

impl Gated {
    fn start(uids: Vec<u32>) -> Self {
        let mut switch = Switch::start();
        switch.start_vswitchd();
        switch.add_bridge("br-int");
        let socket = switch.path("gate.sock");
        let (at, database) = (socket.clone(), switch.path("db.sock"));
        let gate = Task::spawn(move || async move {
            let listener = Gate::listen(&at).unwrap();
            Arc::new(Gate::new(&database, uids)).serve(listener).await;
        });
        wait("the gate", || socket.exists());
        Self {
            switch,
            socket,
            _gate: gate,
        }
    }

    fn rows(&self) -> [String; 3] {
        TABLES.map(|table| self.switch.on_bridge("br-int", table))
    }

    /// Everything in the database but what ovs-vswitchd counts.
    fn database(&self) -> Vec<String> {
        let columns = [
            ("Open_vSwitch", "bridges,manager_options,other_config,ssl"),
            (
                "Bridge",
                "name,ports,controller,mirrors,netflow,sflow,ipfix,external_ids",
            ),
            ("Port", "name,interfaces"),
            ("Interface", "name,type,options"),
            ("Manager", "target"),
            ("Controller", "target"),
            ("IPFIX", "targets"),
        ];
        let list = |(table, columns): (&str, &str)| {
            self.switch
                .vsctl(&[&format!("--columns={columns}"), "list", table])
        };
        columns.map(list).into()
    }
}

fn agent(
    gated: &Gated,
) -> (
    watch::Sender<Option<Desired>>,
    watch::Receiver<NodeFlowExportStatus>,
    Task,
) {
    let config = AgentConfig::through_gate("node-a", gated.socket.clone());
    let (spec, spec_receiver) = watch::channel(None);
    let (sender, status) = watch::channel(NodeFlowExportStatus::default());
    let task = Task::spawn(move || async move {
        agent::run(config, spec_receiver, sender, std::future::pending())
            .await
            .unwrap();
    });
    (spec, status, task)
}

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

/// One client that sends and reads messages as they are.
struct Intruder(UnixStream);

impl Intruder {
    fn connect(gated: &Gated) -> Self {
        let stream = UnixStream::connect(&gated.socket).unwrap();
        stream.set_read_timeout(Some(bench::PATIENCE)).unwrap();
        Self(stream)
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"method": method, "params": params, "id": "x"});
        self.0.write_all(request.to_string().as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = self.0.read(&mut buffer).unwrap();
            assert!(count > 0, "no answer to {request}");
            bytes.extend_from_slice(&buffer[..count]);
            if let Ok(answer) = serde_json::from_slice(&bytes) {
                return answer;
            }
        }
    }
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
