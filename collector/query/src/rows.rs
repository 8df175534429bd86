//! The rows of an answer, as whoever asked gets them: by name and value, and written out.
//! How an engine keeps them is its own matter.

use std::io::{self, Write};

use arrow::array::{Array, ArrayRef, RecordBatch};
use serde_json::{Map, Value};

use crate::output;

/// Bytes of memory that a value takes in a JSON object, its name among them, and as often
/// again written out.
const CELL: usize = 160;

/// Rows of an answer.
///
/// Names are those of the field table, addresses are text, times RFC 3339 with
/// microseconds; what is absent is left out of JSON and empty in CSV.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerRows(pub(crate) RecordBatch);

impl AnswerRows {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.num_rows()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of their columns.
    pub fn columns(&self) -> Vec<String> {
        let schema = self.0.schema();
        schema.fields().iter().map(|field| field.name().clone()).collect()
    }

    /// One JSON object a row.
    pub fn json(&self) -> Vec<Map<String, Value>> {
        output::json_rows(&self.0)
    }

    /// Bytes of memory that [`Self::json`] takes, and what is written of it, by and large.
    pub fn json_memory(&self) -> usize {
        let of_column = |column: &ArrayRef| {
            let cells = column.len() - column.null_count();
            // Texts stand in the rows, and in what is written.
            CELL * cells + 2 * column.get_array_memory_size()
        };
        self.0.columns().iter().map(of_column).sum()
    }

    /// A header line, then a line a row (RFC 4180); lists are joined by a space.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn csv(&self, to: impl Write) -> io::Result<()> {
        output::csv(&self.0, to)
    }

    /// An Arrow IPC stream of one batch.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn arrow(&self, to: impl Write) -> io::Result<()> {
        output::arrow_ipc(&self.0, to).map_err(io::Error::other)
    }
}
