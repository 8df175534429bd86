//! For tests: a small schema, and a model of an OVSDB server that carries out
//! the operations that the daemon uses, garbage collection included.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ovsdb::{
    Atom, Condition, Datum, Function, Mutation, Mutator, Operation, OperationResult, Replica, Row, Schema,
    Uuid,
};
use serde_json::json;
use weir_api::{BridgeExport, IpfixExport, NetFlowExport, NodeFlowExportSpec, Protocol, SFlowExport};

use crate::quirks::Dialect;
use crate::tables::{BRIDGE, ROOT, bridge_column, table};

/// The tables of OVS 3.1 that matter, with more columns in `IPFIX` if wanted.
pub fn schema(more: &[&str]) -> Arc<Schema> {
    let columns = |names: &[&str]| -> serde_json::Value {
        let column = |name: &&str| ((*name).to_owned(), json!({"type": "string"}));
        serde_json::Value::Object(names.iter().map(column).collect())
    };
    let mut ipfix = vec![
        "targets",
        "sampling",
        "obs_domain_id",
        "obs_point_id",
        "cache_active_timeout",
        "cache_max_flows",
        "other_config",
        "external_ids",
    ];
    ipfix.extend(more);
    let tables = json!({
        "Open_vSwitch": {"columns": columns(&["ovs_version", "next_cfg", "cur_cfg"]), "isRoot": true},
        "Bridge": {"columns": columns(&["name", "netflow", "sflow", "ipfix"])},
        "NetFlow": {"columns": columns(&[
            "targets", "engine_type", "engine_id", "add_id_to_interface", "active_timeout", "external_ids",
        ])},
        "sFlow": {"columns": columns(&[
            "targets", "agent", "sampling", "polling", "header", "external_ids",
        ])},
        "IPFIX": {"columns": columns(&ipfix)},
    });
    let schema = json!({"name": "Open_vSwitch", "version": "8.3.1", "tables": tables});
    Arc::new(Schema::from_json(&schema).unwrap())
}

/// OVS 3.1, with its inverted switches.
pub fn old_dialect() -> Dialect {
    Dialect::new(schema(&[]), Some("3.1.0"))
}

/// A newer OVS.
pub fn new_dialect() -> Dialect {
    Dialect::new(schema(&["stats_interval", "template_interval"]), Some("3.7.0"))
}

/// A bridge with these protocols and this target.
pub fn bridge(name: &str, protocols: &[Protocol], target: &str) -> BridgeExport {
    let has = |protocol| protocols.contains(&protocol);
    let targets = vec![target.to_owned()];
    BridgeExport {
        name: name.to_owned(),
        exporter_id: 7,
        net_flow: has(Protocol::NetFlow).then(|| NetFlowExport {
            targets: targets.clone(),
            active_timeout: Some(60),
            engine_id: Some(7),
            ..Default::default()
        }),
        s_flow: has(Protocol::SFlow).then(|| SFlowExport {
            targets: targets.clone(),
            agent: Some("192.0.2.1".to_owned()),
            ..Default::default()
        }),
        ipfix: has(Protocol::Ipfix).then(|| IpfixExport {
            targets,
            sampling: Some(400),
            template_interval: Some(60),
            enable_output_sampling: Some(false),
            ..Default::default()
        }),
    }
}

/// A spec of these bridges.
pub fn spec(bridges: Vec<BridgeExport>) -> NodeFlowExportSpec {
    NodeFlowExportSpec {
        bridges,
        ..Default::default()
    }
}

/// Rows of a database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    tables: BTreeMap<String, BTreeMap<Uuid, Row>>,
    made: u128,
}

impl Model {
    /// A switch that has run, with these bridges.
    pub fn with_bridges(names: &[&str]) -> Self {
        let mut model = Self::default();
        model.insert(ROOT, row([("next_cfg", 1_i64), ("cur_cfg", 1)]));
        for name in names {
            model.add_bridge(name);
        }
        model
    }

    pub fn add_bridge(&mut self, name: &str) -> Uuid {
        self.insert(BRIDGE, row([("name", name)]))
    }

    pub fn insert(&mut self, table: &str, row: Row) -> Uuid {
        self.made += 1;
        let uuid = Uuid::from_u128(self.made);
        self.tables.entry(table.to_owned()).or_default().insert(uuid, row);
        uuid
    }

    pub fn set(&mut self, table: &str, uuid: Uuid, column: &str, value: impl Into<Datum>) {
        let row = self.tables.get_mut(table).and_then(|t| t.get_mut(&uuid)).unwrap();
        row.insert(column.to_owned(), value.into());
        self.collect_garbage();
    }

    /// A row on a bridge that nobody has marked.
    pub fn add_foreign(&mut self, bridge: &str, protocol: Protocol, target: &str) -> Uuid {
        let uuid = self.insert(table(protocol), row([("targets", target)]));
        let on = self.bridge(bridge);
        self.set(BRIDGE, on, bridge_column(protocol), uuid);
        uuid
    }

    pub fn bridge(&self, name: &str) -> Uuid {
        let named = |row: &Row| row.get("name").and_then(Datum::as_str) == Some(name);
        let (uuid, _) = self.tables[BRIDGE].iter().find(|(_, row)| named(row)).unwrap();
        *uuid
    }

    /// The row that a bridge refers to.
    pub fn on(&self, bridge: &str, protocol: Protocol) -> Option<(Uuid, &Row)> {
        let uuid = self.tables[BRIDGE][&self.bridge(bridge)]
            .get(bridge_column(protocol))?
            .as_uuid()?;
        Some((uuid, &self.tables[table(protocol)][&uuid]))
    }

    pub fn rows(&self, table: &str) -> usize {
        self.tables.get(table).map_or(0, BTreeMap::len)
    }

    pub fn replica(&self) -> Replica {
        let rows = self.tables.iter();
        Replica::from_rows(
            rows.flat_map(|(table, rows)| rows.iter().map(|(u, row)| (table.as_str(), *u, row.clone()))),
        )
    }

    /// All or nothing, as the server does.
    pub fn apply(&mut self, operations: &[Operation]) -> Result<Vec<OperationResult>, String> {
        let mut after = self.clone();
        let mut names = BTreeMap::new();
        let results: Result<Vec<_>, String> = operations
            .iter()
            .map(|operation| after.carry_out(operation, &mut names))
            .collect();
        let results = results?;
        after.collect_garbage();
        *self = after;
        Ok(results)
    }

    fn carry_out(
        &mut self,
        operation: &Operation,
        names: &mut BTreeMap<String, Uuid>,
    ) -> Result<OperationResult, String> {
        match operation {
            Operation::Comment { .. } => {}
            Operation::Insert {
                table,
                row,
                uuid_name,
            } => {
                let uuid = self.insert(table, row.clone());
                names.extend(uuid_name.clone().map(|name| (name, uuid)));
            }
            Operation::Update {
                table,
                conditions,
                row,
            } => {
                for uuid in self.matching(table, conditions) {
                    for (column, datum) in row {
                        self.set_raw(table, uuid, column, resolve(datum, names));
                    }
                }
            }
            Operation::Mutate {
                table,
                conditions,
                mutations,
            } => {
                for uuid in self.matching(table, conditions) {
                    for mutation in mutations {
                        self.mutate(table, uuid, mutation);
                    }
                }
            }
            Operation::Wait {
                table,
                conditions,
                columns,
                rows,
                ..
            } => {
                let found = self.matching(table, conditions);
                let pick = |uuid: &Uuid| -> Vec<Datum> {
                    let row = &self.tables[table][uuid];
                    columns
                        .iter()
                        .map(|c| row.get(c).cloned().unwrap_or_else(Datum::empty))
                        .collect()
                };
                let found: Vec<_> = found.iter().map(pick).collect();
                let wanted: Vec<Vec<_>> = rows
                    .iter()
                    .map(|row| columns.iter().map(|c| row[c].clone()).collect())
                    .collect();
                if found != wanted {
                    return Err("timed out".to_owned());
                }
            }
            Operation::Select { table, .. } => {
                let rows = self.tables.get(table).into_iter().flatten();
                return Ok(OperationResult::Rows(rows.map(|(_, r)| r.clone()).collect()));
            }
            other => return Err(format!("not modelled: {other:?}")),
        }
        Ok(OperationResult::Done)
    }

    fn matching(&self, table: &str, conditions: &[Condition]) -> Vec<Uuid> {
        let rows = self.tables.get(table).into_iter().flatten().map(|(u, _)| *u);
        rows.filter(|uuid| {
            conditions.iter().all(|c| {
                assert_eq!((c.column.as_str(), c.function), ("_uuid", Function::Equal));
                c.value.as_uuid() == Some(*uuid)
            })
        })
        .collect()
    }

    fn set_raw(&mut self, table: &str, uuid: Uuid, column: &str, value: Datum) {
        let row = self.tables.get_mut(table).and_then(|t| t.get_mut(&uuid)).unwrap();
        row.insert(column.to_owned(), value);
    }

    fn mutate(&mut self, table: &str, uuid: Uuid, mutation: &Mutation) {
        let is = self.tables[table][&uuid].get(&mutation.column).cloned();
        let is = is.unwrap_or_else(Datum::empty);
        let pairs = || {
            is.string_pairs()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let value = match mutation.mutator {
            Mutator::Add => Datum::from(is.as_integer().unwrap_or(0) + mutation.value.as_integer().unwrap()),
            Mutator::Delete => {
                let mut pairs = pairs();
                pairs.retain(|key, _| mutation.value.as_strings().all(|gone| gone != key));
                Datum::string_map(pairs)
            }
            Mutator::Insert => {
                let mut pairs = pairs();
                for (key, value) in mutation.value.string_pairs() {
                    pairs.entry(key.to_owned()).or_insert(value.to_owned());
                }
                Datum::string_map(pairs)
            }
            other => panic!("not modelled: {other:?}"),
        };
        self.set_raw(table, uuid, &mutation.column, value);
    }

    fn collect_garbage(&mut self) {
        let bridges = self.tables.get(BRIDGE).cloned().unwrap_or_default();
        for protocol in Protocol::ALL {
            let column = bridge_column(protocol);
            let referred: BTreeSet<Uuid> = bridges
                .values()
                .filter_map(|b| b.get(column)?.as_uuid())
                .collect();
            if let Some(rows) = self.tables.get_mut(table(protocol)) {
                rows.retain(|uuid, _| referred.contains(uuid));
            }
        }
    }
}

/// Columns of a row.
pub fn row<V: Into<Datum>>(columns: impl IntoIterator<Item = (&'static str, V)>) -> Row {
    columns
        .into_iter()
        .map(|(column, value)| (column.to_owned(), value.into()))
        .collect()
}

fn resolve(datum: &Datum, names: &BTreeMap<String, Uuid>) -> Datum {
    match datum.as_atom() {
        Some(Atom::NamedUuid(name)) => Datum::from(names[name]),
        _ => datum.clone(),
    }
}
