//! A call to a Service's own address, which the client's switch exchanges for that of
//! a backend, and puts back into the answer.

use std::{
    fmt::Display,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::RangeInclusive,
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use weir_lab::{Pod, PodSpec, wait_for};

use super::asking::{Asker, Group, ensure_groups};
use super::sending::{FEW, OTHERS};
use crate::{
    exactness::{
        hosts::{Host, hosts},
        setting::{IPFIX, begin, end, recirculate},
    },
    stage::{DEADLINE, Stage},
};

const PORT: u16 = 8091;
const BYTES: usize = 80_000;

pub fn an_answer_through_a_services_address_is_told_once(stage: &mut Stage) -> Result<()> {
    let spec = PodSpec::new("node-b", "shop", "stock-1").workload("stock");
    let pod = stage.lab.add_pod(spec.service("stock").port(PORT))?;
    let outcome = call(stage, &pod);
    recirculate(stage, false)?;
    stage.lab.remove_pod(&pod)?;
    let kube = &stage.kube;
    kube.kubectl(&["delete", "-n", "shop", "service/stock", "endpointslice/stock-lab"])?;
    end(stage)?;
    outcome
}

fn call(stage: &mut Stage, pod: &Pod) -> Result<()> {
    let [client, ..] = hosts(stage)?;
    let backend = Host::of("stock", pod);
    let service = exchange_addresses(stage, "stock", (client.v4, PORT), (pod, PORT))?;
    begin(stage, &[IPFIX], "br-int", 1)?;
    let asker = Asker::from_now(stage)?;
    let answer = fetch(&client, &backend, SocketAddr::new(service.parse()?, PORT))?;
    let told = |filter: &str, fields: &str, expected: &[Group<'_>]| {
        ensure_groups(&asker.sums(filter, fields)?, fields, expected)
    };
    wait_for("the call and its answer", DEADLINE, || {
        let from_backend: Group<'_> = (&["stock-1", "client-1"], answer.clone());
        told(
            r#"service_name == "stock""#,
            "pod_name,dst_pod_name",
            &[from_backend],
        )?;
        let call: Group<'_> = (&["client-1", "Service", &service], FEW);
        let to_service = r#"dst_service_name == "stock""#;
        told(to_service, "pod_name,dst_kind,dst_addr", &[call])?;
        let all: Group<'_> = (&["client-1"], answer.clone());
        let received = r#"dst_pod_name == "client-1" && protocol == "tcp""#;
        told(received, "dst_pod_name", &[all]).map(Some)
    })
}

/// Stands in for OVN's load balancer of one port of one Service, of one client on node-a; the
/// Service's address.
pub fn exchange_addresses(
    stage: &Stage,
    service: &str,
    (client, port): (impl Display, u16),
    (backend, target): (&Pod, u16),
) -> Result<String> {
    let service = stage.kube.object(&["service", service, "-n", "shop"])?;
    let address = service["spec"]["clusterIP"].as_str().context("a ClusterIP")?;
    let (pod, mac) = (backend.ip(), backend.mac());
    let node = stage.lab.node("node-a")?;
    for rule in [
        format!(
            "tcp,nw_dst={address},actions=mod_dl_dst:{mac},mod_nw_dst:{pod},mod_tp_dst:{target},resubmit(,2)"
        ),
        format!(
            "tcp,nw_src={pod},nw_dst={client},tp_src={target},\
             actions=mod_nw_src:{address},mod_tp_src:{port},resubmit(,2)"
        ),
    ] {
        node.ofctl(&["add-flow", "br-int", &format!("table=0,priority=200,{rule}")])?;
    }
    Ok(address.to_owned())
}

/// Calls an address, behind which the server answers; what a flow of the answer has.
fn fetch(client: &Host, server: &Host, address: SocketAddr) -> Result<RangeInclusive<u64>> {
    let listener = server.netns.within(|| Ok(TcpListener::bind(server.at(PORT))?))?;
    let before = server.sent()?;
    let stream = client
        .netns
        .within(|| Ok(TcpStream::connect_timeout(&address, DEADLINE)?))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let received = thread::scope(|scope| {
        let answering = scope.spawn(|| listener.accept()?.0.write_all(&[b's'; BYTES]));
        let mut received = Vec::new();
        (&stream).read_to_end(&mut received)?;
        let answered = answering.join().map_err(|_| anyhow!("the server panicked"))?;
        answered.map(|()| received.len()).context("answer")
    })?;
    ensure!(received == BYTES, "{received} of {BYTES} bytes came");
    Ok(BYTES as u64..=server.sent()?.since(before).bytes + OTHERS)
}
