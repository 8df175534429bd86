//! Sums of records, and of what interfaces count.

use serde_json::Value;

/// Packets and their octets of layer 3.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    pub packets: u64,
    pub bytes: u64,
}

impl Sum {
    pub fn of<'a>(records: impl Iterator<Item = &'a Value>) -> Self {
        records.fold(Self::default(), |sum, record| Self {
            packets: sum.packets + record["packets"].as_u64().unwrap_or(0),
            bytes: sum.bytes + record["bytes"].as_u64().unwrap_or(0),
        })
    }

    pub fn since(self, earlier: Self) -> Self {
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
        }
    }

    /// Within 0.5 %; or, in number of packets, within `beside`.
    pub fn is_near(self, other: Self, beside: u64) -> bool {
        let near = |a: u64, b: u64, beside| a.abs_diff(b) <= (b / 200).max(beside);
        near(self.packets, other.packets, beside) && near(self.bytes, other.bytes, 0)
    }
}
