//! The tables, columns and keys that flow export reads and writes, and what may stand in
//! them: the whole of what a client of the gate can do. Source: vswitchd/vswitch.ovsschema.
//!
//! Where to send is not bounded: that is what export is.

use std::net::SocketAddr;

use ovsdb::{Atom, Datum};

/// The only database.
pub const DATABASE: &str = "Open_vSwitch";
/// The table with the one row for the whole switch.
pub const ROOT: &str = "Open_vSwitch";
/// The number of the newest configuration, in [`ROOT`].
pub const NEXT_CFG: &str = "next_cfg";
/// The table of bridges.
pub const BRIDGE: &str = "Bridge";
/// The map with the mark of whose a row is.
pub const EXTERNAL_IDS: &str = "external_ids";
/// The only key in it that is written.
pub const OWNER_KEY: &str = "weir-owner";
/// The map of `IPFIX` with switches.
const OTHER_CONFIG: &str = "other_config";

/// Collectors of a row.
pub const MOST_TARGETS: usize = 10;
/// Bytes of a text that is written or compared.
pub const MOST_TEXT: usize = 1024;

/// What may be read of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// All of it.
    Whole,
    /// Of a map, these keys alone: beside them stand secrets, such as the `psk` of a tunnel.
    Keys(&'static [&'static str]),
}

/// What may be written to a column of a row of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writable {
    /// Addresses with ports.
    Targets,
    /// An integer from … to, or none.
    Integer(i64, i64),
    /// True or false.
    Boolean,
    /// A text, or none.
    Text,
}

use Readable::{Keys, Whole};

const OWNER: Readable = Keys(&[OWNER_KEY]);
const U32_MAX: i64 = u32::MAX as i64;

const READABLE: &[(&str, &[(&str, Readable)])] = &[
    (
        ROOT,
        &[
            ("ovs_version", Whole),
            (NEXT_CFG, Whole),
            ("cur_cfg", Whole),
            ("statistics", Keys(&["process_ovs-vswitchd"])),
        ],
    ),
    (
        BRIDGE,
        &[
            ("name", Whole),
            ("netflow", Whole),
            ("sflow", Whole),
            ("ipfix", Whole),
            ("datapath_type", Whole),
            ("ports", Whole),
            (EXTERNAL_IDS, Keys(&["weir-single-pass"])),
        ],
    ),
    ("Port", &[("interfaces", Whole)]),
    (
        "Interface",
        &[
            ("name", Whole),
            ("type", Whole),
            ("ofport", Whole),
            ("ifindex", Whole),
            ("options", Keys(&["remote_ip", "local_ip", "dst_port"])),
            (
                EXTERNAL_IDS,
                Keys(&[
                    "iface-id",
                    "k8s.ovn.org/nad",
                    "pod_namespace",
                    "pod_name",
                    "pod-namespace",
                    "pod-name",
                    "if-dev",
                    "ovn-chassis-id",
                ]),
            ),
        ],
    ),
    (
        "NetFlow",
        &[
            ("targets", Whole),
            ("engine_type", Whole),
            ("engine_id", Whole),
            ("add_id_to_interface", Whole),
            ("active_timeout", Whole),
            (EXTERNAL_IDS, OWNER),
        ],
    ),
    (
        "sFlow",
        &[
            ("targets", Whole),
            ("agent", Whole),
            ("sampling", Whole),
            ("polling", Whole),
            ("header", Whole),
            (EXTERNAL_IDS, OWNER),
        ],
    ),
    (
        "IPFIX",
        &[
            ("targets", Whole),
            ("sampling", Whole),
            ("obs_domain_id", Whole),
            ("obs_point_id", Whole),
            ("cache_active_timeout", Whole),
            ("cache_max_flows", Whole),
            ("stats_interval", Whole),
            ("template_interval", Whole),
            (OTHER_CONFIG, Keys(SWITCHES)),
            (EXTERNAL_IDS, OWNER),
        ],
    ),
];

const SWITCHES: &[&str] = &[
    "enable-input-sampling",
    "enable-output-sampling",
    "enable-tunnel-sampling",
    "virtual_obs_id",
];

/// What may be read of a column; `None`: nothing.
pub fn readable(table: &str, column: &str) -> Option<Readable> {
    let (_, columns) = READABLE.iter().find(|(name, _)| *name == table)?;
    columns
        .iter()
        .find(|(name, _)| *name == column)
        .map(|(_, what)| *what)
}

/// The names of a table and of a column of `Bridge` that refers to it, of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportTable {
    /// The table.
    pub table: &'static str,
    /// The column of `Bridge`.
    pub column: &'static str,
    columns: &'static [(&'static str, Writable)],
}

use Writable::{Boolean, Integer, Targets, Text};

/// The three tables of rows that are written.
pub const EXPORT_TABLES: [ExportTable; 3] = [
    ExportTable {
        table: "NetFlow",
        column: "netflow",
        columns: &[
            ("targets", Targets),
            ("engine_type", Integer(0, 255)),
            ("engine_id", Integer(0, 255)),
            ("add_id_to_interface", Boolean),
            ("active_timeout", Integer(0, 86_400)),
        ],
    },
    ExportTable {
        table: "sFlow",
        column: "sflow",
        columns: &[
            ("targets", Targets),
            ("agent", Text),
            ("sampling", Integer(0, U32_MAX)),
            ("polling", Integer(0, U32_MAX)),
            ("header", Integer(0, 1299)),
        ],
    },
    ExportTable {
        table: "IPFIX",
        column: "ipfix",
        columns: &[
            ("targets", Targets),
            ("sampling", Integer(1, U32_MAX)),
            ("obs_domain_id", Integer(0, U32_MAX)),
            ("obs_point_id", Integer(0, U32_MAX)),
            ("cache_active_timeout", Integer(0, 4200)),
            ("cache_max_flows", Integer(0, U32_MAX)),
            ("stats_interval", Integer(1, 3600)),
            ("template_interval", Integer(1, 3600)),
        ],
    },
];

impl ExportTable {
    /// By the table's name.
    pub fn of_table(table: &str) -> Option<Self> {
        EXPORT_TABLES.into_iter().find(|of| of.table == table)
    }

    /// By the name of the column of `Bridge`.
    pub fn of_column(column: &str) -> Option<Self> {
        EXPORT_TABLES.into_iter().find(|of| of.column == column)
    }

    /// What may be written to a column, with its name.
    pub fn writable(&self, column: &str) -> Option<(&'static str, Writable)> {
        self.columns.iter().find(|(name, _)| *name == column).copied()
    }

    /// A key of a map column of a row that may be written, as both are called here.
    pub fn key(&self, column: &str, key: &str) -> Option<(&'static str, &'static str)> {
        match column {
            EXTERNAL_IDS if key == OWNER_KEY => Some((EXTERNAL_IDS, OWNER_KEY)),
            OTHER_CONFIG if self.table == "IPFIX" => {
                let key = SWITCHES.iter().find(|switch| **switch == key)?;
                Some((OTHER_CONFIG, key))
            }
            _ => None,
        }
    }
}

impl Writable {
    /// Whether it may stand there.
    pub fn takes(self, value: &Datum) -> bool {
        let Datum::Set(atoms) = value else { return false };
        match (self, atoms.as_slice()) {
            (Targets, []) => false,
            (Targets, atoms) => atoms.len() <= MOST_TARGETS && atoms.iter().all(is_target),
            (Integer(least, most), [Atom::Integer(number)]) => (least..=most).contains(number),
            (Integer(..) | Text, []) => true,
            (Boolean, [Atom::Boolean(_)]) => true,
            (Text, [Atom::String(text)]) => is_text(text),
            _ => false,
        }
    }
}

/// An address and a port: no name that would have to be looked up, nothing else that OVS
/// would take for a way to send.
fn is_target(atom: &Atom) -> bool {
    let Atom::String(text) = atom else { return false };
    text.parse().is_ok_and(|target: SocketAddr| target.port() != 0)
}

/// A text without control characters, of bounded length.
pub fn is_text(text: &str) -> bool {
    text.len() <= MOST_TEXT && !text.contains(char::is_control)
}
