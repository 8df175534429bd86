use super::*;
use crate::roles::Role;

fn address(n: u32) -> IpAddr {
    IpAddr::V4((0x0a00_0000 + n).into())
}

#[test]
fn what_workers_count_adds_up_by_exporter() {
    let registry = Arc::<ExporterRegistry>::default();
    let mut workers = [(); 2].map(|()| ExporterTally::new(Arc::clone(&registry)));
    for (n, worker) in workers.iter_mut().enumerate() {
        let counts = worker.datagram(address(1), 100, 10 + n as u64);
        counts.counters.records += 3;
        counts.reject("truncated");
        assert!(
            registry
                .all()
                .0
                .iter()
                .all(|(_, c)| c.counters.datagrams == n as u64)
        );
        worker.publish();
    }
    let (all, forgotten) = registry.all();
    let [(exporter, counts)] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!((*exporter, forgotten), (address(1), 0));
    let sums = counts.counters;
    assert_eq!((sums.datagrams, sums.bytes, sums.records), (2, 200, 6));
    assert_eq!((counts.first_ms, counts.last_ms), (10, 11));
    assert_eq!(counts.rejected, [("truncated", 2)]);
}

#[test]
fn a_refused_datagram_does_not_take_back_who_it_is() {
    let registry = Arc::<ExporterRegistry>::default();
    let mut worker = ExporterTally::new(Arc::clone(&registry));
    let node = weir_identity::exporters::Exporter {
        node: "node-a".into(),
        ..Default::default()
    };
    let attribution = Attribution {
        exporter: Some(&node),
        standing: Standing::Node,
        claims: None,
    };
    let counts = worker.datagram(address(1), 1, 1);
    counts.attribute(&attribution, Protocol::Ipfix);
    worker.publish();
    worker.datagram(address(1), 1, 2).reject("truncated");
    worker.publish();
    let (all, _) = registry.all();
    let counts = &all[0].1;
    assert_eq!(
        (counts.standing, counts.node.as_deref()),
        (Standing::Node, Some("node-a"))
    );
}

#[test]
fn invented_exporters_take_bounded_room_and_leave_the_known_ones() {
    let registry = Arc::<ExporterRegistry>::default();
    let mut worker = ExporterTally::new(Arc::clone(&registry));
    worker.datagram(address(0), 1, 1).standing = Standing::Node;
    worker.datagram(address(1), 1, 1).role = Some(Role::Edge);
    worker.publish();
    for n in 2..20_000 {
        worker.datagram(address(n), 1, 2);
        worker.publish();
    }
    let (all, forgotten) = registry.all();
    assert!(all.len() <= MAX_EXPORTERS + 2);
    assert_eq!(all.len() as u64 + forgotten, 20_000);
    assert_eq!((all[0].0, all[1].0), (address(0), address(1)));
}

#[test]
fn an_exporter_meters_ingress_for_an_hour_after_it_told_of_it() {
    let registry = ExporterRegistry::default();
    assert!(!registry.meters_ingress(address(1), 0));
    registry.met_ingress(address(1), 1_000);
    registry.met_ingress(address(1), 1_000 + NOTED_MS);
    assert!(registry.meters_ingress(address(1), NOTED_MS + INGRESS_MS));
    assert!(!registry.meters_ingress(address(1), 1_001 + NOTED_MS + INGRESS_MS));
    assert!(!registry.meters_ingress(address(2), 1_000));
    for n in 2..20_000 {
        registry.met_ingress(address(n), 1_000);
    }
    assert!(registry.ingress.read().unwrap().len() <= 2 * MAX_EXPORTERS);
}

#[test]
fn a_flood_of_strangers_does_not_make_forgotten_who_meters_ingress() {
    let registry = ExporterRegistry::default();
    for now_ms in 0..u64::from(crate::bounded::REGULAR) {
        registry.met_ingress(address(1), now_ms);
    }
    for n in 2..20_000 {
        registry.met_ingress(address(n), 1_000);
    }
    assert!(registry.meters_ingress(address(1), 1_000));
    assert!(!registry.meters_ingress(address(2), 1_000));
}

#[test]
fn who_meters_ingress_is_known_by_the_new_time_when_the_clock_was_set_back() {
    let registry = ExporterRegistry::default();
    let (before, after) = (100 * INGRESS_MS, 50 * INGRESS_MS);
    registry.met_ingress(address(1), before);
    registry.met_ingress(address(2), before);
    assert!(!registry.meters_ingress(address(1), after));
    registry.met_ingress(address(2), after);
    assert!(registry.meters_ingress(address(2), after + INGRESS_MS - 1));
    assert!(!registry.meters_ingress(address(2), after + INGRESS_MS));
}

#[test]
fn what_workers_count_of_nodes_adds_up_by_node_and_format_whatever_address_it_came_from() {
    let registry = Arc::<ExporterRegistry>::default();
    let mut workers = [(); 2].map(|()| ExporterTally::new(Arc::clone(&registry)));
    let summary = |protocol| wire::Summary {
        protocol,
        records: 1,
        data_records: 4,
        ..Default::default()
    };
    for (n, worker) in workers.iter_mut().enumerate() {
        for (node, protocol) in [
            ("a", Protocol::Ipfix),
            ("b", Protocol::Sflow5),
            ("a", Protocol::Ipfix),
        ] {
            let reception = worker.node(&node.into()).format(protocol);
            reception.count(&summary(protocol), 10 - n as u64);
        }
        worker.node(&"b".into()).unproven_ms = 7;
        worker.publish();
    }
    let [(a, mut of_a), (b, mut of_b)] = registry.nodes().try_into().unwrap();
    assert_eq!((&*a, &*b), ("a", "b"));
    let ipfix = *of_a.format(Protocol::Ipfix);
    assert_eq!((ipfix.datagrams, ipfix.records, ipfix.sequenced), (4, 4, 16));
    assert_eq!(ipfix.last_ms, 10, "the newest, whichever came last");
    assert_eq!(
        (of_b.format(Protocol::Sflow5).sequenced, of_b.unproven_ms),
        (2, 7)
    );
    assert_eq!(*of_a.format(Protocol::Sflow5), Reception::default());
}
