//! The policies of one moment, kept while objects go on to change: what a pod, namespace or node
//! that came later is to them.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Endpoint, EndpointKind, Engine, Snapshot};
use crate::facts::{Namespace, Node, Pod};

/// Policies and labels as they were. Endpoints that the engine gave before are good for its
/// snapshots, too.
#[derive(Debug, Clone)]
pub struct Past(Engine);

impl Engine {
    /// What is there now, to be kept as it is.
    pub fn past(&self) -> Past {
        let mut past = self.clone();
        // Those that are there have their endpoints.
        past.pods = Arc::default();
        past.addresses = Arc::default();
        Past(past)
    }

    /// A pod's facts, as they are now.
    pub fn pod_facts(&self, namespace: &str, name: &str) -> Option<&Pod> {
        Some(&self.pods.get(namespace)?.get(name)?.pod)
    }

    /// What a pod would be here that is not, or is another: with an address of its own. `like` is
    /// another endpoint of the same pod, if there is one: the two are one to each other.
    pub fn as_if(&mut self, pod: &Pod, address: IpAddr, like: Option<&Endpoint>) -> Endpoint {
        let key = self.pod_group(pod);
        let group = self.intern_group(key);
        let class = self.class(group, address);
        let node = self.node_id(&pod.node);
        let number = like.map_or_else(|| self.free_pod(), |like| like.pod);
        Endpoint {
            kind: EndpointKind::Pod,
            class,
            group,
            pod: number,
            node,
            ..self.snapshot.outside(address)
        }
    }
}

impl Past {
    /// What the pod would have been; as [`Engine::as_if`].
    pub fn as_if(&mut self, pod: &Pod, address: IpAddr, like: Option<&Endpoint>) -> Endpoint {
        self.0.as_if(pod, address, like)
    }

    /// A namespace, if there was none of its name. Whether there was none.
    pub fn add_namespace(&mut self, namespace: &Namespace) -> bool {
        let is_new = !self.0.declared.contains(&namespace.name);
        if is_new {
            self.0.put_namespace(namespace.clone());
        }
        is_new
    }

    /// A node, if there was none of its name. Whether there was none.
    pub fn add_node(&mut self, node: &Node) -> bool {
        let is_new = !self.0.nodes.contains_key(&node.name);
        if is_new {
            self.0.put_node(node.clone());
        }
        is_new
    }

    /// A node that was added, by one of its addresses or another that it uses.
    pub fn node(&self, name: &str, address: IpAddr) -> Endpoint {
        self.0.node(name, address)
    }

    /// What readers evaluate with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }
}
