//! Input that nobody would send by mistake, and properties that hold for all input.

mod pcap;

use std::net::SocketAddr;
use std::sync::OnceLock;

use pcap::Datagram;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::encode::{Body, Ipfix, NetFlow9};
use wire::ovs::PEN_VMWARE;
use wire::{Decoder, Field, Framer, Limits, Record, Session, Text};

/// `PROPTEST_CASES` sets the number of cases.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn session(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn capture() -> &'static [Datagram] {
    static CAPTURE: OnceLock<Vec<Datagram>> = OnceLock::new();
    CAPTURE.get_or_init(pcap::datagrams)
}

/// Feeds a decoder with small limits, so that they are met, and checks what must hold for every datagram.
fn feed(
    decoder: &mut Decoder,
    session: impl Into<Session>,
    now_ms: u64,
    datagram: &[u8],
    records: &mut Vec<Record>,
) {
    let before = records.len();
    match decoder.decode(session, now_ms, datagram, records) {
        Ok(summary) => {
            assert_eq!(records.len() - before, summary.records);
            assert!(summary.released_records <= summary.records);
        }
        Err(reject) => {
            assert_eq!(records.len(), before);
            assert!(wire::Reject::KINDS.contains(&reject.kind()));
        }
    }
}

fn small_decoder() -> Decoder {
    Decoder::new(Limits {
        scopes: 4,
        templates_per_scope: 100,
        template_bytes: 20_000,
        held_bytes: 2_000,
        held_sets_per_scope: 10,
        ..Limits::default()
    })
}

/// A damaged copy of a captured datagram.
#[derive(Debug, Clone)]
struct Damage {
    datagram: usize,
    octets: Vec<(Index, u8)>,
    cut: Option<Index>,
    session: u16,
}

/// Templates are few in the capture, and without them data is only held.
fn place() -> impl Strategy<Value = usize> {
    let is_template =
        |datagram: &Datagram| datagram.payload[1] == 10 && matches!(datagram.payload[17], 2 | 3);
    let templates: Vec<usize> = (0..capture().len())
        .filter(|&place| is_template(&capture()[place]))
        .collect();
    prop_oneof![proptest::sample::select(templates), 0..capture().len()]
}

fn damage() -> impl Strategy<Value = Damage> {
    let octets = vec((any::<Index>(), any::<u8>()), 0..6);
    (
        place(),
        octets,
        proptest::option::weighted(0.2, any::<Index>()),
        0..6u16,
    )
        .prop_map(|(datagram, octets, cut, session)| Damage {
            datagram,
            octets,
            cut,
            session,
        })
}

impl Damage {
    fn apply(&self) -> Vec<u8> {
        let mut payload = capture()[self.datagram].payload.clone();
        if let Some(cut) = self.cut {
            payload.truncate(cut.index(payload.len()));
        }
        if !payload.is_empty() {
            for (place, octet) in &self.octets {
                let place = place.index(payload.len());
                payload[place] = *octet;
            }
        }
        payload
    }
}

/// A datagram with the right first octets and anything after.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![
        Just(vec![0, 5]),
        Just(vec![0, 9]),
        Just(vec![0, 10]),
        Just(vec![0, 0, 0, 5]),
        vec(any::<u8>(), 0..4),
    ];
    (version, vec(any::<u8>(), 0..400)).prop_map(|(mut datagram, rest)| {
        datagram.extend(rest);
        datagram
    })
}

/// Sets that look like templates and data, with small numbers that hit one another.
fn sets() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let id = prop_oneof![4 => 0..4u16, 4 => 256..260u16, 1 => any::<u16>()];
    let word = prop_oneof![
        3 => 0..4u16,
        3 => 255..260u16,
        2 => Just(82u16),
        2 => Just(u16::MAX),
        1 => any::<u16>(),
    ];
    let content = vec(word, 0..24).prop_map(|words| words.into_iter().flat_map(u16::to_be_bytes).collect());
    vec((id, content), 0..6)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn arbitrary_octets_are_decoded_or_refused(datagrams in vec(junk(), 1..12)) {
        let mut decoder = small_decoder();
        let mut records = Vec::new();
        for (number, datagram) in datagrams.iter().enumerate() {
            feed(&mut decoder, session(0), number as u64, datagram, &mut records);
        }
    }

    #[test]
    fn damaged_sequences_of_real_datagrams_are_decoded_or_refused(
        damages in vec(damage(), 1..60),
        step_ms in 0..30_000u64,
    ) {
        let mut decoder = small_decoder();
        let mut records = Vec::new();
        for (number, damage) in damages.iter().enumerate() {
            let now_ms = number as u64 * step_ms;
            feed(&mut decoder, session(damage.session), now_ms, &damage.apply(), &mut records);
        }
        prop_assert!(decoder.scopes() <= 4 && decoder.templates() <= 400);
    }

    #[test]
    fn well_framed_nonsense_is_decoded_or_refused(messages in vec((any::<bool>(), sets()), 1..8)) {
        let mut decoder = small_decoder();
        let mut records = Vec::new();
        for (is_ipfix, sets) in &messages {
            let datagram = if *is_ipfix {
                sets.iter().fold(Ipfix::new(0, 0, 0), |message, (id, content)| message.set(*id, content)).encode()
            } else {
                let empty = NetFlow9::new(0, 0, 0, 0, 0);
                sets.iter().fold(empty, |message, (id, content)| message.set(*id, content)).encode()
            };
            feed(&mut decoder, session(0), 0, &datagram, &mut records);
        }
    }

    #[test]
    fn nonsense_over_a_stream_is_decoded_or_refused_and_leaves_with_the_session(
        messages in vec(sets(), 1..12),
        junk in vec(any::<u8>(), 0..64),
    ) {
        let (mut decoder, mut framer, mut records) = (small_decoder(), Framer::default(), Vec::new());
        let stream = Session::stream(session(0));
        for sets in messages {
            let empty = Ipfix::new(0, 0, 0);
            let message = sets.iter().fold(empty, |message, (id, content)| message.set(*id, content));
            framer.push(&message.encode());
            while let Ok(Some(message)) = framer.next_message() {
                feed(&mut decoder, stream, 0, message, &mut records);
            }
        }
        framer.push(&junk);
        while let Ok(Some(message)) = framer.next_message() {
            feed(&mut decoder, stream, 0, message, &mut records);
        }
        decoder.end_session(stream);
        prop_assert_eq!((decoder.scopes(), decoder.templates()), (0, 0));
    }

    #[test]
    fn a_refused_message_changes_nothing_that_follows(
        damages in vec(damage(), 1..40),
        good in vec(place(), 1..40),
    ) {
        let mut spoiled = Decoder::default();
        let mut clean = Decoder::default();
        let (mut from_spoiled, mut from_clean) = (Vec::new(), Vec::new());
        for (number, place) in good.iter().enumerate() {
            let Datagram { source, received_ms, payload, .. } = &capture()[*place];
            if let Some(damage) = damages.get(number) {
                let datagram = damage.apply();
                // Only what is refused may go in: a damaged message that still makes sense is a message.
                if Decoder::default().decode(*source, 0, &datagram, &mut Vec::new()).is_err() {
                    let refused = spoiled.decode(*source, *received_ms, &datagram, &mut from_spoiled);
                    prop_assert!(refused.is_err());
                }
            }
            let one = spoiled.decode(*source, *received_ms, payload, &mut from_spoiled);
            let other = clean.decode(*source, *received_ms, payload, &mut from_clean);
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(from_spoiled, from_clean);
    }
}

/// A field of an element that means something, mostly of a width that it can have.
fn known_field() -> impl Strategy<Value = Field> {
    let element = prop_oneof![
        6 => (Just(0u32), 1..420u16),
        2 => (Just(29_305), 1..360u16),
        1 => (Just(PEN_VMWARE), 885..900u16),
        1 => (Just(56_506), 100..170u16),
        1 => (Just(0), 39_999..40_007u16),
    ];
    let width = prop_oneof![
        Just(1u16),
        Just(2),
        Just(4),
        Just(6),
        Just(8),
        Just(16),
        Just(40),
        Just(Field::VARIABLE)
    ];
    (element, width).prop_map(|((enterprise, id), width)| Field::vendor(enterprise, id, width))
}

/// A message of templates and data that hit one another: of OVS's ids, of its statistics,
/// in its domain of statistics and in others.
fn structured() -> impl Strategy<Value = (u16, bool, u32, Vec<Part>)> {
    let id = || prop_oneof![Just(256u16), Just(260), Just(297), Just(462), Just(300)];
    let data = prop_oneof![
        vec(any::<u8>(), 0..80),
        vec(
            prop_oneof![Just(0u8), Just(1), Just(200), Just(255), any::<u8>()],
            0..80
        ),
    ];
    let part = prop_oneof![
        3 => (id(), vec(known_field(), 1..14), any::<bool>()).prop_map(|(id, fields, options)| Part::Template(id, fields, options)),
        4 => (id(), data).prop_map(|(id, data)| Part::Data(id, data)),
    ];
    (0..3u16, proptest::bool::weighted(0.7), 0..2u32, vec(part, 1..5))
}

#[derive(Debug, Clone)]
enum Part {
    Template(u16, Vec<Field>, bool),
    Data(u16, Vec<u8>),
}

fn written(is_ipfix: bool, domain: u32, parts: &[Part]) -> Vec<u8> {
    if is_ipfix {
        let message = |message: Ipfix, part: &Part| match part {
            Part::Template(id, fields, false) => message.template(*id, fields),
            Part::Template(id, fields, true) => message.options_template(*id, 1, fields),
            Part::Data(id, data) => message.set(*id, data),
        };
        return parts
            .iter()
            .fold(Ipfix::new(1_700_000_000, 0, domain), message)
            .encode();
    }
    let message = |message: NetFlow9, part: &Part| match part {
        Part::Template(id, fields, false) => message.template(*id, fields),
        Part::Template(id, fields, true) => message.options_template(*id, &fields[..1], &fields[1..]),
        Part::Data(id, data) => message.set(*id, data),
    };
    let empty = NetFlow9::new(0, 90_000, 1_700_000_000, 0, domain);
    parts.iter().fold(empty, message).encode()
}

proptest! {
    #![proptest_config(config())]

    /// Of any data that a template admits, what it counts as a record is one, or two.
    #[test]
    fn templates_of_any_elements_read_any_data(
        messages in vec(structured(), 1..24),
        together in any::<bool>(),
    ) {
        let (mut decoder, mut records) = (small_decoder(), Vec::new());
        let mut pending = Vec::new();
        for (number, (port, is_ipfix, domain, parts)) in messages.iter().enumerate() {
            pending.extend(written(*is_ipfix, *domain, parts));
            if together && *is_ipfix && number % 3 != 0 {
                continue;
            }
            let before = records.len();
            let datagram = std::mem::take(&mut pending);
            let now_ms = number as u64 * 20;
            if let Ok(summary) = decoder.decode(session(*port), now_ms, &datagram, &mut records) {
                prop_assert_eq!(records.len() - before, summary.records);
                let further: usize = summary.further_messages.iter().map(|message| message.data_records).sum();
                let told = summary.data_records + further;
                let (records, options) = (summary.records, summary.options_records);
                prop_assert!(told <= records + options + summary.records_skipped);
                prop_assert!(records <= told + summary.reverse_records + summary.released_records);
                prop_assert!(summary.reverse_records <= summary.biflow_records);
                prop_assert!(summary.trailing_bytes <= datagram.len());
            } else {
                prop_assert_eq!(records.len(), before);
            }
            prop_assert!(decoder.scopes() <= 4);
        }
        for record in &records {
            prop_assert!(record.vlan != Some(0) && record.src_mac != Some([0; 6]));
            let is_icmp = matches!(record.ip_protocol, None | Some(1 | 58));
            prop_assert!(is_icmp || record.icmp_type.is_none());
        }
    }
}

/// A field, a value for it and what the record makes of it.
type Sample = (Field, fn(u64) -> Vec<u8>, fn(&mut Record, u64));

const SAMPLES: [Sample; 14] = [
    (
        Field::iana(1, 8),
        |v| v.to_be_bytes().to_vec(),
        |r, v| r.bytes = Some(v),
    ),
    (
        Field::iana(2, 5),
        |v| v.to_be_bytes()[3..].to_vec(),
        |r, v| r.packets = Some(v & 0xff_ffff_ffff),
    ),
    (
        Field::iana(7, 2),
        |v| v.to_be_bytes()[6..].to_vec(),
        |r, v| r.src_port = Some(v as u16),
    ),
    (
        Field::iana(11, 2),
        |v| v.to_be_bytes()[6..].to_vec(),
        |r, v| r.dst_port = Some(v as u16),
    ),
    (
        Field::iana(4, 1),
        // None of those that have ICMP's type and code in the place of the port.
        |v| vec![v as u8 | 0x80],
        |r, v| r.ip_protocol = Some(v as u8 | 0x80),
    ),
    (
        Field::iana(8, 4),
        |v| (v as u32 | 1).to_be_bytes().to_vec(),
        |r, v| r.src_addr = Some(std::net::Ipv4Addr::from(v as u32 | 1).into()),
    ),
    (
        Field::iana(28, 16),
        |v| (u128::from(v) << 64 | 1).to_be_bytes().to_vec(),
        |r, v| r.dst_addr = Some(std::net::Ipv6Addr::from(u128::from(v) << 64 | 1).into()),
    ),
    (
        Field::iana(82, Field::VARIABLE),
        |v| variable(format!("veth{v}").as_bytes()),
        |r, v| r.in_if_name = format!("veth{v}").as_str().into(),
    ),
    (
        Field::iana(83, Field::VARIABLE),
        |v| variable(&vec![b'd'; (v % 400) as usize]),
        |r, v| {
            r.in_if_description = "d"
                .repeat(((v % 400) as usize).min(Text::MAX_BYTES))
                .as_str()
                .into()
        },
    ),
    (
        Field::vendor(PEN_VMWARE, 892, Field::VARIABLE),
        |v| variable(&v.to_be_bytes()[5..]),
        |r, v| r.tunnel_key = Some(v & 0xff_ffff),
    ),
    (
        Field::vendor(PEN_VMWARE, 891, 1),
        |v| v.to_be_bytes()[7..].to_vec(),
        |r, v| r.tunnel_type = Some(v as u8),
    ),
    // Unknown ones: nothing happens.
    (Field::iana(30_000, 7), |v| vec![v as u8; 7], |_, _| {}),
    (
        Field::vendor(29_306, 1, 8),
        |v| v.to_be_bytes().to_vec(),
        |_, _| {},
    ),
    (
        Field::vendor(1, 1, Field::VARIABLE),
        |v| variable(&vec![7; (v % 300) as usize]),
        |_, _| {},
    ),
];

fn variable(value: &[u8]) -> Vec<u8> {
    let mut body = Body::default();
    body.variable(value);
    body.into_bytes()
}

/// A template of some of the samples in any order, and the values of some records.
fn table() -> impl Strategy<Value = (Vec<usize>, Vec<Vec<u64>>)> {
    let order = Just((0..SAMPLES.len()).collect::<Vec<_>>()).prop_shuffle();
    (order, 1..=SAMPLES.len()).prop_flat_map(|(order, count)| {
        let chosen = order[..count].to_vec();
        (Just(chosen), vec(vec(any::<u64>(), count), 0..8))
    })
}

fn fields(chosen: &[usize]) -> Vec<Field> {
    chosen.iter().map(|&sample| SAMPLES[sample].0).collect()
}

fn octets(chosen: &[usize], values: &[u64]) -> Vec<u8> {
    chosen
        .iter()
        .zip(values)
        .flat_map(|(&sample, &value)| SAMPLES[sample].1(value))
        .collect()
}

fn expected(chosen: &[usize], values: &[u64]) -> Record {
    let mut record = Record {
        observation_domain: Some(9),
        export_ns: 1_000_000_000,
        ..Record::default()
    };
    for (&sample, &value) in chosen.iter().zip(values) {
        SAMPLES[sample].2(&mut record, value);
    }
    record
}

fn decode(messages: &[Ipfix]) -> Vec<Record> {
    let mut decoder = Decoder::default();
    let mut records = Vec::new();
    for message in messages {
        decoder
            .decode(session(0), 0, &message.clone().encode(), &mut records)
            .expect("well-formed");
    }
    records
}

fn message() -> Ipfix {
    Ipfix::new(1, 0, 9)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_any_template_writes_is_what_is_read((chosen, rows) in table()) {
        let data: Vec<u8> = rows.iter().flat_map(|values| octets(&chosen, values)).collect();
        let records = decode(&[message().template(256, &fields(&chosen)).set(256, &data)]);
        let rows: Vec<Record> = rows.iter().map(|values| expected(&chosen, values)).collect();
        prop_assert_eq!(records, rows);
    }

    #[test]
    fn records_keep_their_order_however_they_are_cut_into_sets_and_messages(
        (chosen, rows) in table(),
        cuts in vec(0..3u8, 8),
    ) {
        let mut messages = vec![message().template(256, &fields(&chosen))];
        let mut set = Vec::new();
        for (values, cut) in rows.iter().zip(&cuts) {
            set.extend(octets(&chosen, values));
            if *cut > 0 {
                let last = messages.pop().expect("there is one");
                messages.push(last.set(256, &std::mem::take(&mut set)));
            }
            if *cut > 1 {
                messages.push(message());
            }
        }
        let last = messages.pop().expect("there is one");
        messages.push(last.set(256, &set));
        let rows: Vec<Record> = rows.iter().map(|values| expected(&chosen, values)).collect();
        prop_assert_eq!(decode(&messages), rows);
    }

    #[test]
    fn data_before_its_template_gives_the_same_records((chosen, rows) in table()) {
        let data = rows.iter().map(|values| message().set(256, &octets(&chosen, values)));
        let messages: Vec<Ipfix> = data.chain([message().template(256, &fields(&chosen))]).collect();
        let waited = |values| Record {
            waited_since_ms: Some(0),
            ..expected(&chosen, values)
        };
        let rows: Vec<Record> = rows.iter().map(|values| waited(values)).collect();
        prop_assert_eq!(decode(&messages), rows);
    }
}
