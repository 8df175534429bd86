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

use weir_flow::{FlowRecord, IdentifiedBy, Identity, Side};

use answer::{Asked, Behind, Question};
use cache::{Cache, Known};
use derived_identity::DerivedIdentities;
use listeners::Listeners;
pub use room::NameRoom;
use served_ports::PortLists;
use server::Evidence;
use side_key::Key;
use weir_identity::interfaces::SwitchInterfaces;
use weir_identity::subnets::Labels;
use weir_identity::{Directory, Ports, Span, reach};

mod answer;
mod cache;
pub mod claims;
mod derived_identity;
mod listeners;
mod room;
mod served_ports;
pub(crate) mod server;
mod side_key;

/// No exporter keeps a flow for so long after its end, ns: 1 h. A clock that says
/// so is wrong.
const OLDEST: u64 = 3_600 * 1_000_000_000;

/// What one thread keeps to put names on records.
#[derive(Debug)]
pub struct Enrich {
    cache: Cache,
    port_lists: PortLists,
    derived: DerivedIdentities,
    listeners: Listeners,
}

impl Default for Enrich {
    fn default() -> Self {
        Self::with_room(NameRoom::THREAD)
    }
}

/// A Service has the port of a side.
type Serves = bool;

impl Enrich {
    /// Knows nothing yet, and will keep so much at most.
    pub fn with_room(room: NameRoom) -> Self {
        Self {
            cache: Cache::with_room(room.sides),
            port_lists: PortLists::with_room(room.port_lists),
            derived: DerivedIdentities::with_room(room.derived),
            listeners: Listeners::with_room(room.listeners),
        }
    }

    /// The directory or the labels are others from now on.
    pub fn names_changed(&mut self) {
        self.cache.outdate();
    }

    /// What the sides of a record are looked up by. Of many records at once, seek for all
    /// of them, then [`Self::fetch`], then name each.
    pub fn seek<'a>(&self, record: &FlowRecord, names: Names<'a>) -> SoughtSides<'a> {
        let flow = span(record);
        let sides = [&record.src, &record.dst].map(|side| {
            let asked = Asked {
                address: side.addr,
                port: side.port.unwrap_or(0),
                proto: record.proto.unwrap_or(0),
            };
            let behind = names.behind(side, flow);
            let hash = self.cache.hash(&Key::of_address(asked, behind.kind()));
            Sought { asked, behind, hash }
        });
        SoughtSides { names, flow, sides }
    }

    /// Lets what is known of all these sides come from memory, so that naming one record
    /// after the other waits for none of it. Each loop is so short that the processor is
    /// ahead of it by many sides.
    pub fn fetch<'a>(&self, sought: impl Iterator<Item = &'a SoughtSides<'a>> + Clone) {
        let sides = sought.flat_map(|sought| sought.sides.iter().map(move |side| (side, sought.flow)));
        let places = sides.clone().map(|(side, _)| self.cache.touch(side.hash));
        std::hint::black_box(places.fold(0, |all, known| all | usize::from(known)));
        let identities = sides.map(|(side, flow)| {
            let (kind, behind) = side.behind.parts();
            let key = Key::of_address(side.asked, kind);
            let identity = self.cache.identity(side.hash, &key, behind, flow);
            identity.map_or(0, Arc::strong_count)
        });
        std::hint::black_box(identities.fold(0, |all, count| all | count));
    }

    /// Fills in who stands on both sides, and which one listens, by what was sought for
    /// this record. Call [`Self::names_changed`] before that is of another directory or
    /// other labels.
    pub fn name_sides(&mut self, record: &mut FlowRecord, sought: &SoughtSides<'_>) {
        let [src, dst] = &sought.sides;
        let serves = (
            self.name(&mut record.src, src, sought),
            self.name(&mut record.dst, dst, sought),
        );
        self.find_server(record, serves);
    }

    /// Does all of that for one record.
    pub fn enrich(
        &mut self,
        record: &mut FlowRecord,
        directory: &Directory,
        labels: &Labels,
        here: Option<&SwitchInterfaces>,
    ) {
        let names = Names::of(directory, labels, &record.exporter_node, here);
        let sought = self.seek(record, names);
        self.fetch(std::iter::once(&sought));
        self.name_sides(record, &sought);
    }

    /// What was found before; not where the Ethernet address says more.
    #[inline]
    fn cached(&self, side: &Side, sought: &Sought<'_>, of: &SoughtSides<'_>) -> Option<Known<'_>> {
        let services = &of.names.directory.services;
        let known = self.cache.get(
            sought.asked,
            sought.hash,
            sought.behind.parts(),
            services,
            of.flow,
        )?;
        (!known.unowned || of.names.mac(side, of.flow).is_none()).then_some(known)
    }

    fn name(&mut self, side: &mut Side, sought: &Sought<'_>, of: &SoughtSides<'_>) -> Serves {
        if let Some(known) = self.cached(side, sought, of) {
            return known.fill(side);
        }
        let SoughtSides { names, flow, .. } = *of;
        let (kind, behind) = sought.behind.parts();
        let ask = || Question::new(names.directory, names.labels, flow);
        let mac = names.mac(side, flow);
        let key = Key::of_address(sought.asked, kind);
        // What is known of the address has not told of this side.
        if !self.cache.knows_address(&key, behind, flow) {
            let mut question = ask();
            let answers = question.answers(
                sought.asked,
                sought.behind,
                &mut self.derived,
                &mut self.port_lists,
            );
            if let Some(steady) = question.steady() {
                self.cache.put_address(key, behind, steady, answers.clone());
            }
            if let Some(known) = answers.at(sought.asked)
                && (!known.unowned || mac.is_none())
            {
                return known.fill(side);
            }
        }
        let mut question = ask();
        let answer = question.answer(sought.asked, sought.behind, mac, &mut self.derived);
        let serves = answer.as_known().fill(side);
        // Who was found by an Ethernet address is not found by what places are known by.
        if let Some(steady) = question.steady().filter(|_| answer.found != IdentifiedBy::Mac) {
            let key = Key::of_port(sought.asked, kind, &names.directory.services);
            self.cache.put(key, behind, steady, answer);
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

/// What the sides of a record are looked up by, and in.
pub struct SoughtSides<'a> {
    names: Names<'a>,
    flow: Span,
    sides: [Sought<'a>; 2],
}

/// What a side is looked up by.
struct Sought<'a> {
    asked: Asked,
    behind: Behind<'a>,
    /// Where the cache has what is known of its address.
    hash: u64,
}

impl Known<'_> {
    /// Puts it into the side that asked.
    fn fill(self, side: &mut Side) -> Serves {
        side.identity = Arc::clone(self.identity).into();
        side.found = self.found;
        self.serves
    }
}

/// What the sides of a datagram's records are looked up in.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    directory: &'a Directory,
    labels: &'a Labels,
    /// The exporting node's switch.
    ports: Option<&'a Ports>,
    /// The interfaces of the switch that sent the records.
    here: Option<&'a SwitchInterfaces>,
}

impl<'a> Names<'a> {
    /// For records that this node has exported, from a switch with these interfaces.
    pub fn of(
        directory: &'a Directory,
        labels: &'a Labels,
        exporter_node: &str,
        here: Option<&'a SwitchInterfaces>,
    ) -> Self {
        Self {
            directory,
            labels,
            ports: directory.nodes.get(exporter_node),
            here,
        }
    }

    /// What stands behind the interface of a side.
    fn behind(&self, side: &Side, flow: Span) -> Behind<'a> {
        if let Some(pod) = self.here.and_then(|here| here.pod(side, flow.from)) {
            return Behind::Announced(pod);
        }
        let port = self
            .ports
            .and_then(|ports| ports.interfaces.get(side.if_name.as_str()));
        port.map_or(Behind::Nothing, Behind::Port)
    }

    /// Who has the Ethernet address of a side: at the node, else alone in the cluster.
    fn mac(&self, side: &Side, flow: Span) -> Option<&'a Arc<Identity>> {
        let mac = side.mac?;
        let here = self.ports.and_then(|ports| ports.macs.get(&mac));
        // Pods' annotations are their owners' to write, and behind a router's Ethernet
        // address stand all public addresses there are.
        let is_inside = side.addr.is_none_or(reach::is_private);
        here.or_else(|| self.directory.mac(mac, flow).filter(|_| is_inside))
    }
}

/// When the flow ran. An exporter's clock may not be ahead of this one; of one that
/// is far behind nothing is believed, and the flow ran when it arrived.
pub(crate) fn span(record: &FlowRecord) -> Span {
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
