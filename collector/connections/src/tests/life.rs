//! Timers, ends, eviction, late records.

use std::net::Ipv4Addr;

use super::builder::*;
use crate::*;

fn from(client: u32) -> Observation {
    Observation {
        src: End {
            addr: Some(Ipv4Addr::from(0x0a00_0000 + client).into()),
            port: 40_000,
            who: None,
        },
        ..seen_by("b", request())
    }
}

#[test]
fn a_connection_that_goes_on_is_put_out_each_minute_and_at_its_end() {
    let mut run = Run::new(config());
    for second in 0..150 {
        let now = second * 1_000;
        run.frame(now + 999, &[at(ms(now), ms(now + 900), request())]);
    }
    run.until(1_000_000);
    let outputs = run.take();
    let told: Vec<_> = outputs
        .iter()
        .map(|output| (output.seq, output.reason, output.delta.forward.packets))
        .collect();
    assert_eq!(
        told.iter()
            .map(|(seq, reason, _)| (*seq, *reason))
            .collect::<Vec<_>>(),
        [
            (1, Reason::Active),
            (2, Reason::Active),
            (3, Reason::Active),
            (4, Reason::Idle),
        ]
    );
    assert_eq!(told.iter().map(|(_, _, packets)| packets).sum::<u64>(), 1_500);
    assert!(
        told[..2].iter().all(|(_, _, packets)| *packets == 600),
        "{told:?}"
    );
}

#[test]
fn a_connection_that_is_silent_is_not_put_out_again_until_its_end() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).until(62_000).only();
    run.until(136_000);
    assert_eq!(run.outputs, []);
    let last = run.until(137_000).only();
    assert_eq!((last.seq, last.reason, last.is_final), (2, Reason::Idle, true));
    assert_eq!(last.delta, Biflow::default());
}

#[test]
fn a_finished_connection_waits_for_the_side_that_has_not_reported() {
    let mut run = Run::new(config());
    let ended = [flags(0x11, request()), flags(0x11, seen_by("a", answer()))];
    run.frame(2_000, &ended).until(30_000);
    assert_eq!(run.outputs, []);
    let other = [flags(0x11, seen_by("b", request())), flags(0x11, answer())];
    let output = run.frame(40_000, &other).until(41_000).only();
    assert_eq!((output.reason, output.is_final), (Reason::End, true));
    assert!(output.dst_side.is_some());
}

#[test]
fn a_late_record_is_one_more_output_of_the_same_connection() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).until(137_000);
    let last = run.take().pop().unwrap();
    let late = run.frame(300_000, &[answer()]).only();
    assert_eq!(
        (late.id, late.seq, late.late, late.is_final),
        (last.id, last.seq + 1, true, true)
    );
    assert_eq!(late.delta, both((0, 0), (2_000, 20)));
    assert_eq!(late.total, both((1_000, 10), (2_000, 20)));
    let side = run.frame(301_000, &[seen_by("a", answer())]).only();
    assert_eq!(
        (side.late, side.seq, side.delta),
        (true, last.seq + 2, both((0, 0), (0, 0)))
    );
    assert_eq!(
        side.src_side.unwrap().delta,
        both((0, 0), (2_000, 20)),
        "a side that comes late"
    );
    let copy = Observation {
        direction: Some(Direction::Egress),
        ..seen_by("a", answer())
    };
    run.frame(302_000, &[copy]);
    assert_eq!(
        (run.outputs.len(), run.stats().late, run.stats().late_unshown),
        (0, 3, 1)
    );
    run.until(437_000).frame(438_000, &[answer()]);
    assert_eq!(run.connections.len(), 1, "it is forgotten after five minutes");
}

#[test]
fn the_connection_nearest_to_its_timer_goes_for_a_new_one_and_is_put_out() {
    let mut run = Run::new(Config {
        max_connections: 2,
        ..config()
    });
    run.frame(1_000, &[from(1)])
        .frame(3_000, &[from(2)])
        .frame(4_000, &[from(3)]);
    let output = run.only();
    assert_eq!((output.reason, output.is_final), (Reason::LackOfResources, true));
    assert_eq!(output.client.addr, from(1).src.addr);
    let again = at(ms(4_000), ms(5_000), from(1));
    run.frame(5_000, &[again]).take();
    let goes_on = run
        .connections
        .live()
        .find(|live| live.client.addr == from(1).src.addr)
        .unwrap();
    assert!(goes_on.midstream && goes_on.id != output.id);
}

#[test]
fn a_scan_costs_outputs_and_neither_memory_nor_silence() {
    const SCANNED: u32 = 100_000;
    let mut run = Run::new(Config {
        max_connections: 1_000,
        max_remembered: 500,
        ..config()
    });
    let (mut outputs, mut packets) = (0, 0);
    for batch in 0..SCANNED / 100 {
        let records: Vec<_> = (0..100)
            .map(|n| Observation {
                primary: true,
                ..from(batch * 100 + n)
            })
            .collect();
        run.frame(2_000 + u64::from(batch), &records);
        assert!(run.connections.len() <= 1_000 && run.connections.remembered.len() <= 500);
        for output in run.take() {
            outputs += u64::from(output.reason == Reason::LackOfResources);
            packets += output.delta.forward.packets;
        }
    }
    assert_eq!((outputs, run.stats().evicted), (99_000, 99_000));
    let live: u64 = run
        .connections
        .live()
        .map(|live| live.delta.forward.packets)
        .sum();
    assert_eq!(packets + live, 10 * u64::from(SCANNED));
}

#[test]
fn frames_that_come_again_change_nothing() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]);
    let repeated = Frame {
        position: Position {
            log: 1,
            head: 1,
            frame: 1,
        },
        time: ms(9_000),
        observations: &[request()],
    };
    assert_eq!(run.connections.apply(repeated, &mut |_| {}), Applied::Repeated);
    assert_eq!(
        run.connections.live().next().unwrap().total,
        both((1_000, 10), (0, 0))
    );
    assert_eq!(run.stats().repeated_frames, 1);
}

#[test]
fn more_nodes_and_lines_than_are_kept_count_in_the_totals() {
    let mut run = Run::new(config());
    let records: Vec<_> = (0..100)
        .map(|n| Observation {
            node: format!("node-{n}").into(),
            ..request()
        })
        .collect();
    run.frame(2_000, &records);
    assert_eq!(
        run.connections.live().next().unwrap().total,
        both((100_000, 1_000), (0, 0))
    );
    assert_eq!(run.stats().lines_refused, 92);
}

#[test]
fn the_greatest_numbers_end_nothing() {
    let mut run = Run::new(config());
    let most = Observation {
        start: 0,
        end: u64::MAX,
        amount: Amount::Delta(Counts::new(u64::MAX, u64::MAX)),
        sampling: u32::MAX,
        ..request()
    };
    run.frame(2_000, &[most.clone(), request(), most.clone()])
        .frame(u64::MAX / 2_000, &[most]);
    run.connections.advance(u64::MAX, &mut |_| {});
    assert!(run.connections.is_empty());
}

#[test]
fn a_frame_far_ahead_holds_up_no_timer_once_the_clock_is_right_again() {
    const YEARS: u64 = 10 * 365 * 86_400_000;
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).frame(YEARS, &[from(1)]).take();
    run.frame(10_000, &[at(ms(9_000), ms(9_500), from(2))]);
    assert_eq!(run.stats().clock_set_back, 1);
    run.until(75_000);
    let clients: Vec<_> = run.take().into_iter().map(|output| output.client.addr).collect();
    assert_eq!(
        clients,
        [from(1).src.addr, from(2).src.addr],
        "both are put out by the time that is right"
    );
    run.until(700_000);
    assert_eq!((run.connections.len(), run.connections.remembered.len()), (0, 0));
}

#[test]
fn a_frame_that_is_a_little_behind_sets_no_clock_back() {
    let mut run = Run::new(config());
    run.frame(62_000, &[request()]).frame(2_000, &[from(2)]);
    assert_eq!((run.connections.len(), run.stats().clock_set_back), (2, 0));
}

#[test]
fn a_log_that_begins_anew_is_read_from_its_beginning() {
    let mut run = Run::new(config());
    run.frame(2_000, &[request()]).frame(3_000, &[request()]);
    let records = [request()];
    let first = |log: u64| Frame {
        position: Position {
            log,
            head: 1,
            frame: 1,
        },
        time: ms(4_000),
        observations: &records,
    };
    assert_eq!(run.connections.apply(first(1), &mut |_| {}), Applied::Repeated);
    assert_eq!(run.connections.apply(first(2), &mut |_| {}), Applied::New);
    assert_eq!(run.connections.apply(first(2), &mut |_| {}), Applied::Repeated);
    assert_eq!(run.stats().other_logs, 1);
    let live = run.connections.live().next().unwrap();
    assert_eq!(live.total.forward, Counts::new(3_000, 30));
}

#[test]
fn bytes_are_bounded_whatever_connections_have() {
    let max_bytes = 200_000;
    let mut run = Run::new(Config {
        max_bytes,
        ..config()
    });
    let mut outputs = Vec::new();
    for n in 0..4_000u32 {
        let record = Observation {
            domain: n / 200,
            node: format!("node-{}", n / 400).into(),
            primary: true,
            ..from(n % 200)
        };
        run.frame(2_000 + u64::from(n), &[record]);
        assert!(run.connections.bytes() <= max_bytes);
        outputs.extend(run.take());
    }
    assert!(run.stats().evicted > 0 && run.stats().forgotten_early > 0);
    outputs.extend(run.connections.live());
    let packets: u64 = outputs.iter().map(|output| output.delta.forward.packets).sum();
    assert_eq!(packets, 40_000, "what had to go was put out");
}

#[test]
fn a_late_output_of_what_was_evicted_says_so() {
    let mut run = Run::new(Config {
        max_connections: 1,
        ..config()
    });
    run.frame(1_000, &[from(1)]).frame(2_000, &[from(2)]).take();
    let late = run.frame(3_000, &[from(1)]).only();
    assert_eq!((late.late, late.reason), (true, Reason::LackOfResources));
}
