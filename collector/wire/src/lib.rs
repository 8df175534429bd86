//! Bytes to flow records and back: NetFlow v5, NetFlow v9, IPFIX and sFlow v5.
//!
//! This crate owns the wire formats. It does no I/O, reads no clock (time comes
//! in as a number) and corrects nothing: a [`Record`] says what the exporter
//! said. What Open vSwitch means by it is the collector's business.
//!
//! [`Decoder`] keeps the templates of every session and turns one datagram at a
//! time into records; [`Framer`] cuts messages out of a TCP stream for it. What is no
//! flow (samplers, statistics, counters, discards) is in the [`Summary`]. [`sniff`]
//! tells the protocols apart; [`encode`] writes messages, for tests and for load
//! generators.
//!
//! ```
//! use wire::encode::Ipfix;
//! use wire::{Decoder, Field};
//!
//! let exporter = std::net::SocketAddr::from(([192, 0, 2, 1], 4739));
//! let source_port = Field::iana(7, 2);
//! let message = Ipfix::new(1_795_196_542, 1, 0).template(256, &[source_port]).set(256, &[0, 80]);
//!
//! let (mut decoder, mut records) = (Decoder::default(), Vec::new());
//! let summary = decoder.decode(exporter, 1_795_196_543_000, &message.encode(), &mut records)?;
//! assert_eq!((summary.templates_learned, summary.records), (1, 1));
//! assert_eq!(records[0].src_port, Some(80));
//! # Ok::<(), wire::Reject>(())
//! ```

#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod archive;
mod assume;
mod attribute;
mod cache;
mod clock;
mod counters;
mod decoder;
mod element;
pub mod encode;
mod flow_extensions;
mod flow_parts;
mod framer;
mod held;
mod layout;
mod limits;
mod message;
mod netflow5;
mod options;
pub mod ovs;
mod packet;
mod plan;
mod protocol;
mod reader;
mod record;
mod reject;
mod sampling;
mod scope;
mod scopes;
mod session;
mod sflow;
mod store;
mod summary;
mod template;
mod text;
mod walk;

pub use archive::{Archive, ArchiveError, Learned};
pub use attribute::{Attribute, AttributeValue, Attributes};
pub use counters::{AppResources, Counters, EthernetCounters, InterfaceCounters, OpenFlowPort, OvsDatapath};
pub use decoder::Decoder;
pub use framer::Framer;
pub use limits::Limits;
pub use options::{ElementType, InterfaceName, Options, OptionsRecord, Sampling, Statistics};
pub use protocol::{Protocol, sniff};
pub use record::{Direction, PacketSample, Record, SampledInterface};
pub use reject::Reject;
pub use session::{SenderNetwork, Session, Transport};
pub use sflow::Discard;
pub use summary::{FurtherMessage, Summary};
pub use template::Field;
pub use text::Text;
