//! Datagrams to raw records, one decoder a worker, and the counting that goes
//! with it: received = decoded + rejected. Here is decided whose a datagram is, and so
//! whether what it says beside its records counts, before that goes to those who keep
//! it: samplers, interfaces, the switches' own counters.

use std::net::IpAddr;
use std::sync::Arc;

use attribution::{attribute, bears_mark_of};
use wire::{Decoder, Direction, Limits, Options, OptionsRecord, Record, Reject, Session, Summary, Transport};

use crate::containment::contained;
use crate::metrics::DecodeCounters;
use crate::normalise::{self, Metering};
use crate::registry::{ExporterRegistry, ExporterTally};
use crate::roles::{Role, Roles};
use crate::samplers::Samplers;
use crate::sequence::{Arrival, Loss, Sequences};
use crate::templates::{TemplatePublisher, Templates};
use weir_identity::exporters::{Attribution, Exporter, Exporters, Standing, Trust};
use weir_identity::interfaces::{ExporterRef, Interfaces};

mod attribution;

/// Why a datagram or message was refused. It is counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramReject {
    /// It came from somebody who may not send any.
    Stranger,
    /// There is something wrong with it.
    Malformed,
    /// It met a fault of ours.
    Panic,
}

/// What the configuration says of exporters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExporterPolicy {
    /// Whose word counts.
    pub trust: Trust,
    /// What those that are not OVS are there for.
    pub roles: Roles,
}

/// What all workers know of exporters together.
#[derive(Debug, Clone, Default)]
pub struct ExporterState {
    /// What the configuration says.
    pub policy: Arc<ExporterPolicy>,
    /// What each has sent.
    pub registry: Arc<ExporterRegistry>,
    /// How they sample.
    pub samplers: Arc<Samplers>,
    /// Who stands behind the switches' interfaces.
    pub interfaces: Arc<Interfaces>,
}

/// Whose the records of a datagram are, and how it meters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Decoded<'a> {
    /// Who sent them, if that is proven.
    pub exporter: Option<&'a Exporter>,
    /// The cluster vouches for who sent them: a node, or a declared relay.
    pub of_cluster: bool,
    /// How an exporter that is not OVS meters.
    pub metering: Metering,
}

/// One worker's decoder: the templates of the sessions that it receives.
#[derive(Debug)]
pub struct Decode {
    decoder: Decoder,
    limits: Limits,
    sequences: Sequences,
    state: ExporterState,
    counters: DecodeCounters,
    tally: ExporterTally,
    telling: TemplatePublisher,
}

impl Decode {
    /// A decoder that knows no templates yet.
    pub fn new(limits: Limits, state: ExporterState, counters: DecodeCounters) -> Self {
        Self {
            decoder: Decoder::new(limits.clone()),
            limits,
            sequences: Sequences::default(),
            tally: ExporterTally::new(Arc::clone(&state.registry)),
            state,
            counters,
            telling: TemplatePublisher::default(),
        }
    }

    /// Knows the templates that are known from before, and tells what it learns.
    pub fn recall(&mut self, templates: &Templates) {
        self.telling = templates.teach(&mut self.decoder);
    }

    /// There was work: the moment to tell what was learned, if it is time.
    pub fn busy(&mut self) {
        self.telling.busy(&mut self.decoder);
    }

    /// There is no work.
    pub fn idle(&mut self) {
        self.telling.idle(&mut self.decoder);
        self.settle();
    }

    /// There will be no more work. What waits for its template waits in vain.
    pub fn finish(&mut self) {
        self.telling.end(&mut self.decoder);
        self.decoder.give_up_waiting();
        self.counters.expired(self.decoder.take_expired_sets());
        self.settle();
    }

    /// Nobody waits for what is missing any more.
    fn settle(&mut self) {
        let losses = self.sequences.settle_all();
        if !losses.is_empty() {
            self.count_losses(losses);
            self.publish();
        }
    }

    /// A datagram came from somebody who may not send any; it is not looked at.
    pub fn stranger(&mut self, source: IpAddr, bytes: usize, now_ms: u64) {
        self.counters.received();
        let kind = self.counters.reject_stranger();
        self.tally.datagram(source, bytes, now_ms).reject(kind);
    }

    /// A datagram came from an exporter that nobody wants; it is not looked at.
    fn ignore(&mut self, source: IpAddr, bytes: usize, now_ms: u64) {
        self.counters.received();
        let kind = self.counters.reject_ignored();
        let counts = self.tally.datagram(source, bytes, now_ms);
        counts.role = Some(Role::Ignore);
        counts.reject(kind);
    }

    /// So many datagrams came when there was no time left for them.
    pub fn too_late(&mut self, datagrams: usize) {
        self.counters.reject_late(datagrams);
    }

    /// Shows what was counted. Call it before the records are handed on.
    pub fn publish(&mut self) {
        self.counters.publish();
        self.tally.publish();
    }

    /// What came over a stream cannot be cut into messages.
    pub fn malformed(&mut self, source: IpAddr, reject: &Reject, now_ms: u64) {
        self.counters.received();
        self.refuse(source, 0, reject, now_ms);
    }

    /// A session over a stream has ended, and its templates with it.
    pub fn end(&mut self, session: Session) {
        self.decoder.end_session(session);
        self.counters.expired(self.decoder.take_expired_sets());
    }

    /// Decodes one datagram or message, appends its records to `records` (which is
    /// empty) and says who sent it. One that is refused is counted, with the reason.
    ///
    /// # Errors
    /// It was refused.
    pub fn datagram<'a>(
        &mut self,
        session: Session,
        now_ms: u64,
        datagram: &[u8],
        exporters: &'a Exporters,
        records: &mut Vec<Record>,
    ) -> Result<Decoded<'a>, DatagramReject> {
        let source = session.peer.ip();
        let role = self.state.policy.roles.of(source);
        // Roles are for exporters that are no nodes of the cluster.
        let of_cluster = || exporters.knows(source) || self.state.policy.trust.is_relay(source);
        if role == Some(Role::Ignore) && !of_cluster() {
            self.ignore(source, datagram.len(), now_ms);
            return Ok(Decoded::default());
        }
        self.counters.received();
        let decode = || self.decoder.decode(session, now_ms, datagram, records);
        let summary = match contained(session, datagram, decode) {
            Some(Ok(summary)) => summary,
            Some(Err(reject)) => {
                self.refuse(source, datagram.len(), &reject, now_ms);
                return Err(DatagramReject::Malformed);
            }
            None => {
                records.clear();
                self.counters.reject_for_panic();
                self.forget(session, datagram);
                return Err(DatagramReject::Panic);
            }
        };
        self.counters.decoded(&summary, self.decoder.take_expired_sets());
        // What a datagram says of its exporter is worth less than its records.
        let take_in = || {
            self.take_in(
                session,
                &summary,
                (datagram.len(), now_ms, role),
                exporters,
                records,
            )
        };
        Ok(contained(session, datagram, take_in).unwrap_or_default())
    }

    /// Finds out whose the datagram is, and keeps what it says beside its records.
    fn take_in<'a>(
        &mut self,
        session: Session,
        summary: &Summary,
        (bytes, now_ms, role): (usize, u64, Option<Role>),
        exporters: &'a Exporters,
        records: &mut [Record],
    ) -> Decoded<'a> {
        let source = session.peer.ip();
        let first = records.first();
        let attribution = attribute(summary, first, source, exporters, &self.state.policy.trust);
        let exporter = attribution.exporter;
        let ovs = match first {
            Some(record) => normalise::is_ovs(record, exporter),
            None => exporter.is_some_and(Exporter::is_ovs),
        };
        self.state.samplers.learn(source, &summary.options);
        let unscaled = self.state.samplers.complete(source, records);
        self.counters.unscaled(unscaled);
        let metering = Metering {
            role,
            ingress: !ovs && self.meters_ingress(source, records, now_ms),
        };
        if attribution.claims.is_some() {
            self.counters.unproven_mark();
        }
        let counts = self.tally.datagram(source, bytes, now_ms);
        counts.attribute(&attribution, summary.protocol);
        counts.count(summary);
        if let Some(fault) = &summary.set_fault {
            counts.note_reject(fault, now_ms);
        }
        counts.role = role;
        counts.counters.unscaled_records += unscaled as u64;
        counts.is_ovs |= ovs && !records.is_empty();
        counts.is_foreign |= !ovs && !records.is_empty();
        self.count_of_node(summary, &attribution, now_ms);
        self.follow(session, summary, exporter, ovs, now_ms);
        self.learn(source, summary, now_ms, &attribution);
        Decoded {
            exporter,
            of_cluster: attribution.standing != Standing::Stranger,
            metering,
        }
    }

    /// So many records of an exporter named pods or policies, and were not believed.
    pub fn names_refused(&mut self, source: IpAddr, records: usize) {
        if records > 0 {
            self.counters.names_refused(records);
            self.tally.of(source).counters.names_refused += records as u64;
        }
    }

    fn refuse(&mut self, source: IpAddr, bytes: usize, reject: &Reject, now_ms: u64) {
        self.counters.reject(reject);
        let counts = self.tally.datagram(source, bytes, now_ms);
        counts.reject(reject.kind());
        counts.note_reject(reject, now_ms);
    }

    /// Whether the exporter tells of packets that come in, now or before: what goes out
    /// is then the same packets again.
    fn meters_ingress(&self, source: IpAddr, records: &[Record], now_ms: u64) -> bool {
        let registry = &self.state.registry;
        let any = |direction| records.iter().any(|record| record.direction == Some(direction));
        if any(Direction::Ingress) {
            registry.met_ingress(source, now_ms);
            return true;
        }
        any(Direction::Egress) && registry.meters_ingress(source, now_ms)
    }

    /// After a panic a session may be half changed, and is met as a new one.
    fn forget(&mut self, session: Session, datagram: &[u8]) {
        let end = || self.decoder.end_session(session);
        if contained(session, datagram, end).is_none() {
            self.start_anew(session, datagram);
        }
    }

    /// Where not even that can be done: a new decoder, with the templates of the others.
    /// What waited in the old one is lost, and counted as far as that can be told.
    fn start_anew(&mut self, session: Session, datagram: &[u8]) {
        let expired = self.decoder.take_expired_sets();
        let waiting = contained(session, datagram, || self.decoder.waiting_sets());
        self.counters.expired(expired + waiting.unwrap_or(0));
        contained(session, datagram, || self.telling.idle(&mut self.decoder));
        let successor = contained(session, datagram, || self.decoder.successor(session));
        self.decoder = successor.unwrap_or_else(|| Decoder::new(self.limits.clone()));
    }

    /// What a node sends counts, whatever addresses it comes from.
    fn count_of_node(&mut self, summary: &Summary, attribution: &Attribution<'_>, now_ms: u64) {
        let exporter = attribution.exporter;
        if let Some(exporter) = exporter.filter(|exporter| bears_mark_of(summary, exporter)) {
            let node = self.tally.node(&exporter.node);
            node.format(summary.protocol).count(summary, now_ms);
        }
        if let Some(node) = attribution.claims {
            self.tally.node(node).unproven_ms = now_ms;
        }
    }

    /// Keeps what is no record.
    fn learn(&mut self, source: IpAddr, summary: &Summary, now_ms: u64, attribution: &Attribution<'_>) {
        let exporter = attribution.exporter;
        self.counters.told(summary, now_ms, exporter);
        if summary.options.is_empty() {
            return;
        }
        if !attribution.may_name_interfaces(&self.state.policy.trust) {
            let is_name = |content: &Options| matches!(content, Options::Interface(_));
            let names = summary.options.iter().filter(|record| is_name(&record.content));
            let refused = names.count();
            self.counters.options_refused(refused);
            self.tally.of(source).counters.options_refused += refused as u64;
            return;
        }
        let origin = ExporterRef {
            exporter,
            source,
            domain: summary.observation_domain,
        };
        // What further messages announce of other domains comes again in messages of its own.
        let of_domain = |record: &&OptionsRecord| record.observation_domain == origin.domain;
        let announced: Vec<_> = summary.options.iter().filter(of_domain).cloned().collect();
        self.state.interfaces.learn(origin, &announced, now_ms);
        self.counters.interfaces(self.state.interfaces.len());
    }

    fn follow(
        &mut self,
        session: Session,
        summary: &Summary,
        exporter: Option<&Exporter>,
        ovs: bool,
        now_ms: u64,
    ) {
        let first = Arrival {
            session: session.peer,
            in_order: session.transport == Transport::Stream,
            protocol: summary.protocol,
            domain: summary.observation_domain,
            agent: (summary.agent, summary.sub_agent),
            engine: summary.engine,
            sequence: summary.sequence,
            records: summary.data_records,
            complete: summary.sets_held + summary.sets_dropped + summary.sets_malformed == 0,
            ovs,
            // Other programs of a node send flows, too, and lose them.
            node: exporter
                .filter(|exporter| bears_mark_of(summary, exporter))
                .map(|exporter| &exporter.node),
            now_ms,
        };
        let further = summary.further_messages.iter().map(|message| Arrival {
            domain: message.observation_domain,
            sequence: message.sequence,
            records: message.data_records,
            ..first
        });
        let arrivals = std::iter::once(first).chain(further);
        let units: u64 = arrivals.map(|arrival| self.sequences.arrive(&arrival)).sum();
        if units > 0 {
            self.count_losses(vec![Loss {
                source: session.peer.ip(),
                protocol: summary.protocol,
                node: first.node.cloned(),
                units,
            }]);
        }
        let losses = self.sequences.look(now_ms);
        self.count_losses(losses);
    }

    fn count_losses(&mut self, losses: Vec<Loss>) {
        for loss in losses {
            self.counters.lost(loss.protocol, loss.units, loss.node.as_ref());
            self.tally.of(loss.source).counters.lost += loss.units;
            if let Some(node) = &loss.node {
                self.tally.node(node).format(loss.protocol).lost += loss.units;
            }
        }
    }
}

#[cfg(test)]
mod tests;
