//! How many records a second the decoder makes of datagrams that are in memory
//! already: no socket, no names, one thread, seconds of CPU time. `make bench-decode`
//! pins it to a core.
//! One line a case: the median, the slowest and the fastest of the runs.

#[allow(dead_code)]
#[path = "../tests/pcap/mod.rs"]
mod pcap;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use wire::encode::{Body, Flow5, Ipfix, NetFlow5, NetFlow9};
use wire::{Decoder, Field};

const RUNS: usize = 9;
const RUN: Duration = Duration::from_millis(400);
const NOW_MS: u64 = 1_795_196_543_000;
const EXPORT_S: u32 = 1_795_196_542;
const BATCH: u16 = 24;

/// Datagrams that teach, then datagrams to measure with.
struct Case {
    name: &'static str,
    aim: f64,
    teach: Vec<Vec<u8>>,
    datagrams: Vec<Vec<u8>>,
}

fn main() {
    println!(
        "{:<34} {:>10} {:>22} {:>12} {:>10} {:>8}",
        "case", "records/s", "slowest..fastest", "datagrams/s", "MB/s", "aim"
    );
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    for case in cases() {
        if wanted
            .as_ref()
            .is_none_or(|name| case.name.contains(name.as_str()))
        {
            report(&case);
        }
    }
}

fn cases() -> Vec<Case> {
    let (data, teach): (Vec<_>, Vec<_>) = payloads(pcap::ipfix())
        .into_iter()
        .partition(|payload| payload.get(16..18) != Some(&[0, 2]) && payload.get(16..18) != Some(&[0, 3]));
    vec![
        Case {
            name: "ovs-ipfix, 1 record a datagram",
            aim: 3e6,
            teach,
            datagrams: data.clone(),
        },
        Case {
            name: "ovs-ipfix, templates assumed",
            aim: 0.0,
            teach: Vec::new(),
            datagrams: data,
        },
        Case {
            name: "batched-ipfix, 24 a datagram",
            aim: 5e6,
            teach: vec![Ipfix::new(EXPORT_S, 0, 1).template(300, &fields()).encode()],
            datagrams: vec![Ipfix::new(EXPORT_S, 0, 1).set(300, &rows()).encode()],
        },
        Case {
            name: "netflow9, 24 a datagram",
            aim: 5e6,
            teach: vec![
                NetFlow9::new(1, 90_000, EXPORT_S, 0, 1)
                    .template(300, &fields())
                    .encode(),
            ],
            datagrams: vec![
                NetFlow9::new(BATCH, 90_000, EXPORT_S, 1, 1)
                    .set(300, &rows())
                    .encode(),
            ],
        },
        Case {
            name: "netflow5, 24 a datagram",
            aim: 20e6,
            teach: Vec::new(),
            datagrams: vec![netflow5()],
        },
        Case {
            name: "sflow, samples of OVS",
            aim: 4e6,
            teach: Vec::new(),
            datagrams: payloads(pcap::sflow()),
        },
    ]
}

fn payloads(datagrams: Vec<pcap::Datagram>) -> Vec<Vec<u8>> {
    datagrams.into_iter().map(|datagram| datagram.payload).collect()
}

/// What routers send: addresses, ports, interfaces, counts, uptimes, flags.
fn fields() -> Vec<Field> {
    [
        (8, 4),
        (12, 4),
        (7, 2),
        (11, 2),
        (4, 1),
        (5, 1),
        (6, 1),
        (60, 1),
        (10, 4),
        (14, 4),
        (1, 8),
        (2, 8),
        (152, 8),
        (153, 8),
        (61, 1),
        (136, 1),
    ]
    .map(|(id, width)| Field::iana(id, width))
    .to_vec()
}

fn rows() -> Vec<u8> {
    let mut body = Body::default();
    for row in 0..BATCH {
        body.bytes(&[10, 0, 0, row.to_be_bytes()[1]])
            .bytes(&[10, 0, 1, 1])
            .u16(40_000 + row);
        body.u16(443).u8(6).u8(0).u8(0x1b).u8(4).u32(7).u32(8);
        body.u64(150_000)
            .u64(100)
            .u64(NOW_MS - 9_000)
            .u64(NOW_MS - 1_000)
            .u8(0)
            .u8(2);
    }
    body.into_bytes()
}

fn netflow5() -> Vec<u8> {
    let flow = |row: u16| Flow5 {
        src: [10, 0, 0, row.to_be_bytes()[1]],
        dst: [10, 0, 1, 1],
        input: 1,
        output: 2,
        packets: 100,
        bytes: 150_000,
        first_ms: 80_000,
        last_ms: 89_000,
        src_port: 40_000 + row,
        dst_port: 443,
        tcp_flags: 0x1b,
        protocol: 6,
        tos: 0,
    };
    let datagram = NetFlow5 {
        uptime_ms: 90_000,
        unix_secs: EXPORT_S,
        flows: (0..BATCH).map(flow).collect(),
        ..NetFlow5::default()
    };
    datagram.encode()
}

/// Time that this thread had a core, s: the machine may have other work.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// What one run counted.
#[derive(Default)]
struct Run {
    records: u64,
    datagrams: u64,
    octets: u64,
    seconds: f64,
}

fn report(case: &Case) {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    let session = SocketAddr::from(([192, 0, 2, 1], 4739));
    for datagram in &case.teach {
        decoder
            .decode(session, NOW_MS, datagram, &mut out)
            .expect("templates are well-formed");
    }
    let mut runs: Vec<Run> = (0..RUNS)
        .map(|_| run(case, &mut decoder, session))
        .filter(|run| run.records > 0)
        .collect();
    if runs.is_empty() {
        return println!("{:<34} {:>10}", case.name, "none");
    }
    let rate = |run: &Run| run.records as f64 / run.seconds;
    runs.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    let median = &runs[runs.len() / 2];
    println!(
        "{:<34} {:>10} {:>22} {:>12} {:>10.0} {:>8}",
        case.name,
        millions(rate(median)),
        format!(
            "{}..{}",
            millions(rate(&runs[0])),
            millions(rate(&runs[runs.len() - 1]))
        ),
        millions(median.datagrams as f64 / median.seconds),
        median.octets as f64 / median.seconds / 1e6,
        millions(case.aim),
    );
}

fn millions(rate: f64) -> String {
    format!("{:.2} M", rate / 1e6)
}

fn run(case: &Case, decoder: &mut Decoder, session: SocketAddr) -> Run {
    let mut out = Vec::new();
    let mut run = Run::default();
    let (start, cpu) = (Instant::now(), cpu_seconds());
    while start.elapsed() < RUN {
        for _ in 0..1 + 512 / case.datagrams.len() {
            for datagram in &case.datagrams {
                let summary = decoder.decode(session, NOW_MS, black_box(datagram), &mut out);
                run.records += summary.map_or(0, |summary| summary.records as u64);
                run.datagrams += 1;
                run.octets += datagram.len() as u64;
                black_box(&out);
                out.clear();
            }
        }
    }
    run.seconds = match (cpu, cpu_seconds()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_secs_f64(),
    };
    run
}
