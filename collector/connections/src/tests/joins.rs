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

/// Both parts of the call to an endpoint in the second from then.
fn parts(endpoint: &str, after: u64) -> [Observation; 2] {
    let within = |one| at(ms(after), ms(after + 1_000), one);
    [within(to_service()), within(from_endpoint(endpoint))]
}

#[test]
fn the_next_call_to_another_endpoint_is_no_part_of_the_first() {
    let mut run = Run::new(config());
    run.frame(2_000, &parts("10.0.1.1", 0));
    for half_minute in 1..8 {
        let after = half_minute * 30_000;
        run.frame(after + 2_000, &parts("10.0.1.2", after));
    }
    run.until(2_000_000);
    let last: Vec<_> = run.take().into_iter().filter(|output| output.is_final).collect();
    let of = |addr: &str| {
        let mut of = last
            .iter()
            .filter(|output| output.server.addr == addr.parse().ok());
        of.next().unwrap()
    };
    let (first, second) = (of("10.0.1.1"), of("10.0.1.2"));
    assert_eq!(run.stats().let_go, 1);
    assert_eq!(
        first.total,
        both((2_000, 20), (2_000, 20)),
        "the one that came before the other endpoint was known"
    );
    assert_eq!(second.total, both((6_000, 60), (14_000, 140)));
    assert_eq!(
        second.service.as_ref().unwrap().total.forward,
        Counts::new(6_000, 60)
    );
}

#[test]
fn a_service_is_let_go_by_an_endpoint_that_nobody_sees_any_more() {
    let mut run = Run::new(config());
    run.frame(2_000, &parts("10.0.1.1", 0));
    for minute in 1..6 {
        let after = minute * 60_000;
        run.frame(after + 2_000, &[at(ms(after), ms(after + 1_000), to_service())]);
    }
    assert_eq!(run.stats().let_go, 1);
    run.until(1_000_000);
    let outputs = run.take();
    let last = outputs.iter().filter(|output| output.is_final);
    let servers: Vec<_> = last
        .map(|output| output.server.addr.unwrap().to_string())
        .collect();
    assert_eq!(servers, ["10.0.1.1", "10.96.0.1"]);
    let sum = outputs
        .iter()
        .fold(Biflow::default(), |sum, output| output.delta.plus(sum));
    assert_eq!(sum, both((6_000, 60), (2_000, 20)));
}

#[test]
fn parts_that_come_at_one_time_later_are_joined_then() {
    let mut run = Run::new(config());
    run.frame(2_000, &[from_endpoint("10.0.1.1")]);
    run.frame(32_000, &[at(ms(30_000), ms(31_000), to_service())]);
    assert_eq!(run.stats().joined, 0);
    run.frame(33_000, &[at(ms(30_000), ms(31_000), from_endpoint("10.0.1.1"))]);
    assert_eq!((run.stats().joined, run.connections.len()), (1, 1));
}

#[test]
fn tracking_of_the_next_call_takes_the_service_from_the_first() {
    let told = |endpoint: &str, start: u64| Observation {
        dst: end(endpoint, 80, Some(endpoint_of(endpoint))),
        conntrack: Some(Conntrack {
            id: u32::from(endpoint.as_bytes()[7]),
            zone: 0,
            start: ms(start),
            polled: ms(start + 1_000),
            service: Some(("10.96.0.1".parse().unwrap(), 80)),
            ended: false,
        }),
        amount: Amount::Totals {
            sent: Counts::default(),
            answered: Counts::new(2_000, 20),
        },
        ..at(ms(start), ms(start + 1_000), request())
    };
    let mut run = Run::new(config());
    run.frame(2_000, &[to_service()])
        .frame(102_000, &[told("10.0.1.1", 100_000)]);
    let first = run.take().pop().unwrap();
    assert_eq!((first.is_final, first.total), (true, both((1_000, 10), (0, 0))));
    run.frame(122_000, &[told("10.0.1.2", 120_000)]);
    run.frame(123_000, &[at(ms(121_000), ms(121_500), to_service())]);
    let live: Vec<_> = run.connections.live().collect();
    let totals: Vec<_> = live
        .iter()
        .map(|one| (one.server.addr.unwrap().to_string(), one.total.forward.packets))
        .collect();
    assert!(totals.contains(&("10.0.1.1".into(), 0)), "{totals:?}");
    assert!(totals.contains(&("10.0.1.2".into(), 10)), "{totals:?}");
}

fn endpoint_of(addr: &str) -> std::sync::Arc<Identity> {
    endpoint(addr, "b", "web")
}

#[test]
fn who_asks_is_no_part_of_a_pair_though_it_is_the_endpoint_of_a_service() {
    let outer = |pod: u32, evidence: Option<Evidence>| Observation {
        src: End {
            addr: Some(std::net::Ipv4Addr::from(0x0a00_0000 + pod).into()),
            port: 40_000,
            who: Some(endpoint(&format!("app-{pod}"), "a", &format!("app-{}", pod % 50))),
        },
        dst: end("10.9.9.9", 5_432, None),
        client: evidence.map(|evidence| (Client::Src, evidence)),
        ..request()
    };
    let mut run = Run::new(config());
    for pod in 0..2_000 {
        run.frame(2_000 + u64::from(pod), &[outer(pod, Some(Evidence::Port))]);
    }
    assert_eq!(run.connections.joins.len(), 0);
    let mut run = Run::new(config());
    for pod in 0..2_000 {
        run.frame(2_000 + u64::from(pod), &[outer(pod, None)]);
    }
    assert_eq!(
        run.connections.joins.len(),
        4,
        "of those of one client few are kept"
    );
    assert_eq!(run.stats().joins_refused, 2_000 - 4);
}

#[test]
fn where_a_client_has_more_than_are_kept_nobody_knows_which_two_are_a_pair() {
    let other = |service_number: u32| Observation {
        dst: end(
            &format!("10.96.1.{service_number}"),
            80,
            Some(service(&format!("other-{service_number}"))),
        ),
        ..request()
    };
    let mut records: Vec<_> = (0..5).map(other).collect();
    records.extend([to_service(), from_endpoint("10.0.1.1")]);
    let mut run = Run::new(config());
    run.frame(2_000, &records);
    assert_eq!((run.connections.len(), run.stats().joined), (7, 0));
}

#[test]
fn no_name_turns_a_client_that_asked() {
    // The endpoint asks its own Service's address, from the port that it listens on.
    let asks = Observation {
        tcp_flags: Some(TcpFlags {
            bits: 0x02,
            of_one_packet: true,
        }),
        src: end("10.0.1.1", 80, Some(endpoint("web-1", "b", "web"))),
        dst: end("10.0.0.1", 40_000, Some(pod("client", "a"))),
        ..request()
    };
    let mut run = Run::new(config());
    run.frame(2_000, &[asks, to_service()]);
    assert_eq!((run.connections.len(), run.stats().joined), (2, 0));
}
