//! Rows of an answer as they are stored: the way back from how people read them. Owns
//! which value a text stands for; [`crate::output`] has the way there.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, ListArray, RecordBatch, StringArray, StringViewBuilder,
    UInt16Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use weir_api::fields::{Column, FieldKind};
use weir_flow::TcpFlags;
use weir_store::schema::{self, OF_ONE_PACKET};

use crate::AnswerRows;

/// The rows of records with the types of [`schema::records`]. Columns that no store has
/// are left out.
///
/// # Errors
/// A value is none of its field.
pub(crate) fn stored_rows(rows: &AnswerRows) -> Result<RecordBatch, ArrowError> {
    let kinds = schema::records();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, values) in rows.0.schema().fields().iter().zip(rows.0.columns()) {
        let known = Column::find(field.name()).zip(kinds.field_with_name(field.name()).ok());
        if let Some((column, kind)) = known {
            let values = stored(column, values, kind.data_type())?;
            fields.push(Field::new(field.name(), values.data_type().clone(), true));
            columns.push(values);
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn stored(column: Column, values: &ArrayRef, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    let wrong = || ArrowError::InvalidArgumentError(format!("{} is {}", column.name(), values.data_type()));
    Ok(match column.kind() {
        FieldKind::EnumList => flags(values.as_list_opt::<i32>().ok_or_else(wrong)?),
        FieldKind::String | FieldKind::Enum | FieldKind::Map => {
            texts(&plain(values)?, column.field().identity)
        }
        FieldKind::Address => octets(&plain(values)?, 16, |text| {
            text.parse().ok().map(|address| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            })
        })?,
        FieldKind::Mac => octets(&plain(values)?, 6, mac)?,
        FieldKind::Unsigned(_) | FieldKind::Bool | FieldKind::Timestamp => cast(values, kind)?,
    })
}

/// Texts, whether they came as a dictionary or not.
fn plain(values: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(cast(values, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// An identity has all its texts, be they `""`; facts lack those.
fn texts(values: &StringArray, of_identity: bool) -> ArrayRef {
    let mut stored = StringViewBuilder::new().with_deduplicate_strings();
    for text in values {
        match text.unwrap_or_default() {
            "" if !of_identity => stored.append_null(),
            text => stored.append_value(text),
        }
    }
    Arc::new(stored.finish())
}

fn octets(
    values: &StringArray,
    width: i32,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<ArrayRef, ArrowError> {
    let mut stored = FixedSizeBinaryBuilder::with_capacity(values.len(), width);
    for text in values {
        match text.filter(|text| !text.is_empty()) {
            None => stored.append_null(),
            Some(text) => {
                let octets = read(text);
                let octets = octets.ok_or_else(|| ArrowError::ParseError(format!("no address: {text:?}")))?;
                stored.append_value(octets)?;
            }
        }
    }
    Ok(Arc::new(stored.finish()))
}

/// The bytes of an Ethernet address.
pub(crate) fn mac(text: &str) -> Option<Vec<u8>> {
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok());
    octets
        .collect::<Option<Vec<u8>>>()
        .filter(|octets| octets.len() == 6)
}

/// The stored number for each list of words. Bits without a word are lost, which no question can see.
fn flags(lists: &ListArray) -> ArrayRef {
    let number = |words: ArrayRef| {
        let words = words.as_string_opt::<i32>()?;
        let flags = TcpFlags::of_words(words.iter().flatten())?;
        let of_one_packet = if flags.of_one_packet { OF_ONE_PACKET } else { 0 };
        Some(flags.bits | of_one_packet)
    };
    let numbers = lists.iter().map(|words| number(words?));
    Arc::new(numbers.collect::<UInt16Array>())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap as Map;

    use weir_store::{Selection, Settings, TimeRange, open};

    use super::*;
    use crate::lower::tests::flows::Flows;
    use crate::{Embedded, Engine, ExportRequest, Limits, Moment, Since, Until};

    /// What an export of everything has, as JSON, and its rows.
    async fn exported(engine: &Embedded) -> (Map<String, usize>, Vec<AnswerRows>) {
        let at = |micros| Moment::At(jiff::Timestamp::from_microsecond(micros).unwrap());
        let request = ExportRequest {
            since: Since(at(0)),
            until: Until(at(i64::from(u32::MAX) * 1_000_000)),
            all_observations: true,
            ..ExportRequest::default()
        };
        let mut export = engine.export(&request, &Limits::default()).await.unwrap();
        let (mut seen, mut pieces) = (Map::new(), Vec::new());
        while let Some(rows) = export.next().unwrap() {
            for row in rows.json() {
                *seen.entry(serde_json::to_string(&row).unwrap()).or_default() += 1;
            }
            pieces.push(rows);
        }
        (seen, pieces)
    }

    #[tokio::test]
    async fn records_that_were_exported_and_stored_again_are_the_same_in_every_field() {
        let directory = tempfile::tempdir().unwrap();
        let (mut writer, reader, _) = open(Settings::new(directory.path().join("from"))).unwrap();
        let mut flows = Flows::new(11, 90);
        let mut records = flows.batch(3_000);
        for (number, record) in records.iter_mut().enumerate() {
            record.attributes = flows.attributes(4);
            record.tcp_flags = (number % 3 != 0).then_some(TcpFlags {
                bits: number as u16 % 256,
                of_one_packet: number % 2 == 0,
            });
            if number % 5 == 0 {
                let mut identity = weir_flow::Identity::clone(&record.src.identity);
                identity.labels = [("app".into(), "a \"b\", c".into())].into();
                record.src.identity = Arc::new(identity).into();
                record.src.addr = Some("2001:db8::1".parse().unwrap());
                (record.dst.addr, record.dst.port, record.dst.mac) = (None, None, None);
                (record.bytes, record.proto) = (None, None);
            }
        }
        writer.append(&records).unwrap();
        writer.flush();
        let (before, pieces) = exported(&Embedded::new(reader)).await;
        let target = directory.path().join("to");
        let mut selection = Selection::begin(&target).unwrap();
        for rows in &pieces {
            selection.append(&stored_rows(rows).unwrap()).unwrap();
        }
        assert_eq!(selection.finish().unwrap(), 3_000);
        let reader = weir_store::Reader::open_dir(&target).unwrap();
        assert_eq!(reader.view(TimeRange::ALL).unreadable.len(), 0);
        let (after, _) = exported(&Embedded::new(reader)).await;
        assert_eq!(before.values().sum::<usize>(), 3_000);
        assert!(
            before == after,
            "{:?}",
            before.keys().find(|row| !after.contains_key(*row))
        );
    }

    #[test]
    fn what_is_no_value_of_its_field_is_refused() {
        for (name, text) in [
            ("addr", "10.0.0.256"),
            ("mac", "0a:58"),
            ("dst_mac", "0a:58:0a:80:00:0x"),
        ] {
            let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
            let rows = AnswerRows(RecordBatch::try_from_iter([(name, column)]).unwrap());
            assert!(stored_rows(&rows).is_err(), "{text}");
        }
    }
}
