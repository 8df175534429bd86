//! The controller: one street from the `Network` (or `FlowExport`) to the nodes and back.
//!
//! ```text
//! watch -> cluster_state -> decide -> rollout -> write_queue -> write      specs flow down
//!                         \-> rollup ---------------/                     status flows up
//! collector_client -> reception -/                                        what was received
//! lease <- election -> reconcile (only the leader writes)
//! ```
//!
//! `spec.managementState` of the `Network` is the Cluster Network Operator's
//! business and is not read: whoever wants no export removes the collectors.
//!
//! [`cluster_state`], [`decide`], [`rollout`], [`rollup`] with [`node_state`], [`profile_status`],
//! [`notice`], [`collector`], [`reception`], [`write_queue`] with [`write_pace`], and
//! [`lease`] hold data and decisions and do no I/O; [`watch`], [`write`],
//! [`collector_client`], [`election`] and [`http`] stand at the rim; [`reconcile`] is the loop between them.

pub mod backoff;
pub mod cluster_state;
pub mod collector;
pub mod collector_client;
pub mod decide;
pub mod election;
pub mod facts;
#[cfg(test)]
mod fixture;
pub mod guarded;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod moment;
pub mod node_state;
pub mod notice;
pub mod object;
pub mod profile_status;
pub mod reception;
pub mod reconcile;
pub mod rollout;
pub mod rollup;
pub mod settings;
pub mod source;
pub mod table;
pub mod watch;
pub mod weigh;
pub mod write;
pub mod write_pace;
pub mod write_queue;
