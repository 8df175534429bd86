//! What several metrics have in common, so that it is done once for a record: filters,
//! numbers, and the look-up of label values.

use weir_fields::Column;

use crate::filter::{DirectionMask, Filter};
use crate::pair_cache::{KnownSlot, PairCache, Place};
use crate::record::{Record, Value};
use crate::scratch::{Scratch, combine};
use crate::series::LabelTable;
use crate::source::Source;

/// A filter that several metrics may have, judged once for a record.
#[derive(Debug)]
pub(crate) struct SharedFilter {
    pub filter: Filter,
    /// Set if it looks at the direction alone.
    pub directions: Option<DirectionMask>,
    /// Set if it asks for this column alone, whatever its value.
    pub needed: Option<Column>,
    pub users: usize,
    pub generation: u32,
    pub passes: bool,
}

/// A number of the record that several metrics may count, read once for a record.
#[derive(Debug)]
pub(crate) struct SharedValue {
    /// `None`: each record counts one.
    pub source: Option<Source>,
    pub generation: u32,
    pub value: Option<u64>,
}

/// Metrics with these labels look their series up together.
#[derive(Debug)]
pub(crate) struct LabelGroup {
    /// Fields of the labels; `None`: of a metric that flattens, which looks up alone.
    pub sources: Option<Vec<Source>>,
    /// Places of the labels that do not follow from who stands on the sides.
    pub own: Vec<usize>,
    pub table: LabelTable,
    pub users: usize,
    pub generation: u32,
    pub hash: u64,
    pub slot: Option<u32>,
}

impl SharedFilter {
    /// One that nobody shares yet.
    pub fn new(filter: Filter) -> Self {
        Self {
            directions: filter.direction_mask(),
            needed: filter.needed_column(),
            filter,
            users: 1,
            generation: 0,
            passes: false,
        }
    }

    #[inline]
    pub fn judge(&mut self, scratch: &mut Scratch, record: &impl Record) -> bool {
        if self.generation != scratch.generation() {
            self.generation = scratch.generation();
            self.passes = match (self.directions, self.needed) {
                (Some(mask), _) => mask.passes(scratch.directions(record)),
                (None, Some(column)) => !matches!(record.value(column), Value::Absent | Value::Text("")),
                (None, None) => {
                    self.filter.prepare(scratch, record);
                    self.filter.passes(scratch, &[], record)
                }
            };
        }
        self.passes
    }
}

impl SharedValue {
    #[inline]
    pub fn read(&mut self, generation: u32, record: &impl Record) -> Option<u64> {
        if self.generation != generation {
            self.generation = generation;
            self.value = self.source.map_or(Some(1), |source| source.number(record));
        }
        self.value
    }
}

impl LabelGroup {
    /// Looks the record's label values up, once for all metrics that have them.
    #[inline]
    pub fn look_up(
        &mut self,
        scratch: &mut Scratch,
        record: &impl Record,
        pairs: &mut PairCache,
        memory: Option<Memory>,
    ) {
        if self.generation == scratch.generation() {
            return;
        }
        self.generation = scratch.generation();
        let Some(sources) = self.sources.as_deref() else {
            return;
        };
        if let Some(known) = memory.and_then(|memory| pairs.slot(memory.place, memory.group)) {
            let same = self.own.iter().all(|at| {
                scratch.ensure(sources[*at], record);
                let text = scratch.label(sources[*at]);
                (known.is_plain && text.is_empty()) || self.table.has(known.slot, *at, text)
            });
            if same {
                self.slot = Some(known.slot);
                return;
            }
        }
        self.hash = sources
            .iter()
            .fold(0, |hash, source| combine(hash, scratch.hash_of(*source, record)));
        let scratch = &*scratch;
        self.slot = self.table.find(self.hash, |at| scratch.label(sources[at]));
        if let Some(slot) = self.slot {
            self.remember(slot, scratch, pairs, memory);
        }
    }

    fn remember(&self, slot: u32, scratch: &Scratch, pairs: &mut PairCache, memory: Option<Memory>) {
        let sources = self.sources.as_deref().unwrap_or_default();
        let Some(Memory { place, group }) = memory else {
            return;
        };
        let mut own = self.own.iter();
        let is_plain = own.all(|at| scratch.label(sources[*at]).is_empty());
        pairs.remember(place, group, KnownSlot { slot, is_plain });
    }

    pub fn insert(&mut self, scratch: &Scratch, (pairs, memory): (&mut PairCache, Option<Memory>)) -> u32 {
        let sources = self.sources.as_deref().unwrap_or_default();
        let label = |at: usize| scratch.label(sources[at]);
        let slot = self.table.insert(self.hash, sources.len(), label);
        self.slot = Some(slot);
        self.remember(slot, scratch, pairs, memory);
        slot
    }
}

/// Where the slot of a pair of identities in a label group is remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub place: Place,
    pub group: usize,
}
