//! What a new row has where nothing is written (RFC 7047 section 5.2.1), by the schema of
//! the Open vSwitch that is installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Where Debian has it.
pub const INSTALLED: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A database's schema.
#[derive(Debug)]
pub struct Schema {
    /// As `get_schema` answers it, in JSON.
    pub text: String,
    defaults: BTreeMap<String, Map<String, Value>>,
}

impl Schema {
    /// Reads it.
    ///
    /// # Errors
    /// The file cannot be read, or is no schema.
    pub fn read(path: &Path) -> Result<Arc<Self>> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let json: Value = serde_json::from_str(&text)?;
        let tables = json["tables"].as_object().context("a schema has tables")?;
        let row = |table: &Value| -> Map<String, Value> {
            let columns = table["columns"].as_object().into_iter().flatten();
            columns
                .map(|(name, column)| (name.clone(), default_of(&column["type"])))
                .collect()
        };
        let defaults = tables
            .iter()
            .map(|(name, table)| (name.clone(), row(table)))
            .collect();
        let text = json.to_string();
        Ok(Arc::new(Self { text, defaults }))
    }

    /// A row of that table with nothing written.
    pub fn row(&self, table: &str) -> Map<String, Value> {
        self.defaults.get(table).cloned().unwrap_or_default()
    }
}

fn default_of(kind: &Value) -> Value {
    if kind.get("value").is_some() {
        return json!(["map", []]);
    }
    if kind["min"] == 0 {
        return json!(["set", []]);
    }
    let key = kind.get("key").unwrap_or(kind);
    match key.get("type").unwrap_or(key).as_str() {
        Some("integer" | "real") => json!(0),
        Some("boolean") => json!(false),
        Some("uuid") => json!(["uuid", "00000000-0000-0000-0000-000000000000"]),
        _ => json!(""),
    }
}
