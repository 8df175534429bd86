//! Records become columns. A column that no record has a value for costs nothing
//! and is not in the batch. What many records have in common is kept once, and so
//! is each text: rows are numbers.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, DictionaryArray, NullBufferBuilder, PrimitiveArray,
    RecordBatch, StringViewArray, UInt16Array, UInt32Array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{
    DataType, Field, Schema, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use weir_api::fields::Column;
use weir_flow::{FlowRecord, Value};

use crate::batch::{Batch, SHARED_ROW};
use crate::dictionary::Dictionary;
use crate::fixed_width;
use crate::range::TimeRange;
use crate::schema::{self, DST_ID, OF_ONE_PACKET, SRC_ID};
use crate::sorted::Key;
use shared::SharedColumns;

mod shared;

/// Rows that are being gathered into a batch, fewer than 65,536.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    shared: SharedColumns,
    /// What is not shared.
    columns: Columns,
    /// Of each row, the row of the shared columns.
    shared_rows: Vec<u16>,
    src: Vec<u32>,
    dst: Vec<u32>,
    time: Option<TimeRange>,
    keys: Vec<(u128, u16)>,
    order: Vec<u16>,
}

impl Rows {
    pub fn len(&self) -> usize {
        self.src.len()
    }

    /// Takes in records and the numbers of whoever stands on their sides.
    pub fn extend(&mut self, records: &[FlowRecord], sides: &[(u32, u32)]) {
        // Numbers are looked for in memory that is far away: all at once, since
        // then one lookup does not wait for the other.
        self.shared_rows
            .extend(records.iter().map(|record| self.shared.number(record)));
        for (record, (src, dst)) in records.iter().zip(sides) {
            let row = self.len();
            let time = micros(record.time_ns);
            let now = TimeRange::spanning(time, time);
            self.time = Some(self.time.map_or(now, |time| time.union(&now)));
            let columns = &mut self.columns;
            record.visit_rest(&mut |column: Column, value: Value<'_>| columns.set(column, row, &value));
            self.src.push(*src);
            self.dst.push(*dst);
        }
    }

    /// The rows as a batch with the columns that have a value, and their time.
    /// They are in the order of a segment.
    pub fn take(&mut self) -> Option<(Batch, TimeRange)> {
        let time = self.time.take()?;
        self.sort(time.from);
        let order = &self.order;
        let (mut fields, mut arrays) = self.columns.take(order);
        let mut push = |name: &str, array: ArrayRef| {
            fields.push(Field::new(name, array.data_type().clone(), false));
            arrays.push(array);
        };
        push(
            SHARED_ROW,
            Arc::new(UInt16Array::from(taken(&mut self.shared_rows, order))),
        );
        push(SRC_ID, Arc::new(UInt32Array::from(taken(&mut self.src, order))));
        push(DST_ID, Arc::new(UInt32Array::from(taken(&mut self.dst, order))));
        let shared = self.shared.take();
        Some((Batch::new(table((fields, arrays)), table(shared)), time))
    }

    /// Finds the order of the rows, none of which came before `earliest`. When they
    /// become a segment, those of each batch are read one after the other.
    fn sort(&mut self, earliest: i64) {
        let (times, ports) = self.columns.times_and_ports();
        self.keys.clear();
        self.keys.extend((0..self.src.len()).map(|row| {
            let key = Key {
                src: self.src[row],
                dst: self.dst[row],
                proto: self.shared.proto(self.shared_rows[row]),
                dst_port: ports.get(row).copied().unwrap_or_default(),
                since: times[row].wrapping_sub(earliest) as u64,
            };
            (key.number(), row as u16)
        }));
        self.keys.sort_unstable();
        self.order.clear();
        self.order.extend(self.keys.iter().map(|(_, row)| *row));
    }
}

/// The numbers of the rows in this order; the memory is left for others.
fn taken<T: Copy>(numbers: &mut Vec<T>, order: &[u16]) -> Vec<T> {
    let taken = order.iter().map(|row| numbers[usize::from(*row)]).collect();
    numbers.clear();
    taken
}

fn table((fields, arrays): (Vec<Field>, Vec<ArrayRef>)) -> RecordBatch {
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .expect("each column was filled up to the rows and its field made from it")
}

/// The columns of the field table, by [`Column::index`].
#[derive(Debug)]
struct Columns(Vec<Cells>);

impl Default for Columns {
    fn default() -> Self {
        Self(Column::all().map(Cells::of).collect())
    }
}

impl Columns {
    #[inline]
    fn set(&mut self, column: Column, row: usize, value: &Value<'_>) {
        self.0[column.index()].set(row, value);
    }

    /// The times of all rows, and the destination's ports up to the last row that has
    /// one.
    fn times_and_ports(&self) -> (&[i64], &[u16]) {
        const TIME: Column = Column::of("time");
        const PORT: Column = Column::of("dst_port");
        match (&self.0[TIME.index()], &self.0[PORT.index()]) {
            (Cells::Time(times), Cells::U16(ports)) => (&times.values, &ports.values),
            _ => (&[], &[]),
        }
    }

    /// Those that have a value, of the rows in this order.
    fn take(&mut self, order: &[u16]) -> (Vec<Field>, Vec<ArrayRef>) {
        let taken = Column::all().zip(&mut self.0).filter_map(|(column, cells)| {
            let array = cells.take(order)?;
            let nullable = column.name() != "time";
            Some((
                Field::new(column.name(), array.data_type().clone(), nullable),
                array,
            ))
        });
        taken.unzip()
    }
}

/// The values of one column so far; rows after the last value are absent.
#[derive(Debug)]
enum Cells {
    NotStored,
    Time(Values<i64>),
    U8(Values<u8>),
    U16(Values<u16>),
    U32(Values<u32>),
    U64(Values<u64>),
    Bool(Values<bool>),
    Address(Values<u128>),
    Mac(Values<u64>),
    Text(Box<Texts>),
}

impl Cells {
    fn of(column: Column) -> Self {
        match schema::fact(column) {
            None => Self::NotStored,
            Some(DataType::UInt8) => Self::U8(Values::default()),
            Some(DataType::UInt16) => Self::U16(Values::default()),
            Some(DataType::UInt32) => Self::U32(Values::default()),
            Some(DataType::UInt64) => Self::U64(Values::default()),
            Some(DataType::Boolean) => Self::Bool(Values::default()),
            Some(DataType::FixedSizeBinary(fixed_width::ADDRESS)) => Self::Address(Values::default()),
            Some(DataType::FixedSizeBinary(_)) => Self::Mac(Values::default()),
            Some(DataType::Timestamp(..)) => Self::Time(Values::default()),
            Some(_) => Self::Text(Box::default()),
        }
    }

    #[inline]
    fn set(&mut self, row: usize, value: &Value<'_>) {
        match (self, value) {
            (Self::Time(cells), Value::Time(ns)) => cells.set(row, micros(*ns)),
            (Self::U8(cells), Value::Unsigned(number)) => cells.set(row, *number as u8),
            (Self::U16(cells), Value::Unsigned(number)) => cells.set(row, *number as u16),
            (Self::U32(cells), Value::Unsigned(number)) => cells.set(row, *number as u32),
            (Self::U64(cells), Value::Unsigned(number)) => cells.set(row, *number),
            (Self::U16(cells), Value::Flags(flags)) => {
                let mark = if flags.of_one_packet { OF_ONE_PACKET } else { 0 };
                cells.set(row, flags.bits & !OF_ONE_PACKET | mark);
            }
            (Self::Bool(cells), Value::Bool(yes)) => cells.set(row, *yes),
            (Self::Text(cells), Value::Text(text)) if !text.is_empty() => cells.set(row, text),
            (Self::Address(cells), Value::Address(address)) => {
                cells.set(row, u128::from_be_bytes(v6(*address)));
            }
            (Self::Mac(cells), Value::Mac([a, b, c, d, e, f])) => {
                cells.set(row, u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]));
            }
            // "", a column that is not stored, or a kind that the table denies.
            _ => {}
        }
    }

    /// The column of the rows in this order; none if no row has a value.
    fn take(&mut self, order: &[u16]) -> Option<ArrayRef> {
        Some(match self {
            Self::NotStored => return None,
            Self::Time(cells) => {
                let times = numbers::<TimestampMicrosecondType>(cells.take(order)?);
                Arc::new(times.with_timezone("UTC"))
            }
            Self::U8(cells) => Arc::new(numbers::<UInt8Type>(cells.take(order)?)),
            Self::U16(cells) => Arc::new(numbers::<UInt16Type>(cells.take(order)?)),
            Self::U32(cells) => Arc::new(numbers::<UInt32Type>(cells.take(order)?)),
            Self::U64(cells) => Arc::new(numbers::<UInt64Type>(cells.take(order)?)),
            Self::Mac(cells) => Arc::new(numbers::<UInt64Type>(cells.take(order)?)),
            Self::Bool(cells) => {
                let (values, valid) = cells.take(order)?;
                Arc::new(BooleanArray::new(values.into(), valid))
            }
            Self::Address(cells) => {
                let (values, valid) = cells.take(order)?;
                fixed_width::addresses(&values, valid)
            }
            Self::Text(cells) => cells.take(order)?,
        })
    }
}

fn numbers<T: ArrowPrimitiveType>(
    (values, valid): (Vec<T::Native>, Option<NullBuffer>),
) -> PrimitiveArray<T> {
    PrimitiveArray::new(values.into(), valid)
}

/// Values by row, and which rows have one.
#[derive(Debug)]
struct Values<T> {
    values: Vec<T>,
    valid: NullBufferBuilder,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            valid: NullBufferBuilder::new(0),
        }
    }
}

impl<T: Copy + Default> Values<T> {
    fn fill(&mut self, rows: usize) {
        let absent = rows.saturating_sub(self.values.len());
        if absent > 0 {
            self.values.resize(rows, T::default());
            self.valid.append_n_nulls(absent);
        }
    }

    #[inline]
    fn set(&mut self, row: usize, value: T) {
        self.fill(row);
        self.values.push(value);
        self.valid.append_non_null();
    }

    fn take(&mut self, order: &[u16]) -> Option<(Vec<T>, Option<NullBuffer>)> {
        if self.values.is_empty() {
            return None;
        }
        self.fill(order.len());
        let valid = in_order(self.valid.finish(), order);
        Some((taken(&mut self.values, order), valid))
    }
}

/// Texts: each row has the number of a word. A batch has fewer rows than there are
/// numbers.
#[derive(Debug, Default)]
struct Texts {
    words: Dictionary<String>,
    numbers: Values<u16>,
}

impl Texts {
    fn set(&mut self, row: usize, text: &str) {
        let number = self.words.number(text);
        self.numbers.set(row, number as u16);
    }

    fn take(&mut self, order: &[u16]) -> Option<ArrayRef> {
        let numbers = numbers::<UInt16Type>(self.numbers.take(order)?);
        let words = StringViewArray::from_iter_values(self.words.words());
        self.words.clear();
        let column = DictionaryArray::try_new(numbers, Arc::new(words));
        Some(Arc::new(column.expect("each number is one of a word")))
    }
}

fn in_order(valid: Option<NullBuffer>, order: &[u16]) -> Option<NullBuffer> {
    let valid = valid?;
    let is_valid = |row: usize| valid.is_valid(usize::from(order[row]));
    Some(BooleanBuffer::collect_bool(order.len(), is_valid).into())
}

/// The address as IPv6; IPv4 is `::ffff:a.b.c.d`.
pub(crate) fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(crate) fn micros(ns: u64) -> i64 {
    (ns / 1_000) as i64
}

#[cfg(test)]
pub(crate) mod tests;
