//! Rows become a segment: written as Parquet in their order, made durable.

use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::disk;
use crate::name::{FLOWS, SegmentName};
use crate::segment::{FORMAT, FORMAT_KEY, STORE_KEY, Segment, SegmentError, identities_path};
use crate::sorted::Sorted;

/// Rows of a row group: what a query reads or leaves as a whole.
const ROW_GROUP: usize = 131_072;

/// Writes a segment: the identities first, so that rows never lack theirs. `see` is
/// shown the rows as they are written.
///
/// # Errors
/// The files cannot be written; nothing is left of them.
pub(crate) fn write(
    directory: &Path,
    name: &SegmentName,
    store: &str,
    rows: &Sorted,
    identities: &RecordBatch,
    see: impl FnMut(&RecordBatch),
) -> Result<Segment, SegmentError> {
    let path = directory.join(format!("{name}{FLOWS}"));
    let table = std::iter::once(identities.clone());
    parquet(&identities_path(&path), identities.schema_ref(), store, table)?;
    let groups = rows.groups(ROW_GROUP).inspect(see);
    parquet(&path, rows.schema(), store, groups)?;
    disk::sync_directory(directory)?;
    Segment::open(&path)
}

fn parquet(
    path: &Path,
    schema: &SchemaRef,
    store: &str,
    rows: impl Iterator<Item = RecordBatch>,
) -> Result<(), SegmentError> {
    let properties = properties(schema, store);
    disk::write_whole(path, |file: BufWriter<_>| {
        let mut writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(cause)?;
        for group in rows {
            writer.write(&group).map_err(cause)?;
        }
        Ok((writer.into_inner().map_err(cause)?, ()))
    })
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

fn properties(schema: &SchemaRef, store: &str) -> WriterProperties {
    let pairs = [(FORMAT_KEY, FORMAT.to_string()), (STORE_KEY, store.to_owned())];
    let pairs = pairs.map(|(key, value)| KeyValue::new(key.to_owned(), value));
    let mut properties = WriterProperties::builder()
        .set_created_by(format!("weir {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(pairs.to_vec()));
    for field in schema.fields() {
        if !is_sought(field) {
            // Finding the least and greatest costs more than it ever saves.
            let column = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
        if spread(field) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    properties.build()
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

/// Columns that hardly repeat a value: a dictionary would only be tried in vain.
fn spread(field: &Field) -> bool {
    matches!(
        field.name().as_str(),
        "time" | "start" | "end" | "bytes" | "l2_bytes" | "port"
    )
}
