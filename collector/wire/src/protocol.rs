//! Which protocol a datagram speaks, told from its first octets alone.

use crate::reader::Reader;
use crate::reject::Reject;

/// A flow export protocol and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Protocol {
    /// NetFlow version 5.
    NetFlow5,
    /// NetFlow version 9 (RFC 3954).
    NetFlow9,
    /// IPFIX, which calls itself version 10 (RFC 7011).
    #[default]
    Ipfix,
    /// sFlow version 5.
    Sflow5,
}

impl Protocol {
    /// Every protocol, for tables of counters.
    pub const ALL: [Protocol; 4] = [Self::NetFlow5, Self::NetFlow9, Self::Ipfix, Self::Sflow5];

    /// The version number in its header.
    pub(crate) const fn version(self) -> u8 {
        match self {
            Self::NetFlow5 | Self::Sflow5 => 5,
            Self::NetFlow9 => 9,
            Self::Ipfix => 10,
        }
    }

    /// The name used in records and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetFlow5 => "netflow5",
            Self::NetFlow9 => "netflow9",
            Self::Ipfix => "ipfix",
            Self::Sflow5 => "sflow5",
        }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Tells the protocol of a datagram from its version field: 16 bits for NetFlow
/// and IPFIX, 32 bits for sFlow, whose first 16 are therefore zero.
///
/// # Errors
/// [`Reject::Truncated`] when the version field is not all there,
/// [`Reject::Version`] when it names none of the four.
pub fn sniff(datagram: &[u8]) -> Result<Protocol, Reject> {
    let mut reader = Reader::new(datagram);
    match reader.u16()? {
        5 => Ok(Protocol::NetFlow5),
        9 => Ok(Protocol::NetFlow9),
        10 => Ok(Protocol::Ipfix),
        0 => match reader.u16()? {
            5 => Ok(Protocol::Sflow5),
            other => Err(Reject::Version {
                found: u32::from(other),
            }),
        },
        other => Err(Reject::Version {
            found: u32::from(other),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_known_by_its_first_octets() {
        assert_eq!(sniff(&[0, 5, 0, 1]), Ok(Protocol::NetFlow5));
        assert_eq!(sniff(&[0, 9, 0, 1]), Ok(Protocol::NetFlow9));
        assert_eq!(sniff(&[0, 10]), Ok(Protocol::Ipfix));
        assert_eq!(sniff(&[0, 0, 0, 5]), Ok(Protocol::Sflow5));
    }

    #[test]
    fn other_versions_are_refused_with_the_number_found() {
        assert_eq!(sniff(&[0, 7, 0, 1]), Err(Reject::Version { found: 7 }));
        assert_eq!(sniff(&[0, 0, 0, 4]), Err(Reject::Version { found: 4 }));
        assert_eq!(sniff(b"GET /"), Err(Reject::Version { found: 0x4745 }));
    }

    #[test]
    fn a_datagram_shorter_than_its_version_is_refused() {
        assert_eq!(
            sniff(&[]),
            Err(Reject::Truncated {
                offset: 0,
                expected: 2,
                found: 0
            })
        );
        assert_eq!(
            sniff(&[0, 0, 0]),
            Err(Reject::Truncated {
                offset: 2,
                expected: 2,
                found: 1
            })
        );
    }
}
