//! A database of Open vSwitch in memory, and a switch that takes over at once what is written:
//! as much of RFC 7047 section 5.2 as `weir-node` uses. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::schema::Schema;

type Row = Map<String, Value>;
type Tables = BTreeMap<String, BTreeMap<String, Row>>;

/// The table with the one row for the whole switch.
const ROOT: &str = "Open_vSwitch";
const BRIDGE: &str = "Bridge";
/// Tables whose rows live as long as a bridge refers to them, and by which column.
const REFERRED: [(&str, &str); 3] = [("NetFlow", "netflow"), ("sFlow", "sflow"), ("IPFIX", "ipfix")];

/// The rows.
#[derive(Debug)]
pub struct Database {
    schema: Arc<Schema>,
    tables: Tables,
    made: u64,
}

/// Why an operation failed, in the words of RFC 7047 section 5.2.
type Refusal = &'static str;

impl Database {
    /// A switch with one bridge, `br-int`.
    pub fn new(schema: Arc<Schema>) -> Self {
        let mut database = Self {
            schema,
            tables: Tables::new(),
            made: 0,
        };
        let root = Row::from_iter([("ovs_version".to_owned(), json!("3.5.0"))]);
        database.insert(ROOT, &root);
        let bridge = Row::from_iter([("name".to_owned(), json!("br-int"))]);
        database.insert(BRIDGE, &bridge);
        database
    }

    /// The rows that these `<monitor-requests>` ask for, as the first `<table-updates>`.
    pub fn rows(&self, requests: &Value) -> Value {
        updates(requests, &Tables::new(), &self.tables)
    }

    /// Carries out all of these or none. Returns the results, and for these requests what
    /// has changed.
    /// `hangs`: the switch takes nothing over.
    pub fn transact(&mut self, operations: &[Value], requests: &Value, hangs: bool) -> (Vec<Value>, Value) {
        let before = self.tables.clone();
        let mut names = BTreeMap::new();
        let mut results = Vec::new();
        for operation in operations {
            match self.carry_out(operation, &mut names) {
                Ok(result) => results.push(result),
                Err(refusal) => {
                    results.push(json!({"error": refusal, "details": operation["op"]}));
                    results.resize(operations.len(), Value::Null);
                    self.tables = before;
                    return (results, json!({}));
                }
            }
        }
        self.drop_unreferred();
        if !hangs {
            self.take_over();
        }
        let changes = updates(requests, &before, &self.tables);
        (results, changes)
    }

    /// The switch takes over all that was committed; what of that is new to who watches this.
    pub fn catch_up(&mut self, requests: &Value) -> Value {
        let before = self.tables.clone();
        self.take_over();
        updates(requests, &before, &self.tables)
    }

    fn carry_out(
        &mut self,
        operation: &Value,
        names: &mut BTreeMap<String, String>,
    ) -> Result<Value, Refusal> {
        let table = operation["table"].as_str().unwrap_or_default();
        let row = |value: &Value| resolved(value, names).as_object().cloned().unwrap_or_default();
        match operation["op"].as_str().unwrap_or_default() {
            "comment" => Ok(json!({})),
            "insert" => {
                let uuid = self.insert(table, &row(&operation["row"]));
                if let Some(name) = operation["uuid-name"].as_str() {
                    names.insert(name.to_owned(), uuid.clone());
                }
                Ok(json!({"uuid": ["uuid", uuid]}))
            }
            "update" => {
                let new = row(&operation["row"]);
                self.change(table, &operation["where"], |row| {
                    row.extend(new.clone());
                    Ok(())
                })
            }
            "mutate" => {
                let mutations = operation["mutations"].as_array().cloned().unwrap_or_default();
                self.change(table, &operation["where"], |row| {
                    mutations.iter().try_for_each(|mutation| mutate(row, mutation))
                })
            }
            "select" => {
                let columns = operation["columns"].clone();
                let rows = self.found(table, &operation["where"])?;
                let rows: Vec<Row> = rows.into_iter().map(|row| projected(&row, &columns)).collect();
                Ok(json!({"rows": rows}))
            }
            "wait" => {
                let rows = self.found(table, &operation["where"])?;
                let rows: Vec<Value> = rows
                    .into_iter()
                    .map(|row| Value::Object(projected(&row, &operation["columns"])))
                    .collect();
                let wanted = operation["rows"].as_array().cloned().unwrap_or_default();
                let equal =
                    rows.len() == wanted.len() && wanted.iter().all(|row| rows.iter().any(|r| same(r, row)));
                if equal == (operation["until"] == "==") {
                    Ok(json!({}))
                } else {
                    Err("timed out")
                }
            }
            _ => Err("not supported"),
        }
    }

    fn insert(&mut self, table: &str, row: &Row) -> String {
        self.made += 1;
        let uuid = format!("00000000-0000-4000-8000-{:012x}", self.made);
        let mut whole = self.schema.row(table);
        whole.extend(row.clone());
        self.tables
            .entry(table.to_owned())
            .or_default()
            .insert(uuid.clone(), whole);
        uuid
    }

    fn change(
        &mut self,
        table: &str,
        wheres: &Value,
        change: impl Fn(&mut Row) -> Result<(), Refusal>,
    ) -> Result<Value, Refusal> {
        let mut count = 0;
        for (uuid, row) in self.tables.entry(table.to_owned()).or_default() {
            if is_meant(uuid, row, wheres)? {
                change(row)?;
                count += 1;
            }
        }
        Ok(json!({"count": count}))
    }

    fn found(&self, table: &str, wheres: &Value) -> Result<Vec<Row>, Refusal> {
        let mut found = Vec::new();
        for (uuid, row) in self.tables.get(table).into_iter().flatten() {
            if is_meant(uuid, row, wheres)? {
                found.push(row.clone());
            }
        }
        Ok(found)
    }

    fn drop_unreferred(&mut self) {
        for (table, column) in REFERRED {
            let bridges = self.tables.get(BRIDGE).into_iter().flat_map(BTreeMap::values);
            let referred: Vec<String> = bridges.map(|bridge| bridge[column].to_string()).collect();
            if let Some(rows) = self.tables.get_mut(table) {
                rows.retain(|uuid, _| referred.iter().any(|text| text.contains(uuid.as_str())));
            }
        }
    }

    /// What an ovs-vswitchd does: says which configuration it has taken over.
    fn take_over(&mut self) {
        for row in self
            .tables
            .get_mut(ROOT)
            .into_iter()
            .flat_map(BTreeMap::values_mut)
        {
            let next = row["next_cfg"].clone();
            row.insert("cur_cfg".to_owned(), next);
        }
    }
}

fn is_meant(uuid: &str, row: &Row, wheres: &Value) -> Result<bool, Refusal> {
    for condition in wheres.as_array().into_iter().flatten() {
        if condition[1] != "==" {
            return Err("not supported");
        }
        let holds = match condition[0].as_str() {
            Some("_uuid") => condition[2][1] == uuid,
            Some(column) => row.get(column).is_some_and(|value| same(value, &condition[2])),
            None => false,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The members of a set or a map; an atom is a set of one.
fn members(datum: &Value) -> Vec<Value> {
    match datum.as_array() {
        Some(pair) if pair[0] == "set" || pair[0] == "map" => pair[1].as_array().cloned().unwrap_or_default(),
        _ => vec![datum.clone()],
    }
}

/// Whether two rows or data say the same, however they are written.
fn same(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (a.as_object(), b.as_object()) {
        return a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)));
    }
    let (a, b) = (members(a), members(b));
    a.len() == b.len() && a.iter().all(|member| b.contains(member))
}

fn mutate(row: &mut Row, mutation: &Value) -> Result<(), Refusal> {
    let column = mutation[0].as_str().ok_or("syntax error")?;
    let old = row.get(column).cloned().ok_or("unknown column")?;
    let argument = &mutation[2];
    let new = match mutation[1].as_str() {
        Some("+=") => json!(old.as_i64().unwrap_or_default() + argument.as_i64().unwrap_or_default()),
        Some("delete") => {
            let gone = members(argument);
            let mut kept = members(&old);
            kept.retain(|member| !gone.contains(member) && !gone.contains(&member[0]));
            json!([kind(&old), kept])
        }
        Some("insert") => {
            let mut all = members(&old);
            let keys: Vec<Value> = all.iter().map(|pair| pair[0].clone()).collect();
            let is_map = kind(&old) == "map";
            let added = members(argument);
            all.extend(added.into_iter().filter(|new| !is_map || !keys.contains(&new[0])));
            json!([kind(&old), all])
        }
        _ => return Err("not supported"),
    };
    row.insert(column.to_owned(), new);
    Ok(())
}

fn kind(datum: &Value) -> &'static str {
    if datum[0] == "map" { "map" } else { "set" }
}

/// With the names of rows of this transaction replaced by what they stand for.
fn resolved(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Array(items) => match items.as_slice() {
            [tag, Value::String(name)] if tag == "named-uuid" => json!(["uuid", names.get(name)]),
            items => items.iter().map(|item| resolved(item, names)).collect(),
        },
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), resolved(value, names)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn projected(row: &Row, columns: &Value) -> Row {
    let names = columns.as_array().into_iter().flatten().filter_map(Value::as_str);
    names
        .filter_map(|name| Some((name.to_owned(), row.get(name)?.clone())))
        .collect()
}

/// `<table-updates>` from one state to another, of the columns that were asked for.
fn updates(requests: &Value, before: &Tables, after: &Tables) -> Value {
    let none = BTreeMap::new();
    let mut all = Map::new();
    for (table, request) in requests.as_object().into_iter().flatten() {
        let columns = &request[0]["columns"];
        let [old, new] = [before, after].map(|tables| tables.get(table).unwrap_or(&none));
        let mut rows = Map::new();
        for (uuid, row) in new {
            let new = projected(row, columns);
            match old.get(uuid).map(|row| projected(row, columns)) {
                None => rows.insert(uuid.clone(), json!({"new": new})),
                Some(old) if old != new => {
                    let changed: Row = old
                        .into_iter()
                        .filter(|(name, value)| new[name] != *value)
                        .collect();
                    rows.insert(uuid.clone(), json!({"old": changed, "new": new}))
                }
                Some(_) => None,
            };
        }
        for (uuid, row) in old.iter().filter(|(uuid, _)| !new.contains_key(*uuid)) {
            rows.insert(uuid.clone(), json!({"old": projected(row, columns)}));
        }
        if !rows.is_empty() {
            all.insert(table.clone(), Value::Object(rows));
        }
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests;
