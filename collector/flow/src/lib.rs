//! The flow record and who stands on its sides: what the collector makes of
//! what an exporter sent, what is stored, and how it is written as JSON.
//!
//! Plain data, no I/O. Where the values come from is `weir-collector`'s work;
//! their names are those of `weir_api::fields`.

mod attributes;
mod columns;
mod identity;
mod packet_path;
mod policy;
mod record;
mod shared;
mod value;

pub use attributes::{ATTRIBUTES, column_of, is_of_cluster};
pub use identity::{Identity, Kind, Who};
pub use packet_path::{Entered, Left, PacketPath};
pub use policy::{Judged, PolicySide, PolicyVerdict};
pub use record::{FlowRecord, IdentifiedBy, Server, ServerConfidence, Side, Tunnel, Verdict, Visitor};
pub use shared::{SharedFields, SharedFieldsRef};
pub use value::{Rfc3339, TcpFlags, Value, protocol_name};
