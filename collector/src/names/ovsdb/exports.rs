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
        tunnel_inputs: TunnelPorts::inputs(interfaces(replica, bridge).map(as_tunnel)).into(),
        tunnel_names: tunnel_names(replica, bridge),
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

fn tunnels(replica: &Replica, uuid: Uuid, bridge: &RowData) -> Vec<TunnelPorts> {
    let counted = bridge.str("datapath_type") == Some(USERSPACE);
    let others = replica.rows("Bridge").filter(|(other, _)| *other != uuid);
    let elsewhere: BTreeSet<i64> = others
        .flat_map(|(_, other)| interfaces(replica, other))
        .filter_map(|row| integer(row, "ofport"))
        .collect();
    TunnelPorts::of(interfaces(replica, bridge).map(as_tunnel), counted, &elsewhere)
}

fn as_tunnel(interface: &RowData) -> TunnelInterface<'_> {
    TunnelInterface {
        kind: interface.str("type").unwrap_or(""),
        ofport: integer(interface, "ofport").unwrap_or(-1),
        remote: interface.map_get("options", "remote_ip"),
        local: interface.map_get("options", "local_ip"),
        of_ovn: interface.map_get("external_ids", "ovn-chassis-id").is_some(),
    }
}

fn tunnel_names(replica: &Replica, bridge: &RowData) -> Arc<[Box<str>]> {
    let tunnels = interfaces(replica, bridge).filter(|row| as_tunnel(row).is_tunnel());
    tunnels.filter_map(|row| Some(row.str("name")?.into())).collect()
}

/// The UDP ports of any bridge's tunnels: another one sees the packets that go there.
fn tunnel_udp_ports(replica: &Replica) -> Arc<[u16]> {
    let rows = replica.rows("Interface").map(|(_, row)| row);
    let tunnels = rows.filter(|row| as_tunnel(row).is_tunnel());
    let ports = tunnels.filter_map(|row| row.map_get("options", "dst_port")?.parse().ok());
    ports.collect::<BTreeSet<u16>>().into_iter().collect()
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
