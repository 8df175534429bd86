//! RFC 3954 as a receiver, on messages made by hand.

mod input;

use std::net::SocketAddr;

use input::body;
use wire::encode::NetFlow9;
use wire::{Decoder, Field, Protocol, Record, Reject, Summary};

const EXPORT_NS: u64 = 1_795_196_542_000_000_000;

fn message() -> NetFlow9 {
    NetFlow9::new(1, 100_000, 1_795_196_542, 7, 3)
}

fn decode(message: NetFlow9) -> Result<(Summary, Vec<Record>), Reject> {
    let mut records = Vec::new();
    let session = SocketAddr::from(([192, 0, 2, 1], 9));
    let summary = Decoder::default().decode(session, 0, &message.encode(), &mut records)?;
    Ok((summary, records))
}

#[test]
fn a_record_is_read_and_its_uptimes_become_times() {
    let fields = [
        Field::iana(22, 4),
        Field::iana(21, 4),
        Field::iana(8, 4),
        Field::iana(7, 2),
        Field::iana(6, 1),
        Field::iana(1, 4),
        Field::iana(32, 2),
        Field::iana(38, 1),
        Field::iana(39, 1),
    ];
    let data = body(|body| {
        body.u32(98_000)
            .u32(99_000)
            .bytes(&[10, 0, 0, 1])
            .u16(80)
            .u8(0x12)
            .u32(1500)
            .u16(0x0301);
        body.u8(1).u8(2);
    });
    let (summary, records) = decode(message().template(256, &fields).set(256, &data)).expect("well-formed");
    let expected = Record {
        protocol: Protocol::NetFlow9,
        observation_domain: Some(3),
        export_ns: EXPORT_NS,
        start_ns: Some(EXPORT_NS - 2_000_000_000),
        end_ns: Some(EXPORT_NS - 1_000_000_000),
        src_addr: Some([10, 0, 0, 1].into()),
        src_port: Some(80),
        tcp_flags: Some(0x12),
        bytes: Some(1500),
        icmp_type: Some(3),
        icmp_code: Some(1),
        engine_type: Some(1),
        engine_id: Some(2),
        ..Record::default()
    };
    assert_eq!(records, [expected]);
    assert_eq!(
        (summary.sequence, summary.observation_domain, summary.records),
        (7, 3, 1)
    );
}

#[test]
fn the_count_of_the_header_does_not_bound_the_message() {
    for count in [0, 1, u16::MAX] {
        let message = NetFlow9::new(count, 0, 0, 0, 0).template(256, &[Field::iana(7, 2)]);
        let (summary, _) = decode(message.set(256, &[0, 1, 0, 2, 0, 3])).expect("well-formed");
        assert_eq!(summary.records, 3);
    }
}

#[test]
fn options_flowsets_are_counted_and_reserved_ones_skipped() {
    let message = message()
        .options_template(
            300,
            &[Field::iana(1, 4)],
            &[Field::iana(34, 4), Field::iana(35, 1)],
        )
        .set(300, &[0, 0, 0, 1, 0, 0, 0, 64, 1, 0, 0, 0])
        .set(2, &[1, 2])
        .set(255, &[]);
    let (summary, records) = decode(message).expect("well-formed");
    assert_eq!(
        (summary.options_records, summary.sets_skipped, records.len()),
        (1, 2, 0)
    );
}

#[test]
fn the_enterprise_bit_means_nothing_in_netflow_9() {
    // Two fields of 4 octets each, not one field with an enterprise number.
    let fields = [Field::iana(0x8001, 4), Field::iana(7, 2)];
    let message = message().template(256, &fields).set(256, &[9, 9, 9, 9, 0, 80]);
    let (_, records) = decode(message).expect("well-formed");
    assert_eq!(records[0].src_port, Some(80));
}

#[test]
fn a_name_of_fixed_width_loses_its_padding() {
    let message = message()
        .template(256, &[Field::iana(82, 8)])
        .set(256, b"eth0\0\0\0\0");
    let (_, records) = decode(message).expect("well-formed");
    assert_eq!(records[0].in_if_name, "eth0");
}

#[test]
fn a_template_without_fields_is_refused_without_ending_the_message() {
    let set = [1, 0, 0, 0, 1, 1, 0, 1, 0, 7, 0, 2];
    let (summary, records) = decode(message().set(0, &set).set(257, &[0, 80])).expect("well-formed");
    assert_eq!((summary.templates_refused, summary.templates_learned), (1, 1));
    assert_eq!(records[0].src_port, Some(80));
}

#[test]
fn netflow_9_and_ipfix_templates_of_one_session_are_kept_apart() {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    let session = SocketAddr::from(([192, 0, 2, 1], 9));
    let nine = message().template(256, &[Field::iana(7, 2)]).encode();
    let ten = wire::encode::Ipfix::new(0, 0, 3).set(256, &[0, 80]).encode();
    decoder
        .decode(session, 0, &nine, &mut records)
        .expect("well-formed");
    let summary = decoder
        .decode(session, 0, &ten, &mut records)
        .expect("well-formed");
    assert_eq!((summary.records, summary.sets_held), (0, 1));
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let scope_of_5_octets = message().set(1, &[1, 44, 0, 5, 0, 4, 0, 1, 0, 4, 0, 1, 0, 4]);
    assert_eq!(
        decode(scope_of_5_octets),
        Err(Reject::OptionsLength {
            offset: 24,
            scope: 5,
            options: 4
        })
    );
    let reserved = message().template(100, &[Field::iana(7, 2)]);
    assert_eq!(
        decode(reserved),
        Err(Reject::TemplateId {
            offset: 24,
            found: 100
        })
    );
    let mut session_decoder = Decoder::default();
    let mut cut = message().set(256, &[0, 1]).encode();
    cut.pop();
    let session = SocketAddr::from(([192, 0, 2, 1], 9));
    assert_eq!(
        session_decoder.decode(session, 0, &cut, &mut Vec::new()),
        Err(Reject::Truncated {
            offset: 24,
            expected: 2,
            found: 1
        })
    );
}
