use super::*;
use ovsdb::{Datum, Uuid};
use weir_identity::Owners;
use weir_identity::Span;
use weir_identity::exporters::{Formats, Ipfix, NetFlow};

fn uuid(n: u128) -> Uuid {
    format!("{:08x}-0000-0000-0000-{:012x}", n, n)
        .parse()
        .expect("a UUID")
}

fn interface(name: &str, external_ids: &[(&str, &str)]) -> (&'static str, Uuid, ovsdb::Row) {
    let row = [
        ("name".to_owned(), Datum::from(name)),
        (
            "external_ids".to_owned(),
            Datum::string_map(external_ids.iter().copied()),
        ),
    ];
    (
        "Interface",
        uuid(1000 + name.bytes().map(u128::from).sum::<u128>()),
        row.into(),
    )
}

fn replica() -> Replica {
    let names = [("hostname", "node-a"), ("ovn-encap-ip", "192.0.2.1")];
    let root = [
        ("external_ids".to_owned(), Datum::string_map(names)),
        ("ovs_version".to_owned(), Datum::from("3.1.0")),
    ];
    let bridge = [
        ("name".to_owned(), Datum::from("br-int")),
        ("ipfix".to_owned(), Datum::from(uuid(3))),
        ("netflow".to_owned(), Datum::from(uuid(4))),
        ("sflow".to_owned(), Datum::from(uuid(5))),
        ("datapath_type".to_owned(), Datum::from("netdev")),
        ("ports".to_owned(), Datum::from(uuid(6))),
        (
            "external_ids".to_owned(),
            Datum::string_map([("weir-single-pass", "true")]),
        ),
    ];
    // Both switches as somebody wrote them who wants no ingress records of 3.1.
    let switches = [
        ("enable-input-sampling", "true"),
        ("enable-output-sampling", "false"),
    ];
    let ipfix = [
        ("obs_domain_id".to_owned(), Datum::from(7)),
        ("other_config".to_owned(), Datum::string_map(switches)),
    ];
    let remote = [("remote_ip", "192.0.2.2"), ("dst_port", "7000")];
    let tunnel = [
        ("name".to_owned(), Datum::from("genev")),
        ("type".to_owned(), Datum::from("geneve")),
        ("ofport".to_owned(), Datum::from(102)),
        ("options".to_owned(), Datum::string_map(remote)),
        (
            "external_ids".to_owned(),
            Datum::string_map([("ovn-chassis-id", "b@192.0.2.2")]),
        ),
    ];
    let netflow = [
        ("engine_type".to_owned(), Datum::from(1)),
        ("engine_id".to_owned(), Datum::from(2)),
        ("add_id_to_interface".to_owned(), Datum::from(true)),
    ];
    let sflow = [("agent".to_owned(), Datum::from("192.0.2.1"))];
    let pod = [
        ("iface-id", "shop_web-0.x"),
        ("ip_addresses", "10.128.0.5/23, fd00::5/64 10.128.0.6"),
        ("attached_mac", "0a:58:0a:80:00:05"),
    ];
    Replica::from_rows([
        ("Open_vSwitch", uuid(1), root.into()),
        ("Bridge", uuid(2), bridge.into()),
        ("IPFIX", uuid(3), ipfix.into()),
        ("NetFlow", uuid(4), netflow.into()),
        ("sFlow", uuid(5), sflow.into()),
        (
            "Port",
            uuid(6),
            [("interfaces".to_owned(), Datum::from(uuid(7)))].into(),
        ),
        ("Interface", uuid(7), tunnel.into()),
        interface("veth1", &pod),
        interface("ovn-k8s-mp0", &[("iface-id", "k8s-node-a")]),
        interface("eth0", &[]),
        interface("odd", &[("iface-id", "br-ex"), ("attached_mac", "nonsense")]),
    ])
}

#[test]
fn a_pod_is_found_by_address_interface_and_ethernet_address() {
    let switch = read(&replica(), None);
    let pod = &switch.ports.interfaces["veth1"];
    assert_eq!(
        (pod.pod_name(), &*pod.ns, &*pod.node_name),
        ("web-0.x", "shop", "node-a")
    );
    assert_eq!(&switch.ports.macs[&[0x0a, 0x58, 0x0a, 0x80, 0, 5]], pod);
    let addresses: Vec<String> = switch.addresses.iter().map(|(a, _)| a.to_string()).collect();
    assert_eq!(addresses, ["10.128.0.5", "fd00::5", "10.128.0.6"]);
}

#[test]
fn a_pod_in_several_networks_is_known_by_its_own_and_each_address_by_its_network() {
    let blue = [
        ("iface-id", "net.blue_shop_web"),
        ("k8s.ovn.org/nad", "net/blue"),
        ("ip_addresses", "10.200.0.5/24"),
        ("attached_mac", "0a:58:0a:c8:00:05"),
    ];
    let own = [("iface-id", "shop_web"), ("ip_addresses", "10.128.0.5/23")];
    let stranger = [("iface-id", "shop_web_blue"), ("ip_addresses", "10.9.0.5/24")];
    let rows = [("v1", &blue[..]), ("v2", &own), ("v3", &stranger)];
    let replica = || Replica::from_rows(rows.map(|(name, ids)| interface(name, ids)));
    let switch = read(&replica(), Some("node-a"));
    let network = |name: &str| switch.ports.interfaces.get(name).map(|who| &*who.network);
    assert_eq!(
        ["v1", "v2", "v3"].map(network),
        [Some("net/blue"), Some("primary"), None]
    );
    let mut of: Vec<_> = switch
        .addresses
        .iter()
        .map(|(a, who)| (a.to_string(), &*who.network))
        .collect();
    of.sort();
    let expected = [("10.128.0.5", "primary"), ("10.200.0.5", "net/blue")];
    assert_eq!(
        of,
        expected.map(|(address, network)| (address.to_owned(), network))
    );
    assert_eq!(
        &*switch.ports.macs[&[0x0a, 0x58, 0x0a, 0xc8, 0, 5]].network,
        "net/blue"
    );
    let snapshot = merge(vec![switch], None, &mut AddressHistory::default(), 1);
    let pod = snapshot.directory.pod("shop/web", Span::since(1));
    assert_eq!(pod.map(|who| &*who.network), Some("primary"));
}

#[test]
fn pods_of_other_plugins_are_known_with_their_addresses() {
    let kube_ovn = [
        ("iface-id", "web.shop"),
        ("pod_namespace", "shop"),
        ("pod_name", "web"),
        ("ip", "10.16.0.5,fd00::5"),
    ];
    let antrea = [
        ("pod-namespace", "shop"),
        ("pod-name", "cart"),
        ("ip-address", "10.10.0.5"),
        ("attached-mac", "0a:58:0a:0a:00:05"),
    ];
    let rows = [interface("v1", &kube_ovn), interface("v2", &antrea)];
    let switch = read(&Replica::from_rows(rows), Some("node-a"));
    let mut found: Vec<_> = switch
        .addresses
        .iter()
        .map(|(a, who)| (a.to_string(), who.pod_name()))
        .collect();
    found.sort();
    let expected = [("10.10.0.5", "cart"), ("10.16.0.5", "web"), ("fd00::5", "web")];
    assert_eq!(found, expected.map(|(address, pod)| (address.to_owned(), pod)));
    assert_eq!(
        switch.ports.macs[&[0x0a, 0x58, 0x0a, 0x0a, 0, 5]].pod_name(),
        "cart"
    );
}

#[test]
fn interfaces_that_are_no_pods_name_the_node_or_nobody() {
    let switch = read(&replica(), None);
    let own = &switch.ports.interfaces["ovn-k8s-mp0"];
    assert_eq!((own.kind, &*own.network), (Kind::Node, "primary"));
    assert!(!switch.ports.interfaces.contains_key("eth0"));
    assert!(!switch.ports.interfaces.contains_key("odd"));
}

#[test]
fn exporters_are_known_by_what_the_rows_say() {
    let snapshot = merge(
        vec![read(&replica(), Some("other-name"))],
        None,
        &mut AddressHistory::default(),
        1,
    );
    use weir_identity::exporters::{ExporterKey, Trust};
    let source = [192, 0, 2, 1].into();
    let trust = Trust::default();
    for mark in [
        ExporterKey::Domain(7),
        ExporterKey::Engine(1, 2),
        ExporterKey::Agent([192, 0, 2, 1].into()),
    ] {
        let exporter = snapshot
            .exporters
            .resolve(Some(mark), source, &trust)
            .exporter
            .unwrap();
        assert_eq!((&*exporter.node, &*exporter.bridge), ("other-name", "br-int"));
        assert_eq!(
            exporter.formats,
            Formats {
                net_flow: Some(NetFlow::new(true, None)),
                s_flow: Some(400),
                ipfix: Some(Ipfix {
                    sampling: 400,
                    ingress: false,
                    egress: true
                }),
            },
            "what OVS does when the column is empty"
        );
    }
    let pod = snapshot.directory.pod("shop/web-0.x", Span::since(1));
    assert_eq!(pod.map(|who| who.pod_name()), Some("web-0.x"));
    let exporter = snapshot.exporters.resolve(None, source, &trust).exporter.unwrap();
    assert!(exporter.single_pass);
    assert_eq!(
        exporter.tunnel_overhead(102),
        Some(58),
        "Geneve with OVN's option"
    );
    assert_eq!(exporter.tunnel_overhead(103), None);
    assert!(exporter.is_tunnel_input(102) && !exporter.is_tunnel_input(103));
    assert_eq!(*exporter.tunnel_names, ["genev".into()]);
    assert_eq!(*exporter.tunnel_udp_ports, [7000]);
}

#[test]
fn a_node_sends_from_where_its_database_is_and_from_what_its_rows_name() {
    let sources = |endpoints: &[&str]| {
        let endpoints: Vec<Endpoint> = endpoints.iter().map(|text| text.parse().unwrap()).collect();
        let view = View {
            link: ovsdb::Link::Synced,
            schema: None,
            replica: Arc::new(replica()),
            syncs: 1,
            version: 1,
        };
        let views = vec![view; endpoints.len()];
        read_all(&endpoints, &views, None).swap_remove(0).sources
    };
    let of = |address: &str| -> IpAddr { address.parse().unwrap() };
    let remote = sources(&["tcp:198.51.100.7:6640"]);
    assert!(remote.contains(&of("198.51.100.7")) && remote.contains(&of("192.0.2.1")));
    assert!(!remote.contains(&of("127.0.0.1")), "that is this machine");
    let local = sources(&["unix:/run/db.sock"]);
    assert!(local.contains(&of("127.0.0.1")) && local.contains(&of("::1")));
    let several = sources(&["unix:/run/a.sock", "unix:/run/b.sock"]);
    assert!(!several.contains(&of("127.0.0.1")), "it may be the other's");
}

#[test]
fn an_empty_database_gives_no_names() {
    let switch = read(&Replica::default(), None);
    assert!(switch.exporters.is_empty() && switch.addresses.is_empty());
}

#[test]
fn an_address_that_another_pod_got_is_credited_by_time() {
    let pod = |name: &str| {
        let who = Identity {
            kind: Kind::Pod,
            name: name.into(),
            ..Identity::default()
        };
        let mut switch = SwitchFacts {
            node: "node-a".into(),
            ..SwitchFacts::default()
        };
        switch.addresses.push(([10, 0, 0, 1].into(), Arc::new(who)));
        switch
    };
    const SECOND: u64 = 1_000_000_000;
    let mut ledger = AddressHistory::new(Duration::from_secs(600));
    let mut at = |second: u64, switches| merge(switches, None, &mut ledger, second * SECOND);
    at(100, vec![pod("old")]);
    at(200, vec![]);
    let snapshot = at(300, vec![pod("new")]);
    let who = |second: u64| {
        let flow = Span {
            from: second * SECOND,
            to: second * SECOND,
        };
        match snapshot.directory.owners([10, 0, 0, 1].into(), flow) {
            Owners::One(who) => who.name.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!((who(150), who(250)), ("old".into(), "new".into()));
    let snapshot = at(900, vec![]);
    let kept = snapshot.directory.addresses.get(&[10, 0, 0, 1].into());
    assert_eq!(
        kept.map(|held| held.len()),
        Some(1),
        "what ended long ago is forgotten"
    );
}

#[test]
fn a_database_can_name_neither_another_node_nor_its_address() {
    let facts = |node: &str, sources: &[[u8; 4]]| SwitchFacts {
        node: node.into(),
        sources: sources.iter().map(|address| IpAddr::from(*address)).collect(),
        ..SwitchFacts::default()
    };
    let endpoints = ["tcp:192.0.2.1:6640", "unix:/b", "unix:/c", "unix:/d"].map(|e| e.parse().unwrap());
    let mut switches = [
        facts("a", &[[192, 0, 2, 1]]),
        facts("b", &[[192, 0, 2, 1], [192, 0, 2, 2]]),
        facts("c", &[[192, 0, 2, 3], [192, 0, 2, 4]]),
        facts("a", &[[192, 0, 2, 9]]),
    ];
    switches[1].sources.push([192, 0, 2, 4].into());
    refuse_disputed(&endpoints, &mut switches);
    let sources = switches.each_ref().map(|switch| switch.sources.clone());
    let expected = [vec![1], vec![2], vec![3], vec![]];
    assert_eq!(
        sources,
        expected.map(|all| all
            .into_iter()
            .map(|n| IpAddr::from([192, 0, 2, n]))
            .collect::<Vec<_>>())
    );
    assert!(switches[3].node.is_empty());
}
