//! The monitored rows: applies updates, answers reads. Does no I/O and knows no
//! schema beyond the types of the columns that it was made for.
//!
//! A clone costs a counter per table; a change after it copies the changed
//! table's index and the changed rows, nothing else.

mod update;

pub use update::{Format, ReplicaError};

use crate::{
    operation::Row,
    schema::ColumnType,
    value::{Datum, Uuid},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Columns that a replica has of one table.
pub type TableShape = BTreeMap<Arc<str>, ColumnShape>;

/// What a replica has of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnShape {
    /// Its type.
    pub column_type: ColumnType,
    /// The only keys of a map of strings that are kept; `None`: all. The server sends a
    /// column as a whole, and what nobody asked for may be a secret.
    pub keys: Option<Arc<[String]>>,
}

impl From<ColumnType> for ColumnShape {
    /// All of it.
    fn from(column_type: ColumnType) -> ColumnShape {
        ColumnShape {
            column_type,
            keys: None,
        }
    }
}

impl ColumnShape {
    /// Drops what is not kept. Of a difference, too: it speaks of each key by itself.
    fn cut(&self, datum: Datum) -> Datum {
        match (&self.keys, datum) {
            (Some(keys), Datum::Map(mut pairs)) => {
                pairs.retain(|(key, _)| key.as_str().is_some_and(|key| keys.iter().any(|k| k == key)));
                Datum::Map(pairs)
            }
            (_, datum) => datum,
        }
    }
}

/// Monitored rows of monitored tables.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    tables: BTreeMap<String, Arc<Table>>,
}

/// Monitored rows of one table.
#[derive(Debug, Clone, Default)]
struct Table {
    shape: Arc<TableShape>,
    rows: BTreeMap<Uuid, Arc<RowData>>,
}

/// Monitored columns of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowData {
    columns: BTreeMap<Arc<str>, Datum>,
}

impl Replica {
    /// No rows, of tables with these columns.
    pub fn new(tables: impl IntoIterator<Item = (String, TableShape)>) -> Replica {
        let empty = |shape| {
            Arc::new(Table {
                shape: Arc::new(shape),
                rows: BTreeMap::new(),
            })
        };
        Replica {
            tables: tables
                .into_iter()
                .map(|(name, shape)| (name, empty(shape)))
                .collect(),
        }
    }

    /// A replica with these rows, for callers' tests: it takes no updates.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = (&'a str, Uuid, Row)>) -> Replica {
        let mut replica = Replica::default();
        for (table, uuid, row) in rows {
            let columns = row
                .into_iter()
                .map(|(column, datum)| (Arc::from(column), datum))
                .collect();
            let table = replica.tables.entry(table.to_owned()).or_default();
            Arc::make_mut(table)
                .rows
                .insert(uuid, Arc::new(RowData { columns }));
        }
        replica
    }

    /// Names of the monitored tables that the server has.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// The rows of a table in the order of their UUIDs; none of an unknown table.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = (Uuid, &Arc<RowData>)> {
        self.tables
            .get(table)
            .into_iter()
            .flat_map(|table| &table.rows)
            .map(|(uuid, row)| (*uuid, row))
    }

    /// One row.
    pub fn row(&self, table: &str, uuid: Uuid) -> Option<&Arc<RowData>> {
        self.tables.get(table)?.rows.get(&uuid)
    }

    /// The first row whose column is this one string; reads all rows.
    pub fn find(&self, table: &str, column: &str, text: &str) -> Option<(Uuid, &Arc<RowData>)> {
        self.rows(table).find(|(_, row)| row.str(column) == Some(text))
    }

    /// How many rows a table has.
    pub fn row_count(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, |table| table.rows.len())
    }

    /// Whether both replicas' rows of this table are the same; cheap when
    /// nothing has touched the table between two clones.
    pub fn same_table(&self, other: &Replica, table: &str) -> bool {
        match (self.tables.get(table), other.tables.get(table)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a.rows == b.rows,
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

impl PartialEq for Replica {
    /// Same tables with the same rows; shapes do not count.
    fn eq(&self, other: &Replica) -> bool {
        let tables: BTreeSet<&str> = self.tables().chain(other.tables()).collect();
        tables.into_iter().all(|table| self.same_table(other, table))
    }
}

impl RowData {
    /// A column's content; `None` when it is not monitored or the server lacks it.
    pub fn column(&self, column: &str) -> Option<&Datum> {
        self.columns.get(column)
    }

    /// A column's only string.
    pub fn str(&self, column: &str) -> Option<&str> {
        self.column(column)?.as_str()
    }

    /// The string that a column holds under a key.
    pub fn map_get(&self, column: &str, key: &str) -> Option<&str> {
        self.column(column)?.map_get(key)
    }

    /// The rows that a column names.
    pub fn uuids(&self, column: &str) -> impl Iterator<Item = Uuid> + '_ {
        self.column(column).into_iter().flat_map(Datum::uuids)
    }

    /// All columns in the order of their names.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Datum)> {
        self.columns
            .iter()
            .map(|(column, datum)| (column.as_ref(), datum))
    }

    /// A copy to write or compare.
    pub fn to_row(&self) -> Row {
        self.columns()
            .map(|(column, datum)| (column.to_owned(), datum.clone()))
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests;
