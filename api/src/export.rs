//! `NodeFlowExport` (`weir.dev/v1alpha1`): one a node, named after it.
//!
//! Spec is exactly what that node must program (writer: the controller); status
//! is what the node's OVSDB replica shows (writer: the node daemon). The same
//! settings types serve both, so that the two can be compared.

use std::collections::{BTreeMap, BTreeSet};

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Protocol;
use crate::condition::Condition;
use crate::network::conditions_schema;

/// Rows match the spec. Reasons: [`reason`].
pub const APPLIED: &str = "Applied";
/// ovs-vswitchd has taken the rows over and has somewhere to send to.
pub const EXPORTING: &str = "Exporting";
/// An ovs-vswitchd runs. Not set where there is no telling: the database is not on this host.
pub const SWITCH_ALIVE: &str = "SwitchAlive";
/// The export is coarser than asked, to stay within its budget. Only set with a budget.
pub const THROTTLED: &str = "Throttled";
/// The gate to OVSDB has refused requests of late, whoever sent them. Only set where there is a
/// gate.
pub const GATE_REFUSED: &str = "GateRefused";
/// Rows of somebody else stand where ours should.
pub const CONFLICT: &str = "Conflict";

/// Reasons of the conditions of a `NodeFlowExport`.
pub mod reason {
    /// Everything that the spec asks for is in place.
    pub const APPLIED: &str = "Applied";
    /// Nothing is configured, and nothing is in place.
    pub const NO_COLLECTORS: &str = "NoCollectors";
    /// The OVSDB server cannot be reached; the message says why.
    pub const OVSDB_UNREACHABLE: &str = "OvsdbUnreachable";
    /// The spec has fields that this version of the node daemon does not know.
    pub const UNKNOWN_FIELDS: &str = "UnknownFields";
    /// The spec has values with which export would feed itself, or that Open vSwitch does not
    /// take; they are put right.
    pub const UNSAFE_VALUES: &str = "UnsafeValues";
    /// The spec cannot be read by this version of the node daemon; the one before it counts.
    pub const SPEC_UNREADABLE: &str = "SpecUnreadable";
    /// A bridge of the spec does not exist on this node.
    pub const BRIDGE_MISSING: &str = "BridgeMissing";
    /// OVSDB refused the transaction; the message holds its words.
    pub const TRANSACTION_FAILED: &str = "TransactionFailed";
    /// The change was sent and is not confirmed yet.
    pub const PENDING: &str = "Pending";
    /// Rows of somebody else are in the way and `conflictPolicy` is `Refuse`.
    pub const FOREIGN_ROW: &str = "ForeignRow";
    /// Rows of somebody else were taken over.
    pub const ADOPTED: &str = "Adopted";
    /// No row of somebody else is in the way.
    pub const NO_CONFLICT: &str = "NoConflict";
    /// ovs-vswitchd has not taken the configuration over.
    pub const SWITCH_NOT_RESPONDING: &str = "SwitchNotResponding";
    /// ovs-vswitchd runs.
    pub const SWITCH_RUNNING: &str = "SwitchRunning";
    /// ovs-vswitchd does not run.
    pub const SWITCH_NOT_RUNNING: &str = "SwitchNotRunning";
    /// ovs-vswitchd takes rows over and does not hold the lock on the pid file that is there.
    pub const PID_FILE_NOT_LOCKED: &str = "PidFileNotLocked";
    /// There is no pid file of ovs-vswitchd that would tell.
    pub const NO_PID_FILE: &str = "NoPidFile";
    /// The export costs no more than its budget.
    pub const WITHIN_BUDGET: &str = "WithinBudget";
    /// A figure that the budget bounds is not known.
    pub const COST_UNKNOWN: &str = "CostUnknown";
    /// All that is asked for is suspended, to stay within the budget.
    pub const THROTTLED: &str = "Throttled";
    /// ovs-vswitchd takes more processor time than the budget.
    pub const PROCESSOR_OVER_BUDGET: &str = "ProcessorOverBudget";
    /// The switch loses more packets than the budget.
    pub const LOST_OVER_BUDGET: &str = "LostOverBudget";
    /// OVS disables sFlow when it finds no agent address.
    pub const SFLOW_AGENT_MISSING: &str = "SFlowAgentMissing";
    /// The gate refused requests that flow export does not send.
    pub const REQUESTS_REFUSED: &str = "RequestsRefused";
    /// It refused nothing of late.
    pub const NOTHING_REFUSED: &str = "NothingRefused";
    /// Records leave the node.
    pub const EXPORTING: &str = "Exporting";
}

/// What to do with a NetFlow, sFlow or IPFIX row that somebody else created.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ConflictPolicy {
    /// Leave it alone and say so; that protocol is not exported by Weir there.
    #[default]
    Refuse,
    /// Make it Weir's: it is changed in place, and removed with the collectors.
    Adopt,
}

/// What the export of a node may cost.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Processor time of ovs-vswitchd as a whole, in thousandths of a processor; known only
    /// with `other_config:enable-statistics=true` in OVSDB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vswitchd_millicores: Option<u32>,
    /// Packets that the datapath could not pass up to ovs-vswitchd, a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_per_second: Option<u32>,
    /// What is done about it.
    #[serde(default)]
    pub action: BudgetAction,
    /// The coarsest sampling to go to, one packet in so many (default 100000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub floor: Option<u32>,
}

/// What is done when the export costs more than its budget.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum BudgetAction {
    /// Condition `Throttled` says so.
    #[default]
    Report,
    /// Sampling gets coarser, and NetFlow, which cannot be sampled, is suspended.
    Throttle,
}

impl Budget {
    /// The coarsest sampling to go to.
    pub fn floor(&self) -> u32 {
        self.floor.unwrap_or(100_000).max(1)
    }
}

/// Flow export of one node.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "NodeFlowExport",
    plural = "nodeflowexports",
    singular = "nodeflowexport",
    shortname = "nfe",
    status = "NodeFlowExportStatus",
    doc = "Flow export of one node: what it must program (spec) and what its OVSDB shows (status).",
    printcolumn(name = "Protocols", type_ = "string", json_path = ".status.protocols"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].status"
    ),
    printcolumn(
        name = "Exporting",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Exporting\")].status"
    ),
    printcolumn(
        name = "Switch",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"SwitchAlive\")].status",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason"),
    printcolumn(
        name = "OVS",
        type_ = "string",
        json_path = ".status.ovsVersion",
        priority = 1
    ),
    printcolumn(
        name = "Millicores",
        type_ = "integer",
        json_path = ".status.cost.vswitchdMillicores",
        priority = 1
    ),
    printcolumn(
        name = "Before",
        type_ = "integer",
        json_path = ".status.cost.before.vswitchdMillicores",
        description = "Millicores before the last change",
        priority = 1
    ),
    printcolumn(
        name = "Datagrams/s",
        type_ = "integer",
        json_path = ".status.cost.datagramsPerSecond",
        priority = 1
    ),
    printcolumn(
        name = "Errors/s",
        type_ = "integer",
        json_path = ".status.cost.sendErrorsPerSecond",
        priority = 1
    ),
    printcolumn(
        name = "Lost/s",
        type_ = "integer",
        json_path = ".status.cost.lostPerSecond",
        priority = 1
    ),
    printcolumn(
        name = "Throttled",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Throttled\")].status",
        priority = 1
    ),
    printcolumn(
        name = "Daemon",
        type_ = "string",
        json_path = ".status.daemonVersion",
        priority = 1
    ),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profile", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct NodeFlowExportSpec {
    /// The `ExportProfile` that the settings came from; unset: built-in defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// What to do with rows of somebody else.
    #[serde(default)]
    pub conflict_policy: ConflictPolicy,
    /// What the export may cost; unset: whatever it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The bridges that Weir looks after on this node.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub bridges: Vec<BridgeExport>,
}

/// Export settings of one bridge. A protocol that is unset is not exported.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BridgeExport {
    /// Name of the bridge in OVSDB.
    pub name: String,
    /// Number that tells this node and bridge from every other: the IPFIX
    /// observation domain, and NetFlow's engine type and id together, derive
    /// from it.
    #[serde(default)]
    pub exporter_id: u32,
    /// NetFlow v5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_flow: Option<NetFlowExport>,
    /// sFlow v5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s_flow: Option<SFlowExport>,
    /// IPFIX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfix: Option<IpfixExport>,
}

impl BridgeExport {
    /// Whether the bridge exports that protocol.
    pub fn exports(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::NetFlow => self.net_flow.is_some(),
            Protocol::SFlow => self.s_flow.is_some(),
            Protocol::Ipfix => self.ipfix.is_some(),
        }
    }
}

/// Columns of OVSDB table `NetFlow`. Unset: OVS's own default.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetFlowExport {
    /// `ADDRESS:PORT` of each collector.
    pub targets: Vec<String>,
    /// Seconds after which a long flow is reported; 0: 600 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_timeout: Option<i64>,
    /// Engine type in the v5 header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_type: Option<u8>,
    /// Engine id in the v5 header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_id: Option<u8>,
    /// Puts 7 bits of the engine id into the interface numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_id_to_interface: Option<bool>,
}

/// Columns of OVSDB table `sFlow`. Unset: OVS's own default.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SFlowExport {
    /// `ADDRESS:PORT` of each collector.
    pub targets: Vec<String>,
    /// Agent: an address, or the network device whose address it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// One packet in so many; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<u32>,
    /// Seconds between counter samples; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub polling: Option<u32>,
    /// Bytes of each sampled packet that are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<u32>,
}

/// Columns of OVSDB table `IPFIX`. Unset: OVS's own default.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpfixExport {
    /// `ADDRESS:PORT` of each collector.
    pub targets: Vec<String>,
    /// One packet in so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<u32>,
    /// Observation domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obs_domain_id: Option<u32>,
    /// Observation point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obs_point_id: Option<u32>,
    /// Seconds that a flow stays in the cache; 0: no cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_active_timeout: Option<u32>,
    /// Flows in the cache; 0: no cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_max_flows: Option<u32>,
    /// Seconds between exporter statistics (OVS 3.2 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats_interval: Option<u32>,
    /// Seconds between templates (OVS 3.2 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_interval: Option<u32>,
    /// Whether packets are sampled where they enter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_input_sampling: Option<bool>,
    /// Whether packets are sampled where they leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_output_sampling: Option<bool>,
    /// Whether packets on tunnel ports are sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_tunnel_sampling: Option<bool>,
    /// Text that each record carries to name its exporter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_obs_id: Option<String>,
    /// Those of the targets that are told which pods stand behind the interfaces. No column:
    /// the node daemon does that itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interface_names: Vec<String>,
}

/// What one bridge's rows in OVSDB say now.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BridgeStatus {
    /// Name of the bridge.
    pub name: String,
    /// Whether the bridge exists.
    #[serde(default)]
    pub present: bool,
    /// NetFlow settings in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_flow: Option<NetFlowExport>,
    /// sFlow settings in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s_flow: Option<SFlowExport>,
    /// IPFIX settings in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipfix: Option<IpfixExport>,
    /// Tunnel ports that no other bridge has a port of the same number as, when NetFlow is
    /// in force there: it has numbers alone, and counts their headers on the userspace
    /// datapath.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnel_ports: Vec<TunnelPorts>,
    /// OpenFlow port numbers of all tunnels of the bridge, ascending, when NetFlow is in
    /// force there: where packets come in, a number is always of this bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnel_inputs: Vec<u16>,
    /// UDP ports that tunnels of the node go to (`options:dst_port`), ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnel_udp_ports: Vec<u16>,
    /// `external_ids:weir-single-pass=true` of the bridge, see [`SINGLE_PASS_KEY`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_pass: bool,
}

/// Key in a bridge's `external_ids` with which the owner of its OpenFlow rules
/// vouches that each packet's fate is settled on its first pass: no rule uses
/// `ct()`, a group that hashes, or a controller. OVS does not tell that itself.
pub const SINGLE_PASS_KEY: &str = "weir-single-pass";

/// Tunnel ports that put the same number of octets before each packet.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TunnelPorts {
    /// Octets of the outer Ethernet, IP and tunnel headers that NetFlow counts; 0 on the
    /// kernel's datapath, which has its tunnels in devices of their own.
    pub overhead: u16,
    /// OpenFlow port numbers, ascending.
    pub ofports: Vec<u16>,
}

/// One tunnel port as table `Interface` describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelInterface<'a> {
    /// Column `type`.
    pub kind: &'a str,
    /// Column `ofport`.
    pub ofport: i64,
    /// `options:remote_ip`; OVS takes it from the flow when it is `flow`.
    pub remote: Option<&'a str>,
    /// `options:local_ip`.
    pub local: Option<&'a str>,
    /// OVN made it (`external_ids:ovn-chassis-id`).
    pub of_ovn: bool,
}

/// The kinds of interfaces that put another packet around each packet (vswitch.xml).
const TUNNEL_KINDS: [&str; 8] = [
    "geneve",
    "vxlan",
    "gre",
    "ip6gre",
    "erspan",
    "ip6erspan",
    "stt",
    "lisp",
];

impl TunnelInterface<'_> {
    /// Whether it is a tunnel.
    pub fn is_tunnel(&self) -> bool {
        TUNNEL_KINDS.contains(&self.kind)
    }

    /// Octets before each packet; `None`: it is no tunnel, or of a kind or with
    /// an address family that cannot be told from the row.
    ///
    /// Ethernet 14, IPv4 20 or IPv6 40, UDP 8 and Geneve or VXLAN 8 (RFC 8926 §3,
    /// RFC 7348 §5). OVN adds one Geneve option of 8 octets with the logical ports.
    pub fn overhead(&self) -> Option<u16> {
        const ETHERNET_AND_UDP: u16 = 14 + 8;
        let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
        let end = self.remote.and_then(address).or(self.local.and_then(address))?;
        let ip = if end.is_ipv4() { 20 } else { 40 };
        let option = if self.of_ovn { 8 } else { 0 };
        match self.kind {
            "geneve" => Some(ETHERNET_AND_UDP + ip + 8 + option),
            "vxlan" => Some(ETHERNET_AND_UDP + ip + 8),
            _ => None,
        }
    }
}

impl TunnelPorts {
    /// The numbers of all tunnel ports among a bridge's interfaces, ascending.
    pub fn inputs<'a>(interfaces: impl Iterator<Item = TunnelInterface<'a>>) -> Vec<u16> {
        let tunnels = interfaces.filter(TunnelInterface::is_tunnel);
        // OVS shows -1 where it could not open the port.
        let numbers = tunnels.filter_map(|i| u16::try_from(i.ofport).ok().filter(|n| *n != 0));
        numbers.collect::<BTreeSet<u16>>().into_iter().collect()
    }

    /// The tunnel ports among a bridge's interfaces, by overhead. `counted`: NetFlow counts
    /// it, as the userspace datapath does; ports whose overhead is not known are left out
    /// then. `elsewhere`:
    /// `ofport`s of the other bridges. NetFlow names a port behind a patch by its
    /// number on its own bridge, so a number that both have tells nothing.
    pub fn of<'a>(
        interfaces: impl Iterator<Item = TunnelInterface<'a>>,
        counted: bool,
        elsewhere: &BTreeSet<i64>,
    ) -> Vec<Self> {
        let overhead = |interface: &TunnelInterface<'_>| match counted {
            true => interface.overhead(),
            false => interface.is_tunnel().then_some(0),
        };
        let mut ports = BTreeMap::<u16, BTreeSet<u16>>::new();
        for interface in interfaces.filter(|i| !elsewhere.contains(&i.ofport)) {
            // OVS shows -1 where it could not open the port.
            let number = u16::try_from(interface.ofport).ok().filter(|n| *n != 0);
            if let (Some(overhead), Some(number)) = (overhead(&interface), number) {
                ports.entry(overhead).or_default().insert(number);
            }
        }
        let group = |(overhead, ofports): (u16, BTreeSet<u16>)| Self {
            overhead,
            ofports: ofports.into_iter().collect(),
        };
        ports.into_iter().map(group).collect()
    }
}

/// What the export costs a node: averages of a minute, with two digits. What OVS does not
/// tell is not set.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportCost {
    /// Processor time of ovs-vswitchd as a whole, in thousandths of a processor; only with
    /// `other_config:enable-statistics=true` in OVSDB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vswitchd_millicores: Option<u32>,
    /// IPFIX datagrams that left the node. OVS does not count those of NetFlow and sFlow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datagrams_per_second: Option<u32>,
    /// IPFIX datagrams that could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_errors_per_second: Option<u32>,
    /// Packets that the datapath could not pass up to ovs-vswitchd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_per_second: Option<u32>,
    /// The figures of the minute before the spec changed last; where nothing was exported
    /// then, the processor time alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CostFigures>,
}

/// What the export cost a node earlier, as in [`ExportCost`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostFigures {
    /// Processor time of ovs-vswitchd as a whole, in thousandths of a processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vswitchd_millicores: Option<u32>,
    /// IPFIX datagrams that left the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datagrams_per_second: Option<u32>,
    /// IPFIX datagrams that could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_errors_per_second: Option<u32>,
    /// Packets that the datapath could not pass up to ovs-vswitchd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_per_second: Option<u32>,
}

impl From<ExportCost> for CostFigures {
    fn from(cost: ExportCost) -> Self {
        Self {
            vswitchd_millicores: cost.vswitchd_millicores,
            datagrams_per_second: cost.datagrams_per_second,
            send_errors_per_second: cost.send_errors_per_second,
            lost_per_second: cost.lost_per_second,
        }
    }
}

/// What the node's OVSDB replica shows.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeFlowExportStatus {
    /// Generation of the spec that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Version of the node daemon that wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon_version: Option<String>,
    /// Fields of the spec that this daemon does not know and left out of account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_fields: Vec<String>,
    /// `Open_vSwitch.ovs_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ovs_version: Option<String>,
    /// Protocols in force on any bridge, such as `NetFlow,IPFIX`; for people.
    #[serde(default)]
    pub protocols: String,
    /// The first reason for which not all is well, else the one for which all is.
    #[serde(default)]
    pub reason: String,
    /// How often rows that others changed were put right since the daemon began.
    #[serde(default)]
    pub drift_healed: u64,
    /// What the export costs this node; not set while nothing of Weir is exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<ExportCost>,
    /// Settings in force, a bridge each.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub bridges: Vec<BridgeStatus>,
    /// `Applied`, `Exporting`, `Conflict`, `SwitchAlive`, `Throttled`, `GateRefused`.
    #[serde(default)]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
}

impl NodeFlowExportSpec {
    /// Whether any bridge exports anything.
    pub fn exports_anything(&self) -> bool {
        self.bridges.iter().any(BridgeExport::exports_anything)
    }
}

impl BridgeExport {
    /// Whether any protocol is exported.
    pub fn exports_anything(&self) -> bool {
        Protocol::ALL.into_iter().any(|p| self.targets(p).is_some())
    }

    /// The targets of one protocol, if it is exported.
    pub fn targets(&self, protocol: Protocol) -> Option<&[String]> {
        match protocol {
            Protocol::NetFlow => self.net_flow.as_ref().map(|x| x.targets.as_slice()),
            Protocol::SFlow => self.s_flow.as_ref().map(|x| x.targets.as_slice()),
            Protocol::Ipfix => self.ipfix.as_ref().map(|x| x.targets.as_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(kind: &'static str, ofport: i64, remote: &'static str) -> TunnelInterface<'static> {
        TunnelInterface {
            kind,
            ofport,
            remote: Some(remote),
            ..TunnelInterface::default()
        }
    }

    #[test]
    fn a_tunnels_overhead_is_told_by_its_kind_its_family_and_who_made_it() {
        let v4 = tunnel("geneve", 1, "192.0.2.1");
        assert_eq!(v4.overhead(), Some(50));
        assert_eq!(TunnelInterface { of_ovn: true, ..v4 }.overhead(), Some(58));
        assert_eq!(tunnel("vxlan", 1, "192.0.2.1").overhead(), Some(50));
        assert_eq!(tunnel("vxlan", 1, "2001:db8::1").overhead(), Some(70));
        let by_flow = tunnel("geneve", 1, "flow");
        assert_eq!(by_flow.overhead(), None);
        let local = TunnelInterface {
            local: Some("192.0.2.2"),
            ..by_flow
        };
        assert_eq!(local.overhead(), Some(50));
        assert_eq!(tunnel("patch", 1, "192.0.2.1").overhead(), None);
    }

    #[test]
    fn tunnel_ports_are_grouped_in_one_order_and_broken_or_ambiguous_ones_left_out() {
        let ports = [
            tunnel("geneve", 3, "192.0.2.5"),
            tunnel("geneve", 9, "192.0.2.1"),
            tunnel("vxlan", 4, "2001:db8::1"),
            tunnel("geneve", 2, "192.0.2.2"),
            tunnel("geneve", -1, "192.0.2.3"),
            tunnel("", 5, "192.0.2.4"),
        ];
        let grouped = TunnelPorts::of(ports.iter().copied(), true, &[3].into());
        let plain: Vec<_> = grouped
            .iter()
            .map(|p| (p.overhead, p.ofports.as_slice()))
            .collect();
        assert_eq!(plain, [(50, &[2, 9][..]), (70, &[4][..])]);
        assert_eq!(TunnelPorts::inputs(ports.iter().copied()), [2, 3, 4, 9]);
        let uncounted = TunnelPorts::of(ports.into_iter(), false, &[3].into());
        let all = [(0, vec![2, 4, 9])];
        assert_eq!(
            uncounted
                .into_iter()
                .map(|p| (p.overhead, p.ofports))
                .collect::<Vec<_>>(),
            all
        );
    }
}
