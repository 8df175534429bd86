//! Rows become a segment: sorted, written as Parquet, made durable.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::{ParquetError, Result as Written};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::{ColumnDescPtr, ColumnPath};

use crate::batch::Batch;
use crate::chunk::{CodedColumn, Encoder};
use crate::disk;
use crate::name::{FLOWS, SegmentName};
use crate::schema::{EVIDENCE, SEEN};
use crate::segment::{FORMAT, FORMAT_KEY, NEXT_ID_KEY, STORE_KEY, Segment, SegmentError, identities_path};
use crate::small_dictionary::SmallDictionaryBuilder;
use crate::sorted::{Column, Sorted, nulls};

/// Rows of a row group: what a query reads or leaves as a whole.
const ROW_GROUP: usize = 131_072;

/// What a segment's files say of the store that they are of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    /// Which one.
    pub store: &'a str,
    /// All ids of identities before this one may be in use.
    pub next_id: u32,
}

/// Writes a segment: the identities first, so that rows never lack theirs.
///
/// # Errors
/// The files cannot be written; nothing is left of them.
pub(crate) fn write(
    directory: &Path,
    name: &SegmentName,
    origin: &Origin<'_>,
    rows: &Sorted,
    identities: &RecordBatch,
) -> Result<Segment, SegmentError> {
    let path = directory.join(format!("{name}{FLOWS}"));
    let table = vec![Batch::of_rows(identities.clone())];
    let table = Sorted::unsorted(table, identities.schema_ref());
    let beside = identities_path(&path);
    parquet(&beside, &table, origin)?;
    if let Err(error) = parquet(&path, rows, origin) {
        // Where this fails too, the next start removes it.
        let _ = disk::remove(&beside);
        return Err(error);
    }
    disk::sync_directory(directory)?;
    Segment::open(&path)
}

fn parquet(path: &Path, rows: &Sorted, origin: &Origin<'_>) -> Result<(), SegmentError> {
    let encoder = &mut Encoder::new()?;
    disk::write_whole(path, |file: BufWriter<_>| {
        let file = write_rows(file, rows, origin, encoder).map_err(cause)?;
        Ok((file, ()))
    })
}

fn write_rows<W: Write + Send>(
    file: W,
    rows: &Sorted,
    origin: &Origin<'_>,
    encoder: &mut Encoder,
) -> Written<W> {
    let properties = properties(rows.schema(), origin);
    let writer = ArrowWriter::try_new(file, Arc::clone(rows.schema()), Some(properties))?;
    let (mut file, library) = writer.into_serialized_writer()?;
    let fields = rows.schema().fields();
    let columns: Vec<_> = fields.iter().map(|field| (field, rows.column(field))).collect();
    let descrs = file.schema_descr().columns().to_vec();
    let mut scratch = Scratch::default();
    for (number, from) in (0..rows.len()).step_by(ROW_GROUP).enumerate() {
        let range = from..rows.len().min(from + ROW_GROUP);
        let mut group = file.next_row_group()?;
        let writers = library.create_column_writers(number)?;
        for (((field, column), descr), writer) in columns.iter().zip(&descrs).zip(writers) {
            let mut chunks = Chunks {
                group: &mut group,
                encoder,
                field,
                descr,
            };
            match column {
                Column::Dictionary(column) => {
                    column.numbers(rows, range.clone(), &mut scratch.numbers);
                    chunks.of_words(&scratch.numbers, column.words())?;
                }
                Column::Plain(column) => {
                    let values = column.values(rows, range.clone());
                    let words = match follows_row_before(rows.schema(), field) {
                        true => None,
                        false => scratch.small.words(&values, &mut scratch.numbers),
                    };
                    match words {
                        Some(words) => chunks.of_words(&scratch.numbers, &words)?,
                        None => chunks.of_values(&values, writer)?,
                    }
                }
            }
        }
        group.close()?;
    }
    file.into_inner()
}

/// Memory that is used again.
#[derive(Default)]
struct Scratch {
    numbers: Vec<u32>,
    small: SmallDictionaryBuilder,
}

/// Writes the next column chunk of a row group.
struct Chunks<'a, 'g, W: Write + Send> {
    group: &'a mut SerializedRowGroupWriter<'g, W>,
    encoder: &'a mut Encoder,
    field: &'a Arc<Field>,
    descr: &'a ColumnDescPtr,
}

impl<W: Write + Send> Chunks<'_, '_, W> {
    fn of_words(&mut self, numbers: &[u32], words: &ArrayRef) -> Written<()> {
        let nulls = nulls(numbers);
        let column = CodedColumn {
            codes: numbers,
            nulls: nulls.as_ref(),
            words,
        };
        let chunk = self.encoder.encode(self.descr, &column, is_sought(self.field))?;
        chunk.append_to(self.group)
    }

    fn of_values(&mut self, values: &ArrayRef, mut writer: ArrowColumnWriter) -> Written<()> {
        for leaf in compute_leaves(self.field, values)? {
            writer.write(&leaf)?;
        }
        writer.close()?.append_to_row_group(self.group)
    }
}

/// An error of the disk is told as such.
fn cause(error: ParquetError) -> SegmentError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => SegmentError::Read(*error),
            Err(inner) => SegmentError::Parquet(ParquetError::External(inner)),
        },
        other => SegmentError::Parquet(other),
    }
}

fn properties(schema: &SchemaRef, origin: &Origin<'_>) -> WriterProperties {
    let pairs = [
        (FORMAT_KEY, FORMAT.to_string()),
        (STORE_KEY, origin.store.to_owned()),
        (NEXT_ID_KEY, origin.next_id.to_string()),
    ];
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.to_owned(), value));
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("weir {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(pairs.to_vec()));
    for field in schema.fields() {
        if !is_sought(field) {
            // Finding the least and greatest costs more than it ever saves.
            let column = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
        if field.data_type().is_integer() || field.data_type().is_temporal() {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
}

/// Of edges, the times: an edge's hours lie one behind the other, and much is seen at the same
/// second of each. From row to row they change by little, for which a dictionary has no short word.
fn follows_row_before(schema: &SchemaRef, field: &Field) -> bool {
    let is_edges = schema.field_with_name(EVIDENCE).is_ok();
    is_edges && (SEEN.contains(&field.name().as_str()) || field.data_type().is_temporal())
}

/// Columns whose least and greatest value may tell that a page has nothing that a
/// question asks for. Of the others every page has about all values that there are.
fn is_sought(field: &Field) -> bool {
    const EVERYWHERE: [&str; 12] = [
        "mac",
        "dst_mac",
        "exporter",
        "exporter_node",
        "format",
        "direction",
        "if_name",
        "dst_if_name",
        "identified_by",
        "dst_identified_by",
        "server",
        "server_confidence",
    ];
    !EVERYWHERE.contains(&field.name().as_str())
}

#[cfg(test)]
mod tests;
