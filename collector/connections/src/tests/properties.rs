//! What holds for whatever comes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::builder::*;
use super::scenario::{Scenario, scenario};
use crate::*;

/// Network, protocol, who sent, who got it.
type Way = (Arc<str>, u8, (Option<IpAddr>, u16), (Option<IpAddr>, u16));
type Sums = BTreeMap<Way, Counts>;

fn add(sums: &mut Sums, way: Way, counts: Counts) {
    let sum = sums.entry(way).or_default();
    *sum = sum.plus(counts);
}

/// What the store's sums say, for each key and direction.
fn of_primary_records(scenario: &Scenario) -> Sums {
    let mut sums = Sums::new();
    for one in scenario.observations().filter(|one| one.primary) {
        let Amount::Delta(counts) = one.amount else {
            continue;
        };
        let (src, dst) = ((one.src.addr, one.src.port), (one.dst.addr, one.dst.port));
        add(&mut sums, (one.network.clone(), one.proto, src, dst), counts);
    }
    without_nothing(sums)
}

fn without_nothing(mut sums: Sums) -> Sums {
    sums.retain(|_, counts| *counts != Counts::default());
    sums
}

/// What connections say: by the address that each part was seen under.
fn of_outputs<'o>(
    outputs: impl IntoIterator<Item = &'o Output>,
    of: fn(&Output) -> [Biflow<Counts>; 2],
) -> Sums {
    let mut sums = Sums::new();
    for output in outputs {
        let [all, by_service] = of(output);
        let client = (output.client.addr, output.client.port);
        let mut add_both = |server: &OutputEnd, counts: Biflow<Counts>| {
            let server = (server.addr, server.port);
            let (network, proto) = (&output.network, output.proto);
            add(
                &mut sums,
                (network.clone(), proto, client, server),
                counts.forward,
            );
            add(
                &mut sums,
                (network.clone(), proto, server, client),
                counts.reverse,
            );
        };
        add_both(&output.server, all.since(by_service));
        if let Some(service) = &output.service {
            add_both(&service.end, by_service);
        }
    }
    without_nothing(sums)
}

fn deltas(output: &Output) -> [Biflow<Counts>; 2] {
    let service = output.service.as_ref().map(|service| service.delta);
    [output.delta, service.unwrap_or_default()]
}

fn totals(output: &Output) -> [Biflow<Counts>; 2] {
    let service = output.service.as_ref().map(|service| service.total);
    [output.total, service.unwrap_or_default()]
}

/// Outputs by their names; two of one name are the same.
fn by_name(outputs: impl IntoIterator<Item = Output>) -> BTreeMap<(ConnectionId, u32), Output> {
    let mut names = BTreeMap::new();
    for output in outputs {
        let name = (output.id, output.seq);
        if let Some(before) = names.insert(name, output.clone()) {
            assert_eq!(before, output, "one name, two outputs");
        }
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_sum_over_connections_is_the_sum_over_primary_records(scenario in scenario()) {
        let (mut outputs, connections) = scenario.run();
        outputs.extend(connections.live());
        let names = by_name(outputs);
        prop_assert_eq!(of_outputs(names.values(), deltas), of_primary_records(&scenario));
    }

    #[test]
    fn the_last_totals_of_each_connection_sum_up_to_the_same(scenario in scenario()) {
        let (mut outputs, connections) = scenario.run();
        outputs.extend(connections.live());
        let last: BTreeMap<_, _> = by_name(outputs).into_iter().map(|((id, _), output)| (id, output)).collect();
        prop_assert_eq!(of_outputs(last.values(), totals), of_primary_records(&scenario));
    }

    #[test]
    fn after_a_long_silence_nothing_is_open_and_the_sum_holds(scenario in scenario()) {
        let (mut outputs, mut connections) = scenario.run();
        connections.advance(ms(1_000_000_000_000), &mut |output| outputs.push(output));
        prop_assert!(connections.is_empty());
        prop_assert_eq!(connections.table.len(), 0);
        prop_assert_eq!((connections.remembered.len(), connections.joins.len(), connections.heap), (0, 0, 0));
        let stats = *connections.stats();
        prop_assert_eq!(stats.opened, stats.finished + stats.joined - joined_after_output(&outputs));
        prop_assert_eq!(of_outputs(by_name(outputs).values(), deltas), of_primary_records(&scenario));
    }

    #[test]
    fn numbers_of_outputs_have_no_gap_and_no_connection_ends_twice(scenario in scenario()) {
        let (outputs, _) = scenario.run();
        let mut last: BTreeMap<ConnectionId, &Output> = BTreeMap::new();
        for output in &outputs {
            let before = last.insert(output.id, output);
            prop_assert_eq!(output.seq, before.map_or(0, |before| before.seq) + 1);
            let ended = before.is_some_and(|before| before.is_final);
            prop_assert_eq!(output.late, ended);
        }
    }

    #[test]
    fn killed_anywhere_it_puts_out_the_same_as_without(
        scenario in scenario(),
        crashes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20), 1..5),
    ) {
        let (undisturbed, end) = scenario.run();
        let crashes = crashes.into_iter().map(|(at, after)| (at.index(scenario.frames.len()), after));
        let mut outputs = Vec::new();
        let mut connections = Connections::new(scenario.config.clone());
        let mut crashes = crashes.map(|(at, after)| (at, at + after)).collect::<Vec<_>>();
        crashes.sort_unstable();
        let mut at = 0;
        for (saved, killed) in crashes {
            let mut run = |connections: &mut Connections, from: usize, until: usize| {
                for at in from..until.min(scenario.frames.len()) {
                    connections.apply(scenario.frame(at), &mut |output| outputs.push(output));
                }
            };
            if saved < at || killed >= scenario.frames.len() {
                continue;
            }
            run(&mut connections, at, saved);
            let mut bytes = Vec::new();
            connections.checkpoint(&mut bytes).unwrap();
            run(&mut connections, saved, killed);
            connections = Connections::restore(scenario.config.clone(), &bytes).unwrap();
            // The log is read from somewhat before: frames come again.
            let last = saved.saturating_sub(1);
            at = saved.saturating_sub(3).max(scenario.log_begins(last));
        }
        for at in at..scenario.frames.len() {
            connections.apply(scenario.frame(at), &mut |output| outputs.push(output));
        }
        prop_assert_eq!(by_name(outputs), by_name(undisturbed));
        prop_assert_eq!(by_name(connections.live()), by_name(end.live()));
    }

    #[test]
    fn how_often_the_time_is_told_changes_nothing(scenario in scenario(), steps in 1u64..40) {
        let (seldom, _) = scenario.run();
        let mut often = Vec::new();
        let mut connections = Connections::new(scenario.config.clone());
        for at in 0..scenario.frames.len() {
            let (now, time) = (connections.now.max(T0), scenario.frames[at].1);
            for step in 0..steps {
                connections.advance(now + (time.saturating_sub(now)) * step / steps, &mut |output| often.push(output));
            }
            connections.apply(scenario.frame(at), &mut |output| often.push(output));
        }
        prop_assert_eq!(by_name(often), by_name(seldom));
    }

    #[test]
    fn a_flush_puts_out_what_is_new_once(scenario in scenario()) {
        let (mut outputs, mut connections) = scenario.run();
        connections.flush(&mut |output| outputs.push(output));
        let flushed = outputs.len();
        connections.flush(&mut |output| outputs.push(output));
        prop_assert_eq!(outputs.len(), flushed);
        prop_assert_eq!(of_outputs(by_name(outputs).values(), deltas), of_primary_records(&scenario));
        prop_assert!(connections.live().all(|live| live.delta == Biflow::default()));
    }

    #[test]
    fn no_more_connections_are_open_than_may_be(scenario in scenario()) {
        let mut connections = Connections::new(scenario.config.clone());
        for at in 0..scenario.frames.len() {
            connections.apply(scenario.frame(at), &mut |_| {});
            prop_assert!(connections.len() <= scenario.config.max_connections);
            prop_assert!(connections.remembered.len() <= scenario.config.max_remembered);
            prop_assert!(connections.bytes() <= scenario.config.max_bytes);
            let open = connections.wheel.iter().map(|(slot, _)| slot);
            let slots = open.chain(connections.remembered.iter());
            let heap: usize = slots.map(|slot| connections.pool.get(slot).unwrap().heap()).sum();
            prop_assert_eq!(connections.heap, heap);
        }
    }

    #[test]
    fn what_nodes_saw_does_not_depend_on_the_order(
        (in_order, shuffled) in one_connection().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let outcome = |observations: &[Observation]| {
            let mut run = Run::new(config());
            run.frame(30_000, observations).until(10_000_000);
            let last = run.take().pop().unwrap();
            (last.total, last.src_side, last.dst_side, last.lost_packets, last.start, last.end)
        };
        prop_assert_eq!(outcome(&in_order), outcome(&shuffled));
    }
}

/// Connections by a Service's address that had been put out before they were joined end
/// with an output of their own, and count as finished.
fn joined_after_output(outputs: &[Output]) -> u64 {
    outputs
        .iter()
        .filter(|output| output.is_final && output.reason == Reason::Forced)
        .count() as u64
}

prop_compose! {
    fn part()(
        reverse in any::<bool>(),
        node in prop_oneof![Just("a"), Just("b"), Just("c")],
        egress in any::<bool>(),
        (method, sampling) in prop_oneof![
            Just((Method::Ipfix, 1)), Just((Method::Ipfix, 64)), Just((Method::NetFlow, 1)), Just((Method::SFlow, 400)),
        ],
        primary in any::<bool>(),
        start in 0u64..10_000,
        length in 0u64..10_000,
        bytes in 0u64..100_000,
        packets in 0u64..1_000,
    ) -> Observation {
        let base = if reverse { answer() } else { request() };
        Observation {
            node: node.into(),
            direction: Some(if egress { Direction::Egress } else { Direction::Ingress }),
            method,
            sampling,
            primary,
            amount: Amount::Delta(Counts::new(bytes, packets)),
            ..at(ms(start), ms(start + length), base)
        }
    }
}

/// Records of one connection, all of which come before its first output.
fn one_connection() -> impl Strategy<Value = Vec<Observation>> {
    prop::collection::vec(part(), 1..20)
}

/// Properties that hold because nothing happens would say nothing.
#[test]
fn scenarios_come_to_all_that_can_happen() {
    let mut runner = TestRunner::deterministic();
    let (mut all, mut put_out_before_joined) = ([0; 15], 0);
    for _ in 0..600 {
        let scenario = scenario().new_tree(&mut runner).unwrap().current();
        let (outputs, connections) = scenario.run();
        let stats = connections.stats();
        let counted = [
            stats.evicted,
            stats.late - stats.late_unshown,
            stats.forgotten_early,
            stats.one_sided,
            stats.joined,
            stats.stale_totals,
            stats.counter_resets,
            stats.late_unshown,
            stats.bases_unknown,
            stats.joins_refused,
            stats.let_go,
            stats.clock_off,
            stats.times_mended,
            stats.clock_set_back,
            stats.other_logs,
        ];
        all.iter_mut().zip(counted).for_each(|(sum, count)| *sum += count);
        put_out_before_joined += joined_after_output(&outputs);
    }
    assert!(all.iter().all(|sum| *sum > 0), "{all:?}");
    assert!(put_out_before_joined > 0);
}
