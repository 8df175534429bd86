//! The cables: bridges, routes and the namespaces of nodes and hosts. What
//! runs in them is not of its concern.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::{
    Netns,
    address::{FABRIC, INTERNET, NodeAddresses, OUTSIDE, OUTSIDE_ROUTER, ROUTER_MAC, UNDERLAY, UNDERLAY_V6},
    link::{End, create_veth},
    node::{UNDERLAY_DEVICE, UPLINK_DEVICE},
};

/// Bridge of the nodes' InternalIPs.
const UNDERLAY_BRIDGE: &str = "underlay";
/// Bridge of the nodes' uplinks.
const FABRIC_BRIDGE: &str = "fabric";

/// Makes both bridges and the outside; the outside's namespace.
pub(crate) fn wire_underlay() -> Result<Netns> {
    let root = Netns::underlay();
    root.sysctl("ipv4/ip_forward", "1")?;
    for line in [
        format!("link add {UNDERLAY_BRIDGE} type bridge"),
        format!("address add {UNDERLAY}/24 dev {UNDERLAY_BRIDGE}"),
        format!("address add {UNDERLAY_V6}/64 dev {UNDERLAY_BRIDGE} nodad"),
        format!("link set {UNDERLAY_BRIDGE} up"),
        format!("link add {FABRIC_BRIDGE} address {ROUTER_MAC} type bridge"),
        format!("address add {FABRIC}/24 dev {FABRIC_BRIDGE}"),
        format!("link set {FABRIC_BRIDGE} up"),
    ] {
        root.ip(&line)?;
    }
    let outside = Netns::create("outside")?;
    create_veth(
        End {
            netns: &root,
            device: "outside",
        },
        End {
            netns: &outside,
            device: "eth0",
        },
    )?;
    root.ip(&format!("address add {OUTSIDE_ROUTER}/24 dev outside"))?;
    outside.ip(&format!("address add {OUTSIDE}/24 dev eth0"))?;
    outside.ip(&format!("address add {INTERNET}/32 dev eth0"))?;
    root.ip(&format!("route add {INTERNET} via {OUTSIDE} dev outside"))?;
    outside.ip(&format!("route add default via {OUTSIDE_ROUTER}"))?;
    Ok(outside)
}

/// Makes a node's namespace with its two interfaces.
pub(crate) fn wire_node(name: &str, addresses: NodeAddresses) -> Result<Netns> {
    let netns = Netns::create(name)?;
    let number = addresses.number();
    attach(
        UNDERLAY_BRIDGE,
        &format!("u{number}"),
        End {
            netns: &netns,
            device: UNDERLAY_DEVICE,
        },
    )?;
    attach(
        FABRIC_BRIDGE,
        &format!("f{number}"),
        End {
            netns: &netns,
            device: UPLINK_DEVICE,
        },
    )?;
    netns.ip(&format!(
        "address add {}/24 dev {UNDERLAY_DEVICE}",
        addresses.internal()
    ))?;
    netns.ip(&format!(
        "address add {}/64 dev {UNDERLAY_DEVICE} nodad",
        addresses.internal_v6()
    ))?;
    netns.ip(&format!("route add default via {UNDERLAY}"))?;
    // The kernel sees what Open vSwitch takes from its ports, too: asked for an address of
    // br-ex there, it would answer with the port's.
    netns.sysctl("ipv4/conf/all/arp_ignore", "1")?;
    let (pods, via) = (addresses.pod_network(), addresses.fabric());
    Netns::underlay().ip(&format!("route add {pods} via {via} dev {FABRIC_BRIDGE}"))?;
    Ok(netns)
}

/// Makes the namespace of a host 172.30.0.NUMBER.
pub(crate) fn wire_host(name: &str, number: u8) -> Result<(Netns, Ipv4Addr)> {
    let netns = Netns::create(name)?;
    attach(
        UNDERLAY_BRIDGE,
        &format!("h{number}"),
        End {
            netns: &netns,
            device: UNDERLAY_DEVICE,
        },
    )?;
    let address = Ipv4Addr::new(172, 30, 0, number);
    netns.ip(&format!("address add {address}/24 dev {UNDERLAY_DEVICE}"))?;
    netns.ip(&format!("route add default via {UNDERLAY}"))?;
    Ok((netns, address))
}

fn attach(bridge: &str, outer: &str, inner: End<'_>) -> Result<()> {
    let root = Netns::underlay();
    create_veth(
        End {
            netns: &root,
            device: outer,
        },
        inner,
    )?;
    root.ip(&format!("link set {outer} master {bridge}")).map(drop)
}
