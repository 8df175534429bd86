//! One datagram that was made in advance, and the places in its header that
//! change each time it is sent.

/// Where a header keeps what changes; offsets in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of the sequence number.
    pub sequence: usize,
    /// Of the seconds since the epoch.
    pub seconds: Option<usize>,
}

impl Header {
    /// RFC 7011 §3.1.
    pub const IPFIX: Self = Self {
        sequence: 8,
        seconds: Some(4),
    };
    /// RFC 3954 §5.1.
    pub const NETFLOW9: Self = Self {
        sequence: 12,
        seconds: Some(8),
    };
    /// Cisco's NetFlow v5 header.
    pub const NETFLOW5: Self = Self {
        sequence: 16,
        seconds: Some(8),
    };
    /// sFlow v5 with an IPv4 agent.
    pub const SFLOW5: Self = Self {
        sequence: 16,
        seconds: None,
    };
}

/// A datagram, ready but for its sequence number and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    pub(crate) bytes: Vec<u8>,
    pub(crate) header: Option<Header>,
    pub(crate) records: u32,
    pub(crate) units: u32,
}

impl Card {
    /// A datagram of `records` flow records after which the sequence number is
    /// higher by `units`.
    pub(crate) const fn new(octets: Vec<u8>, header: Header, records: u32, units: u32) -> Self {
        Self {
            bytes: octets,
            header: Some(header),
            records,
            units,
        }
    }

    /// A datagram that is sent as it is. Nobody can say how many records a
    /// receiver makes of it.
    pub(crate) const fn raw(octets: Vec<u8>) -> Self {
        Self {
            bytes: octets,
            header: None,
            records: 0,
            units: 0,
        }
    }

    /// The UDP payload.
    pub fn octets(&self) -> &[u8] {
        &self.bytes
    }

    /// Flow records (in sFlow: flow samples) in it.
    pub const fn records(&self) -> u32 {
        self.records
    }

    /// Writes what changes.
    pub(crate) fn stamp(&mut self, sequence: u32, seconds: u32) {
        let Some(header) = self.header else { return };
        write(&mut self.bytes, header.sequence, sequence);
        if let Some(at) = header.seconds {
            write(&mut self.bytes, at, seconds);
        }
    }
}

fn write(octets: &mut [u8], at: usize, value: u32) {
    if let Some(place) = octets.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}
