//! Sums of rows over a bucket of time. Pure.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewBuilder, TimestampMicrosecondArray,
    UInt8Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{
    DataType, Field, Schema, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type,
};

use weir_api::fields::Column;

use crate::schema::{self, DST_ID, FLOWS, ROLLUP_KEYS, ROLLUP_SUMS, SRC_ID};

const KEYS: usize = ROLLUP_KEYS.len();
/// The column that says which of several observations sums count.
const PRIMARY: &str = Column::of("primary").name();
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

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|o| self.write_u64((*o).into()));
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

/// The columns of facts that sums are made of.
pub(crate) fn source() -> Schema {
    let facts = schema::facts();
    let sums = schema::rollup();
    let own = |field: &&Arc<Field>| field.name() == PRIMARY || sums.field_with_name(field.name()).is_ok();
    Schema::new(facts.fields().iter().filter(own).cloned().collect::<Vec<_>>())
}

/// A sum; absent until something is added.
type Sums = ([Option<u64>; SUMS], u64);

/// Groups of two sides from which on their memory is given back.
const MANY: usize = 4_096;

/// The sums of the primary rows of a batch of facts, or of a finer rollup, by
/// buckets of `bucket` microseconds. Rows of the same sides have to lie together.
/// The schema is [`schema::rollup`].
pub(crate) fn roll_up(rows: &RecordBatch, bucket: i64) -> RecordBatch {
    let mut keys = ROLLUP_KEYS.map(|column| Words::of(rows.column_by_name(column.name())));
    let sums = ROLLUP_SUMS.map(|column| numbers(rows, column.name()));
    let flows = numbers(rows, FLOWS);
    let primary = rows.column_by_name(PRIMARY).map(|c| c.as_boolean());
    let (src, dst) = (sides(rows, SRC_ID), sides(rows, DST_ID));
    let time = rows
        .column_by_name("time")
        .map(|c| c.as_primitive::<TimestampMicrosecondType>());
    let mut groups = HashMap::<Key, usize, BuildHasherDefault<Fold>>::default();
    let mut totals: Vec<(Key, Sums)> = Vec::new();
    let mut last = None;
    for row in (0..rows.num_rows()).filter(|row| counts(primary, *row)) {
        let time = time.map_or(0, |time| time.value(row));
        let key = Key {
            time: time.div_euclid(bucket).saturating_mul(bucket),
            sides: u64::from(src[row]) << 32 | u64::from(dst[row]),
            keys: std::array::from_fn(|at| keys[at].number(row)),
        };
        if last.replace(key.sides) != Some(key.sides) {
            // Few groups are in memory that is near.
            groups.clear();
            groups.shrink_to(MANY);
        }
        let at = *groups.entry(key).or_insert(totals.len());
        if at == totals.len() {
            totals.push((key, ([None; SUMS], 0)));
        }
        let (_, (total, count)) = &mut totals[at];
        for (total, column) in total.iter_mut().zip(&sums) {
            if let Some(number) = column.and_then(|c| c.is_valid(row).then(|| c.value(row))) {
                *total = Some(total.unwrap_or(0).saturating_add(number));
            }
        }
        *count += flows.map_or(1, |flows| flows.value(row));
    }
    table(&totals, &keys)
}

/// Rollups have no such column: all of theirs are primary.
fn counts(primary: Option<&BooleanArray>, row: usize) -> bool {
    primary.is_none_or(|primary| primary.is_valid(row) && primary.value(row))
}

fn numbers<'a>(rows: &'a RecordBatch, name: &str) -> Option<&'a UInt64Array> {
    rows.column_by_name(name)?.as_primitive_opt::<UInt64Type>()
}

fn sides<'a>(rows: &'a RecordBatch, name: &str) -> &'a [u32] {
    rows.column_by_name(name)
        .map_or(&[], |c| c.as_primitive::<UInt32Type>().values())
}

/// The values of a key's column as small numbers, 0 for absent.
enum Words<'a> {
    Absent,
    Numbers(&'a UInt8Array),
    Texts {
        column: &'a arrow::array::StringViewArray,
        numbers: HashMap<&'a str, u32>,
        texts: Vec<&'a str>,
        last: (u128, u32),
    },
}

impl<'a> Words<'a> {
    fn of(column: Option<&'a ArrayRef>) -> Self {
        let Some(column) = column else {
            return Self::Absent;
        };
        match column.data_type() {
            DataType::UInt8 => Self::Numbers(column.as_primitive::<UInt8Type>()),
            DataType::Utf8View => Self::Texts {
                column: column.as_string_view(),
                numbers: HashMap::new(),
                texts: Vec::new(),
                last: (0, 0),
            },
            _ => Self::Absent,
        }
    }

    #[inline]
    fn number(&mut self, row: usize) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Numbers(column) => match column.is_valid(row) {
                true => u32::from(column.value(row)) + 1,
                false => 0,
            },
            Self::Texts {
                column,
                numbers,
                texts,
                last,
            } => {
                if !column.is_valid(row) {
                    return 0;
                }
                // The same view in the same column is the same text.
                let view = column.views()[row];
                if last.1 == 0 || last.0 != view {
                    let text = column.value(row);
                    let number = *numbers.entry(text).or_insert_with(|| {
                        texts.push(text);
                        texts.len() as u32
                    });
                    *last = (view, number);
                }
                last.1
            }
        }
    }

    /// The column of rows that have these numbers.
    fn column(&self, data_type: &DataType, rows: impl Iterator<Item = u32>) -> ArrayRef {
        let place = |number: u32| number.checked_sub(1);
        if data_type == &DataType::UInt8 {
            return Arc::new(rows.map(|n| place(n).map(|n| n as u8)).collect::<UInt8Array>());
        }
        let mut column = StringViewBuilder::new().with_deduplicate_strings();
        for number in rows {
            let text = match self {
                Self::Texts { texts, .. } => place(number).and_then(|n| texts.get(n as usize)),
                _ => None,
            };
            column.append_option(text);
        }
        Arc::new(column.finish())
    }
}

fn table(totals: &[(Key, Sums)], keys: &[Words<'_>; KEYS]) -> RecordBatch {
    let schema: Arc<Schema> = schema::rollup();
    let times = TimestampMicrosecondArray::from_iter_values(totals.iter().map(|(key, _)| key.time));
    let src = UInt32Array::from_iter_values(totals.iter().map(|(key, _)| (key.sides >> 32) as u32));
    let dst = UInt32Array::from_iter_values(totals.iter().map(|(key, _)| key.sides as u32));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(times.with_timezone("UTC")), Arc::new(src), Arc::new(dst)];
    for (at, words) in keys.iter().enumerate() {
        let kind = schema.field(3 + at).data_type();
        columns.push(words.column(kind, totals.iter().map(|(key, _)| key.keys[at])));
    }
    for at in 0..SUMS {
        let column: UInt64Array = totals.iter().map(|(_, (sums, _))| sums[at]).collect();
        columns.push(Arc::new(column));
    }
    let flows = UInt64Array::from_iter_values(totals.iter().map(|(_, (_, count))| *count));
    columns.push(Arc::new(flows));
    RecordBatch::try_new(schema, columns).expect("the columns were made in the schema's order and types")
}
