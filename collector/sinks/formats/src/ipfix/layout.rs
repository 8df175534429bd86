//! What a data record has, element by element.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wire::Field;

use crate::row::FlowRow;

/// Antrea's enterprise number, whose elements name pods, nodes, Services and policies.
pub const ANTREA: u32 = 56506;

/// One element: what the template says, and how its value is written of a row.
#[derive(Debug, Clone, Copy)]
pub struct Element {
    /// Number, enterprise and length.
    pub field: Field,
    /// Appends the value, in that length.
    pub write: fn(&dyn FlowRow, &mut Vec<u8>),
}

/// The elements of a template, in order.
#[derive(Debug)]
pub struct Layout {
    /// Number of the template, 256 at least.
    pub id: u16,
    /// What its records have.
    pub elements: Vec<Element>,
}

impl Layout {
    /// What the template says.
    pub fn fields(&self) -> Vec<Field> {
        self.elements.iter().map(|element| element.field).collect()
    }

    /// Appends a data record.
    pub fn write(&self, row: &dyn FlowRow, out: &mut Vec<u8>) {
        for element in &self.elements {
            (element.write)(row, out);
        }
    }
}

/// Octets of a text at most, so that a record of many fits a message.
const LONGEST_TEXT: usize = 4096;

/// Appends a text with its length before it (RFC 7011 §7), cut between two characters where it
/// is too long.
pub fn text(text: &str, out: &mut Vec<u8>) {
    let text = text.get(..text.floor_char_boundary(LONGEST_TEXT)).unwrap_or("");
    match u8::try_from(text.len()) {
        Ok(length) if length < u8::MAX => out.push(length),
        _ => {
            out.push(u8::MAX);
            out.extend((text.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// Appends an address in 4 octets; 0.0.0.0 where there is none.
pub fn ipv4(address: Option<IpAddr>, out: &mut Vec<u8>) {
    let address = match address {
        Some(IpAddr::V4(address)) => address,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    out.extend(address.octets());
}

/// Appends an address in 16 octets; `::` where there is none.
pub fn ipv6(address: Option<IpAddr>, out: &mut Vec<u8>) {
    let address = match address {
        Some(IpAddr::V6(address)) => address,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    out.extend(address.octets());
}

/// Seconds from the epoch of NTP (1900) to that of Unix (RFC 5905 §6).
const NTP_EPOCH: u64 = 2_208_988_800;

/// Appends a dateTimeMicroseconds (RFC 7011 §6.1.9): 64 bits of NTP, whose lowest eleven bits
/// mean nothing.
pub fn micros(ns: u64, out: &mut Vec<u8>) {
    let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
    // Up, so that who cuts to microseconds has the one that it was.
    let fraction = ((rest << 32).div_ceil(1_000_000_000) + 0x7ff) & !0x7ff;
    // In an era each 2^32 seconds; the next one begins in 2036.
    let ntp = ((seconds + NTP_EPOCH) << 32).wrapping_add(fraction);
    out.extend(ntp.to_be_bytes());
}
