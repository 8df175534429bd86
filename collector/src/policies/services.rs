//! Which pods are behind the addresses and ports of Services: kept up as Services and
//! EndpointSlices change, one Service at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_json::Value;
use weir_identity::Shards;
use weir_policy::parse::Objects;

use super::known::Key;
use super::versions::{Backends, Frontend};

/// The label by which an EndpointSlice says whose it is.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// In place of the address of a port that every node has.
pub const EVERY_NODE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Namespace and name of a Service.
type Name = (String, String);

/// Services with what is behind them.
#[derive(Debug, Clone, Default)]
pub struct Services {
    services: BTreeMap<Name, Value>,
    slices: HashMap<Key, (Name, Value)>,
    slices_of: BTreeMap<Name, BTreeSet<Key>>,
    shown: BTreeMap<Name, Vec<Frontend>>,
    stale: BTreeSet<Name>,
    frontends: Shards<Frontend, Backends>,
}

impl Services {
    /// A Service is this now, or gone.
    pub fn set_service(&mut self, key: &Key, service: Option<Value>) {
        let name = (key.namespace.to_string(), key.name.to_string());
        match service {
            Some(service) => self.services.insert(name.clone(), service),
            None => self.services.remove(&name),
        };
        self.stale.insert(name);
    }

    /// An EndpointSlice is this now, or gone.
    pub fn set_slice(&mut self, key: &Key, slice: Option<Value>) {
        if let Some((name, _)) = self.slices.remove(key) {
            if let Some(slices) = self.slices_of.get_mut(&name) {
                slices.remove(key);
            }
            self.stale.insert(name);
        }
        let Some(slice) = slice else { return };
        let labels = slice.pointer("/metadata/labels");
        let service = labels
            .and_then(|labels| labels.get(SERVICE_LABEL))
            .and_then(Value::as_str);
        let Some(service) = service else { return };
        let name = (key.namespace.to_string(), service.to_owned());
        self.slices_of
            .entry(name.clone())
            .or_default()
            .insert(key.clone());
        self.stale.insert(name.clone());
        self.slices.insert(key.clone(), (name, slice));
    }

    /// Who is behind what, with all changes. Whether that is another than before.
    pub fn settle(&mut self) -> bool {
        let stale = std::mem::take(&mut self.stale);
        for name in &stale {
            for frontend in self.shown.remove(name).into_iter().flatten() {
                self.frontends.remove(&frontend);
            }
            let shown = self.frontends_of(name);
            if shown.is_empty() {
                continue;
            }
            let places = shown.iter().map(|(frontend, _)| *frontend).collect();
            self.shown.insert(name.clone(), places);
            for (frontend, backends) in shown {
                self.frontends.insert(frontend, backends);
            }
        }
        !stale.is_empty()
    }

    /// Who is behind what.
    pub fn frontends(&self) -> &Shards<Frontend, Backends> {
        &self.frontends
    }

    fn frontends_of(&self, name: &Name) -> Vec<(Frontend, Backends)> {
        let Some(service) = self.services.get(name) else {
            return Vec::new();
        };
        // One reader of Services and slices, that of the commands.
        let mut objects = Objects::default();
        objects.add(service);
        let slices = self.slices_of.get(name).into_iter().flatten();
        for (_, slice) in slices.filter_map(|key| self.slices.get(key)) {
            objects.add(slice);
        }
        let addresses: Vec<IpAddr> = objects.service_addresses().collect();
        let mut frontends = Vec::new();
        for port in objects
            .inventory(Vec::new())
            .services
            .into_iter()
            .flat_map(|service| service.ports)
        {
            let backends = port
                .backends
                .iter()
                .map(|backend| (backend.address, backend.port));
            let backends: Backends = backends.collect();
            let protocol = port.protocol.number();
            let with = |(address, port)| Frontend {
                address,
                protocol,
                port,
            };
            let own = addresses.iter().map(|address| (*address, port.port));
            let of_nodes = node_port(service, port.protocol.name(), port.port);
            let of_nodes = of_nodes.map(|number| (EVERY_NODE, number));
            let all = own.chain(of_nodes).map(with);
            frontends.extend(all.map(|frontend| (frontend, Arc::clone(&backends))));
        }
        frontends
    }
}

/// The port that every node has for this one.
fn node_port(service: &Value, protocol: &str, port: u16) -> Option<u16> {
    let ports = service.pointer("/spec/ports")?.as_array()?;
    let number = |entry: &Value, name: &str| {
        let number = entry.get(name).and_then(Value::as_u64).unwrap_or_default();
        u16::try_from(number).unwrap_or_default()
    };
    let is_it = |entry: &&Value| {
        let its = entry
            .get("protocol")
            .and_then(Value::as_str)
            .filter(|word| !word.is_empty());
        number(entry, "port") == port && its.unwrap_or("TCP") == protocol
    };
    let found = ports.iter().find(is_it)?;
    Some(number(found, "nodePort")).filter(|number| *number != 0)
}
