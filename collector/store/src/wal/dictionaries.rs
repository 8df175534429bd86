//! Columns in the log, in fewer bytes. Most columns of texts and addresses have a
//! handful of words, so a row has a word's number there; numbers and times have as
//! many bytes as the column needs, times counted from the earliest.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, UInt16Array, UInt32Array};
use arrow::compute::{cast, max, min, take};
use arrow::datatypes::{
    DataType, Field, Schema, TimeUnit, TimestampMicrosecondType, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;

use crate::rollup::Fold;

/// Words that are looked through one by one.
const FEW: usize = 4;

/// What a column of numbers was, in the metadata of its field: `u64` or `u32`.
const WAS: &str = "was";
/// What the times of a column are counted from, us since the epoch UTC, in the
/// metadata of its field.
const FROM: &str = "from";

type Marks = HashMap<String, String>;

/// The batch in as few bytes as its values need.
pub(crate) fn narrow(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    rebuild(batch, |_, column| {
        let numbered = match column.data_type() {
            // Equal texts of a table of identities have the same view; if two have not,
            // the word only stands there twice.
            DataType::Utf8View => numbered(column, column.as_string_view().views().iter().copied()),
            DataType::FixedSizeBinary(16) => {
                let (addresses, _) = column.as_fixed_size_binary().value_data().as_chunks::<16>();
                numbered(column, addresses.iter().map(|a| u128::from_ne_bytes(*a)))
            }
            DataType::UInt64 => return short(column, "u64", max(column.as_primitive::<UInt64Type>())),
            DataType::UInt32 => {
                let most = max(column.as_primitive::<UInt32Type>());
                return short(column, "u32", most.map(u64::from));
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => return Ok(counted(column)),
            _ => Ok(Arc::clone(column)),
        };
        Ok((numbered?, Marks::new()))
    })
}

/// The batch as it was before [`narrow`].
pub(crate) fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    rebuild(batch, |field, column| {
        let (was, from) = (field.metadata().get(WAS), field.metadata().get(FROM));
        let wide = match (column.data_type(), was.map(String::as_str), from) {
            (DataType::Dictionary(_, words), ..) => cast(column, words)?,
            (_, Some("u64"), _) => cast(column, &DataType::UInt64)?,
            (_, Some("u32"), _) => cast(column, &DataType::UInt32)?,
            (DataType::UInt32, _, Some(from)) => {
                let from: i64 = from.parse().map_err(|_| ArrowError::ParseError(from.clone()))?;
                let since = column.as_primitive::<UInt32Type>();
                let times = since.unary::<_, TimestampMicrosecondType>(|us| from.wrapping_add(us.into()));
                Arc::new(times.with_timezone("UTC"))
            }
            _ => Arc::clone(column),
        };
        Ok((wide, Marks::new()))
    })
}

/// The column in the narrowest type of numbers that has its greatest one.
fn short(column: &ArrayRef, was: &str, most: Option<u64>) -> Result<(ArrayRef, Marks), ArrowError> {
    let enough = match most.unwrap_or(0) {
        0..=0xff => DataType::UInt8,
        0x100..=0xffff => DataType::UInt16,
        0x1_0000..=0xffff_ffff => DataType::UInt32,
        _ => DataType::UInt64,
    };
    let marks = Marks::from([(WAS.to_owned(), was.to_owned())]);
    Ok((cast(column, &enough)?, marks))
}

/// The times counted from the earliest, if they are within an hour of each other.
fn counted(column: &ArrayRef) -> (ArrayRef, Marks) {
    let times = column.as_primitive::<TimestampMicrosecondType>();
    let range = min(times).zip(max(times));
    match range {
        Some((first, last)) if last.abs_diff(first) <= u32::MAX.into() => {
            let since = times.unary::<_, UInt32Type>(|time| time.wrapping_sub(first) as u32);
            (
                Arc::new(since),
                Marks::from([(FROM.to_owned(), first.to_string())]),
            )
        }
        _ => (Arc::clone(column), Marks::new()),
    }
}

fn rebuild(
    batch: &RecordBatch,
    change: impl Fn(&Field, &ArrayRef) -> Result<(ArrayRef, Marks), ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let (column, marks) = change(field, column)?;
        let changed = Field::new(field.name(), column.data_type().clone(), field.is_nullable());
        fields.push(changed.with_metadata(marks));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The column with numbers of words. `words`: what stands for the word of each row.
fn numbered(column: &ArrayRef, words: impl Iterator<Item = u128>) -> Result<ArrayRef, ArrowError> {
    let mut few = Vec::<u128>::with_capacity(FEW);
    let mut many = HashMap::<u128, u16, BuildHasherDefault<Fold>>::default();
    let (mut rows, mut keys) = (Vec::<u32>::new(), Vec::with_capacity(column.len()));
    let mut last = None;
    for (row, word) in words.enumerate() {
        if column.is_null(row) {
            // Its bytes are those of `::`, which others may have.
            keys.push(0);
            continue;
        }
        let key = match last {
            Some((same, key)) if same == word => key,
            _ => few
                .iter()
                .position(|known| *known == word)
                .map(|at| at as u16)
                .unwrap_or_else(|| {
                    if few.len() < FEW {
                        few.push(word);
                        rows.push(row as u32);
                        return (few.len() - 1) as u16;
                    }
                    *many.entry(word).or_insert_with(|| {
                        rows.push(row as u32);
                        (rows.len() - 1) as u16
                    })
                }),
        };
        last = Some((word, key));
        keys.push(key);
    }
    if rows.len() > usize::from(u16::MAX) || keys.len() != column.len() {
        return Ok(Arc::clone(column));
    }
    let words = take(column, &UInt32Array::from(rows), None)?;
    let keys = UInt16Array::new(keys.into(), column.nulls().cloned());
    Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(keys, words)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{FixedSizeBinaryArray, StringViewArray, TimestampMicrosecondArray, UInt64Array};

    #[test]
    fn texts_are_the_same_after_their_way_through_numbers() {
        let long = |n: u32| format!("a text that is longer than a view, number {n}");
        let texts = (0..300_u32).map(|n| match n % 5 {
            0 => None,
            1 => Some("tcp".to_owned()),
            2 => Some(long(n % 3)),
            _ => Some(format!("word {}", n % 40)),
        });
        let column: ArrayRef = Arc::new(texts.collect::<StringViewArray>());
        let none: ArrayRef = Arc::new(StringViewArray::new_null(300));
        let numbers: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..300));
        let addresses = (0..300_u32).map(|n| n.is_multiple_of(3).then(|| u128::from(n % 70).to_be_bytes()));
        let addresses: ArrayRef =
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses, 16).unwrap());
        let columns = [
            ("address", addresses),
            ("text", column),
            ("none", none),
            ("number", numbers),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let narrow = narrow(&batch).unwrap();
        for name in ["address", "text"] {
            assert!(
                matches!(narrow[name].data_type(), DataType::Dictionary(..)),
                "{name}"
            );
        }
        assert_eq!(widen(&narrow).unwrap().columns(), batch.columns());
    }

    #[test]
    fn a_word_of_zeros_is_no_absent_one() {
        let addresses = [None, Some([0; 16]), None, Some([1; 16]), Some([0; 16])];
        let column = FixedSizeBinaryArray::try_from_sparse_iter_with_size(addresses.into_iter(), 16).unwrap();
        let batch = RecordBatch::try_from_iter([("address", Arc::new(column) as ArrayRef)]).unwrap();
        assert_eq!(
            widen(&narrow(&batch).unwrap()).unwrap().columns(),
            batch.columns()
        );
    }

    #[test]
    fn numbers_and_times_are_the_same_after_their_way_in_fewer_bytes() {
        let numbers = |most: u64| -> ArrayRef {
            let numbers = [Some(0), None, Some(most)];
            Arc::new(UInt64Array::from_iter(numbers))
        };
        let times = |last: i64| -> ArrayRef {
            let first = 1_795_196_542_000_000;
            let times = TimestampMicrosecondArray::from(vec![Some(first + last), None, Some(first)]);
            Arc::new(times.with_timezone("UTC"))
        };
        let ids: ArrayRef = Arc::new(UInt32Array::from(vec![1, 2, 70_000]));
        let hour = 3_600_000_000;
        let cases = [
            ("byte", numbers(255), DataType::UInt8),
            ("two", numbers(256), DataType::UInt16),
            ("four", numbers(65_536), DataType::UInt32),
            ("eight", numbers(u64::MAX), DataType::UInt64),
            (
                "none",
                Arc::new(UInt64Array::new_null(3)) as ArrayRef,
                DataType::UInt8,
            ),
            ("ids", ids, DataType::UInt32),
            ("near", times(hour), DataType::UInt32),
            ("far", times(100 * hour), times(0).data_type().clone()),
        ];
        let columns = cases.iter().map(|(name, column, _)| (*name, Arc::clone(column)));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let narrow = narrow(&batch).unwrap();
        for (name, _, expected) in &cases {
            assert_eq!(narrow[*name].data_type(), expected, "{name}");
        }
        assert_eq!(widen(&narrow).unwrap().columns(), batch.columns());
    }
}
