//! What edges want to know of a record, and the edge that it is of.

use super::direction::Direction;
use super::evidence::{Claim, Evidence};
use super::{Key, Standing, Sums, Traffic};
use crate::name::Tier;
use crate::schema;

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;

const TCP: u8 = 6;
pub(super) const SYN: u16 = 0x02;
pub(super) const RST: u16 = 0x04;
pub(super) const ACK: u16 = 0x10;

/// A primary record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// Microseconds since the epoch.
    pub time: i64,
    /// When its first packet was seen, microseconds since the epoch; where that is not
    /// known, `time`.
    pub start: i64,
    pub has_start: bool,
    /// The exporter's address, folded; 0 where there is none.
    pub exporter: u32,
    pub src: u32,
    pub dst: u32,
    pub proto: Option<u8>,
    /// Of source and destination; none where there is none.
    pub ports: [Option<u16>; 2],
    pub bytes: u64,
    pub packets: u64,
    pub flags: Option<u16>,
    pub claim: Claim,
}

impl Record {
    /// The ports of source and destination, where it has both.
    pub fn both_ports(&self) -> Option<(u16, u16)> {
        Some((self.ports[0]?, self.ports[1]?))
    }

    /// The edge that the record is of, and what it adds to it.
    pub fn edge(&self, direction: &Direction) -> (Key, Sums) {
        let bucket = Tier::Edges.bucket().unwrap_or(1);
        let hour = self.time.div_euclid(bucket).saturating_mul(bucket);
        let second = u16::try_from(self.time.saturating_sub(hour) / SECOND).unwrap_or(u16::MAX);
        let traffic = Traffic {
            bytes: self.bytes,
            packets: self.packets,
            flows: 1,
        };
        let (client, server) = match direction.is_answer {
            true => (self.dst, self.src),
            false => (self.src, self.dst),
        };
        let (forward, reverse) = match direction.is_answer {
            true => (Traffic::default(), traffic),
            false => (traffic, Traffic::default()),
        };
        let key = Key {
            hour,
            client,
            server,
            port: direction.port,
            proto: self.proto,
            standing: Standing::of(direction.evidence),
        };
        let sums = Sums {
            forward,
            reverse,
            connections: self.opened(direction),
            first: second,
            last: second,
            evidence: direction.evidence,
        };
        (key, sums)
    }

    /// Connections that it shows to be opened: a flow from the client with a SYN in it is
    /// one; of single packets each one with SYN and no ACK stands for as many as it was
    /// scaled to. Where nobody knows who the client is, nobody knows them.
    fn opened(&self, direction: &Direction) -> Option<u64> {
        let flags = self.flags.filter(|_| self.proto == Some(TCP))?;
        if direction.evidence == Evidence::NONE {
            return None;
        }
        let is_single = flags & schema::OF_ONE_PACKET != 0;
        let opens = !direction.is_answer && flags & SYN != 0 && !(is_single && flags & ACK != 0);
        let opened = if is_single { self.packets } else { 1 };
        Some(if opens { opened } else { 0 })
    }
}
