//! Frames of the flow log as lines of JSON, as records are printed: the fields of the field
//! table in its order, what is absent left out.

use std::io::{self, Write};
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use weir_api::fields::{Column, FieldKind};
use weir_flow::Rfc3339;
use weir_store::LogFrame;

use crate::identity_table::IdentityTable;
use crate::records::shown;
use crate::{AnswerRows, QueryError};

/// The records of one frame, a line each, in the order in which they came.
#[derive(Debug)]
pub struct JsonLines {
    fields: Vec<Field>,
    rows: usize,
}

#[derive(Debug)]
struct Field {
    /// `"name":`
    key: String,
    is_map: bool,
    values: ArrayRef,
}

impl JsonLines {
    /// Of all fields that any record of the frame has.
    ///
    /// # Errors
    /// A column is not of its field's type.
    pub fn of(frame: &LogFrame) -> Result<Self, QueryError> {
        let columns: Vec<Column> = Column::all().collect();
        let who = IdentityTable::new(&frame.identities());
        Ok(Self::from(shown(&frame.rows(), &who, &columns)?))
    }
}

/// Of records, with the columns that they have.
impl From<AnswerRows> for JsonLines {
    fn from(AnswerRows(rows): AnswerRows) -> Self {
        let schema = rows.schema();
        let fields = schema.fields().iter().zip(rows.columns());
        let fields = fields
            .filter(|(_, values)| values.null_count() < values.len())
            .map(|(field, values)| Field {
                key: format!("\"{}\":", field.name()),
                is_map: Column::find(field.name()).is_some_and(|column| column.kind() == FieldKind::Map),
                values: ArrayRef::clone(values),
            });
        Self {
            fields: fields.collect(),
            rows: rows.num_rows(),
        }
    }
}

impl JsonLines {
    /// How many records.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Writes some of the lines.
    pub fn write(&self, rows: Range<usize>, text: &mut Vec<u8>) {
        for row in rows.start..rows.end.min(self.rows) {
            text.push(b'{');
            let mut is_first = true;
            for field in self.fields.iter().filter(|field| field.values.is_valid(row)) {
                if !std::mem::take(&mut is_first) {
                    text.push(b',');
                }
                text.extend_from_slice(field.key.as_bytes());
                field
                    .write(row, text)
                    .expect("a Vec takes what is written to it, and texts are texts");
            }
            text.extend_from_slice(b"}\n");
        }
    }
}

impl Field {
    fn write(&self, row: usize, to: &mut Vec<u8>) -> io::Result<()> {
        let values = &self.values;
        match values.data_type() {
            // A map is stored as the text of its object.
            DataType::Utf8 if self.is_map => to.write_all(values.as_string::<i32>().value(row).as_bytes()),
            DataType::Utf8 => Ok(serde_json::to_writer(to, values.as_string::<i32>().value(row))?),
            DataType::UInt8 => write!(to, "{}", values.as_primitive::<UInt8Type>().value(row)),
            DataType::UInt16 => write!(to, "{}", values.as_primitive::<UInt16Type>().value(row)),
            DataType::UInt32 => write!(to, "{}", values.as_primitive::<UInt32Type>().value(row)),
            DataType::UInt64 => write!(to, "{}", values.as_primitive::<UInt64Type>().value(row)),
            DataType::Boolean => write!(to, "{}", values.as_boolean().value(row)),
            DataType::Timestamp(..) => {
                let micros = values.as_primitive::<TimestampMicrosecondType>().value(row);
                let ns = u64::try_from(micros).unwrap_or_default().saturating_mul(1_000);
                write!(to, "\"{}\"", Rfc3339(ns))
            }
            DataType::List(_) => {
                let words = values.as_list::<i32>().value(row);
                let words: Vec<&str> = words.as_string::<i32>().iter().flatten().collect();
                Ok(serde_json::to_writer(to, &words)?)
            }
            other => Err(io::Error::other(format!("no field is {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use weir_flow::TcpFlags;
    use weir_store::{Bounds, Settings, open};

    use super::*;
    use crate::lower::tests::flows::Flows;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_record_out_of_the_log_is_the_line_that_the_record_itself_is(
            seed in 1..u64::MAX, endpoints in 2..80usize, count in 1..120usize, plain in any::<bool>()
        ) {
            let directory = tempfile::tempdir().unwrap();
            let (mut writer, reader, _) = open(Settings::new(directory.path())).unwrap();
            let bounds = Bounds { bytes: u64::MAX, age: None };
            let mut log = reader.follow_log("test", bounds);
            let mut flows = Flows::new(seed, endpoints);
            let mut records = flows.batch(count);
            for (number, record) in records.iter_mut().enumerate().filter(|_| !plain) {
                record.attributes = flows.attributes(3);
                record.tcp_flags = (number % 3 != 0).then_some(TcpFlags {
                    bits: number as u16 % 256,
                    of_one_packet: number % 2 == 0,
                });
                record.src.if_name = "a \"quoted\"\\ \u{7} ü".into();
                if number % 5 == 0 {
                    let mut identity = weir_flow::Identity::clone(&record.src.identity);
                    identity.labels = [("app".into(), "a \"b\", c".into())].into();
                    record.src.identity = std::sync::Arc::new(identity).into();
                    record.dst.identity = weir_flow::Identity::nobody().into();
                    record.src.addr = Some("2001:db8::1".parse().unwrap());
                    (record.dst.addr, record.dst.port, record.dst.mac) = (None, None, None);
                    (record.bytes, record.proto) = (None, None);
                }
            }
            writer.append(&records).unwrap();
            writer.flush();
            let frame = log.next_frame(Duration::from_secs(60)).unwrap().unwrap();
            let lines = JsonLines::of(&frame).unwrap();
            let mut text = Vec::new();
            for start in (0..lines.len()).step_by(7) {
                lines.write(start..start + 7, &mut text);
            }
            let text = String::from_utf8(text).unwrap();
            let printed: Vec<&str> = text.lines().collect();
            let wanted: Vec<String> =
                records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
            prop_assert_eq!(printed, wanted);
        }
    }
}
