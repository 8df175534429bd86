//! What observations of one connection have in common: the network, the protocol, and
//! the two ends in an order that says nothing about who began.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::icmp;
use crate::observation::{End, Observation};

/// An address and a port. IPv4 addresses are mapped, so that there is one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Socket {
    pub addr: [u8; 16],
    pub port: u16,
}

impl Socket {
    pub fn new(addr: Option<IpAddr>, port: u16) -> Self {
        let addr = match addr {
            None => [0; 16],
            Some(IpAddr::V4(addr)) => addr.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(addr)) => addr.octets(),
        };
        Self { addr, port }
    }

    /// `None`: there was none.
    pub fn address(&self) -> Option<IpAddr> {
        let addr = IpAddr::from(self.addr);
        (!addr.is_unspecified()).then(|| addr.to_canonical())
    }
}

/// The ends and the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub low: Socket,
    pub high: Socket,
    pub proto: u8,
}

impl Tuple {
    /// The ends in order.
    pub fn new(one: Socket, other: Socket, proto: u8) -> Self {
        Self {
            low: one.min(other),
            high: one.max(other),
            proto,
        }
    }

    pub fn end(&self, high: bool) -> Socket {
        if high { self.high } else { self.low }
    }

    /// The same connection under another address of its server: the tuple, and whether
    /// the client is its higher end.
    pub fn with_server(&self, client_high: bool, server: Socket) -> (Self, bool) {
        let client = self.end(client_high);
        let tuple = Self::new(client, server, self.proto);
        (tuple, tuple.high == client && tuple.low != client)
    }
}

/// An observation's tuple, and whether its source is the higher end.
pub(crate) fn tuple_of(observation: &Observation) -> (Tuple, bool) {
    let class = observation.icmp.map(|icmp| icmp::class(observation.proto, icmp));
    let socket = |end: &End| Socket::new(end.addr, class.unwrap_or(end.port));
    let (src, dst) = (socket(&observation.src), socket(&observation.dst));
    (Tuple::new(src, dst, observation.proto), src > dst)
}

/// A connection's key: a tuple within a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub network: Arc<str>,
    pub tuple: Tuple,
}

/// Mostly it is the very same text.
pub(crate) fn same_text(one: &Arc<str>, other: &Arc<str>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

pub(crate) fn hash(state: &impl BuildHasher, network: &str, tuple: &Tuple) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u128(u128::from_ne_bytes(tuple.low.addr));
    hasher.write_u128(u128::from_ne_bytes(tuple.high.addr));
    let ports = u64::from(tuple.low.port) << 16 | u64::from(tuple.high.port);
    hasher.write_u64(ports << 8 | u64::from(tuple.proto));
    hasher.write(network.as_bytes());
    hasher.finish()
}

/// What shards share keys out by: the network, the protocol, and the end with the greater
/// port (of equal ones the greater address). It is equal for both directions, on all
/// nodes, in all processes and versions, and before and after a server's address is
/// translated, except where the server's port is the greater one.
pub fn shard_hash(observation: &Observation) -> u64 {
    let (tuple, _) = tuple_of(observation);
    let higher_port = |high: &Socket| (high.port, high.addr);
    let end = if higher_port(&tuple.high) >= higher_port(&tuple.low) {
        tuple.high
    } else {
        tuple.low
    };
    let mut hash = crate::id::Fnv::default();
    hash.write(observation.network.as_bytes());
    hash.write(&[0, tuple.proto]);
    hash.write(&end.addr);
    hash.write(&end.port.to_be_bytes());
    let id = hash.finish();
    (id >> 64) as u64 ^ id as u64
}
