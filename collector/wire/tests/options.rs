//! What exporters say about themselves in options data, and the parts of records that
//! are stepped over.

mod input;
mod pcap;

use std::net::SocketAddr;

use input::body;
use wire::encode::{Ipfix, NetFlow9};
use wire::{
    Decoder, ElementType, Field, InterfaceName, Limits, Options, Record, Reject, Sampling, Statistics,
    Summary,
};

const SRC_PORT: Field = Field::iana(7, 2);

fn session() -> SocketAddr {
    ([192, 0, 2, 1], 4739).into()
}

fn message() -> Ipfix {
    Ipfix::new(1_795_196_542, 1, 3)
}

fn decode(message: &[u8]) -> (Summary, Vec<Record>) {
    let mut records = Vec::new();
    let summary = Decoder::default().decode(session(), 0, message, &mut records);
    (summary.expect("a well-formed message"), records)
}

/// What one record of an IPFIX options template says.
fn said(scope: u16, fields: &[Field], data: &[u8]) -> Vec<Options> {
    let message = message().options_template(400, scope, fields).set(400, data);
    let (summary, records) = decode(&message.encode());
    assert_eq!((summary.options_records, records.len()), (1, 0));
    summary.options.into_iter().map(|record| record.content).collect()
}

fn fields(ids: &[(u16, u16)]) -> Vec<Field> {
    ids.iter().map(|&(id, width)| Field::iana(id, width)).collect()
}

#[test]
fn a_selector_has_its_interval_and_space() {
    let data = body(|body| {
        body.u64(9).u16(1).u32(1).u32(99);
    });
    let found = said(1, &fields(&[(302, 8), (304, 2), (305, 4), (306, 4)]), &data);
    let expected = Sampling {
        selector: Some(9),
        interface: None,
        algorithm: Some(1),
        taken: 1,
        out_of: 100,
    };
    assert_eq!((found, expected.rate()), (vec![Options::Sampling(expected)], 100));
}

#[test]
fn a_sampler_may_be_told_by_size_and_population_or_by_its_interval_alone() {
    let data = body(|body| {
        body.u32(3).u32(2).u32(1001);
    });
    let found = said(1, &fields(&[(302, 4), (309, 4), (310, 4)]), &data);
    let [Options::Sampling(sampling)] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((sampling.selector, sampling.rate()), (Some(3), 501));
    let data = body(|body| {
        body.u32(7).u32(64).u8(2);
    });
    let found = said(1, &fields(&[(10, 4), (34, 4), (35, 1)]), &data);
    let [Options::Sampling(sampling)] = found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (sampling.interface, sampling.rate(), sampling.algorithm),
        (Some(7), 64, Some(2))
    );
}

#[test]
fn sampling_that_cannot_be_says_nothing() {
    let data = body(|body| {
        body.u32(1).u32(0);
    });
    assert_eq!(said(1, &fields(&[(302, 4), (34, 4)]), &data), []);
    let data = body(|body| {
        body.u32(1).u32(5).u32(4);
    });
    assert_eq!(said(1, &fields(&[(302, 4), (309, 4), (310, 4)]), &data), []);
}

#[test]
fn a_record_names_the_sampler_that_took_its_packets() {
    let data = body(|body| {
        body.u16(80).u64(9);
    });
    let message = message()
        .template(256, &fields(&[(7, 2), (302, 8)]))
        .set(256, &data);
    assert_eq!(decode(&message.encode()).1[0].selector, Some(9));
}

#[test]
fn the_samplers_of_netflow_9_have_scopes_of_their_own() {
    let scope = [Field::iana(2, 4)];
    let options = fields(&[(48, 1), (49, 1), (50, 4)]);
    let data = body(|body| {
        body.u32(12).u8(5).u8(2).u32(1000);
    });
    let message = NetFlow9::new(2, 0, 0, 0, 3)
        .options_template(300, &scope, &options)
        .set(300, &data);
    let (summary, _) = decode(&message.encode());
    let expected = Options::Sampling(Sampling {
        selector: Some(5),
        interface: Some(12),
        algorithm: Some(2),
        taken: 1,
        out_of: 1000,
    });
    assert_eq!(summary.options[0].content, expected);
    assert_eq!(summary.options[0].observation_domain, 3);
}

#[test]
fn the_statistics_of_ovs_are_read_from_its_capture() {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for datagram in pcap::ipfix() {
        let summary = decoder.decode(session(), 0, &datagram.payload, &mut Vec::new());
        found.extend(summary.expect("OVS is well-formed").options);
    }
    assert_eq!(found.len(), 1);
    let Options::Statistics(Statistics {
        exporting_process: Some(_),
        not_sent_packets: 0,
    }) = found[0].content
    else {
        panic!("{found:?}");
    };
}

#[test]
fn the_type_of_an_element_is_read() {
    let data = body(|body| {
        body.u32(6876).u16(898).u8(13).variable(b"virtualObsID");
    });
    let found = said(2, &fields(&[(346, 4), (303, 2), (339, 1), (341, 65535)]), &data);
    let expected = ElementType {
        enterprise: 6876,
        id: 898,
        data_type: Some(13),
        name: "virtualObsID".into(),
    };
    assert_eq!(found, [Options::Element(expected)]);
}

#[test]
fn the_name_of_an_interface_is_read_with_an_empty_description_too() {
    let ids = [(10, 4), (142, 4), (82, Field::VARIABLE), (83, Field::VARIABLE)];
    for description in ["shop/web-1", ""] {
        let data = body(|body| {
            let name = body.u32(12).u32(3).variable(b"veth0");
            name.variable(description.as_bytes());
        });
        let expected = InterfaceName {
            interface: 12,
            port: Some(3),
            name: "veth0".into(),
            description: description.into(),
        };
        assert_eq!(said(1, &fields(&ids), &data), [Options::Interface(expected)]);
    }
}

#[test]
fn options_that_we_do_not_know_are_counted_and_say_nothing() {
    assert_eq!(said(1, &fields(&[(149, 4), (41, 8)]), &[0; 12]), []);
}

#[test]
fn options_count_against_the_records_of_a_datagram() {
    let mut decoder = Decoder::new(Limits {
        records_per_datagram: 3,
        ..Limits::default()
    });
    let message = message().options_template(400, 1, &fields(&[(34, 1)]));
    let mut feed = |message: Ipfix| decoder.decode(session(), 0, &message.encode(), &mut Vec::new());
    let summary = feed(message.clone().set(400, &[8; 3])).expect("three records");
    assert_eq!(summary.options.len(), 3);
    let summary = feed(message.set(400, &[8; 4])).expect("its template");
    assert_eq!(
        (summary.options.len(), summary.set_fault),
        (0, Some(Reject::Records { limit: 3 }))
    );
}

#[test]
fn lists_are_stepped_over_and_counted() {
    for list in 291..=293 {
        let template = [Field::iana(list, Field::VARIABLE), SRC_PORT];
        let data = body(|body| {
            body.variable(&[0xff, 0, 7, 0, 2, 0, 22])
                .u16(80)
                .variable(&[])
                .u16(81);
        });
        let (summary, records) = decode(&message().template(256, &template).set(256, &data).encode());
        assert_eq!((summary.biflow_records, summary.structured_records), (0, 2));
        assert_eq!((records[0].src_port, records[1].src_port), (Some(80), Some(81)));
    }
}
