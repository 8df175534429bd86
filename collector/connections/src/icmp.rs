//! Which messages of ICMP are one exchange: requests and their replies.

use crate::observation::Icmp;

const ICMPV6: u8 = 58;

/// Requests with their replies: RFC 792, RFC 950; RFC 4443, RFC 4861, RFC 4620.
const EXCHANGES: [(u8, u8); 4] = [(8, 0), (13, 14), (15, 16), (17, 18)];
const EXCHANGES_V6: [(u8, u8); 4] = [(128, 129), (133, 134), (135, 136), (139, 140)];

/// What a message is of: the identifier of the echo, or the type of the request.
pub(crate) fn class(proto: u8, icmp: Icmp) -> u16 {
    let request = exchange(proto, icmp.kind).map_or(icmp.kind, |(request, _)| request);
    icmp.identifier.unwrap_or_else(|| u16::from(request))
}

/// Whether who sent it asked, or answered; `None`: it is neither.
pub(crate) fn asks(proto: u8, icmp: Icmp) -> Option<bool> {
    exchange(proto, icmp.kind).map(|(request, _)| request == icmp.kind)
}

fn exchange(proto: u8, kind: u8) -> Option<(u8, u8)> {
    let exchanges = if proto == ICMPV6 { EXCHANGES_V6 } else { EXCHANGES };
    exchanges
        .into_iter()
        .find(|(request, reply)| [*request, *reply].contains(&kind))
}
