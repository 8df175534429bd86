//! Whatever may come: few ends, so that epochs, joins and late records meet; any order,
//! duplicates, flags, clocks, totals, times that cannot be, logs that begin anew.

use std::sync::Arc;

use proptest::prelude::*;

use super::builder::*;
use crate::*;

/// Frames as the log has them, by the time at which it took them.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub frames: Vec<(Position, Micros, Vec<Observation>)>,
    pub config: Config,
}

impl Scenario {
    pub fn frame(&self, at: usize) -> Frame<'_> {
        let (position, time, observations) = &self.frames[at];
        Frame {
            position: *position,
            time: *time,
            observations,
        }
    }

    /// The first frame of the log that a frame is of.
    pub fn log_begins(&self, at: usize) -> usize {
        let log = self.frames[at].0.log;
        let mut frames = self.frames.iter();
        frames.position(|(position, _, _)| position.log == log).unwrap()
    }

    pub fn observations(&self) -> impl Iterator<Item = &Observation> {
        self.frames.iter().flat_map(|(_, _, observations)| observations)
    }

    /// All outputs of an undisturbed run, and the state at its end.
    pub fn run(&self) -> (Vec<Output>, Connections) {
        let mut connections = Connections::new(self.config.clone());
        let mut outputs = Vec::new();
        for at in 0..self.frames.len() {
            connections.apply(self.frame(at), &mut |output| outputs.push(output));
        }
        (outputs, connections)
    }
}

/// Few clients and servers, of which one is a Service's address.
fn ends() -> impl Strategy<Value = (End, End)> {
    let clients = prop_oneof![
        3 => Just(end("10.0.0.1", 40_000, Some(pod("client", "a")))),
        1 => Just(end("10.0.0.1", 40_001, Some(pod("client", "a")))),
        1 => Just(end("10.0.1.2", 40_000, Some(endpoint("web-2", "a", "web")))),
        1 => Just(end("192.0.2.7", 40_000, None)),
    ];
    let servers = prop_oneof![
        1 => Just(end("10.0.1.1", 80, Some(endpoint("web-1", "b", "web")))),
        1 => Just(end("10.0.1.2", 80, Some(endpoint("web-2", "a", "web")))),
        1 => Just(end("10.96.0.1", 80, Some(service("web")))),
        2 => (2u8..9).prop_map(|n| end(&format!("10.96.0.{n}"), 80, Some(service("db")))),
        1 => Just(end("10.0.1.3", 50_000, Some(pod("other", "b")))),
        1 => Just(end("192.0.2.9", 5_432, None)),
    ];
    (clients, servers, any::<bool>()).prop_map(|(client, server, turned)| {
        if turned {
            (server, client)
        } else {
            (client, server)
        }
    })
}

fn amount() -> impl Strategy<Value = Amount> {
    (0u64..5_000, 0u64..50).prop_map(|(bytes, packets)| Amount::Delta(Counts::new(bytes, packets)))
}

/// What a source of totals says: never primary here, since the store has no such sums.
fn tracked(observation: Observation, id: u32, sent: u64, answered: u64) -> Observation {
    Observation {
        amount: Amount::Totals {
            sent: Counts::new(sent * 100, sent),
            answered: Counts::new(answered * 100, answered),
        },
        method: Method::Conntrack,
        primary: false,
        conntrack: Some(Conntrack {
            id,
            zone: 1,
            start: ms(u64::from(id) * 100_000),
            polled: observation.end,
            service: (id == 1).then(|| ("10.96.0.1".parse().unwrap(), 80)),
            ended: sent.is_multiple_of(7),
        }),
        ..observation
    }
}

/// What exporters make of times.
#[derive(Debug, Clone, Copy)]
enum Clock {
    Right,
    /// So many milliseconds ahead.
    Ahead(u64),
    Never,
    NoStart,
    NoEnd,
    Turned,
}

fn clock() -> impl Strategy<Value = Clock> {
    prop_oneof![
        20 => Just(Clock::Right),
        6 => prop_oneof![Just(3), Just(400), Just(3_600_000)].prop_map(Clock::Ahead),
        1 => Just(Clock::Never),
        1 => Just(Clock::NoStart),
        1 => Just(Clock::NoEnd),
        1 => Just(Clock::Turned),
    ]
}

fn by_clock(clock: Clock, one: Observation) -> Observation {
    let (start, end) = (one.start, one.end);
    let (start, end) = match clock {
        Clock::Right => (start, end),
        Clock::Ahead(after) => (start + after * 1_000, end + after * 1_000),
        Clock::Never => (0, 0),
        Clock::NoStart => (0, end),
        Clock::NoEnd => (start, 7),
        Clock::Turned => (end, start),
    };
    at(start, end, one)
}

prop_compose! {
    fn observation()(
        (src, dst) in ends(),
        network in prop_oneof![4 => Just(""), 1 => Just("blue")],
        start in prop_oneof![3 => 0u64..600_000, 1 => 0u64..2_000, 1 => (0u64..4).prop_map(|n| n * 1_000)],
        length in prop_oneof![Just(0), 0u64..1_000, 0u64..200_000],
        amount in amount(),
        primary in prop::bool::weighted(0.6),
        (sampling, method) in prop_oneof![
            6 => Just((1, Method::Ipfix)),
            1 => Just((10, Method::Ipfix)),
            1 => Just((400, Method::SFlow)),
            1 => Just((1, Method::NetFlow)),
        ],
        egress in any::<bool>(),
        node in prop_oneof![Just("a"), Just("b"), Just("c")],
        bits in prop::option::weighted(0.5, prop_oneof![
            Just(0x02), Just(0x12), Just(0x10), Just(0x11), Just(0x04), Just(0x1b),
        ]),
        client in prop::option::of((any::<bool>(), prop_oneof![
            Just(Evidence::Port), Just(Evidence::Service), Just(Evidence::Syn),
        ])),
        totals in prop::option::weighted(0.25, (0u32..2, 0u64..50, 0u64..50)),
    ) -> Observation {
        let base = Observation {
            network: network.into(),
            src,
            dst,
            amount,
            primary,
            sampling,
            method,
            direction: Some(if egress { Direction::Egress } else { Direction::Ingress }),
            node: Arc::from(node),
            tcp_flags: bits.map(|bits| TcpFlags { bits, of_one_packet: true }),
            client: client.map(|(src, evidence)| (if src { Client::Src } else { Client::Dst }, evidence)),
            ..at(ms(start), ms(start + length), request())
        };
        match totals {
            Some((id, sent, answered)) => tracked(base, id, sent, answered),
            None => base,
        }
    }
}

/// Each with how late it comes and how often.
fn arrivals() -> impl Strategy<Value = Vec<(u64, Observation)>> {
    let late = prop_oneof![4 => 0u64..2_000, 2 => 0u64..70_000, 1 => 0u64..900_000];
    let twice = prop::option::weighted(0.1, any::<bool>());
    prop::collection::vec((observation(), late, twice, clock()), 1..40).prop_map(|all| {
        let mut arrivals = Vec::new();
        for (observation, late, twice, clock) in all {
            let arrives = (observation.end - T0) / 1_000 + late;
            let observation = by_clock(clock, observation);
            if let Some(primary) = twice {
                let copy = Observation {
                    primary: observation.primary && primary,
                    ..observation.clone()
                };
                arrivals.push((arrives + late, copy));
            }
            arrivals.push((arrives, observation));
        }
        arrivals.sort_by_key(|(arrives, _)| *arrives);
        arrivals
    })
}

/// Ten years, by which a node's clock may be ahead until it is put right.
const AHEAD: u64 = 10 * 365 * 86_400_000;

prop_compose! {
    pub fn scenario()(
        arrivals in arrivals(),
        together in 1usize..5,
        max_connections in prop_oneof![1usize..6, Just(1_000)],
        max_remembered in prop_oneof![0usize..4, Just(1_000)],
        max_bytes in prop_oneof![3 => Just(100 << 20), 1 => 8_000usize..40_000],
        inactive in prop_oneof![Just(10), Just(135)],
        ahead in prop::option::weighted(0.2, 0usize..20),
        anew in prop::option::weighted(0.2, 1usize..10),
    ) -> Scenario {
        let frames = arrivals
            .chunks(together)
            .enumerate()
            .map(|(at, chunk)| {
                let time = chunk.last().map_or(0, |(arrives, _)| *arrives);
                let time = if ahead == Some(at) { time + AHEAD } else { time };
                let begun = anew.unwrap_or(usize::MAX);
                let (log, frame) = if at < begun { (1, at) } else { (2, at - begun) };
                let position = Position { log, head: 1, frame: frame as u64 };
                (position, ms(time), chunk.iter().map(|(_, observation)| observation.clone()).collect())
            })
            .collect();
        let config = Config {
            max_connections,
            max_remembered,
            max_bytes,
            inactive: std::time::Duration::from_secs(inactive),
            ..config()
        };
        Scenario { frames, config }
    }
}
