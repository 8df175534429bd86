//! The node daemon: a node's flow export, from spec to Open vSwitch to status.
//!
//! ```text
//! file_source | kube_source --Desired--> agent (loop) --status--> kube_source | caller
//!                                          |  ^
//!                              transaction v  | View
//!                                        ovsdb client --View--> announce --IPFIX options--> collectors
//!
//! switch_state (is the switch alive? itself, or by the gate), cost (OVS's own counters) --> agent
//!
//! one turn (reconcile, no I/O):
//!   governor (spec within its budget) -> rows (spec -> desired rows, quirks) + observe (replica) -> diff -> transaction
//!                                                                  -> findings -> status
//! ```
//!
//! Everything left of the arrows is pure; I/O is in `agent`, `announce`, `cost`,
//! `switch_state`, the two sources and `http`. Nothing here knows which collector listens.

pub mod access;
pub mod agent;
pub mod announce;
pub mod args;
pub mod cost;
pub mod desired;
pub mod diff;
pub mod file_source;
pub mod findings;
pub mod gate_refusals;
pub mod governor;
pub mod http;
pub mod kube_source;
pub mod metrics;
pub mod observe;
pub mod pace;
pub mod quirks;
pub mod reconcile;
pub mod rows;
pub mod status;
pub mod status_pace;
pub mod status_writer;
pub mod switch_life;
pub mod switch_state;
pub mod tables;
pub mod transaction;
pub mod verdict;

pub use agent::{AgentConfig, AgentError, OnExit, inspect, run};
pub use desired::{Acceptance, Desired};

#[cfg(test)]
mod fixture;
