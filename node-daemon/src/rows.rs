//! Settings <-> rows of `NetFlow`, `sFlow` and `IPFIX`. Pure. What depends on
//! OVS's version is asked of [`crate::quirks`].

use std::collections::BTreeMap;

use ovsdb::{Datum, RowData};
use weir_api::{
    BridgeExport, IpfixExport, NetFlowExport, NodeFlowExportSpec, OWNER_KEY, Protocol, SFlowExport,
};

use crate::quirks::{self, Dialect};
use crate::tables::{EXTERNAL_IDS, OTHER_CONFIG, Slot, table};

const INPUT_SAMPLING: &str = "enable-input-sampling";
const OUTPUT_SAMPLING: &str = "enable-output-sampling";
const TUNNEL_SAMPLING: &str = "enable-tunnel-sampling";
/// The key of `IPFIX.other_config` that changes the form of the records.
pub const VIRTUAL_OBS_ID: &str = "virtual_obs_id";

/// What one row must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowSpec {
    /// Columns that are ours as a whole.
    pub columns: BTreeMap<&'static str, Datum>,
    /// Keys of map columns that are ours; `None`: there must be no such key. Keys
    /// that are not named here belong to others and stay as they are.
    pub keys: BTreeMap<MapKey, Option<String>>,
}

/// A key of a map column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MapKey {
    /// The column.
    pub column: &'static str,
    /// The key in it.
    pub key: &'static str,
}

/// All rows that a node must have.
pub type DesiredRows = BTreeMap<Slot, RowSpec>;

/// The rows that a spec asks for. A protocol without targets is not exported.
pub fn desired_rows(spec: &NodeFlowExportSpec, dialect: &Dialect, node: &str) -> DesiredRows {
    let mut rows = DesiredRows::new();
    for bridge in &spec.bridges {
        for protocol in Protocol::ALL {
            let Some(mut row) = desired_row(bridge, protocol, dialect) else {
                continue;
            };
            row.key(EXTERNAL_IDS, OWNER_KEY, Some(node));
            row.drop_absent(table(protocol), dialect);
            let bridge = bridge.name.clone();
            rows.insert(Slot { bridge, protocol }, row);
        }
    }
    rows
}

fn desired_row(bridge: &BridgeExport, protocol: Protocol, dialect: &Dialect) -> Option<RowSpec> {
    if bridge.targets(protocol)?.is_empty() {
        return None;
    }
    match protocol {
        Protocol::NetFlow => bridge.net_flow.as_ref().map(net_flow_row),
        Protocol::SFlow => bridge.s_flow.as_ref().map(s_flow_row),
        Protocol::Ipfix => bridge.ipfix.as_ref().and_then(|x| ipfix_row(x, dialect)),
    }
}

fn net_flow_row(export: &NetFlowExport) -> RowSpec {
    let mut row = RowSpec::default();
    row.column("targets", Datum::strings(&export.targets));
    row.column("engine_type", optional(export.engine_type));
    row.column("engine_id", optional(export.engine_id));
    row.column("add_id_to_interface", export.add_id_to_interface.unwrap_or(false));
    row.column("active_timeout", quirks::active_timeout(export.active_timeout));
    row
}

fn s_flow_row(export: &SFlowExport) -> RowSpec {
    let mut row = RowSpec::default();
    row.column("targets", Datum::strings(&export.targets));
    row.column("agent", Datum::strings(&export.agent));
    row.column("sampling", optional(export.sampling));
    row.column("polling", optional(export.polling));
    row.column("header", optional(export.header));
    row
}

fn ipfix_row(export: &IpfixExport, dialect: &Dialect) -> Option<RowSpec> {
    let mut row = RowSpec::default();
    row.column("sampling", optional(quirks::ipfix_sampling(export.sampling)?));
    row.column("targets", Datum::strings(&export.targets));
    row.column("obs_domain_id", optional(export.obs_domain_id));
    row.column("obs_point_id", optional(export.obs_point_id));
    row.column("cache_active_timeout", optional(export.cache_active_timeout));
    row.column("cache_max_flows", optional(export.cache_max_flows));
    row.column("stats_interval", optional(export.stats_interval));
    row.column("template_interval", optional(export.template_interval));
    let switches = [
        (
            INPUT_SAMPLING,
            dialect.sampling_switch(export.enable_input_sampling),
        ),
        (
            OUTPUT_SAMPLING,
            dialect.sampling_switch(export.enable_output_sampling),
        ),
        (
            TUNNEL_SAMPLING,
            quirks::tunnel_switch(export.enable_tunnel_sampling),
        ),
        (VIRTUAL_OBS_ID, export.virtual_obs_id.as_deref()),
    ];
    for (key, value) in switches {
        row.key(OTHER_CONFIG, key, value);
    }
    Some(row)
}

impl RowSpec {
    fn column(&mut self, name: &'static str, value: impl Into<Datum>) {
        self.columns.insert(name, value.into());
    }

    fn key(&mut self, column: &'static str, key: &'static str, value: Option<&str>) {
        self.keys.insert(MapKey { column, key }, value.map(str::to_owned));
    }

    fn drop_absent(&mut self, table: &str, dialect: &Dialect) {
        self.columns.retain(|column, _| dialect.has_column(table, column));
        self.keys.retain(|key, _| dialect.has_column(table, key.column));
    }
}

fn optional<N: Into<i64>>(value: Option<N>) -> Datum {
    value.map_or_else(Datum::empty, |n| Datum::from(n.into()))
}

/// NetFlow settings that a row puts in force.
pub fn read_net_flow(row: &RowData) -> NetFlowExport {
    NetFlowExport {
        targets: targets(row),
        active_timeout: integer(row, "active_timeout").map(quirks::active_timeout_in_force),
        engine_type: number(row, "engine_type"),
        engine_id: number(row, "engine_id"),
        add_id_to_interface: row.column("add_id_to_interface").and_then(Datum::as_bool),
    }
}

/// sFlow settings that a row puts in force.
pub fn read_s_flow(row: &RowData) -> SFlowExport {
    SFlowExport {
        targets: targets(row),
        agent: row.str("agent").map(str::to_owned),
        sampling: number(row, "sampling"),
        polling: number(row, "polling"),
        header: number(row, "header"),
    }
}

/// IPFIX settings that a row puts in force. The switches are always told, since
/// their absence has a meaning that depends on nothing else.
pub fn read_ipfix(row: &RowData, dialect: &Dialect) -> IpfixExport {
    let config = |key| row.map_get(OTHER_CONFIG, key);
    IpfixExport {
        targets: targets(row),
        sampling: number(row, "sampling"),
        obs_domain_id: number(row, "obs_domain_id"),
        obs_point_id: number(row, "obs_point_id"),
        cache_active_timeout: number(row, "cache_active_timeout"),
        cache_max_flows: number(row, "cache_max_flows"),
        stats_interval: number(row, "stats_interval"),
        template_interval: number(row, "template_interval"),
        enable_input_sampling: Some(dialect.sampling_in_force(config(INPUT_SAMPLING))),
        enable_output_sampling: Some(dialect.sampling_in_force(config(OUTPUT_SAMPLING))),
        enable_tunnel_sampling: Some(quirks::tunnel_in_force(config(TUNNEL_SAMPLING))),
        virtual_obs_id: config(VIRTUAL_OBS_ID).map(str::to_owned),
        interface_names: Vec::new(),
    }
}

fn targets(row: &RowData) -> Vec<String> {
    let targets = row.column("targets").into_iter().flat_map(Datum::as_strings);
    targets.map(str::to_owned).collect()
}

fn integer(row: &RowData, column: &str) -> Option<i64> {
    row.column(column).and_then(Datum::as_integer)
}

/// sFlow's columns have no range: what fits no setting of ours is not told.
fn number<N: TryFrom<i64>>(row: &RowData, column: &str) -> Option<N> {
    integer(row, column).and_then(|n| n.try_into().ok())
}

#[cfg(test)]
mod tests;
