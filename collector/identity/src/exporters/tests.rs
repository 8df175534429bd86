use super::*;

fn exporter(node: &str, domain: u32) -> Exporter {
    Exporter {
        node: node.into(),
        bridge: "br-int".into(),
        domain: Some(domain),
        engine: Some((0, domain as u8)),
        ..Exporter::default()
    }
}

fn table() -> Exporters {
    let exporters = vec![
        exporter("a", 1),
        exporter("b", 2),
        exporter("c", 7),
        exporter("d", 7),
    ];
    let sources = [
        ("10.0.0.1", "a"),
        ("10.0.0.2", "b"),
        ("10.0.0.4", "d"),
        ("10.0.0.9", "bare"),
        ("192.0.2.4", "d"),
    ];
    Exporters::new(
        exporters,
        sources.into_iter().map(|(a, n)| (address(a), n.into())),
    )
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Addresses in 192.0.2.0/24 are relays'.
fn trust() -> Trust {
    Trust {
        relays: vec!["192.0.2.0/24".parse().unwrap()],
        has_names: true,
    }
}

fn node(mark: Option<ExporterKey>, source: &str) -> Option<String> {
    let table = table();
    let found = table.resolve(mark, address(source), &trust());
    found.exporter.map(|e| e.node.to_string())
}

#[test]
fn a_nodes_address_outranks_the_mark_of_another() {
    assert_eq!(
        node(Some(ExporterKey::Domain(2)), "10.0.0.1").as_deref(),
        Some("a")
    );
    assert_eq!(
        node(Some(ExporterKey::Engine(0, 2)), "10.0.0.1").as_deref(),
        Some("a")
    );
    assert_eq!(node(None, "10.0.0.1").as_deref(), Some("a"));
    let table = table();
    let found = table.resolve(Some(ExporterKey::Domain(2)), address("10.0.0.1"), &trust());
    assert_eq!(
        (found.standing, found.claims),
        (Standing::Node, Some(&"b".into()))
    );
}

#[test]
fn a_stranger_is_no_node_whatever_mark_it_bears() {
    for mark in [
        ExporterKey::Domain(1),
        ExporterKey::Engine(0, 1),
        ExporterKey::Domain(7),
    ] {
        assert_eq!(node(Some(mark), "203.0.113.1"), None, "{mark:?}");
    }
    let table = table();
    let found = table.resolve(Some(ExporterKey::Domain(1)), address("203.0.113.1"), &trust());
    assert_eq!(
        (found.standing, found.claims),
        (Standing::Stranger, Some(&"a".into()))
    );
    let found = table.resolve(Some(ExporterKey::Domain(99)), address("203.0.113.1"), &trust());
    assert_eq!(found.claims, None, "nobody has that mark");
}

#[test]
fn through_a_declared_relay_the_mark_decides() {
    assert_eq!(
        node(Some(ExporterKey::Domain(2)), "192.0.2.1").as_deref(),
        Some("b")
    );
    assert_eq!(
        node(Some(ExporterKey::Engine(0, 1)), "192.0.2.1").as_deref(),
        Some("a")
    );
    assert_eq!(
        node(Some(ExporterKey::Domain(7)), "192.0.2.1"),
        None,
        "two bear it"
    );
    assert_eq!(
        node(Some(ExporterKey::Domain(7)), "192.0.2.4").as_deref(),
        Some("d")
    );
    assert_eq!(node(Some(ExporterKey::Domain(0)), "192.0.2.1"), None);
    assert_eq!(node(None, "192.0.2.1"), None);
    assert_eq!(node(None, "192.0.2.4").as_deref(), Some("d"), "it is a node, too");
}

#[test]
fn the_mark_tells_the_bridges_of_a_node_apart() {
    let outer = Exporter {
        bridge: "br-ex".into(),
        ..exporter("a", 3)
    };
    let table = Exporters::new(
        vec![exporter("a", 1), outer],
        [(address("10.0.0.1"), "a".into())].into_iter(),
    );
    let bridge = |domain| {
        let found = table.resolve(Some(ExporterKey::Domain(domain)), address("10.0.0.1"), &trust());
        found.exporter.map(|e| e.bridge.to_string())
    };
    assert_eq!(bridge(3).as_deref(), Some("br-ex"));
    assert_eq!(bridge(1).as_deref(), Some("br-int"));
}

#[test]
fn of_two_bridges_with_one_agent_only_what_both_have_is_believed() {
    let agent = address("10.0.0.1");
    let bridge = |name: &str, single_pass, s_flow| Exporter {
        node: "a".into(),
        bridge: name.into(),
        agent: Some(agent),
        formats: Formats {
            s_flow,
            ..Formats::default()
        },
        single_pass,
        ..Exporter::default()
    };
    let single_pass = |exporters| {
        let table = Exporters::new(exporters, [(agent, "a".into())].into_iter());
        let found = table.resolve(Some(ExporterKey::Agent(agent)), agent, &trust());
        found.exporter.map(|e| (e.single_pass, e.formats.s_flow))
    };
    let (one, other) = (bridge("br-int", false, Some(64)), bridge("br-ex", true, Some(64)));
    assert_eq!(single_pass(vec![one, other.clone()]), Some((false, Some(64))));
    let silent = bridge("br-int", false, None);
    assert_eq!(single_pass(vec![silent, other]), Some((true, Some(64))));
}

#[test]
fn a_node_without_exports_is_named_but_not_taken_for_ovs() {
    let table = table();
    let bare = table
        .resolve(None, address("10.0.0.9"), &trust())
        .exporter
        .unwrap();
    assert_eq!((&*bare.node, bare.is_ovs()), ("bare", false));
}

#[test]
fn interfaces_are_named_by_whom_it_is_proven_of_or_where_nothing_can_be() {
    let table = table();
    let names = |source: &str, trust: &Trust| {
        table
            .resolve(Some(ExporterKey::Domain(1)), address(source), trust)
            .may_name_interfaces(trust)
    };
    assert!(names("10.0.0.1", &trust()) && names("192.0.2.1", &trust()));
    assert!(!names("203.0.113.1", &trust()));
    assert!(names("203.0.113.1", &Trust::default()));
}
