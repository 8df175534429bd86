//! Bytes to flow records and back: NetFlow v5, NetFlow v9, IPFIX and sFlow v5.
//!
//! This crate owns the wire formats. It does no I/O, reads no clock (time comes
//! in as a number) and corrects nothing: a [`Record`] says what the exporter
//! said. What Open vSwitch means by it is the collector's business.
//!
//! [`Decoder`] keeps the templates of every session and turns one datagram at a
//! time into records; [`sniff`] tells the protocols apart; [`encode`] writes
//! messages, for tests and for load generators.

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod cache;
mod clock;
mod decoder;
mod element;
pub mod encode;
mod held;
mod message;
mod netflow5;
pub mod ovs;
mod packet;
mod plan;
mod protocol;
mod reader;
mod record;
mod reject;
mod scope;
mod sflow;
mod store;
mod template;
mod text;
mod walk;

pub use decoder::{Decoder, Limits, Summary};
pub use protocol::{Protocol, sniff};
pub use record::{Direction, PacketSample, Record, SampledInterface};
pub use reject::Reject;
pub use template::Field;
pub use text::Text;
