//! How packets were sampled, out of the many elements that say so (RFC 5477 §8.2,
//! RFC 3954 §8). Exporters state one sampler in several ways at once, and not all of
//! them are filled in: what says that packets were left out is believed before what
//! says that all were taken.

/// What an options record or a flow record says about one sampler.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SamplingElements {
    /// IE 304 selectorAlgorithm.
    algorithm: Option<u64>,
    /// IE 34 samplingInterval, IE 50 samplerRandomInterval: one of so many.
    interval: Option<u64>,
    /// IE 305 samplingPacketInterval: packets taken in a row.
    packet_interval: Option<u64>,
    /// IE 306 samplingPacketSpace: packets left out after them.
    packet_space: Option<u64>,
    /// IE 309 samplingSize.
    size: Option<u64>,
    /// IE 310 samplingPopulation.
    population: Option<u64>,
    /// IE 311 samplingProbability, a float64 (or float32) as it stands on the wire.
    probability: Option<f64>,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SamplingElement {
    Algorithm,
    Interval,
    PacketInterval,
    PacketSpace,
    Size,
    Population,
    Probability,
}

/// The element of IANA's registry with this number.
pub(crate) const fn element(id: u16) -> Option<SamplingElement> {
    Some(match id {
        304 => SamplingElement::Algorithm,
        34 | 50 => SamplingElement::Interval,
        305 => SamplingElement::PacketInterval,
        306 => SamplingElement::PacketSpace,
        309 => SamplingElement::Size,
        310 => SamplingElement::Population,
        311 => SamplingElement::Probability,
        _ => return None,
    })
}

/// Packets taken, and of how many.
type Fraction = (u64, u64);

impl SamplingElements {
    pub(crate) fn put(&mut self, element: SamplingElement, bytes: &[u8]) {
        let value = crate::store::integer(bytes);
        match element {
            SamplingElement::Algorithm => self.algorithm = value,
            // A template may have both 34 and 50, one of them empty.
            SamplingElement::Interval => self.interval = self.interval.max(value),
            SamplingElement::PacketInterval => self.packet_interval = value,
            SamplingElement::PacketSpace => self.packet_space = value,
            SamplingElement::Size => self.size = value,
            SamplingElement::Population => self.population = value,
            SamplingElement::Probability => self.probability = float(bytes),
        }
    }

    /// What they say together. The way that the algorithm (IE 304) goes with is asked
    /// first, then those that are hardest to misread. `None` when nothing is said, or
    /// nothing that can be.
    pub(crate) fn fraction(&self) -> Option<Fraction> {
        let by_algorithm = match self.algorithm {
            Some(1) => self.counted(),
            Some(3) => self.drawn(),
            Some(4) => self.by_chance(),
            _ => None,
        };
        let ways = [
            by_algorithm,
            self.drawn(),
            self.one_of(),
            self.counted(),
            self.by_chance(),
        ];
        let said = || ways.into_iter().flatten();
        said()
            .find(|(taken, out_of)| out_of > taken)
            .or_else(|| said().next())
    }

    /// One of so many packets is taken, rounded to the nearest number.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.fraction().map(rate)
    }

    /// n out of N packets.
    fn drawn(&self) -> Option<Fraction> {
        possible(self.size?, self.population?)
    }

    fn one_of(&self) -> Option<Fraction> {
        possible(1, self.interval?)
    }

    /// So many packets in a row, then a space (RFC 5477 §8.2.2). An interval without a
    /// space would be no sampling at all: exporters that send it alone mean one packet
    /// of so many.
    fn counted(&self) -> Option<Fraction> {
        let interval = self.packet_interval?;
        match self.packet_space {
            Some(space) => possible(interval, interval.checked_add(space)?),
            None => possible(1, interval),
        }
    }

    fn by_chance(&self) -> Option<Fraction> {
        const PARTS: f64 = 1e9;
        let probability = self.probability.filter(|p| *p > 0.0 && *p <= 1.0)?;
        possible(1, (1.0 / probability).round().min(PARTS) as u64)
    }
}

/// The rate of a fraction, rounded to the nearest number.
pub(crate) fn rate((taken, out_of): Fraction) -> u32 {
    let taken = taken.max(1);
    u32::try_from(out_of.saturating_add(taken / 2) / taken).unwrap_or(u32::MAX)
}

fn possible(taken: u64, out_of: u64) -> Option<Fraction> {
    (taken > 0 && out_of >= taken).then_some((taken, out_of))
}

/// RFC 7011 §6.1.3 and §6.2: a float64 may be sent as a float32.
fn float(bytes: &[u8]) -> Option<f64> {
    match *bytes {
        [a, b, c, d] => Some(f64::from(f32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(values: &[(u16, u64)]) -> Option<Fraction> {
        let mut elements = SamplingElements::default();
        for (id, value) in values {
            elements.put(element(*id).expect("one of them"), &value.to_be_bytes());
        }
        elements.fraction()
    }

    #[test]
    fn of_several_ways_the_one_that_leaves_packets_out_is_believed() {
        let xr = [(304, 3), (305, 1), (309, 1), (310, 256)];
        assert_eq!(said(&xr), Some((1, 256)));
        assert_eq!(said(&[(305, 1), (306, 0), (34, 100)]), Some((1, 100)));
        assert_eq!(said(&[(34, 1), (50, 512)]), Some((1, 512)));
        assert_eq!(said(&[(34, 0), (305, 1), (306, 99)]), Some((1, 100)));
        assert_eq!(said(&[(309, 1), (310, 1), (50, 64)]), Some((1, 64)));
        assert_eq!(said(&[(305, 1), (306, 0), (309, 1), (310, 1)]), Some((1, 1)));
    }

    #[test]
    fn the_algorithm_says_which_of_several_ways_is_meant() {
        let both = [(305, 2), (306, 18), (309, 1), (310, 256)];
        let with = |algorithm| said(&[&[(304, algorithm)], &both[..]].concat());
        assert_eq!((with(1), with(3)), (Some((2, 20)), Some((1, 256))));
    }

    #[test]
    fn an_interval_without_a_space_is_one_packet_of_so_many() {
        assert_eq!(said(&[(305, 1_000)]), Some((1, 1_000)));
        assert_eq!(said(&[(305, 10), (306, 0)]), Some((10, 10)));
        assert_eq!(said(&[(305, 10), (306, 990)]), Some((10, 1_000)));
    }

    #[test]
    fn a_probability_is_a_rate() {
        assert_eq!(said(&[(311, 0.001f64.to_bits())]), Some((1, 1_000)));
        for nonsense in [0.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
            assert_eq!(said(&[(311, nonsense.to_bits())]), None);
        }
        assert_eq!(float(&0.25f32.to_be_bytes()), Some(0.25));
    }
}
