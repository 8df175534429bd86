//! Connections as the kernel tracked them, and polls of their totals: however few are
//! kept, nothing counts twice; where all are kept, all counts.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::builder::*;
use crate::*;

/// Polls of one tracked connection: which client, when it began, and how many packets each
/// poll found, with how late it came.
#[derive(Debug, Clone)]
struct Flow {
    client: u16,
    start: u64,
    polls: Vec<(u64, u64, u64)>,
    ends: bool,
}

fn flow() -> impl Strategy<Value = Flow> {
    let poll = (
        1_000u64..60_000,
        0u64..10,
        prop_oneof![4 => Just(0), 1 => 0u64..20_000],
    );
    (
        0u16..4,
        0u64..300_000,
        prop::collection::vec(poll, 1..8),
        any::<bool>(),
    )
        .prop_map(|(client, start, steps, ends)| {
            let (mut at, mut packets, mut polls) = (start, 0, Vec::new());
            for (after, more, late) in steps {
                at += after;
                packets += more;
                polls.push((at, packets, late));
            }
            Flow {
                client,
                start,
                polls,
                ends,
            }
        })
}

impl Flow {
    fn packets(&self) -> u64 {
        self.polls.last().unwrap().1
    }

    fn records(&self, id: u32) -> Vec<(u64, Observation)> {
        let last = self.polls.len() - 1;
        let record = |(n, (at, packets, late)): (usize, &(u64, u64, u64))| {
            let line = Conntrack {
                id,
                zone: 3,
                start: ms(self.start),
                polled: ms(*at),
                service: None,
                ended: self.ends && n == last,
            };
            let one = Observation {
                src: end("10.0.0.1", 40_000 + self.client, Some(pod("client", "a"))),
                amount: Amount::Totals {
                    sent: Counts::new(packets * 100, *packets),
                    answered: Counts::default(),
                },
                method: Method::Conntrack,
                conntrack: Some(line),
                start: ms(self.start),
                end: ms(*at),
                ..request()
            };
            (at + late, one)
        };
        self.polls.iter().enumerate().map(record).collect()
    }
}

/// One tuple is tracked once at a time.
fn flows() -> impl Strategy<Value = Vec<Flow>> {
    prop::collection::vec(flow(), 1..8).prop_map(|mut flows| {
        let mut free: BTreeMap<u16, u64> = BTreeMap::new();
        for flow in &mut flows {
            let from = free.entry(flow.client).or_default();
            flow.start += *from;
            flow.polls.iter_mut().for_each(|(at, _, _)| *at += *from);
            *from = flow.polls.last().unwrap().0 + 1;
        }
        flows
    })
}

/// Packets by client that connections counted, and those that there were.
fn counted(flows: &[Flow], config: Config) -> [BTreeMap<u16, u64>; 2] {
    let mut there_were = BTreeMap::new();
    let mut records = Vec::new();
    for (id, flow) in flows.iter().enumerate() {
        *there_were.entry(40_000 + flow.client).or_default() += flow.packets();
        records.extend(flow.records(id as u32 + 1));
    }
    records.sort_by_key(|(arrives, _)| *arrives);
    let mut run = Run::new(config);
    for (arrives, record) in records {
        run.frame(arrives, &[record]);
    }
    let mut outputs = run.take();
    outputs.extend(run.connections.live());
    let mut counted: BTreeMap<u16, u64> = there_were.keys().map(|port| (*port, 0)).collect();
    for output in outputs {
        let way = if output.client.port == 80 {
            output.delta.reverse
        } else {
            output.delta.forward
        };
        *counted
            .get_mut(&output.client.port.max(output.server.port))
            .unwrap() += way.packets;
    }
    [counted, there_were]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn totals_never_count_twice_however_few_connections_are_kept(
        flows in flows(),
        max_connections in 1usize..4,
        max_remembered in 0usize..3,
    ) {
        let config = Config { max_connections, max_remembered, ..config() };
        let [counted, there_were] = counted(&flows, config);
        for (client, packets) in &counted {
            prop_assert!(*packets <= there_were[client], "{counted:?} {there_were:?}");
        }
    }

    #[test]
    fn all_of_totals_counts_where_all_are_kept(flow in flow()) {
        let [counted, there_were] = counted(&[flow], config());
        prop_assert_eq!(counted, there_were);
    }
}
