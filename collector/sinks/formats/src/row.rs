//! What a format asks of a row of flows.

use std::net::IpAddr;

use weir_fields::Column;

/// One row of flows by the field table. What the row lacks is `None`, and a text `""`.
pub trait FlowRow {
    /// The value of a column of numbers; of `tcp_flags` the control bits (FIN lowest).
    fn number(&self, column: Column) -> Option<u64>;
    /// The value of a column of addresses.
    fn address(&self, column: Column) -> Option<IpAddr>;
    /// The value of a column of Ethernet addresses.
    fn mac(&self, column: Column) -> Option<[u8; 6]>;
    /// The value of a column of times, nanoseconds since the epoch UTC.
    fn time(&self, column: Column) -> Option<u64>;
    /// The value of a column of texts or words; `""` where nothing is known.
    fn text(&self, column: Column) -> &str;
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use super::*;

    /// A row of which only what is said is there.
    #[derive(Debug, Clone, Default)]
    pub struct Row {
        numbers: HashMap<Column, u64>,
        addresses: HashMap<Column, IpAddr>,
        macs: HashMap<Column, [u8; 6]>,
        texts: HashMap<Column, String>,
    }

    impl Row {
        pub fn with_number(mut self, name: &'static str, number: u64) -> Self {
            self.numbers.insert(Column::of(name), number);
            self
        }

        pub fn with_time(self, name: &'static str, ns: u64) -> Self {
            self.with_number(name, ns)
        }

        pub fn with_address(mut self, name: &'static str, address: &str) -> Self {
            self.addresses.insert(Column::of(name), address.parse().unwrap());
            self
        }

        pub fn with_mac(mut self, name: &'static str, mac: [u8; 6]) -> Self {
            self.macs.insert(Column::of(name), mac);
            self
        }

        pub fn with_text(mut self, name: &'static str, text: &str) -> Self {
            self.texts.insert(Column::of(name), text.to_owned());
            self
        }
    }

    impl FlowRow for Row {
        fn number(&self, column: Column) -> Option<u64> {
            self.numbers.get(&column).copied()
        }

        fn address(&self, column: Column) -> Option<IpAddr> {
            self.addresses.get(&column).copied()
        }

        fn mac(&self, column: Column) -> Option<[u8; 6]> {
            self.macs.get(&column).copied()
        }

        fn time(&self, column: Column) -> Option<u64> {
            self.number(column)
        }

        fn text(&self, column: Column) -> &str {
            self.texts.get(&column).map_or("", String::as_str)
        }
    }
}
