//! What is monitored, and what of it reaches the client. Columns are asked for by name, and
//! of maps with keys of others the keys are taken out of every answer.

use ovsdb::Uuid;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use super::vocabulary::{Readable, is_text, readable};

/// Characters of a monitor's name.
const MOST_NAME: usize = 64;

/// The client's name of the monitor.
pub fn name(value: &Value) -> Result<String, Refusal> {
    match value.as_str() {
        Some(name) if name.len() <= MOST_NAME && is_text(name) => Ok(name.to_owned()),
        _ => Err(Refusal::Parameters("a monitor's name is a short text")),
    }
}

/// The last transaction that the client knows.
pub fn transaction(value: &Value) -> Result<Value, Refusal> {
    let uuid = value.as_str().and_then(|text| text.parse::<Uuid>().ok());
    let uuid = uuid.ok_or(Refusal::Parameters("the transaction is no UUID"))?;
    Ok(json!(uuid.to_string()))
}

/// `<monitor-requests>`: of each table one request, of columns by their names, without
/// conditions. No columns would be all of them.
pub fn tables(value: &Value) -> Result<Value, Refusal> {
    let tables = value
        .as_object()
        .ok_or(Refusal::Parameters("monitor requests are no object"))?;
    let mut requests = Map::new();
    for (table, request) in tables {
        let columns = only_columns(request).ok_or(Refusal::Parameters(
            "a table's monitor request is not one list of columns",
        ))?;
        let mut names = Vec::new();
        for column in columns {
            let name = column
                .as_str()
                .ok_or(Refusal::Parameters("a column's name is no text"))?;
            readable(table, name).ok_or_else(|| Refusal::column(table, name))?;
            names.push(name);
        }
        requests.insert(table.clone(), json!([{"columns": names}]));
    }
    Ok(Value::Object(requests))
}

fn only_columns(request: &Value) -> Option<&Vec<Value>> {
    let [request] = request.as_array()?.as_slice() else {
        return None;
    };
    let members = request.as_object()?;
    let columns = members.get("columns")?.as_array()?;
    (members.len() == 1 && !columns.is_empty()).then_some(columns)
}

/// Takes out of `<table-updates>`, of either version, what may not be read.
pub fn strip(updates: &mut Value) {
    let Some(tables) = updates.as_object_mut() else {
        *updates = json!({});
        return;
    };
    for (table, rows) in tables {
        let rows = rows.as_object_mut().into_iter().flatten();
        for (_, update) in rows {
            // `old` and `new`, or `initial`, `insert`, `modify` and `delete`.
            let parts = update.as_object_mut().into_iter().flatten();
            for (_, row) in parts {
                strip_row(table, row);
            }
        }
    }
}

fn strip_row(table: &str, row: &mut Value) {
    let Some(columns) = row.as_object_mut() else {
        return;
    };
    columns.retain(|column, _| column == "_version" || readable(table, column).is_some());
    for (column, value) in columns {
        if let Some(Readable::Keys(keys)) = readable(table, column) {
            keep_keys(value, keys);
        }
    }
}

/// A map, or the difference of two, with these keys alone; anything else becomes an empty one.
fn keep_keys(value: &mut Value, keys: &[&str]) {
    let pairs = match value {
        Value::Array(parts) => match parts.as_mut_slice() {
            [tag, Value::Array(pairs)] if tag == "map" => Some(pairs),
            _ => None,
        },
        _ => None,
    };
    match pairs {
        Some(pairs) => pairs.retain(|pair| {
            let key = pair.get(0).and_then(Value::as_str);
            key.is_some_and(|key| keys.contains(&key))
        }),
        None => *value = json!(["map", []]),
    }
}
