//! Changes as the operations of one OVSDB transaction. Pure.
//!
//! ```text
//! comment                     who and why, for the server's log
//! wait, one a change          the bridge still has its name and refers to what was seen; else nothing happens
//! insert, update, mutate      the changes
//! mutate next_cfg += 1        as ovs-vsctl does: tells ovs-vswitchd apart from one that took it over
//! select next_cfg             the number to wait for in cur_cfg
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use ovsdb::{Condition, Datum, Mutation, Mutator, Operation, OperationResult, Row, Until, Uuid};

use crate::diff::{Action, RowChange};
use crate::rows::{MapKey, RowSpec};
use crate::tables::{BRIDGE, ROOT, Slot, bridge_column, table};

const NEXT_CFG: &str = "next_cfg";
/// Characters of a comment.
const COMMENT_CHARS: usize = 2000;

/// The operations that carry these changes out, all or none.
pub fn transaction(changes: &[RowChange], node: &str) -> Vec<Operation> {
    let mut operations = vec![Operation::comment(comment(changes, node))];
    operations.extend(changes.iter().map(guard));
    for (i, change) in changes.iter().enumerate() {
        write_change(change, i, &mut operations);
    }
    operations.push(Operation::mutate(
        ROOT,
        vec![],
        vec![Mutation {
            column: NEXT_CFG.to_owned(),
            mutator: Mutator::Add,
            value: Datum::from(1_i64),
        }],
    ));
    operations.push(Operation::Select {
        table: ROOT.to_owned(),
        conditions: vec![],
        columns: Some(vec![NEXT_CFG.to_owned()]),
    });
    operations
}

/// One line of bounded length, whatever others have called their bridges.
fn comment(changes: &[RowChange], node: &str) -> String {
    let summary: Vec<String> = changes
        .iter()
        .map(|change| format!("{} {}", change.verb(), change.slot))
        .collect();
    let line = format!("weir-node {node}: {}", summary.join(", "));
    let characters = line.chars().take(COMMENT_CHARS);
    characters.map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The configuration number that the transaction made.
pub fn configuration_number(results: &[OperationResult]) -> Option<i64> {
    match results.last()? {
        OperationResult::Rows(rows) => rows.first()?.get(NEXT_CFG)?.as_integer(),
        _ => None,
    }
}

fn guard(change: &RowChange) -> Operation {
    let column = bridge_column(change.slot.protocol);
    let refers_to = change.before.map_or_else(Datum::empty, Datum::from);
    Operation::Wait {
        timeout: Some(Duration::ZERO),
        table: BRIDGE.to_owned(),
        conditions: vec![Condition::uuid(change.bridge)],
        columns: vec!["name".to_owned(), column.to_owned()],
        until: Until::Equal,
        rows: vec![Row::from([
            ("name".to_owned(), Datum::from(change.slot.bridge.as_str())),
            (column.to_owned(), refers_to),
        ])],
    }
}

fn write_change(change: &RowChange, index: usize, operations: &mut Vec<Operation>) {
    match &change.action {
        Action::Create(spec) => {
            let name = format!("row{index}");
            let table = table(change.slot.protocol);
            operations.push(Operation::insert_named(table, whole_row(spec), &name));
            operations.push(refer(&change.slot, change.bridge, Datum::named_uuid(name)));
        }
        Action::Edit { row, columns, keys } => {
            write_edit(table(change.slot.protocol), *row, columns, keys, operations);
        }
        Action::Clear | Action::Renew => operations.push(refer(&change.slot, change.bridge, Datum::empty())),
    }
}

fn refer(slot: &Slot, bridge: Uuid, to: Datum) -> Operation {
    let row = Row::from([(bridge_column(slot.protocol).to_owned(), to)]);
    Operation::update(BRIDGE, vec![Condition::uuid(bridge)], row)
}

fn whole_row(spec: &RowSpec) -> Row {
    let mut row: Row = spec
        .columns
        .iter()
        .map(|(column, datum)| ((*column).to_owned(), datum.clone()))
        .collect();
    let mut maps: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (key, value) in &spec.keys {
        if let Some(value) = value {
            maps.entry(key.column).or_default().push((key.key, value));
        }
    }
    row.extend(
        maps.into_iter()
            .map(|(column, pairs)| (column.to_owned(), Datum::string_map(pairs))),
    );
    row
}

/// Keys are deleted before they are inserted: an insert keeps the value of a key
/// that exists (RFC 7047 section 5.1, `<mutation>`).
fn write_edit(
    table: &str,
    uuid: Uuid,
    columns: &Row,
    keys: &BTreeMap<MapKey, Option<String>>,
    operations: &mut Vec<Operation>,
) {
    let this = || vec![Condition::uuid(uuid)];
    if !columns.is_empty() {
        operations.push(Operation::update(table, this(), columns.clone()));
    }
    let mut mutations = Vec::new();
    for (key, value) in keys {
        mutations.push(Mutation::delete(key.column, Datum::strings([key.key])));
        if let Some(value) = value {
            mutations.push(Mutation::insert(
                key.column,
                Datum::string_map([(key.key, value)]),
            ));
        }
    }
    if !mutations.is_empty() {
        operations.push(Operation::mutate(table, this(), mutations));
    }
}

#[cfg(test)]
mod tests;
