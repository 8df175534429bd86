use std::net::SocketAddr;

use proptest::prelude::*;
use wire::{Decoder, Record};

use super::layout::{micros, text};
use super::*;
use crate::row::tests::Row;

const NOW: u32 = 1_795_196_542;

fn read(messages: &[Vec<u8>]) -> Vec<Record> {
    let exporter = SocketAddr::from(([192, 0, 2, 1], 4739));
    let (mut decoder, mut records) = (Decoder::default(), Vec::new());
    for message in messages {
        decoder
            .decode(exporter, u64::from(NOW) * 1000, message, &mut records)
            .expect("a message");
    }
    records
}

fn session(largest: usize) -> (Session, [Layout; 2]) {
    let layouts = records::layouts();
    let templates = layouts
        .iter()
        .map(|layout| (layout.id, layout.fields()))
        .collect();
    (Session::new(7, largest, templates), layouts)
}

/// The messages of these rows, templates first.
fn written(rows: &[Row], largest: usize) -> Vec<Vec<u8>> {
    let (mut session, layouts) = session(largest);
    let mut messages = vec![session.templates(NOW)];
    for row in rows {
        let template = records::template(row);
        let layout = layouts.iter().find(|layout| layout.id == template).unwrap();
        let mut record = Vec::new();
        layout.write(row, &mut record);
        messages.extend(session.add(template, &record, NOW));
    }
    messages.extend(session.finish(NOW));
    messages
}

fn call() -> Row {
    Row::default()
        .with_time("start", 1_795_196_536_625_001_000)
        .with_time("end", 1_795_196_539_999_999_000)
        .with_address("addr", "10.244.1.7")
        .with_address("dst_addr", "10.96.0.10")
        .with_address("exporter", "192.0.2.9")
        .with_number("proto", 17)
        .with_number("port", 40000)
        .with_number("dst_port", 53)
        .with_number("bytes", u64::MAX)
        .with_number("packets", 5)
        .with_number("dscp", 46)
        .with_number("ttl", 63)
        .with_mac("mac", [1, 2, 3, 4, 5, 6])
        .with_text("direction", "egress")
        .with_text("pod_name", "web-1")
        .with_text("dst_ns", "kube-system")
}

#[test]
fn a_record_is_read_as_it_was() {
    let records = read(&written(&[call()], 1400));
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(record.src_addr, Some("10.244.1.7".parse().unwrap()));
    assert_eq!(record.dst_addr, Some("10.96.0.10".parse().unwrap()));
    assert_eq!(
        (record.src_port, record.dst_port, record.ip_protocol),
        (Some(40000), Some(53), Some(17))
    );
    assert_eq!((record.bytes, record.packets), (Some(u64::MAX), Some(5)));
    assert_eq!((record.dscp, record.ttl), (Some(46), Some(63)));
    assert_eq!(record.src_mac, Some([1, 2, 3, 4, 5, 6]));
    assert_eq!(record.start_ns.map(|ns| ns / 1000), Some(1_795_196_536_625_001));
    assert_eq!(record.end_ns.map(|ns| ns / 1000), Some(1_795_196_539_999_999));
    assert_eq!(record.direction, Some(wire::Direction::Egress));
    assert_eq!(record.observation_domain, Some(7));
    let name = |attribute| match record.attributes.get(attribute) {
        Some(wire::AttributeValue::Text(text)) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name(wire::Attribute::SrcPodName), "web-1");
    assert_eq!(name(wire::Attribute::DstPodNamespace), "kube-system");
}

#[test]
fn addresses_of_ipv6_have_a_template_of_their_own() {
    let new = Row::default()
        .with_address("addr", "2001:db8::1")
        .with_address("dst_addr", "2001:db8::2");
    let records = read(&written(&[call(), new.clone(), call(), new], 9000));
    let kinds: Vec<bool> = records
        .iter()
        .map(|record| record.src_addr.unwrap().is_ipv6())
        .collect();
    assert_eq!(kinds, [false, true, false, true]);
    assert_eq!(records[1].dst_addr, Some("2001:db8::2".parse().unwrap()));
}

#[test]
fn each_message_has_one_set_and_the_number_of_records_before_it() {
    let rows = vec![call(); 20];
    let messages = written(&rows, 600);
    assert!(messages.len() > 3, "{}", messages.len());
    let mut before = 0;
    for message in &messages {
        assert!(message.len() <= 600);
        let number = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        assert_eq!(usize::from(number(2)), message.len());
        assert_eq!(usize::from(number(18)), message.len() - 16, "one set");
        let sequence = u32::from_be_bytes(message[8..12].try_into().unwrap());
        assert_eq!(sequence, before);
        before += read(&[messages[0].clone(), message.clone()]).len() as u32;
    }
    assert_eq!(before, 20);
}

#[test]
fn templates_are_due_at_first_then_by_time_and_by_messages_and_in_a_new_session() {
    let (mut session, layouts) = session(1400);
    assert!(session.wants_templates(NOW));
    session.templates(NOW);
    assert!(!session.wants_templates(NOW + TEMPLATES_EACH_SECONDS - 1));
    assert!(session.wants_templates(NOW + TEMPLATES_EACH_SECONDS));
    let mut record = Vec::new();
    layouts[0].write(&call(), &mut record);
    for _ in 0..TEMPLATES_EACH_MESSAGES {
        assert!(!session.wants_templates(NOW));
        session.add(records::IPV4, &record, NOW);
        session.finish(NOW).unwrap();
    }
    assert!(session.wants_templates(NOW));
    session.templates(NOW);
    session.restart();
    assert!(session.wants_templates(NOW));
    assert_eq!(session.waiting(), 0);
}

#[test]
fn a_record_larger_than_a_message_goes_alone() {
    let large = call().with_text("pod_name", &"x".repeat(2000));
    let messages = written(&[call(), large, call()], 600);
    assert_eq!(messages.len(), 4);
    assert_eq!(read(&messages).len(), 3);
}

#[test]
fn a_long_text_is_cut_between_two_characters() {
    let mut out = Vec::new();
    text(&"ä".repeat(4000), &mut out);
    assert_eq!((out[0], u16::from_be_bytes([out[1], out[2]])), (255, 4096));
    assert!(std::str::from_utf8(&out[3..]).is_ok());
    let mut odd = Vec::new();
    text(&format!("x{}", "ä".repeat(4000)), &mut odd);
    assert_eq!(u16::from_be_bytes([odd[1], odd[2]]), 4095);
    let mut short = Vec::new();
    text(&"y".repeat(254), &mut short);
    assert_eq!((short[0], short.len()), (254, 255));
}

proptest! {
    #[test]
    fn microseconds_are_read_as_they_were(micro in 0..4_000_000_000_000_000_u64) {
        let mut out = Vec::new();
        micros(micro * 1000, &mut out);
        let ntp = u64::from_be_bytes(out.try_into().unwrap());
        let seconds = (ntp >> 32).wrapping_sub(2_208_988_800) & 0xffff_ffff;
        prop_assert_eq!(seconds, micro / 1_000_000);
        prop_assert_eq!(((ntp & 0xffff_ffff) * 1_000_000) >> 32, micro % 1_000_000);
        prop_assert_eq!(ntp & 0x7ff, 0);
    }

    #[test]
    fn any_rows_are_as_many_records(names in proptest::collection::vec(".{0,400}", 0..12), largest in 100..3000_usize) {
        let rows: Vec<Row> = names
            .iter()
            .map(|name| call().with_text("ns", name).with_text("dst_pod_name", name))
            .collect();
        let messages = written(&rows, largest);
        prop_assert_eq!(read(&messages).len(), rows.len());
    }
}
