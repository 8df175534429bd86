//! How many values there are: counted one by one up to a bound, and estimated by
//! HyperLogLog beyond it (Flajolet and others 2007, with the estimator of Ertl 2017, which
//! needs no correction in any range).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

use super::Sketch;

/// So many values are counted one by one.
pub(crate) const EXACT_VALUES: usize = 4_096;

/// The bits of a hash that choose a register.
const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// The bits of a hash that are left.
const REST: u32 = 64 - BITS;

/// The standard error of an estimate, as a part of it: 1.04 / sqrt(registers).
pub(crate) const STANDARD_ERROR: f64 = 1.04 / 128.0;

/// The values of a group, or what is left of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cardinality {
    /// All of them.
    Exact(HashSet<u128, foldhash::quality::RandomState>),
    /// The longest run of zeros in the hashes of each register, and one more.
    Estimated(Box<[u8]>),
}

impl Default for Cardinality {
    fn default() -> Self {
        Self::Exact(HashSet::default())
    }
}

impl Cardinality {
    /// How many values there are.
    pub(crate) fn count(&self) -> u64 {
        match self {
            Self::Exact(values) => values.len() as u64,
            Self::Estimated(registers) => estimate(registers),
        }
    }

    /// The count is an estimate.
    pub(crate) const fn is_estimated(&self) -> bool {
        matches!(self, Self::Estimated(_))
    }

    fn estimated(&mut self) -> &mut [u8] {
        if let Self::Exact(values) = self {
            let mut registers = vec![0; REGISTERS].into_boxed_slice();
            values.iter().for_each(|value| register(&mut registers, *value));
            *self = Self::Estimated(registers);
        }
        match self {
            Self::Estimated(registers) => registers,
            Self::Exact(_) => &mut [],
        }
    }
}

fn register(registers: &mut [u8], value: u128) {
    let hash = hash(value);
    let place = (hash >> REST) as usize;
    // A hash of zeros alone has as many as there are bits.
    let zeros = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros();
    registers[place] = registers[place].max(zeros as u8 + 1);
}

/// Two rounds of the finalizer of MurmurHash3: each bit of a value changes half of the
/// hash. It is the same on every thread.
fn hash(value: u128) -> u64 {
    let mix = |mut bits: u64| {
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        bits = (bits ^ (bits >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        bits ^ (bits >> 33)
    };
    let (high, low) = ((value >> 64) as u64, value as u64);
    mix(low ^ mix(high ^ 0x9e37_79b9_7f4a_7c15))
}

/// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6.
fn estimate(registers: &[u8]) -> u64 {
    let mut counts = [0_u32; REST as usize + 2];
    for &value in registers {
        counts[usize::from(value)] += 1;
    }
    let all = REGISTERS as f64;
    let mut z = all * tau(1.0 - f64::from(counts[REST as usize + 1]) / all);
    for count in counts[1..=REST as usize].iter().rev() {
        z = 0.5 * (z + f64::from(*count));
    }
    z += all * sigma(f64::from(counts[0]) / all);
    (all * all / (2.0 * std::f64::consts::LN_2) / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

impl Sketch for Cardinality {
    type Item = u128;

    /// Values of a column in 128 bits, those that are known: two that differ differ in these, too, but for texts
    /// longer than that, which do but for one chance in 2^128.
    fn items(args: &[ArrayRef]) -> Vec<Option<u128>> {
        let column = &args[0];
        let of = |value: &dyn Fn(usize) -> u128| {
            let value = |row| column.is_valid(row).then(|| value(row));
            (0..column.len()).map(value).collect()
        };
        match column.data_type() {
            DataType::UInt8 => of(&|row| column.as_primitive::<UInt8Type>().value(row).into()),
            DataType::UInt16 => of(&|row| column.as_primitive::<UInt16Type>().value(row).into()),
            DataType::UInt32 => of(&|row| column.as_primitive::<UInt32Type>().value(row).into()),
            DataType::UInt64 => of(&|row| column.as_primitive::<UInt64Type>().value(row).into()),
            DataType::Boolean => of(&|row| column.as_boolean().value(row).into()),
            DataType::Timestamp(..) => {
                of(&|row| column.as_primitive::<TimestampMicrosecondType>().value(row) as u128)
            }
            DataType::FixedSizeBinary(_) => of(&|row| short(column.as_fixed_size_binary().value(row))),
            DataType::Utf8View => {
                let texts = column.as_string_view().iter();
                let known = texts.map(|text| text.filter(|text| !text.is_empty()));
                known.map(|known| known.map(text)).collect()
            }
            _ => vec![None; column.len()],
        }
    }

    fn add(&mut self, value: u128) {
        match self {
            Self::Exact(values) => {
                values.insert(value);
                if values.len() > EXACT_VALUES {
                    self.estimated();
                }
            }
            Self::Estimated(registers) => register(registers, value),
        }
    }

    fn merge(&mut self, other: &Self) {
        match other {
            Self::Exact(values) => values.iter().for_each(|value| self.add(*value)),
            Self::Estimated(theirs) => {
                let pairs = self.estimated().iter_mut().zip(theirs);
                pairs.for_each(|(own, their)| *own = (*own).max(*their));
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Exact(values) => {
                let values = values.iter().flat_map(|value| value.to_le_bytes());
                std::iter::once(0).chain(values).collect()
            }
            Self::Estimated(registers) => std::iter::once(1).chain(registers.iter().copied()).collect(),
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((1, registers)) => Self::Estimated(registers.into()),
            Some((_, values)) => {
                let (values, _) = values.as_chunks::<16>();
                Self::Exact(values.iter().map(|value| u128::from_le_bytes(*value)).collect())
            }
            None => Self::default(),
        }
    }

    /// A table has a power of two of places, of which 7 in 8 are filled at most, each with
    /// a byte beside it; written out it takes 16 bytes a value.
    fn heap(&self) -> usize {
        match self {
            Self::Exact(values) if values.capacity() == 0 => 0,
            Self::Exact(values) => {
                let places = (values.capacity() * 8 / 7).next_power_of_two();
                places * (size_of::<u128>() + 1) + 16 + values.len() * 16
            }
            Self::Estimated(registers) => 2 * registers.len(),
        }
    }
}

/// At most 16 bytes.
fn short(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |value, byte| value << 8 | u128::from(*byte))
}

fn text(text: &str) -> u128 {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}
