//! Parquet's hybrid of runs and of bit-packed groups of eight (Encodings.md,
//! "Run Length Encoding / Bit-Packing Hybrid"), for numbers and for the bits that
//! say which rows are there. Only writes it, and without the length in front.

use arrow::buffer::BooleanBuffer;

/// Numbers that are packed together, and the fewest that become a run.
const GROUP: usize = 8;
/// Bytes of equal bits that become a run: of fewer, a run and the header of what
/// is packed after it take as much room.
const BITS_RUN: usize = 4;

/// How many bits a number has that is at most `greatest`.
pub(super) fn width(greatest: u32) -> u32 {
    u32::BITS - greatest.leading_zeros()
}

/// Appends the numbers, none of which has more than `width` bits.
pub(super) fn numbers(out: &mut Vec<u8>, numbers: &[u32], width: u32) {
    let mut rest = numbers;
    while !rest.is_empty() {
        let (packed, after) = rest.split_at(until_run(rest));
        pack(out, packed, width as usize);
        let (same, after) = after.split_at(run_length(after));
        if let Some(number) = same.first() {
            run(out, same.len(), *number, width);
        }
        rest = after;
    }
}

/// Appends which rows are there, as numbers of one bit.
pub(super) fn presence(out: &mut Vec<u8>, rows: &BooleanBuffer) {
    let there = rows.count_set_bits();
    if there == rows.len() || there == 0 {
        return run(out, rows.len(), u32::from(there > 0), 1);
    }
    let bytes = rows.sliced();
    let bytes = &bytes[..rows.len().div_ceil(8)];
    // The last byte may have bits of rows that do not exist.
    let whole = rows.len() / 8;
    let (mut packed, mut at) = (0, 0);
    while at < whole {
        let byte = bytes[at];
        let same = bytes[at..whole].iter().take_while(|o| **o == byte).count();
        if matches!(byte, 0 | 0xff) && same >= BITS_RUN {
            pack_bits(out, &bytes[packed..at]);
            run(out, same * 8, u32::from(byte & 1), 1);
            packed = at + same;
        }
        at += same;
    }
    pack_bits(out, &bytes[packed..]);
}

/// Appends `length` times the number.
pub(super) fn run(out: &mut Vec<u8>, length: usize, number: u32, width: u32) {
    if length > 0 {
        varint(out, length << 1);
        out.extend_from_slice(&number.to_le_bytes()[..width.div_ceil(8) as usize]);
    }
}

fn pack_bits(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        varint(out, bytes.len() << 1 | 1);
        out.extend_from_slice(bytes);
    }
}

fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Numbers in front of the first group that is all one number. What is left at the
/// end is a run only if nothing stands before it that it can be packed with.
fn until_run(numbers: &[u32]) -> usize {
    let (groups, rest) = numbers.as_chunks::<GROUP>();
    match groups.iter().position(|group| all(group, group[0])) {
        Some(group) => group * GROUP,
        None if groups.is_empty() && run_length(rest) == rest.len() => 0,
        None => numbers.len(),
    }
}

/// How often the first number stands at the start.
fn run_length(numbers: &[u32]) -> usize {
    let Some(first) = numbers.first() else { return 0 };
    let (groups, _) = numbers.as_chunks::<GROUP>();
    let whole = groups.iter().take_while(|group| all(group, *first)).count() * GROUP;
    whole + numbers[whole..].iter().take_while(|n| *n == first).count()
}

/// Without a branch for each number.
fn all(group: &[u32; GROUP], number: u32) -> bool {
    group.iter().fold(0, |different, n| different | (n ^ number)) == 0
}

/// The widths from 1 to 32 in three ways, each with as wide registers as it needs.
fn pack(out: &mut Vec<u8>, numbers: &[u32], width: usize) {
    if numbers.is_empty() {
        return;
    }
    varint(out, numbers.len().div_ceil(GROUP) << 1 | 1);
    match width {
        0..=8 => pack_groups(out, numbers, width, |[low, high]| {
            (four(low, width) | four(high, width) << (4 * width)).to_le_bytes()
        }),
        9..=16 => pack_groups(out, numbers, width, |[low, high]| {
            let (low, high) = (u128::from(four(low, width)), u128::from(four(high, width)));
            (low | high << (4 * width)).to_le_bytes()
        }),
        _ => pack_groups(out, numbers, width, |[low, high]| eight(low, high, width)),
    }
}

/// Each group takes as many bytes as a number has bits. `packed` gives more than
/// those; what is too much is overwritten by the next group.
fn pack_groups<const N: usize>(
    out: &mut Vec<u8>,
    numbers: &[u32],
    width: usize,
    packed: impl Fn([&[u32; 4]; 2]) -> [u8; N],
) {
    let mut at = out.len();
    out.resize(at + numbers.len().div_ceil(GROUP) * width + N, 0);
    let mut put = |group: &[u32; GROUP]| {
        let [a, b, c, d, e, f, g, h] = *group;
        out[at..at + N].copy_from_slice(&packed([&[a, b, c, d], &[e, f, g, h]]));
        at += width;
    };
    let (groups, rest) = numbers.as_chunks::<GROUP>();
    groups.iter().for_each(&mut put);
    if !rest.is_empty() {
        let mut last = [0; GROUP];
        last[..rest.len()].copy_from_slice(rest);
        put(&last);
    }
    out.truncate(at);
}

/// Four numbers of at most 16 bits.
fn four(numbers: &[u32; 4], width: usize) -> u64 {
    let [a, b, c, d] = numbers.map(u64::from);
    (a | b << width) | (c | d << width) << (2 * width)
}

/// Eight numbers of at most 32 bits. Four of an odd width end within an byte,
/// which the other four begin.
fn eight(low: &[u32; 4], high: &[u32; 4], width: usize) -> [u8; 32] {
    let four = |numbers: &[u32; 4]| {
        let [a, b, c, d] = numbers.map(u64::from);
        u128::from(a | b << width) | u128::from(c | d << width) << (2 * width)
    };
    let (low, high) = (four(low), four(high));
    let (bytes, bits) = (4 * width / 8, 4 * width % 8);
    let begun = low.checked_shr(8 * bytes as u32).unwrap_or(0);
    let mut packed = [0; 32];
    packed[..16].copy_from_slice(&low.to_le_bytes());
    packed[bytes..bytes + 16].copy_from_slice(&(high << bits | begun).to_le_bytes());
    packed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The hybrid as the format's description has it, a bit at a time.
    fn read(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        let next = |bytes: &mut &[u8]| {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            *first
        };
        while numbers.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                let byte = next(&mut bytes);
                header |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let mut number = [0; 4];
                number
                    .iter_mut()
                    .take(width.div_ceil(8) as usize)
                    .for_each(|o| *o = next(&mut bytes));
                numbers.extend(std::iter::repeat_n(u32::from_le_bytes(number), header >> 1));
            } else {
                let (packed, rest) = bytes.split_at((header >> 1) * width as usize);
                bytes = rest;
                let bit = |at: usize| u32::from(packed[at / 8] >> (at % 8) & 1);
                numbers.extend((0..(header >> 1) * GROUP).map(|number| {
                    (0..width as usize).fold(0, |n, b| n | bit(number * width as usize + b) << b)
                }));
            }
        }
        assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
        assert!(numbers.len() - count < GROUP);
        numbers.truncate(count);
        numbers
    }

    fn mixed() -> impl Strategy<Value = Vec<u32>> {
        let alone = proptest::collection::vec(any::<u32>(), 0..40);
        let same = (any::<u32>(), 0_usize..40).prop_map(|(n, times)| vec![n; times]);
        proptest::collection::vec(prop_oneof![alone, same], 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn numbers_of_every_width_are_read_as_they_were_written(wide in mixed()) {
            for width in 0..=32 {
                let mask = u32::MAX.checked_shr(32 - width).unwrap_or(0);
                let narrow: Vec<u32> = wide.iter().map(|n| n & mask).collect();
                let mut out = vec![7];
                numbers(&mut out, &narrow, width);
                prop_assert_eq!(read(&out[1..], width, narrow.len()), narrow);
            }
        }

        #[test]
        fn presence_is_read_as_it_was_written(parts in mixed(), from in 0_usize..20) {
            let bits: Vec<bool> = parts.iter().map(|n| n % 3 > 0).collect();
            let from = from.min(bits.len());
            let rows = BooleanBuffer::from(bits.clone()).slice(from, bits.len() - from);
            let mut out = Vec::new();
            presence(&mut out, &rows);
            let wanted: Vec<u32> = bits[from..].iter().map(|b| u32::from(*b)).collect();
            prop_assert_eq!(read(&out, 1, wanted.len()), wanted);
        }
    }

    #[test]
    fn a_width_is_as_many_bits_as_the_greatest_number_has() {
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(width), [0, 1, 2, 2, 3, 32]);
    }

    #[test]
    fn eight_equal_numbers_are_a_run_and_one_word_takes_no_bits() {
        let mut out = Vec::new();
        numbers(&mut out, &[[1, 2, 3, 4, 5, 6, 7, 0], [9; 8]].concat(), 4);
        assert_eq!(out, [3, 0x21, 0x43, 0x65, 0x07, 16, 9]);
        out.clear();
        numbers(&mut out, &[0; 100], 0);
        assert_eq!(out, [0xc8, 0x01]);
    }
}
