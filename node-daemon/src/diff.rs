//! Desired rows against observed ones: what has to change, what is in the way.
//! Pure. Only rows that are ours, or that the policy lets us adopt, are touched.
//! How a change is written is [`crate::transaction`]'s.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::{Row, Uuid};
use weir_api::{ConflictPolicy, Protocol};

use crate::observe::{Observed, ObservedBridge, ObservedRow};
use crate::quirks::{self, Dialect};
use crate::rows::{DesiredRows, MapKey, RowSpec};
use crate::tables::{Slot, table};

/// The outcome of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diff {
    /// What to write, at most one change a slot.
    pub changes: Vec<RowChange>,
    /// Slots that hold rows of somebody else and are left alone.
    pub conflicts: Vec<Slot>,
    /// Slots on bridges that do not exist.
    pub without_bridge: Vec<Slot>,
    /// Slots whose table this OVS does not have.
    pub without_table: Vec<Slot>,
}

/// One change of one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// Where.
    pub slot: Slot,
    /// The bridge's row.
    pub bridge: Uuid,
    /// The row that the bridge refers to now.
    pub before: Option<Uuid>,
    /// Whether that row is somebody else's, and is taken over.
    pub adopts: bool,
    /// What to do.
    pub action: Action,
    /// What differs, for people: `column: is -> should be`.
    pub differences: Vec<String>,
}

/// What to do with a slot.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Insert a row and let the bridge refer to it.
    Create(RowSpec),
    /// Change the row that is there, so that sequence numbers and caches survive.
    Edit {
        /// The row.
        row: Uuid,
        /// Columns to replace.
        columns: Row,
        /// Keys to set or, with `None`, to remove.
        keys: BTreeMap<MapKey, Option<String>>,
    },
    /// Let the bridge refer to nothing, so that a row can be created in its place once ovs-vswitchd has seen
    /// that there is none.
    Renew,
    /// Let the bridge refer to nothing; OVSDB then collects the row.
    Clear,
}

impl RowChange {
    /// A word for logs.
    pub const fn verb(&self) -> &'static str {
        match self.action {
            Action::Edit { .. } if self.adopts => "adopt",
            Action::Edit { .. } => "edit",
            Action::Create(_) => "create",
            Action::Renew => "renew",
            Action::Clear => "clear",
        }
    }
}

/// Compares.
pub fn diff(desired: &DesiredRows, observed: &Observed, policy: ConflictPolicy, dialect: &Dialect) -> Diff {
    let mut diff = Diff::default();
    let mut claimed = BTreeSet::new();
    for (slot, spec) in desired {
        if !dialect.has_table(table(slot.protocol)) {
            diff.without_table.push(slot.clone());
            continue;
        }
        let Some(bridge) = observed.bridges.get(&slot.bridge) else {
            diff.without_bridge.push(slot.clone());
            continue;
        };
        match bridge.rows.get(&slot.protocol) {
            Some(row) if !row.ours && policy == ConflictPolicy::Refuse => diff.conflicts.push(slot.clone()),
            Some(row) if may_edit(row, &mut claimed) => {
                diff.changes.extend(edit(slot, bridge.uuid, spec, row))
            }
            before => diff.changes.push(create(slot, bridge, spec, before)),
        }
    }
    for (name, bridge) in &observed.bridges {
        diff.changes.extend(clear_unwanted(name, bridge, desired));
    }
    diff
}

/// A row that several bridges share serves one bridge only: of ours the first
/// that claims it, of a foreign one none, since the others may not be ours.
fn may_edit(row: &ObservedRow, claimed: &mut BTreeSet<Uuid>) -> bool {
    !row.shared || (row.ours && claimed.insert(row.uuid))
}

fn create(slot: &Slot, bridge: &ObservedBridge, spec: &RowSpec, before: Option<&ObservedRow>) -> RowChange {
    let difference = match before {
        None => "there is no row".to_owned(),
        Some(row) => format!("row {} serves another bridge too", row.uuid),
    };
    RowChange {
        slot: slot.clone(),
        bridge: bridge.uuid,
        before: before.map(|row| row.uuid),
        adopts: before.is_some_and(|row| !row.ours),
        action: Action::Create(spec.clone()),
        differences: vec![difference],
    }
}

fn edit(slot: &Slot, bridge: Uuid, spec: &RowSpec, row: &ObservedRow) -> Option<RowChange> {
    let mut differences = Vec::new();
    let mut columns = Row::new();
    for (column, wanted) in &spec.columns {
        let is = row.data.column(column);
        if is != Some(wanted) {
            let is = is.map_or_else(|| "nothing".to_owned(), |d| d.to_json().to_string());
            differences.push(format!("{column}: {is} -> {}", wanted.to_json()));
            columns.insert((*column).to_owned(), wanted.clone());
        }
    }
    let mut keys = BTreeMap::new();
    for (key, wanted) in &spec.keys {
        let is = row.data.map_get(key.column, key.key);
        if is != wanted.as_deref() {
            differences.push(format!("{}:{}: {is:?} -> {wanted:?}", key.column, key.key));
            keys.insert(*key, wanted.clone());
        }
    }
    let action = if quirks::needs_new_row(slot.protocol, keys.keys()) {
        Action::Renew
    } else {
        Action::Edit {
            row: row.uuid,
            columns,
            keys,
        }
    };
    (!differences.is_empty()).then(|| RowChange {
        slot: slot.clone(),
        bridge,
        before: Some(row.uuid),
        adopts: !row.ours,
        action,
        differences,
    })
}

fn clear_unwanted(name: &str, bridge: &ObservedBridge, desired: &DesiredRows) -> Vec<RowChange> {
    let clear = |(protocol, row): (&Protocol, &ObservedRow)| {
        let slot = Slot {
            bridge: name.to_owned(),
            protocol: *protocol,
        };
        (row.ours && !desired.contains_key(&slot)).then(|| RowChange {
            slot,
            bridge: bridge.uuid,
            before: Some(row.uuid),
            adopts: false,
            action: Action::Clear,
            differences: vec![format!("row {} is ours and not wanted", row.uuid)],
        })
    };
    bridge.rows.iter().filter_map(clear).collect()
}

#[cfg(test)]
mod tests;
