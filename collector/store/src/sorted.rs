//! The rows of many batches in the order of a segment, a column at a time. No row
//! is copied before its column is asked for.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{
    Field, Schema, SchemaRef, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
};

use crate::batch::Batch;
use crate::schema::{self, DST_ID, SRC_ID};
use dictionary_column::DictionaryColumn;
use plain_column::PlainColumn;

mod dictionary_column;
mod plain_column;

pub(crate) use dictionary_column::{ABSENT, nulls};

/// Rows of batches in an order.
#[derive(Debug)]
pub(crate) struct Sorted {
    batches: Vec<Batch>,
    schema: SchemaRef,
    order: Vec<Place>,
    /// Of each row in the order, the row of the shared columns, counted through all
    /// batches; empty if no batch has any.
    shared_rows: Vec<u32>,
}

/// Where a row is.
#[derive(Debug, Clone, Copy)]
struct Place {
    batch: u32,
    row: u32,
}

/// A column of [`Sorted`].
#[derive(Debug)]
pub(crate) enum Column {
    /// Each row has the number of a word.
    Dictionary(DictionaryColumn),
    /// Each row has its value.
    Plain(PlainColumn),
}

impl Sorted {
    /// The rows as they lie, with the columns of `schema` that any batch has.
    pub fn unsorted(batches: Vec<Batch>, schema: &Schema) -> Self {
        let places = batches.iter().zip(0..).flat_map(|(rows, batch)| {
            let rows = 0..rows.num_rows() as u32;
            rows.map(move |row| Place { batch, row })
        });
        let places = places.collect();
        Self::new(batches, schema, places)
    }

    /// The rows in the order of a segment: by source, destination, protocol, port,
    /// time.
    pub fn new_sorted(batches: Vec<Batch>, schema: &Schema) -> Self {
        let order = order(&batches);
        Self::new(batches, schema, order)
    }

    fn new(batches: Vec<Batch>, schema: &Schema, order: Vec<Place>) -> Self {
        let any = |field: &&Arc<Field>| batches.iter().any(|batch| batch.has(field.name()));
        let fields: Vec<_> = schema.fields().iter().filter(any).cloned().collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            shared_rows: shared_rows(&batches, &order),
            order,
            batches,
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The columns that there are.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A column of [`Self::schema`].
    pub fn column(&self, field: &Field) -> Column {
        match DictionaryColumn::of(self, field) {
            Some(worded) => Column::Dictionary(worded),
            None => Column::Plain(PlainColumn::of(&self.batches, field)),
        }
    }

    /// A column by its name; none if no row has a value.
    pub fn find(&self, name: &str) -> Option<Column> {
        let field = self.schema.field_with_name(name).ok()?;
        Some(self.column(field))
    }

    fn places(&self, rows: Range<usize>) -> &[Place] {
        &self.order[rows]
    }
}

/// What orders the rows of a segment.
pub(crate) struct Key {
    pub src: u32,
    pub dst: u32,
    pub proto: u8,
    pub dst_port: u16,
    /// Microseconds since the earliest row.
    pub since: u64,
}

impl Key {
    /// The first field is the highest.
    pub fn number(self) -> u128 {
        u128::from(self.src) << 96
            | u128::from(self.dst) << 64
            | u128::from(self.proto) << 56
            | u128::from(self.dst_port) << 40
            | u128::from(self.since.min((1 << 40) - 1))
    }
}

/// The rows of all batches in the order of a segment.
fn order(batches: &[Batch]) -> Vec<Place> {
    let columns = ["time", SRC_ID, DST_ID, "proto", "dst_port"].map(|name| {
        let facts = schema::facts();
        facts.field_with_name(name).cloned().expect("facts have it")
    });
    let columns = Schema::new(columns.to_vec());
    let batches: Vec<_> = batches.iter().map(|batch| batch.with(&columns)).collect();
    let earliest = batches.iter().flat_map(times).min().unwrap_or(0);
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut keys: Vec<(u128, Place)> = Vec::with_capacity(rows);
    for (rows, batch) in batches.iter().zip(0..) {
        let (src, dst) = (numbers(rows, SRC_ID), numbers(rows, DST_ID));
        let proto = rows
            .column_by_name("proto")
            .map(|c| c.as_primitive::<UInt8Type>());
        let port = rows
            .column_by_name("dst_port")
            .map(|c| c.as_primitive::<UInt16Type>());
        for (row, time) in times(rows).enumerate() {
            let key = Key {
                src: src[row],
                dst: dst[row],
                proto: proto.map_or(0, |c| c.values()[row]),
                dst_port: port.map_or(0, |c| c.values()[row]),
                since: time.wrapping_sub(earliest) as u64,
            };
            let row = row as u32;
            keys.push((key.number(), Place { batch, row }));
        }
    }
    // A stable sort merges what is in order already, as each batch is that came as records.
    keys.sort_by_key(|(key, _)| *key);
    keys.into_iter().map(|(_, place)| place).collect()
}

fn numbers<'a>(rows: &'a RecordBatch, name: &str) -> &'a [u32] {
    let column = rows.column_by_name(name);
    column.map_or(&[], |c| c.as_primitive::<UInt32Type>().values())
}

fn times(rows: &RecordBatch) -> impl Iterator<Item = i64> {
    let column = rows.column_by_name("time");
    let times = column.map_or(&[][..], |c| c.as_primitive::<TimestampMicrosecondType>().values());
    times.iter().copied()
}

fn shared_rows(batches: &[Batch], order: &[Place]) -> Vec<u32> {
    if batches.iter().all(|batch| batch.shared_rows().is_none()) {
        return Vec::new();
    }
    let mut before = 0;
    let parts: Vec<_> = batches
        .iter()
        .map(|batch| {
            let first = before;
            before += batch.shared().num_rows() as u32;
            (first, batch.shared_rows().map_or(&[][..], |rows| rows.values()))
        })
        .collect();
    let shared_row = |place: &Place| {
        let (first, rows) = parts[place.batch as usize];
        // Rows without one are of a batch without any, which no column asks.
        first + rows.get(place.row as usize).map_or(0, |row| u32::from(*row))
    };
    order.iter().map(shared_row).collect()
}
