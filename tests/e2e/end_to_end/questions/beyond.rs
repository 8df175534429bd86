//! What goes beyond the cluster: to the internet, and to networks that are private.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use anyhow::{Context, Result};
use weir_lab::{
    address::{INTERNET, OUTSIDE},
    wait_for,
};

use super::asking::{Asker, ensure_groups};
use super::sending::{FEW, send};
use crate::{
    exactness::{
        hosts::{Host, hosts},
        load::warm_up,
        setting::{IPFIX, begin, end},
    },
    stage::{DEADLINE, Stage},
};

const TO_INTERNET: u64 = 80_000;
const TO_PRIVATE: u64 = 60_000;
const DATAGRAMS: u64 = 20;
const PAYLOAD: usize = 1000;
const IP_AND_UDP: u64 = 20 + 8;
const PORT: u16 = 7300;

pub fn the_internet_is_told_from_private_networks(stage: &mut Stage) -> Result<()> {
    let hosts = hosts(stage)?;
    warm_up(&hosts)?;
    begin(stage, &[IPFIX], "br-int", 1)?;
    let asker = Asker::from_now(stage)?;
    let [client, _, web, outside] = &hosts;
    let (internet, private) = (IpAddr::from(INTERNET), IpAddr::from(OUTSIDE));
    let to_internet = send(client, outside, SocketAddr::new(internet, 443), TO_INTERNET)?;
    let to_private = send(client, outside, SocketAddr::new(private, 443), TO_PRIVATE)?;
    datagrams(outside, internet, web)?;

    let client = ["shop", "client-1", "client"];
    let leaves = |kind: &str, address: &str, bytes| {
        let fields = "ns,pod_name,workload_name,dst_addr";
        let filter = format!(r#"dst_workload_kind == "{kind}" && protocol == "tcp""#);
        let group = [&client[..], &[address]].concat();
        ensure_groups(&asker.sums(&filter, fields)?, fields, &[(&group, bytes)])
    };
    let enters = |kind: &str, expected: &[(&[&str], _)]| {
        let fields = "addr,protocol,dst_ns,dst_pod_name";
        let filter = format!(r#"workload_kind == "{kind}" && dst_ns != """#);
        ensure_groups(&asker.sums(&filter, fields)?, fields, expected)
    };
    let datagrams = DATAGRAMS * (PAYLOAD as u64 + IP_AND_UDP);
    let (internet, private) = (internet.to_string(), private.to_string());
    wait_for("what goes beyond the cluster", DEADLINE, || {
        // The whole question of a newcomer, without a protocol.
        let fields = "ns,pod_name";
        let talkers = asker.sums(r#"dst_workload_kind == "internet""#, fields)?;
        ensure_groups(&talkers, fields, &[(&client[..2], to_internet.clone())])?;
        leaves("internet", &internet, to_internet.clone())?;
        leaves("private", &private, to_private.clone())?;
        enters(
            "internet",
            &[
                (&[&internet, "tcp", "shop", "client-1"], FEW),
                (&[&internet, "udp", "shop", "web-1"], datagrams..=datagrams),
            ],
        )?;
        enters("private", &[(&[&private, "tcp", "shop", "client-1"], FEW)]).map(Some)
    })?;
    end(stage)
}

/// Sends datagrams, one by one, from one of a host's addresses to who takes them.
fn datagrams(from: &Host, address: IpAddr, to: &Host) -> Result<()> {
    let bind = |host: &Host, address: SocketAddr| {
        host.netns
            .within(|| UdpSocket::bind(address).with_context(|| format!("bind {address}")))
    };
    let destination = SocketAddr::new(to.v4, PORT);
    let server = bind(to, destination)?;
    server.set_read_timeout(Some(DEADLINE))?;
    let client = bind(from, SocketAddr::new(address, 0))?;
    for _ in 0..DATAGRAMS {
        client.send_to(&[b'e'; PAYLOAD], destination)?;
        server.recv(&mut [0; PAYLOAD]).context("a datagram was lost")?;
    }
    Ok(())
}
