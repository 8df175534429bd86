//! What every program of Weir does the same way: the log and its form, errors with their
//! causes, signals, pages over HTTP, and how a cluster is reached. It knows nothing of
//! flows, switches or the objects of a cluster.
//!
//! | module | feature | what it owns |
//! |---|---|---|
//! | [`error`] | | an error and its causes in one line |
//! | [`jitter`] | | times that differ between processes |
//! | [`log`] | | `--log-format`, `RUST_LOG`, how a program ends that failed |
//! | [`signals`] | | SIGTERM and SIGINT |
//! | `http` | `http` | `/healthz` and `/readyz`, apart from them `/metrics` |
//! | `kubernetes` | `kubernetes` | kubeconfig to client, bounds of its silence, its errors |

pub mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod jitter;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod log;
pub mod signals;
