//! A load generator for flow collectors: NetFlow v5 and v9, IPFIX, sFlow v5, with
//! valid templates and sequence numbers, varied flows, a rate, and a hostile mode.
//!
//! [`Generator`] makes datagrams: pure, and the same from the same seed. [`Sender`]
//! sends them. The formats themselves are `wire::encode`'s.

mod batched;
mod card;
pub mod flow;
mod generator;
mod hostile;
mod interfaces;
mod netflow5;
mod ovs;
mod random;
mod sender;
mod sflow;

pub use card::Card;
pub use generator::{Generator, Plan, Run, Traffic};
pub use hostile::Nuisance;
pub use interfaces::messages as announcements;
pub use random::Random;
pub use sender::{Pace, SendError, Sender, Sent, source};
