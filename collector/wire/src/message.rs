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

/// Octets of an IPFIX message header: no message is shorter.
const IPFIX_HEADER: usize = 16;

/// Cuts the next message off a datagram: all that is left of it for NetFlow v9, which
/// has no length; for IPFIX as much as the header says (RFC 7011 §3.1).
pub(crate) fn next_message<'a>(datagram: &mut Reader<'a>) -> Result<Reader<'a>, Reject> {
    let mut ahead = datagram.clone();
    // What is shorter than a header is for [`header`] to refuse.
    if ahead.u16()? != 10 || datagram.left() < IPFIX_HEADER {
        return datagram.part(datagram.left());
    }
    let (offset, expected) = (ahead.offset(), datagram.left());
    let found = usize::from(ahead.u16()?);
    if !(IPFIX_HEADER..=expected).contains(&found) {
        return Err(Reject::Length {
            offset,
            found,
            expected,
        });
    }
    datagram.part(found)
}

/// Whether another IPFIX message follows what was read of a datagram.
pub(crate) fn is_message(datagram: &Reader<'_>) -> bool {
    let mut ahead = datagram.clone();
    let is_ipfix = matches!(ahead.u16(), Ok(10)) && datagram.left() >= IPFIX_HEADER;
    is_ipfix && next_message(&mut datagram.clone()).is_ok()
}

/// Reads the header; the sets are left in the reader.
pub(crate) fn header(reader: &mut Reader<'_>) -> Result<Header, Reject> {
    match reader.u16()? {
        10 => ipfix(reader),
        _ => netflow9(reader),
    }
}

/// RFC 7011 §3.1.
fn ipfix(reader: &mut Reader<'_>) -> Result<Header, Reject> {
    let _length = reader.u16()?;
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

/// Cuts off the next set. `None` at the end of the message; what is no set stays in
/// the reader.
pub(crate) fn next_set<'a>(
    reader: &mut Reader<'a>,
    protocol: Protocol,
) -> Result<Option<(SetKind, Reader<'a>)>, Reject> {
    if reader.left() == 0 {
        return Ok(None);
    }
    let mut ahead = reader.clone();
    let id = ahead.u16()?;
    let length = usize::from(ahead.u16()?);
    let Some(body) = length.checked_sub(4) else {
        return Err(Reject::SetLength {
            offset: reader.offset(),
            found: length,
        });
    };
    let body = ahead.part(body)?;
    *reader = ahead;
    Ok(Some((kind(id, protocol), body)))
}

fn kind(id: u16, protocol: Protocol) -> SetKind {
    match (protocol, id) {
        (_, 256..) => SetKind::Data(id),
        (Protocol::NetFlow9, 0) | (Protocol::Ipfix, 2) => SetKind::Templates,
        (Protocol::NetFlow9, 1) | (Protocol::Ipfix, 3) => SetKind::OptionsTemplates,
        _ => SetKind::Reserved,
    }
}
