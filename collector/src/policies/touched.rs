//! What a batch of changes touches: pods one by one, and what all verdicts depend on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use weir_policy::{Engine, Namespace, Node, Past, Pod};

use super::holders::Name;

/// What a batch of changes touched.
#[derive(Debug, Default)]
pub struct Touched {
    /// Policies, namespaces or nodes, which is everything: what there was before the first of them.
    pub tables: Option<Past>,
    /// Pods, and what each was.
    pub pods: BTreeMap<Name, Was>,
    /// Namespaces as they are now.
    pub namespaces: Vec<Namespace>,
    /// Nodes as they are now.
    pub nodes: Vec<Node>,
}

/// What a pod was before a change.
#[derive(Debug, Default)]
pub struct Was {
    /// The addresses of its own.
    pub addresses: Vec<IpAddr>,
    /// All of it, if it was there.
    pub pod: Option<Arc<Pod>>,
}

impl Touched {
    /// Policies, namespaces or nodes are about to change: keeps what there is before.
    pub fn touch_tables(&mut self, engine: &Engine) {
        self.tables.get_or_insert_with(|| engine.past());
    }
}
