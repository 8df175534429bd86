//! Edges: who called whom on which port, by hour. Owns how records become edges and how
//! edges of the same hour add up; knows no file. Pure.
//!
//! Each primary record is in exactly one edge, as a part of the call or of its answer, so
//! that sums of edges are those of the records, in whatever order these come. What tells
//! who the client is, is kept as bits ([`Evidence`]) that add up like the sums; the
//! judgement over all of it is for who asks.

mod build;
mod evidence;
mod facts;
mod fan_in;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;

use crate::batch::Batch;
use crate::name::Tier;
use crate::rollup::Fold;
use crate::schema;
use crate::sorted::{ABSENT, Column, Sorted};
use evidence::Claim;
pub use evidence::{Evidence, Strength};
use facts::Facts;

/// Rows that are looked at before others are fetched.
const STEP: usize = 8_192;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// What tells edges apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    /// The hour's start.
    hour: i64,
    client: u32,
    server: u32,
    /// Of the server; none: unknown, or the protocol has none.
    port: Option<u16>,
    proto: Option<u8>,
    /// Something tells that the client is it: what is of unknown direction stays apart.
    is_known: bool,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hour as u64);
        state.write_u64(u64::from(self.client) << 32 | u64::from(self.server));
        let number = |value: Option<u16>| value.map_or(1 << 16, u64::from);
        state.write_u64(
            number(self.port) << 32 | number(self.proto.map(u16::from)) << 1 | u64::from(self.is_known),
        );
    }
}

/// What an edge has in its hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sums {
    /// From client to server.
    forward: Traffic,
    /// From server to client.
    reverse: Traffic,
    /// TCP connections that were opened; none where no record has flags.
    connections: Option<u64>,
    /// Seconds of the hour when its records came.
    first: u16,
    last: u16,
    evidence: Evidence,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Traffic {
    bytes: u64,
    packets: u64,
    /// Records.
    flows: u64,
}

impl Traffic {
    fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.packets = self.packets.saturating_add(other.packets);
        self.flows = self.flows.saturating_add(other.flows);
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.forward.add(&other.forward);
        self.reverse.add(&other.reverse);
        if let Some(more) = other.connections {
            self.connections = Some(self.connections.unwrap_or(0).saturating_add(more));
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.evidence = self.evidence.and(other.evidence);
    }
}

/// Edges that are being added up.
#[derive(Debug, Default)]
struct Edges {
    places: HashMap<Key, usize, BuildHasherDefault<Fold>>,
    all: Vec<(Key, Sums)>,
    last: usize,
}

impl Edges {
    fn add(&mut self, key: Key, sums: &Sums) {
        // Rows of an edge lie together, as a rule.
        if self.all.get(self.last).is_none_or(|(last, _)| *last != key) {
            self.last = *self.places.entry(key).or_insert(self.all.len());
        }
        match self.all.get_mut(self.last) {
            Some((_, total)) => total.add(sums),
            None => self.all.push((key, *sums)),
        }
    }

    /// In the order of a segment. No two rows have the same key.
    fn finish(mut self) -> Sorted {
        // Two that have all else in common keep this order.
        self.all.sort_by_key(|(key, _)| !key.is_known);
        let rows = Batch::of_rows(build::table(&self.all));
        Sorted::new_sorted(vec![rows], &schema::edges())
    }
}

/// The edges of the primary rows of facts. The schema is [`schema::edges`].
pub(crate) fn of_records(rows: &Sorted) -> Sorted {
    let source = Facts::of(rows);
    let (mut edges, mut doubtful) = (Edges::default(), Vec::new());
    for from in (0..rows.len()).step_by(STEP) {
        let part = source.read(from..rows.len().min(from + STEP));
        for row in (0..part.len()).filter(|row| part.is_primary(*row)) {
            let record = part.record(row);
            match record.settled() {
                Some((turned, evidence)) => {
                    let (key, sums) = record.edge(turned, evidence, record.port(turned));
                    edges.add(key, &sums);
                }
                None => doubtful.push(record),
            }
        }
    }
    fan_in::settle(&doubtful, |record, turned, evidence, port| {
        let (key, sums) = record.edge(turned, evidence, port);
        edges.add(key, &sums);
    });
    edges.finish()
}

/// Edges of several parts: those of the same hour are added up.
pub(crate) fn joined(rows: &Sorted) -> Sorted {
    let mut edges = Edges::default();
    let columns = schema::edges();
    let columns: Vec<_> = columns.fields().iter().map(|f| rows.find(f.name())).collect();
    for from in (0..rows.len()).step_by(STEP) {
        let range = from..rows.len().min(from + STEP);
        let part = columns
            .iter()
            .map(|column| values(column.as_ref(), rows, range.clone()));
        let part = build::Rows::of(&part.collect::<Vec<_>>(), range.len());
        (0..range.len()).for_each(|row| {
            let (key, sums) = part.row(row);
            edges.add(key, &sums);
        });
    }
    edges.finish()
}

/// The edges of rows as a table of the schema [`schema::edges`].
pub(crate) fn table_of(rows: &Sorted) -> RecordBatch {
    build::whole(rows)
}

/// The values of rows, whatever the column is kept as.
fn values(column: Option<&Column>, rows: &Sorted, range: Range<usize>) -> Option<ArrayRef> {
    match column? {
        Column::Plain(column) => Some(column.values(rows, range)),
        Column::Dictionary(column) => {
            let mut numbers = Vec::new();
            column.numbers(rows, range, &mut numbers);
            let known = numbers
                .iter()
                .map(|number| (*number != ABSENT).then_some(*number));
            let numbers: UInt32Array = known.collect();
            take(column.words(), &numbers, None).ok()
        }
    }
}

/// What edges want to know of a record.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// Microseconds since the epoch.
    time: i64,
    src: u32,
    dst: u32,
    proto: Option<u8>,
    /// Of source and destination; none where there is none.
    ports: [Option<u16>; 2],
    bytes: u64,
    packets: u64,
    flags: Option<u16>,
    claim: Claim,
}

const SYN: u16 = 0x02;
const ACK: u16 = 0x10;

impl Record {
    /// Whether the record is of an answer and what that rests on, where the record alone tells.
    fn settled(&self) -> Option<(bool, Evidence)> {
        let [Some(src), Some(dst)] = self.ports else {
            return Some((false, Evidence::NONE));
        };
        let evidence = self.claim.evidence;
        let (client, server) = if self.claim.is_source {
            (dst, src)
        } else {
            (src, dst)
        };
        let is_doubtful = evidence == Evidence::NONE
            || evidence == Evidence::PORT && fan_in::kind(server) >= fan_in::kind(client);
        (!is_doubtful).then_some((self.claim.is_source, evidence))
    }

    /// The server's port.
    fn port(&self, turned: bool) -> Option<u16> {
        let [Some(src), Some(dst)] = self.ports else {
            return None;
        };
        Some(if turned { src } else { dst })
    }

    /// The edge that the record is of. `turned`: as a part of the answer.
    fn edge(&self, turned: bool, evidence: Evidence, port: Option<u16>) -> (Key, Sums) {
        let bucket = Tier::Edges.bucket().unwrap_or(1);
        let hour = self.time.div_euclid(bucket).saturating_mul(bucket);
        let second = u16::try_from(self.time.saturating_sub(hour) / SECOND).unwrap_or(u16::MAX);
        let traffic = Traffic {
            bytes: self.bytes,
            packets: self.packets,
            flows: 1,
        };
        let (client, server) = if turned {
            (self.dst, self.src)
        } else {
            (self.src, self.dst)
        };
        let (forward, reverse) = match turned {
            true => (Traffic::default(), traffic),
            false => (traffic, Traffic::default()),
        };
        let key = Key {
            hour,
            client,
            server,
            port,
            proto: self.proto,
            is_known: evidence != Evidence::NONE,
        };
        let sums = Sums {
            forward,
            reverse,
            connections: self.opened(turned),
            first: second,
            last: second,
            evidence,
        };
        (key, sums)
    }

    /// Connections that it shows to be opened: a flow from the client with a SYN in it is
    /// one; of single packets each one with SYN and no ACK stands for as many as it was
    /// scaled to.
    fn opened(&self, turned: bool) -> Option<u64> {
        let flags = self.flags.filter(|_| self.proto == Some(6))?;
        let is_single = flags & schema::OF_ONE_PACKET != 0;
        let opens = !turned && flags & SYN != 0 && !(is_single && flags & ACK != 0);
        let opened = if is_single { self.packets } else { 1 };
        Some(if opens { opened } else { 0 })
    }
}

/// The edges of rows in memory.
pub(crate) fn of_batches(batches: Vec<Batch>) -> RecordBatch {
    let rows = Sorted::new_sorted(batches, &schema::facts());
    table_of(&of_records(&rows))
}

/// The edges of a segment's rows, which are edges or records.
pub(crate) fn of_rows(rows: RecordBatch, tier: Tier) -> RecordBatch {
    if tier == Tier::Edges {
        return schema::conform(&rows, &schema::edges());
    }
    of_batches(vec![Batch::of_rows(rows)])
}

#[cfg(test)]
mod tests;
