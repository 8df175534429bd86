//! What a record shows of a TCP connection's beginning, and the words that the field
//! `Flags` holds because of it. `Flags=SYN` then counts a connection once, at the
//! client's side, whatever the format:
//!
//! | format | the record has | client's start rests on |
//! |---|---|---|
//! | sFlow | control bits of one packet | SYN without ACK in that packet |
//! | NetFlow v5, v9 and IPFIX with flags | OR of the bits since the last record of this direction | SYN in the OR, which the first record alone has, and the server known to be the destination; SYN without ACK needs no server (the connection was not answered, or the cache saw one packet) |
//! | IPFIX of Open vSwitch | no bits of its own (its `tcp*TotalCount` are sums over the whole exporter) | first record of the connection, and the server known to be the destination |
//!
//! A server that is not known counts nowhere: an answer taken for a call would put
//! client ports among the servers'.

use crate::record::ControlBits;

/// What a record shows of its connection's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConnectionStart {
    /// Nothing: a later record, no TCP, or nobody knows.
    #[default]
    No,
    /// The client's opening is in it: the destination is the server.
    Client,
    /// The server's answer to it is in it: the source is the server.
    Server,
}

/// Which side listens, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServerSide {
    /// Nobody knows.
    #[default]
    Unknown,
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// What a judgement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StartEvidence {
    /// IANA protocol number.
    pub protocol: Option<u8>,
    /// TCP control bits; `None` where the format has none for each flow.
    pub flags: Option<ControlBits>,
    /// Which side listens.
    pub server: ServerSide,
    /// It is the first record of this direction of the connection, as whoever tracks
    /// connections knows. False where nobody tracks them.
    pub first_record: bool,
}

const TCP: u8 = 6;
pub(crate) const FIN: u16 = 0x01;
pub(crate) const SYN: u16 = 0x02;
const RST: u16 = 0x04;
pub(crate) const ACK: u16 = 0x10;

impl ConnectionStart {
    /// What the evidence shows; the table of this module.
    pub fn judge(evidence: &StartEvidence) -> Self {
        if evidence.protocol != Some(TCP) {
            return Self::No;
        }
        let by_server = match evidence.server {
            ServerSide::Unknown => Self::No,
            ServerSide::Source => Self::Server,
            ServerSide::Destination => Self::Client,
        };
        let Some(flags) = evidence.flags else {
            return if evidence.first_record {
                by_server
            } else {
                Self::No
            };
        };
        match (flags.bits & SYN != 0, flags.bits & ACK != 0, flags.of_one_packet) {
            (false, ..) => Self::No,
            (true, false, _) => Self::Client,
            (true, true, true) => Self::Server,
            (true, true, false) => by_server,
        }
    }
}

/// NetObserv's words in the order of their bits, the combined ones last.
const WORDS: [(u16, &str); 11] = [
    (FIN, "FIN"),
    (SYN, "SYN"),
    (RST, "RST"),
    (0x08, "PSH"),
    (ACK, "ACK"),
    (0x20, "URG"),
    (0x40, "ECE"),
    (0x80, "CWR"),
    (0x100, "SYN_ACK"),
    (0x200, "FIN_ACK"),
    (0x400, "RST_ACK"),
];

/// Bits of [`WORDS`] for NetObserv's `Flags`: SYN stands in the client's start alone.
pub(crate) fn exclusive_bits(flags: Option<ControlBits>, start: ConnectionStart) -> u16 {
    let (bits, of_one_packet) = flags.map_or((0, true), |flags| (flags.bits & 0xff, flags.of_one_packet));
    if of_one_packet && flags.is_some() {
        return combined(bits);
    }
    (bits & !SYN)
        | match start {
            ConnectionStart::No => 0,
            ConnectionStart::Client => SYN,
            ConnectionStart::Server => 0x100,
        }
}

/// Bits of [`WORDS`] as the record has them: combined where they are of one packet.
pub(crate) fn plain_bits(flags: ControlBits) -> u16 {
    if flags.of_one_packet {
        combined(flags.bits & 0xff)
    } else {
        flags.bits & 0xff
    }
}

fn combined(bits: u16) -> u16 {
    let pairs = [(SYN | ACK, 0x100), (FIN | ACK, 0x200), (RST | ACK, 0x400)];
    match pairs.into_iter().find(|(pair, _)| bits & pair == *pair) {
        Some((pair, word)) => (bits & !pair) | word,
        None => bits,
    }
}

/// All words with their bits.
pub(crate) fn all_words() -> impl Iterator<Item = (u16, &'static str)> {
    WORDS.iter().copied()
}

/// The words of these bits.
pub(crate) fn words(bits: u16) -> impl Iterator<Item = &'static str> {
    WORDS
        .iter()
        .filter(move |(bit, _)| bits & bit != 0)
        .map(|(_, word)| *word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OR: bool = false;
    const PACKET: bool = true;

    fn evidence(flags: Option<(u16, bool)>, server: ServerSide, first_record: bool) -> StartEvidence {
        let flags = flags.map(|(bits, of_one_packet)| ControlBits { bits, of_one_packet });
        StartEvidence {
            protocol: Some(TCP),
            flags,
            server,
            first_record,
        }
    }

    #[test]
    fn a_connection_starts_once_at_the_clients_side_in_each_format() {
        use ConnectionStart::{Client, No, Server};
        use ServerSide::{Destination, Source, Unknown};
        let finished = SYN | ACK | FIN | 0x08;
        let table = [
            // sFlow: the packet itself; who listens does not matter
            ((Some((SYN, PACKET)), Unknown, false), Client, "SYN"),
            ((Some((SYN, PACKET)), Source, true), Client, "SYN"),
            ((Some((SYN | ACK, PACKET)), Unknown, false), Server, "SYN_ACK"),
            ((Some((ACK, PACKET)), Destination, true), No, "ACK"),
            ((Some((FIN | ACK, PACKET)), Destination, true), No, "FIN_ACK"),
            ((Some((RST | ACK, PACKET)), Destination, true), No, "RST_ACK"),
            // NetFlow: the OR of a direction
            ((Some((SYN, OR)), Unknown, false), Client, "SYN"),
            (
                (Some((finished, OR)), Destination, false),
                Client,
                "FIN SYN PSH ACK",
            ),
            (
                (Some((finished, OR)), Source, false),
                Server,
                "FIN PSH ACK SYN_ACK",
            ),
            ((Some((finished, OR)), Unknown, false), No, "FIN PSH ACK"),
            ((Some((ACK | FIN, OR)), Destination, true), No, "FIN ACK"),
            // IPFIX of Open vSwitch: no flags
            ((None, Destination, true), Client, "SYN"),
            ((None, Destination, false), No, ""),
            ((None, Source, true), Server, "SYN_ACK"),
            ((None, Unknown, true), No, ""),
        ];
        for ((flags, server, first), start, text) in table {
            let evidence = evidence(flags, server, first);
            assert_eq!(ConnectionStart::judge(&evidence), start, "{evidence:?}");
            let words: Vec<_> = words(exclusive_bits(evidence.flags, start)).collect();
            assert_eq!(words.join(" "), text, "{evidence:?}");
        }
    }

    #[test]
    fn what_is_no_tcp_starts_no_connection() {
        for protocol in [None, Some(17), Some(1)] {
            let evidence = StartEvidence {
                protocol,
                ..evidence(None, ServerSide::Destination, true)
            };
            assert_eq!(ConnectionStart::judge(&evidence), ConnectionStart::No);
        }
    }
}
