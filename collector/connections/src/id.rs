//! Ids of connections: the same after a restart, on any machine.

use std::fmt;

use crate::key::Tuple;
use crate::observation::Micros;

/// 128 bits that no other connection has. Together with the number of an output in its
/// connection it names the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u128);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// FNV-1a with 128 bits (draft-eastlake-fnv): it stays what it is, which hashers of
/// tables do not promise.
pub(crate) struct Fnv(u128);

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Default for Fnv {
    fn default() -> Self {
        Self(OFFSET)
    }
}

impl Fnv {
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }

    pub fn finish(&self) -> u128 {
        self.0
    }
}

/// The id of the `ordinal`th connection: two epochs of one key that begin at the same
/// time are told apart by it.
pub(crate) fn connection_id(
    cluster: &str,
    network: &str,
    tuple: &Tuple,
    start: Micros,
    ordinal: u64,
) -> ConnectionId {
    let mut hash = Fnv::default();
    for text in [cluster, network] {
        hash.write(text.as_bytes());
        hash.write(&[0]);
    }
    hash.write(&[tuple.proto]);
    for end in [tuple.low, tuple.high] {
        hash.write(&end.addr);
        hash.write(&end.port.to_be_bytes());
    }
    hash.write(&start.to_be_bytes());
    hash.write(&ordinal.to_be_bytes());
    ConnectionId(hash.finish())
}
