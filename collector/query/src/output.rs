//! Answers and records as JSON, CSV and Arrow IPC.
//!
//! Names are those of the field table, addresses are text, times RFC 3339 with
//! microseconds; what is absent is left out in JSON and empty in CSV.

use std::fmt;
use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListBuilder, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use serde_json::{Map, Value};
use weir_api::fields::{Column, FieldKind};
use weir_flow::{Rfc3339, TcpFlags};
use weir_store::schema::OF_ONE_PACKET;

use crate::AnswerRows;

/// One JSON object a row.
pub(crate) fn json_rows(rows: &RecordBatch) -> Vec<Map<String, Value>> {
    let schema = rows.schema();
    let names = schema.fields().iter().map(|field| field.name());
    let are_maps: Vec<bool> = names
        .map(|name| Column::find(name).is_some_and(|column| column.kind() == FieldKind::Map))
        .collect();
    let object = |row| {
        let cells = schema.fields().iter().zip(rows.columns()).zip(&are_maps);
        let known = cells.filter(|((_, column), _)| column.is_valid(row));
        known
            .map(|((field, column), is_map)| {
                let cell = json_cell(column, row);
                (field.name().clone(), if *is_map { map(cell) } else { cell })
            })
            .collect()
    };
    (0..rows.num_rows()).map(object).collect()
}

/// A header line, then a line a row (RFC 4180); lists are joined by a space.
///
/// # Errors
/// Those of the writer.
pub(crate) fn csv(rows: &RecordBatch, to: impl Write) -> io::Result<()> {
    csv_part(rows, true, to)
}

/// The same, with the header line or without it.
///
/// # Errors
/// Those of the writer.
pub(crate) fn csv_part(rows: &RecordBatch, with_names: bool, mut to: impl Write) -> io::Result<()> {
    let schema = rows.schema();
    let header: Vec<_> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    if with_names {
        write!(to, "{}\r\n", header.join(","))?;
    }
    for row in 0..rows.num_rows() {
        let cell = |column: &ArrayRef| match json_cell(column, row) {
            Value::Null => String::new(),
            Value::String(text) => quoted(&text),
            Value::Array(words) => {
                let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
                quoted(&words.join(" "))
            }
            other => other.to_string(),
        };
        let cells: Vec<_> = rows.columns().iter().map(cell).collect();
        write!(to, "{}\r\n", cells.join(","))?;
    }
    Ok(())
}

/// An Arrow IPC stream of one batch.
///
/// # Errors
/// Those of the writer.
pub(crate) fn arrow_ipc(rows: &RecordBatch, to: impl Write) -> Result<(), ArrowError> {
    let rows = &with_dictionaries(rows)?;
    let mut writer = StreamWriter::try_new(to, &rows.schema())?;
    writer.write(rows)?;
    writer.finish()
}

/// The rows with each text that repeats written once: a column of text becomes a
/// dictionary, unless hardly a text of it comes twice.
fn with_dictionaries(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = rows.schema();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(rows.columns()) {
        let column = in_dictionary(column)?;
        fields.push(Field::new(
            field.name(),
            column.data_type().clone(),
            field.is_nullable(),
        ));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn in_dictionary(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if column.data_type() != &DataType::Utf8 {
        return Ok(Arc::clone(column));
    }
    let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let dictionary = cast(column, &kind)?;
    let texts = dictionary.as_dictionary::<Int32Type>().values().len();
    match 2 * texts <= column.len() {
        true => Ok(dictionary),
        false => Ok(Arc::clone(column)),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// A map that is stored as text.
fn map(text: Value) -> Value {
    let parsed = text.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or(text)
}

fn json_cell(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let ns = u64::try_from(micros).unwrap_or_default().saturating_mul(1_000);
            Rfc3339(ns).to_string().into()
        }
        DataType::List(_) => {
            let words = column.as_list::<i32>().value(row);
            let words = words.as_string::<i32>().iter().flatten();
            words.map(Value::from).collect()
        }
        _ => Value::Null,
    }
}

/// Stored values as people read them, under the names of their fields.
pub(crate) fn present(columns: Vec<(String, ArrayRef)>, rows: usize) -> Result<AnswerRows, ArrowError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, values) in columns {
        let kind = Column::find(&name).map(Column::kind);
        let shown = shown(kind, values)?;
        fields.push(Field::new(name, shown.data_type().clone(), true));
        arrays.push(shown);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map(AnswerRows)
}

fn shown(kind: Option<FieldKind>, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(match (kind, values.data_type()) {
        (_, DataType::FixedSizeBinary(16)) => texts(&values, |octets| Address(octets).to_string()),
        (_, DataType::FixedSizeBinary(_)) => texts(&values, mac),
        (Some(FieldKind::EnumList), DataType::UInt16) => words(&values),
        (Some(FieldKind::Map), DataType::Utf8View) => known(&values),
        (_, DataType::Utf8View) => cast(&values, &DataType::Utf8)?,
        _ => values,
    })
}

/// Texts that are not empty.
fn known(values: &ArrayRef) -> ArrayRef {
    let texts = values.as_string_view().iter();
    let known = texts.map(|text| text.filter(|text| !text.is_empty()));
    Arc::new(known.collect::<StringArray>())
}

fn texts(values: &ArrayRef, text: impl Fn(&[u8]) -> String) -> ArrayRef {
    let octets = values.as_fixed_size_binary().iter();
    Arc::new(octets.map(|octets| octets.map(&text)).collect::<StringArray>())
}

struct Address<'a>(&'a [u8]);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = <[u8; 16]>::try_from(self.0).unwrap_or_default();
        Ipv6Addr::from(octets).to_canonical().fmt(f)
    }
}

/// An Ethernet address.
pub(crate) fn mac(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

fn words(values: &ArrayRef) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for flags in values.as_primitive::<UInt16Type>() {
        let Some(flags) = flags else {
            lists.append_null();
            continue;
        };
        let of_one_packet = flags & OF_ONE_PACKET != 0;
        let flags = TcpFlags {
            bits: flags & !OF_ONE_PACKET,
            of_one_packet,
        };
        for word in flags.words() {
            lists.values().append_value(word);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}
