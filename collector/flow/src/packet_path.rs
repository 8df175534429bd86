//! Where the packets of a record came in and where they went, as far as the
//! record shows it.

/// Where packets came in and where they went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketPath {
    /// Where they came in.
    pub entered: Entered,
    /// Where they went.
    pub left: Left,
}

/// Where packets came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// At a port of the bridge.
    Port,
    /// Out of a tunnel: another node's bridge sent them.
    Tunnel,
    /// From another bridge of the node; only that one saw them come in.
    Patch,
    /// It is not known where: the exporter is not Open vSwitch.
    Unknown,
}

/// Where packets went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The record does not say.
    Unknown,
    /// To no port in their first pass through the bridge.
    Nowhere,
    /// To one or more ports.
    Port,
    /// Into a tunnel: another node has to deliver them.
    Tunnel,
}

impl PacketPath {
    /// Nothing is known but that they were seen, by an exporter that is not Open
    /// vSwitch.
    pub const NONE: Self = Self {
        entered: Entered::Unknown,
        left: Left::Unknown,
    };
}
