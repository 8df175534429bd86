//! Outputs as rows of the field table.

use std::collections::BTreeMap;

use proptest::prelude::*;
use weir_fields::{FieldKind, connections};

use super::builder::*;
use super::scenario::scenario;
use crate::*;

/// Whether a field of that kind may hold it.
fn fits(kind: FieldKind, value: Value<'_>) -> bool {
    match (kind, value) {
        (FieldKind::String | FieldKind::Enum, Value::Text(_)) => true,
        (FieldKind::Unsigned(bits), Value::Number(number)) => bits == 64 || number >> bits == 0,
        (FieldKind::Bool, Value::Flag(_))
        | (FieldKind::Address, Value::Address(_))
        | (FieldKind::Timestamp, Value::Time(_)) => true,
        (FieldKind::Unsigned(_) | FieldKind::Bool | FieldKind::Address | FieldKind::Timestamp, value) => {
            value == Value::Absent
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_row_has_the_names_of_the_table_in_its_order_and_values_of_their_kinds(scenario in scenario()) {
        let (mut outputs, connections) = scenario.run();
        outputs.extend(connections.live());
        for output in outputs {
            let mut id = IdText::default();
            let mut row = Vec::new();
            output.row(&mut id, &mut |name, value| row.push((name, value)));
            let table: Vec<_> = connections::columns().collect();
            prop_assert_eq!(row.len(), table.len());
            for ((name, value), (column, kind)) in row.into_iter().zip(table) {
                prop_assert!(name == column && fits(kind, value), "{name} {column} {value:?}");
            }
        }
    }

    #[test]
    fn words_are_those_that_the_table_has(scenario in scenario()) {
        let (outputs, _) = scenario.run();
        let own = connections::FIELDS.iter().filter(|field| field.kind == FieldKind::Enum);
        let words: BTreeMap<_, _> = own.map(|field| (field.name, field.unit)).collect();
        for output in outputs {
            let mut id = IdText::default();
            let mut wrong = None;
            output.row(&mut id, &mut |name, value| {
                if let (Some(words), Value::Text(word)) = (words.get(name), value)
                    && !(word.is_empty() && words.ends_with(" or empty"))
                    && !words.split(' ').any(|known| known == word)
                {
                    wrong = Some((name, word.to_owned()));
                }
            });
            prop_assert_eq!(wrong, None);
        }
    }
}

#[test]
fn each_value_stands_under_its_name() {
    let mut run = Run::new(config());
    let to_service = Observation {
        dst: end("10.96.0.1", 81, Some(service("web"))),
        ..request()
    };
    let endpoint_answers = Observation {
        src: end("10.0.1.1", 80, Some(endpoint("web-1", "b", "web"))),
        ..answer()
    };
    let output = run
        .frame(2_000, &[to_service, endpoint_answers])
        .until(7_000)
        .only();
    let mut id = IdText::default();
    let mut row = BTreeMap::new();
    output.row(&mut id, &mut |name, value| {
        row.insert(name, value);
    });
    let id = output.id.to_string();
    let expected = [
        ("connection_id", Value::Text(&id)),
        ("seq", Value::Number(1)),
        ("start", Value::Time(ms(0) * 1_000)),
        ("end", Value::Time(ms(1_000) * 1_000)),
        ("addr", Value::Address("10.0.0.1".parse().unwrap())),
        ("dst_addr", Value::Address("10.0.1.1".parse().unwrap())),
        ("port", Value::Number(40_000)),
        ("dst_port", Value::Number(80)),
        ("proto", Value::Number(6)),
        ("bytes", Value::Number(1_000)),
        ("packets_total", Value::Number(10)),
        ("rev_bytes", Value::Number(2_000)),
        ("rev_packets_total", Value::Number(20)),
        ("service_bytes", Value::Number(1_000)),
        ("service_rev_bytes_total", Value::Number(0)),
        ("dst_service_addr", Value::Address("10.96.0.1".parse().unwrap())),
        ("dst_service_port", Value::Number(81)),
        ("joined_by", Value::Text("service")),
        ("sides", Value::Text("both")),
        ("bytes_src", Value::Number(1_000)),
        ("bytes_dst", Value::Number(0)),
        ("rev_packets_total_dst", Value::Number(20)),
        ("throughput", Value::Number(8_000)),
        ("rev_throughput_dst", Value::Number(16_000)),
        ("lost_packets", Value::Absent),
        ("end_dst", Value::Time(ms(1_000) * 1_000)),
        ("pod_name", Value::Text("client")),
        ("dst_pod_name", Value::Text("web-1")),
        ("dst_service_name", Value::Text("web")),
        ("node_name", Value::Text("a")),
        ("dst_node_name", Value::Text("b")),
        ("flow_type", Value::Text("inter_node")),
        ("end_reason", Value::Text("active")),
        ("final", Value::Flag(false)),
    ];
    for (name, value) in expected {
        assert_eq!(row.get(name), Some(&value), "{name}");
    }
}
