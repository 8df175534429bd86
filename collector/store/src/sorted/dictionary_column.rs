//! A column of texts or addresses, or one that is in common: rows have numbers of
//! words. Words of all batches become one list, in ascending order.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, UInt16Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, UInt16Type};

use super::{Place, Sorted};
use crate::batch::Batch;
use crate::column_dictionary::ColumnDictionary;
use crate::fixed_width::FixedWidthColumn;

/// The number of a row that has no word.
pub(crate) const ABSENT: u32 = u32::MAX;

/// A column of which each row has the number of a word.
#[derive(Debug)]
pub(crate) struct DictionaryColumn {
    words: ArrayRef,
    numbers: Numbers,
}

#[derive(Debug)]
enum Numbers {
    /// By row of the shared columns, counted through all batches.
    OfShared(Vec<u32>),
    /// By batch.
    OfRows(Vec<Part>),
    /// By place in the order.
    InOrder(Vec<u32>),
}

/// The rows of a batch.
#[derive(Debug)]
enum Part {
    /// None has a word.
    Absent,
    /// Numbers of the batch's own words, and the column's for each.
    Own { keys: UInt16Array, numbers: Vec<u32> },
    /// The column's own.
    Numbers(Vec<u32>),
}

impl DictionaryColumn {
    /// The column, if that is what it is.
    pub(super) fn of(sorted: &Sorted, field: &Field) -> Option<Self> {
        let (batches, name, kind) = (&sorted.batches, field.name(), field.data_type());
        let in_common = !batches.iter().any(|batch| batch.has_in_rows(name));
        let mut vocabulary = ColumnDictionary::of(kind);
        let mut numbers = match kind {
            DataType::Boolean | DataType::Timestamp(..) => return None,
            _ if in_common => Numbers::OfShared(of_shared(batches, name, &mut vocabulary)),
            DataType::FixedSizeBinary(_) => Numbers::InOrder(in_order(sorted, name, &mut vocabulary)),
            DataType::Utf8View => {
                let part = |batch: &Batch| of_rows(batch, name, &mut vocabulary);
                Numbers::OfRows(batches.iter().map(part).collect())
            }
            _ => return None,
        };
        let order = vocabulary.ascending();
        let mut places = vec![0; order.len()];
        for (place, number) in order.iter().enumerate() {
            places[*number as usize] = place as u32;
        }
        numbers.replace(&places);
        let words = vocabulary.column(kind, order.into_iter());
        Some(Self { words, numbers })
    }

    /// The words, each once, ascending.
    pub fn words(&self) -> &ArrayRef {
        &self.words
    }

    /// The words' numbers for these rows, [`ABSENT`] where there is none.
    pub fn numbers(&self, sorted: &Sorted, rows: Range<usize>, numbers: &mut Vec<u32>) {
        numbers.clear();
        match &self.numbers {
            Numbers::OfShared(of_shared) => {
                let shared = &sorted.shared_rows[rows];
                numbers.extend(shared.iter().map(|row| of_shared[*row as usize]));
            }
            Numbers::OfRows(parts) => {
                let parts: Vec<_> = parts.iter().map(Part::lookup).collect();
                let places = sorted.places(rows);
                let number = |place: &Place| parts[place.batch as usize].number(place.row as usize);
                numbers.extend(places.iter().map(number));
            }
            Numbers::InOrder(all) => numbers.extend_from_slice(&all[rows]),
        }
    }
}

/// Which rows have a word; none if all have one.
pub(crate) fn nulls(numbers: &[u32]) -> Option<NullBuffer> {
    if !numbers.contains(&ABSENT) {
        return None;
    }
    Some(
        numbers
            .iter()
            .map(|number| *number != ABSENT)
            .collect::<Vec<_>>()
            .into(),
    )
}

impl Numbers {
    /// Puts another number in the place of each.
    fn replace(&mut self, others: &[u32]) {
        let replace = |numbers: &mut Vec<u32>| {
            for number in numbers.iter_mut().filter(|number| **number != ABSENT) {
                *number = others[*number as usize];
            }
        };
        match self {
            Self::OfShared(numbers) | Self::InOrder(numbers) => replace(numbers),
            Self::OfRows(parts) => {
                for part in parts {
                    match part {
                        Part::Absent => {}
                        Part::Own { numbers, .. } | Part::Numbers(numbers) => replace(numbers),
                    }
                }
            }
        }
    }
}

fn of_shared(batches: &[Batch], name: &str, vocabulary: &mut ColumnDictionary) -> Vec<u32> {
    let mut numbers = Vec::new();
    for batch in batches {
        match batch.shared_column(name) {
            Some(column) => vocabulary.read(&column, |number| numbers.push(number.unwrap_or(ABSENT))),
            None => numbers.extend(std::iter::repeat_n(ABSENT, batch.shared().num_rows())),
        }
    }
    numbers
}

fn of_rows(batch: &Batch, name: &str, vocabulary: &mut ColumnDictionary) -> Part {
    let mut numbers = Vec::new();
    let mut add = |number: Option<u32>| numbers.push(number.unwrap_or(ABSENT));
    let texts = batch.rows().column_by_name(name);
    if let Some(texts) = texts.and_then(|column| column.as_dictionary_opt::<UInt16Type>()) {
        vocabulary.read(texts.values(), add);
        let keys = texts.keys().clone();
        return Part::Own { keys, numbers };
    }
    let Some(column) = batch.column(name) else {
        return Part::Absent;
    };
    vocabulary.read(&column, &mut add);
    Part::Numbers(numbers)
}

/// FixedWidthColumn are the same in many rows of the order that come one after the other.
fn in_order(sorted: &Sorted, name: &str, vocabulary: &mut ColumnDictionary) -> Vec<u32> {
    let columns: Vec<_> = sorted
        .batches
        .iter()
        .map(|batch| batch.packed_column(name))
        .collect();
    let parts: Vec<_> = columns
        .iter()
        .map(|column| {
            column
                .as_ref()
                .map(|column| (FixedWidthColumn::of(column), column.nulls()))
        })
        .collect();
    let mut last = (0, ABSENT);
    let number = |place: &Place| {
        let Some((bytes, nulls)) = &parts[place.batch as usize] else {
            return ABSENT;
        };
        let row = place.row as usize;
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return ABSENT;
        }
        let word = bytes.number(row);
        if last.0 != word || last.1 == ABSENT {
            last = (word, vocabulary.number(word));
        }
        last.1
    };
    sorted.order.iter().map(number).collect()
}

/// A part, ready to be asked a row at a time.
enum Lookup<'a> {
    Absent,
    Own {
        keys: &'a [u16],
        nulls: Option<&'a NullBuffer>,
        numbers: &'a [u32],
    },
    Numbers(&'a [u32]),
}

impl Part {
    fn lookup(&self) -> Lookup<'_> {
        match self {
            Self::Absent => Lookup::Absent,
            Self::Own { keys, numbers } => Lookup::Own {
                keys: keys.values(),
                nulls: keys.nulls(),
                numbers,
            },
            Self::Numbers(numbers) => Lookup::Numbers(numbers),
        }
    }
}

impl Lookup<'_> {
    #[inline]
    fn number(&self, row: usize) -> u32 {
        match self {
            Self::Absent => ABSENT,
            Self::Own {
                nulls: Some(nulls), ..
            } if nulls.is_null(row) => ABSENT,
            Self::Own { keys, numbers, .. } => numbers[usize::from(keys[row])],
            Self::Numbers(numbers) => numbers[row],
        }
    }
}
