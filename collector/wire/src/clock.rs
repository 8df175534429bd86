//! Times on the wire, turned into nanoseconds since the epoch UTC. It owns no
//! clock: everything is relative to what the message's header says.

/// Seconds between the NTP epoch (1900) and the Unix epoch.
const NTP_TO_UNIX: u64 = 2_208_988_800;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// What a message's header says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Clock {
    /// When the message was sent.
    pub export_ns: u64,
    /// The exporter's uptime at that time, ms; NetFlow only.
    pub uptime_ms: Option<u32>,
}

impl Clock {
    /// A header's whole seconds and the rest in ns.
    pub(crate) fn new(seconds: u32, nanoseconds: u32, uptime_ms: Option<u32>) -> Self {
        Self {
            export_ns: u64::from(seconds) * NS_PER_S + u64::from(nanoseconds),
            uptime_ms,
        }
    }

    /// `delta` microseconds before the export (IE 158, 159).
    pub(crate) fn before(self, delta: u64) -> Option<u64> {
        self.export_ns.checked_sub(delta.checked_mul(1000)?)
    }

    /// The time at which the exporter's uptime was `uptime_ms`. Uptime wraps after
    /// 49.7 days, so it is the distance from the header's that counts.
    pub(crate) fn at_uptime(self, uptime_ms: u32) -> Option<u64> {
        let age_ms = self.uptime_ms?.wrapping_sub(uptime_ms).cast_signed();
        self.export_ns
            .checked_add_signed(-i64::from(age_ms) * NS_PER_MS.cast_signed())
    }
}

/// dateTimeSeconds (RFC 7011 §6.1.7).
pub(crate) fn from_seconds(seconds: u64) -> Option<u64> {
    seconds.checked_mul(NS_PER_S)
}

/// dateTimeMilliseconds (RFC 7011 §6.1.8).
pub(crate) fn from_milliseconds(milliseconds: u64) -> Option<u64> {
    milliseconds.checked_mul(NS_PER_MS)
}

/// dateTimeNanoseconds (RFC 7011 §6.1.10): the 64-bit NTP timestamp. Seconds below 2^31
/// are of the era that begins in 2036 (RFC 4330 §3). Its fractions are no decimal ones,
/// so the exporter has rounded already: to the nearest nanosecond gives its number back.
pub(crate) fn from_ntp(timestamp: u64) -> Option<u64> {
    ntp(timestamp, 1)
}

/// dateTimeMicroseconds (RFC 7011 §6.1.9): the same, to the microsecond.
pub(crate) fn from_ntp_microseconds(timestamp: u64) -> Option<u64> {
    ntp(timestamp, 1_000)
}

fn ntp(timestamp: u64, unit_ns: u64) -> Option<u64> {
    let seconds = timestamp >> 32;
    let era = if seconds < 1 << 31 { 1 << 32 } else { 0 };
    let fraction = (timestamp & 0xffff_ffff) * (NS_PER_S / unit_ns);
    let fraction_ns = ((fraction + (1 << 31)) >> 32) * unit_ns;
    (seconds + era)
        .checked_sub(NTP_TO_UNIX)?
        .checked_mul(NS_PER_S)?
        .checked_add(fraction_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_taken_relative_to_the_header_even_across_its_wrap() {
        let clock = Clock::new(1_000, 0, Some(500));
        assert_eq!(clock.at_uptime(500), Some(1_000_000_000_000));
        assert_eq!(clock.at_uptime(0), Some(999_500_000_000));
        assert_eq!(clock.at_uptime(u32::MAX), Some(999_499_000_000));
        assert_eq!(clock.at_uptime(700), Some(1_000_200_000_000));
        assert_eq!(Clock::new(1_000, 0, None).at_uptime(0), None);
    }

    #[test]
    fn deltas_are_subtracted_from_the_export_time() {
        assert_eq!(Clock::new(2, 0, None).before(1_500_000), Some(500_000_000));
        assert_eq!(Clock::new(2, 0, None).before(2_000_001), None);
        assert_eq!(Clock::new(2, 0, None).before(u64::MAX), None);
    }

    #[test]
    fn ntp_times_are_read_in_both_eras() {
        assert_eq!(from_ntp(NTP_TO_UNIX << 32), Some(0));
        assert_eq!(from_ntp(NTP_TO_UNIX << 32 | 1 << 31), Some(500_000_000));
        // 2036-02-07 06:28:16 UTC, where the seconds start again at 0.
        assert_eq!(from_ntp(0), Some(2_085_978_496 * NS_PER_S));
    }

    #[test]
    fn what_the_exporter_rounded_down_is_not_rounded_down_again() {
        for microseconds in [1, 123_456, 499_999, 999_999] {
            let exact = u64::from(microseconds as u32) << 32;
            // RFC 7011 §6.1.9: the lowest 11 bits say nothing.
            let timestamp = (NTP_TO_UNIX << 32) + ((exact / 1_000_000) & !0x7ff);
            assert_eq!(from_ntp_microseconds(timestamp), Some(microseconds * 1_000));
        }
        for nanoseconds in [1, 123_456_789, 999_999_999u64] {
            let timestamp = (NTP_TO_UNIX << 32) + (nanoseconds << 32) / NS_PER_S;
            assert_eq!(from_ntp(timestamp), Some(nanoseconds));
        }
    }
}
