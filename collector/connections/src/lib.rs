//! Connections: what both nodes saw of a flow, in both directions, as one biflow with
//! totals. Sans-I/O: no clock, no threads, no files; `now` is the time of the frame.
//!
//! ```text
//! frames of the log ── Connections::apply ──> Output (id, seq) …   at timers and ends
//! time              ── Connections::advance ─> Output …
//!                      Connections::flush ───> Output …            at shutdown
//!                      Connections::live ────> Output              what is open now
//! state             ── checkpoint ──> bytes ── restore ──> state, then the log from there
//! ```
//!
//! Three things hold whatever comes in, in whatever order:
//!
//! - The sum over connections (finished, evicted, live) is the sum over primary records,
//!   for any filter on the key.
//! - Nothing waits for a match: what one node alone saw is put out as such.
//! - The state is a fold over the frames of the log. A restart from any checkpoint, with
//!   frames repeated, puts out the same `(id, seq)` with the same content.
//!
//! What feeds it is the caller's: it makes an [`Observation`] of each record. One
//! [`Connections`] is one thread's; shards own keys by [`shard_hash`]. `docs/connections.md`
//! has the rules as a table of cases, each with its test.
#![deny(missing_docs)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod checkpoint;
mod config;
mod connection;
mod connections;
mod conntrack;
mod counts;
mod cover;
mod icmp;
mod id;
mod intake;
mod join;
mod join_index;
mod key;
mod lifetime;
mod lines;
mod naming;
mod observation;
mod orientation;
mod output;
mod pool;
mod remembered;
mod row;
mod stats;
mod table;
mod tcp;
#[cfg(test)]
mod tests;
mod times;
mod views;
mod wheel;

pub use checkpoint::CheckpointError;
pub use config::Config;
pub use connections::{Applied, Connections, Frame, Position};
pub use counts::{Biflow, Counts};
pub use id::ConnectionId;
pub use key::shard_hash;
pub use observation::{
    Amount, Client, Conntrack, Direction, End, Evidence, Icmp, Identity, IdentityKind, Method, Micros,
    Observation, TcpFlags,
};
pub use output::{FlowType, JoinedBy, Output, OutputEnd, Reason, ServiceAddress, SideOutput};
pub use row::{IdText, Value};
pub use stats::Stats;
pub use tcp::TcpState;
