//! Rows become a segment: sorted, written as Parquet, made durable.

use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{
    Field, Schema, SchemaRef, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::disk;
use crate::name::{FLOWS, SegmentName};
use crate::schema::{DST_ID, SRC_ID};
use crate::segment::{FORMAT, FORMAT_KEY, STORE_KEY, Segment, SegmentError, identities_path};

/// Rows of a row group: what a query reads or leaves as a whole.
const ROW_GROUP: usize = 131_072;

/// Writes a segment: the identities first, so that rows never lack theirs.
///
/// # Errors
/// The files cannot be written; nothing is left of them.
pub(crate) fn write(
    directory: &Path,
    name: &SegmentName,
    store: &str,
    rows: &RecordBatch,
    identities: &RecordBatch,
) -> Result<Segment, SegmentError> {
    let path = directory.join(format!("{name}{FLOWS}"));
    parquet(
        &identities_path(&path),
        identities,
        properties(identities.schema_ref(), store),
    )?;
    parquet(&path, rows, properties(rows.schema_ref(), store))?;
    disk::sync_directory(directory)?;
    Segment::open(&path)
}

fn parquet(path: &Path, rows: &RecordBatch, properties: WriterProperties) -> Result<(), SegmentError> {
    disk::write_whole(path, |file: BufWriter<_>| {
        let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).map_err(cause)?;
        writer.write(rows).map_err(cause)?;
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

/// The rows of all batches in the order of a segment: by source, destination,
/// protocol, port, time. Columns are those that any batch has, in the order of `schema`.
pub(crate) fn sort(batches: &[RecordBatch], schema: &Schema) -> RecordBatch {
    let order = order(batches);
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in schema.fields() {
        if let Some(column) = gather(batches, field) {
            fields.push(Arc::clone(field));
            let sorted = take(&column, &order, None);
            columns.push(sorted.expect("the order has only rows of the batches"));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .expect("every column has a value for each row in the order")
}

/// One column of all batches; none if no batch has it.
fn gather(batches: &[RecordBatch], field: &Field) -> Option<ArrayRef> {
    let columns: Vec<_> = batches
        .iter()
        .map(|batch| batch.column_by_name(field.name()))
        .collect();
    if columns.iter().all(Option::is_none) {
        return None;
    }
    let columns: Vec<ArrayRef> = batches
        .iter()
        .zip(columns)
        .map(|(batch, column)| match column {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), batch.num_rows()),
        })
        .collect();
    let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
    Some(concat(&columns).expect("batches of the store agree on the type of a column"))
}

/// The places of the rows, counted through all batches, in the segment's order.
fn order(batches: &[RecordBatch]) -> UInt32Array {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut keys: Vec<(u128, u32)> = Vec::with_capacity(rows);
    let earliest = batches
        .iter()
        .flat_map(|batch| times(batch).iter().copied())
        .min();
    for batch in batches {
        let (src, dst) = (numbers(batch, SRC_ID), numbers(batch, DST_ID));
        let times = times(batch);
        let proto = batch
            .column_by_name("proto")
            .map(|c| c.as_primitive::<UInt8Type>());
        let port = batch
            .column_by_name("dst_port")
            .map(|c| c.as_primitive::<UInt16Type>());
        for row in 0..batch.num_rows() {
            let since = times[row].wrapping_sub(earliest.unwrap_or(0)) as u64;
            let key = u128::from(src[row]) << 96
                | u128::from(dst[row]) << 64
                | u128::from(proto.map_or(0, |c| c.values()[row])) << 56
                | u128::from(port.map_or(0, |c| c.values()[row])) << 40
                | u128::from(since.min((1 << 40) - 1));
            keys.push((key, keys.len() as u32));
        }
    }
    keys.sort_unstable();
    UInt32Array::from_iter_values(keys.into_iter().map(|(_, row)| row))
}

fn numbers<'a>(batch: &'a RecordBatch, name: &str) -> &'a [u32] {
    batch
        .column_by_name(name)
        .map_or(&[], |c| c.as_primitive::<UInt32Type>().values())
}

fn times(batch: &RecordBatch) -> &[i64] {
    let column = batch.column_by_name("time");
    column.map_or(&[], |c| c.as_primitive::<TimestampMicrosecondType>().values())
}
