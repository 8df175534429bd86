//! Who a side is, looked up in the directory: what the cache stands before. Pure.

use std::net::IpAddr;
use std::sync::Arc;

use weir_flow::{IdentifiedBy, Identity, Kind};
use weir_identity::interfaces::AnnouncedPod;
use weir_identity::subnets::Labels;
use weir_identity::{Directory, Endpoint, EndpointPorts, Lookup, NodePort, Owners, Span, reach};

use super::cache::{Answer, Answers};
use super::derived_identity::DerivedIdentities;
use super::served_ports::{PortLists, ServedPorts};

/// What is known of a side beside its address and port.
#[derive(Debug, Clone, Copy)]
pub enum Behind<'a> {
    /// Nothing.
    Nothing,
    /// The pod that the node's daemon announced behind the interface.
    Announced(&'a AnnouncedPod),
    /// Who is behind the interface by the node's database.
    Port(&'a Arc<Identity>),
}

/// What a side is known by, as the record has it.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its port; 0: it has none.
    pub port: u16,
    /// IANA protocol; 0: not known.
    pub proto: u8,
}

/// How a side is known beside by its address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BehindKind {
    /// See [`Behind::Nothing`].
    Nothing,
    /// See [`Behind::Announced`].
    Announced,
    /// See [`Behind::Port`].
    Port,
}

impl<'a> Behind<'a> {
    /// How, and who.
    pub fn parts(self) -> (BehindKind, Option<&'a Arc<Identity>>) {
        (self.kind(), self.identity())
    }

    /// How.
    pub fn kind(self) -> BehindKind {
        match self {
            Self::Nothing => BehindKind::Nothing,
            Self::Announced(_) => BehindKind::Announced,
            Self::Port(_) => BehindKind::Port,
        }
    }

    /// Who.
    pub fn identity(self) -> Option<&'a Arc<Identity>> {
        match self {
            Self::Nothing => None,
            Self::Announced(pod) => Some(pod.identity()),
            Self::Port(who) => Some(who),
        }
    }
}

/// The lookups for one side of one flow.
pub struct Question<'a> {
    directory: Lookup<'a>,
    labels: &'a Labels,
    unowned: bool,
}

impl<'a> Question<'a> {
    /// Of a flow that ran in this span.
    pub fn new(directory: &'a Directory, labels: &'a Labels, flow: Span) -> Self {
        Self {
            directory: directory.during(flow),
            labels,
            unowned: false,
        }
    }

    /// The span of which each flow would have got the same answer. `None`: no other.
    pub fn steady(&self) -> Option<Span> {
        self.directory.steady()
    }

    /// Who the sides of this one's address are, whatever their ports and as far as no
    /// Ethernet address says.
    pub fn answers(
        &mut self,
        side: Asked,
        behind: Behind<'_>,
        derived: &mut DerivedIdentities,
        lists: &mut PortLists,
    ) -> Answers {
        let services = self.directory.services();
        if services.portless {
            return Answers::ByPort;
        }
        let at = |(proto, port)| Asked {
            address: side.address,
            port,
            proto,
        };
        let (who, found) = self.identify(at((0, 0)), behind, None, derived);
        // Services may share an address, and a node has the ports of many.
        if found == IdentifiedBy::Ambiguous || who.kind == Kind::Node {
            return Answers::ByPort;
        }
        let plain = self.completed((Arc::clone(&who), found), side.address, None, derived);
        let ports = match side.address.and_then(|address| services.ports_of(&address)) {
            None => return Answers::Alike(plain, None),
            Some(EndpointPorts::Many(_)) => return Answers::ByPort,
            Some(EndpointPorts::Few(ports)) => ports,
        };
        let (mut service, mut served) = (None, Vec::with_capacity(ports.len()));
        for port in ports.iter().copied() {
            let Some(found) = self.service(at(port), who.kind, found) else {
                continue;
            };
            if !Arc::ptr_eq(service.get_or_insert(found), found) {
                return Answers::ByPort;
            }
            served.push(port);
        }
        match (service, ServedPorts::new(&served)) {
            (_, None) => Answers::ByPort,
            (None, _) => Answers::Alike(plain, None),
            (Some(service), Some(ports)) => {
                let served = self.completed((who, found), side.address, Some(service), derived);
                Answers::Alike(plain, Some((served.identity, lists.share(ports))))
            }
        }
    }

    /// Who it is. `mac`: who has its Ethernet address.
    pub fn answer(
        &mut self,
        side: Asked,
        behind: Behind<'_>,
        mac: Option<&Arc<Identity>>,
        derived: &mut DerivedIdentities,
    ) -> Answer {
        let (identity, found) = self.identify(side, behind, mac, derived);
        let service = self.service(side, identity.kind, found);
        self.completed((identity, found), side.address, service, derived)
    }

    /// The same with its Service and its label.
    fn completed(
        &self,
        (mut identity, found): (Arc<Identity>, IdentifiedBy),
        address: Option<IpAddr>,
        service: Option<&Arc<Identity>>,
        derived: &mut DerivedIdentities,
    ) -> Answer {
        if let Some(service) = service {
            identity = derived.with_service(&identity, service);
        }
        let label = address.and_then(|address| self.labels.get(address));
        if let Some(label) = label {
            identity = derived.with_label(&identity, label);
        }
        Answer {
            identity,
            found: match found {
                IdentifiedBy::Nothing if label.is_some() => IdentifiedBy::Subnet,
                found => found,
            },
            serves: service.is_some(),
            unowned: self.unowned,
        }
    }

    fn identify(
        &mut self,
        side: Asked,
        behind: Behind<'_>,
        mac: Option<&Arc<Identity>>,
        derived: &mut DerivedIdentities,
    ) -> (Arc<Identity>, IdentifiedBy) {
        match behind {
            Behind::Announced(pod) => {
                let known = self.directory.pod(pod.name());
                return (
                    Arc::clone(known.unwrap_or(pod.identity())),
                    IdentifiedBy::Interface,
                );
            }
            Behind::Port(pod) if pod.kind == Kind::Pod => return (Arc::clone(pod), IdentifiedBy::Interface),
            Behind::Port(_) | Behind::Nothing => {}
        }
        match side.address.map(|address| self.directory.owners(address)) {
            Some(Owners::One(who)) => return (Arc::clone(who), IdentifiedBy::Address),
            Some(Owners::Several(all)) => return self.believe_common(&all, side, derived),
            Some(Owners::Nobody) | None => {}
        }
        if let Behind::Port(who) = behind {
            return (Arc::clone(who), IdentifiedBy::Interface);
        }
        self.unowned = true;
        match (mac, side.address) {
            (Some(who), _) => (Arc::clone(who), IdentifiedBy::Mac),
            (None, Some(address)) => (Arc::clone(reach::stranger(address)), IdentifiedBy::Nothing),
            (None, None) => (Identity::nobody(), IdentifiedBy::Nothing),
        }
    }

    /// Services may share an address: the port tells them apart. Of others only
    /// what all have in common is believed.
    fn believe_common(
        &mut self,
        all: &[&Arc<Identity>],
        side: Asked,
        derived: &mut DerivedIdentities,
    ) -> (Arc<Identity>, IdentifiedBy) {
        if all.iter().all(|who| who.kind == Kind::Service)
            && let Some(service) = endpoint(side).and_then(|e| self.directory.service(e))
            && let Some(who) = all.iter().find(|who| **who == service)
        {
            return (Arc::clone(who), IdentifiedBy::Address);
        }
        let mut common = Arc::clone(all[0]);
        for other in &all[1..] {
            common = derived.common(&common, other);
        }
        (common, IdentifiedBy::Ambiguous)
    }

    /// The Service of a side's address and port, or of a node's port.
    fn service(&mut self, side: Asked, kind: Kind, found: IdentifiedBy) -> Option<&'a Arc<Identity>> {
        if found == IdentifiedBy::Ambiguous {
            return None;
        }
        let endpoint = endpoint(side)?;
        if let Some(service) = self.directory.service(endpoint) {
            return Some(service);
        }
        let port = NodePort {
            proto: endpoint.proto,
            port: endpoint.port,
        };
        (kind == Kind::Node).then(|| self.directory.node_port(port))?
    }
}

fn endpoint(side: Asked) -> Option<Endpoint> {
    let address: IpAddr = side.address?;
    (side.port != 0).then_some(Endpoint {
        address,
        proto: side.proto,
        port: side.port,
    })
}
