//! Which record is the first of its direction of a connection, where the format has no flags
//! that would tell (IPFIX of Open vSwitch). Each thread has its own table and sees all records of
//! an exporter; a table of fixed size, in which the flow that was silent for longest gives way.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use weir_flow::{FlowRecord, Server};

/// After so many seconds of silence a record is a first one again: another connection may have the
/// same ports by then.
const SILENCE: u32 = 600;
/// Flows that share a place.
const WAYS: usize = 4;
const TCP: u8 = 6;

/// A flow that was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    tag: u32,
    /// When, in seconds since 1970 UTC; 0: never.
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
        let (src, dst) = (&record.src, &record.dst);
        let hash = self.hasher.hash_one((src.addr, src.port, dst.addr, dst.port));
        let at = hash as usize % self.places.len();
        let place = &mut self.places[at];
        let tag = (hash >> 32) as u32;
        let now = u32::try_from(record.time_ns / 1_000_000_000)
            .unwrap_or(u32::MAX)
            .max(1);
        if let Some(known) = place.iter_mut().find(|seen| seen.tag == tag && seen.seconds > 0) {
            let silent = now.saturating_sub(known.seconds) > SILENCE;
            known.seconds = now.max(known.seconds);
            return silent;
        }
        if let Some(oldest) = place.iter_mut().min_by_key(|seen| seen.seconds) {
            *oldest = Seen { tag, seconds: now };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::full;
    use super::*;

    fn record(client_port: u16, second: u64) -> FlowRecord {
        let mut record = full();
        record.tcp_flags = None;
        record.src.port = Some(client_port);
        record.time_ns = second * 1_000_000_000;
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
        for second in [1_001, 1_500, 2_000] {
            assert!(!records.is_first(&record(40_000, second)), "{second}");
        }
        assert!(!records.is_first(&record(40_000, 2_600)));
        assert!(records.is_first(&record(40_000, 3_201)));
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
