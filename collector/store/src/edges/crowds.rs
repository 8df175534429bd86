//! Identities that are many hosts: `internet`, `private`, and nobody. Pure.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};

use crate::identities;

/// Numbers of identities that are no pod, Service or node. What one of their hosts does on a
/// port tells nothing of the others.
#[derive(Debug, Default)]
pub(crate) struct Crowds(HashSet<u32>);

impl Crowds {
    /// Of a table of identities.
    pub fn of(table: &RecordBatch) -> Self {
        let kinds = table.column_by_name("kind");
        let Some(kinds) = kinds.and_then(|column| column.as_string_view_opt()) else {
            return Self::default();
        };
        let rows = identities::ids(table).iter().enumerate();
        let crowds = rows.filter(|(row, _)| kinds.is_null(*row) || kinds.value(*row).is_empty());
        Self(crowds.map(|(_, id)| *id).collect())
    }

    /// Whether it is one; nobody always is.
    pub fn has(&self, id: u32) -> bool {
        id == 0 || self.0.contains(&id)
    }
}
