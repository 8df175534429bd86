//! Which connection of its key an observation is of, and who began it.

use super::builder::*;
use crate::*;

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const FIN_ACK: u8 = 0x11;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// A connection that begins and ends within the second from `start`.
fn whole(start: u64) -> [Observation; 4] {
    [
        flags(SYN, at(ms(start), ms(start), request())),
        flags(SYN_ACK, at(ms(start + 1), ms(start + 1), answer())),
        flags(FIN_ACK, at(ms(start + 300), ms(start + 300), request())),
        flags(FIN_ACK, at(ms(start + 301), ms(start + 301), answer())),
    ]
}

#[test]
fn a_tuple_used_again_within_a_second_is_another_connection() {
    let mut run = Run::new(config());
    run.frame(400, &whole(0)).frame(1_200, &whole(800)).until(100_000);
    let outputs = run.take();
    assert_eq!(outputs.len(), 2);
    for output in &outputs {
        assert_eq!(
            (output.seq, output.reason, output.is_final),
            (1, Reason::End, true)
        );
        assert_eq!(output.total, both((2_000, 20), (4_000, 40)));
        assert_eq!(output.tcp_state, Some(TcpState::TimeWait));
    }
    assert_ne!(outputs[0].id, outputs[1].id);
    assert!(outputs[0].end < outputs[1].start);
}

#[test]
fn what_is_late_for_the_first_of_two_connections_goes_to_it() {
    let mut run = Run::new(config());
    run.frame(400, &whole(0)).frame(1_200, &whole(800));
    let first = run.only();
    let late = flags(ACK, at(ms(100), ms(200), request()));
    let output = run.frame(1_300, &[late]).only();
    assert_eq!((output.id, output.seq, output.late), (first.id, 2, true));
    assert_eq!(output.delta, both((1_000, 10), (0, 0)));
    assert_eq!(output.total, both((3_000, 30), (4_000, 40)));
}

#[test]
fn a_reset_ends_a_connection_from_either_end() {
    let mut run = Run::new(config());
    let records = [flags(SYN, request()), flags(RST | ACK, answer())];
    let output = run.frame(2_000, &records).until(7_000).only();
    assert_eq!(
        (output.reason, output.tcp_state),
        (Reason::End, Some(TcpState::Close))
    );
}

#[test]
fn a_beginning_that_comes_again_is_no_other_connection() {
    let mut run = Run::new(config());
    let again = flags(SYN, at(ms(1_000), ms(1_000), request()));
    run.frame(2_000, &[flags(SYN, request()), again]).until(300_000);
    assert!(run.take().windows(2).all(|pair| pair[0].id == pair[1].id));
}

#[test]
fn a_gap_longer_than_inactive_is_another_connection() {
    let mut run = Run::new(config());
    let later = at(ms(200_000), ms(201_000), request());
    run.frame(202_000, &[request(), later]).until(500_000);
    let last: Vec<_> = run.take().into_iter().filter(|output| output.is_final).collect();
    assert_eq!(last.len(), 2);
    assert_ne!(last[0].id, last[1].id);
    assert_eq!((last[0].reason, last[1].midstream), (Reason::Idle, true));
}

#[test]
fn a_clock_an_hour_ahead_splits_nothing_and_is_told() {
    let mut run = Run::new(config());
    const HOUR: u64 = 3_600_000;
    for minute in 0..3 {
        let from = minute * 60_000;
        let right = at(ms(from), ms(from + 50_000), request());
        let ahead = at(ms(from + HOUR), ms(from + HOUR + 50_000), seen_by("b", request()));
        run.frame(from + 51_000, &[right, ahead]);
    }
    run.until(1_000_000);
    let outputs = run.take();
    let last = outputs.last().unwrap();
    assert!(
        outputs
            .iter()
            .all(|output| output.id == last.id && output.clock_off)
    );
    assert_eq!(last.total, both((3_000, 30), (0, 0)));
    assert_eq!(last.dst_side.unwrap().total, last.total);
    assert_eq!(last.lost_packets.forward, None);
    assert!(
        outputs.iter().all(|output| output.covered <= 100_000_000),
        "the hour is not covered"
    );
    assert_eq!(run.stats().clock_off, 3);
}

#[test]
fn a_clock_ahead_does_not_take_what_begins_after_the_end_for_late() {
    let mut run = Run::new(config());
    let ahead = at(ms(3_600_000), ms(3_601_000), seen_by("b", request()));
    run.frame(2_000, &[request(), ahead]).until(200_000).take();
    let next = at(ms(210_000), ms(211_000), request());
    let output = run.frame(212_000, &[next]).until(272_000).only();
    assert!(!output.late);
}

#[test]
fn who_began_may_turn_before_the_first_output_and_never_after() {
    let mut run = Run::new(config());
    let unknown = Observation {
        client: None,
        ..answer()
    };
    run.frame(2_000, std::slice::from_ref(&unknown));
    let live: Vec<_> = run.connections.live().collect();
    assert_eq!((live[0].client.port, live[0].evidence), (80, Evidence::FirstSeen));
    let turned = run.frame(3_000, &[flags(SYN, request())]).until(62_000).only();
    assert_eq!((turned.client.port, turned.evidence), (40_000, Evidence::Syn));
    assert_eq!(turned.total, both((1_000, 10), (2_000, 20)));

    let mut run = Run::new(config());
    let first = run.frame(2_000, &[unknown]).until(62_000).only();
    let second = run.frame(63_000, &[flags(SYN, request())]).until(123_000).only();
    assert_eq!((first.client.port, second.client.port), (80, 80));
}

#[test]
fn a_connection_that_is_met_in_its_middle_says_so() {
    let begins = |bits: u8| {
        let mut run = Run::new(config());
        run.frame(2_000, &[flags(bits, request())])
            .until(62_000)
            .only()
            .midstream
    };
    assert_eq!((begins(SYN), begins(ACK)), (false, true));
}

#[test]
fn requests_and_replies_of_icmp_are_one_connection() {
    let icmp = |kind: u8, observation: Observation| Observation {
        proto: 1,
        icmp: Some(Icmp {
            kind,
            identifier: None,
        }),
        client: None,
        ..observation
    };
    let mut run = Run::new(config());
    let output = run
        .frame(2_000, &[icmp(0, answer()), icmp(8, request())])
        .until(7_000)
        .only();
    assert_eq!(output.client.addr, request().src.addr, "who asks is the client");
    assert_eq!(output.total, both((1_000, 10), (2_000, 20)));
    run.frame(8_000, &[icmp(3, answer())]);
    assert_eq!(run.connections.len(), 2, "an error is another exchange");
}

#[test]
fn equal_addresses_of_two_networks_are_two_connections() {
    let mut run = Run::new(config());
    let other = Observation {
        network: "blue".into(),
        ..request()
    };
    run.frame(2_000, &[request(), other]);
    assert_eq!(run.connections.len(), 2);
}

#[test]
fn both_directions_nodes_and_addresses_of_a_server_are_of_one_shard() {
    let before = Observation {
        dst: end("10.96.0.1", 80, None),
        ..request()
    };
    let shards = [request(), answer(), seen_by("b", request()), before].map(|one| shard_hash(&one));
    assert!(shards.iter().all(|shard| *shard == shards[0]));
    let other = Observation {
        src: end("10.0.0.2", 40_000, None),
        ..request()
    };
    assert_ne!(shard_hash(&other), shards[0]);
    assert_eq!(
        shards[0], 4_691_299_203_907_841_895,
        "it stays what it is: processes of two versions share keys out alike"
    );
}
