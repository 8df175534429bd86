//! The server's address before translation.

use super::builder::*;
use crate::*;

/// The client's node sees it ask the Service.
fn to_service() -> Observation {
    Observation {
        dst: end("10.96.0.1", 80, Some(service("web"))),
        ..request()
    }
}

/// The server's node sees the endpoint answer.
fn from_endpoint(addr: &str) -> Observation {
    Observation {
        src: end(addr, 80, Some(endpoint("web-1", "b", "web"))),
        ..answer()
    }
}

fn assert_joined(output: &Output, by: JoinedBy) {
    assert_eq!(output.total, both((1_000, 10), (2_000, 20)));
    assert_eq!(output.server.addr, "10.0.1.1".parse().ok());
    let service = output.service.as_ref().unwrap();
    assert_eq!(service.end.addr, "10.96.0.1".parse().ok());
    assert_eq!(service.joined_by, by);
    assert_eq!(
        service.total,
        both((1_000, 10), (0, 0)),
        "what was seen under its address"
    );
}

#[test]
fn a_service_and_its_only_endpoint_are_one_connection_in_either_order() {
    let parts = [to_service(), from_endpoint("10.0.1.1")];
    let turned = [from_endpoint("10.0.1.1"), to_service()];
    for records in [parts, turned] {
        let mut run = Run::new(config());
        let output = run.frame(2_000, &records).until(7_000).only();
        assert_joined(&output, JoinedBy::Service);
        assert_eq!(
            &*output.service.as_ref().unwrap().end.who.as_ref().unwrap().name,
            "web"
        );
        assert!(output.src_side.is_some() && output.dst_side.is_some());
        assert_eq!((run.connections.len(), run.stats().joined), (1, 1));
    }
}

#[test]
fn what_comes_under_either_address_later_is_of_the_same_connection() {
    let mut run = Run::new(config());
    run.frame(2_000, &[to_service(), from_endpoint("10.0.1.1")])
        .until(7_000)
        .take();
    run.frame(8_000, &[to_service(), from_endpoint("10.0.1.1")]);
    let output = run.until(67_000).only();
    assert_eq!(output.delta, both((1_000, 10), (2_000, 20)));
    assert_eq!(output.service.unwrap().delta, both((1_000, 10), (0, 0)));
    run.until(300_000).take();
    let late = run.frame(301_000, &[to_service()]).only();
    assert!(late.late && late.service.is_some());
    assert_eq!((late.id, late.seq), (output.id, output.seq + 2));
}

#[test]
fn with_two_endpoints_nobody_knows_and_all_are_put_out() {
    let mut run = Run::new(config());
    let endpoints = [from_endpoint("10.0.1.1"), from_endpoint("10.0.1.2")];
    run.frame(2_000, &endpoints)
        .frame(3_000, &[to_service()])
        .until(63_000);
    let outputs = run.take();
    assert_eq!((outputs.len(), run.stats().joined), (3, 0));
    assert!(outputs.iter().all(|output| output.service.is_none()));
}

#[test]
fn endpoints_of_another_service_or_another_time_are_no_part_of_it() {
    let mut run = Run::new(config());
    let other = Observation {
        src: end("10.0.1.1", 80, Some(endpoint("web-1", "b", "other"))),
        ..answer()
    };
    let early = at(T0 - 100_000_000, T0 - 90_000_000, from_endpoint("10.0.1.2"));
    run.frame(2_000, &[other, early, to_service()]);
    assert_eq!((run.connections.len(), run.stats().joined), (3, 0));
}

#[test]
fn what_was_put_out_before_it_was_joined_stays_under_its_own_id() {
    let mut run = Run::new(config());
    let alone = run.frame(2_000, &[to_service()]).until(62_000).only();
    run.frame(63_000, &[from_endpoint("10.0.1.1"), to_service()])
        .until(69_000);
    let outputs = run.take();
    let [end, joined] = outputs.as_slice() else {
        panic!("{outputs:#?}")
    };
    assert_eq!(
        (end.id, end.seq, end.reason, end.is_final),
        (alone.id, 2, Reason::Forced, true)
    );
    assert_ne!(joined.id, alone.id);
    assert_joined(joined, JoinedBy::Service);
}

#[test]
fn connection_tracking_says_which_address_was_translated() {
    let told = Observation {
        conntrack: Some(Conntrack {
            id: 1,
            zone: 0,
            start: ms(0),
            polled: ms(1_000),
            service: Some(("10.96.0.1".parse().unwrap(), 80)),
            ended: false,
        }),
        amount: Amount::Totals {
            sent: Counts::default(),
            answered: Counts::new(2_000, 20),
        },
        ..request()
    };
    for records in [[told.clone(), to_service()], [to_service(), told]] {
        let mut run = Run::new(config());
        let output = run.frame(2_000, &records).until(62_000).only();
        assert_joined(&output, JoinedBy::Conntrack);
        assert_eq!(run.connections.len(), 1);
    }
}
