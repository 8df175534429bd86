//! Data of Open vSwitch that comes before its templates is read at once; nobody
//! else's data is taken for it.

mod pcap;

use std::net::SocketAddr;

use proptest::prelude::*;
use wire::encode::{Body, Ipfix};
use wire::ovs::{Network, PEN_VMWARE, STATISTICS_TEMPLATE, TemplateKey, Transport};
use wire::{Decoder, Field, Limits, Record, Summary};

const EXPORT_S: u32 = 1_795_196_542;

fn session() -> SocketAddr {
    ([192, 0, 2, 1], 4739).into()
}

fn feed(decoder: &mut Decoder, message: &[u8]) -> (Summary, Vec<Record>) {
    let mut records = Vec::new();
    let summary = decoder.decode(session(), 0, message, &mut records);
    (summary.expect("a well-formed message"), records)
}

/// One data record of a template, each field with the value that `value` has for it.
fn data(fields: &[Field], value: impl Fn(&Field) -> u64) -> Vec<u8> {
    let mut body = Body::default();
    for field in fields {
        let octets = value(field).to_be_bytes();
        match field.width {
            Field::VARIABLE if field.id == 892 => body.variable(&octets[5..]),
            Field::VARIABLE if field.id == 83 => body.variable(b""),
            Field::VARIABLE => body.variable(b"veth0"),
            16 => body.bytes(&[0xfd; 16]),
            width => body.bytes(&octets[8 - usize::from(width)..]),
        };
    }
    body.into_bytes()
}

fn plausible(key: TemplateKey, field: &Field) -> u64 {
    let (ether_type, version) = match key.network {
        Network::Other => (0x0806, 0),
        Network::Ipv4 => (0x0800, 4),
        Network::Ipv6 => (0x86dd, 6),
    };
    match (field.enterprise, field.id) {
        (0, 61) => u64::from(key.egress),
        (0, 256) => ether_type,
        (0, 240) => 14 + 4 * u64::from(key.vlan),
        (0, 60) => version,
        (0, 4) => match (key.transport, key.network) {
            (Transport::Tcp, _) => 6,
            (Transport::Udp, _) => 17,
            (Transport::Sctp, _) => 132,
            (Transport::Icmp, Network::Ipv6) => 58,
            (Transport::Icmp, _) => 1,
            (Transport::Other, _) => 47,
        },
        (0, 158) => 9_000_000,
        (0, 159) => 1_000_000,
        (0, 136) => 2,
        (0, 133 | 132) => 0,
        (0, 58 | 243) => 100,
        (PEN_VMWARE, 895) => 17,
        _ => 7,
    }
}

fn message(id: u16, content: &[u8]) -> Ipfix {
    Ipfix::new(EXPORT_S, 1, 0).set(id, content)
}

#[test]
fn a_capture_without_its_templates_gives_the_same_records() {
    decodes_alike_without_templates(&pcap::ipfix(), 836, 1, 0);
}

#[test]
fn every_kind_of_packet_is_read_without_its_template_and_with_a_virtual_observation_id() {
    let kinds: Vec<_> = pcap::packet_kinds()
        .into_iter()
        .filter(|datagram| datagram.port == 4739)
        .collect();
    decodes_alike_without_templates(&kinds, 286, 1, 44);
}

fn decodes_alike_without_templates(
    datagrams: &[pcap::Datagram],
    records: usize,
    statistics: usize,
    of_another_form: usize,
) {
    let data: Vec<_> = datagrams
        .iter()
        .filter(|datagram| datagram.payload[16] != 0)
        .collect();
    let decode = |datagrams: &[&pcap::Datagram]| {
        let mut decoder = Decoder::default();
        let (mut records, mut assumed, mut options) = (Vec::new(), 0, 0);
        for datagram in datagrams {
            let summary = decoder
                .decode(session(), 0, &datagram.payload, &mut records)
                .expect("OVS is well-formed");
            assumed += summary.templates_assumed;
            options += summary.options_records;
            assert_eq!(summary.sets_held, 0);
        }
        (records, assumed, options)
    };
    // In the second capture the virtual observation id was set after the templates.
    let (warm, assumed, _) = decode(&datagrams.iter().collect::<Vec<_>>());
    assert_eq!((warm.len(), assumed), (records, of_another_form));
    let (cold, assumed, options) = decode(&data);
    assert!(cold == warm, "the records differ");
    assert_eq!((assumed, options), (records + statistics, statistics));
}

#[test]
fn every_template_is_known_with_and_without_a_virtual_observation_id() {
    for key in TemplateKey::all() {
        for virtual_obs_id in [false, true] {
            let fields = key.fields(virtual_obs_id);
            let data = data(&fields, |field| plausible(key, field));
            let cold = feed(&mut Decoder::default(), &message(key.id(), &data).encode());
            let taught = Ipfix::new(EXPORT_S, 1, 0)
                .template(key.id(), &fields)
                .set(key.id(), &data);
            let (_, warm) = feed(&mut Decoder::default(), &taught.encode());
            assert_eq!((cold.0.templates_assumed, warm.len()), (1, 1), "{key:?}");
            assert_eq!(cold.1, warm, "{key:?}");
            assert_eq!(cold.1[0].virtual_obs_id.is_empty(), !virtual_obs_id);
        }
    }
}

fn tcp() -> TemplateKey {
    TemplateKey::of_id(280).expect("IPv4, TCP, ingress")
}

/// What becomes of a record of template 280 with one value changed.
fn with(element: u16, value: u64) -> Summary {
    let data = data(&tcp().fields(false), |field| {
        if field.id == element {
            value
        } else {
            plausible(tcp(), field)
        }
    });
    feed(&mut Decoder::default(), &message(280, &data).encode()).0
}

#[test]
fn a_record_that_contradicts_its_id_or_itself_waits_for_its_template() {
    assert_eq!((with(7, 80).templates_assumed, with(7, 80).sets_held), (1, 0));
    let contradictions = [
        (61, 1),
        (61, 2),
        (256, 0x86dd),
        (240, 18),
        (60, 6),
        (4, 17),
        (2, 0),
        (133, 8),
        (352, 0),
        (158, 1),
        (136, 0),
        (136, 6),
        (25, 8),
    ];
    for (element, value) in contradictions {
        let summary = with(element, value);
        assert_eq!(
            (summary.templates_assumed, summary.sets_held),
            (0, 1),
            "{element}"
        );
    }
}

#[test]
fn padding_a_second_record_or_a_second_set_is_not_what_ovs_sends() {
    let one = data(&tcp().fields(false), |field| plausible(tcp(), field));
    let padded = [one.clone(), vec![0; 3]].concat();
    let two = [one.clone(), one.clone()].concat();
    for content in [&padded, &two, &one[..one.len() - 1].to_vec()] {
        let (summary, records) = feed(&mut Decoder::default(), &message(280, content).encode());
        assert_eq!(
            (summary.templates_assumed, summary.sets_held, records),
            (0, 1, vec![])
        );
    }
    let (summary, _) = feed(
        &mut Decoder::default(),
        &message(280, &one).set(280, &one).encode(),
    );
    assert_eq!((summary.templates_assumed, summary.sets_held), (0, 2));
}

#[test]
fn the_exporters_own_template_replaces_the_assumed_one() {
    let mut decoder = Decoder::default();
    let one = data(&tcp().fields(false), |field| plausible(tcp(), field));
    assert_eq!(
        feed(&mut decoder, &message(280, &one).encode())
            .0
            .templates_assumed,
        1
    );
    let own = Ipfix::new(EXPORT_S, 1, 0).template(280, &[Field::iana(7, 2)]);
    feed(&mut decoder, &own.encode());
    let (summary, records) = feed(&mut decoder, &message(280, &one).encode());
    let all = (summary.templates_assumed, summary.data_records);
    assert_eq!((all, records.is_empty()), ((0, one.len() / 2), false));
}

#[test]
fn nothing_is_assumed_where_it_is_turned_off() {
    let mut decoder = Decoder::new(Limits {
        assume_ovs: false,
        ..Limits::default()
    });
    let one = data(&tcp().fields(false), |field| plausible(tcp(), field));
    let (summary, records) = feed(&mut decoder, &message(280, &one).encode());
    assert_eq!(
        (summary.templates_assumed, summary.sets_held, records.len()),
        (0, 1, 0)
    );
}

#[test]
fn statistics_of_the_exporter_are_known_in_their_domain_and_size() {
    let (summary, _) = feed(
        &mut Decoder::default(),
        &message(STATISTICS_TEMPLATE, &[0; 12]).encode(),
    );
    assert_eq!((summary.templates_assumed, summary.options_records), (1, 1));
    let elsewhere = Ipfix::new(EXPORT_S, 1, 5)
        .set(STATISTICS_TEMPLATE, &[0; 12])
        .encode();
    assert_eq!(feed(&mut Decoder::default(), &elsewhere).0.sets_held, 1);
    let longer = message(STATISTICS_TEMPLATE, &[0; 13]).encode();
    assert_eq!(feed(&mut Decoder::default(), &longer).0.sets_held, 1);
}

/// A router's record: what most exporters send, of any length, under one of OVS's ids.
/// Statistics under a template of strings: the first record reads, the second one has
/// more octets than there are.
#[test]
fn statistics_that_contradict_the_exporters_own_template_are_assumed_once() {
    let domain_0 = || Ipfix::new(1_000, 0, 0);
    let strings = domain_0().options_template(STATISTICS_TEMPLATE, 1, &[Field::iana(82, Field::VARIABLE)]);
    let flows = domain_0().template(STATISTICS_TEMPLATE, &[Field::iana(82, Field::VARIABLE)]);
    for teach in [strings, flows] {
        for data in [
            [200, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
            [1, 7, 0, 1, 0, 0, 0, 0, 0, 0, 200, 9],
        ] {
            let mut decoder = Decoder::default();
            feed(&mut decoder, &teach.clone().encode());
            let (summary, records) = feed(&mut decoder, &domain_0().set(STATISTICS_TEMPLATE, &data).encode());
            assert_eq!(records, []);
            let counts = (
                summary.templates_assumed,
                summary.options_records,
                summary.data_records,
            );
            assert_eq!(counts, (1, 1, 1), "{data:?}");
            assert_eq!((summary.records, summary.options.len()), (0, 1));
        }
    }
}

fn foreign() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let records = prop::collection::vec(
        (any::<[u8; 4]>(), any::<u64>(), any::<u32>(), any::<[u8; 7]>()),
        1..24,
    );
    (256_u16..376, records).prop_map(|(id, rows)| {
        let mut body = Body::default();
        for (address, count, number, rest) in rows {
            body.bytes(&address)
                .u64(count & 0xffff)
                .u32(number)
                .bytes(&rest)
                .u64(0)
                .u16(6);
        }
        (id, body.into_bytes())
    })
}

proptest! {
    #[test]
    fn foreign_data_under_the_ids_of_ovs_is_never_taken_for_its_own((id, content) in foreign()) {
        let (summary, records) = feed(&mut Decoder::default(), &message(id, &content).encode());
        prop_assert_eq!((summary.templates_assumed, summary.sets_held, records), (0, 1, vec![]));
    }
}
