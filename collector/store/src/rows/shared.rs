//! What many rows have in common, once each; rows have its number.

use std::hash::BuildHasher;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use weir_api::fields::Column;
use weir_flow::{FlowRecord, SharedFields, SharedFieldsRef, Value};

use super::Columns;

/// The shared columns of a batch. A batch has fewer rows than there are numbers.
#[derive(Debug, Default)]
pub(super) struct SharedColumns {
    known: Vec<SharedFields>,
    places: HashTable<u16>,
    hasher: RandomState,
    /// A row for each of `known`.
    columns: Columns,
    /// From 0 on.
    numbers: Vec<u16>,
}

impl SharedColumns {
    /// The number of what a record has in common with others.
    #[inline]
    pub fn number(&mut self, record: &FlowRecord) -> u16 {
        let shared = record.shared();
        // Not by value: it would be copied.
        let hash_of = |shared: &SharedFieldsRef<'_>| self.hasher.hash_one(shared);
        let hash = hash_of(&shared);
        let known = |number: &u16| self.known[usize::from(*number)] == shared;
        match self.places.find(hash, known) {
            Some(number) => *number,
            None => self.admit(hash, shared, record),
        }
    }

    fn admit(&mut self, hash: u64, shared: SharedFieldsRef<'_>, record: &FlowRecord) -> u16 {
        let row = self.known.len();
        record.visit_shared(&mut |column: Column, value: Value<'_>| self.columns.set(column, row, &value));
        let hasher = |number: &u16| self.hasher.hash_one(&self.known[usize::from(*number)]);
        self.places.insert_unique(hash, row as u16, hasher);
        self.known.push(shared.owned());
        row as u16
    }

    /// The protocol number of one, 0 if it has none.
    pub fn proto(&self, number: u16) -> u8 {
        self.known[usize::from(number)].proto().unwrap_or_default()
    }

    /// Their columns by number; they are forgotten.
    pub fn take(&mut self) -> (Vec<Field>, Vec<ArrayRef>) {
        self.numbers.clear();
        self.numbers.extend((0..).take(self.known.len()));
        self.known.clear();
        self.places.clear();
        self.columns.take(&self.numbers)
    }
}
