//! Where things stand in OVS's database: the tables and columns that the daemon
//! reads, and which of them belong to which protocol. Source:
//! vswitchd/vswitch.ovsschema.

use ovsdb::Monitor;
use weir_api::export::SINGLE_PASS_KEY;
use weir_api::interface::POD_KEYS;
use weir_api::{OWNER_KEY, Protocol};

use crate::cost::SWITCH_STATISTICS;

/// The database of ovs-vswitchd.
pub const DATABASE: &str = "Open_vSwitch";
/// The table with the one row for the whole switch.
pub const ROOT: &str = "Open_vSwitch";
/// The table of bridges.
pub const BRIDGE: &str = "Bridge";
/// The table of ports, of which each has one interface or, as a bond, several.
pub const PORT: &str = "Port";
/// The table of interfaces.
pub const INTERFACE: &str = "Interface";
/// The map column in which each row tells whose it is.
pub const EXTERNAL_IDS: &str = "external_ids";
/// The key with which OVN marks the interfaces of its tunnels.
pub const OVN_CHASSIS_KEY: &str = "ovn-chassis-id";
/// The map column of `IPFIX` with the sampling switches.
pub const OTHER_CONFIG: &str = "other_config";

const NET_FLOW_COLUMNS: [&str; 6] = [
    "targets",
    "engine_type",
    "engine_id",
    "add_id_to_interface",
    "active_timeout",
    EXTERNAL_IDS,
];
const S_FLOW_COLUMNS: [&str; 6] = ["targets", "agent", "sampling", "polling", "header", EXTERNAL_IDS];
const IPFIX_COLUMNS: [&str; 10] = [
    "targets",
    "sampling",
    "obs_domain_id",
    "obs_point_id",
    "cache_active_timeout",
    "cache_max_flows",
    "stats_interval",
    "template_interval",
    OTHER_CONFIG,
    EXTERNAL_IDS,
];

/// One protocol on one bridge: the place of at most one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Name of the bridge.
    pub bridge: String,
    /// The protocol.
    pub protocol: Protocol,
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.protocol, self.bridge)
    }
}

/// The table that holds a protocol's rows.
pub const fn table(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::NetFlow => "NetFlow",
        Protocol::SFlow => "sFlow",
        Protocol::Ipfix => "IPFIX",
    }
}

/// The column of `Bridge` that refers to a protocol's row.
pub const fn bridge_column(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::NetFlow => "netflow",
        Protocol::SFlow => "sflow",
        Protocol::Ipfix => "ipfix",
    }
}

/// What the daemon reads of `Interface.options`, beside which other options, such as the
/// `psk` of an encrypted tunnel, must not be held.
const TUNNEL_OPTIONS: [&str; 3] = ["remote_ip", "local_ip", "dst_port"];

/// What the daemon watches, which is what it reads and nothing more. Columns that the
/// server lacks are left out by the client.
pub fn monitor() -> Monitor {
    Monitor::new()
        .table(ROOT, ["ovs_version", "next_cfg", "cur_cfg", "statistics"])
        .only_keys(ROOT, "statistics", [SWITCH_STATISTICS])
        .table(
            BRIDGE,
            [
                "name",
                "netflow",
                "sflow",
                "ipfix",
                "datapath_type",
                "ports",
                EXTERNAL_IDS,
            ],
        )
        .only_keys(BRIDGE, EXTERNAL_IDS, [SINGLE_PASS_KEY])
        .table(PORT, ["interfaces"])
        .table(
            INTERFACE,
            ["name", "type", "ofport", "ifindex", "options", EXTERNAL_IDS],
        )
        .only_keys(INTERFACE, "options", TUNNEL_OPTIONS)
        .only_keys(
            INTERFACE,
            EXTERNAL_IDS,
            POD_KEYS.into_iter().chain([OVN_CHASSIS_KEY]),
        )
        .only_keys(table(Protocol::NetFlow), EXTERNAL_IDS, [OWNER_KEY])
        .only_keys(table(Protocol::SFlow), EXTERNAL_IDS, [OWNER_KEY])
        .only_keys(table(Protocol::Ipfix), EXTERNAL_IDS, [OWNER_KEY])
        .table(table(Protocol::NetFlow), NET_FLOW_COLUMNS)
        .table(table(Protocol::SFlow), S_FLOW_COLUMNS)
        .table(table(Protocol::Ipfix), IPFIX_COLUMNS)
}
