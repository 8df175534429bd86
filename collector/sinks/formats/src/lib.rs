//! How flows are written for others: the messages of goflow2, IPFIX. Pure: a row of flows in,
//! octets out; who sends them, and where, is another's work.

#![deny(missing_docs)]

pub mod goflow2;
pub mod ipfix;
mod row;

pub use row::FlowRow;
pub use weir_fields::Column;
