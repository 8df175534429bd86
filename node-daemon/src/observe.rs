//! What the replica shows: which bridges there are, which rows stand on them and
//! whose they are. Pure, and without judgement: [`crate::diff`] has that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ovsdb::{Datum, Replica, RowData, Uuid};
use weir_api::{BridgeStatus, OWNER_KEY, Protocol};

use crate::quirks::Dialect;
use crate::rows;
use crate::tables::{BRIDGE, EXTERNAL_IDS, ROOT, bridge_column, table};

/// The switch as its database describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The switch as a whole; all empty before `ovs-vsctl init`.
    pub root: Root,
    /// Bridges by name.
    pub bridges: BTreeMap<String, ObservedBridge>,
}

/// The one row of `Open_vSwitch`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Root {
    /// `ovs_version`; OVS's start script sets it.
    pub ovs_version: Option<String>,
    /// Number of the newest configuration.
    pub next_cfg: i64,
    /// Number of the configuration that ovs-vswitchd has taken over.
    pub cur_cfg: i64,
}

/// A bridge and the rows that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedBridge {
    /// Its row in `Bridge`.
    pub uuid: Uuid,
    /// Its exporters.
    pub rows: BTreeMap<Protocol, ObservedRow>,
}

/// A row of `NetFlow`, `sFlow` or `IPFIX` on a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedRow {
    /// Its identity.
    pub uuid: Uuid,
    /// Whether it is Weir's.
    pub ours: bool,
    /// Whether more than one bridge refers to it.
    pub shared: bool,
    /// Its columns.
    pub data: Arc<RowData>,
}

/// Reads the replica. A row is ours when it carries the owner's mark, or when
/// it is in `remembered`: rows that were seen with the mark, should somebody
/// have cleared it. UUIDs are never used again, so the memory cannot mislead.
pub fn observe(replica: &Replica, remembered: &BTreeSet<Uuid>) -> Observed {
    let mut references: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (_, bridge) in replica.rows(BRIDGE) {
        for uuid in Protocol::ALL
            .into_iter()
            .flat_map(|p| bridge.uuids(bridge_column(p)))
        {
            *references.entry(uuid).or_default() += 1;
        }
    }
    let row = |bridge: &RowData, protocol| {
        let uuid = bridge.uuids(bridge_column(protocol)).next()?;
        let data = replica.row(table(protocol), uuid)?.clone();
        let marked = data.map_get(EXTERNAL_IDS, OWNER_KEY).is_some();
        let ours = marked || remembered.contains(&uuid);
        let shared = references.get(&uuid).is_some_and(|n| *n > 1);
        let observed = ObservedRow {
            uuid,
            ours,
            shared,
            data,
        };
        Some((protocol, observed))
    };
    let bridges = replica.rows(BRIDGE).filter_map(|(uuid, bridge)| {
        let rows = Protocol::ALL.into_iter().filter_map(|p| row(bridge, p)).collect();
        Some((bridge.str("name")?.to_owned(), ObservedBridge { uuid, rows }))
    });
    Observed {
        root: observe_root(replica),
        bridges: bridges.collect(),
    }
}

fn observe_root(replica: &Replica) -> Root {
    let Some((_, root)) = replica.rows(ROOT).next() else {
        return Root::default();
    };
    let number = |column| root.column(column).and_then(Datum::as_integer).unwrap_or(0);
    Root {
        ovs_version: root
            .str("ovs_version")
            .filter(|v| !v.is_empty())
            .map(str::to_owned),
        next_cfg: number("next_cfg"),
        cur_cfg: number("cur_cfg"),
    }
}

impl Observed {
    /// The row of a protocol on a bridge.
    pub fn row(&self, bridge: &str, protocol: Protocol) -> Option<&ObservedRow> {
        self.bridges.get(bridge)?.rows.get(&protocol)
    }

    /// All rows with their bridge's name.
    pub fn rows(&self) -> impl Iterator<Item = (&str, Protocol, &ObservedRow)> {
        self.bridges.iter().flat_map(|(name, bridge)| {
            bridge
                .rows
                .iter()
                .map(move |(protocol, row)| (name.as_str(), *protocol, row))
        })
    }

    /// The settings in force on one bridge, whoever made them.
    pub fn bridge_status(&self, name: &str, dialect: &Dialect) -> BridgeStatus {
        let row = |protocol| self.row(name, protocol).map(|row| &*row.data);
        BridgeStatus {
            name: name.to_owned(),
            present: self.bridges.contains_key(name),
            net_flow: row(Protocol::NetFlow).map(rows::read_net_flow),
            s_flow: row(Protocol::SFlow).map(rows::read_s_flow),
            ipfix: row(Protocol::Ipfix).map(|data| rows::read_ipfix(data, dialect)),
        }
    }
}
