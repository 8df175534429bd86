//! What a side is looked up by in the cache, in few bits.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use weir_identity::Services;

use super::answer::{Asked, BehindKind};

/// What a side is looked up by, beside the flow's time and the identity behind its
/// interface, in the least number of bits. Sides whose answers can only be the same have
/// the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The address: 128 bits, or the last 32.
    pub(super) address: [u64; 2],
    /// Its family, the protocol, the port, and how else the side is known.
    pub(super) rest: u32,
}

/// In place of the port where there is none.
const NO_PORT: u32 = 0;
/// In place of one that no Service has, such as a client's.
const OTHER_PORT: u32 = 1 << 16;
/// In place of all.
const ANY_PORT: u32 = 1 << 17;

impl Key {
    /// Of all ports of an address that is known like this.
    #[inline]
    pub fn of_address(asked: Asked, behind: BehindKind) -> Self {
        Self::new(asked.address, behind, ANY_PORT, 0)
    }

    /// Of a side with its port.
    pub fn of_port(asked: Asked, behind: BehindKind, services: &Services) -> Self {
        let port = match asked.port {
            0 => NO_PORT,
            port if services.has_port(port) => u32::from(port),
            _ => OTHER_PORT,
        };
        let any_proto = match port {
            NO_PORT => true,
            OTHER_PORT => !services.portless,
            _ => false,
        };
        let proto = if any_proto { 0 } else { asked.proto };
        Self::new(asked.address, behind, port, proto)
    }

    #[inline]
    fn new(address: Option<IpAddr>, behind: BehindKind, port: u32, proto: u8) -> Self {
        let (family, address) = match address {
            None => (0, [0, 0]),
            Some(IpAddr::V4(address)) => (1, [0, u64::from(address.to_bits())]),
            Some(IpAddr::V6(address)) => {
                let bits = address.to_bits();
                (2, [(bits >> 64) as u64, bits as u64])
            }
        };
        Self {
            address,
            rest: port << 12 | u32::from(proto) << 4 | (behind as u32) << 2 | family,
        }
    }
}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.address[0] ^ u64::from(self.rest) << 32);
        state.write_u64(self.address[1]);
    }
}

#[cfg(test)]
mod tests {
    use weir_identity::{NodePort, Published, Timeline};

    use super::*;

    #[test]
    fn sides_have_one_key_when_their_answers_can_only_be_the_same() {
        let mut services = Services::default();
        let port = NodePort { proto: 6, port: 80 };
        services.insert(port, Timeline::default());
        let key = |address: [u8; 4], port, proto, services: &Services| {
            let asked = Asked {
                address: Some(address.into()),
                port,
                proto,
            };
            Key::of_port(asked, BehindKind::Nothing, services)
        };
        let (one, other) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        assert_eq!(key(one, 40_000, 6, &services), key(one, 40_001, 17, &services));
        assert_ne!(key(one, 40_000, 6, &services), key(other, 40_000, 6, &services));
        assert_ne!(key(one, 40_000, 6, &services), key(one, 80, 6, &services));
        assert_ne!(key(one, 80, 17, &services), key(one, 80, 6, &services));
        assert_ne!(key(one, 0, 6, &services), key(one, 40_000, 6, &services));
        services.portless = true;
        assert_ne!(key(one, 40_000, 17, &services), key(one, 40_000, 6, &services));
    }
}
