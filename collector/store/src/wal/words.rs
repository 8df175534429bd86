//! Texts in the log: most columns of text have a handful of words, so a row has a
//! word's number there.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, RecordBatch, StringViewArray, UInt16Array, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, UInt16Type};
use arrow::error::ArrowError;

/// Words that are looked through one by one.
const FEW: usize = 8;

/// The batch with numbers of words in place of texts.
pub(crate) fn narrow(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    rebuild(batch, |column| match column.data_type() {
        DataType::Utf8View => numbered(column.as_string_view()),
        _ => Ok(Arc::clone(column)),
    })
}

/// The batch with its texts again.
pub(crate) fn widen(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    rebuild(batch, |column| match column.data_type() {
        DataType::Dictionary(..) => cast(column, &DataType::Utf8View),
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

/// Rows of a batch made by [`crate::rows`] that have the same text have the same
/// view of it; if two do not, the word only stands there twice.
fn numbered(column: &StringViewArray) -> Result<ArrayRef, ArrowError> {
    let (mut few, mut many) = (Vec::<u128>::new(), HashMap::<u128, u16>::new());
    let mut rows = Vec::<u32>::new();
    let mut keys = Vec::with_capacity(column.len());
    let mut last = None;
    for (row, &view) in column.views().iter().enumerate() {
        let key = match last {
            Some((same, key)) if same == view => key,
            _ => few
                .iter()
                .position(|word| *word == view)
                .map(|at| at as u16)
                .unwrap_or_else(|| {
                    if few.len() < FEW {
                        few.push(view);
                        rows.push(row as u32);
                        return (few.len() - 1) as u16;
                    }
                    *many.entry(view).or_insert_with(|| {
                        rows.push(row as u32);
                        (rows.len() - 1) as u16
                    })
                }),
        };
        last = Some((view, key));
        keys.push(key);
    }
    if rows.len() > usize::from(u16::MAX) {
        return Ok(Arc::new(column.clone()));
    }
    let words = take(column, &UInt32Array::from(rows), None)?;
    let keys = UInt16Array::new(keys.into(), column.nulls().cloned());
    Ok(Arc::new(DictionaryArray::<UInt16Type>::try_new(keys, words)?))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let columns = [("text", column), ("none", none), ("number", numbers)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let narrow = narrow(&batch).unwrap();
        assert!(matches!(narrow["text"].data_type(), DataType::Dictionary(..)));
        assert_eq!(widen(&narrow).unwrap().columns(), batch.columns());
    }
}
