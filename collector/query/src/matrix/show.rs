//! A matrix as rows that people and machines read: the client under the names of the
//! source's side, the server under those of the destination's.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListBuilder, StringArray, StringBuilder, TimestampMicrosecondArray, UInt16Array, UInt64Array,
};
use weir_flow::protocol_name;
use weir_store::schema::{CONNECTIONS, FLOWS, REVERSE};

use super::calls::{Group, Groups, Sums};
use super::ends::{Ends, FIELDS};
use super::{MatrixEnds, MatrixRequest};
use crate::output::present;
use crate::{AnswerRows, QueryError};

/// The rows, in their order.
pub(super) fn rows(groups: &Groups, ends: &Ends, request: &MatrixRequest) -> Result<AnswerRows, QueryError> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for is_server in [false, true] {
        let prefix = if is_server { "dst_" } else { "" };
        let end = |group: &Group| if is_server { group.server } else { group.client };
        for (at, field) in FIELDS
            .iter()
            .enumerate()
            .filter(|(_, field)| is_shown(field, request.by))
        {
            let words = groups.0.iter().map(|(group, _)| {
                let name = ends.name(end(group));
                name.map_or("", |name| &name[at])
            });
            let words = StringArray::from_iter_values(words);
            columns.push((format!("{prefix}{field}"), Arc::new(words)));
        }
    }
    if request.ports {
        let ports: UInt16Array = groups.0.iter().map(|(group, _)| group.port).collect();
        let protocols = groups.0.iter().map(|(group, _)| group.proto.map(protocol_name));
        columns.push(("dst_port".to_owned(), Arc::new(ports)));
        columns.push((
            "protocol".to_owned(),
            Arc::new(protocols.collect::<StringArray>()),
        ));
    }
    columns.extend(sums(groups));
    Ok(present(columns, groups.len())?)
}

fn is_shown(field: &str, by: MatrixEnds) -> bool {
    match by {
        MatrixEnds::Pod => true,
        MatrixEnds::Workload => field != "pod_name",
        MatrixEnds::Ns | MatrixEnds::Subnet => ["ns", "workload_kind", "subnet_label"].contains(&field),
    }
}

fn sums(groups: &Groups) -> Vec<(String, ArrayRef)> {
    let number = |name: &str, of: &dyn Fn(&Sums) -> u64| -> (String, ArrayRef) {
        let numbers = groups.0.iter().map(|(_, sums)| of(sums));
        (name.to_owned(), Arc::new(UInt64Array::from_iter_values(numbers)))
    };
    let time = |name: &str, of: fn(&Sums) -> i64| -> (String, ArrayRef) {
        let times = groups.0.iter().map(|(_, sums)| of(sums));
        let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
        (name.to_owned(), Arc::new(times))
    };
    let forward = ["bytes", "packets", FLOWS].into_iter().enumerate();
    let mut columns: Vec<_> = forward
        .map(|(at, name)| number(name, &|sums| sums.forward[at]))
        .collect();
    let reverse = REVERSE.into_iter().enumerate();
    columns.extend(reverse.map(|(at, name)| number(name, &|sums| sums.reverse[at])));
    let connections: UInt64Array = groups.0.iter().map(|(_, sums)| sums.connections).collect();
    columns.push((CONNECTIONS.to_owned(), Arc::new(connections)));
    columns.push(time("first_seen", |sums| sums.first));
    columns.push(time("last_seen", |sums| sums.last));
    let strengths = groups.0.iter().map(|(_, sums)| sums.strength().as_str());
    columns.push((
        "strength".to_owned(),
        Arc::new(StringArray::from_iter_values(strengths)),
    ));
    columns.push(number("weak_flows", &Sums::weak_flows));
    let mut evidence = ListBuilder::new(StringBuilder::new());
    for (_, sums) in &groups.0 {
        sums.evidence
            .words()
            .for_each(|word| evidence.values().append_value(word));
        evidence.append(true);
    }
    columns.push(("evidence".to_owned(), Arc::new(evidence.finish())));
    columns
}
