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
//!
//! Most sides were asked for a moment ago: what was found is kept by what it was found
//! by ([`cache`]), and is true for flows that ran while nothing of it changed.

use std::sync::Arc;

use weir_flow::{FlowRecord, Found, Side};

use answer::{Asked, Behind, Question};
use blend::Blends;
use cache::{Cache, Key, Known};
use listeners::Listeners;
use server::Evidence;
use weir_identity::interfaces::SwitchInterfaces;
use weir_identity::subnets::Labels;
use weir_identity::{Directory, Ports, Span};

mod answer;
mod blend;
mod cache;
pub mod claims;
mod listeners;
mod server;

/// No exporter keeps a flow for so long after its end, ns: 1 h. A clock that says
/// so is wrong.
const OLDEST: u64 = 3_600 * 1_000_000_000;

/// What one thread keeps to put names on records.
#[derive(Debug, Default)]
pub struct Enrich {
    cache: Cache,
    blends: Blends,
    listeners: Listeners,
}

/// A Service has the port of a side.
type Serves = bool;

impl Enrich {
    /// The directory or the labels are others from now on.
    pub fn names_changed(&mut self) {
        self.cache.outdate();
    }

    /// Fills in who stands on both sides, and which one listens. Call
    /// [`Self::names_changed`] before it is given another directory or other labels.
    pub fn enrich(
        &mut self,
        record: &mut FlowRecord,
        directory: &Directory,
        labels: &Labels,
        here: Option<&SwitchInterfaces>,
    ) {
        let names = Names {
            directory,
            labels,
            ports: directory.nodes.get(&record.exporter_node),
            here,
            flow: span(record),
            proto: record.proto.unwrap_or(0),
        };
        let src = Sought::of(&record.src, &names);
        let dst = Sought::of(&record.dst, &names);
        // Both are looked for, and come from memory, before either is used: what they
        // are counted by is seldom in the processor's caches.
        let serves = match (self.cached(&src, &names), self.cached(&dst, &names)) {
            (Some(of_src), Some(of_dst)) => {
                let counted = |known: Known<'_>| Arc::strong_count(known.identity);
                std::hint::black_box((counted(of_src), counted(of_dst)));
                (of_src.fill(&mut record.src), of_dst.fill(&mut record.dst))
            }
            _ => {
                let src = self.name(&mut record.src, &src, &names);
                (src, self.name(&mut record.dst, &dst, &names))
            }
        };
        let by_mac = (
            self.name_by_mac(&mut record.src, &names),
            self.name_by_mac(&mut record.dst, &names),
        );
        let serves = (by_mac.0.unwrap_or(serves.0), by_mac.1.unwrap_or(serves.1));
        self.find_server(record, serves);
    }

    /// Whoever is not known by address or interface may be the only one in the cluster
    /// with this Ethernet address.
    fn name_by_mac(&mut self, side: &mut Side, names: &Names<'_>) -> Option<Serves> {
        if !matches!(side.found, Found::Nothing | Found::Subnet) {
            return None;
        }
        let who = names.directory.mac(side.mac?, names.flow)?;
        let sought = Sought::behind(side, Behind::Mac(who), names);
        Some(self.name(side, &sought, names))
    }

    fn cached(&self, sought: &Sought<'_>, names: &Names<'_>) -> Option<Known<'_>> {
        self.cache.get(&sought.key, sought.behind.identity(), names.flow)
    }

    fn name(&mut self, side: &mut Side, sought: &Sought<'_>, names: &Names<'_>) -> Serves {
        if let Some(known) = self.cached(sought, names) {
            return known.fill(side);
        }
        let mut question = Question::new(names.directory, names.labels, names.flow);
        let answer = question.answer(sought.asked, sought.behind, &mut self.blends);
        let serves = answer.as_known().fill(side);
        if let Some(steady) = question.steady() {
            let behind = sought.behind.identity();
            self.cache.put(sought.key, behind, steady, answer);
        }
        serves
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

/// What a side is looked up by.
struct Sought<'a> {
    asked: Asked,
    behind: Behind<'a>,
    key: Key,
}

impl<'a> Sought<'a> {
    fn of(side: &Side, names: &Names<'a>) -> Self {
        Self::behind(side, names.behind(side), names)
    }

    fn behind(side: &Side, behind: Behind<'a>, names: &Names<'a>) -> Self {
        let asked = Asked {
            address: side.addr,
            port: side.port.unwrap_or(0),
            proto: names.proto,
        };
        Self {
            asked,
            behind,
            key: Key::of(asked, behind.kind(), &names.directory.services),
        }
    }
}

impl Known<'_> {
    /// Puts it into the side that asked.
    fn fill(self, side: &mut Side) -> Serves {
        side.identity = Arc::clone(self.identity);
        side.found = self.found;
        self.serves
    }
}

/// What the sides of a record are looked up in, and by.
#[derive(Clone, Copy)]
struct Names<'a> {
    directory: &'a Directory,
    labels: &'a Labels,
    /// The exporting node's switch.
    ports: Option<&'a Ports>,
    /// The interfaces of the switch that sent the record.
    here: Option<&'a SwitchInterfaces>,
    flow: Span,
    proto: u8,
}

impl<'a> Names<'a> {
    /// What stands behind the interface of a side, or has its Ethernet address: the
    /// first that is known is the only one that can count.
    fn behind(&self, side: &Side) -> Behind<'a> {
        if let Some(pod) = self.here.and_then(|here| here.pod(side, self.flow.from)) {
            return Behind::Announced(pod);
        }
        let Some(ports) = self.ports else {
            return Behind::Nothing;
        };
        if let Some(who) = ports.interfaces.get(side.if_name.as_str()) {
            return Behind::Port(who);
        }
        let by_mac = side.mac.and_then(|mac| ports.macs.get(&mac));
        by_mac.map_or(Behind::Nothing, Behind::Mac)
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

#[cfg(test)]
mod interfaces;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
