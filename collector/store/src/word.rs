//! Columns of words: texts, and what has a fixed width as a number. Both ways.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeBinaryArray, PrimitiveArray, StringViewArray,
};
use arrow::datatypes::{DataType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

use crate::lexicon::Lexicon;
use crate::packed;
use crate::sorted::ABSENT;

/// The words of a column: texts, or octets (the first is the highest) and numbers
/// as a number, which has their order.
#[derive(Debug)]
pub(crate) enum Vocabulary {
    Texts(Lexicon<String>),
    Fixed(Lexicon<u128>),
}

impl Vocabulary {
    /// Of a column of that type.
    pub fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Utf8View => Self::Texts(Lexicon::default()),
            _ => Self::Fixed(Lexicon::default()),
        }
    }

    /// The number of a word that is a number; none among texts.
    pub fn number(&mut self, word: u128) -> u32 {
        match self {
            Self::Texts(_) => ABSENT,
            Self::Fixed(lexicon) => lexicon.number(&word),
        }
    }

    /// The numbers in the order of their words.
    pub fn ascending(&self) -> Vec<u32> {
        match self {
            Self::Texts(lexicon) => lexicon.ascending(),
            Self::Fixed(lexicon) => lexicon.ascending(),
        }
    }

    /// Calls `each` with the number of each value, none of what is absent.
    pub fn read(&mut self, column: &dyn Array, mut each: impl FnMut(Option<u32>)) {
        match self {
            Self::Texts(lexicon) => {
                let texts = column.as_string_view().iter();
                texts.for_each(|text| each(text.map(|text| lexicon.number(text))));
            }
            Self::Fixed(lexicon) => {
                let mut fixed = |word: Option<u128>| each(word.map(|word| lexicon.number(&word)));
                match column.data_type() {
                    DataType::UInt8 => numbers::<UInt8Type>(column, fixed),
                    DataType::UInt16 => numbers::<UInt16Type>(column, fixed),
                    DataType::UInt32 => numbers::<UInt32Type>(column, fixed),
                    DataType::UInt64 => numbers::<UInt64Type>(column, fixed),
                    _ => column
                        .as_fixed_size_binary()
                        .iter()
                        .for_each(|o| fixed(o.map(packed::number))),
                }
            }
        }
    }

    /// The words of these numbers as a column of that type.
    pub fn column(&self, kind: &DataType, numbers: impl Iterator<Item = u32>) -> ArrayRef {
        match self {
            Self::Texts(lexicon) => {
                let texts = numbers.map(|number| lexicon.words()[number as usize].as_str());
                Arc::new(StringViewArray::from_iter_values(texts))
            }
            Self::Fixed(lexicon) => {
                let words = numbers.map(|number| lexicon.words()[number as usize]);
                match kind {
                    DataType::UInt8 => values::<UInt8Type>(words),
                    DataType::UInt16 => values::<UInt16Type>(words),
                    DataType::UInt32 => values::<UInt32Type>(words),
                    DataType::UInt64 => values::<UInt64Type>(words),
                    kind => octets(kind, words),
                }
            }
        }
    }
}

fn numbers<T>(column: &dyn Array, each: impl FnMut(Option<u128>))
where
    T: ArrowPrimitiveType,
    T::Native: Into<u128>,
{
    let values = column.as_primitive::<T>().iter();
    values.map(|value| value.map(Into::into)).for_each(each);
}

fn values<T>(words: impl Iterator<Item = u128>) -> ArrayRef
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<u128>,
{
    let values = words.map(|word| T::Native::try_from(word).unwrap_or_default());
    Arc::new(PrimitiveArray::<T>::from_iter_values(values))
}

fn octets(kind: &DataType, words: impl Iterator<Item = u128>) -> ArrayRef {
    let width = match kind {
        DataType::FixedSizeBinary(width) => *width,
        _ => size_of::<u128>() as i32,
    };
    let unused = size_of::<u128>() - width as usize;
    let mut octets = Vec::with_capacity(words.size_hint().0 * width as usize);
    words.for_each(|word| octets.extend_from_slice(&word.to_be_bytes()[unused..]));
    Arc::new(FixedSizeBinaryArray::new(width, octets.into(), None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{UInt8Array, UInt64Array};

    #[test]
    fn columns_are_the_same_after_their_way_through_words() {
        let macs = [[0, 0, 0, 0, 1, 0], [0xff; 6], [2, 0, 0, 0, 0, 9]];
        let addresses = [[1; 16], [0; 16], [0xfe; 16]];
        let columns: [ArrayRef; 5] = [
            Arc::new(StringViewArray::from(vec![
                "b",
                "",
                "a word that is longer than a view",
            ])),
            Arc::new(FixedSizeBinaryArray::try_from_iter(macs.iter()).unwrap()),
            Arc::new(FixedSizeBinaryArray::try_from_iter(addresses.iter()).unwrap()),
            Arc::new(UInt64Array::from(vec![u64::MAX, 0, 256])),
            Arc::new(UInt8Array::from(vec![255, 0, 9])),
        ];
        for column in columns {
            let mut vocabulary = Vocabulary::of(column.data_type());
            let mut numbers = Vec::new();
            vocabulary.read(&column, |number| numbers.extend(number));
            assert_eq!(numbers, [0, 1, 2]);
            assert_eq!(&vocabulary.column(column.data_type(), 0..3), &column);
            let ascending = vocabulary.column(column.data_type(), vocabulary.ascending().into_iter());
            assert_eq!(&ascending, &arrow::compute::sort(&column, None).unwrap());
        }
    }
}
