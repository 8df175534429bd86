//! IPFIX and NetFlow v9 as routers send them: one template, many records a
//! datagram.

use wire::Field;
use wire::encode::{Body, Ipfix, NetFlow9};

use crate::card::{Card, Header};
use crate::flow::Flow;

/// Records in one datagram; about 1,400 octets.
pub(crate) const RECORDS: u32 = 24;

/// The template's id, in both formats.
const TEMPLATE: u16 = 300;

/// Exporter's uptime in NetFlow v9, ms.
const UPTIME_MS: u32 = 3_600_000;

/// What both templates have: addresses, ports, protocol, class of service, TCP
/// flags, interfaces, packets, octets, direction.
const COMMON: [(u16, u16); 12] = [
    (8, 4),
    (12, 4),
    (7, 2),
    (11, 2),
    (4, 1),
    (5, 1),
    (6, 1),
    (10, 4),
    (14, 4),
    (2, 8),
    (1, 8),
    (61, 1),
];

/// IPFIX has absolute times in ms, NetFlow v9 those of the exporter's uptime.
fn fields(times: [(u16, u16); 2]) -> Vec<Field> {
    let all = COMMON.iter().chain(&times);
    all.map(|&(id, width)| Field::iana(id, width)).collect()
}

/// The message that teaches IPFIX's template.
pub(crate) fn ipfix_template(domain: u32) -> Card {
    let message = Ipfix::new(0, 0, domain).template(TEMPLATE, &fields([(152, 8), (153, 8)]));
    Card::new(message.encode(), Header::IPFIX, 0, 0)
}

/// An IPFIX message with these flows; `start_secs` dates them.
pub(crate) fn ipfix(domain: u32, flows: &[Flow], start_secs: u32) -> Card {
    let start_ms = u64::from(start_secs) * 1000;
    let mut body = Body::default();
    for flow in flows {
        common(&mut body, flow);
        body.u64(start_ms).u64(start_ms + 500);
    }
    let message = Ipfix::new(0, 0, domain).set(TEMPLATE, &body.into_bytes());
    let records = count(flows);
    Card::new(message.encode(), Header::IPFIX, records, records)
}

/// The message that teaches NetFlow v9's template.
pub(crate) fn netflow9_template(source: u32) -> Card {
    let message = NetFlow9::new(1, UPTIME_MS, 0, 0, source).template(TEMPLATE, &fields([(22, 4), (21, 4)]));
    Card::new(message.encode(), Header::NETFLOW9, 0, 1)
}

/// A NetFlow v9 message with these flows.
pub(crate) fn netflow9(source: u32, flows: &[Flow]) -> Card {
    let mut body = Body::default();
    for flow in flows {
        common(&mut body, flow);
        body.u32(UPTIME_MS - 1500).u32(UPTIME_MS - 1000);
    }
    let mut content = body.into_bytes();
    // Flowsets end on a multiple of four octets (RFC 3954 §5.3).
    content.resize(content.len().next_multiple_of(4), 0);
    let records = count(flows);
    let message = NetFlow9::new(records as u16, UPTIME_MS, 0, 0, source).set(TEMPLATE, &content);
    Card::new(message.encode(), Header::NETFLOW9, records, 1)
}

fn common(body: &mut Body, flow: &Flow) {
    body.bytes(&flow.src.octets()).bytes(&flow.dst.octets());
    body.u16(flow.src_port)
        .u16(flow.dst_port)
        .u8(flow.protocol)
        .u8(0)
        .u8(0x1b);
    body.u32(flow.input.into()).u32(flow.output.into());
    body.u64(flow.packets.into()).u64(flow.octets().into()).u8(0);
}

fn count(flows: &[Flow]) -> u32 {
    u32::try_from(flows.len()).unwrap_or(u32::MAX)
}
