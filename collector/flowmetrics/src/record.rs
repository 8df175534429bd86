//! What a flow record gives: values by the column of the field table, and what it
//! shows of a connection's beginning.

use std::net::IpAddr;

use weir_fields::Column;

use crate::start::ConnectionStart;

/// One observation of one flow. The collector's record implements it; values are
/// borrowed from it, none is copied or looked up by name.
pub trait Record {
    /// The value of this column; [`Value::Absent`] where the record has none.
    fn value(&self, column: Column) -> Value<'_>;

    /// What it shows of its connection's beginning, see [`ConnectionStart::judge`].
    fn connection_start(&self) -> ConnectionStart;

    /// Who stands on its sides, as numbers, where they have some: records of known pairs
    /// are then counted without a look at the names. See [`Identities`].
    fn identities(&self) -> Option<Identities> {
        None
    }
}

/// Numbers of who stands on the sides of a flow. While a registry lives, a number of a side
/// stands for the same values of all columns of that side which the field table marks as
/// following from who it is (`weir_fields::Field::identity`), and is given to no others;
/// several numbers may stand for the same values. The address of an object that may be
/// freed is no such number; the ids of the store's identities are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identities {
    /// Of the source.
    pub src: u64,
    /// Of the destination.
    pub dst: u64,
}

/// The value of one column of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// The record does not have it. `Text("")` means the same.
    Absent,
    /// Text, or a word out of a fixed set.
    Text(&'a str),
    /// A number. Also a word that has no name, such as an unnamed protocol.
    Unsigned(u64),
    /// Yes or no.
    Bool(bool),
    /// An address.
    Address(IpAddr),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// Nanoseconds since 1970-01-01 UTC.
    Time(u64),
    /// TCP control bits.
    Flags(ControlBits),
}

/// TCP control bits as the exporter saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlBits {
    /// The bits, FIN lowest (RFC 9293 §3.1).
    pub bits: u16,
    /// They are those of one packet (sFlow), not the OR over a flow (NetFlow).
    pub of_one_packet: bool,
}
