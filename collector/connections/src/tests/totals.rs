//! Totals of connection tracking.

use super::builder::*;
use crate::*;

/// What node `a` tracks of the request and its answers, polled so many ms after the
/// beginning.
fn line(id: u32, polled: u64, sent: u64, answered: u64) -> Observation {
    Observation {
        amount: Amount::Totals {
            sent: Counts::new(sent * 100, sent),
            answered: Counts::new(answered * 100, answered),
        },
        method: Method::Conntrack,
        direction: None,
        conntrack: Some(Conntrack {
            id,
            zone: 0,
            start: ms(u64::from(id)),
            polled: ms(polled),
            service: None,
            ended: false,
        }),
        ..at(ms(0), ms(polled), request())
    }
}

#[test]
fn totals_count_what_was_added() {
    let mut run = Run::new(config());
    run.frame(5_000, &[line(1, 5_000, 10, 5)])
        .frame(10_000, &[line(1, 10_000, 30, 6)]);
    let output = run.until(65_000).only();
    assert_eq!(output.total, both((3_000, 30), (600, 6)));
    assert_eq!(output.evidence, Evidence::Conntrack);
    assert_eq!(output.src_side.unwrap().total, output.total);
    let last = run.frame(70_000, &[line(1, 70_000, 31, 6)]).until(300_000).take();
    assert_eq!(last[0].delta, both((100, 1), (0, 0)));
}

#[test]
fn a_counter_that_began_again_counts_from_nothing() {
    let mut run = Run::new(config());
    run.frame(5_000, &[line(1, 5_000, 10, 5)])
        .frame(10_000, &[line(1, 10_000, 2, 1)]);
    let output = run.until(65_000).only();
    assert_eq!((output.total, output.resets), (both((1_200, 12), (600, 6)), 1));
    assert_eq!(run.stats().counter_resets, 1);
}

#[test]
fn an_older_poll_changes_nothing() {
    let mut run = Run::new(config());
    run.frame(
        10_000,
        &[
            line(1, 10_000, 30, 6),
            line(1, 5_000, 10, 5),
            line(1, 10_000, 30, 6),
        ],
    );
    let output = run.until(70_000).only();
    assert_eq!((output.total, output.resets), (both((3_000, 30), (600, 6)), 0));
    assert_eq!(run.stats().stale_totals, 1);
}

#[test]
fn another_id_is_another_connection_and_a_line_of_the_one_before_is_late() {
    let mut run = Run::new(config());
    run.frame(5_000, &[line(1, 5_000, 10, 5)])
        .frame(10_000, &[line(2, 10_000, 7, 7)]);
    let first = run.only();
    assert_eq!((first.is_final, first.total), (true, both((1_000, 10), (500, 5))));
    let late = run.frame(11_000, &[line(1, 9_000, 12, 5)]).only();
    assert_eq!((late.id, late.seq, late.late), (first.id, 2, true));
    assert_eq!(late.delta, both((200, 2), (0, 0)));
    let second = run.until(70_000).only();
    assert_ne!(second.id, first.id);
    assert_eq!(second.total, both((700, 7), (700, 7)));
}

#[test]
fn a_line_of_a_connection_that_is_known_no_more_is_stale() {
    let config = Config {
        max_remembered: 0,
        ..config()
    };
    let mut run = Run::new(config);
    run.frame(5_000, &[line(1, 5_000, 10, 5)])
        .frame(10_000, &[line(2, 10_000, 7, 7)])
        .take();
    run.frame(11_000, &[line(1, 9_000, 12, 5)]);
    assert_eq!(run.stats().stale_totals, 1);
    assert_eq!(
        run.connections.live().next().unwrap().total,
        both((700, 7), (700, 7))
    );
}

#[test]
fn ids_of_two_nodes_are_not_compared() {
    let mut run = Run::new(config());
    let other = Observation {
        node: "b".into(),
        primary: false,
        ..line(9, 5_000, 10, 5)
    };
    run.frame(5_000, &[line(1, 5_000, 10, 5), other])
        .frame(6_000, &[line(1, 6_000, 11, 5)]);
    let output = run.until(66_000).only();
    assert_eq!(output.total, both((1_100, 11), (500, 5)));
    assert_eq!(output.dst_side.unwrap().total, both((1_000, 10), (500, 5)));
}

#[test]
fn tracking_that_ends_ends_the_connection() {
    let mut run = Run::new(config());
    let mut gone = line(1, 5_000, 10, 5);
    gone.conntrack.as_mut().unwrap().ended = true;
    let output = run.frame(5_000, &[gone]).until(65_000).only();
    assert_eq!((output.reason, output.is_final), (Reason::End, true));
}

#[test]
fn totals_of_an_exporter_without_tracking_count_alike() {
    let mut run = Run::new(config());
    let of = |end: u64, sent: u64| Observation {
        method: Method::Ipfix,
        conntrack: None,
        ..line(1, end, sent, 0)
    };
    run.frame(5_000, &[of(5_000, 10)])
        .frame(10_000, &[of(10_000, 30)]);
    assert_eq!(run.until(66_000).only().total, both((3_000, 30), (0, 0)));
}

#[test]
fn totals_go_on_from_what_is_known_of_them_after_an_eviction() {
    let mut run = Run::new(Config {
        max_connections: 1,
        ..config()
    });
    let other = Observation {
        network: "blue".into(),
        primary: false,
        ..request()
    };
    run.frame(5_000, &[line(1, 5_000, 10, 5)])
        .frame(6_000, std::slice::from_ref(&other))
        .frame(10_000, &[line(1, 10_000, 12, 5)])
        .frame(15_000, &[line(1, 15_000, 13, 5)]);
    let outputs = run.take();
    assert!(outputs.iter().all(|output| !output.late), "{outputs:#?}");
    let live = run.connections.live().next().unwrap();
    assert_eq!((live.total, live.midstream), (both((300, 3), (0, 0)), true));
}

#[test]
fn totals_whose_base_was_forgotten_count_what_is_added_from_then_on() {
    let mut run = Run::new(Config {
        max_connections: 1,
        max_remembered: 0,
        ..config()
    });
    let other = Observation {
        network: "blue".into(),
        ..line(7, 6_000, 1, 1)
    };
    run.frame(5_000, &[line(1, 5_000, 10, 5)])
        .frame(6_000, &[other])
        .frame(10_000, &[line(1, 10_000, 12, 5)])
        .frame(15_000, &[line(1, 15_000, 13, 5)]);
    let live = run.connections.live().next().unwrap();
    assert_eq!(live.total, both((100, 1), (0, 0)));
    assert_eq!(run.stats().bases_unknown, 1);
}

#[test]
fn what_was_counted_long_before_it_is_first_told_is_not_added_at_once() {
    let mut run = Run::new(config());
    run.frame(1_000_000, &[line(1, 1_000_000, 10_000, 5_000)])
        .frame(1_005_000, &[line(1, 1_005_000, 10_001, 5_000)]);
    let live = run.connections.live().next().unwrap();
    assert_eq!(live.total, both((100, 1), (0, 0)));
}

#[test]
fn two_zones_of_one_node_are_two_sources() {
    let mut run = Run::new(config());
    let zone = |zone: u16, mut line: Observation| {
        line.conntrack.as_mut().unwrap().zone = zone;
        line
    };
    for poll in 1..4 {
        let polled = poll * 5_000;
        run.frame(
            polled,
            &[
                zone(1, line(1, polled, poll * 10, 0)),
                Observation {
                    primary: false,
                    ..zone(2, line(2, polled, poll * 10, 0))
                },
            ],
        );
    }
    let live: Vec<_> = run.connections.live().collect();
    assert_eq!((live.len(), run.outputs.len()), (1, 0));
    assert_eq!(live[0].total, both((3_000, 30), (0, 0)));
}

#[test]
fn a_line_that_is_first_told_after_the_end_is_of_the_next_connection() {
    let mut run = Run::new(config());
    run.frame(2_000, &[flags(0x04, request())]);
    let mut next = line(9, 60_000, 7, 7);
    (next.start, next.conntrack.as_mut().unwrap().start) = (ms(50_000), ms(50_000));
    run.frame(60_000, &[next]);
    let first = run.only();
    assert_eq!(
        (first.reason, first.total),
        (Reason::End, both((1_000, 10), (0, 0)))
    );
    assert_eq!(
        run.connections.live().next().unwrap().total,
        both((700, 7), (700, 7))
    );
}

#[test]
fn no_more_sources_of_totals_are_kept_than_may_be() {
    let mut run = Run::new(config());
    for domain in 0..1_000 {
        let record = Observation {
            domain,
            primary: false,
            ..line(1, 5_000, 10, 5)
        };
        run.frame(5_000 + u64::from(domain), &[record]);
    }
    assert_eq!(run.stats().totals_refused, 1_000 - 8);
    assert!(run.connections.bytes() < 10_000);
}
