//! Values of single rows of records, by the column of the field table: for code that judges records one
//! at a time, as FlowMetrics do. Owns the way from how people read a value to what it is; which records
//! there are is whoever asked's.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use weir_api::fields::{Column, FieldKind};
use weir_flow::{TcpFlags, Value};

use crate::AnswerRows;
use crate::stored_rows::mac;

/// Rows of records whose values can be asked for one at a time.
#[derive(Debug)]
pub struct RowValues<'r> {
    /// By the place of the column; `None` where the rows have no such column.
    columns: Vec<Option<&'r ArrayRef>>,
    rows: usize,
}

impl AnswerRows {
    /// The values of its rows, which are records.
    pub fn values(&self) -> RowValues<'_> {
        let of_column = |column: Column| self.0.column_by_name(column.name());
        RowValues {
            columns: Column::all().map(of_column).collect(),
            rows: self.len(),
        }
    }
}

impl<'r> RowValues<'r> {
    /// How many rows there are.
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// There are none.
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The value of a row; `None` where it has none, where there is no such row or column, and of what is
    /// text to text.
    pub fn get(&self, row: usize, column: Column) -> Option<Value<'r>> {
        let values: &'r ArrayRef = (*self.columns.get(column.index())?)?;
        if row >= values.len() || values.is_null(row) {
            return None;
        }
        let number = |number: u64| Some(Value::Unsigned(number));
        match values.data_type() {
            DataType::Utf8 => text(column.kind(), values.as_string::<i32>().value(row)),
            DataType::UInt8 => number(values.as_primitive::<UInt8Type>().value(row).into()),
            DataType::UInt16 => number(values.as_primitive::<UInt16Type>().value(row).into()),
            DataType::UInt32 => number(values.as_primitive::<UInt32Type>().value(row).into()),
            DataType::UInt64 => number(values.as_primitive::<UInt64Type>().value(row)),
            DataType::Boolean => Some(Value::Bool(values.as_boolean().value(row))),
            DataType::Timestamp(..) => {
                let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
                let ns = u64::try_from(micros).ok()?.saturating_mul(1_000);
                Some(Value::Time(ns))
            }
            DataType::List(_) => {
                let words = values.as_list::<i32>().value(row);
                let words = words.as_string_opt::<i32>()?;
                TcpFlags::of_words(words.iter().flatten()).map(Value::Flags)
            }
            _ => None,
        }
    }
}

/// What stands as text where people read it.
fn text(kind: FieldKind, text: &str) -> Option<Value<'_>> {
    match kind {
        FieldKind::Map => None,
        FieldKind::Address => text.parse().ok().map(Value::Address),
        FieldKind::Mac => <[u8; 6]>::try_from(mac(text)?).ok().map(Value::Mac),
        _ => Some(Value::Text(Cow::Borrowed(text))),
    }
}

#[cfg(test)]
mod tests {

    use weir_store::{Settings, open};

    use super::*;
    use crate::lower::tests::flows::Flows;
    use crate::{Embedded, Engine, ExportRequest, Limits, Moment, Since};

    #[tokio::test]
    async fn each_value_of_a_record_that_was_stored_is_the_one_that_it_had() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
        let mut flows = Flows::new(11, 90);
        let mut records = flows.batch(2_000);
        let epoch = jiff::Timestamp::now().as_nanosecond() as u64 - 3_000_000_000;
        for (number, record) in records.iter_mut().enumerate() {
            // Each is found again by its time.
            record.time_ns = epoch + number as u64 * 1_000;
            record.attributes = flows.attributes(4);
            record.tcp_flags = (number % 3 != 0).then_some(TcpFlags {
                bits: number as u16 % 256,
                of_one_packet: number % 2 == 0,
            });
        }
        writer.append(&records).unwrap();
        writer.flush();
        let request = ExportRequest {
            since: Since(Moment::Ago(std::time::Duration::from_secs(3_600))),
            all_observations: true,
            ..ExportRequest::default()
        };
        let time = Column::of("time");
        let mut seen = 0;
        let engine = Embedded::new(reader);
        let mut export = engine.export(&request, &Limits::default()).await.unwrap();
        while let Some(rows) = export.next().unwrap() {
            let values = rows.values();
            for row in 0..values.len() {
                let Some(Value::Time(ns)) = values.get(row, time) else {
                    panic!("no time")
                };
                let record = &records[((ns - epoch / 1_000 * 1_000) / 1_000) as usize];
                let mut wanted: Vec<Option<Value<'_>>> = Column::all().map(|_| None).collect();
                record.visit(&mut |column: Column, value| wanted[column.index()] = Some(value));
                for column in Column::all() {
                    let stored = shown(values.get(row, column));
                    let was = shown(wanted[column.index()].take());
                    assert_eq!(stored, was, "{}", column.name());
                }
                seen += 1;
            }
        }
        assert_eq!(seen, 2_000);
    }

    /// As text; `""` is nothing, and times are as exact as stored ones.
    fn shown(value: Option<Value<'_>>) -> String {
        match value {
            None | Some(Value::Map(_)) => String::new(),
            Some(Value::Text(text)) => text.into_owned(),
            Some(Value::Bool(yes)) => yes.to_string(),
            Some(Value::Unsigned(number)) => number.to_string(),
            Some(Value::Address(address)) => address.to_string(),
            Some(Value::Mac(bytes)) => crate::output::mac(&bytes),
            Some(Value::Time(ns)) => (ns / 1_000).to_string(),
            Some(Value::Flags(flags)) => flags.words().collect::<Vec<_>>().join(" "),
        }
    }
}
