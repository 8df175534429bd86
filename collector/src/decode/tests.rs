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
        Arc::default(),
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
