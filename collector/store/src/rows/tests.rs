use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use weir_flow::TcpFlags;

use super::*;

#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "../../tests/flows/mod.rs"]
mod flows;

/// Records that each lack other fields.
pub(crate) fn sparse(count: u64) -> Vec<FlowRecord> {
    let mut flows = flows::Flows::new(11, 20);
    let has = |n: u64, period: u64| (n % period == period - 1).then_some(n);
    let record = |n: u64| {
        let mut record = flows.flow();
        record.bytes = has(n, 2);
        record.l2_bytes = has(n, 17);
        record.vlan_id = has(n, 5).map(|n| n as u16);
        record.tcp_flags = has(n, 3).map(|n| TcpFlags {
            bits: n as u16 & 0x1ff,
            of_one_packet: n.is_multiple_of(2),
        });
        record.src.mac = has(n, 4).map(|n| [n as u8; 6]);
        record.src.addr = has(n, 3).map(|n| [10, 0, 0, n as u8].into());
        record.dst.addr = has(n, 7).map(|n| std::net::Ipv6Addr::from(u128::from(n)).into());
        record.src.if_name = if n.is_multiple_of(6) {
            "veth-with-a-long-name".into()
        } else {
            "".into()
        };
        record.tunnel.kind = has(n, 9).map(|_| 7);
        if n.is_multiple_of(4) {
            record.attributes = flows.attributes(6);
        }
        record.policy = flows::policy(n);
        record
    };
    (0..count).map(record).collect()
}

/// What a cell holds, as the record would say it.
fn cell(array: &dyn Array, row: usize) -> Option<Value<'_>> {
    array.is_valid(row).then(|| match array.data_type() {
        DataType::UInt8 => Value::Unsigned(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Value::Unsigned(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Value::Unsigned(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => Value::Unsigned(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Utf8View => Value::Text(array.as_string_view().value(row).into()),
        DataType::FixedSizeBinary(6) => {
            Value::Mac(array.as_fixed_size_binary().value(row).try_into().unwrap())
        }
        DataType::FixedSizeBinary(_) => {
            let bytes: [u8; 16] = array.as_fixed_size_binary().value(row).try_into().unwrap();
            Value::Address(std::net::Ipv6Addr::from(bytes).to_canonical())
        }
        _ => Value::Time(array.as_primitive::<TimestampMicrosecondType>().value(row) as u64 * 1_000),
    })
}

/// As it is stored.
fn stored(value: Value<'_>) -> Option<Value<'_>> {
    Some(match value {
        Value::Flags(flags) => {
            Value::Unsigned(u64::from(flags.bits) | if flags.of_one_packet { 1 << 15 } else { 0 })
        }
        Value::Time(ns) => Value::Time(ns / 1_000 * 1_000),
        Value::Text(text) if text.is_empty() => return None,
        other => other,
    })
}

/// Each row of the batch has what its record says, and nothing else.
pub(crate) fn assert_rows_are(batch: &RecordBatch, records: &[&FlowRecord]) {
    assert_eq!(batch.num_rows(), records.len());
    for (row, record) in records.iter().enumerate() {
        let mut expected = HashMap::new();
        record.visit_own(&mut |column: Column, value| {
            if let Some(value) = stored(value).filter(|_| schema::fact(column).is_some()) {
                expected.insert(column.name(), value);
            }
        });
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            let name = field.name().as_str();
            if !matches!(name, SRC_ID | DST_ID) {
                assert_eq!(cell(array, row), expected.remove(name), "{name} of row {row}");
            }
        }
        assert!(expected.is_empty(), "not stored: {expected:?}");
    }
}

#[test]
fn every_field_of_every_record_is_in_its_cell_and_nothing_else_is() {
    let mut rows = Rows::default();
    for count in [300, 1, 77] {
        let records = sparse(count);
        // In the order of their sources, which is that of the rows.
        let sides: Vec<_> = (0..count as u32).map(|at| (at, 7)).collect();
        rows.extend(&records, &sides);
        let batch = rows.take().unwrap().0.widen();
        assert_rows_are(&batch, &records.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_column_without_a_value_is_not_in_the_batch() {
    let mut rows = Rows::default();
    let mut records = sparse(20);
    records.iter_mut().for_each(|record| record.bytes = None);
    rows.extend(&records, &[(0, 0); 20]);
    let batch = rows.take().unwrap().0.widen();
    assert!(batch.column_by_name("bytes").is_none() && batch.column_by_name("packets").is_some());
    let whole = flows::Flows::new(1, 9).batch(20);
    rows.extend(&whole, &[(0, 0); 20]);
    let batch = rows.take().unwrap().0.widen();
    assert!(batch.column_by_name("asn").is_none() && batch.column_by_name("user_name").is_none());
    assert!(rows.take().is_none());
}
