//! Running totals that an exporter tells now and then, as counters that never go
//! back: 32 bits that wrap become 64, and a switch that starts again at 0 goes on
//! from where it was.

/// A number that is not known comes as all ones (sFlow v5 §5).
pub(super) const UNKNOWN: u64 = u64::MAX;

/// How wide the exporter counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// All ones are not known; wraps.
    Bits32,
    /// All ones are not known.
    Bits64,
}

impl Width {
    /// A 32-bit value as one of 64 bits, for [`Running::advance`].
    pub(super) fn widen(value: u32) -> u64 {
        if value == u32::MAX {
            UNKNOWN
        } else {
            u64::from(value)
        }
    }
}

/// `N` counters of one source.
#[derive(Debug, Clone)]
pub(super) struct Running<const N: usize> {
    widths: [Width; N],
    sequence: u32,
    last: [u64; N],
    totals: [Option<u64>; N],
}

impl<const N: usize> Running<N> {
    /// Counters that begin with what is told first.
    pub(super) fn new(widths: [Width; N], sequence: u32, values: [u64; N]) -> Self {
        Self {
            widths,
            sequence,
            last: values,
            totals: values.map(|value| (value != UNKNOWN).then_some(value)),
        }
    }

    /// The counters; `None`: not known.
    pub(super) fn totals(&self) -> [Option<u64>; N] {
        self.totals
    }

    /// Takes in what the exporter tells now, and returns by how much each grew.
    /// `sequence` is the number of the sample: one that was overtaken, or comes
    /// twice, says nothing, and one that went back is of a switch that was restarted.
    pub(super) fn advance(&mut self, sequence: u32, values: [u64; N]) -> [u64; N] {
        let behind = self.sequence.wrapping_sub(sequence);
        if behind <= 1 {
            return [0; N];
        }
        let restarted = behind < u32::MAX / 2;
        self.sequence = sequence;
        std::array::from_fn(|i| {
            let (value, last) = (values[i], self.last[i]);
            self.last[i] = value;
            let growth = match (value, last) {
                (UNKNOWN, _) => return 0,
                (_, UNKNOWN) => value,
                _ if value >= last => value - last,
                _ if self.widths[i] == Width::Bits32 && !restarted => (1 << 32) - last + value,
                _ => value,
            };
            self.totals[i] = Some(self.totals[i].unwrap_or(0).saturating_add(growth));
            growth
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(sequence: u32, value: u64) -> Running<2> {
        Running::new([Width::Bits32, Width::Bits64], sequence, [value, value])
    }

    #[test]
    fn counters_grow_by_what_the_exporters_grew() {
        let mut counters = running(1, 100);
        assert_eq!(counters.advance(2, [150, 100]), [50, 0]);
        assert_eq!(counters.totals(), [Some(150), Some(100)]);
    }

    #[test]
    fn thirty_two_bits_wrap_and_sixty_four_start_again() {
        let mut counters = running(1, 0xffff_fff0);
        assert_eq!(counters.advance(2, [4, 4]), [20, 4]);
        assert_eq!(counters.totals()[0], Some(0xffff_fff0 + 20));
    }

    #[test]
    fn a_switch_that_was_restarted_goes_on_from_where_it_was() {
        let mut counters = running(50, 1_000);
        assert_eq!(counters.advance(1, [30, 40]), [30, 40]);
        assert_eq!(counters.totals(), [Some(1_030), Some(1_040)]);
    }

    #[test]
    fn a_sample_that_comes_late_or_twice_says_nothing() {
        let mut counters = running(50, 1_000);
        assert_eq!(counters.advance(49, [900, 900]), [0, 0]);
        assert_eq!(counters.advance(50, [1_000, 1_000]), [0, 0]);
        assert_eq!(counters.totals(), [Some(1_000), Some(1_000)]);
    }

    #[test]
    fn what_is_not_known_is_no_number() {
        let mut counters = Running::new([Width::Bits32], 1, [Width::widen(u32::MAX)]);
        assert_eq!(counters.totals(), [None]);
        assert_eq!(counters.advance(2, [Width::widen(7)]), [7]);
        assert_eq!(counters.totals(), [Some(7)]);
    }
}
