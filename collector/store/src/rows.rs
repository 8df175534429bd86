//! Records become columns. A column that no record has a value for costs nothing
//! and is not in the batch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, FixedSizeBinaryArray, NullBufferBuilder, PrimitiveArray,
    RecordBatch, StringViewArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{
    DataType, Field, Schema, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use foldhash::fast::RandomState;
use weir_api::fields::Column;
use weir_flow::{FlowRecord, Value};

use crate::range::TimeRange;
use crate::schema::{self, DST_ID, OF_ONE_PACKET, SRC_ID};

/// Rows that are being gathered into a batch.
pub(crate) struct Rows {
    /// By [`Column::index`].
    columns: Vec<Cells>,
    src: Vec<u32>,
    dst: Vec<u32>,
    time: Option<TimeRange>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            columns: Column::all().map(Cells::of).collect(),
            src: Vec::new(),
            dst: Vec::new(),
            time: None,
        }
    }
}

impl Rows {
    pub fn len(&self) -> usize {
        self.src.len()
    }

    pub fn push(&mut self, record: &FlowRecord, src: u32, dst: u32) {
        let row = self.len();
        let time = micros(record.time_ns);
        let now = TimeRange::spanning(time, time);
        self.time = Some(self.time.map_or(now, |time| time.union(&now)));
        let columns = &mut self.columns;
        record.visit_own(&mut |column: Column, value: Value<'_>| columns[column.index()].set(row, &value));
        self.src.push(src);
        self.dst.push(dst);
    }

    /// The rows as a batch with the columns that have a value, and their time.
    pub fn take(&mut self) -> Option<(RecordBatch, TimeRange)> {
        let time = self.time.take()?;
        let rows = self.len();
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (column, cells) in Column::all().zip(&mut self.columns) {
            if let Some(array) = cells.take(rows) {
                let nullable = column.name() != "time";
                fields.push(Field::new(column.name(), array.data_type().clone(), nullable));
                arrays.push(array);
            }
        }
        for (name, ids) in [(SRC_ID, &mut self.src), (DST_ID, &mut self.dst)] {
            let next = Vec::with_capacity(ids.len());
            let ids = std::mem::replace(ids, next);
            fields.push(Field::new(name, DataType::UInt32, false));
            arrays.push(Arc::new(UInt32Array::from(ids)) as ArrayRef);
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .expect("each column was filled up to the rows and its field made from it");
        Some((batch, time))
    }
}

/// The values of one column so far; rows after the last value are absent.
enum Cells {
    NotStored,
    Time(Numbers<TimestampMicrosecondType>),
    U8(Numbers<UInt8Type>),
    U16(Numbers<UInt16Type>),
    U32(Numbers<UInt32Type>),
    U64(Numbers<UInt64Type>),
    Bool(Bools),
    Text(Box<Texts>),
    Octets(Octets),
}

impl Cells {
    fn of(column: Column) -> Self {
        match schema::fact(column) {
            None => Self::NotStored,
            Some(DataType::UInt8) => Self::U8(Numbers::default()),
            Some(DataType::UInt16) => Self::U16(Numbers::default()),
            Some(DataType::UInt32) => Self::U32(Numbers::default()),
            Some(DataType::UInt64) => Self::U64(Numbers::default()),
            Some(DataType::Boolean) => Self::Bool(Bools::default()),
            Some(DataType::FixedSizeBinary(width)) => Self::Octets(Octets::new(width)),
            Some(DataType::Timestamp(..)) => Self::Time(Numbers::default()),
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
            (Self::Octets(cells), Value::Address(address)) => cells.set(row, &v6(*address)),
            (Self::Octets(cells), Value::Mac(mac)) => cells.set(row, mac),
            // "", a column that is not stored, or a kind that the table denies.
            _ => {}
        }
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        match self {
            Self::NotStored => None,
            Self::Time(cells) => {
                let array = cells.take(rows)?.with_timezone("UTC");
                Some(Arc::new(array))
            }
            Self::U8(cells) => Some(Arc::new(cells.take(rows)?)),
            Self::U16(cells) => Some(Arc::new(cells.take(rows)?)),
            Self::U32(cells) => Some(Arc::new(cells.take(rows)?)),
            Self::U64(cells) => Some(Arc::new(cells.take(rows)?)),
            Self::Bool(cells) => Some(Arc::new(cells.take(rows)?)),
            Self::Text(cells) => cells.take(rows),
            Self::Octets(cells) => Some(Arc::new(cells.take(rows)?)),
        }
    }
}

struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    valid: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            valid: NullBufferBuilder::new(0),
        }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    fn fill(&mut self, rows: usize) {
        let absent = rows.saturating_sub(self.values.len());
        if absent > 0 {
            self.values.resize(rows, T::Native::default());
            self.valid.append_n_nulls(absent);
        }
    }

    #[inline]
    fn set(&mut self, row: usize, value: T::Native) {
        self.fill(row);
        self.values.push(value);
        self.valid.append_non_null();
    }

    fn take(&mut self, rows: usize) -> Option<PrimitiveArray<T>> {
        if self.values.is_empty() {
            return None;
        }
        self.fill(rows);
        let next = Vec::with_capacity(rows);
        let values = std::mem::replace(&mut self.values, next);
        Some(PrimitiveArray::new(values.into(), self.valid.finish()))
    }
}

struct Bools {
    values: Vec<bool>,
    valid: NullBufferBuilder,
}

impl Default for Bools {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            valid: NullBufferBuilder::new(0),
        }
    }
}

impl Bools {
    fn fill(&mut self, rows: usize) {
        let absent = rows.saturating_sub(self.values.len());
        if absent > 0 {
            self.values.resize(rows, false);
            self.valid.append_n_nulls(absent);
        }
    }

    fn set(&mut self, row: usize, yes: bool) {
        self.fill(row);
        self.values.push(yes);
        self.valid.append_non_null();
    }

    fn take(&mut self, rows: usize) -> Option<BooleanArray> {
        if self.values.is_empty() {
            return None;
        }
        self.fill(rows);
        let values = std::mem::take(&mut self.values);
        Some(BooleanArray::new(values.into(), self.valid.finish()))
    }
}

/// Most columns of texts have a handful of words.
#[derive(Default)]
struct Texts {
    words: Vec<Box<str>>,
    /// Words from the [`FEW`]th on.
    more: HashMap<Box<str>, u32, RandomState>,
    /// The word of the last row that has one.
    last: u32,
    /// The word of each row.
    numbers: Numbers<UInt32Type>,
}

/// Words that are looked through one by one.
const FEW: usize = 4;

impl Texts {
    fn set(&mut self, row: usize, text: &str) {
        let number = self.number(text);
        self.numbers.set(row, number);
    }

    fn number(&mut self, text: &str) -> u32 {
        let last = self.words.get(self.last as usize);
        if last.is_none_or(|word| **word != *text) {
            self.last = self.look_up(text);
        }
        self.last
    }

    fn look_up(&mut self, text: &str) -> u32 {
        let mut few = self.words.iter().take(FEW);
        if let Some(at) = few.position(|word| **word == *text) {
            return at as u32;
        }
        if let Some(number) = self.more.get(text) {
            return *number;
        }
        let number = self.words.len() as u32;
        self.words.push(text.into());
        if self.words.len() > FEW {
            self.more.insert(text.into(), number);
        }
        number
    }

    fn take(&mut self, rows: usize) -> Option<ArrayRef> {
        let numbers = self.numbers.take(rows)?;
        let words = StringViewArray::from_iter_values(self.words.drain(..));
        self.more.clear();
        Some(take(&words, &numbers, None).expect("each number is one of a word"))
    }
}

struct Octets {
    width: i32,
    rows: usize,
    values: Vec<u8>,
    valid: NullBufferBuilder,
}

impl Octets {
    fn new(width: i32) -> Self {
        Self {
            width,
            rows: 0,
            values: Vec::new(),
            valid: NullBufferBuilder::new(0),
        }
    }

    fn fill(&mut self, rows: usize) {
        let absent = rows.saturating_sub(self.rows);
        if absent > 0 {
            self.values.resize(rows * self.width as usize, 0);
            self.valid.append_n_nulls(absent);
            self.rows = rows;
        }
    }

    #[inline]
    fn set(&mut self, row: usize, octets: &[u8]) {
        self.fill(row);
        self.values.extend_from_slice(octets);
        self.valid.append_non_null();
        self.rows += 1;
    }

    fn take(&mut self, rows: usize) -> Option<FixedSizeBinaryArray> {
        if self.rows == 0 {
            return None;
        }
        self.fill(rows);
        self.rows = 0;
        let next = Vec::with_capacity(self.values.len());
        let values = std::mem::replace(&mut self.values, next);
        Some(FixedSizeBinaryArray::new(
            self.width,
            values.into(),
            self.valid.finish(),
        ))
    }
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

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
