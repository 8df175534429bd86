use std::sync::Arc;

use wire::Field;
use wire::encode::Ipfix;

use super::*;
use crate::metrics::Metrics;

fn decode(metrics: &Arc<Metrics>) -> Decode {
    Decode::new(
        Limits::default(),
        ExporterState::default(),
        metrics.decode_counters(),
    )
}

#[test]
fn a_decoder_that_begins_anew_knows_the_templates_of_others_and_counts_what_waited() {
    let metrics = Arc::<Metrics>::default();
    let mut decode = decode(&metrics);
    let port = Field::iana(7, 2);
    let [faulty, other] = [1, 2].map(|n| Session::datagram(([192, 0, 2, n], 4739).into()));
    let send = |decode: &mut Decode, session, message: Ipfix| {
        let mut records = Vec::new();
        decode
            .datagram(session, 0, &message.encode(), &Exporters::default(), &mut records)
            .unwrap();
        records.len()
    };
    for session in [faulty, other] {
        let message = Ipfix::new(0, 0, 1).template(256, &[port]).set(257, &[0, 80]);
        send(&mut decode, session, message);
    }
    decode.start_anew(faulty, &[]);
    let data = || Ipfix::new(0, 1, 1).set(256, &[0, 80]);
    assert_eq!(send(&mut decode, other, data()), 1);
    assert_eq!(
        send(&mut decode, faulty, data()),
        0,
        "its templates may be half changed"
    );
    decode.publish();
    let text = metrics.encode();
    for line in [
        "weir_collector_data_sets_total{event=\"held\"} 3",
        "weir_collector_data_sets_total{event=\"expired\"} 2",
        "weir_collector_templates_total{event=\"recalled\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn data_that_waits_for_its_template_at_the_end_counts_as_expired() {
    let metrics = Arc::<Metrics>::default();
    let mut decode = decode(&metrics);
    let data = Ipfix::new(0, 0, 1).set(256, &[0, 80]).set(257, &[1]).encode();
    let session = Session::datagram(([192, 0, 2, 1], 4739).into());
    decode
        .datagram(session, 0, &data, &Exporters::default(), &mut Vec::new())
        .unwrap();
    decode.finish();
    decode.publish();
    let text = metrics.encode();
    for line in [
        "weir_collector_data_sets_total{event=\"held\"} 2",
        "weir_collector_data_sets_total{event=\"expired\"} 2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_a_record_has_beside_one_flow_and_what_had_no_effect_is_counted_for_all_and_by_exporter() {
    let metrics = Arc::<Metrics>::default();
    let mut decode = decode(&metrics);
    let port = Field::iana(7, 2);
    let reverse = Field {
        enterprise: 29_305,
        ..Field::iana(1, 4)
    };
    let message = Ipfix::new(0, 0, 1)
        .template(256, &[port, Field::iana(1, 4), reverse])
        .set(256, &[0, 80, 0, 0, 0, 100, 0, 0, 0, 200])
        .set(256, &[0, 80, 0, 0, 0, 100, 0, 0, 0, 0])
        .template(257, &[Field::iana(291, Field::VARIABLE), port])
        .set(257, &[0, 0, 80])
        .set(2, &[1, 0, 0, 0]);
    let session = Session::datagram(([192, 0, 2, 1], 4739).into());
    let mut records = Vec::new();
    decode
        .datagram(session, 1, &message.encode(), &Exporters::default(), &mut records)
        .unwrap();
    decode.names_refused(session.peer.ip(), 2);
    decode.publish();
    let text = metrics.encode();
    for line in [
        "weir_collector_record_kinds_total{kind=\"biflow\"} 2",
        "weir_collector_record_kinds_total{kind=\"reverse\"} 1",
        "weir_collector_record_kinds_total{kind=\"list\"} 1",
        "weir_collector_templates_total{event=\"withdrawal_ignored\"} 1",
        "weir_collector_record_names_refused_total 2",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let (all, _) = decode.state.registry.all();
    let counters = all[0].1.counters;
    let counted = (
        counters.biflow_records,
        counters.reverse_records,
        counters.structured_records,
        counters.withdrawals_ignored,
        counters.names_refused,
    );
    assert_eq!(counted, (2, 1, 1, 1, 2));
    assert_eq!((counters.datagrams, counters.records), (1, 4));
}

fn bridge(node: &str, domain: u32) -> Exporter {
    Exporter {
        node: node.into(),
        bridge: "br-int".into(),
        domain: Some(domain),
        ..Exporter::default()
    }
}

/// A decoder with this policy.
fn with_policy(policy: ExporterPolicy) -> Decode {
    let state = ExporterState {
        policy: Arc::new(policy),
        ..ExporterState::default()
    };
    let metrics = Arc::<Metrics>::default();
    Decode::new(Limits::default(), state, metrics.decode_counters())
}

fn message(domain: u32) -> Vec<u8> {
    let message = Ipfix::new(0, 0, domain).template(256, &[Field::iana(7, 2)]);
    message.set(256, &[0, 80]).encode()
}

#[test]
fn the_role_ignore_is_for_those_that_are_neither_nodes_nor_relays() {
    let mut decode = with_policy(ExporterPolicy {
        trust: Trust {
            relays: vec!["192.0.2.3/32".parse().unwrap()],
            has_names: true,
        },
        roles: ["192.0.2.0/24=ignore".parse().unwrap()].into_iter().collect(),
    });
    let node = [192, 0, 2, 1].into();
    let exporters = Exporters::new(vec![bridge("node-a", 1)], [(node, "node-a".into())].into_iter());
    let mut records = |host: u8| {
        let mut records = Vec::new();
        let session = Session::datagram(([192, 0, 2, host], 4739).into());
        decode
            .datagram(session, 1, &message(1), &exporters, &mut records)
            .unwrap();
        records.len()
    };
    assert_eq!([1, 2, 3].map(&mut records), [1, 0, 1]);
}

#[test]
fn a_datagram_of_several_domains_bears_the_mark_of_none_of_them() {
    let mut decode = with_policy(ExporterPolicy {
        trust: Trust {
            relays: vec!["192.0.2.3/32".parse().unwrap()],
            has_names: true,
        },
        ..ExporterPolicy::default()
    });
    let bridges = vec![bridge("node-a", 1), bridge("node-b", 2)];
    let exporters = Exporters::new(bridges, std::iter::empty());
    let mut node = |host: u8, domains: &[u32]| {
        let datagram: Vec<u8> = domains.iter().flat_map(|domain| message(*domain)).collect();
        let session = Session::datagram(([192, 0, 2, host], 4739).into());
        let mut records = Vec::new();
        let decoded = decode.datagram(session, 1, &datagram, &exporters, &mut records);
        assert_eq!(records.len(), domains.len());
        decoded
            .unwrap()
            .exporter
            .map(|exporter| exporter.node.to_string())
    };
    // Through a relay the mark says whose it is.
    assert_eq!(node(3, &[2]).as_deref(), Some("node-b"));
    assert_eq!(node(3, &[2, 2]).as_deref(), Some("node-b"));
    assert_eq!(node(3, &[1, 2]), None);
    assert_eq!(node(3, &[2, 1, 2]), None);
}
