//! What the rows of one node's OVSDB say about its exporters: marks, formats,
//! tunnel ports. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use ovsdb::{Datum, Replica, RowData, Uuid};
use weir_api::export::{SINGLE_PASS_KEY, TunnelInterface, TunnelPorts};

use weir_identity::DEFAULT_SAMPLING;
use weir_identity::exporters::{Exporter, Formats, Ipfix, NetFlow};

pub(super) const BRIDGE_COLUMNS: [&str; 7] = [
    "name",
    "netflow",
    "sflow",
    "ipfix",
    "datapath_type",
    "ports",
    "external_ids",
];
pub(super) const NETFLOW_COLUMNS: [&str; 4] = [
    "engine_type",
    "engine_id",
    "add_id_to_interface",
    "active_timeout",
];
pub(super) const INTERFACE_COLUMNS: [&str; 5] = ["name", "type", "ofport", "options", "external_ids"];

/// `datapath_type` of OVS's userspace datapath.
const USERSPACE: &str = "netdev";
/// The first version in which the sampling switches mean what they say.
const SWITCHES_FIXED: (u32, u32) = (3, 2);

/// The exporter on one bridge.
pub(super) fn exporter(replica: &Replica, uuid: Uuid, bridge: &RowData, node: &Arc<str>) -> Exporter {
    let of = |table: &str, column: &str| replica.row(table, bridge.uuids(column).next()?).map(Arc::as_ref);
    let (netflow, sflow, ipfix) = (
        of("NetFlow", "netflow"),
        of("sFlow", "sflow"),
        of("IPFIX", "ipfix"),
    );
    let octet = |column| u8::try_from(integer(netflow?, column)?).ok();
    let sampling = |row| integer(row, "sampling").map_or(Some(DEFAULT_SAMPLING), |n| u32::try_from(n).ok());
    let sampled = |row, key| is_sampled(replica, row, key);
    Exporter {
        node: Arc::clone(node),
        bridge: bridge.str("name").unwrap_or("").into(),
        domain: ipfix.and_then(|row| integer(row, "obs_domain_id")?.try_into().ok()),
        engine: octet("engine_type").zip(octet("engine_id")),
        agent: sflow.and_then(|row| row.str("agent")?.parse().ok()),
        formats: Formats {
            net_flow: netflow.map(|row| {
                let id = row.column("add_id_to_interface").and_then(Datum::as_bool);
                NetFlow::new(id == Some(true), integer(row, "active_timeout"))
            }),
            s_flow: sflow.and_then(sampling).filter(|n| *n != 0),
            ipfix: ipfix.and_then(|row| {
                Some(Ipfix {
                    sampling: sampling(row)?,
                    ingress: sampled(row, "enable-input-sampling"),
                    egress: sampled(row, "enable-output-sampling"),
                })
            }),
        },
        tunnels: tunnels(replica, uuid, bridge).into(),
        tunnel_names: tunnel_interfaces(replica, bridge)
            .filter_map(|row| Some(row.str("name")?.into()))
            .collect(),
        tunnel_udp_ports: tunnel_udp_ports(replica),
        single_pass: bridge.map_get("external_ids", SINGLE_PASS_KEY) == Some("true"),
    }
}

/// Before 3.2 `true` turned the sampling off and `false` did nothing.
fn is_sampled(replica: &Replica, ipfix: &RowData, key: &str) -> bool {
    let root = replica.rows("Open_vSwitch").next().map(|(_, row)| row);
    let version = root.and_then(|row| row.str("ovs_version")).and_then(|text| {
        let mut numbers = text.split('.').map(|word| word.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    });
    let inverted = version.is_some_and(|version: (u32, u32)| version < SWITCHES_FIXED);
    match ipfix.map_get("other_config", key) {
        Some("true") => !inverted,
        Some("false") => inverted,
        _ => true,
    }
}

/// The kernel's datapath has its tunnels in devices of their own.
fn tunnels(replica: &Replica, uuid: Uuid, bridge: &RowData) -> Vec<TunnelPorts> {
    if bridge.str("datapath_type") != Some(USERSPACE) {
        return Vec::new();
    }
    let others = replica.rows("Bridge").filter(|(other, _)| *other != uuid);
    let elsewhere: BTreeSet<i64> = others
        .flat_map(|(_, other)| interfaces(replica, other))
        .filter_map(|row| integer(row, "ofport"))
        .collect();
    let interfaces = interfaces(replica, bridge).map(|row| TunnelInterface {
        kind: row.str("type").unwrap_or(""),
        ofport: integer(row, "ofport").unwrap_or(-1),
        remote: row.map_get("options", "remote_ip"),
        local: row.map_get("options", "local_ip"),
        of_ovn: row.map_get("external_ids", "ovn-chassis-id").is_some(),
    });
    TunnelPorts::of(interfaces, &elsewhere)
}

/// The kinds of interfaces that put another packet around each packet (vswitch.xml).
const TUNNELS: [&str; 8] = [
    "geneve",
    "vxlan",
    "gre",
    "ip6gre",
    "erspan",
    "ip6erspan",
    "stt",
    "lisp",
];

fn tunnel_interfaces<'a>(replica: &'a Replica, bridge: &'a RowData) -> impl Iterator<Item = &'a RowData> {
    let is_tunnel = |row: &&RowData| row.str("type").is_some_and(|kind| TUNNELS.contains(&kind));
    interfaces(replica, bridge).filter(is_tunnel)
}

/// The UDP ports of any bridge's tunnels: on another one their packets are seen.
fn tunnel_udp_ports(replica: &Replica) -> Arc<[u16]> {
    let rows = replica.rows("Interface").map(|(_, row)| row);
    let tunnels = rows.filter(|row| row.str("type").is_some_and(|kind| TUNNELS.contains(&kind)));
    let ports: BTreeSet<u16> = tunnels
        .filter_map(|row| row.map_get("options", "dst_port")?.parse().ok())
        .collect();
    ports.into_iter().collect()
}

fn interfaces<'a>(replica: &'a Replica, bridge: &'a RowData) -> impl Iterator<Item = &'a RowData> {
    let ports = bridge.uuids("ports").filter_map(|uuid| replica.row("Port", uuid));
    ports
        .flat_map(|port| port.uuids("interfaces"))
        .filter_map(|uuid| replica.row("Interface", uuid).map(Arc::as_ref))
}

fn integer(row: &RowData, column: &str) -> Option<i64> {
    row.column(column)?.as_integer()
}
