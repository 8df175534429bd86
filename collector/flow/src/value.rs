//! What a field can hold, the words for numbers on the wire, and how each kind
//! is written as JSON.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::{Serialize, Serializer};
use wire::Direction;

/// The value of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Text, or a word out of a fixed set.
    Text(Cow<'a, str>),
    /// Yes or no.
    Bool(bool),
    /// A number.
    Unsigned(u64),
    /// An address.
    Address(IpAddr),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// Nanoseconds since the epoch UTC.
    Time(u64),
    /// Words for TCP control bits.
    Flags(TcpFlags),
    /// Text to text.
    Map(&'a [(Arc<str>, Arc<str>)]),
}

/// TCP control bits as the exporter saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags {
    /// The bits, FIN lowest (RFC 9293 §3.1).
    pub bits: u16,
    /// They are those of one packet, not the OR over a flow, so that SYN and ACK
    /// together mean the second step of the handshake.
    pub of_one_packet: bool,
}

const FIN: u16 = 0x01;
const SYN: u16 = 0x02;
const RST: u16 = 0x04;
const ACK: u16 = 0x10;
const SINGLE: [(u16, &str); 8] = [
    (FIN, "FIN"),
    (SYN, "SYN"),
    (RST, "RST"),
    (0x08, "PSH"),
    (ACK, "ACK"),
    (0x20, "URG"),
    (0x40, "ECE"),
    (0x80, "CWR"),
];
const COMBINED: [(u16, &str); 3] = [
    (SYN | ACK, "SYN_ACK"),
    (FIN | ACK, "FIN_ACK"),
    (RST | ACK, "RST_ACK"),
];

impl TcpFlags {
    /// The words, combined forms in place of their parts where they mean something.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let pair = COMBINED
            .into_iter()
            .find(|(bits, _)| self.of_one_packet && self.bits & bits == *bits);
        let rest = self.bits & !pair.map_or(0, |(bits, _)| bits);
        let singles = SINGLE.into_iter().filter(move |(bit, _)| rest & bit != 0);
        pair.into_iter().chain(singles).map(|(_, word)| word)
    }
}

impl TcpFlags {
    /// The way back from [`Self::words`]; `None` if one of them is no such word. Where words do not tell
    /// whether they are of one packet, they are not said to be.
    pub fn of_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Option<Self> {
        let mut flags = Self {
            bits: 0,
            of_one_packet: false,
        };
        for word in words {
            let of = |table: &[(u16, &str)]| {
                table
                    .iter()
                    .find(|(_, known)| *known == word)
                    .map(|(bits, _)| *bits)
            };
            let combined = of(&COMBINED);
            flags.bits |= combined.or_else(|| of(&SINGLE))?;
            flags.of_one_packet |= combined.is_some();
        }
        Some(flags)
    }
}

/// The lower-case name of an IANA protocol number, or the number.
pub fn protocol_name(proto: u8) -> Cow<'static, str> {
    Cow::Borrowed(match proto {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "icmp6",
        132 => "sctp",
        other => return Cow::Owned(other.to_string()),
    })
}

/// The name of a tunnel type (OVS `ipfix-enterprise-entities.def`, IE 891), or the number.
pub(crate) fn tunnel_name(kind: u8) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        1 => "vxlan",
        2 => "gre",
        3 => "lisp",
        4 => "stt",
        7 => "geneve",
        other => return Cow::Owned(other.to_string()),
    })
}

pub(crate) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// IE 136 flowEndReason.
pub(crate) fn end_reason_name(reason: u8) -> Option<&'static str> {
    ["idle", "active", "end", "forced", "lack"]
        .get(usize::from(reason).checked_sub(1)?)
        .copied()
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Address(address) => serializer.collect_str(address),
            Self::Mac(octets) => serializer.collect_str(&Mac(*octets)),
            Self::Time(ns) => serializer.collect_str(&Rfc3339(*ns)),
            Self::Flags(flags) => serializer.collect_seq(flags.words()),
            Self::Map(pairs) => serializer.collect_map(pairs.iter().map(|(key, value)| (&**key, &**value))),
        }
    }
}

struct Mac([u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Nanoseconds since the epoch as a time: UTC with microseconds, always 27 characters wide.
#[derive(Debug, Clone, Copy)]
pub struct Rfc3339(pub u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Timestamp::from_nanosecond(i128::from(self.0))
            .expect("64 bits of nanoseconds end in the year 2554, a Timestamp in 9999");
        write!(f, "{time:.6}")
    }
}
