//! Templates of one exporter that sends from several ports (RFC 3954 §7: they belong to
//! exporter and source id).

use std::net::SocketAddr;

use wire::encode::{Ipfix, NetFlow9};
use wire::{Decoder, Field, Limits, Record, Session, Summary};

const SRC_PORT: Field = Field::iana(7, 2);
const DST_PORT: Field = Field::iana(11, 2);

/// A port of an exporter.
fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], port))
}

fn feed(
    decoder: &mut Decoder,
    session: impl Into<Session>,
    now_ms: u64,
    datagram: &[u8],
) -> (Summary, Vec<Record>) {
    let mut records = Vec::new();
    let summary = decoder.decode(session, now_ms, datagram, &mut records);
    (summary.expect("well-formed"), records)
}

fn netflow9() -> NetFlow9 {
    NetFlow9::new(1, 0, 0, 0, 7)
}

fn teach(field: Field) -> Vec<u8> {
    netflow9().template(256, &[field]).encode()
}

fn data(port: u8) -> Vec<u8> {
    netflow9().set(256, &[0, port]).encode()
}

fn ports(records: &[Record]) -> Vec<Option<u16>> {
    records.iter().map(|record| record.src_port).collect()
}

#[test]
fn data_from_another_port_is_read_by_the_template_of_its_exporter() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, at(1, 1), 0, &teach(SRC_PORT));
    let (summary, records) = feed(&mut decoder, at(1, 2), 0, &data(80));
    assert_eq!((ports(&records), summary.templates_borrowed), (vec![Some(80)], 1));
    // It has taught nothing, so it leaves no state.
    assert_eq!(decoder.scopes(), 1);
    let ipfix = |message: Ipfix| message.encode();
    feed(
        &mut decoder,
        at(1, 1),
        0,
        &ipfix(Ipfix::new(0, 0, 7).template(256, &[DST_PORT])),
    );
    let (_, records) = feed(
        &mut decoder,
        at(1, 2),
        0,
        &ipfix(Ipfix::new(0, 0, 7).set(256, &[0, 90])),
    );
    assert_eq!((records[0].src_port, records[0].dst_port), (None, Some(90)));
}

#[test]
fn templates_are_not_shared_across_addresses_source_ids_protocols_or_transports() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, at(1, 1), 0, &teach(SRC_PORT));
    let held = |decoder: &mut Decoder, session: Session, datagram: &[u8]| {
        feed(decoder, session, 0, datagram).0.sets_held
    };
    assert_eq!(held(&mut decoder, at(2, 1).into(), &data(80)), 1);
    let other_source = NetFlow9::new(1, 0, 0, 0, 8).set(256, &[0, 80]).encode();
    assert_eq!(held(&mut decoder, at(1, 2).into(), &other_source), 1);
    let ipfix = Ipfix::new(0, 0, 7).set(256, &[0, 80]).encode();
    assert_eq!(held(&mut decoder, at(1, 2).into(), &ipfix), 1);
    feed(
        &mut decoder,
        at(1, 3),
        0,
        &Ipfix::new(0, 0, 7).template(256, &[SRC_PORT]).encode(),
    );
    assert_eq!(held(&mut decoder, Session::stream(at(1, 4)), &ipfix), 1);
}

#[test]
fn a_template_that_the_sessions_of_an_exporter_do_not_agree_on_serves_no_other() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, at(1, 1), 0, &teach(SRC_PORT));
    feed(&mut decoder, at(1, 2), 0, &teach(SRC_PORT));
    assert_eq!(feed(&mut decoder, at(1, 9), 0, &data(1)).0.templates_borrowed, 1);
    feed(&mut decoder, at(1, 3), 0, &teach(DST_PORT));
    assert_eq!(feed(&mut decoder, at(1, 9), 0, &data(2)).0.sets_held, 1);
    // Their own data they read by their own.
    let (_, records) = feed(&mut decoder, at(1, 3), 0, &data(3));
    assert_eq!((records[0].src_port, records[0].dst_port), (None, Some(3)));
    // When they agree again, what has waited is read, too.
    feed(&mut decoder, at(1, 3), 0, &teach(SRC_PORT));
    let (summary, records) = feed(&mut decoder, at(1, 9), 0, &data(4));
    assert_eq!(
        (ports(&records), summary.released_records),
        (vec![Some(4), Some(2)], 1)
    );
    assert_eq!(summary.data_records, 1);
}

#[test]
fn a_session_prefers_the_template_it_has_told_itself() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, at(1, 1), 0, &teach(SRC_PORT));
    feed(&mut decoder, at(1, 2), 0, &teach(DST_PORT));
    let (summary, records) = feed(&mut decoder, at(1, 2), 0, &data(80));
    assert_eq!((records[0].dst_port, summary.templates_borrowed), (Some(80), 0));
}

#[test]
fn what_a_malformed_set_defines_is_not_shared() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, at(1, 1), 0, &teach(SRC_PORT));
    feed(&mut decoder, at(1, 2), 0, &teach(SRC_PORT));
    // Another definition, then one cut short.
    let bad = netflow9()
        .set(0, &[1, 0, 0, 1, 0, 11, 0, 2, 1, 1, 0, 9])
        .set(300, &[0, 1]);
    assert_eq!(feed(&mut decoder, at(1, 2), 0, &bad.encode()).0.sets_malformed, 1);
    assert_eq!(feed(&mut decoder, at(1, 9), 0, &data(80)).0.templates_borrowed, 1);
}

#[test]
fn a_template_is_shared_no_longer_than_it_lives() {
    let limits = Limits {
        template_age_ms: 60_000,
        ..Limits::default()
    };
    for sessions in [1, 2] {
        let mut decoder = Decoder::new(limits.clone());
        feed(&mut decoder, at(1, 1), 0, &teach(DST_PORT));
        if sessions == 2 {
            feed(&mut decoder, at(1, 2), 50_000, &teach(SRC_PORT));
            assert_eq!(feed(&mut decoder, at(1, 9), 50_000, &data(1)).0.sets_held, 1);
            // The first one is forgotten, and so they agree.
            assert_eq!(
                feed(&mut decoder, at(1, 8), 100_000, &data(1))
                    .0
                    .templates_borrowed,
                1
            );
        }
        assert_eq!(feed(&mut decoder, at(1, 7), 200_000, &data(1)).0.sets_held, 1);
    }
}

#[test]
fn samplers_are_read_by_the_template_of_another_port_too() {
    let mut decoder = Decoder::default();
    let (scope, options) = ([Field::iana(1, 4)], [Field::iana(48, 1), Field::iana(50, 2)]);
    feed(
        &mut decoder,
        at(1, 1),
        0,
        &netflow9().options_template(257, &scope, &options).encode(),
    );
    let (summary, _) = feed(
        &mut decoder,
        at(1, 2),
        0,
        &netflow9().set(257, &[0, 0, 0, 0, 3, 0, 100]).encode(),
    );
    assert_eq!((summary.options.len(), summary.templates_borrowed), (1, 1));
}

#[test]
fn an_exporter_of_very_many_different_templates_has_none_to_share() {
    let mut decoder = Decoder::default();
    let teach = |decoder: &mut Decoder, port: u16, element: u16| {
        let template = netflow9().template(256, &[Field::iana(element, 2)]).encode();
        feed(decoder, at(1, port), 0, &template);
    };
    for port in 1..=20 {
        teach(&mut decoder, port, 1_000 + port);
    }
    for port in 1..=20 {
        teach(&mut decoder, port, 7);
    }
    assert_eq!(feed(&mut decoder, at(1, 99), 0, &data(80)).0.sets_held, 1);
    // Their own they know.
    assert_eq!(ports(&feed(&mut decoder, at(1, 5), 0, &data(80)).1), [Some(80)]);
    // That they agree by now is found when all is looked through.
    let (summary, records) = feed(&mut decoder, at(1, 98), 20_000, &data(80));
    assert_eq!((ports(&records), summary.templates_borrowed), (vec![Some(80)], 1));
}
