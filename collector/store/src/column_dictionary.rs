//! Columns of words: texts, and what has a fixed width as a number. Both ways.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeBinaryArray, PrimitiveArray, StringViewArray,
};
use arrow::datatypes::{DataType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

use crate::dictionary::Dictionary;
use crate::fixed_width;
use crate::sorted::ABSENT;

/// The words of a column: texts, or bytes (the first is the highest) and numbers
/// as a number, which has their order.
#[derive(Debug)]
pub(crate) enum ColumnDictionary {
    Texts(Dictionary<String>),
    Fixed(Dictionary<u128>),
}

impl ColumnDictionary {
    /// Of a column of that type.
    pub fn of(kind: &DataType) -> Self {
        match kind {
            DataType::Utf8View => Self::Texts(Dictionary::default()),
            _ => Self::Fixed(Dictionary::default()),
        }
    }

    /// The number of a word that is a number; none among texts.
    pub fn number(&mut self, word: u128) -> u32 {
        match self {
            Self::Texts(_) => ABSENT,
            Self::Fixed(dictionary) => dictionary.number(&word),
        }
    }

    /// The numbers in the order of their words.
    pub fn ascending(&self) -> Vec<u32> {
        match self {
            Self::Texts(dictionary) => dictionary.ascending(),
            Self::Fixed(dictionary) => dictionary.ascending(),
        }
    }

    /// Calls `each` with the number of each value, none of what is absent.
    pub fn read(&mut self, column: &dyn Array, mut each: impl FnMut(Option<u32>)) {
        match self {
            Self::Texts(dictionary) => {
                let texts = column.as_string_view().iter();
                texts.for_each(|text| each(text.map(|text| dictionary.number(text))));
            }
            Self::Fixed(dictionary) => {
                let mut fixed = |word: Option<u128>| each(word.map(|word| dictionary.number(&word)));
                match column.data_type() {
                    DataType::UInt8 => numbers::<UInt8Type>(column, fixed),
                    DataType::UInt16 => numbers::<UInt16Type>(column, fixed),
                    DataType::UInt32 => numbers::<UInt32Type>(column, fixed),
                    DataType::UInt64 => numbers::<UInt64Type>(column, fixed),
                    _ => column
                        .as_fixed_size_binary()
                        .iter()
                        .for_each(|o| fixed(o.map(fixed_width::number))),
                }
            }
        }
    }

    /// The words of these numbers as a column of that type.
    pub fn column(&self, kind: &DataType, numbers: impl Iterator<Item = u32>) -> ArrayRef {
        match self {
            Self::Texts(dictionary) => {
                let texts = numbers.map(|number| dictionary.words()[number as usize].as_str());
                Arc::new(StringViewArray::from_iter_values(texts))
            }
            Self::Fixed(dictionary) => {
                let words = numbers.map(|number| dictionary.words()[number as usize]);
                match kind {
                    DataType::UInt8 => values::<UInt8Type>(words),
                    DataType::UInt16 => values::<UInt16Type>(words),
                    DataType::UInt32 => values::<UInt32Type>(words),
                    DataType::UInt64 => values::<UInt64Type>(words),
                    kind => bytes(kind, words),
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

fn bytes(kind: &DataType, words: impl Iterator<Item = u128>) -> ArrayRef {
    let width = match kind {
        DataType::FixedSizeBinary(width) => *width,
        _ => size_of::<u128>() as i32,
    };
    let unused = size_of::<u128>() - width as usize;
    let mut bytes = Vec::with_capacity(words.size_hint().0 * width as usize);
    words.for_each(|word| bytes.extend_from_slice(&word.to_be_bytes()[unused..]));
    Arc::new(FixedSizeBinaryArray::new(width, bytes.into(), None))
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
            let mut vocabulary = ColumnDictionary::of(column.data_type());
            let mut numbers = Vec::new();
            vocabulary.read(&column, |number| numbers.extend(number));
            assert_eq!(numbers, [0, 1, 2]);
            assert_eq!(&vocabulary.column(column.data_type(), 0..3), &column);
            let ascending = vocabulary.column(column.data_type(), vocabulary.ascending().into_iter());
            assert_eq!(&ascending, &arrow::compute::sort(&column, None).unwrap());
        }
    }
}
