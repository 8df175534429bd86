//! The semantics of policies, row by row, and the engine against a naive evaluator that
//! shares nothing with it but the parsed policies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster_policies;
mod differential;
mod generate;
mod generate_cases;
mod incremental;
mod lints;
mod metamorphic;
mod naive;
mod network_policies;
mod parsing;
mod past;
mod peers;
mod profiles;
mod random;
mod replay;
mod traffic;
mod upstream;
mod usage;
mod world;
