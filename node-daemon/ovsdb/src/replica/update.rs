//! Applies `<table-updates>` (RFC 7047 section 4.1.6) and `<table-updates2>`
//! (ovsdb-server.7 section 4.1.14) to a replica.
//!
//! An update that contradicts the rows at hand is an error, never a guess: the
//! session then reads everything anew.

use super::{ColumnShape, Replica, RowData, Table, TableShape};
use crate::value::{Atom, Datum, NotationError, Uuid};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

/// How rows' changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `old` and `new` rows: replies to `monitor`, notification `update`.
    V1,
    /// `initial`, `insert`, `modify` (as a difference), `delete`: replies to
    /// `monitor_cond` and `monitor_cond_since`, notifications `update2` and `update3`.
    V2,
}

/// An update that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplicaError {
    /// Not in the notation of the protocol.
    #[error("update: {0}")]
    Notation(#[from] NotationError),
    /// A table that is not monitored.
    #[error("update of table {0:?}, which is not monitored")]
    UnknownTable(String),
    /// A column that is not monitored.
    #[error("update of column {column:?} of table {table:?}, which is not monitored")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// It does not fit the rows at hand.
    #[error("update contradicts the replica: {what} row {uuid} of table {table:?}")]
    Contradiction {
        /// The table.
        table: String,
        /// The row.
        uuid: Uuid,
        /// What the update wants.
        what: &'static str,
    },
}

enum Change<'a> {
    Insert(&'a Map<String, Value>),
    /// Version 1: the new row, and the old contents of what changed.
    Replace {
        new: &'a Map<String, Value>,
        old: &'a Map<String, Value>,
    },
    /// Version 2.
    Difference(&'a Map<String, Value>),
    Delete,
}

impl Replica {
    /// Applies `updates`; on an error some of them may be applied, so work on a clone.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn apply(&mut self, updates: &Value, format: Format) -> Result<(), ReplicaError> {
        for (name, rows) in object(updates, "updates of tables")? {
            let unknown = || ReplicaError::UnknownTable(name.clone());
            let table = Arc::make_mut(self.tables.get_mut(name).ok_or_else(unknown)?);
            for (uuid, update) in object(rows, "updates of rows")? {
                let uuid = uuid
                    .parse()
                    .map_err(|_| NotationError::new("the UUID of a row", &uuid.as_str().into()))?;
                let change = match format {
                    Format::V1 => Change::from_v1(update)?,
                    Format::V2 => Change::from_v2(update)?,
                };
                table.apply(name, uuid, change)?;
            }
        }
        Ok(())
    }
}

impl<'a> Change<'a> {
    fn from_v1(update: &'a Value) -> Result<Change<'a>, NotationError> {
        let members = object(update, "a row's update")?;
        let row = |name: &str| {
            members
                .get(name)
                .filter(|row| !row.is_null())
                .map(|row| object(row, "a row"))
        };
        match (row("old").transpose()?, row("new").transpose()?) {
            (None, Some(new)) => Ok(Change::Insert(new)),
            (Some(old), Some(new)) => Ok(Change::Replace { new, old }),
            (Some(_), None) => Ok(Change::Delete),
            (None, None) => Err(NotationError::new("an old or a new row", update)),
        }
    }

    fn from_v2(update: &'a Value) -> Result<Change<'a>, NotationError> {
        let members = object(update, "a row's update")?;
        match members.iter().next().map(|(kind, row)| (kind.as_str(), row)) {
            Some(("initial" | "insert", row)) => Ok(Change::Insert(object(row, "a row")?)),
            Some(("modify", row)) => Ok(Change::Difference(object(row, "a row")?)),
            Some(("delete", _)) => Ok(Change::Delete),
            _ => Err(NotationError::new("initial, insert, modify or delete", update)),
        }
    }
}

impl Table {
    fn apply(&mut self, name: &str, uuid: Uuid, change: Change<'_>) -> Result<(), ReplicaError> {
        let shape = self.shape.clone();
        let columns = Columns {
            table: name,
            shape: &shape,
        };
        let contradiction = |what| ReplicaError::Contradiction {
            table: name.to_owned(),
            uuid,
            what,
        };
        match (self.rows.entry(uuid), change) {
            (Entry::Vacant(row), Change::Insert(new)) => {
                row.insert(Arc::new(columns.fresh(new)?));
            }
            (Entry::Occupied(_), Change::Insert(_)) => return Err(contradiction("inserts the existing")),
            (Entry::Occupied(row), Change::Delete) => {
                row.remove();
            }
            (Entry::Occupied(mut row), Change::Difference(difference)) => {
                columns.differ(Arc::make_mut(row.get_mut()), difference)?;
            }
            (Entry::Occupied(mut row), Change::Replace { new, old }) => {
                if !columns.agree(row.get(), old)? {
                    return Err(contradiction("changes other contents of"));
                }
                columns.replace(Arc::make_mut(row.get_mut()), new)?;
            }
            (Entry::Vacant(_), Change::Delete) => return Err(contradiction("deletes the unknown")),
            (Entry::Vacant(_), _) => return Err(contradiction("changes the unknown")),
        }
        Ok(())
    }
}

/// Reads rows of one table.
struct Columns<'a> {
    table: &'a str,
    shape: &'a TableShape,
}

impl Columns<'_> {
    fn find(&self, column: &str) -> Result<(&Arc<str>, &ColumnShape), ReplicaError> {
        self.shape
            .get_key_value(column)
            .ok_or_else(|| ReplicaError::UnknownColumn {
                table: self.table.to_owned(),
                column: column.to_owned(),
            })
    }

    /// A new row: what is not written has its default.
    fn fresh(&self, new: &Map<String, Value>) -> Result<RowData, ReplicaError> {
        let defaults = self
            .shape
            .iter()
            .map(|(column, shape)| (column.clone(), shape.column_type.default_datum()));
        let mut row = RowData {
            columns: defaults.collect(),
        };
        self.replace(&mut row, new)?;
        Ok(row)
    }

    fn replace(&self, row: &mut RowData, new: &Map<String, Value>) -> Result<(), ReplicaError> {
        for (column, value) in new {
            let (column, shape) = self.find(column)?;
            row.columns.insert(column.clone(), read(value, shape)?);
        }
        Ok(())
    }

    fn agree(&self, row: &RowData, old: &Map<String, Value>) -> Result<bool, ReplicaError> {
        for (column, value) in old {
            let (column, shape) = self.find(column)?;
            if row.column(column) != Some(&read(value, shape)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn differ(&self, row: &mut RowData, difference: &Map<String, Value>) -> Result<(), ReplicaError> {
        for (column, value) in difference {
            let (column, shape) = self.find(column)?;
            let difference = read(value, shape)?;
            let old = row.columns.remove(column);
            let new = match old {
                Some(old) if shape.column_type.is_composite() => merge(old, difference),
                _ => difference,
            };
            row.columns.insert(column.clone(), new);
        }
        Ok(())
    }
}

fn read(value: &Value, shape: &ColumnShape) -> Result<Datum, NotationError> {
    Ok(shape.cut(Datum::from_json_as(value, &shape.column_type)?))
}

/// `ovsdb_datum_apply_diff` of OVS: an element on one side only stays, one on
/// both sides goes; a map's key on both sides with another value takes it.
fn merge(old: Datum, difference: Datum) -> Datum {
    match (old, difference) {
        (Datum::Set(old), Datum::Set(difference)) => {
            let in_both = |atom: &Atom, other: &[Atom]| other.binary_search(atom).is_ok();
            let kept = old.iter().filter(|atom| !in_both(atom, &difference));
            let added = difference.iter().filter(|atom| !in_both(atom, &old));
            Datum::set(kept.chain(added).cloned())
        }
        (Datum::Map(old), Datum::Map(difference)) => {
            let mut pairs: BTreeMap<Atom, Atom> = old.into_iter().collect();
            for (key, value) in difference {
                if pairs.get(&key) == Some(&value) {
                    pairs.remove(&key);
                } else {
                    pairs.insert(key, value);
                }
            }
            Datum::Map(pairs.into_iter().collect())
        }
        // Both were read with the column's type, so they are of one kind.
        (_, difference) => difference,
    }
}

fn object<'a>(value: &'a Value, expected: &'static str) -> Result<&'a Map<String, Value>, NotationError> {
    value
        .as_object()
        .ok_or_else(|| NotationError::new(expected, value))
}
