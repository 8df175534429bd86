//! Without Kubernetes: the same YAML as a file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{Node, Process, harness::Case, product, program, traffic::transfer, wait_for, wait_until};

use crate::{
    records,
    stage::{DEADLINE, Stage, TABLES, manifests, rows, wait_column, wait_targets},
};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "weir-node follows a file, keeps its last good form and clears on exit",
        the_daemon_follows_a_file,
    ),
    Case::new(
        "weir-node refuses wrong arguments and a missing file with the reason",
        wrong_arguments_are_refused,
    ),
    Case::new(
        "weir up exports, names flows from the local OVSDB and clears on exit",
        up_is_the_whole_street,
    ),
    Case::new(
        "the units of systemd export from a host, collect there and leave nothing behind",
        units_are_the_whole_street,
    ),
    Case::new(
        "the units of systemd export through the gate and leave nothing behind",
        units_with_the_gate_export,
    ),
    Case::new("weir status shows files and clusters", status_shows_both),
];

/// A node whose own daemon is not running, so that the file alone counts.
fn lone_node(stage: &mut Stage) -> Result<Arc<Node>> {
    stage.clear()?;
    if let Some(daemon) = stage.daemons.remove("node-a") {
        daemon.terminate(DEADLINE)?;
    }
    stage.lab.node("node-a")
}

fn network(protocol: &str, collectors: &str) -> String {
    format!("spec: {{exportNetworkFlows: {{{protocol}: {{collectors: [{collectors}]}}}}}}\n")
}

fn write(stage: &Stage, name: &str, text: &str) -> Result<PathBuf> {
    let path = stage.lab.directory().join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn program_on(node: &Node, name: &str) -> Result<Command> {
    node.netns().command(text(&product::path(name)?))
}

fn the_daemon_follows_a_file(stage: &mut Stage) -> Result<()> {
    let node = lone_node(stage)?;
    let file = write(
        stage,
        "network.yaml",
        &network("netFlow", "'172.30.0.1:2056', ':2057'"),
    )?;
    let mut command = program_on(&node, "weir-node")?;
    command.args([
        "--network",
        text(&file),
        "--ovsdb",
        &node.ovsdb_remote(),
        "--node-name",
        "node-a",
    ]);
    command.args(["--node-ip", "192.0.2.7", "--on-exit", "clear"]);
    let daemon = node.spawn("weir-node-file", &mut command)?;
    wait_targets(&node, "netflow", &["172.30.0.1:2056", "192.0.2.7:2057"])?;
    let row = rows(&node, "netflow")?;

    fs::write(&file, "spec: {exportNetworkFlows: {netflow: {}}}\n")?;
    wait_until("the bad edit to be reported", DEADLINE, || {
        let log = daemon.stderr()?;
        Ok(log.contains("netflow") && log.contains("network.yaml"))
    })?;
    ensure!(rows(&node, "netflow")? == row, "a bad edit changed something");

    fs::write(&file, network("netFlow", "'172.30.0.1:2058'"))?;
    wait_targets(&node, "netflow", &["172.30.0.1:2058"])?;
    ensure!(rows(&node, "netflow")? == row, "the row was made anew");
    ensure!(
        daemon.terminate(DEADLINE)?.success(),
        "SIGTERM ends the daemon well"
    );
    TABLES
        .iter()
        .try_for_each(|table| wait_targets(&node, table, &[]))
}

fn wrong_arguments_are_refused(stage: &mut Stage) -> Result<()> {
    let node = stage.lab.node("node-a")?;
    let bad = write(stage, "bad.yaml", "kind: Pod\nspec: {}\n")?;
    let remote = node.ovsdb_remote();
    let cases: [(&[&str], &str); 5] = [
        (
            &[
                "--network",
                "/nowhere/network.yaml",
                "--node-name",
                "n",
                "--node-ip",
                "192.0.2.7",
            ],
            "/nowhere/network.yaml",
        ),
        (
            &[
                "--network",
                text(&bad),
                "--node-name",
                "n",
                "--node-ip",
                "192.0.2.7",
            ],
            "Pod",
        ),
        (
            &[
                "--network",
                text(&bad),
                "--node-name",
                "n",
                "--node-ip",
                "192.0.2.999",
            ],
            "192.0.2.999",
        ),
        (&["--node-name", "n", "--ovsdb", "unx:/x"], "unx:/x"),
        (&["--node-name", "n", "--no-such-flag"], "--no-such-flag"),
    ];
    for (arguments, words) in cases {
        let mut command = program_on(&node, "weir-node")?;
        if !arguments.contains(&"--ovsdb") {
            command.args(["--ovsdb", &remote]);
        }
        let output = command.args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(2),
            "{arguments:?}: {:?}: {said}",
            output.status.code()
        );
        ensure!(said.contains(words), "{arguments:?}: {said}");
    }
    Ok(())
}

const EVERY_PACKET: &str = "spec:\n  netFlow: {activeTimeout: 1}\n  sFlow: {sampling: 1}\n  ipfix: {sampling: 1, cacheActiveTimeout: 1}\n";

fn up_is_the_whole_street(stage: &mut Stage) -> Result<()> {
    let (client, web) = records::pods(stage)?;
    let node = lone_node(stage)?;
    let file = write(stage, "up.yaml", &network("ipfix", "'127.0.0.1:4739'"))?;
    let profile = write(stage, "profile.yaml", EVERY_PACKET)?;
    let data = stage.lab.directory().join("up");
    let mut command = program_on(&node, "weir")?;
    command.args([
        "up",
        "--network",
        text(&file),
        "--profile",
        text(&profile),
        "--ovsdb",
        &node.ovsdb_remote(),
    ]);
    command.args([
        "--node-name",
        "node-a",
        "--listen",
        "127.0.0.1:4739",
        "--http",
        "127.0.0.1:8081",
    ]);
    command.args(["--data-dir", text(&data)]);
    let up = node.spawn("weir-up", &mut command)?;
    wait_targets(&node, "ipfix", &["127.0.0.1:4739"])?;
    let sent = transfer(&client, &web, 8080, 100_000)?;
    let record = wait_for("a named record", DEADLINE, || find(&up, sent.source.port()))?;
    for (field, value) in [
        ("ns", "shop"),
        ("pod_name", "client-1"),
        ("exporter_node", "node-a"),
    ] {
        ensure!(record[field] == value, "{field} in {record}");
    }
    ensure!(record["dst_port"] == 8080, "{record}");
    let said = program::read(program_on(&node, "weir")?.args(["status", "--data-dir", text(&data)]))?;
    ensure!(said.contains("node-a") && said.contains("IPFIX"), "{said}");
    ensure!(up.terminate(DEADLINE)?.success(), "SIGTERM ends weir up well");
    kept_flows_are_found(&data, sent.source.port())?;
    TABLES
        .iter()
        .try_for_each(|table| wait_targets(&node, table, &[]))
}

/// What `weir up` saw is in its directory after it has ended.
fn kept_flows_are_found(data: &Path, port: u16) -> Result<()> {
    let filter = format!("port == {port} && ns == \"shop\" && dst_port == 8080");
    let mut weir = Command::new(product::path("weir")?);
    weir.args([
        "flows",
        &filter,
        "--data-dir",
        text(data),
        "-o",
        "json",
        "--columns",
        "pod_name,bytes",
    ]);
    let said = program::read(&mut weir)?;
    let first: Value = serde_json::from_str(said.lines().next().unwrap_or_default())?;
    ensure!(
        first["pod_name"] == "client-1" && first["bytes"].is_u64(),
        "{said}"
    );
    Ok(())
}

fn find(up: &Process, port: u16) -> Result<Option<Value>> {
    let text = up.stdout()?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut records = whole.lines().map(serde_json::from_str::<Value>);
    records
        .find(|record| record.as_ref().map_or(true, |r| r["port"] == port))
        .transpose()
        .map_err(Into::into)
}

fn status_shows_both(stage: &mut Stage) -> Result<()> {
    let node = lone_node(stage)?;
    let file = write(
        stage,
        "status.yaml",
        &network("netFlow", "'172.30.0.1:2056', 'no.such.svc:1'"),
    )?;
    let mut command = program_on(&node, "weir")?;
    command.args([
        "status",
        "--network",
        text(&file),
        "--ovsdb",
        &node.ovsdb_remote(),
        "--node-name",
        "node-a",
    ]);
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "not applied is an error: {said}");
    ensure!(
        said.contains("node-a") && said.contains("no.such.svc:1"),
        "{said}"
    );

    stage.start_daemon("node-a")?;
    stage.export("netFlow", &["172.30.0.1:2056"])?;
    stage.wait_exporting()?;
    wait_column(&node, "netflow", "active_timeout", "60")?;
    let mut command = Command::new(product::path("weir")?);
    let said = program::read(command.arg("status").env("KUBECONFIG", stage.kube.kubeconfig()))?;
    for word in ["node-a", "node-b", "NetFlow", "FlowExportAvailable"] {
        ensure!(said.contains(word), "no {word} in:\n{said}");
    }
    stage.clear()
}

/// A unit's command with its environment files, as systemd makes it, with the places of the
/// lab in place of a host's.
fn of_unit(node: &Node, unit: &str, environment: &str, places: &[(&str, &str)]) -> Result<Command> {
    let folder = manifests().join("openstack-host");
    let moved = |text: String| {
        places
            .iter()
            .fold(text, |text, (there, here)| text.replace(there, here))
    };
    let text = moved(fs::read_to_string(folder.join(unit))?).replace("\\\n", " ");
    // A drop-in takes the unit's command away by an empty one first.
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    let line = lines.find(|line| !line.is_empty());
    let mut line = line.context("a command")?.to_owned();
    let environment = moved(fs::read_to_string(folder.join(environment))?);
    for (name, value) in environment.lines().filter_map(|line| line.split_once('=')) {
        line = line
            .replace(&format!("${{{name}}}"), value)
            .replace(&format!("${name}"), value);
    }
    let mut words = line.split_whitespace();
    let program = words
        .next()
        .and_then(|path| path.rsplit('/').next())
        .context("a program")?;
    let mut command = program_on(node, program)?;
    command.args(words);
    Ok(command)
}

/// The files of a host, with the node's address in them.
fn files_of_a_host(stage: &Stage, address: &str) -> Result<PathBuf> {
    let folder = stage.lab.directory().join("host");
    fs::create_dir_all(folder.join("state"))?;
    let network = fs::read_to_string(manifests().join("openstack-host/network.yaml"))?;
    fs::write(
        folder.join("network.yaml"),
        network.replace("192.0.2.11", address),
    )?;
    Ok(folder)
}

fn units_with_the_gate_export(stage: &mut Stage) -> Result<()> {
    let node = lone_node(stage)?;
    let address = node.addresses().internal().to_string();
    let folder = files_of_a_host(stage, &address)?;
    let socket = folder.join("gate.sock").display().to_string();
    let places = [
        ("/etc/weir", text(&folder)),
        ("/run/weir-gate/gate.sock", socket.as_str()),
        ("unix:/run/openvswitch/db.sock", &node.ovsdb_remote()),
        // The lab is root's.
        ("WEIR_NODE_UID=998", "WEIR_NODE_UID=0"),
        ("192.0.2.11", address.as_str()),
        ("%H", "node-a"),
        ("127.0.0.1:9090", "127.0.0.1:9191"),
    ];
    let mut gate = of_unit(&node, "weir-ovsdb-gate.service", "gate.env", &places)?;
    let gate = node.spawn("weir-ovsdb-gate-unit", &mut gate)?;
    let mut daemon = of_unit(&node, "weir-node.service.d/gate.conf", "node.env", &places)?;
    let daemon = node.spawn("weir-node-behind-the-gate", &mut daemon)?;
    wait_targets(&node, "ipfix", &[&format!("{address}:4739")])?;
    ensure!(daemon.terminate(DEADLINE)?.success() && gate.terminate(DEADLINE)?.success());
    ensure!(
        TABLES
            .iter()
            .all(|table| rows(&node, table).is_ok_and(|rows| rows.is_empty()))
    );
    stage.start_daemon("node-a")
}

fn units_are_the_whole_street(stage: &mut Stage) -> Result<()> {
    let (client, web) = records::pods(stage)?;
    let node = lone_node(stage)?;
    let address = node.addresses().internal().to_string();
    let folder = files_of_a_host(stage, &address)?;
    let (etc, state) = (
        text(&folder).to_owned(),
        folder.join("state").display().to_string(),
    );
    let places = [
        ("/etc/weir", etc.as_str()),
        ("${STATE_DIRECTORY}", state.as_str()),
        ("unix:/run/openvswitch/db.sock", &node.ovsdb_remote()),
        // Without OVN.
        (" --ovn-nb=unix:/run/ovn/ovnnb_db.sock", ""),
        ("192.0.2.0/24", "172.30.0.0/16"),
        ("192.0.2.11", address.as_str()),
        ("%H", "node-a"),
        ("127.0.0.1:9090", "127.0.0.1:9191"),
    ];
    let mut collector = of_unit(&node, "weir-collector.service", "collector.env", &places)?;
    let collector = node.spawn("weir-collector-unit", &mut collector)?;
    let daemon = node.spawn(
        "weir-node-unit",
        &mut of_unit(&node, "weir-node.service", "node.env", &places)?,
    )?;
    wait_targets(&node, "ipfix", &[&format!("{address}:4739")])?;
    wait_for("records of the host's own switch", DEADLINE, || {
        transfer(&client, &web, 8080, 2_000_000)?;
        let mut curl = node.netns().command("curl")?;
        let flows = "http://127.0.0.1:8080/api/v1/flows?since=1h";
        let text = program::read(curl.args(["--silent", "--show-error", "--max-time", "5", flows]))?;
        Ok(text.contains(&client.ip().to_string()).then_some(()))
    })?;
    ensure!(daemon.terminate(DEADLINE)?.success() && collector.terminate(DEADLINE)?.success());
    ensure!(
        TABLES
            .iter()
            .all(|table| rows(&node, table).is_ok_and(|rows| rows.is_empty()))
    );
    stage.start_daemon("node-a")
}
