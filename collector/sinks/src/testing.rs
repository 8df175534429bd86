//! Frames for tests.

use std::net::IpAddr;

use weir_sink_formats::{Column, FlowRow};

use crate::rows::{Place, RowBatch};

/// So many rows, each with the name of its frame as a port and a number of its own.
#[derive(Debug, Clone)]
pub struct Frame {
    place: Place,
    rows: u64,
}

impl Frame {
    pub fn of(head: u64, frame: u64, rows: u64) -> Self {
        Self {
            place: Place { head, frame },
            rows,
        }
    }

    pub fn line(&self, row: u64) -> String {
        format!("{{\"frame\":\"{}\",\"row\":{row}}}", self.place)
    }
}

impl RowBatch for Frame {
    fn place(&self) -> Place {
        self.place
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn filtered(&self) -> u64 {
        1
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        for row in 0..self.rows {
            out.extend(self.line(row).as_bytes());
            out.push(b'\n');
        }
    }

    fn each(&self, take: &mut dyn FnMut(&dyn FlowRow)) {
        for row in 0..self.rows {
            take(&Row {
                frame: self.place.frame,
                row,
            });
        }
    }
}

struct Row {
    frame: u64,
    row: u64,
}

impl FlowRow for Row {
    fn number(&self, column: Column) -> Option<u64> {
        match column.name() {
            "port" => Some(self.frame),
            "dst_port" => Some(self.row),
            "bytes" => Some(100),
            _ => None,
        }
    }

    fn address(&self, column: Column) -> Option<IpAddr> {
        matches!(column.name(), "addr" | "dst_addr").then(|| IpAddr::from([10, 0, 0, 1]))
    }

    fn mac(&self, _: Column) -> Option<[u8; 6]> {
        None
    }

    fn time(&self, _: Column) -> Option<u64> {
        None
    }

    fn text(&self, column: Column) -> &str {
        if column.name() == "format" { "ipfix" } else { "" }
    }
}
