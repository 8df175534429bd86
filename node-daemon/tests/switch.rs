//! The agent against a real ovsdb-server, and a real ovs-vswitchd where the
//! switch itself matters.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bench::{PATIENCE, Switch, wait};
use tokio::sync::watch;
use weir_api::condition::find;
use weir_api::export::{APPLIED, Budget, BudgetAction, CONFLICT, EXPORTING, SWITCH_ALIVE, THROTTLED, reason};
use weir_api::{
    BridgeExport, ConflictPolicy, IpfixExport, NetFlowExport, NodeFlowExportSpec, NodeFlowExportStatus,
    SFlowExport,
};
use weir_node::metrics::Metrics;
use weir_node::{AgentConfig, Desired, OnExit, agent, tables};

const TABLES: [&str; 3] = ["netflow", "sflow", "ipfix"];

/// An agent in a thread with a runtime of its own, as in the daemon.
struct Agent {
    spec: watch::Sender<Option<Desired>>,
    status: watch::Receiver<NodeFlowExportStatus>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
}

impl Agent {
    fn start(switch: &Switch, spec: NodeFlowExportSpec) -> Self {
        Self::start_with(switch, spec, OnExit::Keep)
    }

    fn start_with(switch: &Switch, spec: NodeFlowExportSpec, on_exit: OnExit) -> Self {
        Self::start_config(switch, spec, |config| config.on_exit = on_exit)
    }

    fn start_config(switch: &Switch, spec: NodeFlowExportSpec, set: impl FnOnce(&mut AgentConfig)) -> Self {
        let mut config = AgentConfig::new("node-a", switch.socket().parse().unwrap());
        set(&mut config);
        let metrics = Arc::clone(&config.metrics);
        let (spec_sender, spec_receiver) = watch::channel(Some(desired(1, spec)));
        let (status_sender, status) = watch::channel(NodeFlowExportStatus::default());
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let shutdown = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let ended = runtime
                .unwrap()
                .block_on(agent::run(config, spec_receiver, status_sender, shutdown));
            ended.expect("ends when asked");
        });
        Self {
            spec: spec_sender,
            status,
            stop,
            thread: Some(thread),
            metrics,
        }
    }

    fn set(&self, generation: i64, spec: NodeFlowExportSpec) {
        self.spec.send_replace(Some(desired(generation, spec)));
    }

    fn status(&self) -> NodeFlowExportStatus {
        self.status.borrow().clone()
    }

    fn wait_for(&self, what: &str, so: impl Fn(&NodeFlowExportStatus) -> bool) -> NodeFlowExportStatus {
        wait(what, || so(&self.status()));
        self.status()
    }

    /// Waits until this generation is applied.
    fn wait_applied(&self, generation: i64) -> NodeFlowExportStatus {
        self.wait_for("applied", |status| {
            is(status, APPLIED, "True") && status.observed_generation == Some(generation)
        })
    }

    fn wait_healed(&self, count: u64) -> NodeFlowExportStatus {
        let status = self.wait_for("healed", |status| {
            status.drift_healed >= count && is(status, APPLIED, "True")
        });
        assert_eq!(status.drift_healed, count);
        assert_eq!(self.metrics.drift_healed.get(), count);
        status
    }

    fn end(mut self) {
        self.stop.send_replace(true);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn desired(generation: i64, spec: NodeFlowExportSpec) -> Desired {
    Desired {
        spec,
        generation: Some(generation),
        ..Default::default()
    }
}

fn is(status: &NodeFlowExportStatus, kind: &str, value: &str) -> bool {
    find(&status.conditions, kind).is_some_and(|c| c.status == value)
}

fn reason_of(status: &NodeFlowExportStatus, kind: &str) -> String {
    find(&status.conditions, kind).unwrap().reason.clone()
}

/// All three protocols to ports on one address.
fn everything(address: &str) -> NodeFlowExportSpec {
    let targets = |port| vec![format!("{address}:{port}")];
    let bridge = BridgeExport {
        name: "br-int".to_owned(),
        exporter_id: 1,
        net_flow: Some(NetFlowExport {
            targets: targets(2055),
            active_timeout: Some(60),
            engine_id: Some(1),
            ..Default::default()
        }),
        s_flow: Some(SFlowExport {
            targets: targets(6343),
            agent: Some("192.0.2.1".to_owned()),
            sampling: Some(400),
            ..Default::default()
        }),
        ipfix: Some(IpfixExport {
            targets: targets(4739),
            sampling: Some(400),
            cache_max_flows: Some(0),
            template_interval: Some(60),
            enable_output_sampling: Some(false),
            ..Default::default()
        }),
    };
    spec(bridge)
}

fn spec(bridge: BridgeExport) -> NodeFlowExportSpec {
    NodeFlowExportSpec {
        bridges: vec![bridge],
        ..Default::default()
    }
}

fn nothing() -> NodeFlowExportSpec {
    spec(BridgeExport {
        name: "br-int".to_owned(),
        ..Default::default()
    })
}

fn switch_with_bridge() -> Switch {
    let switch = Switch::start();
    switch.add_bridge("br-int");
    switch
}

fn rows(switch: &Switch) -> [String; 3] {
    TABLES.map(|table| switch.on_bridge("br-int", table))
}

#[test]
fn set_change_in_place_and_remove_leave_no_row_behind() {
    let switch = switch_with_bridge();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    let set = rows(&switch);
    assert!(set.iter().all(|row| !row.is_empty()), "{set:?}");
    assert_eq!(switch.column("netflow", "targets"), "192.0.2.9:2055");
    assert_eq!(switch.column("ipfix", "external_ids"), "weir-owner=node-a");
    assert_eq!(switch.column("ipfix", "cache_max_flows"), "0");

    agent.set(2, everything("192.0.2.10"));
    let status = agent.wait_applied(2);
    assert_eq!(rows(&switch), set, "edited in place");
    assert_eq!(switch.column("sflow", "targets"), "192.0.2.10:6343");
    assert_eq!(
        status.bridges[0].net_flow.as_ref().unwrap().targets,
        ["192.0.2.10:2055"]
    );

    agent.set(3, nothing());
    let status = agent.wait_applied(3);
    assert_eq!(status.reason, reason::NO_COLLECTORS);
    for table in TABLES {
        assert_eq!(switch.column(table, "_uuid"), "", "{table}");
    }
    assert_eq!(status.drift_healed, 0);
    agent.end();
}

#[test]
fn the_installed_schema_never_gets_columns_that_it_lacks_and_a_newer_one_does() {
    let newer = Switch::start_newer();
    newer.add_bridge("br-int");
    let agent = Agent::start(&newer, everything("192.0.2.9"));
    let status = agent.wait_applied(1);
    assert_eq!(newer.raw_column("IPFIX", "template_interval"), "60");
    assert_eq!(
        newer.column("ipfix", "other_config"),
        "enable-output-sampling=false"
    );
    assert_eq!(
        status.bridges[0].ipfix.as_ref().unwrap().template_interval,
        Some(60)
    );
    agent.end();

    let switch = switch_with_bridge();
    if switch.has_column("IPFIX", "template_interval") {
        return;
    }
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    let status = agent.wait_applied(1);
    let ipfix = status.bridges[0].ipfix.as_ref().unwrap();
    assert_eq!(
        (ipfix.template_interval, ipfix.enable_output_sampling),
        (None, Some(false))
    );
    assert_eq!(
        switch.column("ipfix", "other_config"),
        "enable-output-sampling=true",
        "inverted there"
    );
    agent.end();
}

#[test]
fn the_sampling_switches_follow_the_version_when_it_appears() {
    let switch = Switch::start_newer();
    switch.add_bridge("br-int");
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    switch.vsctl(&["set", "open_vswitch", ".", "ovs_version=3.1.0"]);
    wait("rewritten", || {
        switch.column("ipfix", "other_config") == "enable-output-sampling=true"
    });
    let status = agent.wait_for("told", |s| s.ovs_version.as_deref() == Some("3.1.0"));
    assert_eq!(status.drift_healed, 0, "a new version is no drift");
    agent.end();
}

#[test]
fn drift_is_healed_and_counted() {
    let switch = switch_with_bridge();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    switch.vsctl(&["clear", "bridge", "br-int", "netflow"]);
    agent.wait_healed(1);
    assert_eq!(switch.column("netflow", "targets"), "192.0.2.9:2055");
    let row = switch.on_bridge("br-int", "sflow");
    switch.vsctl(&["set", "sflow", &row, "sampling=1"]);
    agent.wait_healed(2);
    assert_eq!(switch.column("sflow", "sampling"), "400");
    switch.vsctl(&["clear", "sflow", &row, "external_ids"]);
    agent.wait_healed(3);
    assert_eq!(switch.on_bridge("br-int", "sflow"), row);
    switch.vsctl(&["del-br", "br-int"]);
    agent.wait_for("missing", |s| reason_of(s, APPLIED) == reason::BRIDGE_MISSING);
    switch.add_bridge("br-int");
    agent.wait_healed(6);
    agent.end();
}

#[test]
fn an_emptied_database_is_filled_again_when_the_bridge_is_back() {
    let mut switch = switch_with_bridge();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    switch.empty_database();
    switch.add_bridge("br-int");
    agent.wait_healed(3);
    assert_eq!(switch.column("ipfix", "targets"), "192.0.2.9:4739");
    agent.end();
}

#[test]
fn a_foreign_row_is_refused_then_adopted_then_removed_with_the_collectors() {
    let switch = switch_with_bridge();
    switch.vsctl(&[
        "--id=@n",
        "create",
        "netflow",
        "targets=\"198.51.100.1:1\"",
        "--",
        "set",
        "bridge",
        "br-int",
        "netflow=@n",
    ]);
    let foreign = switch.on_bridge("br-int", "netflow");
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    let status = agent.wait_for("refused", |s| is(s, CONFLICT, "True"));
    assert_eq!(reason_of(&status, APPLIED), reason::FOREIGN_ROW);
    assert_eq!(switch.column("netflow", "targets"), "198.51.100.1:1");
    assert_eq!(
        switch.column("sflow", "targets"),
        "192.0.2.9:6343",
        "the others are applied"
    );
    assert_eq!(agent.metrics.conflicts.get(), 1);

    let mut adopting = everything("192.0.2.9");
    adopting.conflict_policy = ConflictPolicy::Adopt;
    agent.set(2, adopting);
    let status = agent.wait_applied(2);
    assert_eq!(reason_of(&status, CONFLICT), reason::ADOPTED);
    assert_eq!(switch.on_bridge("br-int", "netflow"), foreign);
    assert_eq!(switch.column("netflow", "targets"), "192.0.2.9:2055");

    agent.set(3, nothing());
    agent.wait_applied(3);
    assert_eq!(switch.column("netflow", "_uuid"), "");
    agent.end();
}

#[test]
fn a_database_that_dies_is_a_condition_and_what_was_asked_meanwhile_is_done_after() {
    let mut switch = switch_with_bridge();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    switch.kill_server();
    let status = agent.wait_for("unreachable", |s| {
        reason_of(s, APPLIED) == reason::OVSDB_UNREACHABLE
    });
    assert!(
        find(&status.conditions, APPLIED)
            .unwrap()
            .message
            .contains("db.sock")
    );
    assert!(!agent.metrics.facts().ovsdb_synced);
    agent.set(2, everything("192.0.2.10"));
    switch.start_server();
    agent.wait_applied(2);
    assert_eq!(switch.column("netflow", "targets"), "192.0.2.10:2055");
    agent.end();
}

#[test]
fn a_database_killed_amid_changes_is_never_half_changed() {
    let mut switch = switch_with_bridge();
    let agent = Agent::start(&switch, everything("192.0.2.0"));
    agent.wait_applied(1);
    for round in 1..=5_u8 {
        agent.set(i64::from(round) + 1, everything(&format!("192.0.2.{round}")));
        switch.kill_server();
        switch.start_server();
        agent.wait_applied(i64::from(round) + 1);
        let address = format!("192.0.2.{round}:");
        for table in TABLES {
            assert!(switch.column(table, "targets").starts_with(&address), "{table}");
        }
    }
    assert_eq!(agent.status().drift_healed, 0);
    agent.end();
}

#[test]
fn an_agent_that_comes_first_waits_for_the_database() {
    let mut switch = switch_with_bridge();
    switch.kill_server();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_for("unreachable", |s| {
        find(&s.conditions, APPLIED).is_some() && reason_of(s, APPLIED) == reason::OVSDB_UNREACHABLE
    });
    switch.start_server();
    agent.wait_applied(1);
    agent.end();
}

#[test]
fn what_the_server_refuses_is_told_in_its_words_and_a_good_spec_follows() {
    let switch = switch_with_bridge();
    let mut bad = everything("192.0.2.9");
    if let Some(ipfix) = &mut bad.bridges[0].ipfix {
        ipfix.cache_active_timeout = Some(9999);
    }
    let agent = Agent::start(&switch, bad);
    let status = agent.wait_for("refused", |s| {
        find(&s.conditions, APPLIED).is_some() && reason_of(s, APPLIED) == reason::TRANSACTION_FAILED
    });
    let message = &find(&status.conditions, APPLIED).unwrap().message;
    assert!(message.contains("9999") && message.contains("4200"), "{message}");
    assert_eq!(rows(&switch), ["", "", ""], "nothing is half-written");
    agent.set(2, everything("192.0.2.9"));
    agent.wait_applied(2);
    agent.end();
}

#[test]
fn on_exit_rows_are_kept_or_cleared_as_asked() {
    let switch = switch_with_bridge();
    let agent = Agent::start_with(&switch, everything("192.0.2.9"), OnExit::Keep);
    agent.wait_applied(1);
    agent.end();
    assert!(rows(&switch).iter().all(|row| !row.is_empty()));
    let agent = Agent::start_with(&switch, everything("192.0.2.9"), OnExit::Clear);
    agent.wait_applied(1);
    agent.end();
    assert_eq!(rows(&switch), ["", "", ""]);
}

#[test]
fn a_look_writes_nothing_and_tells_what_is() {
    let switch = switch_with_bridge();
    let config = AgentConfig::new("node-a", switch.socket().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let look = || {
        runtime.block_on(weir_node::inspect(
            &config,
            &desired(1, everything("192.0.2.9")),
            PATIENCE,
        ))
    };
    let status = look();
    assert_eq!(
        (status.reason.as_str(), status.bridges[0].present),
        (reason::PENDING, true)
    );
    assert_eq!(rows(&switch), ["", "", ""]);
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    agent.end();
    assert!(is(&look(), APPLIED, "True"));
}

#[test]
fn a_real_switch_takes_the_rows_over_and_again_after_its_restart() {
    let mut switch = Switch::start();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_for("missing", |s| s.reason == reason::BRIDGE_MISSING);
    switch.add_bridge("br-int");
    let status = agent.wait_applied(1);
    assert!(!is(&status, EXPORTING, "True"), "there is no ovs-vswitchd");
    switch.start_vswitchd();
    let status = agent.wait_for("exporting", |s| is(s, EXPORTING, "True"));
    assert_eq!(
        (status.protocols.as_str(), status.reason.as_str()),
        ("NetFlow,sFlow,IPFIX", reason::APPLIED)
    );
    switch.kill_vswitchd();
    agent.set(2, everything("192.0.2.10"));
    let status = agent.wait_for("not followed", |s| {
        is(s, EXPORTING, "False") && s.observed_generation == Some(2)
    });
    assert!(is(&status, APPLIED, "True"));
    switch.start_vswitchd();
    agent.wait_for("exporting again", |s| is(s, EXPORTING, "True"));
    agent.end();
}

#[test]
fn a_switch_that_was_killed_is_told_though_its_database_shows_nothing() {
    let mut switch = switch_with_bridge();
    switch.start_vswitchd();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_for("exporting", |s| {
        is(s, EXPORTING, "True") && is(s, SWITCH_ALIVE, "True")
    });
    switch.kill_vswitchd();
    let status = agent.wait_for("dead", |s| is(s, SWITCH_ALIVE, "False"));
    assert_eq!(
        (reason_of(&status, SWITCH_ALIVE), reason_of(&status, EXPORTING)),
        (
            reason::SWITCH_NOT_RUNNING.to_owned(),
            reason::SWITCH_NOT_RUNNING.to_owned()
        )
    );
    assert!(is(&status, EXPORTING, "False") && is(&status, APPLIED, "True"));
    assert_eq!(status.reason, reason::SWITCH_NOT_RUNNING);
    switch.start_vswitchd();
    agent.wait_for("alive again", |s| {
        is(s, SWITCH_ALIVE, "True") && is(s, EXPORTING, "True")
    });
    agent.end();
}

#[test]
fn the_key_of_an_encrypted_tunnel_is_not_held() {
    let switch = switch_with_bridge();
    let tunnel = "options:psk=swordfish options:remote_ip=192.0.2.7 external_ids:other=swordfish";
    let mut port = vec![
        "add-port",
        "br-int",
        "t1",
        "--",
        "set",
        "interface",
        "t1",
        "type=gre",
    ];
    port.extend(tunnel.split(' '));
    switch.vsctl(&port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let view = runtime.unwrap().block_on(async {
        let endpoint = switch.socket().parse().unwrap();
        let client = ovsdb::Client::spawn(endpoint, tables::DATABASE, tables::monitor(), Default::default());
        let mut watch = client.watch();
        let synced = tokio::time::timeout(PATIENCE, watch.wait_for(|view| view.link.is_synced())).await;
        synced.unwrap().unwrap().clone()
    });
    let (_, interface) = view.replica.find(tables::INTERFACE, "name", "t1").unwrap();
    assert_eq!(interface.map_get("options", "remote_ip"), Some("192.0.2.7"));
    assert!(!format!("{:?}", view.replica).contains("swordfish"));
}

#[test]
fn an_idle_agent_sends_nothing() {
    let switch = switch_with_bridge();
    let agent = Agent::start(&switch, everything("192.0.2.9"));
    agent.wait_applied(1);
    let number = || switch.vsctl(&["get", "open_vswitch", ".", "next_cfg"]);
    let before = number();
    // Each of these wakes the agent, and none is its business.
    for i in 0..5 {
        switch.vsctl(&["set", "open_vswitch", ".", &format!("external_ids:other={i}")]);
    }
    agent.wait_applied(1);
    switch.vsctl(&["clear", "bridge", "br-int", "netflow"]);
    agent.wait_healed(1);
    let sent: i64 = number().parse::<i64>().unwrap() - before.parse::<i64>().unwrap();
    // ovs-vsctl --no-wait counts nothing; the repair counts one.
    assert_eq!(sent, 1);
    agent.end();
}

/// Where IPFIX goes.
struct Collector(UdpSocket);

impl Collector {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// IPFIX of a bridge comes here, every packet at once.
    fn spec(&self, virtual_obs_id: Option<&str>) -> NodeFlowExportSpec {
        spec(BridgeExport {
            name: "br-int".to_owned(),
            exporter_id: 1,
            ipfix: Some(IpfixExport {
                targets: vec![self.0.local_addr().unwrap().to_string()],
                sampling: Some(1),
                obs_domain_id: Some(DOMAIN),
                cache_max_flows: Some(0),
                virtual_obs_id: virtual_obs_id.map(str::to_owned),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    /// The same for one who is to know the names.
    fn spec_with_names(&self) -> NodeFlowExportSpec {
        let mut spec = self.spec(None);
        if let Some(ipfix) = &mut spec.bridges[0].ipfix {
            ipfix.interface_names = ipfix.targets.clone();
        }
        spec
    }

    /// The next message that is there.
    fn next(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 65_535];
        let length = self.0.recv(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// Puts packets into the switch until a message comes that is as it should be.
    fn wait(&self, what: &str, switch: &Switch, so: impl Fn(&[u8]) -> bool) {
        wait(what, || {
            switch.receive("p1", PACKET) && std::iter::from_fn(|| self.next()).any(|message| so(&message))
        });
    }
}

#[test]
fn what_leaves_and_what_the_switch_lost_is_told_from_its_own_counters() {
    let (switch, collector) = (switch_with_pod(), Collector::new());
    let agent = Agent::start_config(&switch, collector.spec(None), |config| {
        config.cost_interval = Duration::from_millis(100);
    });
    agent.wait_applied(1);
    collector.wait("data", &switch, |message| first_set(message) > 255);
    let status = agent.wait_for("datagrams", |status| {
        switch.receive("p1", PACKET);
        status
            .cost
            .is_some_and(|cost| cost.datagrams_per_second > Some(0))
    });
    let cost = status.cost.unwrap();
    assert_eq!(
        (cost.send_errors_per_second, cost.lost_per_second),
        (Some(0), Some(0))
    );
    assert_eq!(cost.vswitchd_millicores, None, "not without enable-statistics");
    // Nobody listens any more: what is sent is refused, and does not leave.
    drop(collector);
    agent.wait_for("refusals", |status| {
        switch.receive("p1", PACKET);
        status
            .cost
            .is_some_and(|cost| cost.send_errors_per_second > Some(0))
    });
    agent.set(2, nothing());
    agent.wait_for("nothing", |status| {
        status.observed_generation == Some(2) && status.cost.is_none()
    });
    agent.end();
}

#[test]
fn a_real_switch_over_its_budget_samples_more_coarsely_until_the_budget_is_gone() {
    let (switch, collector) = (switch_with_pod(), Collector::new());
    switch.vsctl(&["set", "open_vswitch", ".", "other_config:enable-statistics=true"]);
    let mut spec = collector.spec(None);
    spec.bridges[0].ipfix.as_mut().unwrap().sampling = Some(100);
    let asked = spec.clone();
    spec.budget = Some(Budget {
        vswitchd_millicores: Some(0),
        action: BudgetAction::Throttle,
        floor: Some(150),
        ..Default::default()
    });
    let agent = Agent::start_config(&switch, spec, |config| {
        config.cost_interval = Duration::from_millis(500);
    });
    let status = agent.wait_for("throttled", |status| {
        for _ in 0..20 {
            switch.receive("p1", PACKET);
        }
        is(status, THROTTLED, "True") && is(status, APPLIED, "True")
    });
    assert_eq!(reason_of(&status, THROTTLED), reason::PROCESSOR_OVER_BUDGET);
    assert!(status.cost.unwrap().vswitchd_millicores > Some(0));
    assert_eq!(switch.column("ipfix", "sampling"), "150", "the floor");
    assert_eq!(status.drift_healed, 0);
    agent.set(2, asked);
    agent.wait_for("as asked", |status| {
        status.observed_generation == Some(2) && find(&status.conditions, THROTTLED).is_none()
    });
    wait("as asked", || switch.column("ipfix", "sampling") == "100");
    agent.end();
}

/// Set where a test runs in a network of its own.
const OWN_NETWORK: &str = "WEIR_TEST_OWN_NETWORK";
/// Bound of a storm; nothing is measured against it.
const STORM_PATIENCE: Duration = Duration::from_secs(120);

/// Whether the test runs in a network of its own; otherwise it is run there, as root.
fn has_own_network(test: &str) -> bool {
    if std::env::var_os(OWN_NETWORK).is_some() {
        return true;
    }
    let mut command = Command::new("unshare");
    command.arg("--net").arg(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env(OWN_NETWORK, "1");
    assert!(command.status().unwrap().success());
    false
}

fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    let command = command.args(arguments.split(' ')).stderr(Stdio::null());
    command.stdout(Stdio::null()).status().unwrap().success()
}

/// A bridge through which its own collector is reached: each datagram is a packet, of which
/// another is made where it enters, and one for each port where it leaves.
fn switch_before_its_collector() -> Switch {
    let mut switch = Switch::start();
    switch.start_vswitchd();
    switch.vsctl(&["set", "open_vswitch", ".", "other_config:enable-statistics=true"]);
    switch.add_bridge("br-int");
    switch.vsctl(&[
        "add-port",
        "br-int",
        "p1",
        "--",
        "set",
        "interface",
        "p1",
        "type=internal",
    ]);
    for device in ["lo", "br-int", "p1"] {
        wait(device, || ip(&format!("link set {device} up")));
    }
    assert!(ip("address add 192.0.2.1/24 dev br-int"));
    assert!(ip(
        "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev br-int nud permanent"
    ));
    switch
}

/// The API refuses such settings, and the daemon puts them right where they come from a
/// `NodeFlowExport` or a file: here they are given to the agent itself.
#[test]
fn a_storm_ends_by_itself_where_the_governor_is_on() {
    if !has_own_network("a_storm_ends_by_itself_where_the_governor_is_on") {
        return;
    }
    let switch = switch_before_its_collector();
    let mut spec = spec(BridgeExport {
        name: "br-int".to_owned(),
        exporter_id: 1,
        ipfix: Some(IpfixExport {
            targets: vec!["192.0.2.9:4739".to_owned()],
            sampling: Some(1),
            cache_active_timeout: Some(0),
            cache_max_flows: Some(0),
            ..Default::default()
        }),
        ..Default::default()
    });
    spec.budget = Some(Budget {
        vswitchd_millicores: Some(100),
        lost_per_second: Some(10),
        action: BudgetAction::Throttle,
        floor: None,
    });
    let agent = Agent::start(&switch, spec);
    agent.wait_for("export", |status| is(status, EXPORTING, "True"));
    let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
    let sent = || switch.ipfix_sent("br-int").unwrap_or(0);
    wait("a storm of two packets", || {
        if sent() < 100 {
            socket.send_to(b"a packet", "192.0.2.9:9").unwrap();
        }
        sent() > 10_000
    });
    let began = Instant::now();
    let (mut before, mut now) = (0, sent());
    while now != before {
        assert!(
            began.elapsed() < STORM_PATIENCE,
            "the storm goes on: {now} datagrams"
        );
        std::thread::sleep(Duration::from_millis(500));
        (before, now) = (now, sent());
    }
    println!("the storm ended after {:?} and {now} datagrams", began.elapsed());
    let status = agent.wait_for("throttled", |status| is(status, THROTTLED, "True"));
    let reason = reason_of(&status, THROTTLED);
    assert!(
        [reason::PROCESSOR_OVER_BUDGET, reason::LOST_OVER_BUDGET].contains(&reason.as_str()),
        "{reason}"
    );
    let sampling: u32 = switch.column("ipfix", "sampling").parse().unwrap();
    assert!(sampling >= 2, "{sampling}");
    agent.end();
}

const DOMAIN: u32 = 77;
const PACKET: &str = "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),\
     ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)";

/// The id of a message's first set.
fn first_set(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[16], message[17]])
}

fn domain(message: &[u8]) -> u32 {
    u32::from_be_bytes(message[12..16].try_into().unwrap())
}

fn holds(message: &[u8], bytes: &[u8]) -> bool {
    message.windows(bytes.len()).any(|part| part == bytes)
}

fn switch_with_pod() -> Switch {
    let mut switch = Switch::start();
    switch.start_dummy_vswitchd();
    switch.vsctl(&[
        "add-br",
        "br-int",
        "--",
        "set",
        "bridge",
        "br-int",
        "datapath_type=dummy",
    ]);
    let pod = [
        "external_ids:iface-id=shop_web",
        "type=dummy",
        "options:ifindex=101",
    ];
    let mut port = vec!["add-port", "br-int", "p1", "--", "set", "interface", "p1"];
    port.extend(pod);
    switch.vsctl(&port);
    switch
}

#[test]
fn a_new_virtual_observation_id_makes_the_switch_send_its_templates_again() {
    let (switch, collector) = (switch_with_pod(), Collector::new());
    let agent = Agent::start(&switch, collector.spec(None));
    agent.wait_applied(1);
    let is_template = |message: &[u8]| first_set(message) == 2;
    collector.wait("templates", &switch, is_template);
    let row = switch.on_bridge("br-int", "ipfix");
    collector.wait("data", &switch, |message| first_set(message) > 255);
    while collector.next().is_some() {}

    agent.set(2, collector.spec(Some("one")));
    agent.wait_applied(2);
    assert_ne!(switch.on_bridge("br-int", "ipfix"), row);
    // The next ones in their turn come after 600 s.
    collector.wait("templates again", &switch, is_template);
    collector.wait("data with the id", &switch, |message| holds(message, b"\x03one"));
    assert_eq!(agent.status().drift_healed, 0);
    agent.end();
}

#[test]
fn collectors_are_told_the_pod_behind_the_interface_that_the_switch_names() {
    let (switch, collector) = (switch_with_pod(), Collector::new());
    let agent = Agent::start(&switch, collector.spec_with_names());
    let told = |description: &'static [u8]| {
        move |message: &[u8]| {
            let of_port = [&[0, 0, 0, 101][..], &[0, 0, 0, 1], b"\x02p1", description].concat();
            domain(message) == DOMAIN && first_set(message) == 3 && holds(message, &of_port)
        }
    };
    collector.wait("the name", &switch, told(b"\x08shop/web"));
    collector.wait("a record", &switch, |message| {
        domain(message) == DOMAIN
            && first_set(message) > 255
            && holds(message, &[0, 0, 0, 101])
            && holds(message, b"\x02p1")
    });
    switch.vsctl(&["set", "interface", "p1", "external_ids:iface-id=shop_new"]);
    collector.wait("the new name", &switch, told(b"\x08shop/new"));
    switch.vsctl(&["remove", "interface", "p1", "external_ids", "iface-id"]);
    collector.wait("no name", &switch, told(b"\x00"));
    agent.end();
}

#[test]
fn nobody_is_told_names_before_that_is_asked_for() {
    let (switch, collector) = (switch_with_pod(), Collector::new());
    let agent = Agent::start(&switch, collector.spec(None));
    agent.wait_applied(1);
    collector.wait("data", &switch, |message| {
        assert!(!holds(message, b"shop/web"));
        first_set(message) > 255
    });
    agent.set(2, collector.spec_with_names());
    collector.wait("the name", &switch, |message| holds(message, b"shop/web"));
    agent.end();
}

#[test]
fn everybody_is_told_names_where_the_daemon_was_asked_to() {
    let (switch, collector) = (switch_with_pod(), Collector::new());
    let agent = Agent::start_config(&switch, collector.spec(None), |config| {
        config.interface_names = true
    });
    collector.wait("the name", &switch, |message| holds(message, b"shop/web"));
    agent.end();
}
