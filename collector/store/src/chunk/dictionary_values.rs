//! The words that numbers stand for, as Parquet has them: how they stand in a
//! dictionary page and in the footer.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, StringViewArray, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use parquet::basic::{SortOrder, Type};
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescriptor;

use super::error;

/// The words of a column, by the physical type that they have in Parquet.
pub(super) enum DictionaryValues<'a> {
    Texts(&'a StringViewArray),
    Fixed(&'a FixedSizeBinaryArray),
    Narrow(Cow<'a, [u32]>),
    Wide(&'a [i64]),
}

impl<'a> DictionaryValues<'a> {
    /// # Errors
    /// The column has another type, or a word is absent.
    pub(super) fn new(words: &'a dyn Array, descr: &ColumnDescriptor) -> Result<Self> {
        use DataType::{FixedSizeBinary, Timestamp, UInt8, UInt16, UInt32, UInt64, Utf8View};
        if words.null_count() > 0 {
            return Err(error(descr, "a word of it is absent"));
        }
        debug_assert!(ascend(words), "words of {} do not ascend", descr.name());
        Ok(match (words.data_type(), descr.physical_type()) {
            (Utf8View, Type::BYTE_ARRAY) => Self::Texts(words.as_string_view()),
            (FixedSizeBinary(bytes), Type::FIXED_LEN_BYTE_ARRAY) if *bytes == descr.type_length() => {
                Self::Fixed(words.as_fixed_size_binary())
            }
            (UInt8, Type::INT32) => Self::Narrow(widened(words.as_primitive::<UInt8Type>().values())),
            (UInt16, Type::INT32) => Self::Narrow(widened(words.as_primitive::<UInt16Type>().values())),
            (UInt32, Type::INT32) => Self::Narrow(Cow::Borrowed(words.as_primitive::<UInt32Type>().values())),
            (UInt64, Type::INT64) => {
                let numbers = words.as_primitive::<UInt64Type>().values();
                Self::Wide(numbers.inner().typed_data())
            }
            (Timestamp(TimeUnit::Microsecond, _), Type::INT64) => {
                Self::Wide(words.as_primitive::<TimestampMicrosecondType>().values())
            }
            (words, column) => {
                let what = format!("{words} cannot be the words of {column}");
                return Err(error(descr, &what));
            }
        })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(words) => words.len(),
            Self::Fixed(words) => words.len(),
            Self::Narrow(words) => words.len(),
            Self::Wide(words) => words.len(),
        }
    }

    /// Appends a word in Parquet's PLAIN encoding.
    pub(super) fn append_plain(&self, word: usize, out: &mut Vec<u8>) {
        match self {
            Self::Texts(words) => {
                let text = words.value(word);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Fixed(words) => out.extend_from_slice(words.value(word)),
            Self::Narrow(words) => out.extend_from_slice(&words[word].to_le_bytes()),
            Self::Wide(words) => out.extend_from_slice(&words[word].to_le_bytes()),
        }
    }

    /// A word as the column index has it.
    pub(super) fn bound(&self, word: usize) -> Vec<u8> {
        match self {
            Self::Texts(words) => words.value(word).as_bytes().to_vec(),
            Self::Fixed(words) => words.value(word).to_vec(),
            Self::Narrow(words) => words[word].to_le_bytes().to_vec(),
            Self::Wide(words) => words[word].to_le_bytes().to_vec(),
        }
    }

    /// What the footer says of a chunk. `range`: its least and greatest word, if it
    /// has any.
    pub(super) fn statistics(
        &self,
        range: Option<(usize, usize)>,
        nulls: u64,
        order: SortOrder,
    ) -> Statistics {
        let (least, greatest) = range.unzip();
        let (nulls, signed) = (Some(nulls), order.is_signed());
        match self {
            Self::Texts(_) => {
                let [min, max] = [least, greatest].map(|at| Some(ByteArray::from(self.bound(at?))));
                Statistics::byte_array(min, max, None, nulls, false)
            }
            Self::Fixed(_) => {
                let [min, max] = [least, greatest].map(|at| Some(ByteArray::from(self.bound(at?)).into()));
                Statistics::fixed_len_byte_array(min, max, None, nulls, false)
            }
            Self::Narrow(words) => {
                let [min, max] = [least, greatest].map(|at| Some(words[at?] as i32));
                Statistics::int32(min, max, None, nulls, false)
            }
            Self::Wide(words) => {
                let [min, max] = [least, greatest].map(|at| Some(words[at?]));
                let statistics = ValueStatistics::new(min, max, None, nulls, false);
                Statistics::Int64(statistics.with_backwards_compatible_min_max(signed))
            }
        }
    }
}

/// Arrow and Parquet order these types alike.
fn ascend(words: &dyn Array) -> bool {
    let Ok(compare) = make_comparator(words, words, SortOptions::default()) else {
        return true;
    };
    (1..words.len()).all(|word| compare(word - 1, word).is_lt())
}

fn widened<T: Copy + Into<u32>>(numbers: &[T]) -> Cow<'static, [u32]> {
    Cow::Owned(numbers.iter().map(|n| (*n).into()).collect())
}
