//! The collector: flow records in by UDP, TCP and TLS, named flow records out.
//!
//! ```text
//! receive -> decode -> normalise -> enrich -> judge -> store, or a log in memory ==> print, tails
//!               |          |           |
//!          wire::Decoder   |       weir_identity, fed by names (a Kubernetes watch, or OVSDB)
//!                      weir_identity::exporters (which node sends what)
//! ```
//!
//! [`Collector::start`] puts it together; `weir-collector` and `weir up` are thin
//! shells around it.

mod admission;
pub mod allow;
pub mod api;
pub mod args;
mod bounded;
pub mod config;
pub mod containment;
pub mod decode;
pub mod enrich;
pub mod exports;
pub mod flow_metrics;
pub mod health;
pub mod http;
pub mod metrics;
pub mod names;
pub mod normalise;
pub mod open_files;
mod outlet;
pub mod pipeline;
pub mod policies;
pub mod printer;
pub mod receive;
pub mod registry;
mod relisted;
pub mod roles;
pub mod running;
pub mod samplers;
pub mod sequence;
pub mod sink;
pub mod sinks;
pub mod stream;
pub mod templates;
mod tls;
mod watched_files;
mod worker;

#[cfg(test)]
#[path = "../wire/tests/pcap/mod.rs"]
mod pcap;

pub use allow::{Allow, AllowRule};
pub use args::NodeDaemon;
pub use config::{Config, QUEUE_BYTES, default_workers};
pub use decode::ExporterPolicy;
pub use http::{HttpServer, ServiceName};
pub use names::{NameSource, SwitchSources};
pub use pipeline::{Addresses, Collector, StartError};
pub use running::{RunError, Running};
pub use sink::Sink;
pub use stream::StreamConfig;
pub use tls::TlsFiles;
