//! Messages that are not quite what they should be: what is wrong is left out and
//! counted, and takes nothing along that is right.

use std::net::SocketAddr;

use wire::encode::{Ipfix, NetFlow9};
use wire::{Decoder, Field, FurtherMessage, Record, Reject, Summary};

const SRC_PORT: Field = Field::iana(7, 2);
const OCTETS: Field = Field::iana(1, 2);

fn session() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4739))
}

fn message() -> Ipfix {
    Ipfix::new(1_700_000_000, 7, 1)
}

fn feed(decoder: &mut Decoder, datagram: &[u8]) -> Result<(Summary, Vec<Record>), Reject> {
    let mut records = Vec::new();
    let summary = decoder.decode(session(), 0, datagram, &mut records)?;
    Ok((summary, records))
}

fn ports(records: &[Record]) -> Vec<Option<u16>> {
    records.iter().map(|record| record.src_port).collect()
}

#[test]
fn a_malformed_set_yields_no_record_and_teaches_no_template() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, &message().template(256, &[SRC_PORT]).encode()).expect("a template");
    // Another definition of 256, then a template that is cut short.
    let definitions = [1, 0, 0, 1, 0, 1, 0, 2, 1, 1, 0, 9];
    let bad = message()
        .set(256, &[0, 1])
        .set(2, &definitions)
        .set(256, &[0, 2])
        .template(258, &[SRC_PORT])
        .set(258, &[0, 3])
        .encode();
    let (summary, records) = feed(&mut decoder, &bad).expect("its other sets");
    // Whether the data after the bad set is of the old form or of the new one, nobody can know.
    assert_eq!(ports(&records), [Some(1), Some(3)]);
    let counts = (
        summary.sets_malformed,
        summary.sets_held,
        summary.templates_learned,
    );
    assert_eq!(counts, (1, 1, 1));
    assert_eq!(summary.set_fault.map(|fault| fault.kind()), Some("truncated"));
    let (_, records) = feed(&mut decoder, &message().set(256, &[0, 4]).encode()).expect("data");
    assert_eq!(ports(&records), [Some(4)]);
}

#[test]
fn a_data_set_whose_last_record_is_cut_short_yields_none() {
    let variable = [Field::iana(82, Field::VARIABLE)];
    let bad = message()
        .template(257, &variable)
        .template(256, &[SRC_PORT])
        .set(257, &[1, b'x', 9, b'y'])
        .set(256, &[0, 1])
        .encode();
    let (summary, records) = feed(&mut Decoder::default(), &bad).expect("its other sets");
    assert_eq!(ports(&records), [Some(1)]);
    assert_eq!((summary.data_records, summary.sets_malformed), (1, 1));
}

#[test]
fn a_message_of_malformed_sets_alone_is_refused_with_the_first_fault() {
    let bad = message().template(100, &[OCTETS]).set(2, &[1, 0, 0, 9]).encode();
    let reject = feed(&mut Decoder::default(), &bad).expect_err("nothing is right");
    let expected = Reject::TemplateId {
        offset: 20,
        found: 100,
    };
    assert_eq!(reject, expected);
    assert_eq!(
        reject.to_string(),
        "the template at offset 20 has the id 100, and templates have ids from 256 on"
    );
}

#[test]
fn what_follows_the_last_set_is_counted_whatever_it_is() {
    let good = message().template(256, &[SRC_PORT]).set(256, &[0, 80]);
    let netflow9 = NetFlow9::new(1, 0, 0, 0, 1).template(256, &[SRC_PORT]);
    let netflow9 = netflow9.set(256, &[0, 80]).encode();
    let cases: [(&[u8], usize); 6] = [
        (&[0; 3], 0),
        (&[0; 500], 0),
        (&[9], 0),
        (&[0, 0, 0, 0, 1, 2, 3, 4], 1),
        // A set that is longer than what is left.
        (&[1, 0, 0, 99, 1, 2], 1),
        (b"trailing text", 1),
    ];
    for (rest, malformed) in cases {
        for mut datagram in [good.clone().encode(), netflow9.clone()] {
            datagram.extend(rest);
            let (summary, records) = feed(&mut Decoder::default(), &datagram).expect("its sets");
            assert_eq!(
                (ports(&records), summary.trailing_bytes),
                (vec![Some(80)], rest.len())
            );
            let is_ipfix = datagram[1] == 10;
            assert_eq!(
                summary.sets_malformed,
                if is_ipfix { 0 } else { malformed },
                "{rest:?}"
            );
        }
        // The same within the length of the message.
        let mut within = good.clone().encode();
        within.extend(rest);
        let length = u16::try_from(within.len()).expect("short");
        within[2..4].copy_from_slice(&length.to_be_bytes());
        let (summary, records) = feed(&mut Decoder::default(), &within).expect("its sets");
        assert_eq!(
            (ports(&records), summary.trailing_bytes),
            (vec![Some(80)], rest.len())
        );
        assert_eq!(summary.sets_malformed, malformed, "{rest:?}");
    }
}

#[test]
fn a_message_that_is_longer_than_its_datagram_is_refused() {
    let mut short = message().set(256, &[0, 1]).encode();
    short.pop();
    let expected = Reject::Length {
        offset: 2,
        found: 22,
        expected: 21,
    };
    assert_eq!(feed(&mut Decoder::default(), &short), Err(expected));
}

#[test]
fn several_messages_in_one_datagram_are_read() {
    let first = message().template(256, &[SRC_PORT]).set(256, &[0, 1]).encode();
    let second = Ipfix::new(1_700_000_000, 9, 1).set(256, &[0, 2, 0, 3]).encode();
    let third = Ipfix::new(1_700_000_000, 4, 5)
        .template(300, &[SRC_PORT])
        .encode();
    let datagram = [first.clone(), second, third, vec![0; 5]].concat();
    let (summary, records) = feed(&mut Decoder::default(), &datagram).expect("messages");
    assert_eq!(ports(&records), [Some(1), Some(2), Some(3)]);
    assert_eq!((summary.records, summary.data_records), (3, 1));
    let further = [(1, 9, 2), (5, 4, 0)].map(|(observation_domain, sequence, data_records)| FurtherMessage {
        observation_domain,
        sequence,
        data_records,
    });
    assert_eq!(summary.further_messages, further);
    assert_eq!((summary.templates_learned, summary.trailing_bytes), (2, 5));

    // One of which nothing can be read takes none along.
    let bad = message().set(2, &[1, 0, 0, 9]).encode();
    for datagram in [[first.clone(), bad.clone()].concat(), [bad, first].concat()] {
        let (summary, records) = feed(&mut Decoder::default(), &datagram).expect("one message");
        assert_eq!((ports(&records), summary.sets_malformed), (vec![Some(1)], 1));
    }
}

#[test]
fn an_odd_options_template_takes_no_data_along() {
    let data = |message: NetFlow9| message.template(256, &[SRC_PORT]).set(256, &[0, 80]).encode();
    let odd: [&[u8]; 4] = [
        // Lengths that are no multiple of 4: of the options, of the scope; more fields than there are; an id below 256.
        &[1, 1, 0, 4, 0, 6, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0],
        &[1, 1, 0, 6, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4, 0, 0],
        &[1, 1, 0, 40, 0, 4, 0, 1, 0, 4],
        &[0, 7, 0, 4, 0, 4, 0, 1, 0, 4, 0, 34, 0, 4],
    ];
    for set in odd {
        let datagram = data(NetFlow9::new(1, 0, 0, 0, 1).set(1, set));
        let (summary, records) = feed(&mut Decoder::default(), &datagram).expect("its data");
        assert_eq!((ports(&records), summary.sets_malformed), (vec![Some(80)], 1));
    }
    let ipfix = message().options_template(257, 3, &[OCTETS]);
    let datagram = ipfix.template(256, &[SRC_PORT]).set(256, &[0, 80]).encode();
    let (summary, records) = feed(&mut Decoder::default(), &datagram).expect("its data");
    assert_eq!(ports(&records), [Some(80)]);
    assert_eq!(
        summary.set_fault.expect("a fault").to_string(),
        "the options template at offset 20 has 3 scope fields of 1 fields in all: \
         at least one, and not more than there are, was expected"
    );
}

#[test]
fn data_that_yields_no_record_is_counted() {
    let template = message().template(256, &[SRC_PORT, OCTETS]);
    let set = |bytes: &[u8]| {
        let datagram = template.clone().set(256, bytes).encode();
        feed(&mut Decoder::default(), &datagram).expect("well-formed").0
    };
    let counts = |summary: Summary| {
        (
            summary.records,
            summary.sets_without_record,
            summary.leftover_bytes,
        )
    };
    assert_eq!(counts(set(&[0, 80, 1])), (0, 1, 0));
    assert_eq!(counts(set(&[0, 80, 0, 5, 0, 0, 0])), (1, 0, 0));
    assert_eq!(counts(set(&[0, 80, 0, 5, 0, 0, 1])), (1, 0, 3));
}

#[test]
fn variable_lengths_are_read_in_netflow_9_too() {
    let fields = [SRC_PORT, Field::iana(236, Field::VARIABLE), OCTETS];
    let message = NetFlow9::new(1, 0, 0, 0, 1).template(256, &fields);
    let data = [[0, 80, 3].as_slice(), b"vrf", &[0, 9, 0, 81, 0, 0, 7]].concat();
    let (_, records) = feed(&mut Decoder::default(), &message.set(256, &data).encode()).expect("well-formed");
    assert_eq!(ports(&records), [Some(80), Some(81)]);
    assert_eq!((records[0].bytes, records[1].bytes), (Some(9), Some(7)));
}
