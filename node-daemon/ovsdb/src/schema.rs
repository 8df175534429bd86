//! A database's schema (RFC 7047 section 3.2) as `get_schema` tells it. Owns no
//! rows; judges no values beyond their types.

mod column_type;

pub use column_type::{BaseType, ColumnType, Reference};

use crate::value::NotationError;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Tables and columns of one database at the server that one is connected to.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The database's name.
    pub name: String,
    /// The schema's version, `x.y.z`; empty when the server does not tell.
    pub version: String,
    /// Tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSchema {
    /// Columns by name; without `_uuid` and `_version`, which every table has.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// Whether rows live without being referenced; others are garbage-collected.
    pub is_root: bool,
    /// The most rows that it may have, when bounded.
    pub max_rows: Option<u64>,
    /// Sets of columns whose values are unique together.
    pub indexes: Vec<Vec<String>>,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSchema {
    /// What it may hold.
    pub column_type: ColumnType,
    /// Whether its content is lost when the server restarts.
    pub ephemeral: bool,
    /// Whether it can be changed after its row was inserted.
    pub mutable: bool,
}

/// A schema that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not of the shape of section 3.2.
    #[error("schema: {0}")]
    Shape(String),
    /// A column's type is not one of section 3.2.
    #[error("schema: type of column {column} of table {table}: {source}")]
    ColumnType {
        /// Table of the column.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with its type.
        source: NotationError,
    },
}

#[derive(Deserialize)]
struct WireSchema {
    name: String,
    #[serde(default)]
    version: String,
    tables: BTreeMap<String, WireTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTable {
    columns: BTreeMap<String, WireColumn>,
    #[serde(default)]
    is_root: bool,
    max_rows: Option<u64>,
    #[serde(default)]
    indexes: Vec<Vec<String>>,
}

#[derive(Deserialize)]
struct WireColumn {
    #[serde(rename = "type")]
    column_type: Value,
    #[serde(default)]
    ephemeral: bool,
    #[serde(default = "yes")]
    mutable: bool,
}

fn yes() -> bool {
    true
}

impl Schema {
    /// Reads a `<database-schema>`, the result of `get_schema`.
    ///
    /// # Errors
    /// [`SchemaError`] when it is not one.
    pub fn from_json(value: &Value) -> Result<Schema, SchemaError> {
        let wire = WireSchema::deserialize(value).map_err(|error| SchemaError::Shape(error.to_string()))?;
        let mut tables = BTreeMap::new();
        for (name, table) in wire.tables {
            let table = TableSchema::from_wire(&name, table)?;
            tables.insert(name, table);
        }
        // ovsdb/ovsdb.c: a schema that marks no root at all predates the mark.
        if tables.values().all(|table| !table.is_root) {
            tables.values_mut().for_each(|table| table.is_root = true);
        }
        Ok(Schema {
            name: wire.name,
            version: wire.version,
            tables,
        })
    }

    /// Whether the server knows this table.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether the server knows this column of this table.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        self.column(table, column).is_some()
    }

    /// The column, when the server knows it.
    pub fn column(&self, table: &str, column: &str) -> Option<&ColumnSchema> {
        self.tables.get(table)?.columns.get(column)
    }
}

impl TableSchema {
    fn from_wire(name: &str, wire: WireTable) -> Result<TableSchema, SchemaError> {
        let mut columns = BTreeMap::new();
        for (column, wire) in wire.columns {
            let column_type =
                ColumnType::from_json(&wire.column_type).map_err(|source| SchemaError::ColumnType {
                    table: name.to_owned(),
                    column: column.clone(),
                    source,
                })?;
            let schema = ColumnSchema {
                column_type,
                ephemeral: wire.ephemeral,
                mutable: wire.mutable,
            };
            columns.insert(column, schema);
        }
        let (is_root, max_rows, indexes) = (wire.is_root, wire.max_rows, wire.indexes);
        Ok(TableSchema {
            columns,
            is_root,
            max_rows,
            indexes,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
