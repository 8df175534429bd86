//! Rows in memory: what many of them have in common once, and words once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt16Array};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::{Field, Schema, UInt16Type};
use arrow::error::ArrowError;

use crate::fixed_width;
use crate::range::TimeRange;
use crate::schema;

/// The column of rows that says what they have in common: a row of the shared columns.
/// Logs have this name, too.
pub(crate) const SHARED_ROW: &str = "common";

/// Rows that were gathered at one time. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The columns in which rows differ, [`SHARED_ROW`] and the sides. Texts may be
    /// dictionaries, addresses as [`crate::fixed_width`] has them.
    rows: RecordBatch,
    /// Columns of what rows have in common.
    shared: RecordBatch,
    /// From the earliest to the latest time of its rows, where that is known.
    time: TimeRange,
}

impl Batch {
    /// `rows` has [`SHARED_ROW`], and `shared` each row that it points at.
    pub(crate) fn new(rows: RecordBatch, shared: RecordBatch) -> Self {
        let time = TimeRange::ALL;
        Self { rows, shared, time }
    }

    /// Of rows with nothing in common: they have all their columns themselves.
    pub(crate) fn of_rows(rows: RecordBatch) -> Self {
        Self {
            rows,
            shared: RecordBatch::new_empty(Arc::new(Schema::empty())),
            time: TimeRange::ALL,
        }
    }

    /// Of rows that are in this time.
    pub(crate) fn spanning(self, time: TimeRange) -> Self {
        Self { time, ..self }
    }

    /// No row is outside of this time: whoever asks for another needs not look.
    pub fn time(&self) -> TimeRange {
        self.time
    }

    /// How many rows it has.
    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// Bytes that it takes.
    pub(crate) fn memory_size(&self) -> usize {
        self.rows.get_array_memory_size() + self.shared.get_array_memory_size()
    }

    pub(crate) fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    pub(crate) fn shared(&self) -> &RecordBatch {
        &self.shared
    }

    /// Of each row, the row of the shared columns.
    pub(crate) fn shared_rows(&self) -> Option<&UInt16Array> {
        self.rows
            .column_by_name(SHARED_ROW)?
            .as_primitive_opt::<UInt16Type>()
    }

    /// Whether any row has a value in a column.
    pub fn has(&self, name: &str) -> bool {
        self.has_in_rows(name) || self.shared.column_by_name(name).is_some()
    }

    /// The rows have the column, not what they have in common.
    pub(crate) fn has_in_rows(&self, name: &str) -> bool {
        self.rows.column_by_name(name).is_some()
    }

    /// A column, of the type that the schema gives it; none if no row has a value.
    pub(crate) fn column(&self, name: &str) -> Option<ArrayRef> {
        if let Some(column) = self.rows.column_by_name(name) {
            return Some(unpacked(name, column));
        }
        let values = self.shared_column(name)?;
        let column = take(&values, self.shared_rows()?, None);
        Some(column.expect("each row has one of the shared rows"))
    }

    /// The same, packed where the batch has it so.
    pub(crate) fn packed_column(&self, name: &str) -> Option<ArrayRef> {
        let own = self.rows.column_by_name(name).cloned();
        own.or_else(|| self.column(name))
    }

    /// The same of the shared columns.
    pub(crate) fn shared_column(&self, name: &str) -> Option<ArrayRef> {
        Some(unpacked(name, self.shared.column_by_name(name)?))
    }

    /// Those of its rows that are chosen, as narrow as they are.
    ///
    /// # Errors
    /// `chosen` is of more rows than there are.
    pub(crate) fn filter(&self, chosen: &BooleanArray) -> Result<Self, ArrowError> {
        Ok(Self {
            rows: filter_record_batch(&self.rows, chosen)?,
            ..self.clone()
        })
    }

    /// The columns of [`schema::facts`] that have a value.
    pub fn widen(&self) -> RecordBatch {
        self.with(&schema::facts())
    }

    /// The batch with exactly the columns of `schema`, see [`schema::conform`].
    pub fn conform(&self, schema: &Schema) -> RecordBatch {
        schema::conform(&self.with(schema), schema)
    }

    /// The columns of `schema` that it has.
    pub(crate) fn with(&self, schema: &Schema) -> RecordBatch {
        let columns = schema.fields().iter().filter_map(|field| {
            let column = self.column(field.name())?;
            let nullable = field.is_nullable() || column.null_count() > 0;
            let field = Field::new(field.name(), column.data_type().clone(), nullable);
            Some((field, column))
        });
        let (fields, columns): (Vec<_>, Vec<_>) = columns.unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(self.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .expect("each column has the batch's rows, and its field was made from it")
    }
}

fn unpacked(name: &str, column: &ArrayRef) -> ArrayRef {
    let facts = schema::facts();
    match facts.field_with_name(name) {
        Ok(field) => fixed_width::unpacked(column, field.data_type()),
        Err(_) => Arc::clone(column),
    }
}
