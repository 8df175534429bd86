use proptest::prelude::*;

use super::super::{Batch, Sorted, Standing, Traffic, joined, schema, table_of};
use super::*;

fn edge(server: u32, port: u16, packets: u64, evidence: Evidence) -> (Key, Sums) {
    let key = Key {
        hour: 0,
        client: 1,
        server,
        port: Some(port),
        proto: Some(6),
        standing: Standing::of(evidence),
    };
    let forward = Traffic {
        bytes: 100 * packets,
        packets,
        flows: 1,
    };
    let sums = Sums {
        forward,
        reverse: Traffic::default(),
        connections: None,
        first: port,
        last: port,
        evidence,
    };
    (key, sums)
}

fn scan(server: u32, ports: u16) -> Vec<(Key, Sums)> {
    (1..=ports)
        .map(|port| edge(server, port, 1, Evidence::PORT))
        .collect()
}

fn total(edges: &[(Key, Sums)]) -> (u64, u64) {
    let flows = edges.iter().map(|(_, sums)| sums.forward.flows).sum();
    (edges.iter().map(|(_, sums)| sums.forward.bytes).sum(), flows)
}

#[test]
fn a_scan_of_all_ports_takes_few_rows_and_those_that_carry_something_keep_their_port() {
    let mut edges = scan(2, 60_000);
    edges.push(edge(2, 64_000, 5_000, Evidence::SYN));
    edges.push(edge(2, 64_001, 1, Evidence::SERVICE));
    edges.push(edge(3, 443, 1, Evidence::PORT));
    let before = total(&edges);
    let (after, folded) = fold(edges);
    assert_eq!(total(&after), before);
    assert_eq!((after.len(), folded), (64 + 1 + 1 + 1, 60_001 - 64));
    let ports = |port| after.iter().any(|(key, _)| key.port == Some(port));
    assert!(ports(64_000), "it carries most");
    assert!(ports(64_001), "a Service has it");
    assert!(ports(443), "another pair's");
    let without: Vec<_> = after.iter().filter(|(key, _)| key.port.is_none()).collect();
    assert_eq!(without.len(), 1);
    let words: Vec<_> = without[0].1.evidence.words().collect();
    assert_eq!(words, ["port", "scan"]);
    assert_eq!((without[0].1.first, without[0].1.last), (64, 60_000));
}

#[test]
fn as_many_ports_as_a_client_may_call_stay_as_they_are() {
    assert_eq!(fold(scan(2, 256)), (scan(2, 256), 0));
}

#[test]
fn where_many_pairs_have_many_ports_each_keeps_fewer() {
    let edges: Vec<_> = (2..12).flat_map(|server| scan(server, 100)).collect();
    let before = total(&edges);
    for (many, rows) in [
        (1_000, 1_000),
        (999, 10 * 17),
        (100, 10 * 5),
        (20, 10 * 2),
        (1, 10 * 2),
    ] {
        let (after, _) = fold_to(edges.clone(), many);
        assert_eq!((after.len(), total(&after)), (rows, before), "{many}");
    }
}

proptest! {
    #[test]
    fn the_order_of_edges_does_not_matter_and_nothing_is_lost(
        (edges, shuffled) in prop::collection::btree_map((2..5_u32, 1..400_u16), (0..4_u64, any::<bool>()), 0..600)
            .prop_map(|edges| {
                let edge = |((server, port), (packets, is_service))| {
                    let evidence = if is_service { Evidence::SERVICE } else { Evidence::SYN };
                    edge(server, port, packets, evidence)
                };
                edges.into_iter().map(edge).collect::<Vec<_>>()
            })
            .prop_flat_map(|edges| (Just(edges.clone()), Just(edges).prop_shuffle()))
    ) {
        let before = total(&edges);
        let sorted = |(mut edges, folded): (Vec<(Key, Sums)>, u64)| {
            edges.sort_by_key(|(key, _)| (pair(key), key.port, key.standing));
            (edges, folded)
        };
        for many in [10_000, 100] {
            let one = sorted(fold_to(edges.clone(), many));
            prop_assert_eq!(total(&one.0), before);
            let keys: std::collections::HashSet<_> = one.0.iter().map(|(key, _)| *key).collect();
            prop_assert_eq!(keys.len(), one.0.len(), "each edge is there once");
            prop_assert_eq!(one, sorted(fold_to(shuffled.clone(), many)));
        }
    }
}

#[test]
fn what_is_of_unknown_direction_stays_so_when_it_is_read_again() {
    let peers: Vec<_> = (1..=300)
        .map(|port| edge(2, port, 1, Evidence::NONE))
        .chain([edge(2, 443, 9, Evidence::PORT)])
        .collect();
    let of_known: Vec<_> = (301..=600).map(|port| edge(2, port, 1, Evidence::PORT)).collect();
    let (folded, _) = fold([peers, of_known].concat());
    let without = |edges: &[(Key, Sums)]| {
        let without = edges.iter().filter(|(key, _)| key.port.is_none());
        let mut without: Vec<_> = without.map(|(key, sums)| (key.standing, sums.evidence)).collect();
        without.sort_unstable();
        without
    };
    let table = super::super::build::table(&folded);
    let rows = Sorted::new_sorted(vec![Batch::of_rows(table)], &schema::edges());
    let again = table_of(&joined(&rows).rows);
    let columns: Vec<_> = again.columns().iter().cloned().map(Some).collect();
    let rows = super::super::build::Rows::of(&columns, again.num_rows());
    let again: Vec<_> = (0..again.num_rows()).map(|row| rows.row(row)).collect();
    assert_eq!(without(&folded).len(), 2);
    assert_eq!(without(&again), without(&folded));
}
