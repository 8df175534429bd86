//! Puts names on both sides of a record, as they were when the flow ran, and says
//! which side is the server.
//!
//! Who a side is, the first that is known:
//! 1. the pod behind the interface that the record names, as the node's daemon tells
//!    it, or as its database does;
//! 2. who had the address during the flow; when several had, only what they have
//!    in common, and `ambiguous`;
//! 3. the node behind the interface, then who has the Ethernet address;
//! 4. nobody: `private` or `internet`, by the address alone.
//!
//! To that come the Service of its address and port, and the label of its subnet, then
//! what an exporter of the cluster says of those whom nobody knows ([`claims`]).

use std::net::IpAddr;
use std::sync::Arc;

use weir_flow::{FlowRecord, Found, Identity, Kind, Side};

use blend::Blends;
use listeners::Listeners;
use server::Evidence;
use weir_identity::interfaces::SwitchInterfaces;
use weir_identity::subnets::Labels;
use weir_identity::{Directory, Endpoint, NodePort, Owners, Ports, Span, reach};

mod blend;
pub mod claims;
mod listeners;
mod server;

/// No exporter keeps a flow for so long after its end, ns: 1 h. A clock that says
/// so is wrong.
const OLDEST: u64 = 3_600 * 1_000_000_000;

/// What one thread keeps to put names on records.
#[derive(Debug, Default)]
pub struct Enrich {
    blends: Blends,
    listeners: Listeners,
}

/// What a side is looked up by, and in.
#[derive(Clone, Copy)]
struct Question<'a> {
    directory: &'a Directory,
    /// The exporting node's switch.
    ports: Option<&'a Ports>,
    /// The interfaces of the switch that sent the record.
    here: Option<&'a SwitchInterfaces>,
    labels: &'a Labels,
    flow: Span,
    proto: u8,
}

/// A Service has the port of a side.
type Serves = bool;

impl Enrich {
    /// Fills in who stands on both sides, and which one listens.
    pub fn enrich(
        &mut self,
        record: &mut FlowRecord,
        directory: &Directory,
        labels: &Labels,
        here: Option<&SwitchInterfaces>,
    ) {
        let question = Question {
            directory,
            ports: directory.nodes.get(&record.exporter_node),
            here,
            labels,
            flow: span(record),
            proto: record.proto.unwrap_or(0),
        };
        let src = self.name(&mut record.src, question);
        let dst = self.name(&mut record.dst, question);
        self.find_server(record, (src, dst));
    }

    fn name(&mut self, side: &mut Side, question: Question<'_>) -> Serves {
        let (mut who, found) = self.identify(side, question);
        let service = service(side, &who, found, question);
        if let Some(service) = service {
            who = self.blends.with_service(&who, service);
        }
        let label = side.addr.and_then(|address| question.labels.get(address));
        if let Some(label) = label {
            who = self.blends.with_label(&who, label);
        }
        side.found = match found {
            Found::Nothing if label.is_some() => Found::Subnet,
            found => found,
        };
        side.identity = who;
        service.is_some()
    }

    fn identify(&mut self, side: &Side, question: Question<'_>) -> (Arc<Identity>, Found) {
        let Question { directory, flow, .. } = question;
        if let Some(pod) = question.here.and_then(|here| here.pod(side, flow.from)) {
            let known = directory.pod(&pod.name, flow);
            return (Arc::clone(known.unwrap_or(&pod.identity)), Found::Interface);
        }
        let interface = behind_interface(side, question.ports);
        if let Some(pod) = interface.filter(|who| who.kind == Kind::Pod) {
            return (Arc::clone(pod), Found::Interface);
        }
        match side.addr.map_or(Owners::Nobody, |a| directory.owners(a, flow)) {
            Owners::One(who) => return (Arc::clone(who), Found::Address),
            Owners::Several(all) => return self.believe_common(&all, side, question),
            Owners::Nobody => {}
        }
        let by_mac = || {
            let mac = side.mac?;
            let here = question.ports.and_then(|ports| ports.macs.get(&mac));
            here.or_else(|| directory.mac(mac, flow))
        };
        match (interface, by_mac(), side.addr) {
            (Some(who), _, _) => (Arc::clone(who), Found::Interface),
            (None, Some(who), _) => (Arc::clone(who), Found::Mac),
            (None, None, Some(address)) => (Arc::clone(reach::stranger(address)), Found::Nothing),
            (None, None, None) => (Identity::nobody(), Found::Nothing),
        }
    }

    /// Services may share an address: the port tells them apart. Of others only
    /// what all have in common is believed.
    fn believe_common(
        &mut self,
        all: &[&Arc<Identity>],
        side: &Side,
        question: Question<'_>,
    ) -> (Arc<Identity>, Found) {
        if all.iter().all(|who| who.kind == Kind::Service)
            && let Some(service) =
                endpoint(side, question).and_then(|e| question.directory.service(e, question.flow))
            && let Some(who) = all.iter().find(|who| **who == service)
        {
            return (Arc::clone(who), Found::Address);
        }
        let mut common = Arc::clone(all[0]);
        for other in &all[1..] {
            common = self.blends.common(&common, other);
        }
        (common, Found::Ambiguous)
    }

    fn find_server(&mut self, record: &mut FlowRecord, (src, dst): (Serves, Serves)) {
        let evidence = |listens: (bool, bool)| Evidence {
            proto: record.proto,
            flags: record.tcp_flags,
            ports: record.src.port.zip(record.dst.port),
            services: (src, dst),
            listeners: listens,
        };
        let known = |side: &Side| self.listeners.knows(side, record.proto);
        let (server, confidence) = server::judge(&evidence((known(&record.src), known(&record.dst))));
        if let Some(side) = server::listener(server, confidence, record) {
            self.listeners.learn(side, record.proto);
        }
        (record.server, record.server_confidence) = (server, confidence);
    }
}

/// When the flow ran. An exporter's clock may not be ahead of this one; of one that
/// is far behind nothing is believed, and the flow ran when it arrived.
fn span(record: &FlowRecord) -> Span {
    let to = record.end_ns.min(record.time_ns);
    if record.time_ns - to > OLDEST {
        return Span {
            from: record.time_ns,
            to: record.time_ns,
        };
    }
    Span {
        from: record.start_ns.min(to),
        to,
    }
}

/// Who stands behind the interface of a side, as the exporting node tells.
fn behind_interface<'a>(side: &Side, ports: Option<&'a Ports>) -> Option<&'a Arc<Identity>> {
    ports?.interfaces.get(side.if_name.as_str())
}

/// The Service of a side's address and port, or of a node's port.
fn service<'a>(
    side: &Side,
    who: &Identity,
    found: Found,
    question: Question<'a>,
) -> Option<&'a Arc<Identity>> {
    if found == Found::Ambiguous {
        return None;
    }
    let endpoint = endpoint(side, question)?;
    let Question { directory, flow, .. } = question;
    let on_node = || {
        let port = NodePort {
            proto: endpoint.proto,
            port: endpoint.port,
        };
        (who.kind == Kind::Node).then(|| directory.node_port(port, flow))?
    };
    directory.service(endpoint, flow).or_else(on_node)
}

fn endpoint(side: &Side, question: Question<'_>) -> Option<Endpoint> {
    let address: IpAddr = side.addr?;
    Some(Endpoint {
        address,
        proto: question.proto,
        port: side.port.filter(|port| *port != 0)?,
    })
}

#[cfg(test)]
mod interfaces;
#[cfg(test)]
mod tests;
