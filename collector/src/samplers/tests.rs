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
        self.samplers.learn(session, &summary.options);
        self.samplers.complete(session, &mut records);
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
fn samplers_are_those_of_their_session_and_domain() {
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    assert_eq!(bench.counted(peer(2), &flow_of_selector(3, 7)), (Some(100), None));
    assert_eq!(bench.counted(peer(1), &flow_of_selector(4, 7)), (Some(100), None));
    bench.samplers.end(peer(1));
    assert_eq!(bench.counted(peer(1), &flow_of_selector(3, 7)), (Some(100), None));
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
    record.octets = Some(OCTETS);
    record.observation_point = Some(1);
    record.direction = Some(wire::Direction::Ingress);
    record.ethernet_header_len = Some(14);
    record.l2_octets = Some(OCTETS);
    let mut bench = Bench::default();
    bench.feed(peer(1), &selector(3, 7, 99));
    let mut records = [record];
    bench.samplers.complete(peer(1), &mut records);
    let [record] = records;
    let context = Context {
        received_ns: 0,
        source: peer(1).ip(),
        exporter: None,
    };
    assert_eq!(normalise(record, context).bytes, Some(OCTETS));
}

#[test]
fn a_flood_of_samplers_and_sessions_takes_bounded_room() {
    let mut samplers = Samplers::default();
    let record = |selector| OptionsRecord {
        protocol: Protocol::Ipfix,
        observation_domain: 0,
        export_ns: 0,
        content: Options::Sampling(Sampling {
            selector: Some(selector),
            taken: 1,
            out_of: 2,
            ..Sampling::default()
        }),
    };
    let flood: Vec<_> = (0..2_000).map(record).collect();
    samplers.learn(peer(1), &flood);
    assert_eq!(samplers.total, MAX_SAMPLERS);
    for port in 2..=u16::MAX {
        let told = if port < 200 { &flood[..] } else { &flood[..1] };
        samplers.learn(peer(port), told);
        assert!(samplers.scopes.len() <= MAX_SCOPES && samplers.total <= MAX_TOTAL);
    }
}
