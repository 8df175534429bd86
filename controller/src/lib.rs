//! The controller: one street from the `Network` to the nodes and back.
//!
//! ```text
//! watch -> world -> decide -> outbox -> write        specs flow down
//!            \-> rollup ----/                        status flows up
//! lease <- election -> reconcile (only the leader writes)
//! ```
//!
//! `spec.managementState` of the `Network` is the Cluster Network Operator's
//! business and is not read: whoever wants no export removes the collectors.
//!
//! [`world`], [`decide`], [`rollup`], [`outbox`] and [`lease`] hold data and
//! decisions and do no I/O; [`watch`], [`write`], [`election`] and [`http`]
//! stand at the rim; [`reconcile`] is the loop between them.

pub mod backoff;
pub mod decide;
pub mod describe;
pub mod election;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod object;
pub mod outbox;
pub mod reconcile;
pub mod rollup;
pub mod settings;
pub mod table;
pub mod watch;
pub mod world;
pub mod write;
