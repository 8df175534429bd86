//! RFC 7011 as a receiver, case by case, on messages made by hand.

mod input;

use std::net::SocketAddr;

use input::body;
use wire::encode::Ipfix;
use wire::ovs::PEN_VMWARE;
use wire::{Decoder, Direction, Field, Record, Reject, Summary};

const NOW_MS: u64 = 1_795_196_543_000;
const EXPORT_S: u32 = 1_795_196_542;
const EXPORT_NS: u64 = 1_795_196_542_000_000_000;

const SRC_PORT: Field = Field::iana(7, 2);
const OCTETS: Field = Field::iana(1, 8);

fn session(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn message() -> Ipfix {
    Ipfix::new(EXPORT_S, 7, 1)
}

/// Decodes messages of one session in order.
fn decode_all(messages: &[Vec<u8>]) -> (Vec<Result<Summary, Reject>>, Vec<Record>) {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    let results = messages
        .iter()
        .map(|message| decoder.decode(session(1), NOW_MS, message, &mut records))
        .collect();
    (results, records)
}

fn decode(message: Ipfix) -> (Summary, Vec<Record>) {
    let (mut results, records) = decode_all(&[message.encode()]);
    (results.remove(0).expect("a well-formed message"), records)
}

fn reject(message: Vec<u8>) -> Reject {
    let (mut results, records) = decode_all(&[message]);
    assert_eq!(records, []);
    results.remove(0).expect_err("a malformed message")
}

fn ports(records: &[Record]) -> Vec<u16> {
    records.iter().filter_map(|record| record.src_port).collect()
}

#[test]
fn a_record_carries_the_header_of_its_message() {
    let data = body(|body| {
        body.u16(80);
    });
    let (summary, records) = decode(message().template(256, &[SRC_PORT]).set(256, &data));
    assert_eq!(
        (summary.sequence, summary.observation_domain, summary.export_ns),
        (7, 1, EXPORT_NS)
    );
    assert_eq!((summary.records, summary.templates_learned), (1, 1));
    assert_eq!(
        (records[0].observation_domain, records[0].export_ns),
        (Some(1), EXPORT_NS)
    );
    assert_eq!(records[0].src_port, Some(80));
}

#[test]
fn padding_shorter_than_a_record_is_skipped_whatever_it_contains() {
    let data = body(|body| {
        body.u16(80).u64(5).bytes(&[0; 9]);
    });
    let (_, records) = decode(message().template(256, &[SRC_PORT, OCTETS]).set(256, &data));
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].src_port, records[0].bytes), (Some(80), Some(5)));
}

#[test]
fn both_variable_length_forms_are_read_for_every_length() {
    let fields = [Field::iana(82, Field::VARIABLE), SRC_PORT];
    let long = "x".repeat(300);
    let data = body(|body| {
        body.variable(b"veth1")
            .u16(1)
            .variable(b"")
            .u16(2)
            .variable(long.as_bytes())
            .u16(3);
        body.variable_long(b"veth4").u16(4).variable_long(b"").u16(5);
    });
    let (_, records) = decode(message().template(256, &fields).set(256, &data));
    assert_eq!(ports(&records), [1, 2, 3, 4, 5]);
    let names: Vec<&str> = records.iter().map(|record| record.in_if_name.as_str()).collect();
    // A name stays within its bound; what follows it is read where it is.
    let kept = &long[..wire::Text::MAX_BYTES];
    assert_eq!(names, ["veth1", "", kept, "veth4", ""]);
}

#[test]
fn a_record_of_empty_variable_fields_alone_is_a_record() {
    let fields = [Field::iana(82, Field::VARIABLE), Field::iana(83, Field::VARIABLE)];
    let (summary, _) = decode(message().template(256, &fields).set(256, &[0, 0, 0, 0]));
    assert_eq!(summary.records, 2);
}

#[test]
fn integers_of_reduced_size_keep_their_value() {
    for width in 1..=8 {
        let data = &[0, 0, 0, 0, 0, 0, 0, 9][8 - usize::from(width)..];
        let (_, records) = decode(message().template(256, &[Field::iana(1, width)]).set(256, data));
        assert_eq!(records[0].bytes, Some(9), "width {width}");
    }
    let (_, records) = decode(message().template(256, &[Field::iana(1, 3)]).set(256, &[1, 2, 3]));
    assert_eq!(records[0].bytes, Some(0x010203));
}

#[test]
fn a_value_too_large_or_of_an_impossible_width_is_left_out_of_its_record() {
    let fields = [
        Field::iana(7, 4),
        Field::iana(8, 5),
        Field::iana(56, 2),
        Field::iana(2, 9),
        OCTETS,
    ];
    let data = body(|body| {
        body.u32(65_536).bytes(&[1; 5]).u16(1).bytes(&[1; 9]).u64(77);
    });
    let (_, records) = decode(message().template(256, &fields).set(256, &data));
    let record = &records[0];
    assert_eq!(
        (record.src_port, record.src_addr, record.src_mac, record.packets),
        (None, None, None, None)
    );
    assert_eq!(record.bytes, Some(77));
}

#[test]
fn the_second_interface_name_is_that_of_the_egress_interface() {
    let name = Field::iana(82, Field::VARIABLE);
    let description = Field::iana(83, Field::VARIABLE);
    let fields = [
        Field::iana(10, 4),
        name,
        description,
        Field::iana(14, 4),
        name,
        description,
        Field::iana(61, 1),
    ];
    let data = body(|body| {
        body.u32(3)
            .variable(b"in")
            .variable(b"")
            .u32(4)
            .variable(b"out")
            .variable(b"DPDK")
            .u8(1);
    });
    let (_, records) = decode(message().template(256, &fields).set(256, &data));
    let record = &records[0];
    assert_eq!((record.in_if, record.out_if), (Some(3), Some(4)));
    assert_eq!(
        (record.in_if_name.as_str(), record.in_if_description.as_str()),
        ("in", "")
    );
    assert_eq!(
        (record.out_if_name.as_str(), record.out_if_description.as_str()),
        ("out", "DPDK")
    );
    assert_eq!(record.direction, Some(Direction::Egress));
}

#[test]
fn of_other_repeated_elements_the_first_counts() {
    let fields = [SRC_PORT, SRC_PORT, SRC_PORT];
    let (_, records) = decode(message().template(256, &fields).set(256, &[0, 1, 0, 2, 0, 3]));
    assert_eq!(ports(&records), [1]);
}

#[test]
fn the_tunnel_elements_of_ovs_are_read_and_foreign_ones_are_stepped_over() {
    let vmware = |id, width| Field::vendor(PEN_VMWARE, id, width);
    let fields = [
        vmware(893, 4),
        vmware(894, 4),
        vmware(895, 1),
        vmware(896, 2),
        vmware(897, 2),
        vmware(891, 1),
        vmware(892, Field::VARIABLE),
        vmware(898, Field::VARIABLE),
        // Element 7 of another enterprise is no port.
        Field::vendor(9, 7, 2),
        Field::vendor(9, 8, Field::VARIABLE),
        vmware(1, 3),
        SRC_PORT,
    ];
    let data = body(|body| {
        body.bytes(&[10, 0, 0, 1])
            .bytes(&[10, 0, 0, 2])
            .u8(17)
            .u16(54321)
            .u16(6081)
            .u8(7);
        body.variable(&[0x01, 0x02, 0x03]).variable(b"node-a");
        body.u16(1).variable(b"anything").bytes(&[1, 2, 3]).u16(80);
    });
    let (_, records) = decode(message().template(256, &fields).set(256, &data));
    let expected = Record {
        observation_domain: Some(1),
        export_ns: EXPORT_NS,
        tunnel_src: Some([10, 0, 0, 1].into()),
        tunnel_dst: Some([10, 0, 0, 2].into()),
        tunnel_protocol: Some(17),
        tunnel_src_port: Some(54321),
        tunnel_dst_port: Some(6081),
        tunnel_type: Some(7),
        tunnel_key: Some(0x010203),
        virtual_obs_id: "node-a".into(),
        src_port: Some(80),
        ..Record::default()
    };
    assert_eq!(records, [expected]);
}

#[test]
fn every_form_of_time_is_the_same_moment() {
    let moment_s = u64::from(EXPORT_S) - 1;
    let ntp = (moment_s + 2_208_988_800) << 32;
    let cases: [(&[Field], Vec<u8>); 6] = [
        (
            &[Field::iana(150, 4)],
            body(|body| {
                body.u32(EXPORT_S - 1);
            }),
        ),
        (
            &[Field::iana(152, 8)],
            body(|body| {
                body.u64(moment_s * 1000);
            }),
        ),
        (
            &[Field::iana(154, 8)],
            body(|body| {
                body.u64(ntp);
            }),
        ),
        (
            &[Field::iana(156, 8)],
            body(|body| {
                body.u64(ntp);
            }),
        ),
        (
            &[Field::iana(158, 4)],
            body(|body| {
                body.u32(1_000_000);
            }),
        ),
        (
            &[Field::iana(22, 4), Field::iana(160, 8)],
            body(|body| {
                body.u32(5_000).u64(moment_s * 1000 - 5_000);
            }),
        ),
    ];
    for (fields, data) in cases {
        let (_, records) = decode(message().template(256, fields).set(256, &data));
        assert_eq!(records[0].start_ns, Some(EXPORT_NS - 1_000_000_000), "{fields:?}");
        assert_eq!(records[0].end_ns, None, "{fields:?}");
    }
}

#[test]
fn uptime_without_the_time_of_start_says_nothing() {
    let (_, records) = decode(
        message()
            .template(256, &[Field::iana(22, 4)])
            .set(256, &[0, 0, 1, 0]),
    );
    assert_eq!(records[0].start_ns, None);
}

#[test]
fn totals_count_only_where_there_are_no_deltas() {
    let both = [
        Field::iana(85, 8),
        Field::iana(1, 8),
        Field::iana(2, 8),
        Field::iana(86, 8),
    ];
    let data = body(|body| {
        body.u64(900).u64(10).u64(1).u64(90);
    });
    let (_, records) = decode(message().template(256, &both).set(256, &data));
    assert_eq!(
        (records[0].bytes, records[0].packets, records[0].totals),
        (Some(10), Some(1), false)
    );

    let totals = [Field::iana(85, 8), Field::iana(86, 8)];
    let data = body(|body| {
        body.u64(900).u64(90);
    });
    let (_, records) = decode(message().template(256, &totals).set(256, &data));
    assert_eq!(
        (records[0].bytes, records[0].packets, records[0].totals),
        (Some(900), Some(90), true)
    );
}

#[test]
fn sampling_is_read_from_an_interval_or_from_interval_and_space() {
    let (_, records) = decode(
        message()
            .template(256, &[Field::iana(34, 4)])
            .set(256, &[0, 0, 0, 64]),
    );
    assert_eq!(records[0].sampling, Some(64));
    let data = body(|body| {
        body.u32(1).u32(99);
    });
    let fields = [Field::iana(305, 4), Field::iana(306, 4)];
    let (_, records) = decode(message().template(256, &fields).set(256, &data));
    assert_eq!(records[0].sampling, Some(100));
    let (_, records) = decode(message().template(256, &[Field::iana(34, 4)]).set(256, &[0; 4]));
    assert_eq!(records[0].sampling, None);
}

#[test]
fn of_an_ipv4_and_an_ipv6_address_the_one_that_is_not_zero_counts() {
    let fields = [Field::iana(8, 4), Field::iana(27, 16)];
    let v4 = body(|body| {
        body.bytes(&[10, 0, 0, 1]).bytes(&[0; 16]);
    });
    let v6 = body(|body| {
        body.bytes(&[0; 4]).bytes(&[1; 16]);
    });
    let (_, records) = decode(message().template(256, &fields).set(256, &v4).set(256, &v6));
    assert_eq!(records[0].src_addr, Some([10, 0, 0, 1].into()));
    assert_eq!(records[1].src_addr, Some([1; 16].into()));
}

#[test]
fn options_data_is_counted_and_gives_no_record() {
    let fields = [
        Field::iana(144, 4),
        Field::iana(167, 8),
        Field::iana(1, 8),
        Field::iana(82, 65535),
    ];
    let data = body(|body| {
        body.u32(2)
            .u64(0)
            .u64(1)
            .variable(b"a")
            .u32(3)
            .u64(0)
            .u64(1)
            .variable(b"");
    });
    let (summary, records) = decode(message().options_template(462, 1, &fields).set(462, &data));
    assert_eq!(
        (summary.options_records, summary.templates_learned, records.len()),
        (2, 1, 0)
    );
}

#[test]
fn a_withdrawal_over_udp_is_ignored() {
    let mut messages = vec![message().template(256, &[SRC_PORT]).encode()];
    messages.push(
        message()
            .set(2, &[1, 0, 0, 0])
            .set(2, &[0, 2, 0, 0])
            .set(3, &[0, 3, 0, 0])
            .encode(),
    );
    messages.push(message().set(256, &[0, 80]).encode());
    let (results, records) = decode_all(&messages);
    assert_eq!(
        results[1].as_ref().map(|summary| summary.withdrawals_ignored),
        Ok(3)
    );
    assert_eq!(ports(&records), [80]);
}

#[test]
fn a_new_definition_replaces_the_old_one_and_the_same_one_is_a_refresh() {
    let messages = [
        message().template(256, &[SRC_PORT]).encode(),
        message().template(256, &[SRC_PORT]).set(256, &[0, 1]).encode(),
        message()
            .set(256, &[0, 2])
            .template(256, &[OCTETS])
            .set(256, &[0, 0, 0, 0, 0, 0, 0, 3])
            .encode(),
    ];
    let (results, records) = decode_all(&messages);
    let counts: Vec<_> = results
        .iter()
        .flatten()
        .map(|summary| (summary.templates_learned, summary.templates_refreshed))
        .collect();
    assert_eq!(counts, [(1, 0), (0, 1), (1, 0)]);
    assert_eq!(ports(&records), [1, 2]);
    assert_eq!(records[2].bytes, Some(3));
}

#[test]
fn templates_belong_to_their_session_and_their_domain() {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    let mut decode = |session: SocketAddr, message: Ipfix| {
        decoder
            .decode(session, NOW_MS, &message.encode(), &mut records)
            .expect("well-formed")
    };
    let session = |host| SocketAddr::from(([192, 0, 2, host], 4739));
    decode(session(1), message().template(256, &[SRC_PORT]));
    assert_eq!(decode(session(2), message().set(256, &[0, 1])).sets_held, 1);
    assert_eq!(
        decode(session(1), Ipfix::new(EXPORT_S, 0, 2).set(256, &[0, 2])).sets_held,
        1
    );
    assert_eq!(decode(session(1), message().set(256, &[0, 3])).records, 1);
    assert_eq!(
        decode(session(2), message().template(256, &[SRC_PORT])).released_records,
        1
    );
    assert_eq!(ports(&records), [3, 1]);
}

#[test]
fn several_templates_in_one_set_are_all_learned() {
    let set = body(|body| {
        body.u16(256)
            .u16(1)
            .u16(7)
            .u16(2)
            .u16(257)
            .u16(1)
            .u16(11)
            .u16(2)
            .u16(0);
    });
    let (summary, records) = decode(message().set(2, &set).set(257, &[0, 53]).set(256, &[0, 80]));
    assert_eq!(summary.templates_learned, 2);
    assert_eq!((records[0].dst_port, records[1].src_port), (Some(53), Some(80)));
}

#[test]
fn zeros_after_the_templates_of_a_set_are_padding() {
    let set = body(|body| {
        body.u16(256).u16(1).u16(7).u16(2).bytes(&[0; 7]);
    });
    let (summary, _) = decode(message().set(2, &set));
    assert_eq!((summary.templates_learned, summary.withdrawals_ignored), (1, 0));
}

#[test]
fn sets_with_reserved_ids_are_skipped() {
    let reserved = message().set(0, &[1]).set(1, &[1, 2]).set(4, &[1]).set(255, &[]);
    let (summary, records) = decode(reserved.template(256, &[SRC_PORT]).set(256, &[0, 80]));
    assert_eq!(summary.sets_skipped, 4);
    assert_eq!(ports(&records), [80]);
}

#[test]
fn a_template_without_octets_is_refused_and_its_data_does_not_loop() {
    let empty = [Field::iana(7, 0), Field::iana(1, 0)];
    let (summary, records) = decode(message().template(256, &empty).set(256, &[0; 64]));
    assert_eq!(
        (summary.templates_refused, summary.sets_held, records.len()),
        (1, 1, 0)
    );
}

#[test]
fn a_field_of_width_zero_beside_others_has_no_value() {
    let fields = [Field::iana(11, 0), SRC_PORT];
    let (_, records) = decode(message().template(256, &fields).set(256, &[0, 80, 0, 81]));
    assert_eq!(ports(&records), [80, 81]);
    assert_eq!(records[0].dst_port, None);
}

#[test]
fn a_message_of_65535_octets_is_read_to_its_end() {
    // Header 16, template set 12, set header 4: 65,503 octets, 8,187 records and 7 of padding.
    let mut data = Vec::new();
    for number in 0..8_187u64 {
        data.extend(number.to_be_bytes());
    }
    data.extend([0; 7]);
    let message = message().template(256, &[OCTETS]).set(256, &data);
    assert_eq!(message.clone().encode().len(), 65_535);
    let (summary, records) = decode(message);
    assert_eq!(summary.records, 8_187);
    assert_eq!(records[8_186].bytes, Some(8_186));
}

#[test]
fn data_before_its_template_comes_out_with_it_and_keeps_its_own_time() {
    let early = Ipfix::new(EXPORT_S - 100, 0, 1)
        .set(256, &[0, 0, 0, 5])
        .set(256, &[0, 0, 0, 6]);
    let late = message()
        .template(256, &[Field::iana(158, 4)])
        .set(256, &[0, 0, 0, 7]);
    let (results, records) = decode_all(&[early.encode(), late.encode()]);
    assert_eq!(
        results[0]
            .as_ref()
            .map(|summary| (summary.records, summary.sets_held)),
        Ok((0, 2))
    );
    assert_eq!(
        results[1]
            .as_ref()
            .map(|summary| (summary.records, summary.released_records)),
        Ok((3, 2))
    );
    let starts: Vec<_> = records.iter().filter_map(|record| record.start_ns).collect();
    let early_ns = EXPORT_NS - 100_000_000_000;
    assert_eq!(starts, [EXPORT_NS - 7_000, early_ns - 5_000, early_ns - 6_000]);
    assert_eq!(records[1].export_ns, early_ns);
}

#[test]
fn data_before_its_template_in_one_message_is_decoded_at_once() {
    let (summary, records) = decode(message().set(256, &[0, 80]).template(256, &[SRC_PORT]));
    assert_eq!(
        (summary.records, summary.released_records, summary.sets_held),
        (1, 0, 0)
    );
    assert_eq!(ports(&records), [80]);
}

#[test]
fn held_data_that_does_not_match_its_template_is_dropped_and_harms_nothing() {
    let early = message().set(256, &[200, 1, 2]).set(256, &[1, b'x']);
    let late = message().template(256, &[Field::iana(82, Field::VARIABLE)]);
    let (results, records) = decode_all(&[early.encode(), late.encode()]);
    assert_eq!(
        results[1]
            .as_ref()
            .map(|summary| (summary.records, summary.sets_dropped)),
        Ok((1, 1))
    );
    assert_eq!(records[0].in_if_name, "x");
}

#[test]
fn a_header_cut_short_is_refused() {
    let header = [0, 10, 0, 9, 1, 2, 3, 4, 5];
    assert_eq!(
        reject(header.to_vec()),
        Reject::Truncated {
            offset: 8,
            expected: 4,
            found: 1
        }
    );
}

#[test]
fn a_set_that_is_shorter_than_its_header_or_longer_than_its_message_is_refused() {
    let mut message = message().set(256, &[0, 1]).encode();
    message[18..20].copy_from_slice(&[0, 3]);
    assert_eq!(
        reject(message.clone()),
        Reject::SetLength { offset: 16, found: 3 }
    );
    message[18..20].copy_from_slice(&[0, 7]);
    assert_eq!(
        reject(message),
        Reject::Truncated {
            offset: 20,
            expected: 3,
            found: 2
        }
    );
}

#[test]
fn a_template_cut_short_or_with_a_reserved_id_is_refused() {
    let two_fields_one_there = message().set(2, &[1, 0, 0, 2, 0, 7, 0, 2]).encode();
    assert_eq!(
        reject(two_fields_one_there),
        Reject::Truncated {
            offset: 28,
            expected: 2,
            found: 0
        }
    );
    let reserved = message().template(255, &[SRC_PORT]).encode();
    assert_eq!(
        reject(reserved),
        Reject::TemplateId {
            offset: 20,
            found: 255
        }
    );
}

#[test]
fn an_options_template_needs_a_scope_and_not_more_of_it_than_fields() {
    let none = message().options_template(256, 0, &[OCTETS]).encode();
    assert_eq!(
        reject(none),
        Reject::Scope {
            offset: 20,
            found: 0,
            expected: 1
        }
    );
    let more = message().options_template(256, 2, &[OCTETS]).encode();
    assert_eq!(
        reject(more),
        Reject::Scope {
            offset: 20,
            found: 2,
            expected: 1
        }
    );
}
