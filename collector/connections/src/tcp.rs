//! Where a connection of TCP stands, by the control bits that both ends sent, or by what
//! the kernel's connection tracking says.

use crate::observation::TcpFlags;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// States of connection tracking (`nf_conntrack_tcp.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpState {
    /// The client has asked.
    SynSent,
    /// The server has agreed.
    SynRecv,
    /// Both go on.
    Established,
    /// One end has finished.
    FinWait,
    /// The other has heard of it.
    CloseWait,
    /// The other has finished, too.
    LastAck,
    /// Both have finished.
    TimeWait,
    /// It was reset, or is over.
    Close,
}

const STATES: [TcpState; 8] = [
    TcpState::SynSent,
    TcpState::SynRecv,
    TcpState::Established,
    TcpState::FinWait,
    TcpState::CloseWait,
    TcpState::LastAck,
    TcpState::TimeWait,
    TcpState::Close,
];

impl TcpState {
    /// The word that connection tracking has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait => "FIN_WAIT",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
        }
    }

    /// Whether nothing more is to come.
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::TimeWait | Self::Close)
    }

    /// Its number in a checkpoint, from 1.
    pub(crate) const fn number(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn of_number(number: u8) -> Option<Self> {
        STATES.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// By the bits that client and server sent until now; `None`: there were none.
    pub(crate) const fn of_flags(client: u8, server: u8) -> Option<Self> {
        let both = client | server;
        if both == 0 {
            None
        } else if both & RST != 0 {
            Some(Self::Close)
        } else if client & server & FIN != 0 {
            Some(Self::TimeWait)
        } else if both & FIN != 0 {
            Some(Self::FinWait)
        } else if client & ACK == 0 && server & ACK != 0 && server & SYN != 0 {
            Some(Self::SynRecv)
        } else if both & ACK == 0 && both & SYN != 0 {
            Some(Self::SynSent)
        } else {
            Some(Self::Established)
        }
    }
}

/// Whether the bits that both ends sent end a connection.
pub(crate) const fn is_over(one: u8, other: u8) -> bool {
    (one | other) & RST != 0 || one & other & FIN != 0
}

impl TcpFlags {
    /// Whether a connection begins with it. Bits of several packets do not tell which
    /// end asked.
    pub(crate) const fn begins(self) -> bool {
        self.bits & SYN != 0
    }

    /// Whether the source asks for a connection.
    pub(crate) const fn asks(self) -> bool {
        self.begins() && self.bits & ACK == 0
    }

    /// Whether the source agrees to one.
    pub(crate) const fn agrees(self) -> bool {
        self.of_one_packet && self.begins() && self.bits & ACK != 0
    }
}
