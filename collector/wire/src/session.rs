//! Who speaks, and over what: templates live and die with the transport session
//! (RFC 7011 §8).

use std::net::SocketAddr;

/// How messages reach the collector. It decides how templates are managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Transport {
    /// UDP: templates are repeated and age; withdrawals are ignored (RFC 7011 §8.4).
    #[default]
    Datagram,
    /// TCP, with or without TLS: a template holds until it is withdrawn or the
    /// session ends, and cannot be redefined before (RFC 7011 §8.1). IPFIX only.
    Stream,
}

/// One transport session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session {
    /// The sender's address and port.
    pub peer: SocketAddr,
    /// The transport.
    pub transport: Transport,
}

impl Session {
    /// A session over UDP.
    pub const fn datagram(peer: SocketAddr) -> Self {
        Self {
            peer,
            transport: Transport::Datagram,
        }
    }

    /// A session over TCP.
    pub const fn stream(peer: SocketAddr) -> Self {
        Self {
            peer,
            transport: Transport::Stream,
        }
    }
}

impl From<SocketAddr> for Session {
    fn from(peer: SocketAddr) -> Self {
        Self::datagram(peer)
    }
}
