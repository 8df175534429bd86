use std::net::SocketAddr;

use wire::encode::{Body, Ipfix, NetFlow9};
use wire::{Decoder, Field};

use super::*;
use crate::normalise::{Context, normalise};

const OCTETS: u64 = 100;

fn peer(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn body(write: impl FnOnce(&mut Body)) -> Vec<u8> {
    let mut body = Body::default();
    write(&mut body);
    body.into_bytes()
}

fn fields(ids: &[(u16, u16)]) -> Vec<Field> {
    ids.iter().map(|&(id, width)| Field::iana(id, width)).collect()
}

/// The samplers and decoder of one worker.
#[derive(Default)]
struct Bench {
    decoder: Decoder,
    samplers: Samplers,
}

impl Bench {
    fn feed(&mut self, session: SocketAddr, message: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        let summary = self
            .decoder
            .decode(session, 0, message, &mut records)
            .expect("a well-formed message");
        self.samplers.learn(session.ip(), &summary.options);
        self.samplers.complete(session.ip(), &mut records);
        records
    }

    /// Octets and sampling of the first record of the message after all that is done to it.
    fn counted(&mut self, session: SocketAddr, message: &[u8]) -> (Option<u64>, Option<u32>) {
        let record = self.feed(session, message).remove(0);
        let context = Context {
            received_ns: 0,
            source: session.ip(),
            exporter: None,
        };
        let flow = normalise(record, context);
        (flow.bytes, flow.sampling)
    }
}

fn ipfix(domain: u32) -> Ipfix {
    Ipfix::new(1_795_196_542, 1, domain)
}

/// A selector of RFC 5477: one packet, then so many left out.
fn selector(domain: u32, id: u64, space: u32) -> Vec<u8> {
    let data = body(|body| {
        body.u64(id).u16(1).u32(1).u32(space);
    });
    ipfix(domain)
        .options_template(400, 1, &fields(&[(302, 8), (304, 2), (305, 4), (306, 4)]))
        .set(400, &data)
        .encode()
}

fn flow_of_selector(domain: u32, id: u64) -> Vec<u8> {
    let data = body(|body| {
        body.u64(OCTETS).u64(id);
    });
    ipfix(domain)
        .template(300, &fields(&[(1, 8), (302, 8)]))
        .set(300, &data)
        .encode()
}

fn flow_of_interfaces(domain: u32, input: u32, output: u32) -> Vec<u8> {
    let data = body(|body| {
        body.u64(OCTETS).u32(input).u32(output);
    });
    ipfix(domain)
        .template(301, &fields(&[(1, 8), (10, 4), (14, 4)]))
        .set(301, &data)
        .encode()
}

#[test]
fn a_record_is_scaled_once_by_the_sampler_that_it_names() {
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    bench.feed(peer(1), &selector(3, 8, 9));
    assert_eq!(
        bench.counted(peer(1), &flow_of_selector(3, 7)),
        (Some(10_000), Some(100))
    );
    assert_eq!(
        bench.counted(peer(1), &flow_of_selector(3, 8)),
        (Some(1_000), Some(10))
    );
    assert_eq!(bench.counted(peer(1), &flow_of_selector(3, 9)), (Some(100), None));
}

#[test]
fn samplers_are_those_of_their_exporter_and_domain_whatever_port_it_sends_from() {
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    let here = (Some(10_000), Some(100));
    assert_eq!(bench.counted(peer(2), &flow_of_selector(3, 7)), here);
    let elsewhere = ([192, 0, 2, 2], 1).into();
    assert_eq!(
        bench.counted(elsewhere, &flow_of_selector(3, 7)),
        (Some(100), None)
    );
}

#[test]
fn a_domain_without_samplers_takes_the_one_that_the_others_agree_on() {
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    assert_eq!(
        bench.counted(peer(1), &flow_of_selector(4, 7)),
        (Some(10_000), Some(100))
    );
    bench.feed(peer(1), &selector(5, 7, 9));
    assert_eq!(
        bench.counted(peer(1), &flow_of_selector(4, 7)),
        (Some(100), None),
        "they do not agree"
    );
    assert_eq!(
        bench.counted(peer(1), &flow_of_selector(5, 7)).1,
        Some(10),
        "its own"
    );
}

#[test]
fn the_interface_of_the_observation_says_the_rate() {
    let mut bench = Bench::default();
    let data = body(|body| {
        body.u32(5).u32(100).u32(6).u32(1_000);
    });
    let options = ipfix(3)
        .options_template(400, 1, &fields(&[(10, 4), (34, 4)]))
        .set(400, &data)
        .encode();
    bench.feed(peer(1), &options);
    let mut counted = |direction: u8, input: u32, output: u32| {
        let data = body(|body| {
            body.u64(OCTETS).u32(input).u32(output).u8(direction);
        });
        let message = ipfix(3)
            .template(303, &fields(&[(1, 8), (10, 4), (14, 4), (61, 1)]))
            .set(303, &data)
            .encode();
        bench.counted(peer(1), &message).1
    };
    assert_eq!(counted(0, 5, 6), Some(100));
    assert_eq!(counted(1, 5, 6), Some(1_000));
    assert_eq!(counted(1, 6, 5), Some(100));
    assert_eq!(counted(0, 9, 6), None, "not observed where it goes out");
}

#[test]
fn records_that_stay_unscaled_although_there_are_samplers_are_counted() {
    let mut bench = Bench::default();
    let without = |bench: &mut Bench, message: &[u8]| {
        let mut records = Vec::new();
        bench.decoder.decode(peer(1), 0, message, &mut records).unwrap();
        bench.samplers.complete(peer(1).ip(), &mut records)
    };
    assert_eq!(without(&mut bench, &flow_of_selector(3, 7)), 0, "it told of none");
    bench.feed(peer(1), &selector(3, 7, 99));
    bench.feed(peer(1), &selector(3, 8, 9));
    assert_eq!(without(&mut bench, &flow_of_selector(3, 7)), 0);
    assert_eq!(without(&mut bench, &flow_of_selector(3, 9)), 1);
}

#[test]
fn a_record_that_states_its_sampling_is_not_scaled_by_the_sampler_as_well() {
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    let data = body(|body| {
        body.u64(OCTETS).u64(7).u32(4);
    });
    let own = ipfix(3)
        .template(302, &fields(&[(1, 8), (302, 8), (34, 4)]))
        .set(302, &data)
        .encode();
    assert_eq!(bench.counted(peer(1), &own), (Some(400), Some(4)));
}

#[test]
fn a_sampler_of_netflow_9_is_found_by_its_id_and_the_only_one_serves_records_without() {
    let mut bench = Bench::default();
    let data = body(|body| {
        body.u32(0).u8(5).u8(2).u32(1000);
    });
    let options = NetFlow9::new(2, 0, 0, 0, 3)
        .options_template(300, &[Field::iana(1, 4)], &fields(&[(48, 1), (49, 1), (50, 4)]))
        .set(300, &data)
        .encode();
    bench.feed(peer(1), &options);
    let data = body(|body| {
        body.u64(OCTETS).u8(5);
    });
    let named = NetFlow9::new(2, 0, 0, 1, 3)
        .template(256, &fields(&[(1, 8), (48, 1)]))
        .set(256, &data)
        .encode();
    assert_eq!(bench.counted(peer(1), &named), (Some(100_000), Some(1000)));
    let data = body(|body| {
        body.u64(OCTETS);
    });
    let bare = NetFlow9::new(2, 0, 0, 2, 3)
        .template(257, &fields(&[(1, 8)]))
        .set(257, &data)
        .encode();
    assert_eq!(bench.counted(peer(1), &bare), (Some(100_000), Some(1000)));
}

#[test]
fn samplers_of_interfaces_come_before_the_exporters_own() {
    let mut bench = Bench::default();
    let data = body(|body| {
        body.u32(12).u32(64).u32(13).u32(32);
    });
    let options = ipfix(3)
        .options_template(400, 1, &fields(&[(10, 4), (34, 4)]))
        .set(400, &data)
        .encode();
    bench.feed(peer(1), &options);
    let whole = body(|body| {
        body.u32(1).u32(2);
    });
    let general = ipfix(3)
        .options_template(401, 1, &fields(&[(149, 4), (34, 4)]))
        .set(401, &whole)
        .encode();
    bench.feed(peer(1), &general);
    let sampling = |bench: &mut Bench, input, output| {
        bench
            .counted(peer(1), &flow_of_interfaces(3, input, output))
            .1
            .expect("a sampler")
    };
    assert_eq!(sampling(&mut bench, 12, 13), 64);
    assert_eq!(sampling(&mut bench, 1, 13), 32);
    assert_eq!(sampling(&mut bench, 1, 2), 2);
}

#[test]
fn what_ovs_sends_is_scaled_already_whatever_options_say() {
    let mut record = Record::new(Protocol::Ipfix, 0);
    record.observation_domain = Some(3);
    record.bytes = Some(OCTETS);
    record.observation_point = Some(1);
    record.direction = Some(wire::Direction::Ingress);
    record.ethernet_header_len = Some(14);
    record.l2_bytes = Some(OCTETS);
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    let mut records = [record];
    bench.samplers.complete(peer(1).ip(), &mut records);
    let [record] = records;
    let context = Context {
        received_ns: 0,
        source: peer(1).ip(),
        exporter: None,
    };
    assert_eq!(normalise(record, context).bytes, Some(OCTETS));
}

/// Samplers of this rate.
fn told(rate: u64, selectors: std::ops::Range<u64>) -> Vec<OptionsRecord> {
    let record = |selector| OptionsRecord {
        protocol: Protocol::Ipfix,
        observation_domain: 0,
        export_ns: 0,
        content: Options::Sampling(Sampling {
            selector: Some(selector),
            taken: 1,
            out_of: rate,
            ..Sampling::default()
        }),
    };
    selectors.map(record).collect()
}

fn stranger(n: u32) -> IpAddr {
    IpAddr::V4((0x0a00_0000 + n).into())
}

fn rate(samplers: &Samplers, source: IpAddr) -> Option<u32> {
    let mut record = Record::new(Protocol::Ipfix, 0);
    record.selector = Some(0);
    let mut records = [record];
    samplers.complete(source, &mut records);
    records[0].sampling
}

#[test]
fn a_flood_of_samplers_and_exporters_takes_bounded_room() {
    let samplers = Samplers::default();
    let flood = told(2, 0..2_000);
    samplers.learn(stranger(0), &flood);
    assert_eq!(samplers.known.read().unwrap().total, MAX_SAMPLERS);
    for n in 1..20_000 {
        let told = if n < 200 { &flood[..] } else { &flood[..1] };
        samplers.learn(stranger(n), told);
        let known = samplers.known.read().unwrap();
        assert!(known.total <= MAX_TOTAL);
    }
    let mut known = samplers.known.write().unwrap();
    known.count();
    assert!(known.total <= MAX_TOTAL && known.exporters.len() <= 2 * MAX_EXPORTERS);
}

#[test]
fn a_flood_does_not_make_the_samplers_of_a_regular_forgotten() {
    let samplers = Samplers::default();
    let regular: IpAddr = [192, 0, 2, 1].into();
    for _ in 0..crate::bounded::REGULAR {
        samplers.learn(regular, &told(100, 0..2));
    }
    let flood = told(2, 0..1_024);
    for n in 0..10_000 {
        samplers.learn(stranger(n), if n < 300 { &flood[..] } else { &flood[..1] });
    }
    assert_eq!(rate(&samplers, regular), Some(100));
}

#[test]
fn of_an_exporter_whose_samplers_were_forgotten_the_rate_is_remembered() {
    let samplers = Samplers::default();
    let (one, several): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
    samplers.learn(one, &told(100, 0..2));
    samplers.learn(several, &told(100, 0..1));
    samplers.learn(several, &told(10, 1..2));
    for n in 0..5_000 {
        samplers.learn(stranger(n), &told(2, 0..1));
    }
    assert!(samplers.known.read().unwrap().exporters.get(&one).is_none());
    assert_eq!(rate(&samplers, one), Some(100));
    assert_eq!(rate(&samplers, several), None, "which of them is not known");
    let mut records = [Record::new(Protocol::Ipfix, 0)];
    assert_eq!(samplers.complete(several, &mut records), 1, "and that is counted");
}
