//! Small numbers of which there are few, as words: most ports, packets and
//! interfaces of a cluster are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

use crate::sorted::ABSENT;

/// Numbers from this one on are not looked at.
const LARGE: usize = 1 << 16;

/// A column with more of them would have a dictionary as large as itself.
const MANY: usize = 1 << 12;

/// Finds the words of columns of numbers, in the same memory.
#[derive(Debug)]
pub(crate) struct SmallDictionaryBuilder {
    /// By value: whether it occurs, then its place among those that do.
    places: Box<[u32]>,
}

impl Default for SmallDictionaryBuilder {
    fn default() -> Self {
        Self {
            places: vec![ABSENT; LARGE].into(),
        }
    }
}

impl SmallDictionaryBuilder {
    /// The values that occur, ascending, and in `numbers` which one each row has;
    /// none if they are large, many or no numbers.
    pub fn words(&mut self, column: &ArrayRef, numbers: &mut Vec<u32>) -> Option<ArrayRef> {
        match column.data_type() {
            DataType::UInt8 => self.of(column.as_primitive::<UInt8Type>(), numbers),
            DataType::UInt16 => self.of(column.as_primitive::<UInt16Type>(), numbers),
            DataType::UInt32 => self.of(column.as_primitive::<UInt32Type>(), numbers),
            DataType::UInt64 => self.of(column.as_primitive::<UInt64Type>(), numbers),
            _ => None,
        }
    }

    fn of<T>(&mut self, column: &PrimitiveArray<T>, numbers: &mut Vec<u32>) -> Option<ArrayRef>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<u64> + TryFrom<u64>,
    {
        self.places.fill(ABSENT);
        let present = (0..column.len()).filter(|row| column.is_valid(*row));
        let mut end = 0;
        for row in present {
            let value: u64 = column.value(row).into();
            let value = usize::try_from(value).ok().filter(|value| *value < LARGE)?;
            self.places[value] = 0;
            end = end.max(value + 1);
        }
        let mut words = Vec::new();
        for (value, place) in (0..).zip(&mut self.places[..end]) {
            if *place == 0 {
                *place = words.len() as u32;
                words.extend(T::Native::try_from(value).ok());
            }
        }
        if words.len() > MANY {
            return None;
        }
        numbers.clear();
        numbers.extend((0..column.len()).map(|row| match column.is_valid(row) {
            true => self.places[column.value(row).into() as usize],
            false => ABSENT,
        }));
        Some(Arc::new(PrimitiveArray::<T>::from_iter_values(words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{UInt32Array, UInt64Array};

    #[test]
    fn small_numbers_that_come_again_are_words_and_others_are_not() {
        let mut few = SmallDictionaryBuilder::default();
        let mut numbers = Vec::new();
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![
            Some(443),
            None,
            Some(65_535),
            Some(0),
            Some(443),
        ]));
        let words = few.words(&column, &mut numbers).unwrap();
        assert_eq!(words.as_primitive::<UInt64Type>().values()[..], [0, 443, 65_535]);
        assert_eq!(numbers, [1, ABSENT, 2, 0, 1]);

        let large: ArrayRef = Arc::new(UInt64Array::from(vec![1, 65_536]));
        assert!(few.words(&large, &mut numbers).is_none());
        let many: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..=MANY as u32));
        assert!(few.words(&many, &mut numbers).is_none());
        let most: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..MANY as u32));
        assert_eq!(
            few.words(&most, &mut numbers).map(|words| words.len()),
            Some(MANY)
        );
        assert!(numbers.iter().copied().eq(0..MANY as u32));
    }
}
