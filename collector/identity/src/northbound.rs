//! Names from OVN's northbound database: what it says ([`NorthboundFacts`]), and what of
//! it stands where, by what the switches say they bind. Pure: who reads the databases is
//! the collector's business.
//!
//! | of | names | as |
//! |---|---|---|
//! | a logical port | its addresses, its Ethernet addresses, the interface that it is bound to | the pod, or whatever workload; the node, of a node's own port |
//! | a load balancer | its addresses and ports, its backends | the Service |
//! | a router | the addresses of its ports, those that it puts to what it passes on | the node that it runs on, if it runs on one |
//! | a floating address | itself | the workload behind it |

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use weir_flow::{Identity, Kind};

use crate::mac::Mac;
use crate::services::{Published, Services};
use crate::time::{Held, Span};
use crate::{Endpoint, SwitchFacts};

/// What the northbound database says. What of it does not hang on the switches is made
/// once: a switch changes often, and load balancers are many.
#[derive(Debug)]
pub struct NorthboundFacts {
    ports: Vec<LogicalPort>,
    routers: Vec<RouterAddress>,
    /// The load balancers' own addresses.
    virtual_addresses: Vec<Owned>,
    /// The load balancers by their addresses and ports, and by their backends'.
    services: Services,
}

/// A port of a logical switch.
#[derive(Debug, Clone)]
pub struct LogicalPort {
    /// Its name: what a switch has as `iface-id`.
    pub name: Box<str>,
    /// Who is behind it; where is not known yet.
    pub who: Identity,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its Ethernet addresses.
    pub macs: Vec<Mac>,
}

/// A load balancer.
#[derive(Debug, Clone)]
pub struct LoadBalancer {
    /// The Service that it is of, or itself.
    pub who: Identity,
    /// Its own addresses and ports.
    pub virtual_endpoints: Vec<Endpoint>,
    /// Those that it stands before.
    pub backends: Vec<Endpoint>,
}

/// An address that a router has, or puts to what it passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterAddress {
    /// The address.
    pub address: IpAddr,
    /// Name of the router.
    pub router: Arc<str>,
    /// The chassis that it runs on; empty: all of them, or it is not known.
    pub chassis: Arc<str>,
    /// The one address that all of this one's packets are for (`dnat_and_snat`).
    pub behind: Option<IpAddr>,
}

/// An address, and whose it is.
pub(crate) type Owned = (IpAddr, Arc<Identity>);

impl NorthboundFacts {
    /// Of what there is: where workloads and nodes are attached, what is translated to
    /// several backends, and the addresses of routers.
    pub fn new(
        ports: Vec<LogicalPort>,
        load_balancers: Vec<LoadBalancer>,
        routers: Vec<RouterAddress>,
    ) -> Self {
        let mut virtual_addresses = Vec::new();
        let mut held: HashMap<Endpoint, Vec<Held>> = HashMap::new();
        for balancer in load_balancers {
            let who = Arc::new(balancer.who);
            let own = balancer.virtual_endpoints.iter();
            virtual_addresses.extend(own.map(|endpoint| (endpoint.address, Arc::clone(&who))));
            for endpoint in balancer.virtual_endpoints.iter().chain(&balancer.backends) {
                held.entry(*endpoint).or_default().push(Held {
                    span: Span::ALWAYS,
                    who: Arc::clone(&who),
                });
            }
        }
        let mut services = Services::default();
        services.portless = held.keys().any(|endpoint| endpoint.port == 0);
        for (endpoint, held) in held {
            services.insert(endpoint, held.into());
        }
        Self {
            ports,
            routers,
            virtual_addresses,
            services,
        }
    }

    /// Puts names to the switches' interfaces and Ethernet addresses; returns who has
    /// which address.
    pub(crate) fn join(&self, switches: &mut [SwitchFacts]) -> Vec<Owned> {
        let bound: HashMap<Box<str>, (usize, Box<str>)> = (0..)
            .zip(switches.iter())
            .flat_map(|(n, switch)| {
                switch
                    .bound
                    .iter()
                    .map(move |(id, name)| (id.clone(), (n, name.clone())))
            })
            .collect();
        let mut owned = Vec::new();
        for port in &self.ports {
            let place = bound.get(&port.name);
            let mut who = port.who.clone();
            let switch = place.and_then(|(n, _)| switches.get_mut(*n));
            if let Some(switch) = &switch
                && who.kind == Kind::Pod
            {
                who.node_name = Arc::clone(&switch.node);
                who.node_addr = switch.sources.first().copied();
            }
            let who = Arc::new(who);
            owned.extend(port.addresses.iter().map(|address| (*address, Arc::clone(&who))));
            if let (Some(switch), Some((_, interface))) = (switch, place) {
                let known = switch.ports.interfaces.entry(interface.clone());
                known.or_insert_with(|| Arc::clone(&who));
                for mac in &port.macs {
                    switch.ports.macs.entry(*mac).or_insert_with(|| Arc::clone(&who));
                }
            }
        }
        let by_address: HashMap<IpAddr, Arc<Identity>> = owned.iter().cloned().collect();
        let who = |router: &RouterAddress| router.who(&by_address, switches);
        owned.extend(self.routers.iter().map(|router| (router.address, who(router))));
        owned.extend(self.virtual_addresses.iter().cloned());
        owned
    }

    /// The load balancers. A clone shares them.
    pub(crate) fn services(&self) -> &Services {
        &self.services
    }
}

impl RouterAddress {
    /// A floating address is whose it is for; a router on no one node is nobody's that
    /// has a name here.
    fn who(&self, known: &HashMap<IpAddr, Arc<Identity>>, switches: &[SwitchFacts]) -> Arc<Identity> {
        if let Some(who) = self.behind.and_then(|behind| known.get(&behind)) {
            return Arc::clone(who);
        }
        let here = |switch: &&SwitchFacts| [&switch.chassis, &switch.node].contains(&&self.chassis);
        let switch = switches.iter().find(here).filter(|_| !self.chassis.is_empty());
        let node = switch.map_or(&self.chassis, |switch| &switch.node);
        if node.is_empty() {
            return Arc::new(Identity {
                workload_name: Arc::clone(&self.router),
                workload_kind: "Router".into(),
                ..Identity::default()
            });
        }
        Arc::new(Identity {
            kind: Kind::Node,
            name: Arc::clone(node),
            workload_name: Arc::clone(node),
            workload_kind: "Node".into(),
            node_name: Arc::clone(node),
            node_addr: switch.and_then(|switch| switch.sources.first().copied()),
            ..Identity::default()
        })
    }
}
