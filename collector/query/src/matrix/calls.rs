//! Edges over all hours of a range: added up, their direction judged by all evidence, and
//! grouped. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, RecordBatch, UInt8Array, UInt16Array, UInt32Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use foldhash::quality::RandomState;
use weir_store::schema::{CONNECTIONS, DST_ID, EVIDENCE, FLOWS, REVERSE, SEEN, SRC_ID};
use weir_store::{Evidence, Strength, TimeRange};

use super::ends::Ends;
use crate::{Limits, QueryError};

/// Bytes that an edge takes while it is added up, by and large.
const EDGE: usize = 192;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// Bytes, packets and records.
pub(super) type Traffic = [u64; 3];

/// What an edge has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    /// From client to server.
    pub forward: Traffic,
    /// From server to client.
    pub reverse: Traffic,
    /// TCP connections; none where no record had flags.
    pub connections: Option<u64>,
    /// Microseconds since the epoch.
    pub first: i64,
    pub last: i64,
    pub evidence: Evidence,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        let each = self.forward.iter_mut().chain(&mut self.reverse);
        let more = other.forward.iter().chain(&other.reverse);
        each.zip(more)
            .for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        if let Some(more) = other.connections {
            self.connections = Some(self.connections.unwrap_or(0).saturating_add(more));
        }
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.evidence = self.evidence.and(other.evidence);
    }

    /// Seen from the other end.
    fn turned(self) -> Self {
        Self {
            forward: self.reverse,
            reverse: self.forward,
            // Nobody knows who opened them.
            connections: None,
            ..self
        }
    }

    fn bytes(&self) -> u64 {
        self.forward[0].saturating_add(self.reverse[0])
    }
}

/// What tells edges apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Call {
    client: u32,
    server: u32,
    port: Option<u16>,
    proto: Option<u8>,
}

impl Call {
    fn turned(self) -> Self {
        Self {
            client: self.server,
            server: self.client,
            ..self
        }
    }
}

/// Edges that are added up.
#[derive(Debug)]
pub(super) struct Calls {
    range: TimeRange,
    /// Of them there is memory for.
    most: usize,
    /// Those that have a direction.
    directed: HashMap<Call, Sums, RandomState>,
    /// Those that have none, the lower number first.
    undirected: HashMap<Call, Sums, RandomState>,
}

impl Calls {
    /// None yet, of these hours.
    pub fn new(range: TimeRange, limits: &Limits) -> Self {
        Self {
            range,
            most: limits.max_groups.min(limits.memory / EDGE),
            directed: HashMap::default(),
            undirected: HashMap::default(),
        }
    }

    /// Adds those of the rows that are chosen and of these hours.
    pub fn add(&mut self, rows: &RecordBatch, chosen: &BooleanArray) -> Result<(), QueryError> {
        let columns = Columns::of(rows);
        for row in (0..rows.num_rows()).filter(|row| chosen.value(*row)) {
            let hour = columns.hours.value(row);
            if hour < self.range.from || hour >= self.range.until {
                continue;
            }
            let (call, sums) = (columns.call(row), columns.sums(row, hour));
            self.put(call, sums);
            if self.directed.len() + self.undirected.len() > self.most {
                return Err(QueryError::TooManyGroups(self.most));
            }
        }
        Ok(())
    }

    fn put(&mut self, call: Call, sums: Sums) {
        let is_known = sums.evidence.strength() != Strength::Unknown;
        let (edges, call, sums) = match (is_known, call.client <= call.server) {
            (true, _) => (&mut self.directed, call, sums),
            (false, true) => (&mut self.undirected, call, sums),
            (false, false) => (&mut self.undirected, call.turned(), sums.turned()),
        };
        edges
            .entry(call)
            .and_modify(|total| total.add(&sums))
            .or_insert(sums);
    }

    /// What another hour showed of the direction of the same edge counts for all hours; not
    /// where either end was seen to call the other.
    pub fn settle(&mut self) {
        let directed = &mut self.directed;
        self.undirected.retain(|call, sums| {
            if call.port.is_none() {
                return true;
            }
            let back = call.turned();
            let (known, sums) = match (directed.contains_key(call), directed.contains_key(&back)) {
                (true, false) => (*call, *sums),
                (false, true) => (back, sums.turned()),
                _ => return true,
            };
            if let Some(total) = directed.get_mut(&known) {
                total.add(&sums);
            }
            false
        });
    }

    fn all(&self) -> impl Iterator<Item = (&Call, &Sums)> {
        self.directed.iter().chain(&self.undirected)
    }

    /// What a filter may look at, in the order of [`Self::grouped`].
    pub fn table(&self) -> RecordBatch {
        let ids = |id: fn(&Call) -> u32| -> ArrayRef {
            Arc::new(UInt32Array::from_iter_values(
                self.all().map(|(call, _)| id(call)),
            ))
        };
        let ports: UInt16Array = self.all().map(|(call, _)| call.port).collect();
        let protos: UInt8Array = self.all().map(|(call, _)| call.proto).collect();
        let evidence = self.all().map(|(_, sums)| sums.evidence.bits());
        let columns: [(&str, ArrayRef); 5] = [
            (SRC_ID, ids(|call| call.client)),
            (DST_ID, ids(|call| call.server)),
            ("proto", Arc::new(protos)),
            ("dst_port", Arc::new(ports)),
            (EVIDENCE, Arc::new(UInt8Array::from_iter_values(evidence))),
        ];
        RecordBatch::try_from_iter(columns).expect("each column has a value for each edge")
    }

    /// Those that are chosen, by what their ends are called, and by port and protocol.
    pub fn grouped(&self, chosen: &BooleanArray, ends: &Ends, ports: bool) -> Groups {
        let mut groups: HashMap<Group, Sums, RandomState> = HashMap::default();
        for ((call, sums), _) in self.all().zip(chosen.values()).filter(|(_, chosen)| *chosen) {
            let is_directed = sums.evidence.strength() != Strength::Unknown;
            let [client, server] = [call.client, call.server].map(|id| ends.at(id));
            let (client, server, sums) = match is_directed || ends.place(client) <= ends.place(server) {
                true => (client, server, *sums),
                false => (server, client, sums.turned()),
            };
            let group = Group {
                client,
                server,
                port: call.port.filter(|_| ports),
                proto: call.proto.filter(|_| ports),
                is_directed,
            };
            groups
                .entry(group)
                .and_modify(|total| total.add(&sums))
                .or_insert(sums);
        }
        Groups(groups.into_iter().collect())
    }
}

/// A row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Group {
    /// A place among the ends.
    pub client: u32,
    pub server: u32,
    pub port: Option<u16>,
    pub proto: Option<u8>,
    is_directed: bool,
}

/// The rows of a matrix.
#[derive(Debug)]
pub(super) struct Groups(pub Vec<(Group, Sums)>);

impl Groups {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn truncate(&mut self, most: usize) {
        self.0.truncate(most);
    }

    /// Those with most bytes first; as many bytes in the order of their names.
    pub fn sort(&mut self, ends: &Ends) {
        self.0.sort_by_cached_key(|(group, sums)| {
            let names = (ends.place(group.client), ends.place(group.server));
            (
                u64::MAX - sums.bytes(),
                names,
                group.port,
                group.proto,
                group.is_directed,
            )
        });
    }
}

/// The columns of edges as they are stored.
struct Columns {
    hours: PrimitiveArray<TimestampMicrosecondType>,
    ids: [PrimitiveArray<UInt32Type>; 2],
    port: PrimitiveArray<UInt16Type>,
    proto: PrimitiveArray<UInt8Type>,
    forward: [PrimitiveArray<UInt64Type>; 3],
    reverse: [PrimitiveArray<UInt64Type>; 3],
    connections: PrimitiveArray<UInt64Type>,
    seen: [PrimitiveArray<UInt16Type>; 2],
    evidence: PrimitiveArray<UInt8Type>,
}

fn numbers<T: ArrowPrimitiveType>(rows: &RecordBatch, name: &str) -> PrimitiveArray<T> {
    let column = rows
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<T>());
    column
        .cloned()
        .unwrap_or_else(|| PrimitiveArray::new_null(rows.num_rows()))
}

fn known<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

impl Columns {
    fn of(rows: &RecordBatch) -> Self {
        Self {
            hours: numbers(rows, "time"),
            ids: [SRC_ID, DST_ID].map(|name| numbers(rows, name)),
            port: numbers(rows, "dst_port"),
            proto: numbers(rows, "proto"),
            forward: ["bytes", "packets", FLOWS].map(|name| numbers(rows, name)),
            reverse: REVERSE.map(|name| numbers(rows, name)),
            connections: numbers(rows, CONNECTIONS),
            seen: SEEN.map(|name| numbers(rows, name)),
            evidence: numbers(rows, EVIDENCE),
        }
    }

    fn call(&self, row: usize) -> Call {
        Call {
            client: self.ids[0].value(row),
            server: self.ids[1].value(row),
            port: known(&self.port, row),
            proto: known(&self.proto, row),
        }
    }

    fn sums(&self, row: usize, hour: i64) -> Sums {
        let traffic = |columns: &[PrimitiveArray<UInt64Type>; 3]| {
            [0, 1, 2].map(|at: usize| known(&columns[at], row).unwrap_or_default())
        };
        let [first, last] =
            [0, 1].map(|at: usize| hour.saturating_add(i64::from(self.seen[at].value(row)) * SECOND));
        Sums {
            forward: traffic(&self.forward),
            reverse: traffic(&self.reverse),
            connections: known(&self.connections, row),
            first,
            last,
            evidence: Evidence::of_bits(self.evidence.value(row)),
        }
    }
}

/// Edges with their ends exchanged; the port stays the server's.
pub(super) fn turned(rows: &RecordBatch) -> RecordBatch {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| {
        let name = match field.name().as_str() {
            SRC_ID => DST_ID,
            DST_ID => SRC_ID,
            other => other,
        };
        (name.to_owned(), Arc::clone(column), true)
    });
    let columns: Vec<_> = columns.collect();
    RecordBatch::try_from_iter_with_nullable(columns).unwrap_or_else(|_| RecordBatch::new_empty(schema))
}

/// Whether something tells who the client is, of each edge.
pub(super) fn have_direction(rows: &RecordBatch) -> Vec<bool> {
    let evidence: PrimitiveArray<UInt8Type> = numbers(rows, EVIDENCE);
    let known = |bits: &u8| Evidence::of_bits(*bits).strength() != Strength::Unknown;
    evidence.values().iter().map(known).collect()
}
