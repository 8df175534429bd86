//! What was read of the record at hand: each field's text is written once, whichever
//! metrics ask for it. Kept from record to record, so that a record allocates nothing.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::direction::{self, Directions};
use crate::record::Record;
use crate::source::Source;

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// Record that it is of.
    generation: u32,
    start: u32,
    len: u32,
    present: bool,
    /// Of the text, once somebody needed it.
    hash: Option<u64>,
}

/// Texts of the record at hand.
#[derive(Debug)]
pub(crate) struct Scratch {
    generation: u32,
    cells: Vec<Cell>,
    bytes: Vec<u8>,
    hasher: RandomState,
    empty: u64,
    /// Record that they are of, and its directions.
    directions: (u32, Option<Directions>),
}

impl Scratch {
    pub fn new() -> Self {
        Self::with_hasher(RandomState::default())
    }

    /// One whose hashes are those of `other`.
    pub fn like(other: &Self) -> Self {
        Self::with_hasher(other.hasher.clone())
    }

    fn with_hasher(hasher: RandomState) -> Self {
        Self {
            generation: 0,
            cells: vec![Cell::default(); Source::COUNT],
            bytes: Vec::new(),
            empty: hasher.hash_one(b"".as_slice()),
            hasher,
            directions: (0, None),
        }
    }

    /// Forgets the last record.
    pub fn begin(&mut self) -> u32 {
        self.bytes.clear();
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            self.cells.fill(Cell::default());
            self.directions = (0, None);
            self.generation = 1;
        }
        self.generation
    }

    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// Reads the field, unless that was done.
    #[inline]
    pub fn ensure(&mut self, source: Source, record: &impl Record) {
        let cell = &mut self.cells[source.index()];
        if cell.generation == self.generation {
            return;
        }
        let start = self.bytes.len();
        let present = source.write(record, &mut self.bytes);
        *cell = Cell {
            generation: self.generation,
            start: start as u32,
            len: (self.bytes.len() - start) as u32,
            present,
            hash: None,
        };
    }

    /// The hash of the field's text, which is read unless that was done.
    #[inline]
    pub fn hash_of(&mut self, source: Source, record: &impl Record) -> u64 {
        self.ensure(source, record);
        let cell = self.cells[source.index()];
        if let Some(hash) = cell.hash {
            return hash;
        }
        let hash = self.hash(self.slice(cell));
        self.cells[source.index()].hash = Some(hash);
        hash
    }

    /// The directions of the reports that the record stands for.
    #[inline]
    pub fn directions(&mut self, record: &impl Record) -> Option<Directions> {
        if self.directions.0 != self.generation {
            self.directions = (self.generation, direction::directions(record));
        }
        self.directions.1
    }

    /// The text of a field that was read; `None` where the record has none.
    pub fn text(&self, source: Source) -> Option<&[u8]> {
        let cell = self.cells[source.index()];
        debug_assert_eq!(cell.generation, self.generation, "{source:?} was not read");
        cell.present.then(|| self.slice(cell))
    }

    /// The same, empty where the record has none.
    #[inline]
    pub fn label(&self, source: Source) -> &[u8] {
        self.slice(self.cells[source.index()])
    }

    #[inline]
    fn slice(&self, cell: Cell) -> &[u8] {
        &self.bytes[cell.start as usize..][..cell.len as usize]
    }

    /// Room that it holds.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Hash of a text that is of no field.
    pub fn hash(&self, text: &[u8]) -> u64 {
        if text.is_empty() {
            self.empty
        } else {
            self.hasher.hash_one(text)
        }
    }
}

/// The hash of several label values out of those of each.
#[inline]
pub(crate) fn combine(hash: u64, next: u64) -> u64 {
    let product = u128::from(hash ^ next) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product as u64) ^ ((product >> 64) as u64).rotate_left(17)
}
