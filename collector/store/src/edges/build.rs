//! Edges to columns and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch, TimestampMicrosecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::{Evidence, Key, Standing, Sums, Traffic, values};
use crate::schema;
use crate::sorted::Sorted;

/// The table of these, of the schema [`schema::edges`].
pub(super) fn table(edges: &[(Key, Sums)]) -> RecordBatch {
    let hours = TimestampMicrosecondArray::from_iter_values(edges.iter().map(|(key, _)| key.hour));
    let ids = |id: fn(&Key) -> u32| -> ArrayRef {
        Arc::new(UInt32Array::from_iter_values(
            edges.iter().map(|(key, _)| id(key)),
        ))
    };
    let numbers = |number: fn(&Sums) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(
            edges.iter().map(|(_, sums)| number(sums)),
        ))
    };
    let seconds = |second: fn(&Sums) -> u16| -> ArrayRef {
        Arc::new(UInt16Array::from_iter_values(
            edges.iter().map(|(_, sums)| second(sums)),
        ))
    };
    let protos: UInt8Array = edges.iter().map(|(key, _)| key.proto).collect();
    let ports: UInt16Array = edges.iter().map(|(key, _)| key.port).collect();
    let connections: UInt64Array = edges.iter().map(|(_, sums)| sums.connections).collect();
    let evidence = UInt16Array::from_iter_values(edges.iter().map(|(_, sums)| sums.evidence.bits()));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(hours.with_timezone("UTC")),
        ids(|key| key.client),
        ids(|key| key.server),
        Arc::new(protos),
        Arc::new(ports),
        numbers(|sums| sums.forward.bytes),
        numbers(|sums| sums.forward.packets),
        numbers(|sums| sums.forward.flows),
        numbers(|sums| sums.reverse.bytes),
        numbers(|sums| sums.reverse.packets),
        numbers(|sums| sums.reverse.flows),
        Arc::new(connections),
        seconds(|sums| sums.first),
        seconds(|sums| sums.last),
        Arc::new(evidence),
    ];
    RecordBatch::try_new(schema::edges(), columns)
        .expect("the columns were made in the schema's order and types")
}

/// Rows of edges, as their columns have them in the schema's order.
pub(super) struct Rows {
    hours: PrimitiveArray<TimestampMicrosecondType>,
    ids: [PrimitiveArray<UInt32Type>; 2],
    proto: PrimitiveArray<UInt8Type>,
    port: PrimitiveArray<UInt16Type>,
    sums: [PrimitiveArray<UInt64Type>; 6],
    connections: PrimitiveArray<UInt64Type>,
    seconds: [PrimitiveArray<UInt16Type>; 2],
    evidence: PrimitiveArray<UInt16Type>,
}

fn numbers<T: ArrowPrimitiveType>(columns: &[Option<ArrayRef>], at: usize, rows: usize) -> PrimitiveArray<T> {
    let column = columns.get(at).and_then(Option::as_ref);
    let found = column.and_then(|column| column.as_primitive_opt::<T>()).cloned();
    found.unwrap_or_else(|| PrimitiveArray::new_null(rows))
}

fn known<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

impl Rows {
    /// Of columns of so many rows.
    pub fn of(columns: &[Option<ArrayRef>], rows: usize) -> Self {
        Self {
            hours: numbers(columns, 0, rows),
            ids: [1, 2].map(|at| numbers(columns, at, rows)),
            proto: numbers(columns, 3, rows),
            port: numbers(columns, 4, rows),
            sums: [5, 6, 7, 8, 9, 10].map(|at| numbers(columns, at, rows)),
            connections: numbers(columns, 11, rows),
            seconds: [12, 13].map(|at| numbers(columns, at, rows)),
            evidence: numbers(columns, 14, rows),
        }
    }

    pub fn row(&self, row: usize) -> (Key, Sums) {
        let evidence = Evidence::of_bits(self.evidence.value(row));
        let key = Key {
            hour: self.hours.value(row),
            client: self.ids[0].value(row),
            server: self.ids[1].value(row),
            port: known(&self.port, row),
            proto: known(&self.proto, row),
            standing: Standing::of(evidence),
        };
        let sum = |at: usize| known(&self.sums[at], row).unwrap_or_default();
        let traffic = |at: usize| Traffic {
            bytes: sum(at),
            packets: sum(at + 1),
            flows: sum(at + 2),
        };
        let sums = Sums {
            forward: traffic(0),
            reverse: traffic(3),
            connections: known(&self.connections, row),
            first: self.seconds[0].value(row),
            last: self.seconds[1].value(row),
            evidence,
        };
        (key, sums)
    }
}

/// All rows of edges as one table.
pub(super) fn whole(rows: &Sorted) -> RecordBatch {
    let columns = schema::edges();
    let columns = columns.fields().iter().map(|field| {
        let column = rows.find(field.name());
        let found = values(column.as_ref(), rows, 0..rows.len());
        found.unwrap_or_else(|| arrow::array::new_null_array(field.data_type(), rows.len()))
    });
    let table = RecordBatch::try_new(schema::edges(), columns.collect());
    table.unwrap_or_else(|_| RecordBatch::new_empty(schema::edges()))
}
