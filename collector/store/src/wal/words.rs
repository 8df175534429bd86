//! Texts and addresses in the log: most columns of them have a handful of words,
//! so a row has a word's number there.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, UInt16Array, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, UInt16Type};
use arrow::error::ArrowError;

use crate::rollup::Fold;

/// Words that are looked through one by one.
const FEW: usize = 4;

/// The batch with numbers of words in place of texts and addresses.
pub(crate) fn narrow(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    rebuild(batch, |column| match column.data_type() {
        // Rows of a batch made by `crate::rows` that have the same text have the
        // same view of it; if two do not, the word only stands there twice.
        DataType::Utf8View => numbered(column, column.as_string_view().views().iter().copied()),
        DataType::FixedSizeBinary(16) => {
            let (addresses, _) = column.as_fixed_size_binary().value_data().as_chunks::<16>();
            numbered(column, addresses.iter().map(|a| u128::from_ne_bytes(*a)))
        }
        _ => Ok(Arc::clone(column)),
    })
}

/// The batch with its texts and addresses again.
pub(crate) fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    rebuild(batch, |column| match column.data_type() {
        DataType::Dictionary(_, words) => cast(column, words),
        _ => Ok(Arc::clone(column)),
    })
}

fn rebuild(
    batch: &RecordBatch,
    change: impl Fn(&ArrayRef) -> Result<ArrayRef, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .map(change)
        .collect::<Result<Vec<_>, _>>()?;
    let fields = batch.schema_ref().fields().iter().zip(&columns);
    let fields: Vec<_> = fields
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), field.is_nullable()))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// The column with numbers of words. `words`: what stands for the word of each row.
fn numbered(column: &ArrayRef, words: impl Iterator<Item = u128>) -> Result<ArrayRef, ArrowError> {
    let mut few = Vec::<u128>::with_capacity(FEW);
    let mut many = HashMap::<u128, u16, BuildHasherDefault<Fold>>::default();
    let (mut rows, mut keys) = (Vec::<u32>::new(), Vec::with_capacity(column.len()));
    let mut last = None;
    for (row, word) in words.enumerate() {
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
    use arrow::array::{FixedSizeBinaryArray, StringViewArray};

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
}
