//! IPFIX over TCP: messages cut out of the stream, templates that last until they
//! are withdrawn or the session ends (RFC 7011 §8.1, §10.4).

use std::net::SocketAddr;

use proptest::prelude::*;
use wire::encode::{Ipfix, NetFlow9};
use wire::{Decoder, Field, Framer, Limits, Record, Reject, Session, Summary};

const SRC_PORT: Field = Field::iana(7, 2);
const DST_PORT: Field = Field::iana(11, 2);

fn peer() -> SocketAddr {
    ([192, 0, 2, 1], 50_000).into()
}

fn message() -> Ipfix {
    Ipfix::new(1_795_196_542, 0, 1)
}

fn data() -> Ipfix {
    message().set(256, &[0, 80])
}

fn try_feed(decoder: &mut Decoder, now_ms: u64, message: Ipfix) -> Result<(Summary, Vec<Record>), Reject> {
    let mut records = Vec::new();
    let summary = decoder.decode(Session::stream(peer()), now_ms, &message.encode(), &mut records)?;
    Ok((summary, records))
}

fn feed(decoder: &mut Decoder, message: Ipfix) -> (Summary, Vec<Record>) {
    try_feed(decoder, 0, message).expect("a well-formed message")
}

#[test]
fn a_withdrawal_takes_the_template_out_of_force() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    let (summary, _) = feed(&mut decoder, message().set(2, &[1, 0, 0, 0]));
    assert_eq!((summary.templates_withdrawn, summary.withdrawals_ignored), (1, 0));
    assert_eq!(feed(&mut decoder, data()).0.sets_held, 1);
    let (summary, records) = feed(&mut decoder, message().template(256, &[DST_PORT]));
    assert_eq!((summary.released_records, records[0].dst_port), (1, Some(80)));
}

#[test]
fn all_templates_or_all_options_templates_are_withdrawn_by_the_id_of_their_set() {
    let mut decoder = Decoder::default();
    let all = message()
        .template(256, &[SRC_PORT])
        .template(257, &[SRC_PORT])
        .options_template(258, 1, &[SRC_PORT]);
    feed(&mut decoder, all);
    let (summary, _) = feed(&mut decoder, message().set(2, &[0, 2, 0, 0]));
    assert_eq!((summary.templates_withdrawn, decoder.templates()), (2, 1));
    let (summary, _) = feed(&mut decoder, message().set(3, &[0, 3, 0, 0]));
    assert_eq!((summary.templates_withdrawn, decoder.templates()), (1, 0));
}

#[test]
fn a_withdrawal_of_what_is_not_in_force_is_counted() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    let (summary, _) = feed(
        &mut decoder,
        message().set(2, &[1, 1, 0, 0]).set(3, &[1, 0, 0, 0]),
    );
    assert_eq!((summary.templates_withdrawn, summary.withdrawals_ignored), (0, 2));
}

#[test]
fn a_template_may_be_repeated_but_not_redefined_without_a_withdrawal() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    let (summary, _) = feed(&mut decoder, message().template(256, &[SRC_PORT]));
    assert_eq!(summary.templates_refreshed, 1);
    let result = try_feed(&mut decoder, 0, message().template(256, &[DST_PORT]));
    assert_eq!(
        result,
        Err(Reject::Redefined {
            offset: 20,
            found: 256
        })
    );
    assert_eq!(feed(&mut decoder, data()).1[0].src_port, Some(80));
    let withdrawn = message().set(2, &[1, 0, 0, 0]).template(256, &[DST_PORT]);
    feed(&mut decoder, withdrawn);
    assert_eq!(feed(&mut decoder, data()).1[0].dst_port, Some(80));
}

#[test]
fn a_malformed_set_withdraws_nothing() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    try_feed(&mut decoder, 0, message().set(2, &[1, 0, 0, 0, 1, 1, 0, 9]))
        .expect_err("a template is cut short");
    assert_eq!(feed(&mut decoder, data()).1.len(), 1);
}

#[test]
fn templates_last_as_long_as_the_session() {
    let mut decoder = Decoder::new(Limits {
        template_age_ms: 60_000,
        ..Limits::default()
    });
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    let (_, records) = try_feed(&mut decoder, 100_000_000, data()).expect("well-formed");
    assert_eq!(records.len(), 1);
    decoder.end_session(Session::stream(peer()));
    assert_eq!((decoder.scopes(), decoder.templates()), (0, 0));
    assert_eq!(feed(&mut decoder, data()).0.sets_held, 1);
    decoder.end_session(Session::stream(peer()));
    assert_eq!(decoder.take_expired_sets(), 1);
}

#[test]
fn a_stream_and_datagrams_from_one_port_are_two_sessions() {
    let mut decoder = Decoder::default();
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    let mut records = Vec::new();
    let summary = decoder.decode(peer(), 0, &data().encode(), &mut records);
    assert_eq!(summary.map(|summary| summary.sets_held), Ok(1));
    decoder.end_session(peer());
    assert_eq!(feed(&mut decoder, data()).1.len(), 1);
}

#[test]
fn a_flood_of_datagram_senders_does_not_push_streams_out() {
    let mut decoder = Decoder::new(Limits {
        scopes: 16,
        ..Limits::default()
    });
    feed(&mut decoder, message().template(256, &[SRC_PORT]));
    for port in 1..200 {
        let message = message().template(256, &[SRC_PORT]).encode();
        decoder
            .decode(
                SocketAddr::from(([192, 0, 2, 2], port)),
                u64::from(port),
                &message,
                &mut Vec::new(),
            )
            .expect("well-formed");
        assert!(decoder.scopes() <= 16);
    }
    assert_eq!(feed(&mut decoder, data()).1.len(), 1);
}

#[test]
fn only_ipfix_runs_over_a_stream() {
    let message = NetFlow9::new(0, 0, 0, 0, 0).encode();
    let result = Decoder::default().decode(Session::stream(peer()), 0, &message, &mut Vec::new());
    assert_eq!(result, Err(Reject::Version { found: 9 }));
}

#[test]
fn what_is_no_ipfix_message_ends_the_stream() {
    let mut framer = Framer::default();
    framer.push(b"GET / HTTP/1.1\r\n");
    assert_eq!(framer.next_message(), Err(Reject::Version { found: 0x4745 }));
    let mut framer = Framer::default();
    framer.push(&[0, 10, 0, 15]);
    let short = Reject::Length {
        offset: 2,
        found: 15,
        expected: 65_535,
    };
    assert_eq!(framer.next_message(), Err(short));
}

#[test]
fn the_end_of_a_stream_within_a_message_is_known() {
    let mut framer = Framer::default();
    let stream = [data().encode(), data().encode()].concat();
    framer.push(&stream[..stream.len() - 3]);
    assert!(framer.next_message().expect("IPFIX").is_some());
    assert_eq!(framer.next_message(), Ok(None));
    assert_eq!(framer.pending(), data().encode().len() - 3);
}

proptest! {
    #[test]
    fn messages_come_whole_and_in_order_however_the_stream_is_cut(
        sizes in prop::collection::vec(0_usize..3_000, 1..8),
        cuts in prop::collection::vec(1_usize..2_000, 1..40),
    ) {
        let messages: Vec<_> = sizes.iter().map(|&size| message().set(999, &vec![7; size]).encode()).collect();
        let stream = messages.concat();
        let (mut framer, mut found, mut rest) = (Framer::default(), Vec::new(), &stream[..]);
        for cut in cuts.into_iter().chain([stream.len()]) {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            rest = left;
            framer.push(piece);
            while let Some(message) = framer.next_message().expect("IPFIX") {
                found.push(message.to_vec());
            }
        }
        prop_assert_eq!((found, framer.pending()), (messages, 0));
    }
}
