//! What `weir policy explain` says about NetworkPolicies is what OVN does with packets when the
//! same policies are laid as OVN-Kubernetes lays them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use weir_lab::{
    Pod,
    address::PODS_NETWORK,
    harness::Case,
    product,
    traffic::{Sink, send_udp},
    wait_for,
};

use crate::{
    cluster::Cluster,
    stage::{DEADLINE, Stage},
};

pub const CASES: &[Case<Cluster>] = &[Case::new(
    "what the policies deny is what OVN drops, edge by edge",
    denied_is_dropped,
)];

const PODS: [&str; 4] = ["client-1", "near-1", "roam-1", "web-1"];
/// Of UDP. To 8080 the policies allow TCP alone; 9000 to 9002 are a range.
const PORTS: [u16; 6] = [53, 8080, 8999, 9000, 9002, 9003];
const PAYLOAD: usize = 100;

/// The policies of the namespace shop.
fn policies(roam: &Pod) -> [Value; 3] {
    let app = |name: &str| json!({"podSelector": {"matchLabels": {"app": name}}});
    let others = json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["near"]}]}});
    let port =
        |protocol: &str, first: u16, last: u16| json!({"protocol": protocol, "port": first, "endPort": last});
    let pods = json!({"ipBlock": {"cidr": PODS_NETWORK, "except": [format!("{}/32", roam.ip())]}});
    [
        policy(
            "web",
            json!({"policyTypes": ["Ingress"], "ingress": [
                {"from": [app("client")], "ports": [port("TCP", 8080, 8080), port("UDP", 9000, 9002)]},
                {"from": [pods], "ports": [port("UDP", 53, 53)]},
            ]}),
        ),
        policy(
            "roam",
            json!({"policyTypes": ["Egress"], "egress": [
                {"to": [others], "ports": [{"protocol": "UDP"}]},
                {"to": [app("near")], "ports": [port("UDP", 9002, 9002)]},
            ]}),
        ),
        policy("near", json!({"policyTypes": ["Ingress"]})),
    ]
}

fn policy(app: &str, mut spec: Value) -> Value {
    spec["podSelector"] = json!({"matchLabels": {"app": app}});
    let metadata = json!({"name": app, "namespace": "shop"});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
}

/// The same as OVN-Kubernetes lays them (go-controller/pkg/ovn/base_network_controller_policy.go):
/// a port group for each policy and for those whom its namespace isolates, ARP let pass, all else
/// denied at 1000, what rules allow allowed at 1001.
struct Laid {
    group: &'static str,
    pods: &'static [&'static str],
    is_ingress: bool,
    rules: Vec<String>,
}

fn laid(pods: &[Pod]) -> Result<Vec<Laid>> {
    let ip = |name: &str| -> Result<String> {
        let pod = pods.iter().find(|pod| pod.spec.name == name);
        Ok(pod.context("the pod is there")?.ip().to_string())
    };
    let (client, near, roam, web) = (ip("client-1")?, ip("near-1")?, ip("roam-1")?, ip("web-1")?);
    Ok(vec![
        Laid {
            group: "shop_web_ingress",
            pods: &["web-1"],
            is_ingress: true,
            rules: vec![
                format!("ip4.src == {{{client}}} && tcp && tcp.dst == 8080"),
                format!("ip4.src == {{{client}}} && udp && 9000 <= udp.dst <= 9002"),
                format!("ip4.src == {PODS_NETWORK} && ip4.src != {{{roam}}} && udp && udp.dst == 53"),
            ],
        },
        Laid {
            group: "shop_roam_egress",
            pods: &["roam-1"],
            is_ingress: false,
            rules: vec![
                format!("ip4.dst == {{{client}, {roam}, {web}}} && udp"),
                format!("ip4.dst == {{{near}}} && udp && udp.dst == 9002"),
            ],
        },
        Laid {
            group: "shop_near_ingress",
            pods: &["near-1"],
            is_ingress: true,
            rules: Vec::new(),
        },
    ])
}

fn denied_is_dropped(cluster: &mut Cluster) -> Result<()> {
    let pods = PODS.map(|name| cluster.pod(name));
    let pods: Vec<Pod> = pods.into_iter().collect::<Result<_>>()?;
    let stage = &cluster.stage;
    let objects = written(stage.lab.directory(), &pods)?;
    // Addresses are resolved before anything is denied.
    for_each_edge(&pods, |client, server, port| {
        let arrives = fate(stage, client, server, port)?;
        ensure!(arrives, "{} -> {} {port}", client.spec.name, server.spec.name);
        Ok(())
    })?;
    let laid = laid(&pods)?;
    laid.iter()
        .try_for_each(|policy| policy.lay(stage, &pods))
        .and_then(|()| stage.lab.ovn()?.sync())?;
    let mut told = Vec::new();
    let outcome = for_each_edge(&pods, |client, server, port| {
        let allowed = explained(client, server, port, &objects)?;
        let arrives = fate(stage, client, server, port)?;
        told.push(allowed);
        ensure!(
            allowed == arrives,
            "{} -> {} {port}/udp is {}, and {}",
            client.spec.name,
            server.spec.name,
            if allowed { "allowed" } else { "denied" },
            if arrives { "arrives" } else { "is dropped" },
        );
        Ok(())
    });
    for policy in &laid {
        stage.lab.ovn()?.nbctl(&["pg-del", policy.group])?;
    }
    stage.lab.ovn()?.sync()?;
    outcome?;
    let denied = told.iter().filter(|allowed| !**allowed).count();
    ensure!(
        denied >= 20 && told.len() - denied >= 20,
        "{denied} of {}",
        told.len()
    );
    Ok(())
}

fn for_each_edge(pods: &[Pod], mut run: impl FnMut(&Pod, &Pod, u16) -> Result<()>) -> Result<()> {
    for client in pods {
        for server in pods.iter().filter(|server| server.ip() != client.ip()) {
            PORTS.iter().try_for_each(|port| run(client, server, *port))?;
        }
    }
    Ok(())
}

impl Laid {
    fn lay(&self, stage: &Stage, pods: &[Pod]) -> Result<()> {
        let ovn = stage.lab.ovn()?;
        let ours = pods
            .iter()
            .filter(|pod| self.pods.contains(&pod.spec.name.as_str()));
        let ports: Vec<String> = ours.map(Pod::iface_id).collect();
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        ovn.nbctl(&[&["pg-add", self.group], ports.as_slice()].concat())?;
        let (direction, side) = match self.is_ingress {
            true => ("to-lport", "outport"),
            false => ("from-lport", "inport"),
        };
        let here = format!("{side} == @{}", self.group);
        let add = |priority: &str, matched: &str, action: &str| {
            ovn.nbctl(&["acl-add", self.group, direction, priority, matched, action])
                .map(drop)
        };
        add("1000", &here, "drop")?;
        add("1001", &format!("{here} && (arp || nd)"), "allow")?;
        self.rules
            .iter()
            .try_for_each(|rule| add("1001", &format!("{here} && {rule}"), "allow-related"))
    }
}

/// The objects of the cluster as `kubectl get -o json` writes them.
fn written(folder: &Path, pods: &[Pod]) -> Result<PathBuf> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    let objects = pods.iter().map(|pod| {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.spec.name, "namespace": "shop", "labels": {"app": pod.spec.app()}},
            "spec": {"nodeName": pod.spec.node, "containers": []},
            "status": {"phase": "Running", "podIP": pod.ip(), "podIPs": [{"ip": pod.ip()}]},
        })
    });
    let roam = pods.iter().find(|pod| pod.spec.name == "roam-1");
    let policies = policies(roam.context("roam-1 is there")?);
    let items: Vec<Value> = objects.chain([namespace]).chain(policies).collect();
    let file = folder.join("policies-of-ovn.json");
    fs::write(
        &file,
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string(),
    )?;
    Ok(file)
}

/// Whether the policies allow it.
fn explained(client: &Pod, server: &Pod, port: u16, objects: &Path) -> Result<bool> {
    let [from, to] = [client, server].map(|pod| format!("shop/{}", pod.spec.name));
    let said = Command::new(product::path("weir")?)
        .args([
            "policy",
            "explain",
            &from,
            &to,
            &format!("{port}/udp"),
            "-o",
            "json",
        ])
        .args(["--profile", "ovn-kubernetes", "--objects"])
        .arg(objects)
        .output()?;
    let answers: Value = serde_json::from_slice(&said.stdout)
        .with_context(|| String::from_utf8_lossy(&said.stderr).into_owned())?;
    match answers[0]["answer"].as_str() {
        Some("allow") => Ok(true),
        Some("deny") => Ok(false),
        _ => bail!("{from} -> {to} {port}/udp: {answers}"),
    }
}

/// Whether a datagram arrives. Both ways are seen: at the server, and in the counters of the
/// rules that drop.
fn fate(stage: &Stage, client: &Pod, server: &Pod, port: u16) -> Result<bool> {
    let address = SocketAddr::new(server.ip(), port);
    let sink = Sink::bind(server.netns(), address)?;
    let before = dropped(stage)?;
    send_udp(client.netns(), address, 1, PAYLOAD)?;
    let what = format!("the fate of a datagram to {} {port}", server.spec.name);
    wait_for(&what, DEADLINE, || {
        if sink.count() > 0 {
            return Ok(Some(true));
        }
        Ok((dropped(stage)? > before).then_some(false))
    })
}

/// Packets that the rules of priority 1000 dropped until now, on all nodes; ovn-northd puts 1000 on
/// each rule's priority.
fn dropped(stage: &Stage) -> Result<u64> {
    let mut sum = 0;
    for node in stage.lab.nodes() {
        let flows = node.ofctl(&["dump-flows", "br-int"])?;
        let dropping = flows
            .lines()
            .filter(|flow| flow.contains("priority=2000,") && flow.trim_end().ends_with("actions=drop"));
        for flow in dropping {
            let packets = flow
                .split("n_packets=")
                .nth(1)
                .and_then(|rest| rest.split(',').next());
            sum += packets.context("a flow has n_packets")?.parse::<u64>()?;
        }
    }
    Ok(sum)
}
