//! Why a datagram, or one set of a message, was refused. What is refused yields no
//! record and teaches no template. RFC 7011 §9.1 asks to discard a malformed message
//! whole; here a malformed set is left out alone, and a message without any other is
//! refused.

use thiserror::Error;

/// The reason one datagram or set was refused. Offsets count octets from the start of
/// the datagram.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reject {
    /// The datagram ends in the middle of something.
    #[error("cut short: {expected} bytes expected at offset {offset}, {found} left")]
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
    /// The message length in the header is shorter than the header, or longer than what
    /// is left of the datagram.
    #[error("the message length at offset {offset} is {found}: 16 to {expected} bytes were expected")]
    Length {
        /// Where the length field stands.
        offset: usize,
        /// What it says.
        found: usize,
        /// The most that it can be: what is left of the datagram where the message begins.
        expected: usize,
    },
    /// A set's length is shorter than its own header.
    #[error("the set at offset {offset} has the length {found}, and its header alone has 4 bytes")]
    SetLength {
        /// Where the set begins.
        offset: usize,
        /// The length it claims.
        found: usize,
    },
    /// A NetFlow v5 header that counts no record, or more than the 30 allowed.
    #[error("the header counts {found} flows, and a datagram of NetFlow v5 has 1 to 30")]
    FlowCount {
        /// The count found.
        found: u16,
    },
    /// A template whose id is kept for sets (RFC 7011 §3.4.1: 256 and up).
    #[error("the template at offset {offset} has the id {found}, and templates have ids from 256 on")]
    TemplateId {
        /// Where the template begins.
        offset: usize,
        /// The id found.
        found: u16,
    },
    /// An IPFIX options template without a scope field, or with more of them than it
    /// has fields (RFC 7011 §3.4.2.2).
    #[error(
        "the options template at offset {offset} has {found} scope fields of {expected} fields in all: \
         at least one, and not more than there are, was expected"
    )]
    Scope {
        /// Where the options template begins.
        offset: usize,
        /// The scope field count.
        found: usize,
        /// The field count.
        expected: usize,
    },
    /// A NetFlow v9 options template whose lengths are not those of whole field
    /// specifiers of 4 bytes (RFC 3954 §6.1).
    #[error(
        "the options template at offset {offset} has {scope} bytes of scope fields and {options} bytes of \
         option fields: multiples of 4 were expected"
    )]
    OptionsLength {
        /// Where the options template begins.
        offset: usize,
        /// The option scope length.
        scope: u16,
        /// The option length.
        options: u16,
    },
    /// A template that is in force was defined differently, in a session in which it
    /// would have to be withdrawn first (RFC 7011 §8).
    #[error("template {found} at offset {offset} differs from the one in force, which was not withdrawn")]
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
    pub const KINDS: [&'static str; 10] = [
        "truncated",
        "version",
        "length",
        "set_length",
        "flow_count",
        "template_id",
        "scope",
        "options_length",
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
            Self::OptionsLength { .. } => "options_length",
            Self::Redefined { .. } => "redefined",
            Self::Records { .. } => "records",
        }
    }
}
