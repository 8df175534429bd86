//! Sums of rows over a bucket of time. Pure.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt8Array, UInt32Array,
    UInt64Array, new_null_array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Schema, UInt8Type};

use crate::batch::Batch;
use crate::schema::{self, DST_ID, FLOWS, ROLLUP_KEYS, ROLLUP_SUMS, SRC_ID};
use crate::sorted::{ABSENT, Column, Sorted};

const KEYS: usize = ROLLUP_KEYS.len();
const SUMS: usize = ROLLUP_SUMS.len();

/// What the rows of a sum have in common: bucket, source, destination, then a
/// number for each of [`ROLLUP_KEYS`].
#[derive(PartialEq, Eq, Clone, Copy)]
struct Key {
    time: i64,
    sides: u64,
    keys: [u32; KEYS],
}

impl std::hash::Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.time as u64);
        state.write_u64(self.sides);
        for pair in self.keys.chunks(2) {
            let low = u64::from(pair[0]);
            state.write_u64(low | pair.get(1).map_or(0, |high| u64::from(*high) << 32));
        }
    }
}

/// Multiply and fold: keys come out of the store's own counting, nobody chooses them.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|o| self.write_u64((*o).into()));
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// A sum; absent until something is added.
type Sums = ([Option<u64>; SUMS], u64);

/// Groups of two sides from which on their memory is given back.
const MANY: usize = 4_096;

/// Rows that are looked at before others are fetched.
const STEP: usize = 8_192;

/// The sums of the primary rows of facts, or of a finer rollup, by buckets of
/// `bucket` microseconds. Rows of the same sides have to lie together. The schema
/// is [`schema::rollup`].
pub(crate) fn roll_up(rows: &Sorted, bucket: i64) -> Sorted {
    let sums = vec![Batch::of_rows(sums(rows, bucket))];
    Sorted::new_sorted(sums, &schema::rollup())
}

fn sums(rows: &Sorted, bucket: i64) -> RecordBatch {
    let mut source = Source::of(rows);
    let mut groups = HashMap::<Key, usize, BuildHasherDefault<Fold>>::default();
    let mut totals: Vec<(Key, Sums)> = Vec::new();
    let mut last = None;
    for from in (0..rows.len()).step_by(STEP) {
        let part = source.read(from..rows.len().min(from + STEP));
        for row in (0..part.times.len()).filter(|row| part.counts(*row)) {
            let key = part.key(row, bucket);
            if last.replace(key.sides) != Some(key.sides) {
                // SmallDictionaryBuilder groups are in memory that is near.
                groups.clear();
                groups.shrink_to(MANY);
            }
            let at = *groups.entry(key).or_insert(totals.len());
            if at == totals.len() {
                totals.push((key, ([None; SUMS], 0)));
            }
            let (_, (total, count)) = &mut totals[at];
            for (total, column) in total.iter_mut().zip(&part.sums) {
                if let Some(number) = value(column, row) {
                    *total = Some(total.unwrap_or(0).saturating_add(number));
                }
            }
            *count += value(&part.flows, row).unwrap_or(1);
        }
    }
    source.table(&totals)
}

/// The columns that sums are made of.
struct Source<'a> {
    rows: &'a Sorted,
    keys: [Option<Column>; KEYS],
    time: Option<Column>,
    sides: [Option<Column>; 2],
    primary: Option<Column>,
    sums: [Option<Column>; SUMS],
    flows: Option<Column>,
    /// Memory for the keys of a part.
    numbers: [Vec<u32>; KEYS],
}

/// Some rows of them.
struct Part<'a> {
    keys: &'a [Vec<u32>; KEYS],
    times: TimestampMicrosecondArray,
    sides: [UInt32Array; 2],
    primary: Option<BooleanArray>,
    sums: [Option<UInt64Array>; SUMS],
    flows: Option<UInt64Array>,
}

impl<'a> Source<'a> {
    fn of(rows: &'a Sorted) -> Self {
        Self {
            rows,
            keys: ROLLUP_KEYS.map(|column| rows.find(column.name())),
            time: rows.find("time"),
            sides: [SRC_ID, DST_ID].map(|name| rows.find(name)),
            primary: rows.find("primary"),
            sums: ROLLUP_SUMS.map(|column| rows.find(column.name())),
            flows: rows.find(FLOWS),
            numbers: Default::default(),
        }
    }

    fn read(&mut self, range: Range<usize>) -> Part<'_> {
        for (column, numbers) in self.keys.iter().zip(&mut self.numbers) {
            numbers_of(column, self.rows, range.clone(), numbers);
        }
        let values = |column: &Option<Column>| match column {
            Some(Column::Plain(column)) => Some(column.values(self.rows, range.clone())),
            _ => None,
        };
        let numbers = |column: &Option<Column>| Some(values(column)?.as_primitive_opt()?.clone());
        let sides = |column: &Option<Column>| Some(values(column)?.as_primitive_opt()?.clone());
        let times = values(&self.time).and_then(|times| Some(times.as_primitive_opt()?.clone()));
        let times = times.unwrap_or_else(|| vec![0; range.len()].into());
        Part {
            keys: &self.numbers,
            sides: [0, 1].map(|side| sides(&self.sides[side]).unwrap_or_else(|| vec![0; range.len()].into())),
            primary: values(&self.primary).and_then(|primary| Some(primary.as_boolean_opt()?.clone())),
            sums: std::array::from_fn(|at| numbers(&self.sums[at])),
            flows: numbers(&self.flows),
            times,
        }
    }

    fn table(&self, totals: &[(Key, Sums)]) -> RecordBatch {
        let schema: Arc<Schema> = schema::rollup();
        let times = TimestampMicrosecondArray::from_iter_values(totals.iter().map(|(key, _)| key.time));
        let src = UInt32Array::from_iter_values(totals.iter().map(|(key, _)| (key.sides >> 32) as u32));
        let dst = UInt32Array::from_iter_values(totals.iter().map(|(key, _)| key.sides as u32));
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(times.with_timezone("UTC")), Arc::new(src), Arc::new(dst)];
        for (at, column) in self.keys.iter().enumerate() {
            let kind = schema.field(3 + at).data_type();
            columns.push(words_of(column, kind, totals.iter().map(|(key, _)| key.keys[at])));
        }
        for at in 0..SUMS {
            let column: UInt64Array = totals.iter().map(|(_, (sums, _))| sums[at]).collect();
            columns.push(Arc::new(column));
        }
        let flows = UInt64Array::from_iter_values(totals.iter().map(|(_, (_, count))| *count));
        columns.push(Arc::new(flows));
        RecordBatch::try_new(schema, columns).expect("the columns were made in the schema's order and types")
    }
}

/// The numbers that stand for the values of a key: of words, or the byte itself.
fn numbers_of(column: &Option<Column>, rows: &Sorted, range: Range<usize>, numbers: &mut Vec<u32>) {
    match column {
        Some(Column::Dictionary(column)) => column.numbers(rows, range, numbers),
        Some(Column::Plain(column)) => {
            let values = column.values(rows, range);
            let values = values.as_primitive::<UInt8Type>();
            numbers.clear();
            numbers.extend(values.iter().map(|value| value.map_or(ABSENT, u32::from)));
        }
        None => {
            numbers.clear();
            numbers.resize(range.len(), ABSENT);
        }
    }
}

/// The values that these numbers stand for.
fn words_of(column: &Option<Column>, kind: &DataType, numbers: impl Iterator<Item = u32>) -> ArrayRef {
    let numbers = numbers.map(|number| (number != ABSENT).then_some(number));
    match column {
        Some(Column::Dictionary(column)) => {
            let numbers: UInt32Array = numbers.collect();
            take(column.words(), &numbers, None).expect("each number is one of a word")
        }
        Some(Column::Plain(_)) => {
            let bytes = numbers.map(|number| number.map(|number| number as u8));
            Arc::new(bytes.collect::<UInt8Array>())
        }
        None => new_null_array(kind, numbers.count()),
    }
}

impl Part<'_> {
    /// Rollups have no such column: all of theirs are primary.
    fn counts(&self, row: usize) -> bool {
        let primary = self.primary.as_ref();
        primary.is_none_or(|primary| primary.is_valid(row) && primary.value(row))
    }

    fn key(&self, row: usize, bucket: i64) -> Key {
        let [src, dst] = &self.sides;
        Key {
            time: self.times.value(row).div_euclid(bucket).saturating_mul(bucket),
            sides: u64::from(src.value(row)) << 32 | u64::from(dst.value(row)),
            keys: std::array::from_fn(|at| self.keys[at][row]),
        }
    }
}

fn value(column: &Option<UInt64Array>, row: usize) -> Option<u64> {
    let column = column.as_ref()?;
    column.is_valid(row).then(|| column.value(row))
}
