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

/// All records of the call that begins at `start`, as both nodes see it; the clock of the
/// server's node is so many ms ahead.
fn by_both(start: u64, ahead: u64) -> ([Observation; 4], [Observation; 4]) {
    let there = whole(start + ahead).map(|one| if &*one.node == "b" { one } else { seen_by("b", one) });
    let here = whole(start).map(|one| if &*one.node == "a" { one } else { seen_by("a", one) });
    (here, there)
}

#[test]
fn a_call_whose_first_and_last_packets_have_one_time_is_one_connection_in_any_order() {
    let ask = flags(SYN, at(ms(0), ms(0), request()));
    let refuse = flags(RST | ACK, at(ms(0), ms(0), answer()));
    let out = Observation {
        direction: Some(Direction::Egress),
        ..seen_by("a", ask.clone())
    };
    let mut records = vec![refuse, ask.clone(), seen_by("b", ask), out];
    for _ in 0..records.len() {
        records.rotate_left(1);
        let mut run = Run::new(config());
        let output = run.frame(2_000, &records).until(300_000).only();
        assert_eq!(output.total, both((1_000, 10), (2_000, 20)));
    }
}

#[test]
fn a_short_call_is_one_connection_though_the_clocks_of_its_nodes_differ() {
    for ahead in [400, 1_900] {
        let (here, there) = by_both(0, ahead);
        for records in [[&here, &there], [&there, &here]] {
            let mut run = Run::new(config());
            run.frame(4_000, records[0]).frame(4_500, records[1]);
            let output = run.until(300_000).only();
            assert!(output.src_side.is_some() && output.dst_side.is_some());
            assert_eq!(output.total, both((2_000, 20), (4_000, 40)));
        }
    }
}

#[test]
fn records_of_two_calls_in_a_row_find_theirs_by_the_clock_of_their_node() {
    let ((first, first_there), (second, second_there)) = (by_both(0, 400), by_both(800, 400));
    let mut run = Run::new(config());
    run.frame(2_000, &first)
        .frame(2_100, &first_there)
        .frame(2_200, &second)
        .frame(2_300, &second_there)
        .until(300_000);
    let outputs = run.take();
    assert_eq!(outputs.len(), 2, "{outputs:#?}");
    for output in outputs {
        let total = both((2_000, 20), (4_000, 40));
        assert_eq!((output.total, output.src_side.unwrap().total), (total, total));
        assert_eq!(output.dst_side.unwrap().total, total);
    }
}

#[test]
fn a_node_that_was_silent_splits_no_connection_that_another_sees() {
    let mut run = Run::new(config());
    for minute in 0..10 {
        let from = minute * 60_000;
        let record = at(ms(from), ms(from + 50_000), request());
        let other = at(ms(from), ms(from + 50_000), seen_by("b", request()));
        let told = [record, other];
        let silent = (1..5).contains(&minute);
        run.frame(from + 51_000, &told[..if silent { 1 } else { 2 }]);
    }
    run.until(2_000_000);
    let outputs = run.take();
    assert!(outputs.windows(2).all(|pair| pair[0].id == pair[1].id));
    assert_eq!(outputs.iter().filter(|output| output.is_final).count(), 1);
}

#[test]
fn a_record_without_a_time_or_whose_end_is_before_its_start_begins_nothing() {
    let cases = [(0, 500), (500, 0), (700, 300), (0, 0)];
    for (start, end) in cases {
        let time = |after: u64| if after == 0 { 0 } else { ms(after) };
        let strange = at(time(start), time(end), request());
        let mut run = Run::new(config());
        for second in 1..4 {
            run.frame(
                second * 1_000,
                &[strange.clone(), at(ms(100), ms(900), request())],
            );
        }
        assert_eq!((run.connections.len(), run.stats().times_mended), (1, 3));
        let output = run.until(65_000).only();
        assert!(output.start >= ms(100) && output.end <= ms(3_000), "{output:#?}");
        assert_eq!(output.total.forward, Counts::new(6_000, 60));
        assert!(output.throughput.is_some());
    }
}

#[test]
fn of_an_end_before_its_start_the_one_is_believed_that_is_not_ahead() {
    let mut run = Run::new(config());
    let ahead = at(ms(9_000_000), ms(500), request());
    let output = run.frame(1_000, &[ahead]).until(70_000).only();
    assert_eq!(
        (output.start, output.end, output.clock_off),
        (ms(500), ms(500), false)
    );
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
