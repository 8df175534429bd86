//! Which interfaces have a pod, and who is to be told, as OVSDB shows it. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ovsdb::{Datum, Replica, RowData};
use weir_api::interface::{PRIMARY, PodInterface, read_pod};
use weir_api::{OWNER_KEY, Protocol};

use crate::observe::interfaces;
use crate::tables::{BRIDGE, EXTERNAL_IDS, bridge_column, table};

/// Who is told, and in whose name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct To {
    /// A target of an IPFIX row.
    pub target: SocketAddr,
    /// The observation domain of the row.
    pub domain: u32,
}

/// An interface with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its OpenFlow port; 0 while it has none.
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
pub type Streams = BTreeMap<To, Interfaces>;

/// Reads the replica. Only IPFIX rows of ours count.
pub fn read(replica: &Replica) -> Streams {
    let mut streams = Streams::new();
    for (_, bridge) in replica.rows(BRIDGE) {
        let row = bridge.uuids(bridge_column(Protocol::Ipfix)).next();
        let row = row.and_then(|uuid| replica.row(table(Protocol::Ipfix), uuid));
        let Some(row) = row.filter(|row| row.map_get(EXTERNAL_IDS, OWNER_KEY).is_some()) else {
            continue;
        };
        let domain = number(row, "obs_domain_id").unwrap_or(0);
        let found: Interfaces = interfaces(replica, bridge).filter_map(read_interface).collect();
        let targets = row.column("targets").into_iter().flat_map(Datum::as_strings);
        for target in targets.filter_map(|target| target.parse().ok()) {
            let stream = streams.entry(To { target, domain }).or_default();
            stream.extend(found.iter().map(|(index, interface)| (*index, interface.clone())));
        }
    }
    streams
}

/// Nothing is told of an interface without a number: collectors could only mix it up
/// with others.
fn read_interface(row: &RowData) -> Option<(u32, Interface)> {
    let index = number(row, "ifindex").filter(|index| *index != 0)?;
    let PodInterface { ns, pod, network } = read_pod(|key| row.map_get(EXTERNAL_IDS, key))?;
    let network = network.filter(|network| network != PRIMARY);
    let network = network.map_or_else(String::new, |network| format!(" {network}"));
    let interface = Interface {
        port: number(row, "ofport").unwrap_or(0),
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
    use ovsdb::Uuid;

    use super::*;
    use crate::fixture::row;
    use crate::tables::{INTERFACE, PORT};

    const TARGET: &str = "192.0.2.1:4739";

    /// An interface: number, port, `external_ids`.
    type Row<'a> = (i64, i64, &'a [(&'a str, &'a str)]);

    /// A bridge with an IPFIX row and these interfaces.
    fn replica(owner: &str, interfaces: &[Row<'_>]) -> Replica {
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
        Replica::from_rows(rows)
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
    fn who_gets_our_records_gets_our_names_in_the_same_domain() {
        let pod: &[(&str, &str)] = &[("iface-id", "shop_web-1")];
        let streams = read(&replica(OWNER_KEY, &[(12, 3, pod)]));
        let to = To {
            target: TARGET.parse().unwrap(),
            domain: 7,
        };
        assert_eq!(streams.keys().collect::<Vec<_>>(), [&to]);
        assert!(read(&replica("somebody", &[(12, 3, pod)])).is_empty());
    }
}
