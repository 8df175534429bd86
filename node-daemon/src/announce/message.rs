//! The bytes: IPFIX messages with an options template and its data. Pure.
//! Each message brings its template, so that none depends on another.

use super::Interface;

/// The number of our template. OVS numbers its own 256 to 375 and 462, in the same
/// observation domain; collectors that keep templates by domain alone must not mix
/// them up.
pub const TEMPLATE: u16 = 61_000;

/// Bytes that a message has at most: what passes any path without being cut into
/// fragments (RFC 8200 §5), less the headers of IPv6 and UDP.
const LONGEST: usize = 1_232;

const VERSION: u16 = 10;
const OPTIONS_TEMPLATE_SET: u16 = 3;
const HEADER: usize = 16;
const SET_HEADER: usize = 4;
/// Length of a field that says its own.
const VARIABLE: u16 = 65_535;
/// Element and length of each field (IANA): ingressInterface, which is the scope,
/// portId, interfaceName, interfaceDescription.
const FIELDS: [(u16, u16); 4] = [(10, 4), (142, 4), (82, VARIABLE), (83, VARIABLE)];
const SCOPES: u16 = 1;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// As it is sent.
    pub bytes: Vec<u8>,
    /// Sequence number of the message after it.
    pub next_sequence: u32,
}

/// As many messages as it takes. `sequence`: records sent before; `now`: seconds since
/// the epoch UTC.
pub fn messages(domain: u32, sequence: u32, now: u32, records: &[(&u32, &Interface)]) -> Vec<Message> {
    let head = HEADER + template_set().len() + SET_HEADER;
    let mut messages: Vec<Message> = Vec::new();
    let (mut data, mut count, mut sent) = (Vec::new(), 0_u32, sequence);
    for (index, interface) in records {
        let record = record(**index, interface);
        if count > 0 && head + data.len() + record.len() > LONGEST {
            messages.push(message(domain, sent, now, &data, count));
            sent = sent.wrapping_add(count);
            (data, count) = (Vec::new(), 0);
        }
        data.extend(record);
        count += 1;
    }
    if count > 0 {
        messages.push(message(domain, sent, now, &data, count));
    }
    messages
}

fn message(domain: u32, sequence: u32, now: u32, data: &[u8], count: u32) -> Message {
    let template = template_set();
    let length = HEADER + template.len() + SET_HEADER + data.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(short(length));
    bytes.extend(now.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(domain.to_be_bytes());
    bytes.extend(template);
    bytes.extend(TEMPLATE.to_be_bytes());
    bytes.extend(short(SET_HEADER + data.len()));
    bytes.extend(data);
    Message {
        bytes,
        next_sequence: sequence.wrapping_add(count),
    }
}

/// RFC 7011 §3.4.2.2.
fn template_set() -> Vec<u8> {
    let length = SET_HEADER + 6 + FIELDS.len() * 4;
    let head = [TEMPLATE, FIELDS.len() as u16, SCOPES];
    let fields = FIELDS.into_iter().flat_map(|(element, width)| [element, width]);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(OPTIONS_TEMPLATE_SET.to_be_bytes());
    bytes.extend(short(length));
    bytes.extend(head.into_iter().chain(fields).flat_map(u16::to_be_bytes));
    bytes
}

fn record(index: u32, interface: &Interface) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(index.to_be_bytes());
    bytes.extend(interface.port.to_be_bytes());
    text(&mut bytes, &interface.name);
    text(&mut bytes, &interface.description);
    bytes
}

/// RFC 7011 §7: one octet of length, or 255 and two.
fn text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(LONGEST / 4);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match u8::try_from(end) {
        Ok(length) if length < 255 => bytes.push(length),
        _ => {
            bytes.push(255);
            bytes.extend(short(end));
        }
    }
    bytes.extend(&text.as_bytes()[..end]);
}

/// No length here comes near 65,536: messages are bounded.
fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, description: &str) -> Interface {
        Interface {
            port: 3,
            name: name.to_owned(),
            description: description.to_owned(),
        }
    }

    #[test]
    fn a_message_is_laid_out_as_rfc_7011_says() {
        let web = interface("v1", "shop/web-1");
        let sent = messages(7, 5, 0x6600_0000, &[(&12, &web)]);
        // 16 bytes of header, 26 of template, 26 of data.
        let mut expected = vec![0, 10, 0, 68, 0x66, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 7];
        expected.extend([0, 3, 0, 26, 0xee, 0x48, 0, 4, 0, 1]);
        expected.extend([0, 10, 0, 4, 0, 142, 0, 4, 0, 82, 255, 255, 0, 83, 255, 255]);
        expected.extend([0xee, 0x48, 0, 26, 0, 0, 0, 12, 0, 0, 0, 3]);
        expected.extend(b"\x02v1\x0ashop/web-1");
        let [message] = sent.as_slice() else {
            panic!("{sent:?}");
        };
        assert_eq!(message.bytes, expected);
        assert_eq!(message.next_sequence, 6);
    }

    #[test]
    fn many_interfaces_take_several_messages_that_count_on() {
        let web = interface(
            "0123456789abcde",
            "a-namespace-of-some-length/web-7d4b9c6f5-x2x9k",
        );
        let indexes: Vec<u32> = (1..=100).collect();
        let records: Vec<_> = indexes.iter().map(|index| (index, &web)).collect();
        let sent = messages(7, u32::MAX, 0, &records);
        assert!(sent.len() > 1);
        let mut sequence = u32::MAX;
        for message in &sent {
            assert!(message.bytes.len() <= LONGEST);
            assert_eq!(message.bytes[8..12], sequence.to_be_bytes());
            sequence = message.next_sequence;
        }
        assert_eq!(sequence, u32::MAX.wrapping_add(100));
    }

    #[test]
    fn the_longest_names_fit_and_nothing_to_say_is_nothing_sent() {
        let longest = format!("{}/{}", "n".repeat(63), "p".repeat(253));
        let web = interface("v1", &format!("{longest} {longest}"));
        let sent = messages(7, 0, 0, &[(&1, &web), (&2, &web)]);
        assert!(sent.iter().all(|message| message.bytes.len() <= LONGEST));
        assert!(messages(7, 0, 0, &[]).is_empty());
    }
}
