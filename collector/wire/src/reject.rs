//! Why a datagram was refused. A refused datagram yields no record and teaches
//! no template (RFC 7011 §9.1: a malformed message is discarded whole).

use thiserror::Error;

/// The reason one datagram was refused. Offsets count octets from the start of
/// the datagram.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reject {
    /// The datagram ends in the middle of something.
    #[error("cut short: {expected} octets expected at offset {offset}, {found} left")]
    Truncated {
        /// Where the missing octets should begin.
        offset: usize,
        /// How many octets were expected there.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The version field names no protocol known here.
    #[error("version {found} is none of NetFlow 5, 9, IPFIX 10, sFlow 5")]
    Version {
        /// The version number found.
        found: u32,
    },
    /// The message length in the header is not that of the datagram.
    #[error("length field at offset {offset} says {found} octets, the datagram has {expected}")]
    Length {
        /// Where the length field stands.
        offset: usize,
        /// What it says.
        found: usize,
        /// The length of the datagram.
        expected: usize,
    },
    /// A set's length is shorter than its own header.
    #[error("set at offset {offset} has length {found}, shorter than its header")]
    SetLength {
        /// Where the set begins.
        offset: usize,
        /// The length it claims.
        found: usize,
    },
    /// A NetFlow v5 header that counts no record, or more than the 30 allowed.
    #[error("flow count {found} is not within 1..=30")]
    FlowCount {
        /// The count found.
        found: u16,
    },
    /// A template whose id is kept for sets (RFC 7011 §3.4.1: 256 and up).
    #[error("template id {found} at offset {offset} is below 256")]
    TemplateId {
        /// Where the template begins.
        offset: usize,
        /// The id found.
        found: u16,
    },
    /// An options template whose scope is empty or larger than the template
    /// (RFC 7011 §3.4.2.1, RFC 3954 §6.1).
    #[error("options template at offset {offset} has a scope of {found} in {expected}")]
    Scope {
        /// Where the options template begins.
        offset: usize,
        /// The scope count (IPFIX) or scope length in octets (NetFlow v9).
        found: usize,
        /// The field count (IPFIX), or 4, the size of a field specifier (NetFlow v9).
        expected: usize,
    },
    /// A template that is in force was defined differently, in a session in which it
    /// would have to be withdrawn first (RFC 7011 §8).
    #[error("template {found} at offset {offset} is another than the one in force")]
    Redefined {
        /// Where the template begins.
        offset: usize,
        /// Its id.
        found: u16,
    },
    /// More records than one datagram may yield.
    #[error("more than {limit} records")]
    Records {
        /// [`crate::Limits::records_per_datagram`].
        limit: usize,
    },
}

impl Reject {
    /// Every value of [`Reject::kind`], for tables of counters.
    pub const KINDS: [&'static str; 9] = [
        "truncated",
        "version",
        "length",
        "set_length",
        "flow_count",
        "template_id",
        "scope",
        "redefined",
        "records",
    ];

    /// A word for metric labels, out of [`Reject::KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Version { .. } => "version",
            Self::Length { .. } => "length",
            Self::SetLength { .. } => "set_length",
            Self::FlowCount { .. } => "flow_count",
            Self::TemplateId { .. } => "template_id",
            Self::Scope { .. } => "scope",
            Self::Redefined { .. } => "redefined",
            Self::Records { .. } => "records",
        }
    }
}
