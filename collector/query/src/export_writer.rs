//! Rows of an answer written a piece at a time, in a form that may have any length.

use std::{fmt, io};

use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::{AnswerRows, output};

/// Rows of a group in Parquet; those of one group are held until it is full, and what is
/// said of each group until the end.
const GROUP: usize = 256 << 10;

/// A form that rows are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// A JSON object a line.
    #[default]
    JsonLines,
    /// A line of names, then a line a row (RFC 4180).
    Csv,
    /// An Arrow IPC stream.
    Arrow,
    /// A Parquet file.
    Parquet,
}

/// Writes rows. What it gives, piece after piece, is the whole.
pub struct ExportWriter {
    format: ExportFormat,
    /// The names of the columns are written.
    has_names: bool,
    arrow: Option<StreamWriter<Vec<u8>>>,
    parquet: Option<ArrowWriter<Vec<u8>>>,
    /// Rows of the group that is begun.
    grouped: usize,
    /// Rows of a group.
    group: usize,
}

impl fmt::Debug for ExportWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExportWriter({:?})", self.format)
    }
}

impl ExportWriter {
    /// In this form.
    pub const fn new(format: ExportFormat) -> Self {
        Self {
            format,
            has_names: false,
            arrow: None,
            parquet: None,
            grouped: 0,
            group: GROUP,
        }
    }

    /// The bytes of these rows, as far as they are finished.
    ///
    /// # Errors
    /// Their columns are others than those before.
    pub fn write(&mut self, rows: &AnswerRows) -> io::Result<Vec<u8>> {
        match self.format {
            ExportFormat::JsonLines => {
                let mut text = Vec::new();
                for row in rows.json() {
                    serde_json::to_writer(&mut text, &row)?;
                    text.push(b'\n');
                }
                Ok(text)
            }
            ExportFormat::Csv => {
                let mut text = Vec::new();
                output::csv_part(&rows.0, !std::mem::replace(&mut self.has_names, true), &mut text)?;
                Ok(text)
            }
            ExportFormat::Arrow => self.write_arrow(rows),
            ExportFormat::Parquet => self.write_parquet(rows),
        }
    }

    /// What comes after the last rows.
    ///
    /// # Errors
    /// The form cannot be ended.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match (self.arrow, self.parquet) {
            (Some(mut writer), _) => {
                writer.finish().map_err(io::Error::other)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            (None, Some(writer)) => writer.into_inner().map_err(io::Error::other),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn write_arrow(&mut self, rows: &AnswerRows) -> io::Result<Vec<u8>> {
        if self.arrow.is_none() {
            let writer = StreamWriter::try_new(Vec::new(), &rows.0.schema());
            self.arrow = Some(writer.map_err(io::Error::other)?);
        }
        let Some(writer) = &mut self.arrow else {
            return Ok(Vec::new());
        };
        if !rows.is_empty() {
            writer.write(&rows.0).map_err(io::Error::other)?;
        }
        Ok(std::mem::take(writer.get_mut()))
    }

    fn write_parquet(&mut self, rows: &AnswerRows) -> io::Result<Vec<u8>> {
        if self.parquet.is_none() {
            let writer = ArrowWriter::try_new(Vec::new(), rows.0.schema(), Some(properties()));
            self.parquet = Some(writer.map_err(io::Error::other)?);
        }
        let Some(writer) = &mut self.parquet else {
            return Ok(Vec::new());
        };
        writer.write(&rows.0).map_err(io::Error::other)?;
        self.grouped += rows.len();
        if self.grouped >= self.group {
            self.grouped = 0;
            writer.flush().map_err(io::Error::other)?;
        }
        Ok(std::mem::take(writer.inner_mut()))
    }
}

/// What is said of each group is kept until the end of a file of any length: by which times
/// it is to be skipped, and no more.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(ColumnPath::from("time"), EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};

    use super::*;

    /// The bytes of the footer of a file of so many groups.
    fn footer(groups: usize) -> usize {
        let texts = (0..10).map(|n| n.to_string().repeat(200));
        let text: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let number: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..10));
        let columns = [
            ("ns", &text),
            ("pod_name", &text),
            ("bytes", &number),
            ("packets", &number),
        ];
        let columns = columns.map(|(name, values)| (name, ArrayRef::clone(values)));
        let rows = AnswerRows(RecordBatch::try_from_iter(columns).unwrap());
        let mut writer = ExportWriter::new(ExportFormat::Parquet);
        writer.group = 10;
        for _ in 0..groups {
            writer.write(&rows).unwrap();
        }
        let end = writer.finish().unwrap();
        let length = end[end.len() - 8..end.len() - 4].try_into().unwrap();
        u32::from_le_bytes(length) as usize
    }

    #[test]
    fn what_is_held_of_a_long_parquet_file_is_little_for_each_column_of_a_group() {
        let of_group = (footer(22) - footer(2)) / 20;
        assert!(of_group < 4 * 100, "{of_group} bytes of 4 columns");
    }
}
