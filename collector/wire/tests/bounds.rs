//! What a decoder keeps stays within its limits, and what it gives up is counted.

use std::net::SocketAddr;

use wire::encode::Ipfix;
use wire::{Decoder, Field, Limits, Record, Reject, Summary};

const SRC_PORT: Field = Field::iana(7, 2);

fn session(number: u32) -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::from(number), 4739))
}

/// Decodes a message that must be well-formed.
fn feed(decoder: &mut Decoder, number: u32, now_ms: u64, message: Ipfix) -> (Summary, Vec<Record>) {
    let mut records = Vec::new();
    let summary = decoder.decode(session(number), now_ms, &message.encode(), &mut records);
    (summary.expect("a well-formed message"), records)
}

fn message() -> Ipfix {
    Ipfix::new(0, 0, 0)
}

#[test]
fn a_flood_of_sessions_forgets_those_that_were_silent_longest() {
    let mut decoder = Decoder::new(Limits {
        scopes: 100,
        ..Limits::default()
    });
    for number in 0..1_000 {
        feed(
            &mut decoder,
            number,
            u64::from(number),
            message().template(256, &[SRC_PORT]),
        );
        assert!(decoder.scopes() <= 100);
    }
    assert!(decoder.scopes() > 70);
    assert_eq!(
        feed(&mut decoder, 999, 1_000, message().set(256, &[0, 80]))
            .0
            .records,
        1
    );
    assert_eq!(
        feed(&mut decoder, 0, 1_000, message().set(256, &[0, 80]))
            .0
            .sets_held,
        1
    );
}

#[test]
fn sessions_all_seen_at_once_are_bounded_too() {
    let mut decoder = Decoder::new(Limits {
        scopes: 100,
        ..Limits::default()
    });
    for number in 0..300 {
        feed(&mut decoder, number, 7, message().template(256, &[SRC_PORT]));
        assert!((1..=100).contains(&decoder.scopes()));
    }
}

#[test]
fn a_datagram_that_teaches_nothing_leaves_no_state() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, 1, 0, message().set(100, &[1, 2, 3]));
    let mut records = Vec::new();
    let malformed = message().set(2, &[1, 0, 0, 1, 0, 7, 0, 2, 1, 1, 0, 9]).encode();
    decoder
        .decode(session(2), 0, &malformed, &mut records)
        .expect_err("a template is cut short");
    assert_eq!((decoder.scopes(), decoder.templates()), (0, 0));
}

#[test]
fn templates_beyond_the_limit_of_a_session_are_refused_but_known_ones_may_change() {
    let mut decoder = Decoder::new(Limits {
        templates_per_scope: 2,
        ..Limits::default()
    });
    let first = message()
        .template(256, &[SRC_PORT])
        .template(257, &[SRC_PORT])
        .template(258, &[SRC_PORT]);
    let (summary, _) = feed(&mut decoder, 1, 0, first);
    assert_eq!((summary.templates_learned, summary.templates_refused), (2, 1));
    let (summary, _) = feed(&mut decoder, 1, 0, message().template(257, &[Field::iana(11, 2)]));
    assert_eq!((summary.templates_learned, decoder.templates()), (1, 2));
}

#[test]
fn a_template_with_too_many_fields_is_refused_and_its_predecessor_forgotten() {
    let mut decoder = Decoder::new(Limits {
        fields_per_template: 3,
        ..Limits::default()
    });
    feed(&mut decoder, 1, 0, message().template(256, &[SRC_PORT]));
    let (summary, _) = feed(
        &mut decoder,
        1,
        0,
        message().template(256, &[SRC_PORT; 4]).set(256, &[0; 8]),
    );
    assert_eq!(
        (summary.templates_refused, summary.sets_held, summary.records),
        (1, 1, 0)
    );
}

#[test]
fn different_templates_have_a_bound_in_octets_and_room_comes_back() {
    let mut decoder = Decoder::new(Limits {
        template_bytes: 48,
        ..Limits::default()
    });
    let template = |width| message().template(256, &[Field::iana(1, width)]);
    let mut learned = 0;
    for number in 1..=8 {
        learned += feed(&mut decoder, u32::from(number), 0, template(number))
            .0
            .templates_learned;
    }
    // Each takes four octets of specifier and four of kind.
    assert_eq!(learned, 6);
    // The same ones cost nothing for another session.
    assert_eq!(feed(&mut decoder, 100, 0, template(1)).0.templates_learned, 1);
    // Redefining one frees its place.
    feed(&mut decoder, 6, 0, template(1));
    assert_eq!(feed(&mut decoder, 7, 5_000, template(7)).0.templates_learned, 1);
}

#[test]
fn templates_that_are_not_repeated_are_forgotten() {
    let mut decoder = Decoder::new(Limits {
        template_age_ms: 60_000,
        ..Limits::default()
    });
    feed(&mut decoder, 1, 0, message().template(256, &[SRC_PORT]));
    feed(&mut decoder, 1, 50_000, message().template(256, &[SRC_PORT]));
    assert_eq!(
        feed(&mut decoder, 1, 105_000, message().set(256, &[0, 80]))
            .0
            .records,
        1
    );
    assert_eq!(
        feed(&mut decoder, 1, 130_000, message().set(256, &[0, 80]))
            .0
            .sets_held,
        1
    );
}

#[test]
fn a_clock_that_is_set_makes_no_template_older() {
    const HOUR: u64 = 3_600_000;
    let mut decoder = Decoder::default();
    feed(&mut decoder, 1, 10 * HOUR, message().template(256, &[SRC_PORT]));
    for now_ms in [14 * HOUR, 2 * HOUR, 2 * HOUR + 60_000] {
        let data = message().set(256, &[0, 80]);
        assert_eq!(feed(&mut decoder, 1, now_ms, data).0.records, 1);
    }
    // It grows old by the new time.
    for minute in 1..=181 {
        feed(
            &mut decoder,
            2,
            2 * HOUR + minute * 60_000,
            message().template(256, &[SRC_PORT]),
        );
    }
    let data = message().set(256, &[0, 80]);
    assert_eq!(feed(&mut decoder, 1, 5 * HOUR + 70_000, data).0.sets_held, 1);
}

#[test]
fn what_waits_in_vain_is_given_up_after_the_clock_was_set_back_a_little() {
    const MINUTE: u64 = 60_000;
    let mut decoder = Decoder::default();
    let data = || message().set(256, &[0, 80]);
    feed(&mut decoder, 1, 60 * MINUTE, message().template(300, &[SRC_PORT]));
    feed(&mut decoder, 1, 30 * MINUTE, data());
    feed(&mut decoder, 1, 41 * MINUTE, message().set(300, &[0, 80]));
    assert_eq!(decoder.take_expired_sets(), 1);
}

#[test]
fn what_waited_for_its_template_tells_since_when() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, 1, 5_000, message().set(256, &[0, 80]));
    let both = message().template(256, &[SRC_PORT]).set(256, &[0, 81]);
    let (summary, records) = feed(&mut decoder, 1, 9_000, both);
    assert_eq!(summary.released_records, 1);
    let since: Vec<_> = records.iter().map(|r| (r.src_port, r.waited_since_ms)).collect();
    assert_eq!(since, [(Some(81), None), (Some(80), Some(5_000))]);
}

#[test]
fn held_sets_are_bounded_in_number_and_octets() {
    let mut decoder = Decoder::new(Limits {
        held_sets_per_scope: 2,
        held_bytes: 3 * (64 + 2),
        ..Limits::default()
    });
    let data = || message().set(256, &[0, 80]);
    let held: Vec<_> = (0..3)
        .map(|_| feed(&mut decoder, 1, 0, data()).0.sets_held)
        .collect();
    assert_eq!(held, [1, 1, 0]);
    assert_eq!(feed(&mut decoder, 2, 0, data()).0.sets_held, 1);
    assert_eq!(feed(&mut decoder, 3, 0, data()).0.sets_dropped, 1);
    // What was released makes room again.
    assert_eq!(
        feed(&mut decoder, 1, 0, message().template(256, &[SRC_PORT]))
            .0
            .released_records,
        2
    );
    assert_eq!(feed(&mut decoder, 3, 0, data()).0.sets_held, 1);
    assert_eq!(
        feed(&mut decoder, 1, 0, message().set(257, &[0, 80])).0.sets_held,
        1
    );
}

#[test]
fn held_sets_that_wait_too_long_are_dropped_and_counted() {
    let limits = Limits {
        held_age_ms: 30_000,
        held_bytes: 2 * (64 + 2),
        ..Limits::default()
    };
    let mut decoder = Decoder::new(limits);
    feed(&mut decoder, 1, 0, message().set(256, &[0, 1]));
    feed(&mut decoder, 1, 20_000, message().set(256, &[0, 2]));
    let (summary, records) = feed(&mut decoder, 1, 40_000, message().template(256, &[SRC_PORT]));
    assert_eq!((summary.released_records, records[0].src_port), (1, Some(2)));
    assert_eq!((decoder.take_expired_sets(), decoder.take_expired_sets()), (1, 0));
    assert_eq!(
        feed(&mut decoder, 2, 40_000, message().set(256, &[0; 64 + 4]))
            .0
            .sets_held,
        1
    );
}

#[test]
fn a_set_with_too_many_records_is_left_out() {
    let mut decoder = Decoder::new(Limits {
        records_per_datagram: 3,
        ..Limits::default()
    });
    let template = message().template(256, &[Field::iana(4, 1)]);
    assert_eq!(
        feed(&mut decoder, 1, 0, template.clone().set(256, &[6; 3]))
            .0
            .records,
        3
    );
    let (summary, records) = feed(&mut decoder, 1, 0, template.clone().set(256, &[6; 4]));
    assert_eq!(
        (summary.set_fault, records),
        (Some(Reject::Records { limit: 3 }), vec![])
    );
    let alone = message().set(256, &[6; 4]).encode();
    let mut records = Vec::new();
    let result = decoder.decode(session(1), 0, &alone, &mut records);
    assert_eq!((result, records), (Err(Reject::Records { limit: 3 }), vec![]));
}

#[test]
fn the_bound_of_records_is_that_of_a_datagram_whatever_messages_are_in_it() {
    let mut decoder = Decoder::default();
    let byte = Field::iana(4, 1);
    feed(&mut decoder, 1, 0, message().template(256, &[byte]));
    let one = message().set(256, &[6; 9]).encode();
    let many = one.repeat(60_000 / one.len());
    let mut records = Vec::new();
    let summary = decoder.decode(session(1), 0, &many, &mut records).unwrap();
    assert!((8_000..=8_192).contains(&records.len()), "{}", records.len());
    assert!(summary.sets_malformed > 0 && summary.set_fault.is_some());
}

#[test]
fn time_that_goes_backwards_forgets_nothing() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, 1, u64::MAX, message().template(256, &[SRC_PORT]));
    assert_eq!(
        feed(&mut decoder, 1, 0, message().set(256, &[0, 80])).0.records,
        1
    );
}

#[test]
fn a_flood_of_strangers_does_not_push_those_out_who_have_sent_for_a_while() {
    let mut decoder = Decoder::new(Limits {
        scopes: 100,
        ..Limits::default()
    });
    feed(&mut decoder, 0, 0, message().template(256, &[SRC_PORT]));
    for now_ms in 0..20 {
        feed(&mut decoder, 0, now_ms, message().set(256, &[0, 80]));
    }
    for number in 1..1_000 {
        let stranger = message().template(256, &[SRC_PORT]);
        feed(&mut decoder, number, 100 + u64::from(number), stranger);
    }
    let (summary, _) = feed(&mut decoder, 0, 2_000, message().set(256, &[0, 80]));
    assert_eq!(summary.records, 1);
}

#[test]
fn records_too_short_for_a_flow_are_counted_and_few_of_them_kept() {
    let template = message().template(256, &[Field::iana(4, 1)]);
    let (summary, records) = feed(&mut Decoder::default(), 1, 0, template.set(256, &[6; 1000]));
    assert_eq!(
        (records.len(), summary.records_skipped, summary.data_records),
        (8, 992, 1000)
    );
    let variable = message().template(256, &[Field::iana(82, Field::VARIABLE), Field::iana(1, 1)]);
    let (summary, records) = feed(&mut Decoder::default(), 1, 0, variable.set(256, &[0; 1000]));
    assert_eq!(
        (records.len(), summary.records_skipped),
        (8 + 1000 / 8, 500 - 8 - 1000 / 8)
    );
}

#[test]
fn every_record_that_has_the_octets_of_a_flow_is_kept() {
    let shapes = [
        vec![Field::iana(8, 4), Field::iana(12, 4)],
        vec![Field::iana(12, 4), Field::iana(1, 4)],
        vec![
            Field::iana(8, 4),
            Field::iana(82, Field::VARIABLE),
            Field::iana(12, 4),
        ],
    ];
    for fields in shapes {
        let variable = fields.iter().filter(|field| field.is_variable()).count();
        let octets = 1_000 * (8 + variable);
        let data = message().template(256, &fields).set(256, &vec![0; octets]);
        let (summary, _) = feed(&mut Decoder::default(), 1, 0, data);
        assert_eq!(
            (summary.records, summary.records_skipped),
            (1_000, 0),
            "{fields:?}"
        );
    }
}

#[test]
fn options_records_of_an_octet_are_bounded_like_flows() {
    let template = message().options_template(256, 1, &[Field::iana(10, 1)]);
    let (summary, _) = feed(&mut Decoder::default(), 1, 0, template.set(256, &[1; 1000]));
    assert_eq!((summary.options_records, summary.records_skipped), (8, 992));
}

#[test]
fn a_data_set_without_octets_waits_for_nothing() {
    let (summary, _) = feed(&mut Decoder::default(), 1, 0, message().set(256, &[]));
    assert_eq!((summary.sets_held, summary.sets_skipped), (0, 1));
}

/// Port by port of one address.
fn port(number: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], number))
}

/// An address of one network of 64 bits: who has one has them all.
fn neighbour(number: u16) -> SocketAddr {
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, number, 1);
    (address, 1).into()
}

/// The ways in which one host can send as many.
const AS_MANY: [fn(u16) -> SocketAddr; 2] = [port, neighbour];

fn send(decoder: &mut Decoder, from: SocketAddr, now_ms: u64, message: Ipfix) -> Summary {
    let summary = decoder.decode(from, now_ms, &message.encode(), &mut Vec::new());
    summary.expect("a well-formed message")
}

/// Different from all others.
fn template(number: u16) -> Ipfix {
    message().template(256, &[Field::iana(number, 4), Field::iana(number / 7, 2)])
}

#[test]
fn one_address_with_many_ports_leaves_room_for_the_templates_of_others() {
    for from in AS_MANY {
        let mut decoder = Decoder::new(Limits {
            template_bytes: 4_000,
            ..Limits::default()
        });
        let learned =
            (1..2_000).map(|number| send(&mut decoder, from(number), 0, template(number)).templates_learned);
        let learned: usize = learned.sum();
        assert!((100..=300).contains(&learned), "{learned}");
        for number in 1..20 {
            let (summary, _) = feed(&mut decoder, 77 + u32::from(number), 0, template(3_000 + number));
            assert_eq!((summary.templates_learned, summary.templates_refused), (1, 0));
        }
        // What is known already costs it nothing.
        assert_eq!(
            send(&mut decoder, from(5_000), 0, template(1)).templates_learned,
            1
        );
    }
}

#[test]
fn when_templates_have_no_room_left_strangers_go_first() {
    let mut decoder = Decoder::new(Limits {
        template_bytes: 1_200,
        ..Limits::default()
    });
    for now_ms in 0..20 {
        feed(&mut decoder, 0, now_ms, template(9_000));
    }
    // So many addresses that each has its share and there is no room left.
    let mut refused = 0;
    for number in 1..=200 {
        refused += feed(&mut decoder, number.into(), 100, template(number))
            .0
            .templates_refused;
    }
    assert!(refused > 50, "{refused}");
    let (summary, _) = feed(&mut decoder, 777, 2_000, template(3_000));
    assert_eq!(summary.templates_learned, 1);
    let (summary, _) = feed(&mut decoder, 0, 2_001, message().set(256, &[0; 6]));
    assert_eq!(summary.records, 1);
}

#[test]
fn one_address_with_many_ports_leaves_room_for_the_data_of_others() {
    for from in AS_MANY {
        let mut decoder = Decoder::new(Limits {
            held_bytes: 10_000,
            ..Limits::default()
        });
        let data = || message().set(256, &[0; 36]);
        let held: usize = (0..1_000)
            .map(|number| send(&mut decoder, from(number), 0, data()).sets_held)
            .sum();
        assert!((50..=60).contains(&held), "{held}");
        for number in 1..5 {
            assert_eq!(feed(&mut decoder, number, 0, data()).0.sets_held, 1);
        }
        // What it has waiting in vain becomes room for it again.
        decoder.give_up_waiting();
        assert_eq!(send(&mut decoder, from(1), 0, data()).sets_held, 1);
    }
}

#[test]
fn when_data_has_no_room_left_to_wait_strangers_go_first() {
    let mut decoder = Decoder::new(Limits {
        held_bytes: 1_000,
        ..Limits::default()
    });
    for now_ms in 0..20 {
        feed(&mut decoder, 0, now_ms, message().template(300, &[SRC_PORT]));
    }
    let data = || message().set(256, &[0; 36]);
    for number in 1..=50 {
        feed(&mut decoder, number, 100, data());
    }
    assert_eq!(feed(&mut decoder, 0, 1_500, data()).0.sets_dropped, 1);
    assert_eq!(feed(&mut decoder, 0, 1_501, data()).0.sets_held, 1);
    assert!(decoder.take_expired_sets() > 0);
}

#[test]
fn one_address_with_many_ports_and_domains_pushes_only_itself_out() {
    for from in AS_MANY {
        let mut decoder = Decoder::new(Limits {
            scopes: 100,
            ..Limits::default()
        });
        // Strangers, all silent for longer than the flood.
        for number in 0..30 {
            feed(
                &mut decoder,
                1_000 + number,
                0,
                message().template(256, &[SRC_PORT]),
            );
        }
        let mut refused = 0;
        for number in 0..5_000 {
            let flood = Ipfix::new(0, 0, u32::from(number) % 3).template(256, &[SRC_PORT]);
            let now_ms = 10 + u64::from(number) / 10;
            refused += send(&mut decoder, from(number), now_ms, flood).templates_refused;
            assert!((30..=100).contains(&decoder.scopes()));
        }
        // Some got in, each time that it was looked for others of that address to go.
        assert!((4_000..5_000).contains(&refused), "{refused}");
        for number in 0..30 {
            let (summary, _) = feed(&mut decoder, 1_000 + number, 20, message().set(256, &[0, 80]));
            assert_eq!(summary.records, 1, "{number}");
        }
    }
}

#[test]
fn one_datagram_of_many_messages_makes_nobody_regular() {
    let mut decoder = Decoder::new(Limits {
        scopes: 100,
        ..Limits::default()
    });
    let many: Vec<u8> = (0..50)
        .flat_map(|_| message().template(256, &[SRC_PORT]).encode())
        .collect();
    let summary = decoder.decode(session(7), 0, &many, &mut Vec::new());
    assert_eq!(summary.expect("messages").further_messages.len(), 49);
    for now_ms in 0..20 {
        feed(&mut decoder, 0, now_ms, message().template(256, &[SRC_PORT]));
    }
    for number in 1_000..1_200 {
        feed(&mut decoder, number, 100, message().template(256, &[SRC_PORT]));
    }
    assert_eq!(
        feed(&mut decoder, 0, 200, message().set(256, &[0, 80])).0.records,
        1
    );
    assert_eq!(
        feed(&mut decoder, 7, 200, message().set(256, &[0, 80])).0.records,
        0
    );
}
