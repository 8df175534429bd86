//! Traffic in the lab.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use weir_lab::{
    Lab, Node,
    address::{OUTSIDE, UNDERLAY},
    traffic::{self, Sink},
    wait_until,
};

const DEADLINE: Duration = Duration::from_secs(30);

pub fn pods_reach_each_other(lab: &mut Lab) -> Result<()> {
    let client = lab.pod("shop", "client")?;
    let node = lab.node("node-a")?;
    let before = tunnelled_packets(&node)?;
    for name in ["near", "far"] {
        for address in lab.pod("shop", name)?.addresses().both() {
            traffic::ping(client.netns(), address)?;
        }
    }
    wait_until("the tunnel's counters", DEADLINE, || {
        Ok(tunnelled_packets(&node)? > before)
    })
}

fn tunnelled_packets(node: &Node) -> Result<u64> {
    let text = node.ofctl(&["dump-ports", "br-int", "ovn-2-0"])?;
    let sent = text
        .split("tx pkts=")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    sent.and_then(|number| number.parse().ok())
        .with_context(|| text.clone())
}

pub fn transfers_are_exact(lab: &mut Lab) -> Result<()> {
    let client = lab.pod("shop", "client")?;
    for (name, bytes) in [("near", 1), ("near", 1_000_003), ("far", 0), ("far", 3_000_017)] {
        let server = lab.pod("shop", name)?;
        let before = server.counters()?;
        let transfer = traffic::transfer(&client, &server, 8080, bytes)?;
        ensure!(transfer.bytes == bytes);
        ensure!(transfer.source.ip() == client.ip(), "{transfer:?}");
        ensure!(
            transfer.destination == SocketAddr::new(server.ip(), 8080),
            "{transfer:?}"
        );
        let seen = server.counters()?.since(before);
        // Ethernet, IPv4, TCP with time stamps; more where a segment was repeated.
        ensure!(
            seen.received_bytes >= bytes + 66 * seen.received_packets,
            "{bytes}: {seen:?}"
        );
    }
    Ok(())
}

pub fn datagrams_are_counted(lab: &mut Lab) -> Result<()> {
    let (client, far) = (lab.pod("shop", "client")?, lab.pod("shop", "far")?);
    for address in far.addresses().both() {
        let sink = Sink::bind(far.netns(), SocketAddr::new(address, 5353))?;
        // The first packet to a neighbour may wait for its address.
        traffic::ping(client.netns(), address)?;
        let port = traffic::send_udp(client.netns(), sink.address(), 7, 100)?;
        wait_until("the datagrams", DEADLINE, || Ok(sink.count() >= 7))?;
        let datagrams = sink.datagrams();
        ensure!(
            datagrams
                .iter()
                .all(|one| one.payload.len() == 100 && one.source.port() == port)
        );
        ensure!(sink.count() == 7 && datagrams.len() == 7);
    }
    Ok(())
}

pub fn iperf_reports_throughput(lab: &mut Lab) -> Result<()> {
    let (client, far) = (lab.pod("shop", "client")?, lab.pod("shop", "far")?);
    let result = traffic::iperf3(client.netns(), far.netns(), far.ip(), 1, lab.directory())?;
    ensure!(
        result.bits_per_second > 0.0 && result.sent_bytes > 0,
        "{result:?}"
    );
    Ok(())
}

pub fn pod_reaches_outside(lab: &mut Lab) -> Result<()> {
    let (client, port) = (lab.pod("shop", "client")?, 4443);
    traffic::ping(client.netns(), OUTSIDE.into())?;
    let transfer = traffic::transfer_between(
        client.netns(),
        lab.outside(),
        SocketAddr::new(OUTSIDE.into(), port),
        50_000,
    )?;
    ensure!(transfer.source.ip() == client.ip(), "{transfer:?}");
    let back = SocketAddr::new(client.ip(), 8081);
    traffic::transfer_between(lab.outside(), client.netns(), back, 50_000)?;
    traffic::ping(client.netns(), UNDERLAY.into()).map(drop)
}

pub fn rows_make_datagrams(lab: &mut Lab) -> Result<()> {
    let (client, far) = (lab.pod("shop", "client")?, lab.pod("shop", "far")?);
    let node = lab.node("node-a")?;
    let sink = || Sink::bind(&lab.underlay(), SocketAddr::new(UNDERLAY.into(), 0));
    // The version that opens a message: RFC 7011, section 3.1; sFlow version 5.
    let rows: [(&str, &str, &[u8]); 3] = [
        ("netflow", "active_timeout=1", &[0, 5]),
        ("ipfix", "sampling=1", &[0, 10]),
        ("sflow", "sampling=1", &[0, 0, 0, 5]),
    ];
    for (table, setting, version) in rows {
        let sink = sink()?;
        let target = format!("targets=\"{}\"", sink.address());
        let row = ["--", "--id=@row", "create", table, &target, setting];
        node.vsctl(
            &[
                &row[..],
                &["--", "set", "Bridge", "br-int", &format!("{table}=@row")],
            ]
            .concat(),
        )?;
        wait_until(&format!("a datagram of {table}"), DEADLINE, || {
            traffic::transfer(&client, &far, 8080, 20_000)?;
            Ok(sink.count() > 0)
        })?;
        node.vsctl(&["clear", "Bridge", "br-int", table])?;
        let sources: BTreeSet<IpAddr> = sink
            .datagrams()
            .iter()
            .map(|datagram| datagram.source.ip())
            .collect();
        ensure!(
            sources == BTreeSet::from([node.addresses().internal().into()]),
            "{sources:?}"
        );
        ensure!(
            sink.datagrams()
                .iter()
                .all(|datagram| datagram.payload.starts_with(version)),
            "{table}"
        );
    }
    Ok(())
}
