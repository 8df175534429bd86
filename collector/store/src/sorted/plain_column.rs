//! A column of numbers, times, or yes and no.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{
    DataType, Field, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::{Place, Sorted};
use crate::batch::Batch;

/// A column of which each row has its value.
#[derive(Debug)]
pub(crate) struct PlainColumn {
    kind: DataType,
    /// By batch; of one that lacks the column, all are absent.
    parts: Vec<ArrayRef>,
}

impl PlainColumn {
    pub(super) fn of(batches: &[Batch], field: &Field) -> Self {
        let kind = field.data_type().clone();
        let part = |batch: &Batch| {
            let part = batch.column(field.name());
            part.unwrap_or_else(|| new_null_array(&kind, batch.num_rows()))
        };
        Self {
            parts: batches.iter().map(part).collect(),
            kind,
        }
    }

    /// The values of these rows.
    pub fn values(&self, sorted: &Sorted, rows: Range<usize>) -> ArrayRef {
        let places = sorted.places(rows);
        match &self.kind {
            DataType::Boolean => self.bools(places),
            DataType::UInt8 => Arc::new(self.numbers::<UInt8Type>(places)),
            DataType::UInt16 => Arc::new(self.numbers::<UInt16Type>(places)),
            DataType::UInt32 => Arc::new(self.numbers::<UInt32Type>(places)),
            DataType::UInt64 => Arc::new(self.numbers::<UInt64Type>(places)),
            _ => {
                let times = self.numbers::<TimestampMicrosecondType>(places);
                Arc::new(times.with_data_type(self.kind.clone()))
            }
        }
    }

    fn numbers<T: ArrowPrimitiveType>(&self, places: &[Place]) -> PrimitiveArray<T> {
        let parts: Vec<&[T::Native]> = self
            .parts
            .iter()
            .map(|part| &part.as_primitive::<T>().values()[..])
            .collect();
        let value = |place: &Place| parts[place.batch as usize][place.row as usize];
        let values: Vec<_> = places.iter().map(value).collect();
        PrimitiveArray::new(values.into(), self.nulls(places))
    }

    fn bools(&self, places: &[Place]) -> ArrayRef {
        let parts: Vec<_> = self.parts.iter().map(|part| part.as_boolean().values()).collect();
        let value = |row: usize| parts[places[row].batch as usize].value(places[row].row as usize);
        let values = BooleanBuffer::collect_bool(places.len(), value);
        Arc::new(BooleanArray::new(values, self.nulls(places)))
    }

    fn nulls(&self, places: &[Place]) -> Option<NullBuffer> {
        let parts: Vec<_> = self.parts.iter().map(|part| part.nulls()).collect();
        if parts.iter().all(Option::is_none) {
            return None;
        }
        let valid = |row: usize| {
            let nulls = parts[places[row].batch as usize];
            nulls.is_none_or(|nulls| nulls.is_valid(places[row].row as usize))
        };
        Some(BooleanBuffer::collect_bool(places.len(), valid).into())
    }
}
