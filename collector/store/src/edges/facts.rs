//! The columns of facts that edges are made of, and records out of them.

use std::hash::Hasher;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type};

use super::evidence::{CLAIMS, Claim, Claims};
use super::{Record, values};
use crate::rollup::Fold;
use crate::schema::{DST_ID, SRC_ID};
use crate::sorted::{Column, Sorted};

/// The columns that edges are made of.
pub(super) struct Facts<'a> {
    rows: &'a Sorted,
    columns: [Option<Column>; 12],
    claims: Claims,
}

const COLUMNS: [&str; 12] = [
    "time",
    SRC_ID,
    DST_ID,
    "proto",
    "port",
    "dst_port",
    "bytes",
    "packets",
    "tcp_flags",
    "primary",
    "start",
    "exporter",
];

/// The columns of facts that edges are made of.
pub(crate) fn needed() -> impl Iterator<Item = &'static str> {
    COLUMNS.into_iter().chain(CLAIMS)
}

/// Some rows of them; what a column lacks is absent.
pub(super) struct Part {
    columns: Vec<Option<ArrayRef>>,
    claims: Vec<Claim>,
}

impl<'a> Facts<'a> {
    pub fn of(rows: &'a Sorted) -> Self {
        Self {
            rows,
            columns: COLUMNS.map(|name| rows.find(name)),
            claims: Claims::of(rows),
        }
    }

    pub fn read(&self, range: Range<usize>) -> Part {
        let columns = self.columns.iter();
        let columns: Vec<_> = columns
            .map(|column| values(column.as_ref(), self.rows, range.clone()))
            .collect();
        Part {
            columns,
            claims: self.claims.read(self.rows, range),
        }
    }
}

impl Part {
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    pub fn is_primary(&self, row: usize) -> bool {
        let primary = self.columns[9]
            .as_ref()
            .and_then(|column| column.as_boolean_opt());
        primary.is_none_or(|primary| primary.is_valid(row) && primary.value(row))
    }

    fn u8(&self, at: usize, row: usize) -> Option<u8> {
        let column = self.columns[at].as_ref()?.as_primitive_opt::<UInt8Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn u16(&self, at: usize, row: usize) -> Option<u16> {
        let column = self.columns[at].as_ref()?.as_primitive_opt::<UInt16Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn u32(&self, at: usize, row: usize) -> u32 {
        let column = self.columns[at]
            .as_ref()
            .and_then(|c| c.as_primitive_opt::<UInt32Type>());
        column.map_or(0, |column| column.value(row))
    }

    fn u64(&self, at: usize, row: usize) -> u64 {
        let column = self.columns[at]
            .as_ref()
            .and_then(|c| c.as_primitive_opt::<UInt64Type>());
        column
            .filter(|column| column.is_valid(row))
            .map_or(0, |column| column.value(row))
    }

    fn moment(&self, at: usize, row: usize) -> Option<i64> {
        let column = self.columns[at].as_ref()?;
        let column = column.as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    /// An address as a number that tells exporters apart.
    fn address(&self, at: usize, row: usize) -> Option<u32> {
        let column = self.columns[at].as_ref()?.as_fixed_size_binary_opt()?;
        let mut hash = Fold::default();
        hash.write(column.is_valid(row).then(|| column.value(row))?);
        let hash = hash.finish();
        Some((hash ^ hash >> 32) as u32)
    }

    pub fn record(&self, row: usize) -> Record {
        let time = self.moment(0, row).unwrap_or(0);
        let start = self.moment(10, row);
        Record {
            time,
            start: start.unwrap_or(time),
            has_start: start.is_some(),
            exporter: self.address(11, row).unwrap_or(0),
            src: self.u32(1, row),
            dst: self.u32(2, row),
            proto: self.u8(3, row),
            ports: [self.u16(4, row), self.u16(5, row)].map(|port| port.filter(|port| *port != 0)),
            bytes: self.u64(6, row),
            packets: self.u64(7, row),
            flags: self.u16(8, row),
            claim: self.claims[row],
        }
    }
}
