use std::sync::Arc;

use wire::encode::Ipfix;
use wire::{Field, Protocol};

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

#[test]
fn what_other_programs_of_a_node_send_and_lose_is_not_the_switchs() {
    let mut decode = with_policy(ExporterPolicy::default());
    let node: IpAddr = [192, 0, 2, 1].into();
    let exporters = Exporters::new(vec![bridge("node-a", 1)], [(node, "node-a".into())].into_iter());
    let mut send = |port: u16, domain: u32, sequence: u32, now_ms: u64| {
        let message = Ipfix::new(0, sequence, domain).template(256, &[Field::iana(7, 2)]);
        let session = Session::datagram((node, port).into());
        let datagram = message.set(256, &[0, 80]).encode();
        decode
            .datagram(session, now_ms, &datagram, &exporters, &mut Vec::new())
            .unwrap();
    };
    // Another program has gaps, and the switch has one.
    for (n, sequence) in [(1, 0), (2, 1_000), (3, 2_000)] {
        send(2_000, 9, sequence, n);
    }
    send(1_000, 1, 0, 4);
    send(1_000, 1, 8, 5);
    for n in 0..100_u32 {
        send(2_000, 9, 2_001 + n, 100_000 + u64::from(n));
        send(1_000, 1, 9 + n, 100_000 + u64::from(n));
    }
    decode.publish();
    let nodes = decode.state.registry.nodes();
    let [(name, reception)] = nodes.as_slice() else {
        panic!("{nodes:?}")
    };
    let ipfix = reception.formats[Protocol::Ipfix as usize];
    assert_eq!((&**name, ipfix.lost, ipfix.datagrams), ("node-a", 7, 102));
    let (all, _) = decode.state.registry.all();
    assert!(all[0].1.counters.lost > 1_900, "of the address all is counted");
}

#[test]
fn an_sflow_agent_that_is_no_bridge_is_not_the_switch() {
    let exporter = Exporter {
        agent: Some([192, 0, 2, 1].into()),
        ..bridge("node-a", 1)
    };
    for (sub_agent, is) in [(0, true), (3, true), (100_000, false)] {
        let summary = Summary {
            protocol: Protocol::Sflow5,
            agent: exporter.agent,
            sub_agent,
            ..Summary::default()
        };
        assert_eq!(bears_mark_of(&summary, &exporter), is, "{sub_agent}");
    }
}
