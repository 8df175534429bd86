//! Who speaks, and over what: templates live and die with the transport session
//! (RFC 7011 §8).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

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

/// Who counts as one sender where room is shared: an IPv4 address, or the network of 64
/// bits around an IPv6 address, since who has one address of that has as many as they like
/// (RFC 4291 §2.5.4). Sessions and templates are told apart by the whole address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SenderNetwork(IpAddr);

impl SenderNetwork {
    /// Of an address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        })
    }
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

    /// Who is counted as its sender.
    pub fn sender(&self) -> SenderNetwork {
        SenderNetwork::of(self.peer.ip())
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
