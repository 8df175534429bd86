use super::*;
use crate::bounded::REGULAR;

fn arrival(protocol: Protocol, sequence: u32, records: usize) -> Arrival<'static> {
    Arrival {
        session: ([192, 0, 2, 1], 4000).into(),
        in_order: false,
        protocol,
        domain: 7,
        agent: (None, 0),
        engine: None,
        sequence,
        records,
        complete: true,
        ovs: true,
        node: None,
        now_ms: 0,
    }
}

fn foreign(protocol: Protocol, sequence: u32, records: usize) -> Arrival<'static> {
    Arrival {
        ovs: false,
        ..arrival(protocol, sequence, records)
    }
}

fn datagram(sequence: u32) -> Arrival<'static> {
    arrival(Protocol::Sflow5, sequence, 0)
}

/// All that is lost in the end.
fn lost<'a>(arrivals: impl IntoIterator<Item = Arrival<'a>>) -> u64 {
    let mut sequences = Sequences::default();
    let counted: u64 = arrivals.into_iter().map(|a| sequences.arrive(&a)).sum();
    counted + sequences.settle_all().iter().map(|loss| loss.units).sum::<u64>()
}

#[test]
fn netflow_from_ovs_numbers_the_last_flow_of_a_datagram() {
    let stream = [(3, 4), (5, 2), (9, 1)].map(|(seq, n)| arrival(Protocol::NetFlow5, seq, n));
    assert_eq!(lost(stream), 3);
}

#[test]
fn netflow_from_others_numbers_the_first_flow() {
    let stream = [(0, 4), (4, 2), (9, 1)].map(|(seq, n)| foreign(Protocol::NetFlow5, seq, n));
    assert_eq!(lost(stream), 3);
}

#[test]
fn ipfix_domains_of_ovs_share_one_sequence() {
    let options = Arrival {
        domain: 0,
        ..foreign(Protocol::Ipfix, 2, 1)
    };
    let stream = [
        arrival(Protocol::Ipfix, 1, 1),
        options,
        arrival(Protocol::Ipfix, 3, 1),
        arrival(Protocol::Ipfix, 6, 1),
    ];
    assert_eq!(lost(stream), 2);
}

#[test]
fn ipfix_domains_of_others_count_apart() {
    let of = |domain, sequence| Arrival {
        domain,
        ..foreign(Protocol::Ipfix, sequence, 1)
    };
    assert_eq!(lost([of(1, 10), of(2, 500), of(1, 11), of(2, 502)]), 1);
}

#[test]
fn sub_agents_agents_and_engines_count_apart() {
    let sub_agent = |sub_agent, sequence| Arrival {
        agent: (Some([192, 0, 2, 1].into()), sub_agent),
        ..datagram(sequence)
    };
    let stream = [
        sub_agent(0, 100),
        sub_agent(1, 5_000),
        sub_agent(0, 101),
        sub_agent(1, 5_002),
    ];
    assert_eq!(lost(stream), 1);
    let agent = |last, sequence| Arrival {
        agent: (Some([192, 0, 2, last].into()), 0),
        ..datagram(sequence)
    };
    assert_eq!(
        lost([agent(1, 100), agent(2, 200), agent(1, 101), agent(2, 201)]),
        0
    );
    let engine = |id, sequence| Arrival {
        engine: Some((0, id)),
        ..foreign(Protocol::NetFlow5, sequence, 30)
    };
    let stream = [engine(1, 0), engine(2, 900), engine(1, 30), engine(2, 960)];
    assert_eq!(lost(stream), 30);
}

#[test]
fn a_restart_is_no_loss() {
    assert_eq!(lost([5000, 1, 2].map(datagram)), 0);
    assert_eq!(lost([1, 50_000_000, 50_000_001].map(datagram)), 0);
    assert_eq!(lost([u32::MAX, 0, 1].map(datagram)), 0);
}

#[test]
fn a_late_datagram_is_no_loss_whatever_the_protocol_counts() {
    assert_eq!(lost([10, 12, 11, 13].map(datagram)), 0);
    assert_eq!(lost([10, 14, 12, 11, 15].map(datagram)), 1, "13 never came");
    assert_eq!(lost([10, 12, 12, 13].map(datagram)), 1, "a copy fills nothing");
    let flows = |sequence| foreign(Protocol::NetFlow5, sequence, 30);
    assert_eq!(lost([0, 30, 90, 120, 60, 150].map(flows)), 0);
    assert_eq!(lost([0, 30, 150, 60, 180].map(flows)), 60);
    let records = |sequence| foreign(Protocol::Ipfix, sequence, 1);
    assert_eq!(lost([0, 2, 1, 3].map(records)), 0);
    let last = |sequence| arrival(Protocol::NetFlow5, sequence, 30);
    assert_eq!(lost([29, 89, 59, 119].map(last)), 0, "from OVS");
}

#[test]
fn a_datagram_that_comes_too_late_counts_once_and_is_no_restart() {
    let late = (1..=3).chain(5..=40).chain([4]).chain(41..=60);
    assert_eq!(lost(late.map(datagram)), 1);
    let restarted = (200..=300).chain(1..=60);
    assert_eq!(lost(restarted.map(datagram)), 0);
}

#[test]
fn who_overtook_the_first_datagram_of_a_stream_hides_no_loss_and_makes_none() {
    assert_eq!(lost([2, 1, 3, 5].map(datagram)), 1);
}

#[test]
fn a_gap_counts_when_nobody_waits_for_it_any_more() {
    let mut sequences = Sequences::default();
    sequences.arrive(&datagram(1));
    let counts: Vec<u64> = (3..20).map(|n| sequences.arrive(&datagram(n))).collect();
    let at = counts.iter().position(|lost| *lost == 1);
    assert_eq!((at, counts.iter().sum()), (Some(usize::from(LATE) + 1), 1_u64));
    assert!(sequences.settle_all().is_empty());

    let at = |sequence, now_ms| Arrival {
        now_ms,
        ..datagram(sequence)
    };
    assert_eq!(sequences.arrive(&at(25, 0)), 0);
    assert_eq!(sequences.arrive(&at(26, SETTLED_MS + 1)), 5);
}

#[test]
fn over_a_stream_transport_a_gap_counts_at_once() {
    let mut sequences = Sequences::default();
    let message = |sequence| Arrival {
        in_order: true,
        ..foreign(Protocol::Ipfix, sequence, 1)
    };
    assert_eq!(sequences.arrive(&message(0)), 0);
    assert_eq!(sequences.arrive(&message(3)), 2);
}

#[test]
fn what_a_silent_stream_lost_is_told_with_its_node_when_it_is_time() {
    let mut sequences = Sequences::default();
    let node: Arc<str> = "node-a".into();
    for sequence in [1, 3] {
        sequences.arrive(&Arrival {
            node: Some(&node),
            now_ms: LOOK_MS,
            ..datagram(sequence)
        });
    }
    let expected = [Loss {
        source: [192, 0, 2, 1].into(),
        protocol: Protocol::Sflow5,
        node: Some(node),
        units: 1,
    }];
    assert!(sequences.look(LOOK_MS + 1).is_empty());
    assert!(sequences.look(LOOK_MS + SETTLED_MS).is_empty(), "it is not time");
    assert_eq!(sequences.look(2 * LOOK_MS + 1), expected);
    assert!(sequences.settle_all().is_empty());
}

#[test]
fn what_a_silent_stream_lost_is_told_after_the_clock_was_set_back() {
    let mut sequences = Sequences::default();
    let (before, after) = (1_000 * LOOK_MS, 500 * LOOK_MS);
    for sequence in [1, 3] {
        sequences.arrive(&Arrival {
            now_ms: before,
            ..datagram(sequence)
        });
    }
    assert!(sequences.look(before + 1).is_empty(), "it may still come");
    let units: Vec<_> = sequences.look(after).iter().map(|loss| loss.units).collect();
    assert_eq!(units, [1]);
}

#[test]
fn templates_alone_and_data_that_waits_for_them_count_nothing() {
    let waiting = Arrival {
        complete: false,
        ..arrival(Protocol::Ipfix, 5, 0)
    };
    let stream = [
        arrival(Protocol::Ipfix, 1, 1),
        arrival(Protocol::Ipfix, 9, 0),
        waiting,
        arrival(Protocol::Ipfix, 8, 1),
    ];
    assert_eq!(lost(stream), 0);
    let waiting = |sequence| Arrival {
        complete: false,
        ..foreign(Protocol::NetFlow9, sequence, 0)
    };
    assert_eq!(
        lost([1, 3].map(waiting)),
        1,
        "datagrams can be counted all the same"
    );
}

#[test]
fn any_number_of_gaps_takes_bounded_room_and_none_is_forgotten() {
    let mut sequences = Sequences::default();
    let mut counted = 0;
    for sequence in (0..2_000).step_by(2) {
        counted += sequences.arrive(&datagram(sequence));
        let (_, stream) = sequences.streams.iter().next().unwrap();
        assert!(
            stream
                .gaps
                .as_ref()
                .is_none_or(|gaps| gaps.open.len() <= MAX_GAPS)
        );
    }
    counted += sequences.settle_all().iter().map(|loss| loss.units).sum::<u64>();
    assert_eq!(counted, 999);
}

#[test]
fn invented_senders_take_bounded_room_and_do_not_make_known_ones_forgotten() {
    let mut sequences = Sequences::default();
    for sequence in 1..=u32::from(REGULAR) {
        sequences.arrive(&datagram(sequence));
    }
    for n in 0..40_000u32 {
        let session = (n.to_be_bytes(), 1).into();
        sequences.arrive(&Arrival {
            session,
            ..datagram(1)
        });
    }
    assert!(sequences.streams.len() <= 2 * MAX_STREAMS);
    sequences.arrive(&datagram(u32::from(REGULAR) + 6));
    let losses = sequences.settle_all();
    assert_eq!(losses.iter().map(|loss| loss.units).sum::<u64>(), 5);
}
