//! Addresses in memory in fewer bytes than in a segment: IPv4 addresses as numbers
//! of 32 bits if a column has no others, Ethernet addresses as numbers of 64.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, PrimitiveArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt32Type, UInt64Type};

/// FixedWidthColumn of an address.
pub(crate) const ADDRESS: i32 = 16;
/// FixedWidthColumn of an Ethernet address.
const MAC: i32 = 6;

/// `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
const V4: u128 = 0xffff << 32;

/// Addresses, the first byte being the highest.
pub(crate) fn addresses(values: &[u128], valid: Option<NullBuffer>) -> ArrayRef {
    let is_there = |row: usize| valid.as_ref().is_none_or(|valid| valid.is_valid(row));
    let other = |(row, value): (usize, &u128)| value & !u128::from(u32::MAX) != V4 && is_there(row);
    if values.iter().enumerate().any(other) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        return Arc::new(FixedSizeBinaryArray::new(ADDRESS, bytes.into(), valid));
    }
    let values: Vec<u32> = values.iter().map(|value| *value as u32).collect();
    Arc::new(UInt32Array::new(values.into(), valid))
}

/// The column as the schema has it, of that type.
pub(crate) fn unpacked(column: &ArrayRef, kind: &DataType) -> ArrayRef {
    match (column.data_type(), kind) {
        (DataType::Dictionary(_, words), _) => {
            cast(column, words).expect("a dictionary is of its words' type")
        }
        (DataType::UInt32, DataType::FixedSizeBinary(ADDRESS)) => {
            let values = column.as_primitive::<UInt32Type>();
            bytes(values, |value| (V4 | u128::from(value)).to_be_bytes())
        }
        (DataType::UInt64, DataType::FixedSizeBinary(MAC)) => {
            bytes(column.as_primitive::<UInt64Type>(), |value| {
                let [_, _, bytes @ ..] = value.to_be_bytes();
                bytes
            })
        }
        _ => Arc::clone(column),
    }
}

fn bytes<T: arrow::array::ArrowPrimitiveType, const WIDTH: usize>(
    values: &PrimitiveArray<T>,
    bytes: impl Fn(T::Native) -> [u8; WIDTH],
) -> ArrayRef {
    let mut all = Vec::with_capacity(values.len() * WIDTH);
    values
        .values()
        .iter()
        .for_each(|value| all.extend_from_slice(&bytes(*value)));
    let column = FixedSizeBinaryArray::new(WIDTH as i32, all.into(), values.nulls().cloned());
    Arc::new(column)
}

/// FixedWidthColumn as a number, the first being the highest.
pub(crate) fn number(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// A column of bytes or packed ones, a row at a time.
pub(crate) enum FixedWidthColumn<'a> {
    /// IPv4 addresses.
    V4(&'a [u32]),
    /// Ethernet addresses.
    Mac(&'a [u64]),
    /// As in a segment.
    Plain(&'a FixedSizeBinaryArray),
}

impl<'a> FixedWidthColumn<'a> {
    /// Of a column of bytes, packed or not.
    pub fn of(column: &'a ArrayRef) -> Self {
        match column.data_type() {
            DataType::UInt32 => Self::V4(column.as_primitive::<UInt32Type>().values()),
            DataType::UInt64 => Self::Mac(column.as_primitive::<UInt64Type>().values()),
            _ => Self::Plain(column.as_fixed_size_binary()),
        }
    }

    /// The bytes as a number, the first being the highest.
    #[inline]
    pub fn number(&self, row: usize) -> u128 {
        match self {
            Self::V4(values) => V4 | u128::from(values[row]),
            Self::Mac(values) => values[row].into(),
            Self::Plain(values) => number(values.value(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(values: &[u128], valid: Option<NullBuffer>) -> (DataType, ArrayRef) {
        let packed = addresses(values, valid);
        for (row, value) in values.iter().enumerate().filter(|(row, _)| packed.is_valid(*row)) {
            assert_eq!(FixedWidthColumn::of(&packed).number(row), *value);
        }
        (
            packed.data_type().clone(),
            unpacked(&packed, &DataType::FixedSizeBinary(ADDRESS)),
        )
    }

    #[test]
    fn addresses_come_back_as_they_were() {
        let (one, two) = (V4 | 0x0a00_0001, V4 | 0xffff_ffff);
        let plain = |values: &[u128]| values.iter().map(|v| Some(v.to_be_bytes())).collect::<Vec<_>>();
        let expected = |values: Vec<Option<[u8; 16]>>| -> ArrayRef {
            Arc::new(
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), ADDRESS).unwrap(),
            )
        };
        let (kind, column) = there_and_back(&[one, two], None);
        assert_eq!((kind, &column), (DataType::UInt32, &expected(plain(&[one, two]))));
        let absent = NullBuffer::from(vec![true, false]);
        let (kind, column) = there_and_back(&[one, 0], Some(absent));
        assert_eq!(kind, DataType::UInt32);
        assert_eq!(&column, &expected(vec![Some(one.to_be_bytes()), None]));
        let six = 0xfd00 << 112 | 1;
        let (kind, column) = there_and_back(&[one, six], None);
        assert_eq!(kind, DataType::FixedSizeBinary(ADDRESS));
        assert_eq!(&column, &expected(plain(&[one, six])));
    }
}
