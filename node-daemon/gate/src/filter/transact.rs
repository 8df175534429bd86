//! The transactions of flow export, and no others. Operations are read into what they mean;
//! what is sent on is written from that.
//!
//! ```text
//! comment                  one, first
//! wait                     that a bridge has its name and refers to this row, or to none; never for longer than at once
//! insert                   a row of NetFlow, sFlow or IPFIX, marked, with a name
//! update Bridge            to such a row of the same transaction, or to none, on a bridge that was waited for
//! update, mutate           of a row that a bridge was waited for to refer to
//! mutate next_cfg += 1     once
//! select next_cfg          once
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ovsdb::{Condition, Datum, Mutation, Mutator, Operation, Row, Until, Uuid};
use serde_json::{Map, Value};

use super::refusal::Refusal;
use super::vocabulary::{
    BRIDGE, EXTERNAL_IDS, ExportTable, MOST_TEXT, NEXT_CFG, OWNER_KEY, ROOT, Writable, is_text,
};

/// Operations of a transaction: three protocols on more bridges than a node has.
pub const MOST_OPERATIONS: usize = 1024;
/// Bytes of a comment.
pub const MOST_COMMENT: usize = 8192;

/// What the operations before this one have said.
#[derive(Debug, Default)]
struct Seen<'a> {
    /// Bridges and their columns that were waited for, and the rows that they refer to.
    waited: BTreeSet<(Uuid, &'static str)>,
    rows: BTreeSet<(&'static str, Uuid)>,
    /// Rows that are made, by their names.
    made: BTreeMap<&'a str, &'static str>,
    counted: bool,
    read: bool,
}

/// Reads the operations of a transaction.
///
/// # Errors
/// The first that is not one of flow export.
pub fn read(operations: &[Value]) -> Result<Vec<Operation>, Refusal> {
    if operations.len() > MOST_OPERATIONS {
        return Err(Refusal::TooMany("operations"));
    }
    let mut seen = Seen::default();
    operations
        .iter()
        .enumerate()
        .map(|(place, operation)| seen.operation(place, operation))
        .collect()
}

impl<'a> Seen<'a> {
    fn operation(&mut self, place: usize, value: &'a Value) -> Result<Operation, Refusal> {
        let of = value.as_object().ok_or(Refusal::Operation("no object"))?;
        match text(of, "op")? {
            "comment" if place == 0 => comment(of),
            "wait" => self.wait(of),
            "insert" => self.insert(of),
            "update" => match text(of, "table")? {
                BRIDGE => self.refer(of),
                table => self.update(of, export_table(table)?),
            },
            "mutate" => match text(of, "table")? {
                ROOT => self.count(of),
                table => self.mutate(of, export_table(table)?),
            },
            "select" => self.select(of),
            _ => Err(Refusal::Operation("not one that flow export uses there")),
        }
    }

    fn wait(&mut self, of: &Map<String, Value>) -> Result<Operation, Refusal> {
        const FORM: Refusal = Refusal::Operation("a wait of another form");
        only(
            of,
            &["op", "timeout", "table", "where", "columns", "until", "rows"],
        )?;
        let at_once = of.get("timeout").and_then(Value::as_u64) == Some(0);
        let equal = of.get("until").and_then(Value::as_str) == Some("==");
        if !at_once || !equal || text(of, "table")? != BRIDGE {
            return Err(FORM);
        }
        let bridge = this_row(of)?;
        let columns = of.get("columns").and_then(Value::as_array).ok_or(FORM)?;
        let [Value::String(name), Value::String(column)] = columns.as_slice() else {
            return Err(FORM);
        };
        let export = ExportTable::of_column(column).ok_or_else(|| Refusal::column(BRIDGE, column))?;
        let rows = of.get("rows").and_then(Value::as_array).ok_or(FORM)?;
        let [Value::Object(row)] = rows.as_slice() else {
            return Err(FORM);
        };
        only(row, &["name", export.column])?;
        let called = row.get("name").and_then(Value::as_str).ok_or(FORM)?;
        if name != "name" || called.len() > MOST_TEXT {
            return Err(FORM);
        }
        let refers_to = reference(row, export.column)?;
        match refers_to.as_uuid() {
            Some(row) => {
                self.rows.insert((export.table, row));
            }
            None if refers_to == Datum::empty() => {}
            None => return Err(FORM),
        }
        self.waited.insert((bridge, export.column));
        Ok(Operation::Wait {
            timeout: Some(Duration::ZERO),
            table: BRIDGE.to_owned(),
            conditions: vec![Condition::uuid(bridge)],
            columns: vec!["name".to_owned(), export.column.to_owned()],
            until: Until::Equal,
            rows: vec![Row::from([
                ("name".to_owned(), Datum::from(called)),
                (export.column.to_owned(), refers_to),
            ])],
        })
    }

    fn insert(&mut self, of: &'a Map<String, Value>) -> Result<Operation, Refusal> {
        only(of, &["op", "table", "row", "uuid-name"])?;
        let export = export_table(text(of, "table")?)?;
        let name = text(of, "uuid-name")?;
        if !is_row_name(name) || self.made.insert(name, export.table).is_some() {
            return Err(Refusal::Operation("a row's name of another form"));
        }
        let members = object(of, "row")?;
        let mut row = Row::new();
        for column in members.keys() {
            let value = datum(members, column)?;
            match export.writable(column) {
                Some((name, writable)) => row.insert(name.to_owned(), bounded(name, writable, value)?),
                None => row.insert(column.clone(), map_of_keys(export, column, value)?),
            };
        }
        let owner = row.get(EXTERNAL_IDS).and_then(|ids| ids.map_get(OWNER_KEY));
        if owner.is_none() {
            return Err(Refusal::Operation("a row without the mark of its owner"));
        }
        Ok(Operation::insert_named(export.table, row, name))
    }

    fn refer(&mut self, of: &Map<String, Value>) -> Result<Operation, Refusal> {
        only(of, &["op", "table", "where", "row"])?;
        let bridge = this_row(of)?;
        let members = object(of, "row")?;
        let mut columns = members.keys();
        let (Some(column), None) = (columns.next(), columns.next()) else {
            return Err(Refusal::Operation("an update of a bridge of another form"));
        };
        let export = ExportTable::of_column(column).ok_or_else(|| Refusal::column(BRIDGE, column))?;
        if !self.waited.contains(&(bridge, export.column)) {
            return Err(Refusal::Operation("a bridge that was not waited for"));
        }
        let to = reference(members, export.column)?;
        let made = match to.as_atom() {
            Some(ovsdb::Atom::NamedUuid(name)) => self.made.get(name.as_str()) == Some(&export.table),
            _ => to == Datum::empty(),
        };
        if !made {
            return Err(Refusal::Operation("a bridge refers to rows made beside it alone"));
        }
        let row = Row::from([(export.column.to_owned(), to)]);
        Ok(Operation::update(BRIDGE, vec![Condition::uuid(bridge)], row))
    }

    fn update(&mut self, of: &Map<String, Value>, export: ExportTable) -> Result<Operation, Refusal> {
        only(of, &["op", "table", "where", "row"])?;
        let this = self.waited_row(of, export)?;
        let members = object(of, "row")?;
        let mut row = Row::new();
        for column in members.keys() {
            let (name, writable) = export
                .writable(column)
                .ok_or_else(|| Refusal::column(export.table, column))?;
            row.insert(name.to_owned(), bounded(name, writable, datum(members, column)?)?);
        }
        Ok(Operation::update(export.table, vec![Condition::uuid(this)], row))
    }

    fn mutate(&mut self, of: &Map<String, Value>, export: ExportTable) -> Result<Operation, Refusal> {
        only(of, &["op", "table", "where", "mutations"])?;
        let this = self.waited_row(of, export)?;
        let mutations = of.get("mutations").and_then(Value::as_array);
        let mutations = mutations.ok_or(Refusal::Operation("mutations are no array"))?;
        let mutations = mutations.iter().map(|value| mutation(export, value));
        let mutations: Vec<Mutation> = mutations.collect::<Result<_, _>>()?;
        if mutations.len() > MOST_OPERATIONS {
            return Err(Refusal::TooMany("mutations"));
        }
        Ok(Operation::mutate(
            export.table,
            vec![Condition::uuid(this)],
            mutations,
        ))
    }

    fn waited_row(&self, of: &Map<String, Value>, export: ExportTable) -> Result<Uuid, Refusal> {
        let this = this_row(of)?;
        match self.rows.contains(&(export.table, this)) {
            true => Ok(this),
            false => Err(Refusal::Operation("a row that was not waited for")),
        }
    }

    fn count(&mut self, of: &Map<String, Value>) -> Result<Operation, Refusal> {
        const FORM: Refusal = Refusal::Operation("a change of the switch's own row");
        only(of, &["op", "table", "where", "mutations"])?;
        every_row(of)?;
        let expected = serde_json::json!([[NEXT_CFG, "+=", 1]]);
        if of.get("mutations") != Some(&expected) || std::mem::replace(&mut self.counted, true) {
            return Err(FORM);
        }
        let add = Mutation {
            column: NEXT_CFG.to_owned(),
            mutator: Mutator::Add,
            value: Datum::from(1_i64),
        };
        Ok(Operation::mutate(ROOT, vec![], vec![add]))
    }

    fn select(&mut self, of: &Map<String, Value>) -> Result<Operation, Refusal> {
        only(of, &["op", "table", "where", "columns"])?;
        every_row(of)?;
        let expected = serde_json::json!([NEXT_CFG]);
        let form = text(of, "table")? == ROOT && of.get("columns") == Some(&expected);
        if !form || std::mem::replace(&mut self.read, true) {
            return Err(Refusal::Operation("a select of another form"));
        }
        Ok(Operation::Select {
            table: ROOT.to_owned(),
            conditions: vec![],
            columns: Some(vec![NEXT_CFG.to_owned()]),
        })
    }
}

fn comment(of: &Map<String, Value>) -> Result<Operation, Refusal> {
    only(of, &["op", "comment"])?;
    let comment = text(of, "comment")?;
    match comment.len() <= MOST_COMMENT && !comment.contains(char::is_control) {
        true => Ok(Operation::comment(comment)),
        false => Err(Refusal::Bounds("comment")),
    }
}

/// `[column, "delete", key]` or `[column, "insert", a map of one pair]`.
fn mutation(export: ExportTable, value: &Value) -> Result<Mutation, Refusal> {
    const FORM: Refusal = Refusal::Operation("a mutation of another form");
    let parts = value.as_array().ok_or(FORM)?;
    let [Value::String(column), Value::String(mutator), value] = parts.as_slice() else {
        return Err(FORM);
    };
    let value = Datum::from_json(value).map_err(|_| FORM)?;
    match mutator.as_str() {
        "delete" => {
            let key = value.as_str().ok_or(FORM)?;
            let (column, key) = key_of(export, column, key)?;
            Ok(Mutation::delete(column, Datum::strings([key])))
        }
        "insert" if value.len() == 1 => {
            let value = map_of_keys(export, column, value)?;
            Ok(Mutation::insert(column.as_str(), value))
        }
        _ => Err(FORM),
    }
}

fn key_of(export: ExportTable, column: &str, key: &str) -> Result<(&'static str, &'static str), Refusal> {
    export
        .key(column, key)
        .ok_or_else(|| Refusal::column(export.table, &format!("{column}:{key}")))
}

/// A map with keys that may be written alone.
fn map_of_keys(export: ExportTable, column: &str, value: Datum) -> Result<Datum, Refusal> {
    let pairs: Vec<(&str, &str)> = value.string_pairs().collect();
    // Other pairs than of texts are not among them.
    if !matches!(value, Datum::Map(_)) || pairs.len() != value.len() || pairs.is_empty() {
        return Err(Refusal::column(export.table, column));
    }
    for (key, text) in pairs {
        let (_, key) = key_of(export, column, key)?;
        if !is_text(text) {
            return Err(Refusal::Bounds(key));
        }
    }
    Ok(value)
}

fn bounded(column: &'static str, writable: Writable, value: Datum) -> Result<Datum, Refusal> {
    match writable.takes(&value) {
        true => Ok(value),
        false => Err(Refusal::Bounds(column)),
    }
}

/// A name for a row of the same transaction, as ovsdb-server takes it.
fn is_row_name(name: &str) -> bool {
    let rest = name.strip_prefix("row");
    rest.is_some_and(|number| (1..=6).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
}

fn export_table(name: &str) -> Result<ExportTable, Refusal> {
    ExportTable::of_table(name).ok_or_else(|| Refusal::column(name, ""))
}

/// These members and no others. All are there: what lacks one is refused where it is read.
fn only(of: &Map<String, Value>, names: &[&str]) -> Result<(), Refusal> {
    match of.keys().all(|name| names.contains(&name.as_str())) {
        true => Ok(()),
        false => Err(Refusal::Operation("a member that flow export does not use")),
    }
}

fn text<'a>(of: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    let member = of.get(name).and_then(Value::as_str);
    member.ok_or(Refusal::Operation("a member is missing, or no text"))
}

fn object<'a>(of: &'a Map<String, Value>, name: &str) -> Result<&'a Map<String, Value>, Refusal> {
    let member = of.get(name).and_then(Value::as_object);
    member.ok_or(Refusal::Operation("a member is missing, or no object"))
}

fn datum(of: &Map<String, Value>, name: &str) -> Result<Datum, Refusal> {
    let member = of.get(name).and_then(|value| Datum::from_json(value).ok());
    member.ok_or(Refusal::Operation("a column is missing, or holds no value"))
}

/// A reference; none is written in one way.
fn reference(of: &Map<String, Value>, name: &str) -> Result<Datum, Refusal> {
    let to = datum(of, name)?;
    Ok(match to.is_empty() {
        true => Datum::empty(),
        false => to,
    })
}

/// `"where": [["_uuid", "==", ["uuid", …]]]`: one row, by its identity.
fn this_row(of: &Map<String, Value>) -> Result<Uuid, Refusal> {
    const FORM: Refusal = Refusal::Operation("other rows than one by its UUID");
    let conditions = of.get("where").and_then(Value::as_array).ok_or(FORM)?;
    let [Value::Array(condition)] = conditions.as_slice() else {
        return Err(FORM);
    };
    match condition.as_slice() {
        [column, function, uuid] if column == "_uuid" && function == "==" => {
            let uuid = Datum::from_json(uuid).ok().and_then(|datum| datum.as_uuid());
            uuid.ok_or(FORM)
        }
        _ => Err(FORM),
    }
}

/// `"where": []`, of the table that has one row.
fn every_row(of: &Map<String, Value>) -> Result<(), Refusal> {
    match of.get("where").and_then(Value::as_array) {
        Some(conditions) if conditions.is_empty() => Ok(()),
        _ => Err(Refusal::Operation("a condition on the switch's own row")),
    }
}
