//! What a rule of OVN drops.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_lab::{harness::Case, traffic::send_udp, wait_for};

use crate::{
    cluster::{Cluster, DENIED, logs},
    setting::{ALL, Log, end, export},
    stage::DEADLINE,
    sum::Sum,
};

pub const CASES: &[Case<Cluster>] = &[Case::new(
    "through OVN what a rule denies is counted once, and no fate is claimed for it",
    denied_packets_are_counted_once,
)];

const DATAGRAMS: u32 = 5;
const PAYLOAD: usize = 100;
const IPV4_AND_UDP: u64 = 20 + 8;

fn denied_packets_are_counted_once(cluster: &mut Cluster) -> Result<()> {
    let stage = &cluster.stage;
    end(stage)?;
    let readers = cluster.readers()?;
    let mut logs = logs(&readers)?;
    export(stage, &ALL, &cluster.targets(&ALL), "br-int, br-ex", 1)?;
    let (client, web) = (cluster.pod("client-1")?, cluster.pod("web-1")?);
    let packets = u64::from(DATAGRAMS);
    let sent = Sum {
        packets,
        bytes: packets * (PAYLOAD as u64 + IPV4_AND_UDP),
    };
    send_udp(
        client.netns(),
        SocketAddr::new(web.ip(), DENIED),
        DATAGRAMS,
        PAYLOAD,
    )?;
    let check = |logs: &mut [Log]| -> Result<()> {
        for (reader, log) in readers.iter().zip(logs) {
            log.read_from(reader.process)?;
            let denied: Vec<&Value> = log.records.iter().filter(|r| r["dst_port"] == DENIED).collect();
            let sum = Sum::of(denied.iter().copied().filter(|r| r["primary"] == true));
            ensure!(sum == sent, "{}: {sum:?} of {sent:?}: {denied:?}", reader.names);
            let claims = denied
                .iter()
                .find(|r| r["verdict"] != "unknown" && r["dst_node_name"] == r["exporter_node"]);
            ensure!(claims.is_none(), "{}: {claims:?}", reader.names);
        }
        Ok(())
    };
    wait_for("the denied datagrams", DEADLINE, || check(&mut logs).map(Some))?;
    end(stage)?;
    check(&mut logs)
}
