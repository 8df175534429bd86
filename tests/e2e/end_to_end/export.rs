//! The documented commands: turning export on, changing it, looking at it,
//! turning it off.

use std::{collections::BTreeSet, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use weir_lab::{harness::Case, program, traffic::Sink, wait_until};

use crate::stage::{DEADLINE, Stage, TABLES, column, rows, targets, wait_column};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "the documented patch turns NetFlow on at every node",
        net_flow_is_turned_on,
    ),
    Case::new(
        "the documented patch turns sFlow on at every node",
        s_flow_is_turned_on,
    ),
    Case::new(
        "the documented patch turns IPFIX on at every node",
        ipfix_is_turned_on,
    ),
    Case::new("one patch turns all three on at once", all_three_are_turned_on),
    Case::new("kubectl get nodeflowexports reads well", the_table_reads_well),
    Case::new(
        "several collectors of one type receive identical records",
        collectors_receive_the_same,
    ),
    Case::new("a changed target is changed in place", a_change_keeps_the_row),
    Case::new(
        "each node and bridge has an identity of its own",
        identities_are_unique,
    ),
    Case::new(
        "a profile tunes every protocol, and zero stays zero",
        a_profile_tunes,
    ),
    Case::new(
        "ovs-flows-config is honoured, its zeros too",
        the_config_map_is_honoured,
    ),
    Case::new("a Service is resolved and followed", a_service_is_followed),
    Case::new("a JSON patch removes everything", a_json_patch_removes_everything),
    Case::new(
        "a merge patch with null removes everything",
        a_merge_null_removes_everything,
    ),
];

/// The documented way: a file, patched in with `"$(cat FILE)"`.
fn patch_from_file(stage: &Stage, protocol: &str, collector: &str) -> Result<()> {
    let file = stage.lab.directory().join(format!("{protocol}.yaml"));
    let yaml =
        format!("spec:\n  exportNetworkFlows:\n    {protocol}:\n      collectors:\n        - {collector}\n");
    std::fs::write(&file, yaml)?;
    let line = format!(
        r#"kubectl patch network.operator cluster --type merge -p "$(cat {})" && kubectl get network.operator cluster -o jsonpath="{{.spec.exportNetworkFlows}}""#,
        file.display()
    );
    let mut shell = stage.lab.underlay().command("sh")?;
    let path = format!("{}:{}", stage.kube.binaries().display(), std::env::var("PATH")?);
    let said = program::read(
        shell
            .args(["-c", &line])
            .envs(stage.kube.environment())
            .env("PATH", path),
    )?;
    let expected = format!(
        r#"network.operator.openshift.io/cluster patched{}{{"{protocol}":{{"collectors":["{collector}"]}}}}"#,
        '\n'
    );
    ensure!(said == expected, "said {said:?}");
    Ok(())
}

/// What `ovs-vsctl find` prints, as documented: columns padded to 20.
fn wait_found(stage: &Stage, table: &str, collector: &str) -> Result<()> {
    stage.wait_targets(table, &[collector])?;
    for node in stage.lab.nodes() {
        let found = node.vsctl(&["find", table])?;
        let line = format!("{:<20}: [\"{collector}\"]", "targets");
        ensure!(found.lines().any(|l| l == line), "no line {line:?} in:\n{found}");
    }
    stage.wait_exporting()
}

fn net_flow_is_turned_on(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    patch_from_file(stage, "netFlow", "192.168.1.99:2056")?;
    wait_found(stage, "netflow", "192.168.1.99:2056")?;
    stage
        .lab
        .nodes()
        .try_for_each(|node| wait_column(node, "netflow", "active_timeout", "60"))
}

fn s_flow_is_turned_on(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    patch_from_file(stage, "sFlow", "192.168.1.99:6343")?;
    wait_found(stage, "sflow", "192.168.1.99:6343")
}

fn ipfix_is_turned_on(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    patch_from_file(stage, "ipfix", "192.168.1.99:4739")?;
    wait_found(stage, "ipfix", "192.168.1.99:4739")
}

fn all_three_are_turned_on(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    turn_all_on(stage)?;
    for (table, target) in TABLES
        .iter()
        .zip(["192.168.1.99:4739", "192.168.1.99:6343", "192.168.1.99:2056"])
    {
        stage.wait_targets(table, &[target])?;
    }
    stage.wait_exporting()?;
    let network = &["network.operator", "cluster"];
    stage.wait_condition(network, "FlowExportAvailable", "True", &["all 2 nodes export"])?;
    stage.wait_condition(network, "FlowExportProgressing", "False", &[])?;
    stage.wait_condition(network, "FlowExportDegraded", "False", &[])?;
    Ok(())
}

fn turn_all_on(stage: &Stage) -> Result<String> {
    stage.patch(
        r#"{"spec":{"exportNetworkFlows":{"netFlow":{"collectors":["192.168.1.99:2056"]},
            "sFlow":{"collectors":["192.168.1.99:6343"]},"ipfix":{"collectors":["192.168.1.99:4739"]}}}}"#,
    )
}

fn the_table_reads_well(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    turn_all_on(stage)?;
    stage.wait_exporting()?;
    let table = stage.kube.kubectl(&["get", "nodeflowexports"])?;
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    ensure!(
        head == ["NAME", "PROTOCOLS", "APPLIED", "EXPORTING", "AGE", "REASON"],
        "{table}"
    );
    let first: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    ensure!(
        first[..4] == ["node-a", "NetFlow,sFlow,IPFIX", "True", "True"],
        "{table}"
    );
    let owner = stage.kube.object(&["nodeflowexport", "node-a"])?["metadata"]["ownerReferences"][0].clone();
    let node = stage.kube.object(&["node", "node-a"])?;
    ensure!(
        owner["kind"] == "Node" && owner["uid"] == node["metadata"]["uid"],
        "{owner}"
    );
    let status = &stage.kube.object(&["nodeflowexport", "node-a"])?["status"];
    ensure!(
        status["ovsVersion"]
            .as_str()
            .is_some_and(|version| version.contains('.')),
        "{status}"
    );
    ensure!(
        status["bridges"][0]["netFlow"]["targets"][0] == "192.168.1.99:2056",
        "{status}"
    );
    Ok(())
}

fn collectors_receive_the_same(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let sinks = [bind_sink(stage)?, bind_sink(stage)?];
    let addresses = sinks.each_ref().map(|sink| sink.address().to_string());
    stage.kube.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: quick}, \
         spec: {netFlow: {activeTimeout: 1}}}",
    )?;
    stage.export("netFlow", &[&addresses[0], &addresses[1]])?;
    stage.wait_targets("netflow", &[&addresses[0], &addresses[1]])?;
    let (client, web) = crate::records::pods(stage)?;
    let transfer = weir_lab::traffic::transfer(&client, &web, 8080, 50_000)?;
    let [one, two] = sinks;
    wait_until("both collectors to have the transfer", DEADLINE, || {
        Ok([&one, &two]
            .iter()
            .all(|sink| has_port(sink, transfer.source.port())))
    })?;
    // What one has received the other receives in the next instant.
    wait_until("both collectors to have the same", DEADLINE, || {
        Ok(payloads(&one) == payloads(&two))
    })?;
    stage.kube.kubectl(&["delete", "exportprofile", "quick"])?;
    Ok(())
}

fn bind_sink(stage: &Stage) -> Result<Sink> {
    Sink::bind(&stage.lab.underlay(), SocketAddr::from(([172, 30, 0, 1], 0)))
}

fn payloads(sink: &Sink) -> BTreeSet<Vec<u8>> {
    sink.datagrams()
        .into_iter()
        .map(|datagram| datagram.payload)
        .collect()
}

/// Whether a NetFlow v5 record of that source port has come: records of 48
/// octets after a header of 24, the source port at 32 of each.
fn has_port(sink: &Sink, port: u16) -> bool {
    let of = |payload: &[u8]| {
        let records = payload.get(24..).unwrap_or_default().chunks_exact(48);
        records
            .into_iter()
            .any(|record| record.get(32..34) == Some(&port.to_be_bytes()))
    };
    sink.datagrams().iter().any(|datagram| of(&datagram.payload))
}

fn a_change_keeps_the_row(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    for (protocol, table) in [("netFlow", "netflow"), ("sFlow", "sflow"), ("ipfix", "ipfix")] {
        stage.export(protocol, &["172.30.0.1:4001"])?;
        stage.wait_targets(table, &["172.30.0.1:4001"])?;
        let node = stage.lab.node("node-a")?;
        let before = rows(&node, table)?;
        stage.export(protocol, &["172.30.0.1:4002", "172.30.0.1:4003"])?;
        stage.wait_targets(table, &["172.30.0.1:4002", "172.30.0.1:4003"])?;
        let after = rows(&node, table)?;
        ensure!(before == after, "{table}: {before:?} became {after:?}");
    }
    Ok(())
}

fn identities_are_unique(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    turn_all_on(stage)?;
    stage.wait_exporting()?;
    let nodes: Vec<_> = stage.lab.nodes().collect();
    let unique = |table: &str, columns: &[&str]| -> Result<()> {
        let identity = |node: &&&std::sync::Arc<weir_lab::Node>| -> Result<Vec<String>> {
            columns.iter().map(|name| column(node, table, name)).collect()
        };
        let all = nodes
            .iter()
            .map(|node| identity(&node))
            .collect::<Result<BTreeSet<_>>>()?;
        ensure!(
            all.len() == nodes.len() && !all.contains(&vec![String::new(); columns.len()]),
            "{table}: {all:?}"
        );
        Ok(())
    };
    unique("ipfix", &["obs_domain_id"])?;
    unique("netflow", &["engine_type", "engine_id"])?;
    unique("sflow", &["agent"])
}

fn a_profile_tunes(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    turn_all_on(stage)?;
    stage.wait_exporting()?;
    stage.kube.apply(
        "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: tuned}, spec: {\
         nodeSelector: {matchLabels: {kubernetes.io/hostname: node-a}}, \
         budget: {vswitchdMillicores: 64000, action: Throttle}, \
         netFlow: {activeTimeout: 0, engineId: 0}, \
         sFlow: {sampling: 64, polling: 0, header: 96, agent: eth0}, \
         ipfix: {sampling: 700, cacheActiveTimeout: 0, cacheMaxFlows: 0, obsPointId: 9, virtualObsId: here, \
         enableInputSampling: false}}}",
    )?;
    let (tuned, plain) = (stage.lab.node("node-a")?, stage.lab.node("node-b")?);
    for (table, name, value) in [
        ("netflow", "active_timeout", "0"),
        ("netflow", "engine_id", "0"),
        ("sflow", "sampling", "64"),
        ("sflow", "polling", "0"),
        ("sflow", "header", "96"),
        ("sflow", "agent", "eth0"),
        ("ipfix", "sampling", "700"),
        ("ipfix", "cache_active_timeout", "0"),
        ("ipfix", "cache_max_flows", "0"),
        ("ipfix", "obs_point_id", "9"),
    ] {
        wait_column(&tuned, table, name, value)?;
    }
    stage.wait_condition(
        &["nodeflowexport", "node-a"],
        "Throttled",
        "Unknown",
        &["CostUnknown", "enable-statistics=true"],
    )?;
    let other = column(&tuned, "ipfix", "other_config")?;
    // Before OVS 3.2 the switch is inverted: true is what disables.
    let version = tuned.vsctl(&["--bare", "get", "Open_vSwitch", ".", "ovs_version"])?;
    let old = ["\"2.", "\"3.0", "\"3.1"]
        .iter()
        .any(|prefix| version.starts_with(prefix));
    let switch = format!("enable-input-sampling={}", if old { "true" } else { "false" });
    ensure!(
        other.contains(&switch) && other.contains("virtual_obs_id=here"),
        "{other} (OVS {version})"
    );
    wait_column(&plain, "ipfix", "sampling", "400")?;
    wait_column(&plain, "ipfix", "cache_active_timeout", "20")?;
    stage.kube.kubectl(&["delete", "exportprofile", "tuned"])?;
    wait_column(&tuned, "ipfix", "sampling", "400")?;
    wait_column(&tuned, "ipfix", "other_config", "")
}

fn the_config_map_is_honoured(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage
        .kube
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: openshift-network-operator}}")?;
    stage.kube.apply(
        "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: openshift-network-operator, name: ovs-flows-config}, \
         data: {nodePort: '9995', cacheActiveTimeout: 0s, cacheMaxFlows: '400', sampling: '200'}}",
    )?;
    for node in stage.lab.nodes() {
        let own = format!("{}:9995", node.addresses().internal());
        crate::stage::wait_targets(node, "ipfix", &["172.30.0.1:4739", &own])?;
        wait_column(node, "ipfix", "cache_active_timeout", "0")?;
        wait_column(node, "ipfix", "cache_max_flows", "400")?;
        wait_column(node, "ipfix", "sampling", "200")?;
    }
    // Without its cache, export of every second packet through a bridge would feed itself.
    stage.kube.kubectl(&[
        "patch",
        "configmap",
        "-n",
        "openshift-network-operator",
        "ovs-flows-config",
        "--type=merge",
        "-p",
        r#"{"data":{"sampling":"2"}}"#,
    ])?;
    for node in stage.lab.nodes() {
        wait_column(node, "ipfix", "sampling", "2")?;
        wait_column(node, "ipfix", "cache_active_timeout", "20")?;
    }
    stage.wait_condition(
        &["network.operator", "cluster"],
        "FlowExportDegraded",
        "True",
        &["ovs-flows-config", "feed itself"],
    )?;
    stage.kube.kubectl(&[
        "delete",
        "configmap",
        "-n",
        "openshift-network-operator",
        "ovs-flows-config",
    ])?;
    stage.wait_targets("ipfix", &["172.30.0.1:4739"])?;
    stage
        .lab
        .nodes()
        .try_for_each(|node| wait_column(node, "ipfix", "sampling", "400"))
}

fn a_service_is_followed(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.export("netFlow", &["sink.flows.svc:2055"])?;
    stage
        .kube
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: flows}}")?;
    for ip in ["10.96.7.1", "10.96.7.2"] {
        stage
            .kube
            .kubectl(&["delete", "service", "-n", "flows", "sink", "--ignore-not-found"])?;
        stage.kube.apply(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{namespace: flows, name: sink}}, \
             spec: {{clusterIP: {ip}, ports: [{{port: 2055, protocol: UDP}}]}}}}"
        ))?;
        stage.wait_targets("netflow", &[&format!("{ip}:2055")])?;
    }
    stage
        .kube
        .kubectl(&["delete", "service", "-n", "flows", "sink"])?;
    // One that is replaced is gone for a moment, too: its last address counts for a minute.
    let network = &["network.operator", "cluster"];
    stage.wait_condition(network, "FlowExportDegraded", "True", &["flows/sink is gone"])?;
    stage.wait_targets("netflow", &["10.96.7.2:2055"])?;
    wait_until("the hold to end", DEADLINE * 3, || {
        let degraded = stage.condition(network, "FlowExportDegraded")?;
        Ok(degraded.is_some_and(|degraded| degraded.text().contains("does not exist")))
    })?;
    stage.wait_clean()
}

fn a_json_patch_removes_everything(stage: &mut Stage) -> Result<()> {
    turn_all_on(stage)?;
    stage.wait_exporting()?;
    let said = stage.kube.kubectl(&[
        "patch",
        "network.operator",
        "cluster",
        "--type=json",
        r#"-p=[{"op":"remove", "path":"/spec/exportNetworkFlows"}]"#,
    ])?;
    ensure!(
        said == "network.operator.openshift.io/cluster patched\n",
        "{said:?}"
    );
    is_clean(stage)
}

fn a_merge_null_removes_everything(stage: &mut Stage) -> Result<()> {
    turn_all_on(stage)?;
    stage.wait_exporting()?;
    stage.patch(r#"{"spec":{"exportNetworkFlows":null}}"#)?;
    is_clean(stage)
}

fn is_clean(stage: &Stage) -> Result<()> {
    stage.wait_clean()?;
    for node in stage.lab.nodes() {
        for column in ["netflow", "sflow", "ipfix"] {
            let value = node.vsctl(&["get", "bridge", "br-int", column])?;
            ensure!(
                value.trim() == "[]",
                "{}: br-int {column} is {value}",
                node.name()
            );
        }
        ensure!(targets(node, "ipfix")?.is_empty(), "{} has targets", node.name());
    }
    let network = &["network.operator", "cluster"];
    stage
        .wait_condition(network, "FlowExportAvailable", "False", &["NoCollectors"])
        .context("the roll-up")?;
    stage.wait_condition(
        &["nodeflowexport", "node-a"],
        "Exporting",
        "False",
        &["NoCollectors"],
    )?;
    Ok(())
}
