//! The ends of traffic and what their interfaces count.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use serde_json::Value;
use weir_lab::{Netns, Pod, address::OUTSIDE, link::Counters};

pub use super::sum::Sum;

use crate::records::{neighbour, pods};
use crate::stage::Stage;

/// An end of traffic, and what its interface counts.
#[derive(Clone)]
pub struct Host {
    pub name: &'static str,
    pub netns: Netns,
    pub v4: IpAddr,
    pub v6: Option<IpAddr>,
}

impl Host {
    pub fn of(name: &'static str, pod: &Pod) -> Self {
        Self {
            name,
            netns: pod.netns().clone(),
            v4: pod.ip(),
            v6: Some(pod.addresses().v6.into()),
        }
    }

    /// A port of its first address.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.v4, port)
    }

    pub fn sent(&self) -> Result<Sum> {
        let counters = Counters::read(&self.netns, "eth0")?;
        Ok(Sum {
            packets: counters.sent_packets,
            bytes: counters.sent_bytes - 14 * counters.sent_packets,
        })
    }

    pub fn is_source(&self, record: &Value) -> bool {
        [Some(self.v4), self.v6]
            .into_iter()
            .flatten()
            .any(|a| record["addr"] == a.to_string())
    }
}

/// The client and its neighbour on node-a, a server on node-b, the outside.
pub fn hosts(stage: &mut Stage) -> Result<[Host; 4]> {
    let (client, web) = pods(stage)?;
    let neighbour = neighbour(stage)?;
    let outside = Host {
        name: "outside",
        netns: stage.lab.outside().clone(),
        v4: OUTSIDE.into(),
        v6: None,
    };
    outside.netns.disable_offload("eth0")?;
    Ok([
        Host::of("client", &client),
        Host::of("neighbour", &neighbour),
        Host::of("web", &web),
        outside,
    ])
}

/// On one node, across nodes, to the outside and from there.
pub fn paths([client, neighbour, web, outside]: &[Host; 4]) -> [(&Host, &Host); 4] {
    [
        (client, neighbour),
        (client, web),
        (client, outside),
        (outside, web),
    ]
}
