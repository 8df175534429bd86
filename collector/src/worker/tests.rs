use std::sync::mpsc::Receiver;

use wire::Field;
use wire::encode::Ipfix;

use super::*;

/// A worker that knows no names, and what comes out of it.
fn worker() -> (Worker, Arc<Metrics>, Receiver<Vec<FlowRecord>>) {
    worker_judging_by(None)
}

/// The same, and what it judges records by.
fn worker_judging_by(
    policies: Option<watch::Receiver<Arc<Versions>>>,
) -> (Worker, Arc<Metrics>, Receiver<Vec<FlowRecord>>) {
    let metrics = Arc::<Metrics>::default();
    let (outlet, inbox) = Outlet::test(Arc::clone(&metrics));
    let (names, snapshots) = watch::channel(Snapshot::default());
    let (subnets, labels) = watch::channel(Arc::default());
    let shared = WorkerShared {
        metrics: Arc::clone(&metrics),
        allow: Arc::default(),
        snapshots,
        exporters: ExporterState {
            registry: Arc::clone(metrics.exporters()),
            ..ExporterState::default()
        },
        labels,
        flow_metrics: FlowMetrics::new(1),
        policies,
        outlet,
    };
    let worker = shared.worker(Limits::default(), NameRoom::THREAD);
    drop((names, subnets));
    (worker, metrics, inbox)
}

fn session() -> Session {
    Session::datagram(([192, 0, 2, 1], 4739).into())
}

#[test]
fn the_room_that_one_large_datagram_took_is_not_kept() {
    let (mut worker, _, inbox) = worker();
    let template = Ipfix::new(0, 0, 1).template(256, &[Field::iana(7, 2), Field::iana(1, 8)]);
    let message = template.set(256, &vec![1; 10 * 2 * MAX_KEPT]).encode();
    worker.message(session(), &message, 1).unwrap();
    // A batch that is full is handed on at once.
    assert_eq!(inbox.recv().unwrap().len(), 2 * MAX_KEPT);
    assert_eq!((worker.raw.capacity(), worker.batch.capacity()), (0, 0));
    let few = Ipfix::new(0, 1, 1).set(256, &[1; 100]).encode();
    worker.message(session(), &few, 1).unwrap();
    worker.hand_on();
    assert!(
        (1..=MAX_KEPT).contains(&worker.raw.capacity()),
        "what is used is kept"
    );
}

#[test]
fn records_are_judged_by_policies_where_they_are_handed_on() {
    let isolated = [
        serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": "shop"},
            "status": {"podIP": "10.0.0.2"}}),
        serde_json::json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "closed", "namespace": "shop"}, "spec": {"podSelector": {}}}),
    ];
    let (publish, versions) = watch::channel(Arc::default());
    let (mut worker, metrics, inbox) = worker_judging_by(Some(versions));
    let fields = [
        Field::iana(4, 1),
        Field::iana(8, 4),
        Field::iana(12, 4),
        Field::iana(7, 2),
        Field::iana(11, 2),
    ];
    let record = [
        [6].as_slice(),
        &[198, 51, 100, 1],
        &[10, 0, 0, 2],
        &[0xc0, 0],
        &[0x15, 0x38],
    ]
    .concat();
    let template = Ipfix::new(0, 0, 1)
        .template(256, &fields)
        .set(256, &record)
        .encode();
    let judged = |worker: &mut Worker, message: &[u8]| {
        worker.message(session(), message, 2_000_000_000).unwrap();
        worker.hand_on();
        let records = inbox.recv().unwrap();
        records.first().unwrap().policy.clone()
    };
    assert_eq!(
        judged(&mut worker, &template),
        weir_flow::Judged::NOT,
        "nothing is known yet"
    );
    publish.send_replace(crate::policies::versions_of(&isolated));
    let again = Ipfix::new(0, 1, 1).set(256, &record).encode();
    let policy = judged(&mut worker, &again);
    let verdict = policy.verdict().unwrap();
    assert_eq!((verdict.answer, verdict.reason), ("deny", "isolation"));
    assert_eq!(
        (&*verdict.ingress.policy, verdict.ingress.action),
        ("shop/closed", "drop")
    );
    let page = metrics.encode();
    for line in [
        r#"weir_collector_policy_flows_total{verdict="deny",reason="isolation"} 1"#,
        r#"weir_collector_policy_denied_flows_total{direction="ingress"} 1"#,
    ] {
        assert!(page.contains(line), "{page}");
    }
}

#[test]
fn names_that_a_record_brings_from_outside_of_the_cluster_are_counted_and_not_believed() {
    let (mut worker, metrics, inbox) = worker();
    let pod_name = Field {
        enterprise: 56_506,
        ..Field::iana(101, Field::VARIABLE)
    };
    let message = Ipfix::new(0, 0, 1)
        .template(256, &[Field::iana(7, 2), pod_name])
        .set(256, &[0, 80, 3, b'w', b'e', b'b']);
    worker.message(session(), &message.encode(), 1).unwrap();
    worker.hand_on();
    let records = inbox.recv().unwrap();
    assert!(records[0].attributes.is_empty() && records[0].src.identity.pod_name().is_empty());
    let text = metrics.encode();
    let line = "weir_collector_record_names_refused_total 1";
    assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    assert_eq!(metrics.exporters().all().0[0].1.counters.names_refused, 1);
}

#[test]
fn a_datagram_whose_records_cannot_be_named_takes_no_others_with_it() {
    let (mut worker, metrics, inbox) = worker();
    let names = Snapshot::default();
    let template = |n: u16| Ipfix::new(0, n.into(), 1).template(256, &[Field::iana(7, 2), Field::iana(1, 8)]);
    let record = |port: u16| [port.to_be_bytes().as_slice(), &[0, 0, 0, 0, 0, 0, 0, 9]].concat();
    let messages = [[1, 2], [3, 4], [5, 6]].map(|ports: [u16; 2]| {
        let records = ports.map(record).concat();
        template(ports[0]).set(256, &records).encode()
    });
    let datagrams = messages
        .each_ref()
        .map(|message| worker.decode(&names, session(), message, 1).unwrap());
    let labels = Arc::clone(&worker.labels);
    let sought = worker.batch.iter().enumerate().map(|(n, record)| {
        let sought = worker
            .enrich
            .seek(record, Names::of(&names.directory, &labels, "", None));
        // What the fourth is looked up by was not found out: there was a fault of ours.
        (n != 3).then_some(sought)
    });
    let sought: Vec<_> = sought.collect();
    let mut first = 0;
    for (datagram, its) in datagrams.iter().zip(sought.chunks(2)) {
        first += worker.name_datagram(datagram, first, its);
    }
    worker.hand_on();
    let ports: Vec<_> = inbox
        .recv()
        .unwrap()
        .iter()
        .map(|record| record.src.port)
        .collect();
    assert_eq!(ports, [1, 2, 3, 5, 6].map(Some));
    let text = metrics.encode();
    let line = "weir_collector_records_dropped_total{reason=\"panic\"} 1";
    assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
}

#[test]
fn a_datagram_whose_records_cannot_be_judged_takes_no_others_with_it() {
    let (publish, versions) = watch::channel(Arc::default());
    let (mut worker, metrics, inbox) = worker_judging_by(Some(versions));
    publish.send_replace(crate::policies::versions_of(&[]));
    worker.judge.fault = Some(3);
    for ports in [[1, 2], [3, 4], [5, 6]] {
        let records = ports.map(|port: u16| port.to_be_bytes()).concat();
        let template = Ipfix::new(0, ports[0].into(), 1).template(256, &[Field::iana(7, 2)]);
        let message = template.set(256, &records).encode();
        worker.message(session(), &message, 1).unwrap();
    }
    worker.hand_on();
    let kept = inbox.recv().unwrap();
    let ports: Vec<_> = kept.iter().map(|record| record.src.port).collect();
    assert_eq!(ports, [1, 2, 5, 6].map(Some));
    let text = metrics.encode();
    let line = "weir_collector_records_dropped_total{reason=\"panic\"} 2";
    assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
}
