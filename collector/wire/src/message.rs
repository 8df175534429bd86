//! The outer form of NetFlow v9 and IPFIX messages: header and sets. It knows
//! no templates.

use crate::clock::Clock;
use crate::protocol::Protocol;
use crate::reader::Reader;
use crate::reject::Reject;

/// The header of a NetFlow v9 or IPFIX message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub protocol: Protocol,
    pub clock: Clock,
    /// IPFIX: data records sent before this message; NetFlow v9: messages.
    pub sequence: u32,
    /// Observation domain, or source id.
    pub domain: u32,
}

/// What a set contains, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetKind {
    Templates,
    OptionsTemplates,
    /// Data of the template with this id.
    Data(u16),
    /// An id that means nothing (RFC 7011 §3.3.2: 0, 1, 4 to 255).
    Reserved,
}

/// Reads the header; the sets are left in the reader.
pub(crate) fn header(reader: &mut Reader<'_>) -> Result<Header, Reject> {
    let octets = reader.left();
    match reader.u16()? {
        10 => ipfix(reader, octets),
        _ => netflow9(reader),
    }
}

/// RFC 7011 §3.1.
fn ipfix(reader: &mut Reader<'_>, octets: usize) -> Result<Header, Reject> {
    let offset = reader.offset();
    let length = usize::from(reader.u16()?);
    if length != octets {
        return Err(Reject::Length {
            offset,
            found: length,
            expected: octets,
        });
    }
    let clock = Clock::new(reader.u32()?, 0, None);
    let sequence = reader.u32()?;
    let domain = reader.u32()?;
    Ok(Header {
        protocol: Protocol::Ipfix,
        clock,
        sequence,
        domain,
    })
}

/// RFC 3954 §5.1. The count is of records, and of flowsets in some exporters, so
/// nothing is made of it.
fn netflow9(reader: &mut Reader<'_>) -> Result<Header, Reject> {
    let _count = reader.u16()?;
    let uptime = reader.u32()?;
    let clock = Clock::new(reader.u32()?, 0, Some(uptime));
    let sequence = reader.u32()?;
    let domain = reader.u32()?;
    Ok(Header {
        protocol: Protocol::NetFlow9,
        clock,
        sequence,
        domain,
    })
}

/// Cuts off the next set. `None` at the end of the message.
pub(crate) fn next_set<'a>(
    reader: &mut Reader<'a>,
    protocol: Protocol,
) -> Result<Option<(SetKind, Reader<'a>)>, Reject> {
    // NetFlow v9 has no message length, so a few octets may follow the last set.
    if reader.left() == 0 || (protocol == Protocol::NetFlow9 && reader.left() < 4) {
        return Ok(None);
    }
    let offset = reader.offset();
    let id = reader.u16()?;
    let length = usize::from(reader.u16()?);
    let Some(body) = length.checked_sub(4) else {
        return Err(Reject::SetLength {
            offset,
            found: length,
        });
    };
    Ok(Some((kind(id, protocol), reader.part(body)?)))
}

fn kind(id: u16, protocol: Protocol) -> SetKind {
    match (protocol, id) {
        (_, 256..) => SetKind::Data(id),
        (Protocol::NetFlow9, 0) | (Protocol::Ipfix, 2) => SetKind::Templates,
        (Protocol::NetFlow9, 1) | (Protocol::Ipfix, 3) => SetKind::OptionsTemplates,
        _ => SetKind::Reserved,
    }
}
