//! The operations of a transaction and their results (RFC 7047 section 5.2).
//! Only their notation: sending them is [`crate::session`]'s, refusals are in
//! [`crate::error`].

mod condition;

pub use condition::{Condition, Function, Mutation, Mutator};

use crate::value::{Atom, Datum, NotationError, Uuid};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Columns of a row to write, or of a row that was selected.
pub type Row = BTreeMap<String, Datum>;

/// One operation. Conditions are all to hold; none means every row.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Adds a row; columns that `row` lacks get their defaults.
    Insert {
        /// Table to add to.
        table: String,
        /// Columns that differ from the defaults.
        row: Row,
        /// Name for [`Datum::named_uuid`] in the same transaction.
        uuid_name: Option<String>,
    },
    /// Reads rows.
    Select {
        /// Table to read.
        table: String,
        /// Which rows (`where`).
        conditions: Vec<Condition>,
        /// Which columns; `None` for all, with `_uuid` and `_version`.
        columns: Option<Vec<String>>,
    },
    /// Replaces columns.
    Update {
        /// Table to change.
        table: String,
        /// Which rows (`where`).
        conditions: Vec<Condition>,
        /// New contents.
        row: Row,
    },
    /// Changes columns relative to their contents.
    Mutate {
        /// Table to change.
        table: String,
        /// Which rows (`where`).
        conditions: Vec<Condition>,
        /// Changes, in this order.
        mutations: Vec<Mutation>,
    },
    /// Deletes rows.
    Delete {
        /// Table to delete from.
        table: String,
        /// Which rows (`where`).
        conditions: Vec<Condition>,
    },
    /// Holds the transaction back until rows are so, or fails it with "timed out".
    Wait {
        /// How long; zero tests at once, `None` waits for ever. Whole milliseconds.
        timeout: Option<Duration>,
        /// Table to look at.
        table: String,
        /// Which rows (`where`).
        conditions: Vec<Condition>,
        /// Columns to compare.
        columns: Vec<String>,
        /// Whether the rows are to equal `rows` or to differ.
        until: Until,
        /// Rows to compare with.
        rows: Vec<Row>,
    },
    /// Asks for the transaction to be on disk before the reply.
    Commit {
        /// Whether to wait for the disk.
        durable: bool,
    },
    /// Makes the transaction fail.
    Abort,
    /// Text for the server's log.
    Comment {
        /// The text.
        comment: String,
    },
    /// Fails the transaction unless this client holds the lock.
    Assert {
        /// Name of the lock.
        lock: String,
    },
}

/// What a [`Operation::Wait`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The rows equal.
    Equal,
    /// The rows differ.
    NotEqual,
}

/// What an operation of a committed transaction did.
#[derive(Debug, Clone, PartialEq)]
pub enum OperationResult {
    /// An insert made this row.
    Inserted(Uuid),
    /// An update, mutate or delete touched this many rows.
    Count(u64),
    /// A select read these rows. The column types are unknown here: a real
    /// number without fraction reads as an integer.
    Rows(Vec<Row>),
    /// The operation has no result: wait, commit, comment, assert.
    Done,
}

impl Operation {
    /// An insert without a name.
    pub fn insert(table: impl Into<String>, row: Row) -> Operation {
        Operation::Insert {
            table: table.into(),
            row,
            uuid_name: None,
        }
    }

    /// An insert that the same transaction can refer to as [`Datum::named_uuid`].
    pub fn insert_named(table: impl Into<String>, row: Row, name: impl Into<String>) -> Operation {
        Operation::Insert {
            table: table.into(),
            row,
            uuid_name: Some(name.into()),
        }
    }

    /// An update.
    pub fn update(table: impl Into<String>, conditions: Vec<Condition>, row: Row) -> Operation {
        Operation::Update {
            table: table.into(),
            conditions,
            row,
        }
    }

    /// A mutate.
    pub fn mutate(
        table: impl Into<String>,
        conditions: Vec<Condition>,
        mutations: Vec<Mutation>,
    ) -> Operation {
        Operation::Mutate {
            table: table.into(),
            conditions,
            mutations,
        }
    }

    /// A delete.
    pub fn delete(table: impl Into<String>, conditions: Vec<Condition>) -> Operation {
        Operation::Delete {
            table: table.into(),
            conditions,
        }
    }

    /// A select of all columns.
    pub fn select(table: impl Into<String>, conditions: Vec<Condition>) -> Operation {
        Operation::Select {
            table: table.into(),
            conditions,
            columns: None,
        }
    }

    /// A comment.
    pub fn comment(comment: impl Into<String>) -> Operation {
        Operation::Comment {
            comment: comment.into(),
        }
    }

    /// `<operation>` in JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Operation::Insert {
                table,
                row,
                uuid_name,
            } => {
                let mut insert = json!({"op": "insert", "table": table, "row": row_to_json(row)});
                if let Some(name) = uuid_name {
                    insert["uuid-name"] = json!(name);
                }
                insert
            }
            Operation::Select {
                table,
                conditions,
                columns,
            } => {
                let mut select = json!({"op": "select", "table": table, "where": wheres(conditions)});
                if let Some(columns) = columns {
                    select["columns"] = json!(columns);
                }
                select
            }
            Operation::Update {
                table,
                conditions,
                row,
            } => {
                json!({"op": "update", "table": table, "where": wheres(conditions), "row": row_to_json(row)})
            }
            Operation::Mutate {
                table,
                conditions,
                mutations,
            } => {
                let mutations: Vec<Value> = mutations.iter().map(Mutation::to_json).collect();
                json!({"op": "mutate", "table": table, "where": wheres(conditions), "mutations": mutations})
            }
            Operation::Delete { table, conditions } => {
                json!({"op": "delete", "table": table, "where": wheres(conditions)})
            }
            Operation::Wait { .. } => self.wait_to_json(),
            Operation::Commit { durable } => json!({"op": "commit", "durable": durable}),
            Operation::Abort => json!({"op": "abort"}),
            Operation::Comment { comment } => json!({"op": "comment", "comment": comment}),
            Operation::Assert { lock } => json!({"op": "assert", "lock": lock}),
        }
    }

    fn wait_to_json(&self) -> Value {
        let Operation::Wait {
            timeout,
            table,
            conditions,
            columns,
            until,
            rows,
        } = self
        else {
            return Value::Null;
        };
        let mut wait = json!({
            "op": "wait",
            "table": table,
            "where": wheres(conditions),
            "columns": columns,
            "until": match until { Until::Equal => "==", Until::NotEqual => "!=" },
            "rows": rows.iter().map(row_to_json).collect::<Vec<_>>(),
        });
        if let Some(timeout) = timeout {
            wait["timeout"] = json!(i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX));
        }
        wait
    }
}

impl OperationResult {
    /// The row that an insert made.
    pub fn inserted(&self) -> Option<Uuid> {
        match self {
            OperationResult::Inserted(uuid) => Some(*uuid),
            _ => None,
        }
    }

    /// Reads the result of an operation that did not fail.
    ///
    /// # Errors
    /// [`NotationError`] when it has none of the forms of section 5.2.
    pub fn from_json(value: &Value) -> Result<OperationResult, NotationError> {
        let wrong = || NotationError::new("the result of an operation", value);
        let members = value.as_object().ok_or_else(wrong)?;
        if let Some(uuid) = members.get("uuid") {
            let uuid = Atom::from_json(uuid)?.as_uuid().ok_or_else(wrong)?;
            return Ok(OperationResult::Inserted(uuid));
        }
        if let Some(count) = members.get("count") {
            return Ok(OperationResult::Count(count.as_u64().ok_or_else(wrong)?));
        }
        if let Some(rows) = members.get("rows") {
            let rows = rows.as_array().ok_or_else(wrong)?.iter().map(row_from_json);
            return Ok(OperationResult::Rows(rows.collect::<Result<_, _>>()?));
        }
        Ok(OperationResult::Done)
    }
}

fn wheres(conditions: &[Condition]) -> Value {
    Value::Array(conditions.iter().map(Condition::to_json).collect())
}

fn row_to_json(row: &Row) -> Value {
    Value::Object(
        row.iter()
            .map(|(column, datum)| (column.clone(), datum.to_json()))
            .collect::<Map<_, _>>(),
    )
}

fn row_from_json(value: &Value) -> Result<Row, NotationError> {
    let members = value
        .as_object()
        .ok_or_else(|| NotationError::new("a row", value))?;
    members
        .iter()
        .map(|(column, datum)| Ok((column.clone(), Datum::from_json(datum)?)))
        .collect()
}

#[cfg(test)]
mod tests;
