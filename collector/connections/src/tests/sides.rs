//! Both nodes' records: sides, loss, throughput.

use super::builder::*;
use crate::*;

const RST: u8 = 0x04;

fn counted(bytes: u64, packets: u64, observation: Observation) -> Observation {
    Observation {
        amount: Amount::Delta(Counts::new(bytes, packets)),
        ..observation
    }
}

fn all_four() -> [Observation; 4] {
    [
        request(),
        seen_by("b", request()),
        answer(),
        seen_by("a", answer()),
    ]
}

#[test]
fn records_of_both_nodes_and_directions_are_one_biflow() {
    let mut run = Run::new(config());
    run.frame(2_000, &all_four()).until(6_000);
    assert_eq!(run.outputs, [], "it lingers for what is on its way");
    let first = run.until(7_000).only();
    assert_eq!(
        (first.seq, first.reason, first.is_final),
        (1, Reason::Active, false)
    );
    assert_eq!(first.total, both((1_000, 10), (2_000, 20)));
    assert_eq!(first.delta, first.total);
    assert_eq!((first.client.port, first.server.port), (40_000, 80));
    assert_eq!(first.flow_type, FlowType::InterNode);
    assert_eq!(
        first.throughput,
        Some(Biflow {
            forward: 8_000,
            reverse: 16_000
        })
    );
    for side in [first.src_side, first.dst_side] {
        let side = side.unwrap();
        assert_eq!(
            (side.total, side.delta, side.exact),
            (first.total, first.total, true)
        );
        assert_eq!((side.end, side.throughput), (ms(1_000), first.throughput));
    }
    assert_eq!(
        first.lost_packets,
        Biflow {
            forward: Some(0),
            reverse: Some(0)
        }
    );
}

#[test]
fn deltas_add_up_to_totals_on_each_side() {
    let mut run = Run::new(config());
    let minutes = |from: u64| all_four().map(|one| at(ms(from), ms(from + 50_000), one));
    for minute in 0..4 {
        run.frame(minute * 60_000 + 55_000, &minutes(minute * 60_000));
    }
    run.until(1_000_000);
    let outputs = run.take();
    assert!(outputs.len() >= 4);
    let sum =
        |of: fn(&Output) -> Biflow<Counts>| outputs.iter().map(of).fold(Biflow::default(), |a, b| a.plus(b));
    let last = outputs.last().unwrap();
    assert_eq!(last.total, both((4_000, 40), (8_000, 80)));
    assert_eq!(sum(|output| output.delta), last.total);
    assert_eq!(
        sum(|output| output.src_side.unwrap().delta),
        last.src_side.unwrap().total
    );
    assert_eq!(sum(|output| output.dst_side.unwrap().delta), last.total);
}

#[test]
fn packets_that_do_not_come_to_the_other_node_are_lost() {
    let mut run = Run::new(config());
    let records = [
        request(),
        counted(700, 7, seen_by("b", request())),
        answer(),
        counted(1_800, 18, seen_by("a", answer())),
    ];
    let output = run.frame(2_000, &records).until(8_000).only();
    assert_eq!(
        output.lost_packets,
        Biflow {
            forward: Some(3),
            reverse: Some(2)
        }
    );
    assert_eq!(
        output.total,
        both((1_000, 10), (2_000, 20)),
        "sums count what the store counts"
    );
}

#[test]
fn loss_is_not_told_where_it_is_not_known() {
    let lost = |records: &[Observation]| {
        let mut run = Run::new(config());
        run.frame(2_000, records).until(62_000);
        run.take()[0].lost_packets.forward
    };
    let sampled = Observation {
        sampling: 10,
        ..seen_by("b", request())
    };
    assert_eq!(lost(&[request(), sampled]), None, "one side is an estimate");
    let behind = at(ms(0), ms(40_000), request());
    assert_eq!(
        lost(&[behind, seen_by("b", request())]),
        None,
        "the other has not told of the same time"
    );
    assert_eq!(lost(&[request()]), None, "one side has not reported");
    assert_eq!(
        lost(&[request(), counted(9_000, 90, seen_by("b", request()))]),
        None,
        "more came than was sent"
    );
}

#[test]
fn at_the_end_too_loss_is_told_only_where_both_nodes_told_of_the_same_time() {
    let mut run = Run::new(config());
    for minute in 0..5 {
        let from = minute * 60_000;
        let records = all_four().map(|one| at(ms(from), ms(from + 50_000), one));
        // The exporter of the server's node dies after the first minute.
        let told = if minute == 0 { 4 } else { 1 };
        run.frame(from + 55_000, &records[..told]);
    }
    run.until(1_000_000);
    let last = run.take().pop().unwrap();
    assert_eq!((last.reason, last.lost_packets.forward), (Reason::Idle, None));

    let mut run = Run::new(config());
    run.frame(55_000, &all_four().map(|one| at(ms(0), ms(50_000), one)));
    let reset = flags(RST, at(ms(60_000), ms(100_000), request()));
    run.frame(101_000, std::slice::from_ref(&reset)).until(110_000);
    let ended = run.take().pop().unwrap();
    assert_eq!((ended.reason, ended.lost_packets.forward), (Reason::End, None));
    let late = run.frame(120_000, &[seen_by("b", reset)]).only();
    assert!(late.late && late.lost_packets.forward == Some(0), "{late:#?}");
}

#[test]
fn no_loss_is_told_where_times_are_too_far_from_the_first_packet_or_a_clock_is_off() {
    let lost = |late: bool| {
        let mut run = Run::new(config());
        let month = 30 * 86_400_000;
        let ago = at(T0 - month * 1_000, T0 - month * 1_000, request());
        let ahead = at(ms(600_000), ms(600_000), seen_by("b", request()));
        let other = if late { ago } else { ahead };
        run.frame(2_000, &[other]);
        run.frame(
            61_000,
            &[at(ms(0), ms(60_000), request()), seen_by("b", request())],
        );
        run.until(400_000);
        run.take().pop().unwrap().lost_packets.forward
    };
    assert_eq!((lost(true), lost(false)), (None, None));
}

#[test]
fn one_side_alone_is_put_out_as_such() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).until(61_000);
    assert_eq!(run.outputs, []);
    let output = run.until(62_000).only();
    assert_eq!(output.total, both((1_000, 10), (0, 0)));
    assert!(output.src_side.is_some() && output.dst_side.is_none());
    let last = run.until(300_000).only();
    assert!(last.is_final);
    assert_eq!(run.stats().one_sided, 1);
}

#[test]
fn the_other_side_a_minute_late_comes_with_the_next_output() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).until(62_000).only();
    let output = run
        .frame(70_000, &[seen_by("b", request())])
        .until(130_000)
        .only();
    assert_eq!((output.seq, output.delta), (2, Biflow::default()));
    assert_eq!(output.dst_side.unwrap().delta, both((1_000, 10), (0, 0)));
    assert_eq!(output.lost_packets.forward, Some(0));
}

#[test]
fn the_other_side_ten_minutes_late_is_put_out_as_well() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).until(600_000).take();
    run.frame(602_000, &[seen_by("b", request())]).until(1_000_000);
    let outputs = run.take();
    let dst = outputs.iter().find_map(|output| output.dst_side).unwrap();
    assert_eq!(dst.total, both((1_000, 10), (0, 0)));
    assert!(
        outputs.iter().all(|output| output.total == Biflow::default()),
        "it is not primary"
    );
}

#[test]
fn a_flow_from_outside_waits_for_no_second_side() {
    let mut run = Run::new(config());
    let from_outside = Observation {
        src: end("192.0.2.7", 40_000, None),
        ..seen_by("b", request())
    };
    let output = run.frame(2_000, &[from_outside]).until(7_000).only();
    assert_eq!(output.flow_type, FlowType::FromExternal);
    assert!(output.src_side.is_none() && output.dst_side.is_some());
}

#[test]
fn a_flow_of_a_fifth_of_a_second_has_a_throughput_and_a_single_packet_has_none() {
    let mut run = Run::new(config());
    let output = run
        .frame(2_000, &[at(ms(100), ms(300), request())])
        .until(62_000)
        .only();
    assert_eq!(
        (output.covered, output.throughput.unwrap().forward),
        (200_000, 40_000)
    );
    let mut run = Run::new(config());
    let single = counted(100, 1, at(ms(100), ms(100), request()));
    let output = run.frame(2_000, &[single]).until(62_000).only();
    assert_eq!((output.covered, output.throughput), (0, None));
    assert_eq!(output.src_side.unwrap().throughput, None);
}

#[test]
fn what_a_node_sees_come_in_and_go_out_it_has_seen_once() {
    let mut run = Run::new(config());
    let out = Observation {
        direction: Some(Direction::Egress),
        ..seen_by("a", request())
    };
    let also = Observation {
        method: Method::SFlow,
        sampling: 400,
        ..counted(4_000, 40, seen_by("a", request()))
    };
    let output = run.frame(2_000, &[also, out, request()]).until(62_000).only();
    let side = output.src_side.unwrap();
    assert_eq!((side.total, side.exact), (both((1_000, 10), (0, 0)), true));
}

#[test]
fn a_better_line_takes_over_from_where_it_begins() {
    let mut run = Run::new(config());
    let sampled = Observation {
        method: Method::SFlow,
        sampling: 400,
        ..seen_by("a", request())
    };
    let worse = counted(2_000, 20, at(ms(0), ms(20_000), sampled));
    let better = at(ms(10_000), ms(20_000), request());
    let output = run.frame(21_000, &[worse, better]).until(81_000).only();
    let side = output.src_side.unwrap();
    assert_eq!(
        side.total,
        both((2_000, 20), (0, 0)),
        "half of the first, all of the second"
    );
    assert!(!side.exact);
}

#[test]
fn a_sampled_total_says_how_many_packets_it_rests_on() {
    let mut run = Run::new(config());
    let sampled = Observation {
        sampling: 10,
        ..counted(100_000, 1_000, request())
    };
    let output = run.frame(2_000, &[sampled]).until(62_000).only();
    assert_eq!((output.exact, output.sampled_packets), (false, 100));
    assert!(!output.src_side.unwrap().exact);
}

#[test]
fn both_ends_on_one_node_have_one_view_and_no_loss() {
    let mut run = Run::new(config());
    let local = Observation {
        dst: end("10.0.1.1", 80, Some(pod("web", "a"))),
        ..request()
    };
    let output = run.frame(2_000, &[local]).until(7_000).only();
    assert_eq!(output.flow_type, FlowType::IntraNode);
    assert_eq!(output.src_side, output.dst_side);
    assert_eq!(output.lost_packets, Biflow::default());
}

#[test]
fn names_stay_as_they_were_unless_the_ends_own_node_knows_better() {
    let mut run = Run::new(config());
    let renamed = |name: &str, node: &str, from: Observation| Observation {
        dst: end("10.0.1.1", 80, Some(pod(name, node))),
        ..from
    };
    let records = [
        renamed("guess", "b", request()),
        renamed("another", "b", request()),
        renamed("known", "b", seen_by("b", request())),
        renamed("later", "b", seen_by("b", request())),
    ];
    let output = run.frame(2_000, &records).until(7_000).only();
    assert_eq!(&*output.server.who.unwrap().name, "known");
}
