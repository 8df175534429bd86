//! What the replica shows: which bridges there are, which rows stand on them and
//! whose they are. Pure, and without judgement: [`crate::diff`] has that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ovsdb::{Datum, Replica, RowData, Uuid};
use weir_api::export::{SINGLE_PASS_KEY, TunnelInterface, TunnelPorts};
use weir_api::{BridgeStatus, OWNER_KEY, Protocol};

use crate::quirks::Dialect;
use crate::rows;
use crate::tables::{BRIDGE, EXTERNAL_IDS, INTERFACE, OVN_CHASSIS_KEY, PORT, ROOT, bridge_column, table};

/// `datapath_type` of OVS's userspace datapath.
const USERSPACE: &str = "netdev";

/// The switch as its database describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The switch as a whole; all empty before `ovs-vsctl init`.
    pub root: Root,
    /// Bridges by name.
    pub bridges: BTreeMap<String, ObservedBridge>,
}

/// The one row of `Open_vSwitch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// `ovs_version`; OVS's start script sets it.
    pub ovs_version: Option<String>,
    /// Number of the newest configuration.
    pub next_cfg: i64,
    /// Number of the configuration that ovs-vswitchd has taken over.
    pub cur_cfg: i64,
}

/// A bridge and the rows that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBridge {
    /// Its row in `Bridge`.
    pub uuid: Uuid,
    /// Its exporters.
    pub rows: BTreeMap<Protocol, ObservedRow>,
    /// Its tunnel ports, on the userspace datapath.
    pub tunnels: Vec<TunnelPorts>,
    /// Numbers of all its tunnel ports.
    pub tunnel_inputs: Vec<u16>,
    /// UDP ports of the node's tunnels.
    pub tunnel_udp_ports: Vec<u16>,
    /// What its `external_ids` say under [`SINGLE_PASS_KEY`].
    pub single_pass: bool,
}

/// A row of `NetFlow`, `sFlow` or `IPFIX` on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Whether it is Weir's.
    pub ours: bool,
    /// Whether more than one bridge refers to it.
    pub shared: bool,
    /// Its columns.
    pub data: Arc<RowData>,
}

/// Reads the replica. A row is ours when it carries the owner's mark, or when
/// it is in `remembered`: rows that were seen with the mark, should somebody
/// have cleared it. UUIDs are never used again, so the memory cannot mislead.
pub fn observe(replica: &Replica, remembered: &BTreeSet<Uuid>) -> Observed {
    let mut references: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (_, bridge) in replica.rows(BRIDGE) {
        for uuid in Protocol::ALL
            .into_iter()
            .flat_map(|p| bridge.uuids(bridge_column(p)))
        {
            *references.entry(uuid).or_default() += 1;
        }
    }
    let row = |bridge: &RowData, protocol| {
        let uuid = bridge.uuids(bridge_column(protocol)).next()?;
        let data = replica.row(table(protocol), uuid)?.clone();
        let marked = data.map_get(EXTERNAL_IDS, OWNER_KEY).is_some();
        let ours = marked || remembered.contains(&uuid);
        let shared = references.get(&uuid).is_some_and(|n| *n > 1);
        let observed = ObservedRow {
            uuid,
            ours,
            shared,
            data,
        };
        Some((protocol, observed))
    };
    let bridges = replica.rows(BRIDGE).filter_map(|(uuid, bridge)| {
        let rows = Protocol::ALL.into_iter().filter_map(|p| row(bridge, p)).collect();
        let observed = ObservedBridge {
            uuid,
            rows,
            tunnels: observe_tunnels(replica, bridge, uuid),
            tunnel_inputs: TunnelPorts::inputs(interfaces(replica, bridge).map(as_tunnel)),
            tunnel_udp_ports: observe_tunnel_udp_ports(replica),
            single_pass: bridge.map_get(EXTERNAL_IDS, SINGLE_PASS_KEY) == Some("true"),
        };
        Some((bridge.str("name")?.to_owned(), observed))
    });
    Observed {
        root: observe_root(replica),
        bridges: bridges.collect(),
    }
}

fn observe_tunnels(replica: &Replica, bridge: &RowData, uuid: Uuid) -> Vec<TunnelPorts> {
    let counted = bridge.str("datapath_type") == Some(USERSPACE);
    let others = replica.rows(BRIDGE).filter(|(other, _)| *other != uuid);
    let elsewhere = others
        .flat_map(|(_, other)| interfaces(replica, other))
        .filter_map(ofport)
        .collect();
    TunnelPorts::of(interfaces(replica, bridge).map(as_tunnel), counted, &elsewhere)
}

fn as_tunnel(interface: &RowData) -> TunnelInterface<'_> {
    TunnelInterface {
        kind: interface.str("type").unwrap_or(""),
        ofport: ofport(interface).unwrap_or(-1),
        remote: interface.map_get("options", "remote_ip"),
        local: interface.map_get("options", "local_ip"),
        of_ovn: interface.map_get(EXTERNAL_IDS, OVN_CHASSIS_KEY).is_some(),
    }
}

/// Another bridge sees the packets that go there.
fn observe_tunnel_udp_ports(replica: &Replica) -> Vec<u16> {
    let rows = replica.rows(INTERFACE).map(|(_, row)| row);
    let tunnels = rows.filter(|row| as_tunnel(row).is_tunnel());
    let ports = tunnels.filter_map(|row| row.map_get("options", "dst_port")?.parse().ok());
    ports.collect::<BTreeSet<u16>>().into_iter().collect()
}

/// All interfaces of a bridge.
pub fn interfaces<'a>(replica: &'a Replica, bridge: &'a RowData) -> impl Iterator<Item = &'a RowData> {
    let ports = bridge.uuids("ports").filter_map(|uuid| replica.row(PORT, uuid));
    ports
        .flat_map(|port| port.uuids("interfaces"))
        .filter_map(|uuid| replica.row(INTERFACE, uuid).map(Arc::as_ref))
}

fn ofport(interface: &RowData) -> Option<i64> {
    interface.column("ofport").and_then(Datum::as_integer)
}

fn observe_root(replica: &Replica) -> Root {
    let Some((_, root)) = replica.rows(ROOT).next() else {
        return Root::default();
    };
    let number = |column| root.column(column).and_then(Datum::as_integer).unwrap_or(0);
    Root {
        ovs_version: root
            .str("ovs_version")
            .filter(|v| !v.is_empty())
            .map(str::to_owned),
        next_cfg: number("next_cfg"),
        cur_cfg: number("cur_cfg"),
    }
}

impl Observed {
    /// The row of a protocol on a bridge.
    pub fn row(&self, bridge: &str, protocol: Protocol) -> Option<&ObservedRow> {
        self.bridges.get(bridge)?.rows.get(&protocol)
    }

    /// All rows with their bridge's name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Protocol, &ObservedRow)> {
        self.bridges.iter().flat_map(|(name, bridge)| {
            bridge
                .rows
                .iter()
                .map(move |(protocol, row)| (name.as_str(), *protocol, row))
        })
    }

    /// The settings in force on one bridge, whoever made them.
    pub fn bridge_status(&self, name: &str, dialect: &Dialect) -> BridgeStatus {
        let row = |protocol| self.row(name, protocol).map(|row| &*row.data);
        let bridge = self.bridges.get(name);
        let counted = bridge.filter(|_| row(Protocol::NetFlow).is_some());
        BridgeStatus {
            name: name.to_owned(),
            present: bridge.is_some(),
            tunnel_ports: counted.map(|b| b.tunnels.clone()).unwrap_or_default(),
            tunnel_inputs: counted.map(|b| b.tunnel_inputs.clone()).unwrap_or_default(),
            tunnel_udp_ports: bridge.map(|b| b.tunnel_udp_ports.clone()).unwrap_or_default(),
            single_pass: bridge.is_some_and(|b| b.single_pass),
            net_flow: row(Protocol::NetFlow).map(rows::read_net_flow),
            s_flow: row(Protocol::SFlow).map(rows::read_s_flow),
            ipfix: row(Protocol::Ipfix).map(|data| rows::read_ipfix(data, dialect)),
        }
    }
}

#[cfg(test)]
mod tests;
