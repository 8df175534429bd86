//! IPFIX as Open vSwitch sends it: one record a datagram, 89 templates by ids
//! that follow from the packet (`wire::ovs`), empty interface descriptions.

use wire::Field;
use wire::encode::{Body, Ipfix};
use wire::ovs::{Network, PEN_VMWARE, STATISTICS_TEMPLATE, TemplateKey, Transport};

use crate::card::{Card, Header};
use crate::flow::{Flow, ICMP, TCP};
use crate::interfaces;
use crate::random::Random;

/// Templates in one message, as OVS packs them (18 messages for 88 templates).
const TEMPLATES_A_MESSAGE: usize = 5;

/// Octets of Ethernet header that layer 2 counters have on top.
const ETHERNET: u32 = 14;

/// The messages that teach all templates of a bridge.
pub(crate) fn templates(domain: u32) -> Vec<Card> {
    let keys: Vec<_> = TemplateKey::all().collect();
    let mut cards: Vec<_> = keys
        .chunks(TEMPLATES_A_MESSAGE)
        .map(|keys| {
            let message = keys.iter().fold(Ipfix::new(0, 0, domain), |message, key| {
                message.template(key.id(), &key.fields(false))
            });
            Card::new(message.encode(), Header::IPFIX, 0, 0)
        })
        .collect();
    let statistics = [Field::iana(144, 4), Field::iana(167, 8)];
    let message = Ipfix::new(0, 0, 0).options_template(STATISTICS_TEMPLATE, 1, &statistics);
    cards.push(Card::new(message.encode(), Header::IPFIX, 0, 0));
    cards
}

/// A message with one observation of a flow.
pub(crate) fn record(domain: u32, flow: &Flow, random: &mut Random) -> Card {
    let key = key(flow, random);
    let mut body = Body::default();
    let fields = key.fields(false);
    let mut interfaces = [flow.input, flow.output].into_iter();
    let mut interface = 0;
    for field in &fields {
        if matches!(field.id, 10 | 14) && field.enterprise == 0 {
            interface = interfaces.next().unwrap_or_default();
        }
        write(&mut body, field, key, flow, interface);
    }
    let message = Ipfix::new(0, 0, domain).set(key.id(), &body.into_bytes());
    Card::new(message.encode(), Header::IPFIX, 1, 1)
}

fn key(flow: &Flow, random: &mut Random) -> TemplateKey {
    TemplateKey {
        vlan: false,
        network: if random.below(8) == 0 {
            Network::Ipv6
        } else {
            Network::Ipv4
        },
        transport: match flow.protocol {
            TCP => Transport::Tcp,
            ICMP => Transport::Icmp,
            _ => Transport::Udp,
        },
        tunnel: random.below(4) == 0,
        egress: random.below(2) == 0,
    }
}

/// Appends the value of one field.
fn write(body: &mut Body, field: &Field, key: TemplateKey, flow: &Flow, interface: u16) {
    match (field.enterprise, field.id) {
        (PEN_VMWARE, element) => tunnel(body, element, flow),
        (_, 82) => body.variable(interfaces::name(interface).as_bytes()),
        (_, 83) => body.variable(b""),
        (_, 27) => body.bytes(&flow.src_v6().octets()),
        (_, 28) => body.bytes(&flow.dst_v6().octets()),
        (_, element) => integer(body, value(element, key, flow, interface), field.width),
    };
}

/// The value of an element that is a number, or an address as one.
fn value(element: u16, key: TemplateKey, flow: &Flow, interface: u16) -> u64 {
    let [kind, code] = flow.dst_port.to_be_bytes();
    match element {
        8 => u64::from(u32::from(flow.src)),
        12 => u64::from(u32::from(flow.dst)),
        61 => u64::from(key.egress),
        56 => 0x0a58_0000_0000 | u64::from(u32::from(flow.src)),
        80 => 0x0a58_0000_0000 | u64::from(u32::from(flow.dst)),
        256 if key.network == Network::Ipv6 => 0x86dd,
        256 => 0x0800,
        240 => u64::from(ETHERNET),
        10 | 14 => u64::from(interface),
        368 | 369 => 6,
        60 if key.network == Network::Ipv6 => 6,
        60 => 4,
        192 => 64,
        4 if flow.protocol == ICMP && key.network == Network::Ipv6 => 58,
        4 => u64::from(flow.protocol),
        7 => u64::from(flow.src_port),
        11 => u64::from(flow.dst_port),
        176 | 178 => u64::from(kind),
        177 | 179 => u64::from(code),
        158 => 2_000_000,
        159 => 1_000_000,
        2 | 86 | 354 => u64::from(flow.packets),
        352 | 353 => u64::from(flow.octets() + ETHERNET * flow.packets),
        1 | 85 => u64::from(flow.octets()),
        198 | 199 => u64::from(flow.octets()) * u64::from(flow.packet_length),
        25 | 26 => u64::from(flow.packet_length),
        136 => 2,
        _ => 0,
    }
}

/// A Geneve tunnel from node to node.
fn tunnel<'a>(body: &'a mut Body, element: u16, flow: &Flow) -> &'a mut Body {
    match element {
        893 => body.bytes(&[172, 30, 0, flow.src.octets()[2]]),
        894 => body.bytes(&[172, 30, 0, flow.dst.octets()[2]]),
        895 => body.u8(17),
        896 => body.u16(flow.src_port | 0x8000),
        897 => body.u16(6081),
        891 => body.u8(7),
        _ => body.variable(&[0, 0, 5]),
    }
}

fn integer(body: &mut Body, value: u64, width: u16) -> &mut Body {
    let octets = value.to_be_bytes();
    body.bytes(&octets[8 - usize::from(width.min(8))..])
}
