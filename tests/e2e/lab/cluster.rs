//! The API server's objects, and nodes and pods that come and go.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_lab::{Lab, PodSpec, traffic};

pub fn interfaces_carry_external_ids(lab: &mut Lab) -> Result<()> {
    let pod = lab.pod("shop", "near")?;
    let ids = lab
        .node("node-a")?
        .vsctl(&["get", "Interface", pod.port_name(), "external_ids"])?;
    for part in [
        "iface-id=shop_near".to_owned(),
        format!("attached_mac=\"{}\"", pod.mac()),
        format!("ip_addresses=\"{}/16,{}/64\"", pod.ip(), pod.addresses().v6),
        format!("sandbox={}", pod.sandbox),
        "iface-id-ver=".to_owned(),
    ] {
        ensure!(
            ids.contains(&part) || ids.replace('"', "").contains(&part),
            "{part} is not in {ids}"
        );
    }
    let object = lab.kubernetes()?.object(&["pod", "-n", "shop", "near"])?;
    ensure!(
        object["metadata"]["uid"] == json!(pod.uid) && ids.contains(&pod.uid),
        "{ids}"
    );
    Ok(())
}

pub fn nodes_have_addresses(lab: &mut Lab) -> Result<()> {
    let table = lab.kubernetes()?.kubectl(&["get", "nodes", "-o", "wide"])?;
    for node in lab.nodes() {
        let line = table.lines().find(|line| line.starts_with(node.name()));
        let internal = node.addresses().internal().to_string();
        ensure!(
            line.is_some_and(|line| line.contains("Ready") && line.contains(&internal)),
            "{table}"
        );
    }
    Ok(())
}

pub fn pod_objects_are_complete(lab: &mut Lab) -> Result<()> {
    let kubernetes = lab.kubernetes()?;
    let far = lab.pod("shop", "far")?;
    let pod = kubernetes.object(&["pod", "-n", "shop", "far"])?;
    ensure!(
        pod["status"]["podIP"] == json!(far.ip()) && pod["spec"]["nodeName"] == "node-b",
        "{pod}"
    );
    let set = owner(lab, "replicaset", &pod)?;
    let deployment = owner(lab, "deployment", &set)?;
    ensure!(
        deployment["metadata"]["name"] == "web" && deployment["spec"]["replicas"] == 2,
        "{deployment}"
    );
    let service = kubernetes.object(&["service", "-n", "shop", "web"])?;
    ensure!(
        service["spec"]["clusterIP"]
            .as_str()
            .is_some_and(|ip| ip.starts_with("10.96.")),
        "{service}"
    );
    let slice = kubernetes.object(&["endpointslice", "-n", "shop", "web-lab"])?;
    ensure!(slice["endpoints"].as_array().map(Vec::len) == Some(2), "{slice}");
    Ok(())
}

fn owner(lab: &Lab, kind: &str, of: &Value) -> Result<Value> {
    let reference = &of["metadata"]["ownerReferences"][0];
    let name = reference["name"].as_str().unwrap_or_default();
    let owner = lab.kubernetes()?.object(&[kind, "-n", "shop", name])?;
    ensure!(
        owner["metadata"]["uid"] == reference["uid"],
        "{owner} is not the owner of {of}"
    );
    Ok(owner)
}

pub fn account_has_its_rights(lab: &mut Lab) -> Result<()> {
    let kubernetes = lab.kubernetes()?;
    kubernetes.kubectl(&["create", "serviceaccount", "reader", "-n", "shop"])?;
    kubernetes.kubectl(&[
        "create",
        "clusterrole",
        "read-nodes",
        "--verb=get,list",
        "--resource=nodes",
    ])?;
    let binding = [
        "create",
        "clusterrolebinding",
        "reader",
        "--clusterrole=read-nodes",
    ];
    kubernetes.kubectl(&[&binding[..], &["--serviceaccount=shop:reader"]].concat())?;
    let config = kubernetes.service_account_kubeconfig("shop", "reader")?;
    let config = config.to_string_lossy();
    let nodes = kubernetes.kubectl(&["--kubeconfig", &config, "get", "nodes", "-o", "name"])?;
    ensure!(nodes.contains("node/node-a"), "{nodes}");
    let refused = kubernetes.kubectl(&["--kubeconfig", &config, "get", "pods", "-A"]);
    let refusal = refused.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        refusal.contains("Forbidden") && refusal.contains("shop:reader"),
        "{refusal}"
    );
    Ok(())
}

pub fn apiserver_restarts(lab: &mut Lab) -> Result<()> {
    let kubernetes = lab.kubernetes()?;
    kubernetes.kill_apiserver()?;
    ensure!(kubernetes.kubectl(&["get", "--raw", "/readyz"]).is_err());
    kubernetes.start_apiserver()?;
    kubernetes.object(&["pod", "-n", "shop", "client"]).map(drop)
}

pub fn node_comes_and_goes(lab: &mut Lab) -> Result<()> {
    let node = lab.add_node()?;
    ensure!(node.name() == "node-c");
    let pod = lab.add_pod(PodSpec::new("node-c", "shop", "late"))?;
    for name in ["near", "far"] {
        let other = lab.pod("shop", name)?;
        traffic::ping(pod.netns(), other.ip())?;
        traffic::transfer(&other, &pod, 8080, 10_000)?;
    }
    lab.remove_node("node-c")?;
    ensure!(lab.node("node-c").is_err() && lab.pod("shop", "late").is_err());
    let names = lab
        .kubernetes()?
        .kubectl(&["get", "nodes,pods", "-A", "-o", "name"])?;
    ensure!(!names.contains("node-c") && !names.contains("late"), "{names}");
    let ports = lab.node("node-a")?.vsctl(&["list-ports", "br-int"])?;
    ensure!(!ports.contains("ovn-3-0"), "{ports}");
    Ok(())
}

pub fn address_is_reused(lab: &mut Lab) -> Result<()> {
    let first = lab.add_pod(PodSpec::new("node-b", "shop", "first"))?;
    lab.remove_pod(&first)?;
    let second = lab.add_pod(PodSpec::new("node-b", "other", "second"))?;
    ensure!(second.ip() == first.ip() && second.uid != first.uid && second.sandbox != first.sandbox);
    traffic::transfer(&lab.pod("shop", "client")?, &second, 9000, 10_000)?;
    lab.remove_pod(&second)
}
