//! Which record is the first of its direction of a connection, where the format has no flags
//! that would tell (IPFIX of Open vSwitch). Each thread has its own table and sees all records of
//! an exporter; a table of fixed size, in which the flow that was silent for longest gives way.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use foldhash::quality::RandomState;
use weir_flow::{FlowRecord, Server};

/// After so many seconds without a packet a record is a first one again: another connection may
/// have the same ports by then. A closed one keeps its ports for 60 s (TIME-WAIT of Linux), and
/// its last packet may wait as long in the exporter's cache.
const SILENCE: u32 = 120;
/// An exporter whose clock says that packets are so many seconds older than their record's arrival,
/// or so many younger, is not believed.
const OLDEST: u64 = 3_600;
const YOUNGEST: u64 = 60;
const SECOND: u64 = 1_000_000_000;
/// Flows that share a place.
const WAYS: usize = 4;
const TCP: u8 = 6;

/// A flow that was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    tag: u32,
    /// Its last packet, in seconds since 1970 UTC; 0: never.
    seconds: u32,
}

/// Flows of which there was a record.
#[derive(Debug)]
pub struct FirstRecords {
    /// Flows that it has room for; a power of two, 8 bytes each.
    room: usize,
    /// Empty until the first is asked for: not every format needs it.
    places: Vec<[Seen; WAYS]>,
    hasher: RandomState,
}

impl FirstRecords {
    /// None yet, and room for so many flows.
    pub fn with_room(room: usize) -> Self {
        Self {
            room,
            places: Vec::new(),
            hasher: RandomState::default(),
        }
    }

    /// Whether the record is the first of its direction of a TCP connection, of which it does not
    /// tell by flags and whose server is known. Only what sums count is looked at.
    #[inline]
    pub fn is_first(&mut self, record: &FlowRecord) -> bool {
        let asks = record.proto == Some(TCP)
            && record.tcp_flags.is_none()
            && record.primary
            && record.server != Server::Unknown;
        asks && self.is_new(record)
    }

    fn is_new(&mut self, record: &FlowRecord) -> bool {
        if self.places.is_empty() {
            self.places = vec![[Seen::default(); WAYS]; (self.room / WAYS).max(1)];
        }
        let hash = self.hasher.hash_one(key(record));
        let at = hash as usize % self.places.len();
        let place = &mut self.places[at];
        let tag = (hash >> 32) as u32;
        let (first, last) = packet_times(record);
        if let Some(known) = place.iter_mut().find(|seen| seen.tag == tag && seen.seconds > 0) {
            let silent = first.saturating_sub(known.seconds) > SILENCE;
            known.seconds = last.max(known.seconds);
            return silent;
        }
        if let Some(oldest) = place.iter_mut().min_by_key(|seen| seen.seconds) {
            *oldest = Seen { tag, seconds: last };
        }
        true
    }
}

/// What tells one direction of a connection from others: addresses and ports, and the networks
/// in which these mean somebody, since networks may overlap. As few numbers as it fits in: hashing
/// them is much of what this costs.
fn key(record: &FlowRecord) -> impl Hash + '_ {
    let (src, dst) = (&record.src, &record.dst);
    let small = [src.port, dst.port, record.vlan_id].map(|number| number.map_or(1 << 16, u64::from));
    let small = small.into_iter().fold(0, |all, number| all << 17 | number);
    let tunnel = record.tunnel.key.map_or((0, 0), |key| (1, key));
    let networks = (&*src.identity.network, &*dst.identity.network);
    (bits(src.addr), bits(dst.addr), small, tunnel, networks)
}

/// An address as a number; 0, which nobody has, where there is none.
fn bits(address: Option<IpAddr>) -> u128 {
    address.map_or(0, |address| match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    })
}

/// First and last packet in seconds since 1970 UTC, or the time of arrival where the exporter's
/// clock is off.
fn packet_times(record: &FlowRecord) -> (u32, u32) {
    let seconds = |ns: u64| u32::try_from(ns / SECOND).unwrap_or(u32::MAX).max(1);
    let believed = record.time_ns.saturating_sub(OLDEST * SECOND)..=record.time_ns + YOUNGEST * SECOND;
    if believed.contains(&record.end_ns) {
        (
            seconds(record.start_ns.min(record.end_ns)),
            seconds(record.end_ns),
        )
    } else {
        (seconds(record.time_ns), seconds(record.time_ns))
    }
}

#[cfg(test)]
mod tests {
    use weir_flow::{Identity, Who};

    use super::super::record::tests::full;
    use super::*;

    /// One packet.
    fn record(client_port: u16, second: u64) -> FlowRecord {
        let mut record = full();
        record.tcp_flags = None;
        record.src.port = Some(client_port);
        record.time_ns = second * SECOND;
        (record.start_ns, record.end_ns) = (record.time_ns, record.time_ns);
        record
    }

    #[test]
    fn the_first_record_of_each_direction_is_one_until_it_was_silent_for_long() {
        let mut records = FirstRecords::with_room(1_024);
        assert!(records.is_first(&record(40_000, 1_000)));
        let mut answer = record(40_000, 1_000);
        std::mem::swap(&mut answer.src, &mut answer.dst);
        answer.server = Server::Src;
        assert!(records.is_first(&answer));
        assert!(records.is_first(&record(40_001, 1_000)));
        for second in [1_001, 1_100, 1_220] {
            assert!(!records.is_first(&record(40_000, second)), "{second}");
        }
        assert!(records.is_first(&record(40_000, 1_341)));
    }

    #[test]
    fn silence_is_between_packets_and_not_between_records() {
        let mut records = FirstRecords::with_room(1_024);
        let lasting = |from: i64, to: i64, came: i64| {
            let at = |second: i64| u64::try_from(100_000 + second).unwrap();
            let mut record = record(40_000, at(came));
            (record.start_ns, record.end_ns) = (at(from) * SECOND, at(to) * SECOND);
            record
        };
        assert!(records.is_first(&lasting(1_000, 1_010, 1_020)));
        // One record in 10 minutes, as the cache of an exporter may be set, and no silence.
        assert!(!records.is_first(&lasting(1_015, 1_600, 1_620)));
        // What comes late says what was before.
        assert!(!records.is_first(&lasting(1_012, 1_014, 1_800)));
        assert!(records.is_first(&lasting(1_721, 1_730, 1_801)));
        // A clock that is years off, or ahead, tells nothing: the time of arrival does.
        assert!(!records.is_first(&lasting(-50_000, -49_990, 1_840)));
        assert!(!records.is_first(&lasting(9_000, 9_010, 1_950)));
        assert!(records.is_first(&lasting(-50_000, -49_990, 2_071)));
    }

    #[test]
    fn networks_that_overlap_have_connections_of_their_own() {
        let mut records = FirstRecords::with_room(1_024);
        let network = |record: &mut FlowRecord, name: &str| {
            let mut identity = Identity::clone(&record.src.identity);
            identity.network = name.into();
            record.src.identity = Who::from(identity);
        };
        let others: [&dyn Fn(&mut FlowRecord); 5] = [
            &|_| {},
            &|record| network(record, "red"),
            &|record| record.vlan_id = Some(7),
            &|record| record.vlan_id = None,
            &|record| record.tunnel.key = Some(99),
        ];
        for expected in [true, false] {
            for (at, change) in others.iter().enumerate() {
                let mut record = record(40_000, 1_000);
                change(&mut record);
                assert_eq!(records.is_first(&record), expected, "{at}");
            }
        }
    }

    #[test]
    fn what_flags_tell_and_what_nobody_counts_is_no_first_record() {
        let mut records = FirstRecords::with_room(1_024);
        let changes: [fn(&mut FlowRecord); 4] = [
            |record| record.tcp_flags = full().tcp_flags,
            |record| record.proto = Some(17),
            |record| record.primary = false,
            |record| record.server = Server::Unknown,
        ];
        for change in changes {
            let mut other = record(40_000, 1_000);
            change(&mut other);
            assert!(!records.is_first(&other));
        }
        assert!(records.places.is_empty());
        // Once it is known who listens, the connection counts.
        assert!(records.is_first(&record(40_000, 1_001)));
    }

    #[test]
    fn a_flood_of_flows_takes_bounded_room_and_the_silent_ones_go_first() {
        let mut records = FirstRecords::with_room(WAYS);
        for port in 1..=4 {
            assert!(records.is_first(&record(port, 1_000 + u64::from(port))));
        }
        assert!(!records.is_first(&record(1, 1_010)));
        assert!(records.is_first(&record(5, 1_011)));
        assert!(!records.is_first(&record(1, 1_012)));
        assert!(records.is_first(&record(2, 1_013)));
        assert_eq!(records.places.len(), 1);
    }
}
