//! Templates that outlive their decoder.

mod pcap;

use std::net::SocketAddr;
use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use wire::encode::{Ipfix, NetFlow9};
use wire::{Archive, Decoder, Field, Limits, Record, Session, Summary};

const SRC_PORT: Field = Field::iana(7, 2);
const DST_PORT: Field = Field::iana(11, 2);
const HOUR_MS: u64 = 3_600_000;

fn session(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn message() -> Ipfix {
    Ipfix::new(0, 0, 7)
}

fn feed(
    decoder: &mut Decoder,
    session: impl Into<Session>,
    now_ms: u64,
    datagram: &[u8],
) -> (Summary, Vec<Record>) {
    let mut records = Vec::new();
    let summary = decoder.decode(session, now_ms, datagram, &mut records);
    (summary.expect("a well-formed message"), records)
}

fn archive_of(decoder: &mut Decoder, now_ms: u64) -> Archive {
    let mut archive = Archive::default();
    for learned in decoder.take_learned(now_ms) {
        archive.merge(learned);
    }
    archive
}

/// A decoder that knows of the archive what comes back from its octets.
fn reader_of(archive: &Archive, now_ms: u64) -> Decoder {
    let back = Archive::decode(&archive.encode(), &Limits::default(), 0, now_ms).expect("an archive");
    assert_eq!(
        (back.scopes(), back.templates()),
        (archive.scopes(), archive.templates())
    );
    let mut decoder = Decoder::default();
    decoder.recall(&back);
    decoder
}

/// One sender's template, learned by a decoder of its own, goes into the archive.
fn learn_from(archive: &mut Archive, port: u16, now_ms: u64) {
    let mut decoder = Decoder::default();
    let template = message().template(256, &[SRC_PORT]).encode();
    feed(&mut decoder, session(port), now_ms, &template);
    for learned in decoder.take_learned(now_ms) {
        archive.merge(learned);
    }
}

#[test]
fn a_session_that_is_met_again_needs_no_templates() {
    let mut before = Decoder::default();
    feed(
        &mut before,
        session(1),
        1_000,
        &message().template(256, &[SRC_PORT]).encode(),
    );
    let mut after = reader_of(&archive_of(&mut before, 1_000), 2_000);
    let data = message().set(256, &[0, 80]).encode();
    let (summary, records) = feed(&mut after, session(1), 2_000, &data);
    assert_eq!((summary.templates_recalled, records[0].src_port), (1, Some(80)));
    let (summary, _) = feed(&mut after, session(1), 2_000, &data);
    assert_eq!((summary.templates_recalled, summary.records), (0, 1));
}

#[test]
fn another_port_domain_or_protocol_is_another_session() {
    let mut before = Decoder::default();
    feed(
        &mut before,
        session(1),
        0,
        &message().template(256, &[SRC_PORT]).encode(),
    );
    let mut after = reader_of(&archive_of(&mut before, 0), 0);
    let data = message().set(256, &[0, 80]).encode();
    let other_domain = Ipfix::new(0, 0, 8).set(256, &[0, 80]).encode();
    let other_protocol = NetFlow9::new(0, 0, 0, 7, 1).set(256, &[0, 80]).encode();
    for (port, datagram) in [(2, data), (1, other_domain), (1, other_protocol)] {
        assert_eq!(feed(&mut after, session(port), 0, &datagram).0.sets_held, 1);
    }
}

#[test]
fn options_templates_of_both_protocols_and_ipv6_senders_come_back() {
    let interval = Field::iana(34, 4);
    let sender: SocketAddr = "[2001:db8::1]:4739".parse().expect("an address");
    let ipfix = message().options_template(300, 1, &[Field::iana(144, 4), interval]);
    // A scope of one field, the system, and one option.
    let netflow9 = NetFlow9::new(0, 0, 0, 7, 1).set(1, &[1, 44, 0, 4, 0, 4, 0, 2, 0, 4, 0, 34, 0, 4]);
    let mut before = Decoder::default();
    feed(&mut before, sender, 0, &ipfix.encode());
    feed(&mut before, sender, 0, &netflow9.encode());
    let mut after = reader_of(&archive_of(&mut before, 0), 0);
    let content = [0, 0, 0, 9, 0, 0, 0, 64];
    let ipfix = message().set(300, &content).encode();
    let netflow9 = NetFlow9::new(0, 0, 0, 7, 1).set(300, &content).encode();
    for datagram in [ipfix, netflow9] {
        let mut plain = feed(&mut before, sender, 0, &datagram).0;
        plain.templates_recalled = 1;
        assert_eq!(plain.options.len(), 1);
        assert_eq!(feed(&mut after, sender, 0, &datagram).0, plain);
    }
}

#[test]
fn what_the_session_says_now_replaces_what_was_recalled() {
    let mut before = Decoder::default();
    let both = message().template(256, &[SRC_PORT]).template(257, &[SRC_PORT]);
    feed(&mut before, session(1), 0, &both.encode());
    let mut after = reader_of(&archive_of(&mut before, 0), 0);
    let new = message()
        .template(256, &[DST_PORT])
        .set(256, &[0, 80])
        .set(257, &[0, 81]);
    let (summary, records) = feed(&mut after, session(1), 0, &new.encode());
    assert_eq!((summary.templates_learned, summary.templates_recalled), (1, 2));
    assert_eq!((records[0].dst_port, records[1].src_port), (Some(80), Some(81)));
    // Forgotten again, it does not fall back to what was true once.
    let mut latest = archive_of(&mut after, 0);
    let mut third = reader_of(&latest, 0);
    let (_, records) = feed(&mut third, session(1), 0, &message().set(256, &[0, 80]).encode());
    assert_eq!(records[0].dst_port, Some(80));
    latest.forget(1, 10);
    assert_eq!(latest.scopes(), 0);
}

#[test]
fn a_refused_first_message_takes_nothing_away() {
    let mut before = Decoder::default();
    feed(
        &mut before,
        session(1),
        0,
        &message().template(256, &[SRC_PORT]).encode(),
    );
    let mut after = reader_of(&archive_of(&mut before, 0), 0);
    // Another definition of the template, then one cut short, in the same set.
    let definitions = [1, 0, 0, 1, 0, 11, 0, 2, 1, 1, 0, 9];
    let malformed = message().set(2, &definitions).encode();
    after
        .decode(session(1), 0, &malformed, &mut Vec::new())
        .expect_err("a template is cut short");
    let (_, records) = feed(&mut after, session(1), 0, &message().set(256, &[0, 80]).encode());
    assert_eq!(records[0].src_port, Some(80));
}

#[test]
fn only_changes_are_told_and_repetitions_every_ten_minutes() {
    let mut decoder = Decoder::default();
    let template = message().template(256, &[SRC_PORT]).encode();
    let minute = 60_000;
    feed(&mut decoder, session(1), minute, &template);
    assert_eq!(decoder.take_learned(minute).len(), 1);
    feed(&mut decoder, session(1), 2 * minute, &template);
    feed(
        &mut decoder,
        session(1),
        2 * minute,
        &message().set(256, &[0, 80]).encode(),
    );
    assert_eq!(decoder.take_learned(2 * minute).len(), 0);
    feed(&mut decoder, session(1), 11 * minute, &template);
    assert_eq!(decoder.take_learned(11 * minute).len(), 1);
    feed(
        &mut decoder,
        session(1),
        12 * minute,
        &message().template(256, &[DST_PORT]).encode(),
    );
    assert_eq!(decoder.take_learned(12 * minute).len(), 1);
}

#[test]
fn who_is_no_stranger_any_more_is_told_of_once() {
    let mut decoder = Decoder::default();
    feed(
        &mut decoder,
        session(1),
        0,
        &message().template(256, &[SRC_PORT]).encode(),
    );
    let mut told = 0;
    for _ in 0..40 {
        feed(
            &mut decoder,
            session(1),
            0,
            &message().set(256, &[0, 80]).encode(),
        );
        told += decoder.take_learned(0).len();
    }
    assert_eq!(told, 2);
}

#[test]
fn templates_over_a_stream_are_not_told() {
    let mut decoder = Decoder::default();
    let template = message().template(256, &[SRC_PORT]).encode();
    feed(&mut decoder, Session::stream(session(1)), 0, &template);
    assert_eq!(decoder.take_learned(0).len(), 0);
}

#[test]
fn what_is_too_old_is_left_out_and_what_is_of_the_future_is_of_now() {
    let mut decoder = Decoder::default();
    for (port, now_ms) in [(1, HOUR_MS), (2, 5 * HOUR_MS), (3, 900 * HOUR_MS)] {
        feed(
            &mut decoder,
            session(port),
            now_ms,
            &message().template(256, &[SRC_PORT]).encode(),
        );
    }
    // A clock that was set has made none of them older.
    assert_eq!(archive_of(&mut decoder, 0).scopes(), 3);

    let mut archive = Archive::default();
    for (port, now_ms) in [(1, HOUR_MS), (2, 5 * HOUR_MS), (3, 900 * HOUR_MS)] {
        learn_from(&mut archive, port, now_ms);
    }
    let octets = archive.encode();
    let back = Archive::decode(&octets, &Limits::default(), 3 * HOUR_MS, 6 * HOUR_MS).expect("an archive");
    assert_eq!(back.scopes(), 2);
    let again = Archive::decode(&back.encode(), &Limits::default(), 6 * HOUR_MS, 9 * HOUR_MS);
    assert_eq!(again.map(|archive| archive.scopes()), Ok(1));
    let mut decoder = Decoder::default();
    decoder.recall(&back);
    let (summary, _) = feed(
        &mut decoder,
        session(2),
        9 * HOUR_MS,
        &message().set(256, &[0, 80]).encode(),
    );
    assert_eq!((summary.templates_recalled, summary.sets_held), (0, 1));
}

#[test]
fn an_archive_has_bounds_and_those_silent_longest_go() {
    let mut archive = Archive::default();
    for port in 1..=20u16 {
        learn_from(&mut archive, port, u64::from(port));
    }
    archive.forget(0, 5);
    assert_eq!(archive.scopes(), 5);
    archive.forget(18, 5);
    assert_eq!(archive.scopes(), 3);
    let limits = Limits {
        scopes: 2,
        ..Limits::default()
    };
    let back = Archive::decode(&archive.encode(), &limits, 0, 100).expect("an archive");
    assert_eq!(back.scopes(), 2);
}

#[test]
fn strangers_are_forgotten_before_those_who_have_sent_for_a_while() {
    let mut decoder = Decoder::default();
    let template = message().template(256, &[SRC_PORT]).encode();
    feed(&mut decoder, session(1), 1, &template);
    for _ in 0..20 {
        feed(
            &mut decoder,
            session(1),
            1,
            &message().set(256, &[0, 80]).encode(),
        );
    }
    for port in 2..=50 {
        feed(&mut decoder, session(port), 100, &template);
    }
    let mut archive = archive_of(&mut decoder, 100);
    archive.forget(0, 3);
    let mut after = reader_of(&archive, 100);
    let (summary, _) = feed(
        &mut after,
        session(1),
        100,
        &message().set(256, &[0, 80]).encode(),
    );
    assert_eq!((archive.scopes(), summary.records), (3, 1));
}

#[test]
fn a_template_beyond_the_limits_is_no_template() {
    let mut decoder = Decoder::default();
    feed(
        &mut decoder,
        session(1),
        0,
        &message().template(256, &[SRC_PORT; 9]).encode(),
    );
    let octets = archive_of(&mut decoder, 0).encode();
    let limits = Limits {
        fields_per_template: 8,
        ..Limits::default()
    };
    Archive::decode(&octets, &limits, 0, 0).expect_err("a template of nine fields");
}

/// What a real Open vSwitch teaches.
fn captured() -> &'static Archive {
    static CAPTURED: OnceLock<Archive> = OnceLock::new();
    CAPTURED.get_or_init(capture)
}

fn datagrams() -> &'static [pcap::Datagram] {
    static DATAGRAMS: OnceLock<Vec<pcap::Datagram>> = OnceLock::new();
    DATAGRAMS.get_or_init(pcap::datagrams)
}

fn capture() -> Archive {
    let mut decoder = Decoder::default();
    for datagram in datagrams() {
        // Only what it teaches counts here.
        let _ = decoder.decode(datagram.source, 1_000, &datagram.payload, &mut Vec::new());
    }
    archive_of(&mut decoder, 1_000)
}

#[test]
fn what_ovs_teaches_comes_back_as_it_was() {
    let archive = captured();
    assert!(archive.templates() > 60, "{}", archive.templates());
    let octets = archive.encode();
    let back = Archive::decode(&octets, &Limits::default(), 0, 2_000).expect("an archive");
    assert_eq!(
        (back.scopes(), back.templates()),
        (archive.scopes(), archive.templates())
    );
    for length in (0..octets.len()).step_by(11) {
        Archive::decode(&octets[..length], &Limits::default(), 0, 0).expect_err("it is cut short");
    }
    Archive::decode(&[&octets[..], &[0]].concat(), &Limits::default(), 0, 0).expect_err("it is too long");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_archive_is_refused_or_is_one_of_well_formed_templates(
        damages in vec((any::<Index>(), any::<u8>()), 1..8),
        data in vec(any::<u8>(), 0..200),
    ) {
        let mut octets = captured().encode();
        for (place, octet) in damages {
            let place = place.index(octets.len());
            octets[place] = octet;
        }
        if let Ok(archive) = Archive::decode(&octets, &Limits::default(), 0, u64::MAX) {
            let mut decoder = Decoder::default();
            decoder.recall(&archive);
            for datagram in datagrams().iter().take(200) {
                let _ = decoder.decode(datagram.source, 2_000, &datagram.payload, &mut Vec::new());
            }
        }
        prop_assert!(Archive::decode(&data, &Limits::default(), 0, 0).is_err() || data.iter().all(|o| *o == 0));
    }
}
