//! The whole lab: raises the underlay, adds and removes nodes, pods and hosts,
//! and keeps the API server's objects in step.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};

use crate::{
    Kubernetes, Netns, Node, Options, Ovn, Pod, PodSpec, Process,
    address::{BALANCERS_NETWORK, NodeAddresses, node_name},
    enclosure,
    flows::Place,
    kubernetes::inventory,
    localnet::SecondInterface,
    node::Rules,
    ovn::{chassis::Chassis, service::ServiceSpec},
    pod::Subnets,
    wiring,
};

/// A raised lab. Dropping it ends its processes; the namespaces and devices
/// end with the enclosure.
#[derive(Debug)]
pub struct Lab {
    nodes: BTreeMap<String, Arc<Node>>,
    pods: Vec<Pod>,
    kubernetes: Option<Arc<Kubernetes>>,
    // Dropped after the nodes.
    ovn: Option<Ovn>,
    outside: Netns,
    options: Options,
    /// Numbers are not used twice: a removed node's addresses stay its own.
    last_node: u8,
    last_host: u8,
    directory: PathBuf,
}

impl Lab {
    /// Raises a lab inside an enclosure; see [`crate::isolated`].
    pub fn raise(options: Options) -> Result<Self> {
        let directory = enclosure::state()?.to_owned();
        let outside = wiring::wire_underlay().context("wire the underlay")?;
        let kubernetes = options
            .kubernetes
            .then(|| Kubernetes::start(&directory.join("kubernetes")).map(Arc::new))
            .transpose()?;
        let ovn = options
            .ovn
            .then(|| Ovn::start(&directory.join("ovn")).context("start OVN"))
            .transpose()?;
        let mut lab = Self {
            nodes: BTreeMap::new(),
            pods: Vec::new(),
            kubernetes,
            ovn,
            outside,
            options: options.clone(),
            last_node: 0,
            last_host: 251,
            directory,
        };
        for _ in 0..options.nodes {
            lab.add_node()?;
        }
        Ok(lab)
    }

    /// The directory of the lab's state and logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The API server.
    ///
    /// # Errors
    /// When the lab was raised without one.
    pub fn kubernetes(&self) -> Result<Arc<Kubernetes>> {
        self.kubernetes
            .clone()
            .context("this lab has no kube-apiserver: raise it with Options::kubernetes")
    }

    /// OVN.
    ///
    /// # Errors
    /// When the lab was raised without it.
    pub fn ovn(&self) -> Result<&Ovn> {
        let ovn = self.ovn.as_ref();
        ovn.context("this lab has no OVN: raise it with Options::ovn")
    }

    /// The lab's own namespace, for collectors and controllers.
    pub fn underlay(&self) -> Netns {
        Netns::underlay()
    }

    /// The host outside the cluster, 203.0.113.10 and 192.31.196.10, which pods
    /// reach through `br-ex`.
    pub fn outside(&self) -> &Netns {
        &self.outside
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Result<Arc<Node>> {
        self.nodes
            .get(name)
            .cloned()
            .with_context(|| format!("no node {name}; there are {:?}", self.nodes.keys()))
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// All pods, in the order in which they were added.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// A pod by its namespace and name.
    pub fn pod(&self, namespace: &str, name: &str) -> Result<Pod> {
        let found = self
            .pods
            .iter()
            .find(|pod| pod.spec.namespace == namespace && pod.spec.name == name);
        found
            .cloned()
            .with_context(|| format!("no pod {namespace}/{name}"))
    }

    /// Starts a program in the underlay that stays, with its logs in the
    /// lab's directory.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Result<Process> {
        Process::spawn(name, &self.directory, command)
    }

    /// Adds the next node (`node-a`, `node-b`, …), with tunnels to all others.
    pub fn add_node(&mut self) -> Result<Arc<Node>> {
        let number = self.last_node + 1;
        let addresses = NodeAddresses::new(number).context("the address plan is full")?;
        let name = node_name(number);
        self.last_node = number;
        let netns = wiring::wire_node(&name, addresses).with_context(|| format!("wire {name}"))?;
        let directory = self.directory.join("nodes").join(&name);
        let rules = match &self.ovn {
            None => Rules::Lab {
                conntrack: self.options.conntrack,
            },
            Some(ovn) => {
                ovn.add_node(&name, addresses)?;
                Rules::Ovn(Chassis::new(ovn.southbound_remote()))
            }
        };
        let node = Node::start(&name, addresses, netns, &directory, rules)
            .with_context(|| format!("start {name}"))?;
        let node = Arc::new(node);
        for peer in self.nodes.values() {
            peer.connect(addresses)?;
            node.connect(peer.addresses())?;
        }
        node.learn_pods(&self.pods)?;
        if let Some(kubernetes) = &self.kubernetes {
            inventory::create_node(kubernetes, &name, addresses, self.options.ovn)?;
        }
        self.nodes.insert(name, Arc::clone(&node));
        Ok(node)
    }

    /// Removes a node with its pods, from the lab and from the API server.
    ///
    /// # Errors
    /// Also with OVN: the lab takes no nodes out of that.
    pub fn remove_node(&mut self, name: &str) -> Result<()> {
        ensure!(self.ovn.is_none(), "a lab with OVN keeps its nodes");
        let node = self
            .nodes
            .remove(name)
            .with_context(|| format!("no node {name}"))?;
        let here = |pod: &&Pod| pod.place.node == node.addresses();
        for pod in self.pods.iter().filter(here).cloned().collect::<Vec<_>>() {
            self.remove_pod(&pod)?;
        }
        for peer in self.nodes.values() {
            peer.disconnect(node.addresses())?;
        }
        node.kill_vswitchd()?;
        node.kill_ovsdb()?;
        node.netns().delete()?;
        match &self.kubernetes {
            Some(kubernetes) => kubernetes.kubectl(&["delete", "node", name]).map(drop),
            None => Ok(()),
        }
    }

    /// Adds one pod; see [`Self::add_pods`].
    pub fn add_pod(&mut self, spec: PodSpec) -> Result<Pod> {
        self.add_pods(vec![spec])?.pop().context("one pod was asked for")
    }

    /// Adds pods: their objects with the workloads that own them and the
    /// Services before them, their namespaces, interfaces and flows, and at
    /// last their addresses in the Pods' status.
    pub fn add_pods(&mut self, specs: Vec<PodSpec>) -> Result<Vec<Pod>> {
        let mut places = Vec::new();
        for spec in &specs {
            places.push(self.place(spec, &places)?);
        }
        let uids = match &self.kubernetes {
            Some(kubernetes) => inventory::create_pods(kubernetes, &specs, &self.pods)?,
            None => vec![None; specs.len()],
        };
        let mut added = Vec::new();
        for ((spec, place), uid) in specs.into_iter().zip(places).zip(uids) {
            let pod = Pod::new(spec, place, uid, self.subnets())?;
            pod.plug(&*self.node(&pod.spec.node)?)?;
            added.push(pod);
        }
        for node in self.nodes.values() {
            node.learn_pods(&added)?;
        }
        if let Some(ovn) = &self.ovn {
            ovn.add_pods(&added)?;
        }
        self.pods.extend_from_slice(&added);
        if let Some(kubernetes) = &self.kubernetes {
            inventory::publish_pods(kubernetes, &added, &self.pods)?;
        }
        Ok(added)
    }

    /// Removes a pod, its interface and its object. Its number and addresses
    /// are free again.
    pub fn remove_pod(&mut self, pod: &Pod) -> Result<()> {
        self.pods.retain(|other| other.place != pod.place);
        for node in self.nodes.values() {
            node.forget_pod(pod)?;
        }
        if let Some(ovn) = &self.ovn {
            ovn.remove_pod(pod)?;
        }
        pod.netns().delete()?;
        match &self.kubernetes {
            Some(kubernetes) => inventory::delete_pod(kubernetes, pod, &self.pods),
            None => Ok(()),
        }
    }

    /// Gives a pod a second interface; only with OVN.
    pub fn attach_localnet(&self, interface: &SecondInterface) -> Result<()> {
        let node = self.node(&interface.pod.spec.node)?;
        interface.plug(&node)?;
        node.attach_localnet(interface)?;
        if let Some(kubernetes) = &self.kubernetes {
            inventory::annotate_networks(kubernetes, interface)?;
        }
        self.ovn()?.add_localnet_port(interface)
    }

    /// Adds Services: their objects, OVN's load balancers and what the nodes take
    /// from the fabric for them; only with OVN.
    pub fn add_services(&self, services: &[ServiceSpec]) -> Result<()> {
        if let Some(kubernetes) = &self.kubernetes {
            inventory::create_services(kubernetes, services)?;
        }
        let nodes = self.nodes.values();
        let nodes: Vec<_> = nodes
            .map(|node| (node.name().to_owned(), node.addresses()))
            .collect();
        self.ovn()?.add_services(services, &nodes)?;
        for node in self.nodes.values() {
            node.expose(services.iter().flat_map(ServiceSpec::exposed))?;
        }
        if let Some((_, first)) = nodes.first() {
            let route = format!("route replace {BALANCERS_NETWORK} via {}", first.fabric());
            Netns::underlay().ip(&route)?;
        }
        Ok(())
    }

    /// Sends what leaves `pod` for the outside through the gateway router of another
    /// node, with this address of its own: an egress IP; only with OVN.
    pub fn set_egress(&self, pod: &Pod, through: &Node, address: Ipv4Addr) -> Result<()> {
        if let Some(kubernetes) = &self.kubernetes {
            inventory::create_egress_ip(kubernetes, pod, through.addresses(), address)?;
        }
        self.ovn()?.set_egress(pod, through.addresses(), address)
    }

    fn subnets(&self) -> Subnets {
        if self.ovn.is_some() {
            Subnets::PerNode
        } else {
            Subnets::Flat
        }
    }

    /// Adds a host on the underlay, 172.30.0.250 and down: a namespace for a
    /// collector that is to have an address of its own.
    pub fn add_host(&mut self, name: &str) -> Result<(Netns, Ipv4Addr)> {
        ensure!(self.last_host > 240, "the address plan has no more hosts");
        let number = self.last_host - 1;
        self.last_host = number;
        wiring::wire_host(name, number)
    }

    /// The lowest free number on the node: a removed pod's address is reused.
    fn place(&self, spec: &PodSpec, taken: &[Place]) -> Result<Place> {
        let node = self.node(&spec.node)?.addresses();
        let exists = self.pod(&spec.namespace, &spec.name).is_ok();
        ensure!(!exists, "the pod {}/{} exists", spec.namespace, spec.name);
        let free = |place: &Place| !taken.contains(place) && self.pods.iter().all(|pod| pod.place != *place);
        // With OVN, the node itself has number 2.
        let first = if self.ovn.is_some() { 3 } else { 2 };
        (first..255)
            .map(|number| Place { node, number })
            .find(free)
            .with_context(|| format!("{} has no more pod addresses", spec.node))
    }
}
