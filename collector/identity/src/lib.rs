//! Who stands behind an address, an interface, an exporter's mark, and when: the
//! read-only [`Snapshot`] that the receive workers look into, and the [`Index`] that
//! makes it out of facts of Kubernetes objects, or [`merge`] out of facts of switches.
//! Beside it what an address says by itself: [`reach`] (private or internet) and
//! [`subnets`] (labels by network).
//!
//! No I/O and no clock: watches feed it, and the time is given. One task alone writes
//! the snapshot; readers get a new one by a pointer swap and never wait.

use std::sync::Arc;

use exporters::Exporters;

mod directory;
pub mod exporters;
pub mod facts;
mod index;
pub mod interfaces;
pub mod mac;
mod names;
pub mod northbound;
mod ownership;
pub mod reach;
mod services;
mod shards;
pub mod subnets;
mod switch;
pub mod time;

pub use directory::{CLOCK_TOLERANCE, Directory, Lookup, Owners, Ports};
pub use facts::{Fact, NodeFact, ObjectKey, ObjectKind, Owner, PodFact, ServiceFact};
pub use index::{Index, NAME_HISTORY, NODE_DAEMON};
pub use services::{Endpoint, EndpointPorts, NodePort, Published, Services};
pub use shards::Shards;
pub use switch::{AddressHistory, SwitchFacts, merge};
pub use time::{Held, Span, Timeline};

/// OVS samples one packet in so many for IPFIX and sFlow where `sampling` is
/// unset (vswitch.xml).
pub const DEFAULT_SAMPLING: u32 = 400;

/// What [`Directory::pods`] knows a pod by.
pub(crate) fn pod_key(ns: &str, name: &str) -> Arc<str> {
    [ns, "/", name].concat().into()
}

/// All that the workers look up, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Who has which address.
    pub directory: Arc<Directory>,
    /// Which node sends which records.
    pub exporters: Arc<Exporters>,
}
