//! A flow record for tests: values by column.

use std::net::IpAddr;

use weir_fields::Column;

use crate::{ConnectionStart, ControlBits, Identities, Record, Value};

#[derive(Debug, Clone)]
pub(crate) enum Owned {
    Text(String),
    Number(u64),
    Bool(bool),
    Address(IpAddr),
    Mac([u8; 6]),
    Time(u64),
    Flags(ControlBits),
}

/// A record of what a test says.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestRecord {
    values: Vec<(Column, Owned)>,
    pub start: ConnectionStart,
    pub identities: Option<Identities>,
}

impl TestRecord {
    pub fn with(mut self, column: &str, value: Owned) -> Self {
        let column = Column::find(column).unwrap();
        self.values.retain(|(other, _)| *other != column);
        self.values.push((column, value));
        self
    }

    pub fn text(self, column: &str, text: &str) -> Self {
        self.with(column, Owned::Text(text.to_owned()))
    }

    pub fn number(self, column: &str, number: u64) -> Self {
        self.with(column, Owned::Number(number))
    }

    pub fn flags(self, bits: u16, of_one_packet: bool) -> Self {
        self.with("tcp_flags", Owned::Flags(ControlBits { bits, of_one_packet }))
    }

    pub fn starts(mut self, start: ConnectionStart) -> Self {
        self.start = start;
        self
    }
}

impl Record for TestRecord {
    fn value(&self, column: Column) -> Value<'_> {
        let found = self.values.iter().find(|(other, _)| *other == column);
        match found.map(|(_, value)| value) {
            None => Value::Absent,
            Some(Owned::Text(text)) => Value::Text(text),
            Some(Owned::Number(number)) => Value::Unsigned(*number),
            Some(Owned::Bool(yes)) => Value::Bool(*yes),
            Some(Owned::Address(address)) => Value::Address(*address),
            Some(Owned::Mac(bytes)) => Value::Mac(*bytes),
            Some(Owned::Time(ns)) => Value::Time(*ns),
            Some(Owned::Flags(flags)) => Value::Flags(*flags),
        }
    }

    fn connection_start(&self) -> ConnectionStart {
        self.start
    }

    fn identities(&self) -> Option<Identities> {
        self.identities
    }
}
