//! What is asked to be monitored, in which of the three ways, and how the
//! server's answers are read: `monitor` (RFC 7047 section 4.1.5), `monitor_cond`
//! (OVS 2.6), `monitor_cond_since` (OVS 2.12; ovsdb-server.7 sections 4.1.12 to 4.1.16).

use crate::{
    replica::{Format, Replica, TableShape},
    schema::{Schema, TableSchema},
    value::{NotationError, Uuid},
};
use jsonrpc_core::Params;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The tables and columns to follow.
///
/// What the server's schema does not have is left out, without an error: see
/// [`crate::View::schema`] for what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Monitor {
    /// Columns by table; no columns means all that the schema has.
    pub tables: BTreeMap<String, Vec<String>>,
    /// The only keys to keep of a map column, by table and column.
    pub keys: BTreeMap<(String, String), Vec<String>>,
}

impl Monitor {
    /// Nothing.
    pub fn new() -> Monitor {
        Monitor::default()
    }

    /// Adds a table with these columns.
    #[must_use]
    pub fn table<C: Into<String>>(
        mut self,
        table: impl Into<String>,
        columns: impl IntoIterator<Item = C>,
    ) -> Monitor {
        self.tables
            .insert(table.into(), columns.into_iter().map(Into::into).collect());
        self
    }

    /// Keeps these keys alone of a map of strings. The server sends all of them; the others
    /// are dropped where they are read.
    #[must_use]
    pub fn only_keys<K: Into<String>>(
        mut self,
        table: impl Into<String>,
        column: impl Into<String>,
        keys: impl IntoIterator<Item = K>,
    ) -> Monitor {
        let keys = keys.into_iter().map(Into::into).collect();
        self.keys.insert((table.into(), column.into()), keys);
        self
    }

    /// Adds a table with all of its columns.
    #[must_use]
    pub fn whole_table(self, table: impl Into<String>) -> Monitor {
        self.table(table, Vec::<String>::new())
    }
}

/// A [`Monitor`] cut down to what a schema has.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    tables: BTreeMap<String, TableShape>,
}

impl Plan {
    pub(super) fn new(monitor: &Monitor, schema: &Schema) -> Plan {
        let present = |(table, columns): (&String, &Vec<String>)| {
            let mut shape = shape(schema.tables.get(table)?, columns);
            for (column, of) in &mut shape {
                let keys = monitor.keys.get(&(table.clone(), column.to_string()));
                of.keys = keys.map(|keys| keys.as_slice().into());
            }
            Some((table.clone(), shape))
        };
        Plan {
            tables: monitor.tables.iter().filter_map(present).collect(),
        }
    }

    /// `<monitor-requests>`; of the same form for all three methods.
    pub(super) fn requests(&self) -> Value {
        let request = |shape: &TableShape| {
            let columns: Vec<&str> = shape.keys().map(AsRef::as_ref).collect();
            json!([{"columns": columns}])
        };
        let requests = self
            .tables
            .iter()
            .map(|(table, shape)| (table.clone(), request(shape)));
        Value::Object(requests.collect::<Map<_, _>>())
    }

    pub(super) fn empty_replica(&self) -> Replica {
        Replica::new(self.tables.clone())
    }
}

fn shape(table: &TableSchema, columns: &[String]) -> TableShape {
    let wanted = |name: &String| columns.is_empty() || columns.contains(name);
    let present = table.columns.iter().filter(|(name, _)| wanted(name));
    present
        .map(|(name, column)| (Arc::from(name.as_str()), column.column_type.clone().into()))
        .collect()
}

/// How to monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    CondSince,
    Cond,
    Plain,
}

/// The first rows.
pub(super) struct Initial {
    pub(super) found: bool,
    pub(super) last_transaction: Option<Uuid>,
    pub(super) updates: Value,
}

impl Method {
    pub(super) const NEWEST: Method = Method::CondSince;

    pub(super) fn name(self) -> &'static str {
        match self {
            Method::CondSince => "monitor_cond_since",
            Method::Cond => "monitor_cond",
            Method::Plain => "monitor",
        }
    }

    /// The request's id: one a method, so that answers cannot be mixed up.
    pub(super) fn id(self) -> &'static str {
        self.name()
    }

    /// What to try with a server that does not have this one.
    pub(super) fn older(self) -> Option<Method> {
        match self {
            Method::CondSince => Some(Method::Cond),
            Method::Cond => Some(Method::Plain),
            Method::Plain => None,
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Method::CondSince | Method::Cond => Format::V2,
            Method::Plain => Format::V1,
        }
    }

    pub(super) fn read_reply(self, result: Value) -> Result<Initial, NotationError> {
        if self != Method::CondSince {
            return Ok(Initial {
                found: false,
                last_transaction: None,
                updates: result,
            });
        }
        match result {
            Value::Array(members) => match <[Value; 3]>::try_from(members) {
                Ok([Value::Bool(found), id, updates]) => Ok(Initial {
                    found,
                    last_transaction: transaction(&id)?,
                    updates,
                }),
                Ok([found, ..]) => Err(NotationError::new("whether the transaction was found", &found)),
                Err(members) => Err(NotationError::new("found, last-txn-id, updates", &json!(members))),
            },
            other => Err(NotationError::new("found, last-txn-id, updates", &other)),
        }
    }
}

/// A server that does not number transactions writes zeros.
fn transaction(id: &Value) -> Result<Option<Uuid>, NotationError> {
    let wrong = || NotationError::new("a transaction id", id);
    let id: Uuid = id.as_str().ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    Ok((id != Uuid::ZERO).then_some(id))
}

/// Updates as they came, to be applied now or after the monitor's first rows.
#[derive(Debug)]
pub(super) struct Deferred {
    pub(super) updates: Value,
    pub(super) format: Format,
    pub(super) last_transaction: Option<Uuid>,
}

/// A notification that concerns our monitor.
pub(super) enum Notice {
    Update(Deferred),
    Canceled,
}

impl Notice {
    /// `None` for a notification of another kind or of another monitor.
    pub(super) fn read(method: &str, params: Params, monitor: &str) -> Result<Option<Notice>, NotationError> {
        let length = match method {
            "monitor_canceled" => 1,
            "update" | "update2" => 2,
            "update3" => 3,
            _ => return Ok(None),
        };
        let mut params = match params {
            Params::Array(params) if params.len() == length => params.into_iter(),
            other => return Err(NotationError::new("parameters of an update", &other.into())),
        };
        if params.next().as_ref().and_then(Value::as_str) != Some(monitor) {
            return Ok(None);
        }
        let last_transaction = match method {
            "update3" => transaction(&params.next().unwrap_or_default())?,
            _ => None,
        };
        let format = if method == "update" {
            Format::V1
        } else {
            Format::V2
        };
        Ok(Some(match params.next() {
            Some(updates) => Notice::Update(Deferred {
                updates,
                format,
                last_transaction,
            }),
            None => Notice::Canceled,
        }))
    }
}
