//! Where the value of a field comes from: a column of the record, or something that
//! NetObserv's field says and several columns together tell.

use std::io::Write;
use std::net::IpAddr;

use weir_fields::{Column, FieldKind};

use crate::direction::directions;
use crate::parts::{EventKey, Part, Parts, network_events};
use crate::record::{Record, Value};
use crate::start;

/// Interned id of a field: a column of the field table, or what follows from several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The column as it is.
    Column(Column),
    /// What NetObserv's field says.
    Derived(Derived),
}

/// Fields of NetObserv that are no column as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derived {
    /// `TimeFlowStartMs`.
    FlowStartMs,
    /// `TimeFlowEndMs`.
    FlowEndMs,
    /// `TimeReceived`, in seconds.
    ReceivedSeconds,
    /// `PktDropBytes`: absent where none were dropped.
    DropBytes,
    /// `PktDropPackets`: absent where none were dropped.
    DropPackets,
    /// `SrcK8S_OwnerType`: absent for what is no object of the cluster.
    SrcOwnerType,
    /// `DstK8S_OwnerType`.
    DstOwnerType,
    /// `FlowDirection`: 0 ingress, 1 egress, 2 inner.
    FlowDirection,
    /// `Etype` of the IP version.
    EtherType,
    /// `Flags`, see [`crate::start`].
    Flags,
    /// `Interfaces`: those that the record names.
    Interfaces,
    /// `IfDirections`.
    InterfaceDirections,
    /// `NetworkEvents`: the policies that an exporter names.
    NetworkEvents,
    /// `_RecordType`: always `flowLog`.
    RecordType,
    /// A text that no exporter of ours gives.
    NoText,
    /// A number that no exporter of ours gives.
    NoNumber,
    /// A list that no exporter of ours gives.
    NoList,
}

/// What kind of values a source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// Text, addresses, words, truth values.
    Text,
    /// A number.
    Number,
    /// A time; NetObserv's fields give it as a number.
    Time,
    /// Text to text.
    Map,
    /// Several texts.
    TextList,
    /// Several numbers.
    NumberList,
    /// Several events, with the keys of [`crate::parts::EventKey`].
    EventList,
}

impl Source {
    /// How many there are.
    pub(crate) const COUNT: usize = Column::COUNT + Derived::NoList as usize + 1;

    /// The column of this name.
    pub(crate) const fn of(name: &str) -> Self {
        Self::Column(Column::of(name))
    }

    /// Its place, from 0.
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Column(column) => column.index(),
            Self::Derived(derived) => Column::COUNT + derived as usize,
        }
    }

    /// What kind of values it has.
    pub const fn kind(self) -> SourceKind {
        match self {
            Self::Column(column) => match column.kind() {
                FieldKind::Unsigned(_) => SourceKind::Number,
                FieldKind::Timestamp => SourceKind::Time,
                FieldKind::Map => SourceKind::Map,
                FieldKind::EnumList => SourceKind::TextList,
                _ => SourceKind::Text,
            },
            Self::Derived(derived) => match derived {
                Derived::SrcOwnerType | Derived::DstOwnerType | Derived::RecordType | Derived::NoText => {
                    SourceKind::Text
                }
                Derived::Flags | Derived::Interfaces | Derived::NoList => SourceKind::TextList,
                Derived::InterfaceDirections => SourceKind::NumberList,
                Derived::NetworkEvents => SourceKind::EventList,
                _ => SourceKind::Number,
            },
        }
    }

    /// Whether something of ours fills it.
    pub const fn is_available(self) -> bool {
        match self {
            Self::Column(column) => column.field().filled,
            Self::Derived(derived) => {
                !matches!(derived, Derived::NoText | Derived::NoNumber | Derived::NoList)
            }
        }
    }

    /// Whether it follows from who stands on the sides, or from nothing.
    pub(crate) const fn follows_from_identities(self) -> bool {
        match self {
            Self::Column(column) => column.field().identity,
            Self::Derived(derived) => {
                matches!(
                    derived,
                    Derived::SrcOwnerType | Derived::DstOwnerType | Derived::RecordType
                ) || !self.is_available()
            }
        }
    }

    pub(crate) const fn is_list(self) -> bool {
        matches!(
            self.kind(),
            SourceKind::TextList | SourceKind::NumberList | SourceKind::EventList
        )
    }

    /// Its number, where it has one.
    pub(crate) fn number(self, record: &impl Record) -> Option<u64> {
        match self {
            Self::Column(column) => unsigned(record, column),
            Self::Derived(derived) => derived.number(record),
        }
    }

    /// Appends its text; false where there is none.
    pub(crate) fn write(self, record: &impl Record, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Column(column) => match record.value(column) {
                Value::Flags(_) => self.write_list(record, out),
                value => write_value(value, out),
            },
            Self::Derived(derived) => match derived {
                Derived::SrcOwnerType => write_owner(record, const { Column::of("workload_kind") }, out),
                Derived::DstOwnerType => write_owner(record, const { Column::of("dst_workload_kind") }, out),
                Derived::RecordType => write_value(Value::Text("flowLog"), out),
                _ if self.is_list() => self.write_list(record, out),
                _ => derived.number(record).is_some_and(|number| {
                    write_number(number, out);
                    true
                }),
            },
        }
    }

    /// A list the way Go prints it, which is how NetObserv shows it as one label.
    fn write_list(self, record: &impl Record, out: &mut Vec<u8>) -> bool {
        let parts = self.parts(record);
        if parts.as_slice().is_empty() {
            return false;
        }
        for (at, part) in parts.as_slice().iter().enumerate() {
            out.push(if at == 0 { b'[' } else { b' ' });
            let name = part.text(None).or_else(|| part.text(Some(EventKey::Name)));
            out.extend_from_slice(name.unwrap_or_default().as_bytes());
        }
        out.push(b']');
        true
    }

    /// The items of a list; none of what is no list.
    pub(crate) fn parts<R: Record>(self, record: &R) -> Parts<'_> {
        let mut parts = Parts::NONE;
        match self {
            Self::Column(column) => {
                if let Value::Flags(flags) = record.value(column) {
                    start::words(start::plain_bits(flags)).for_each(|word| parts.push(Part::Text(word)));
                }
            }
            Self::Derived(Derived::Flags) => {
                let flags = match record.value(const { Column::of("tcp_flags") }) {
                    Value::Flags(flags) => Some(flags),
                    _ => None,
                };
                let bits = start::exclusive_bits(flags, record.connection_start());
                start::words(bits).for_each(|word| parts.push(Part::Text(word)));
            }
            Self::Derived(Derived::Interfaces) => {
                let names = [
                    const { Column::of("if_name") },
                    const { Column::of("dst_if_name") },
                ];
                let names = names.map(|column| text(record, column)).into_iter();
                names
                    .filter(|name| !name.is_empty())
                    .for_each(|name| parts.push(Part::Text(name)));
            }
            Self::Derived(Derived::InterfaceDirections) => {
                match text(record, const { Column::of("direction") }) {
                    "ingress" => parts.push(Part::Text("0")),
                    "egress" => parts.push(Part::Text("1")),
                    _ => {}
                }
            }
            Self::Derived(Derived::NetworkEvents) => network_events(record, &mut parts),
            Self::Derived(_) => {}
        }
        parts
    }
}

impl Derived {
    fn number(self, record: &impl Record) -> Option<u64> {
        match self {
            Self::FlowStartMs => time(record, const { Column::of("start") }, 1_000_000),
            Self::FlowEndMs => time(record, const { Column::of("end") }, 1_000_000),
            Self::ReceivedSeconds => time(record, const { Column::of("time") }, 1_000_000_000),
            Self::DropBytes => dropped(record, const { Column::of("dropped_bytes") }),
            Self::DropPackets => dropped(record, const { Column::of("dropped_packets") }),
            Self::FlowDirection => directions(record).map(|directions| u64::from(directions.own)),
            Self::EtherType => match record.value(const { Column::of("addr") }) {
                Value::Address(IpAddr::V4(_)) => Some(0x0800),
                Value::Address(IpAddr::V6(_)) => Some(0x86dd),
                _ => None,
            },
            _ => None,
        }
    }
}

pub(crate) fn text(record: &impl Record, column: Column) -> &str {
    match record.value(column) {
        Value::Text(text) => text,
        _ => "",
    }
}

fn unsigned(record: &impl Record, column: Column) -> Option<u64> {
    match record.value(column) {
        Value::Unsigned(number) => Some(number),
        _ => None,
    }
}

fn time(record: &impl Record, column: Column, unit_ns: u64) -> Option<u64> {
    match record.value(column) {
        Value::Time(ns) => Some(ns / unit_ns),
        _ => None,
    }
}

fn dropped(record: &impl Record, column: Column) -> Option<u64> {
    unsigned(record, column).filter(|dropped| *dropped > 0)
}

/// `private` and `internet` are kinds of ours for what is outside; NetObserv has none.
fn write_owner(record: &impl Record, column: Column, out: &mut Vec<u8>) -> bool {
    match record.value(column) {
        Value::Text("private" | "internet") => false,
        value => write_value(value, out),
    }
}

#[inline]
fn write_value(value: Value<'_>, out: &mut Vec<u8>) -> bool {
    match value {
        Value::Absent | Value::Text("") | Value::Flags(_) => return false,
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Unsigned(number) | Value::Time(number) => write_number(number, out),
        Value::Bool(yes) => out.extend_from_slice(if yes { b"true" } else { b"false" }),
        Value::Address(address) => {
            // Writing to memory does not fail.
            let _ = write!(out, "{address}");
        }
        Value::Mac(bytes) => {
            for (at, byte) in bytes.into_iter().enumerate() {
                let _ = write!(out, "{}{byte:02x}", if at == 0 { "" } else { ":" });
            }
        }
    }
    true
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
