//! What a client calls is the Service's address and port; what policies are about is the pod
//! behind it, at its own port.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use weir_lab::{Pod, PodSpec, traffic::converse, wait_until};

use super::{Person, exactly};
use crate::{
    exactness::setting::recirculate,
    questions::balanced::exchange_addresses,
    records::{neighbour, pods},
    stage::{DEADLINE, Stage},
};

/// The port of the pod.
const TARGET: u16 = 8093;
/// The port of the Service, which no rule allows.
const PORT: u16 = 93;

/// Only the client may call, and only at the pod's port.
const GUARD: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
    metadata: {name: till, namespace: shop}, spec: {podSelector: {matchLabels: {app: till}}, \
    ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8093}]}]}}";

pub fn a_call_to_a_service_is_judged_at_its_backend(stage: &mut Stage) -> Result<()> {
    let spec = PodSpec::new("node-b", "shop", "till-1").workload("till");
    let till = stage.lab.add_pod(spec.service("till").port(TARGET))?;
    let outcome = exactly(stage, judged_at_the_backend);
    recirculate(stage, false)?;
    let kubectl = |words: &[&str]| stage.kube.kubectl(words);
    kubectl(&[
        "label",
        "pod",
        "-n",
        "shop",
        "client-1",
        "app=client",
        "--overwrite",
    ])?;
    let made = [
        "service/till",
        "endpointslice/till-lab",
        "endpointslice/till-more",
        "networkpolicy/till",
    ];
    for object in made {
        kubectl(&["delete", "-n", "shop", object, "--ignore-not-found"])?;
    }
    stage.lab.remove_pod(&till)?;
    outcome
}

fn judged_at_the_backend(stage: &mut Stage) -> Result<()> {
    let (client, till) = (pods(stage)?.0, stage.lab.pod("shop", "till-1")?);
    let other = neighbour(stage)?;
    let person = Person::of(stage)?;
    let kubectl = |words: &[&str]| stage.kube.kubectl(words);
    let port = format!(r#"[{{"op": "replace", "path": "/spec/ports/0/port", "value": {PORT}}}]"#);
    kubectl(&[
        "patch",
        "service",
        "till",
        "-n",
        "shop",
        "--type=json",
        "-p",
        &port,
    ])?;
    stage.kube.apply(GUARD)?;
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    let address = exchange_addresses(stage, "till", (client.ip(), PORT), (&till, TARGET))?;
    let service = SocketAddr::new(address.parse()?, PORT);

    // Of the records to the Service's own address, which one has this verdict.
    let judged = |verdict: &str| -> Result<bool> {
        let filter = format!(r#"dst_addr == "{address}" && dst_port == {PORT} && {verdict}"#);
        let (_, rows) = person.weir(&["flows", &filter, "--since", "1h", "-o", "json"])?;
        Ok(rows.lines().any(|line| line.contains("policy_verdict")))
    };
    // A change counts for certain once it has come into force everywhere.
    let wait = |verdict: &str| {
        wait_until(
            &format!("a call to the Service with {verdict}"),
            4 * DEADLINE,
            || {
                call(&client, &till, service)?;
                judged(verdict)
            },
        )
    };
    let by_rule = r#"policy_verdict == "allow" && policy_reason == "rule" && ingress_policy == "shop/till" && ingress_policy_rule == "ingress[0]""#;
    let isolated =
        r#"policy_verdict == "deny" && policy_reason == "isolation" && ingress_policy == "shop/till""#;
    wait(by_rule)?;
    ensure!(!judged(isolated)?, "it was judged at the port of the Service");
    kubectl(&[
        "label",
        "pod",
        "-n",
        "shop",
        "client-1",
        "app=stranger",
        "--overwrite",
    ])?;
    wait(isolated)?;
    // One more behind it, that is open to everybody: nobody knows which of the two was called.
    stage.kube.apply(&more(&other))?;
    wait(r#"policy_verdict == "unknown" && policy_reason == "backend""#)
}

fn call(client: &Pod, till: &Pod, service: SocketAddr) -> Result<()> {
    let listen = SocketAddr::new(till.ip(), TARGET);
    converse(client.netns(), till.netns(), service, listen, 20_000).context("a call to the Service")
}

fn more(pod: &Pod) -> String {
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
         metadata: {{name: till-more, namespace: shop, labels: {{kubernetes.io/service-name: till}}}}, \
         endpoints: [{{addresses: [{}], conditions: {{ready: true}}}}], \
         ports: [{{name: tcp-{TARGET}, port: {TARGET}, protocol: TCP}}]}}",
        pod.ip()
    )
}
