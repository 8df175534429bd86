//! Edges over all hours of a range, grouped as they are read, and the direction of those
//! that have none judged by the others. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use foldhash::quality::RandomState;
use weir_store::schema::{CONNECTIONS, DST_ID, EVIDENCE, FLOWS, REVERSE, SEEN, SRC_ID};
use weir_store::{Evidence, Strength, TimeRange};

use super::ends::Ends;
use super::{CallDirection, MatrixRequest};
use crate::{Limits, QueryError};

/// Bytes that a row takes at most while it is added up and put in order: a map doubles, and
/// has its old table beside the new one while it does.
const ROW: usize = 4 * size_of::<(Group, Sums)>() + 64;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// Bytes, packets and records.
pub(super) type Traffic = [u64; 3];

/// What edges have together.
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
    /// All that there is.
    pub evidence: Evidence,
    /// Records of edges whose direction is proven, likely and weak.
    flows: [u64; 3],
}

impl Sums {
    fn add(&mut self, other: &Self) {
        let each = self
            .forward
            .iter_mut()
            .chain(&mut self.reverse)
            .chain(&mut self.flows);
        let more = other.forward.iter().chain(&other.reverse).chain(&other.flows);
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
            ..self
        }
    }

    fn bytes(&self) -> u64 {
        self.forward[0].saturating_add(self.reverse[0])
    }

    /// That of the edges that most of the records are of; of as many the weaker one.
    pub fn strength(&self) -> Strength {
        let all = [Strength::Proven, Strength::Likely, Strength::Weak];
        let most = all.into_iter().zip(self.flows).max_by_key(|(_, flows)| *flows);
        most.filter(|(_, flows)| *flows > 0)
            .map_or(Strength::Unknown, |(strength, _)| strength)
    }

    /// Records of edges whose direction is weak.
    pub fn weak_flows(&self) -> u64 {
        self.flows[2]
    }
}

/// Of each edge, whether the filter lets it through.
#[derive(Debug)]
pub(super) struct Fit {
    /// The client as its source.
    pub out: BooleanArray,
    /// The server as its source.
    pub back: BooleanArray,
}

/// The same of one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Fits {
    out: bool,
    back: bool,
}

impl Fits {
    const fn turned(self) -> Self {
        Self {
            out: self.back,
            back: self.out,
        }
    }

    const fn any(self) -> bool {
        self.out || self.back
    }

    const fn is_asked_for(self, direction: CallDirection) -> bool {
        match direction {
            CallDirection::Out => self.out,
            CallDirection::In => self.back,
            CallDirection::Both => self.any(),
        }
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

impl Group {
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
    direction: CallDirection,
    /// Rows have ports.
    ports: bool,
    /// Rows that there is memory for.
    most: usize,
    /// Those that have a direction and are asked for.
    directed: HashMap<Group, Sums, RandomState>,
    /// Those that have none, with their ports; the lower name is first.
    undirected: HashMap<(Group, Fits), Sums, RandomState>,
    /// Who called whom on which port, asked for or not, of those that the filter lets
    /// through from either end; none where they are too many.
    called: Option<HashSet<Group, RandomState>>,
}

impl Calls {
    /// None yet, of these hours.
    pub fn new(range: TimeRange, request: &MatrixRequest, limits: &Limits) -> Self {
        Self {
            range,
            direction: request.direction,
            ports: request.ports,
            most: limits.max_groups.min(limits.memory / ROW),
            directed: HashMap::default(),
            undirected: HashMap::default(),
            called: Some(HashSet::default()),
        }
    }

    /// Adds those of the rows that fit and are of these hours.
    pub fn add(&mut self, rows: &RecordBatch, fit: &Fit, ends: &Ends) -> Result<(), QueryError> {
        let columns = Columns::of(rows);
        for row in 0..rows.num_rows() {
            let fits = Fits {
                out: fit.out.value(row),
                back: fit.back.value(row),
            };
            let hour = columns.hours.value(row);
            if fits.any() && hour >= self.range.from && hour < self.range.until {
                let (group, sums) = (columns.group(row, ends), columns.sums(row, hour));
                match group.is_directed {
                    true => self.put_directed(group, &sums, fits),
                    false => self.put_undirected(group, sums, fits, ends),
                }
                if self.directed.len() + self.undirected.len() > self.most {
                    return Err(QueryError::TooManyGroups(self.most));
                }
            }
        }
        Ok(())
    }

    fn put_directed(&mut self, group: Group, sums: &Sums, fits: Fits) {
        if let Some(called) = self.called.as_mut().filter(|_| group.port.is_some()) {
            called.insert(group);
            if called.len() > self.most {
                self.called = None;
            }
        }
        if fits.is_asked_for(self.direction) {
            let shown = self.shown(group);
            add_to(&mut self.directed, shown, sums);
        }
    }

    fn put_undirected(&mut self, group: Group, sums: Sums, fits: Fits, ends: &Ends) {
        let (key, sums) = match ends.place(group.client) <= ends.place(group.server) {
            true => ((group, fits), sums),
            false => ((group.turned(), fits.turned()), sums.turned()),
        };
        add_to(&mut self.undirected, key, &sums);
    }

    /// The row of an edge.
    fn shown(&self, group: Group) -> Group {
        Group {
            port: group.port.filter(|_| self.ports),
            proto: group.proto.filter(|_| self.ports),
            ..group
        }
    }

    /// All rows. Where both ends spoke from a port that one called the other on, and not the
    /// other way round, it is the same call.
    pub fn finish(mut self) -> Groups {
        let mut left: HashMap<Group, Sums, RandomState> = HashMap::default();
        for ((group, fits), sums) in std::mem::take(&mut self.undirected) {
            let Some((call, sums, fits)) = self.settled(group, sums, fits) else {
                add_to(&mut left, self.shown(group), &sums);
                continue;
            };
            if fits.is_asked_for(self.direction) {
                self.add_settled(self.shown(call), sums);
            }
        }
        Groups(self.directed.into_iter().chain(left).collect())
    }

    /// The call that is known of the same ends and port.
    fn settled(&self, group: Group, sums: Sums, fits: Fits) -> Option<(Group, Sums, Fits)> {
        group.port?;
        let call = Group {
            is_directed: true,
            ..group
        };
        let called = self.called.as_ref()?;
        match (called.contains(&call), called.contains(&call.turned())) {
            (true, false) => Some((call, sums, fits)),
            (false, true) => Some((call.turned(), sums.turned(), fits.turned())),
            _ => None,
        }
    }

    /// What is settled by a call is as sure as that.
    fn add_settled(&mut self, call: Group, mut sums: Sums) {
        let flows = sums.forward[2].saturating_add(sums.reverse[2]);
        let strength = self.directed.get(&call).map_or(Strength::Weak, Sums::strength);
        sums.flows = by_strength(strength, flows);
        add_to(&mut self.directed, call, &sums);
    }
}

fn add_to<K: Eq + std::hash::Hash>(all: &mut HashMap<K, Sums, RandomState>, key: K, sums: &Sums) {
    all.entry(key)
        .and_modify(|total| total.add(sums))
        .or_insert(*sums);
}

fn by_strength(strength: Strength, flows: u64) -> [u64; 3] {
    [Strength::Proven, Strength::Likely, Strength::Weak].map(|one| if one == strength { flows } else { 0 })
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
    evidence: PrimitiveArray<UInt16Type>,
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

    fn group(&self, row: usize, ends: &Ends) -> Group {
        Group {
            client: ends.at(self.ids[0].value(row)),
            server: ends.at(self.ids[1].value(row)),
            port: known(&self.port, row),
            proto: known(&self.proto, row),
            is_directed: self.evidence(row).strength() != Strength::Unknown,
        }
    }

    fn evidence(&self, row: usize) -> Evidence {
        Evidence::of_bits(self.evidence.value(row))
    }

    fn sums(&self, row: usize, hour: i64) -> Sums {
        let traffic = |columns: &[PrimitiveArray<UInt64Type>; 3]| {
            [0, 1, 2].map(|at: usize| known(&columns[at], row).unwrap_or_default())
        };
        let [first, last] =
            [0, 1].map(|at: usize| hour.saturating_add(i64::from(self.seen[at].value(row)) * SECOND));
        let (forward, reverse) = (traffic(&self.forward), traffic(&self.reverse));
        let flows = forward[2].saturating_add(reverse[2]);
        let evidence = self.evidence(row);
        Sums {
            forward,
            reverse,
            connections: known(&self.connections, row),
            first,
            last,
            evidence,
            flows: by_strength(evidence.strength(), flows),
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
