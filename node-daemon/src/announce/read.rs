//! Which interfaces have a pod, and who is to be told, as OVSDB shows it. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use ovsdb::{Datum, Replica, RowData, Uuid};
use weir_api::interface::{PRIMARY, PodInterface, read_pod};
use weir_api::{OWNER_KEY, Protocol};

use crate::observe::interfaces;
use crate::tables::{BRIDGE, EXTERNAL_IDS, bridge_column, table};

/// Who is told, and in whose name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamKey {
    /// A target of an IPFIX row.
    pub target: SocketAddr,
    /// The observation domain of the row.
    pub domain: u32,
}

/// An interface with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its OpenFlow port; 0 while it has none, or if another bridge has one of that number.
    pub port: u32,
    /// Its name.
    pub name: String,
    /// `NAMESPACE/POD`, and the network after a space where it is told; empty: its
    /// pod is gone.
    pub description: String,
}

/// The interfaces of a bridge, by ifIndex.
pub type Interfaces = BTreeMap<u32, Interface>;

/// What everybody is to know.
pub type Streams = BTreeMap<StreamKey, Interfaces>;

/// Reads the replica. Only IPFIX rows of ours count.
pub fn read(replica: &Replica) -> Streams {
    let mut streams = Streams::new();
    for (uuid, bridge) in replica.rows(BRIDGE) {
        let row = bridge.uuids(bridge_column(Protocol::Ipfix)).next();
        let row = row.and_then(|uuid| replica.row(table(Protocol::Ipfix), uuid));
        let Some(row) = row.filter(|row| row.map_get(EXTERNAL_IDS, OWNER_KEY).is_some()) else {
            continue;
        };
        let domain = number(row, "obs_domain_id").unwrap_or(0);
        let elsewhere = ports_of_others(replica, uuid);
        let found: Interfaces = interfaces(replica, bridge)
            .filter_map(|row| read_interface(row, &elsewhere))
            .collect();
        let targets = row.column("targets").into_iter().flat_map(Datum::as_strings);
        for target in targets.filter_map(|target| target.parse().ok()) {
            let stream = streams.entry(StreamKey { target, domain }).or_default();
            stream.extend(found.iter().map(|(index, interface)| (*index, interface.clone())));
        }
    }
    streams
}

/// The OpenFlow ports of the other bridges. The output that NetFlow names of what leaves by
/// a patch port is one of theirs.
fn ports_of_others(replica: &Replica, bridge: Uuid) -> BTreeSet<u32> {
    let others = replica.rows(BRIDGE).filter(|(other, _)| *other != bridge);
    let rows = others.flat_map(|(_, other)| interfaces(replica, other));
    rows.filter_map(|row| number(row, "ofport")).collect()
}

/// Nothing is told of an interface without a number: collectors could only mix it up
/// with others.
fn read_interface(row: &RowData, elsewhere: &BTreeSet<u32>) -> Option<(u32, Interface)> {
    let index = number(row, "ifindex").filter(|index| *index != 0)?;
    let PodInterface { ns, pod, network } = read_pod(|key| row.map_get(EXTERNAL_IDS, key))?;
    let network = network.filter(|network| network != PRIMARY);
    let network = network.map_or_else(String::new, |network| format!(" {network}"));
    let port = number(row, "ofport").filter(|port| !elsewhere.contains(port));
    let interface = Interface {
        port: port.unwrap_or(0),
        name: row.str("name")?.to_owned(),
        description: format!("{ns}/{pod}{network}"),
    };
    Some((index, interface))
}

/// -1 stands for "none" in some columns.
fn number(row: &RowData, column: &str) -> Option<u32> {
    row.column(column)?.as_integer()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::row;
    use crate::tables::{INTERFACE, PORT};

    const TARGET: &str = "192.0.2.1:4739";

    /// An interface: number, port, `external_ids`.
    type Row<'a> = (i64, i64, &'a [(&'a str, &'a str)]);

    fn replica(owner: &str, interfaces: &[Row<'_>]) -> Replica {
        Replica::from_rows(rows(owner, interfaces))
    }

    /// A bridge with an IPFIX row and these interfaces.
    fn rows(owner: &str, interfaces: &[Row<'_>]) -> Vec<(&'static str, Uuid, ovsdb::Row)> {
        let uuid = |n: usize| Uuid::from_u128(n as u128 + 1);
        let mut rows = Vec::new();
        let mut ports = Vec::new();
        for (n, (index, port, ids)) in interfaces.iter().enumerate() {
            let mut interface = row([("ifindex", *index), ("ofport", *port)]);
            interface.insert("name".into(), format!("v{n}").as_str().into());
            interface.insert(EXTERNAL_IDS.into(), Datum::string_map(ids.iter().copied()));
            rows.push((INTERFACE, uuid(10 + n), interface));
            rows.push((PORT, uuid(100 + n), row([("interfaces", uuid(10 + n))])));
            ports.push(uuid(100 + n));
        }
        let mut ipfix = row([("targets", TARGET)]);
        ipfix.insert("obs_domain_id".into(), 7_i64.into());
        ipfix.insert(EXTERNAL_IDS.into(), Datum::string_map([(owner, "node-a")]));
        rows.push((table(Protocol::Ipfix), uuid(0), ipfix));
        let mut bridge = row([("ipfix", uuid(0))]);
        bridge.insert("ports".into(), Datum::set(ports));
        rows.push((BRIDGE, uuid(1), bridge));
        rows
    }

    fn descriptions(interfaces: &[Row<'_>]) -> Vec<(u32, u32, String)> {
        let streams = read(&replica(OWNER_KEY, interfaces));
        let all = streams.into_values().flatten();
        all.map(|(index, interface)| (index, interface.port, interface.description))
            .collect()
    }

    #[test]
    fn each_plugin_writes_its_pods_in_its_own_way() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("iface-id", "shop_web-1")], "shop/web-1"),
            (&[("iface-id", "blue.l2_shop_web-1")], "shop/web-1 blue.l2"),
            (
                &[("iface-id", "shop_web-1"), ("k8s.ovn.org/nad", "shop/l2")],
                "shop/web-1 shop/l2",
            ),
            (
                &[
                    ("iface-id", "web.1.shop"),
                    ("pod_namespace", "shop"),
                    ("pod_name", "web.1"),
                ],
                "shop/web.1",
            ),
            (&[("pod-namespace", "shop"), ("pod-name", "web-1")], "shop/web-1"),
        ];
        for (ids, description) in cases {
            assert_eq!(
                descriptions(&[(12, 3, ids)]),
                [(12, 3, description.to_owned())],
                "{ids:?}"
            );
        }
    }

    #[test]
    fn ports_without_a_pod_or_a_number_are_not_told() {
        let pod: &[(&str, &str)] = &[("iface-id", "shop_web-1")];
        let mut found = descriptions(&[
            (12, 3, &[]),
            (13, 4, &[("iface-id", "k8s-node-a")]),
            (14, 5, &[("ovn-chassis-id", "x")]),
            (15, 6, &[("iface-id", "_")]),
            (0, 7, pod),
            (-1, 8, pod),
            (16, -1, pod),
        ]);
        assert_eq!(found.pop(), Some((16, 0, "shop/web-1".to_owned())));
        assert_eq!(found, []);
    }

    #[test]
    fn a_port_number_that_another_bridge_has_too_is_not_told() {
        let pod: &[(&str, &str)] = &[("iface-id", "shop_web-1")];
        let uplink = Uuid::from_u128(900);
        let port = Uuid::from_u128(901);
        let others = [
            (INTERFACE, uplink, row([("ofport", 3_i64)])),
            (PORT, port, row([("interfaces", uplink)])),
            (BRIDGE, Uuid::from_u128(902), row([("ports", port)])),
        ];
        let rows = rows(OWNER_KEY, &[(12, 3, pod), (13, 4, pod)]);
        let streams = read(&Replica::from_rows(rows.into_iter().chain(others)));
        let ports = streams
            .into_values()
            .flatten()
            .map(|(index, interface)| (index, interface.port));
        assert_eq!(ports.collect::<Vec<_>>(), [(12, 0), (13, 4)]);
    }

    #[test]
    fn who_gets_our_records_gets_our_names_in_the_same_domain() {
        let pod: &[(&str, &str)] = &[("iface-id", "shop_web-1")];
        let streams = read(&replica(OWNER_KEY, &[(12, 3, pod)]));
        let to = StreamKey {
            target: TARGET.parse().unwrap(),
            domain: 7,
        };
        assert_eq!(streams.keys().collect::<Vec<_>>(), [&to]);
        assert!(read(&replica("somebody", &[(12, 3, pod)])).is_empty());
    }
}
