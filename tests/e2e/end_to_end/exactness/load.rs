//! What is sent: a known number of packets of each kind on every path.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use weir_lab::{
    Netns,
    traffic::{ping, transfer_between},
};

use super::hosts::{Host, paths};
use crate::stage::DEADLINE;

pub const PORT: u16 = 7007;
pub const DATAGRAMS: u32 = 100;
pub const PAYLOAD: usize = 1000;
pub const PINGS: u64 = 20;
/// A connection, and bytes in it: fewer than overflow the switch's receive queue,
/// where packets are lost that the interface counted.
pub const TRANSFERS: u32 = 3;
pub const BYTES: u64 = 80_000;
/// Datagrams under way at once; the switch's receive queue has room for more.
pub const WINDOW: u32 = 16;

/// What was sent on one way.
pub struct Stream {
    pub source: IpAddr,
    pub destination: IpAddr,
}

/// Neighbours are known and flows are in place before anything is counted.
pub fn warm_up(hosts: &[Host; 4]) -> Result<()> {
    for (from, to) in paths(hosts) {
        ping(&from.netns, to.v4)?;
        ping(&to.netns, from.v4)?;
        if let (Some(_), Some(there)) = (from.v6, to.v6) {
            ping(&from.netns, there)?;
        }
    }
    Ok(())
}

/// TCP, UDP and ICMP on every path, in IPv6 where both ends have it.
pub fn mix(hosts: &[Host; 4], v6: bool) -> Result<Vec<Stream>> {
    let mut streams = Vec::new();
    for (from, to) in paths(hosts) {
        let families = [(Some(from.v4), Some(to.v4)), (from.v6.filter(|_| v6), to.v6)];
        for pair in families {
            let (Some(source), Some(destination)) = pair else {
                continue;
            };
            for _ in 0..TRANSFERS {
                transfer_between(&from.netns, &to.netns, SocketAddr::new(destination, PORT), BYTES)?;
            }
            datagrams(
                &from.netns,
                &to.netns,
                SocketAddr::new(destination, PORT),
                DATAGRAMS,
            )?;
            for _ in 0..PINGS {
                ensure!(ping(&from.netns, destination)? == 1, "a ping was lost");
            }
            streams.push(Stream { source, destination });
        }
    }
    Ok(streams)
}

/// Sends UDP datagrams a few at a time, so that none is lost in a queue.
pub fn datagrams(from: &Netns, to: &Netns, destination: SocketAddr, count: u32) -> Result<()> {
    let server = to.within(|| UdpSocket::bind(destination).context("bind"))?;
    server.set_read_timeout(Some(DEADLINE))?;
    let unspecified: IpAddr = if destination.is_ipv4() {
        [0; 4].into()
    } else {
        [0; 16].into()
    };
    let client = from.within(|| UdpSocket::bind((unspecified, 0)).context("bind"))?;
    let arrived = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut buffer = [0; 2 * PAYLOAD];
            while arrived.load(Ordering::Relaxed) < count && server.recv(&mut buffer).is_ok() {
                arrived.fetch_add(1, Ordering::Relaxed);
            }
        });
        let began = Instant::now();
        for sent in 0..count {
            while arrived.load(Ordering::Relaxed) + WINDOW <= sent {
                if began.elapsed() > DEADLINE || receiver.is_finished() {
                    bail!("{destination} got {arrived:?} of {sent} datagrams");
                }
                std::thread::yield_now();
            }
            client.send_to(&[b'e'; PAYLOAD], destination)?;
        }
        receiver.join().ok();
        let arrived = arrived.load(Ordering::Relaxed);
        ensure!(
            arrived == count,
            "{destination} got {arrived} of {count} datagrams"
        );
        Ok(())
    })
}
