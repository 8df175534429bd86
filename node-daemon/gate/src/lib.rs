//! The gate to OVSDB: it alone sees Open vSwitch's run folder, and lets a program that holds
//! a token of Kubernetes do there what flow export takes, and nothing else. It has no token
//! itself, opens no connection over a network, and knows neither Kubernetes nor TLS.
//!
//! ```text
//! weir-node --socket--> server (who may connect, how many) -> relay (one client, its own connection to OVSDB)
//!                                                               |  filter (pure): what passes, as it is read
//!                                                               |  pace (pure): how often
//!                                                               '- answers: `stats`, once a second for all -> run_folder
//! ```
//!
//! What passes is written anew from what was understood: nothing that the filter did not
//! read reaches OVSDB.
#![deny(missing_docs)]

pub mod answers;
pub mod args;
pub mod check;
pub mod filter;
pub mod pace;
pub mod refusals;
pub mod relay;
pub mod server;

pub use filter::{Filter, FromClient, FromServer, Refusal, Work};
pub use server::{Gate, GateError};
