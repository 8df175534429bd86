//! Calls as they were, and what two nodes tell of them: both directions, by clocks that
//! differ, cut into records as each exporter likes, in any order.

use proptest::prelude::*;

use super::builder::*;
use crate::*;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN_ACK: u8 = 0x11;

/// A packet: when the client's node saw it, its octets, whether it got to the other node.
#[derive(Debug, Clone, Copy)]
struct Packet {
    at: u64,
    bytes: u64,
    lost: bool,
}

/// One call of TCP.
#[derive(Debug, Clone)]
struct Call {
    /// From the client, and from the server.
    ways: [Vec<Packet>; 2],
    /// The clock of the server's node is ahead by so many ms less 1,950.
    skew: u64,
    /// After how many packets a node ends a record.
    cuts: [usize; 2],
    /// Both nodes tell of each direction where packets come in and where they go out.
    twice: bool,
}

const MIDDLE: u64 = 1_950;

/// Packets of one direction: the first and the last get through.
fn way() -> impl Strategy<Value = Vec<(u64, u64, bool)>> {
    prop::collection::vec((0u64..=1_000, 40u64..1_500, prop::bool::weighted(0.2)), 2..12)
}

prop_compose! {
    fn call()(
        ways in [way(), way()],
        length in prop_oneof![Just(0u64), 1u64..300, 10_000u64..60_000],
        skew in 0u64..2 * MIDDLE,
        cuts in [1usize..6, 1usize..6],
        twice in any::<bool>(),
    ) -> Call {
        let packets = |mut way: Vec<(u64, u64, bool)>| {
            way.sort_unstable();
            let last = way.len() - 1;
            let packet = |(n, (at, bytes, lost)): (usize, (u64, u64, bool))| {
                let edge = n == 0 || n == last;
                let at = if n == 0 { 0 } else if n == last { 1_000 } else { at };
                Packet { at: MIDDLE + at * length / 1_000, bytes, lost: lost && !edge }
            };
            way.into_iter().enumerate().map(packet).collect()
        };
        Call { ways: ways.map(packets), skew, cuts, twice }
    }
}

impl Call {
    /// Packets and octets that a node saw of a direction: all that were sent from there.
    fn seen(&self, way: usize, node: usize) -> Counts {
        let seen = self.ways[way].iter().filter(|packet| way == node || !packet.lost);
        seen.fold(Counts::default(), |sum, packet| {
            sum.plus(Counts::new(packet.bytes, 1))
        })
    }

    fn lost(&self, way: usize) -> u64 {
        self.seen(way, way).packets - self.seen(way, 1 - way).packets
    }

    fn end(&self) -> u64 {
        self.ways.iter().flatten().map(|packet| packet.at).max().unwrap()
    }

    /// What a node tells of a direction.
    fn records(&self, way: usize, node: usize) -> Vec<Observation> {
        let ahead = if node == 1 { self.skew } else { MIDDLE };
        let base = if way == 0 { request() } else { answer() };
        let all = &self.ways[way];
        let last = all.len() - 1;
        let seen = all.iter().enumerate();
        let seen: Vec<_> = seen.filter(|(_, packet)| way == node || !packet.lost).collect();
        let record = |packets: &[(usize, &Packet)]| {
            let bits = packets.iter().fold(0, |bits, (n, _)| {
                bits | match (*n, way) {
                    (0, 0) => SYN,
                    (0, _) => SYN | ACK,
                    (n, _) if n == last => FIN_ACK,
                    _ => ACK,
                }
            });
            let sum = packets.iter().fold(Counts::default(), |sum, (_, packet)| {
                sum.plus(Counts::new(packet.bytes, 1))
            });
            let time = |at: usize| ms(packets[at].1.at + ahead);
            Observation {
                node: ["a", "b"][node].into(),
                domain: node as u32,
                primary: way == node,
                amount: Amount::Delta(sum),
                tcp_flags: Some(TcpFlags {
                    bits,
                    of_one_packet: packets.len() == 1,
                }),
                ..at(time(0), time(packets.len() - 1), base.clone())
            }
        };
        seen.chunks(self.cuts[node]).map(record).collect()
    }

    fn all_records(&self) -> Vec<Observation> {
        let mut all = Vec::new();
        for (way, node) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let records = self.records(way, node);
            if self.twice {
                all.extend(records.iter().cloned().map(|one| Observation {
                    direction: Some(Direction::Egress),
                    primary: false,
                    ..one
                }));
            }
            all.extend(records);
        }
        all
    }
}

fn told() -> impl Strategy<Value = (Call, Vec<Observation>)> {
    call().prop_flat_map(|call| {
        let records = call.all_records();
        (Just(call), Just(records).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_call_is_one_connection_whose_sides_and_loss_are_what_they_were(
        (call, records) in told(),
        together in 1usize..20,
        apart in prop_oneof![Just(0), 0u64..3_000],
    ) {
        let mut run = Run::new(config());
        let arrives = call.end() + 2 * MIDDLE;
        for (n, records) in records.chunks(together).enumerate() {
            run.frame(arrives + n as u64 * apart, records);
        }
        run.until(10_000_000);
        let outputs = run.take();
        prop_assert!(outputs.windows(2).all(|pair| pair[0].id == pair[1].id), "{outputs:#?}");
        let last = outputs.last().unwrap();
        let seen = |nodes: [usize; 2]| Biflow {
            forward: call.seen(0, nodes[0]),
            reverse: call.seen(1, nodes[1]),
        };
        prop_assert_eq!(last.total, seen([0, 1]));
        let sides = [last.src_side.unwrap(), last.dst_side.unwrap()];
        prop_assert_eq!(sides.map(|side| side.total), [seen([0, 0]), seen([1, 1])]);
        for (way, lost) in [last.lost_packets.forward, last.lost_packets.reverse].into_iter().enumerate() {
            // The last output may come before copies of what it tells of.
            prop_assert!(lost == Some(call.lost(way)) || (apart > 0 && lost.is_none()));
        }
        prop_assert_eq!(last.client.port, 40_000);
    }
}
