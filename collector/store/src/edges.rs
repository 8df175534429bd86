//! Edges: who called whom on which port, by hour. Owns how records become edges and how
//! edges of the same hour add up; knows no file. Pure.
//!
//! Each primary record is in exactly one edge, as a part of the call or of its answer, so
//! that sums of edges are those of the records, in whatever order these come. What tells
//! who the client is, is kept as bits ([`Evidence`]) that add up like the sums; the
//! judgement over all of it is for who asks.

mod build;
mod crowds;
mod direction;
mod evidence;
mod facts;
mod meetings;
mod record;
mod scan;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;

use crate::batch::Batch;
use crate::rollup::Fold;
use crate::schema;
use crate::sorted::{ABSENT, Column, Sorted};
pub(crate) use crowds::Crowds;
use direction::Directions;
pub use evidence::{Evidence, Strength};
use facts::Facts;
pub(crate) use facts::needed as needed_columns;
use record::Record;

/// Rows that are looked at before others are fetched.
const STEP: usize = 8_192;

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
    standing: Standing,
}

/// What there is to tell that the client is it: edges of which this differs stay apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Something tells it.
    Known,
    /// Something, and something else the opposite.
    Contradicted,
    /// Nothing.
    Unknown,
}

impl Standing {
    fn of(evidence: Evidence) -> Self {
        match evidence {
            _ if evidence.strength() == Strength::Unknown => Self::Unknown,
            _ if evidence.has(Evidence::CONTRADICTED) => Self::Contradicted,
            _ => Self::Known,
        }
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hour as u64);
        state.write_u64(u64::from(self.client) << 32 | u64::from(self.server));
        let number = |value: Option<u16>| value.map_or(1 << 16, u64::from);
        state.write_u64(
            number(self.port) << 32 | number(self.proto.map(u16::from)) << 2 | self.standing as u64,
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
    fn finish(self) -> Made {
        let (mut all, folded_ports) = scan::fold(self.all);
        // Two that have all else in common keep this order.
        all.sort_by_key(|(key, _)| key.standing);
        let rows = Batch::of_rows(build::table(&all));
        Made {
            rows: Sorted::new_sorted(vec![rows], &schema::edges()),
            folded_ports,
        }
    }
}

/// Rows that were made of others.
#[derive(Debug)]
pub(crate) struct Made {
    /// Of the schema of their tier.
    pub rows: Sorted,
    /// Ports of servers that became one row without port, see [`scan`].
    pub folded_ports: u64,
}

impl Made {
    /// Rows that are whole.
    pub fn of(rows: Sorted) -> Self {
        Self {
            rows,
            folded_ports: 0,
        }
    }
}

/// Records on their way to edges: who the server is, is judged when all are there.
#[derive(Debug, Default)]
pub(crate) struct EdgeBuilder {
    records: Vec<Record>,
}

impl EdgeBuilder {
    /// Takes the primary ones of these rows of facts.
    pub fn add(&mut self, rows: &Sorted) {
        let source = Facts::of(rows);
        self.records.reserve(rows.len());
        for from in (0..rows.len()).step_by(STEP) {
            let part = source.read(from..rows.len().min(from + STEP));
            let primary = (0..part.len()).filter(|row| part.is_primary(*row));
            self.records.extend(primary.map(|row| part.record(row)));
        }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Their edges. The order in which they came does not matter.
    pub fn finish(self, crowds: &Crowds) -> Made {
        let directions = Directions::of(&self.records, crowds);
        let mut edges = Edges::default();
        for record in &self.records {
            let (key, sums) = record.edge(&directions.judge(record));
            edges.add(key, &sums);
        }
        edges.finish()
    }
}

/// The edges of the primary rows of facts. The schema is [`schema::edges`].
pub(crate) fn of_records(rows: &Sorted, crowds: &Crowds) -> Made {
    let mut builder = EdgeBuilder::default();
    builder.add(rows);
    builder.finish(crowds)
}

/// Edges of several parts: those of the same hour are added up.
pub(crate) fn joined(rows: &Sorted) -> Made {
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

#[cfg(test)]
mod tests;
