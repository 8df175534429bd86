//! What a lab is to hold when it is raised; no I/O.

/// What a lab holds when it is raised. Everything can be added later, too.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Number of nodes: `node-a`, `node-b`, …
    pub nodes: usize,
    /// Whether to run a kube-apiserver with etcd.
    pub kubernetes: bool,
    /// Whether `br-int` sends IP packets through connection tracking, as
    /// nearly all of OVN's traffic goes. Off, packets take one pass.
    pub conntrack: bool,
    /// Whether a real OVN programs `br-int`, laid as OVN-Kubernetes lays it.
    pub ovn: bool,
    /// The port of the lab's loopback that is to be had on the host's, too.
    pub publish: Option<u16>,
}

impl Options {
    /// Sets the number of nodes.
    pub fn nodes(self, nodes: usize) -> Self {
        Self { nodes, ..self }
    }

    /// Runs a kube-apiserver, and keeps Node and Pod objects in it.
    pub fn kubernetes(self, kubernetes: bool) -> Self {
        Self { kubernetes, ..self }
    }

    /// Sends the pods' IP packets through `ct()`.
    pub fn conntrack(self, conntrack: bool) -> Self {
        Self { conntrack, ..self }
    }

    /// Lets a real OVN program `br-int`.
    pub fn ovn(self, ovn: bool) -> Self {
        Self { ovn, ..self }
    }

    /// Makes a port of the lab's loopback one of the host's, too.
    pub fn publish(self, publish: Option<u16>) -> Self {
        Self { publish, ..self }
    }
}
