//! What is called: a port of a protocol, or a ping.

use std::str::FromStr;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Called {
    /// The protocol of the IP header.
    pub protocol: u8,
    /// For ICMP type * 256 + code.
    pub port: u16,
}

/// Protocols by the word for them.
const PROTOCOLS: [(&str, u8); 3] = [("tcp", 6), ("udp", 17), ("sctp", 132)];
/// An echo request of each ICMP.
pub(crate) const PINGS: [(&str, Called); 2] = [
    (
        "icmp",
        Called {
            protocol: 1,
            port: 8 << 8,
        },
    ),
    (
        "icmpv6",
        Called {
            protocol: 58,
            port: 128 << 8,
        },
    ),
];

impl FromStr for Called {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        if let Some((_, ping)) = PINGS.iter().find(|(name, _)| *name == word) {
            return Ok(*ping);
        }
        let (port, protocol) = word.split_once('/').unwrap_or((&word, "tcp"));
        let Some((_, protocol)) = PROTOCOLS.iter().find(|(name, _)| *name == protocol) else {
            return Err(format!("{protocol:?} is none of tcp, udp, sctp"));
        };
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self {
                protocol: *protocol,
                port,
            }),
            _ => Err(format!("{port:?} is no port from 1 to 65535")),
        }
    }
}

impl std::fmt::Display for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((name, _)) = PINGS.iter().find(|(_, ping)| ping == self) {
            return f.write_str(name);
        }
        let name = PROTOCOLS.iter().find(|(_, number)| *number == self.protocol);
        write!(f, "{}/{}", self.port, name.map_or("", |(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::Called;

    #[test]
    fn a_port_is_a_number_with_a_protocol_or_a_ping() {
        let shown = |text: &str| text.parse::<Called>().map(|called| called.to_string());
        assert_eq!(shown("80").as_deref(), Ok("80/tcp"));
        assert_eq!(shown("53/UDP").as_deref(), Ok("53/udp"));
        assert_eq!(shown("icmp").as_deref(), Ok("icmp"));
        assert!(shown("0").unwrap_err().contains("from 1 to 65535"));
        assert!(shown("70000/tcp").unwrap_err().contains("from 1 to 65535"));
        assert!(shown("80/quic").unwrap_err().contains("none of tcp"));
    }
}
