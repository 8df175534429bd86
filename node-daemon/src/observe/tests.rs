use super::*;
use crate::fixture::old_dialect;
use ovsdb::Row;

fn row<const N: usize>(columns: [(&str, Datum); N]) -> Row {
    columns.map(|(name, value)| (name.to_owned(), value)).into()
}

/// A bridge with one pod's port and one tunnel.
fn replica(datapath_type: &str, net_flow: bool) -> Replica {
    let [bridge, net_flow_row, pod, tunnel, pod_port, tunnel_port] = [1, 2, 3, 4, 5, 6].map(Uuid::from_u128);
    let mut columns = row([
        ("name", "br-int".into()),
        ("datapath_type", datapath_type.into()),
        ("ports", Datum::set([pod_port, tunnel_port])),
        (EXTERNAL_IDS, Datum::string_map([(SINGLE_PASS_KEY, "true")])),
    ]);
    if net_flow {
        columns.insert("netflow".to_owned(), net_flow_row.into());
    }
    let options = Datum::string_map([("remote_ip", "192.0.2.2"), ("dst_port", "7000"), ("key", "flow")]);
    Replica::from_rows([
        (BRIDGE, bridge, columns),
        (
            "NetFlow",
            net_flow_row,
            row([("targets", "192.0.2.9:2055".into())]),
        ),
        (PORT, pod_port, row([("interfaces", pod.into())])),
        (PORT, tunnel_port, row([("interfaces", tunnel.into())])),
        (INTERFACE, pod, row([("type", "".into()), ("ofport", 7.into())])),
        (
            INTERFACE,
            tunnel,
            row([
                ("type", "geneve".into()),
                ("ofport", 102.into()),
                ("options", options),
            ]),
        ),
    ])
}

fn told(datapath_type: &str, net_flow: bool) -> BridgeStatus {
    observe(&replica(datapath_type, net_flow), &BTreeSet::new()).bridge_status("br-int", &old_dialect())
}

#[test]
fn tunnel_ports_are_told_to_who_has_netflow_with_the_headers_that_it_counts() {
    let ports = |overhead| TunnelPorts {
        overhead,
        ofports: vec![102],
    };
    assert_eq!(told("netdev", true).tunnel_ports, [ports(50)]);
    assert_eq!(told("", true).tunnel_ports, [ports(0)], "the kernel's datapath");
    assert_eq!(told("netdev", false).tunnel_ports, []);
    assert_eq!(told("", true).tunnel_inputs, [102]);
    assert!(told("", false).tunnel_inputs.is_empty());
}

#[test]
fn the_udp_ports_that_tunnels_go_to_are_told() {
    assert_eq!(told("", false).tunnel_udp_ports, [7000]);
}

#[test]
fn what_the_rules_owner_vouches_for_is_told() {
    assert!(told("netdev", true).single_pass);
    let observed = observe(&Replica::default(), &BTreeSet::new());
    assert!(!observed.bridge_status("br-int", &old_dialect()).single_pass);
}
