//! How many entries the tables have that put names on records, of a thread and of a
//! connection.

/// Entries of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameRoom {
    /// Sides that were named a moment ago, 64 bytes each; a power of two.
    pub sides: usize,
    /// Lists of ports of Services, 100 bytes each.
    pub port_lists: usize,
    /// Identities that were made of others, 300 bytes each.
    pub derived: usize,
    /// What was seen to listen, 24 bytes each; a power of two.
    pub listeners: usize,
    /// Sides that were judged a moment ago, 150 bytes each, and verdicts, 32 bytes each; where
    /// something says which policies there are.
    pub judged: usize,
    /// What exporters said of their pods, up to 2 KiB each.
    pub claims: usize,
}

impl NameRoom {
    /// A receiving thread's, of which there are a few and each has all exporters: 30 MiB.
    pub const THREAD: Self = Self {
        sides: 65_536,
        port_lists: 4_096,
        derived: 32_768,
        listeners: 16_384,
        claims: 8_192,
        judged: 16_384,
    };
    /// A connection's, of which there may be hundreds and each has one exporter, or a relay
    /// of several: 2 MiB.
    pub const CONNECTION: Self = Self {
        sides: 8_192,
        port_lists: 256,
        derived: 2_048,
        listeners: 2_048,
        claims: 256,
        judged: 512,
    };
}
