//! What is done with a datagram where it is received: let in, decode, normalise,
//! enrich, judge, hand on.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use wire::{Limits, Protocol, Record, Reject, Session};

use crate::allow::Allow;
use crate::containment::contained;
use crate::decode::{DatagramReject, Decode, Decoded, ExporterState};
use crate::enrich::claims::Claims;
use crate::enrich::{Enrich, NameRoom};
use crate::metrics::{Drop, Metrics};
use crate::normalise::{Context, VantagePoint, is_ovs, judge, normalise};
use crate::queue::{Full, Sender};
use crate::receive::{Datagram, Handler};
use crate::templates::Templates;
use weir_flow::FlowRecord;
use weir_identity::Snapshot;
use weir_identity::exporters::Exporter;
use weir_identity::interfaces::{ExporterRef, Interfaces, Switches};
use weir_identity::subnets::Labels;

/// Records in a batch at which it is handed on before all datagrams were looked at.
const FULL_BATCH: usize = 1_024;

/// Records for which a worker keeps room when it has handed them on.
const MAX_KEPT: usize = 2 * FULL_BATCH;

/// Records in a batch at which it is handed on although more datagrams wait.
const GATHERED: usize = 512;

/// What all workers share.
#[derive(Debug, Clone)]
pub struct WorkerShared {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Who may send.
    pub allow: Arc<Allow>,
    /// Names, as they are now.
    pub snapshots: watch::Receiver<Snapshot>,
    /// What is known of exporters.
    pub exporters: ExporterState,
    /// Labels of networks, as they are now.
    pub labels: watch::Receiver<Arc<Labels>>,
    /// The way to the sink.
    pub sender: Sender,
}

impl WorkerShared {
    /// A worker that knows no template yet.
    pub fn worker(&self, limits: Limits, room: NameRoom) -> Worker {
        let mut snapshots = self.snapshots.clone();
        let names = snapshots.borrow_and_update().clone();
        let mut label_changes = self.labels.clone();
        let labels = label_changes.borrow_and_update().clone();
        Worker {
            metrics: Arc::clone(&self.metrics),
            allow: Arc::clone(&self.allow),
            decode: Decode::new(limits, self.exporters.clone(), self.metrics.decode_counters()),
            snapshots,
            names,
            interfaces: Arc::clone(&self.exporters.interfaces),
            switches: Switches::default(),
            label_changes,
            labels,
            room,
            enrich: Enrich::with_room(room),
            claims: Claims::with_room(room),
            raw: Vec::new(),
            batch: Vec::new(),
            sender: self.sender.clone(),
        }
    }
}

/// The state of one thread or connection.
#[derive(Debug)]
pub struct Worker {
    metrics: Arc<Metrics>,
    allow: Arc<Allow>,
    decode: Decode,
    snapshots: watch::Receiver<Snapshot>,
    names: Snapshot,
    interfaces: Arc<Interfaces>,
    switches: Switches,
    label_changes: watch::Receiver<Arc<Labels>>,
    labels: Arc<Labels>,
    room: NameRoom,
    enrich: Enrich,
    claims: Claims,
    raw: Vec<Record>,
    batch: Vec<FlowRecord>,
    sender: Sender,
}

impl Worker {
    /// Takes one datagram or message, received at this time (ns since the epoch UTC).
    ///
    /// # Errors
    /// It was refused, and counted so.
    pub fn message(&mut self, session: Session, payload: &[u8], now_ns: u64) -> Result<(), DatagramReject> {
        self.refresh_names();
        let exporters = &self.names.exporters;
        let source = session.peer.ip();
        let now_ms = now_ns / 1_000_000;
        if !self.allow.permits(source, exporters) {
            self.decode.stranger(source, payload.len(), now_ms);
            return Err(DatagramReject::Stranger);
        }
        let Decoded {
            exporter,
            of_cluster,
            metering,
        } = self
            .decode
            .datagram(session, now_ms, payload, exporters, &mut self.raw)?;
        let context = Context {
            received_ns: now_ns,
            source,
            exporter,
        };
        let (decoded, before, mut finished) = (self.raw.len(), self.batch.len(), 0);
        let mut names_refused = 0;
        let finish = || {
            let origin = origin(self.raw.first(), exporter, source);
            let here =
                origin.and_then(|(origin, format)| self.switches.here(&self.interfaces, origin, format));
            let at = VantagePoint::new(exporter, exporters, metering);
            // Each is made where it stays: a record is large.
            self.batch
                .extend(self.raw.iter_mut().map(|raw| normalise(raw, context)));
            self.raw.clear();
            for record in &mut self.batch[before..] {
                self.enrich
                    .enrich(record, &self.names.directory, &self.labels, here);
                if !record.attributes.is_empty() {
                    names_refused += usize::from(self.claims.apply(record, of_cluster));
                }
                judge(record, &at);
                finished += 1;
            }
        };
        if contained(session, payload, finish).is_none() {
            let lost = decoded - finished;
            self.batch.truncate(before + finished);
            self.raw.clear();
            self.enrich = Enrich::with_room(self.room);
            self.claims = Claims::with_room(self.room);
            self.metrics.drop_records(Drop::Panic, lost as u64);
        }
        self.decode.names_refused(source, names_refused);
        if self.batch.len() >= FULL_BATCH {
            self.hand_on();
        }
        Ok(())
    }

    /// Knows the templates that are known from before, and tells what it learns.
    pub fn recall(&mut self, templates: &Templates) {
        self.decode.recall(templates);
    }

    /// There will be no more messages.
    pub fn finish(&mut self) {
        self.decode.finish();
        self.hand_on();
    }

    /// Hands on what was made of the messages so far, and shows the counts.
    pub fn hand_on(&mut self) {
        self.decode.publish();
        if let Err(Full(records)) = self.sender.send(&mut self.batch) {
            self.metrics.drop_records(Drop::QueueFull, records as u64);
        }
        // The room that one large message took is not kept for all that follow.
        if self.raw.capacity() > MAX_KEPT {
            self.raw = Vec::new();
        }
        if self.batch.capacity() > MAX_KEPT {
            self.batch = Vec::new();
        }
    }

    /// What came over a stream cannot be cut into messages.
    pub fn malformed(&mut self, session: Session, reject: &Reject, now_ns: u64) {
        self.decode
            .malformed(session.peer.ip(), reject, now_ns / 1_000_000);
    }

    /// A session over a stream has ended. To be followed by [`Self::hand_on`].
    pub fn end(&mut self, session: Session) {
        self.decode.end(session);
    }

    fn refresh_names(&mut self) {
        if self.snapshots.has_changed().unwrap_or(false) {
            self.names = self.snapshots.borrow_and_update().clone();
            self.enrich.names_changed();
        }
        if self.label_changes.has_changed().unwrap_or(false) {
            self.labels = self.label_changes.borrow_and_update().clone();
            self.enrich.names_changed();
        }
    }
}

/// The switch that sent records, by the first of them, if Open vSwitch did.
fn origin<'a>(
    first: Option<&Record>,
    exporter: Option<&'a Exporter>,
    source: IpAddr,
) -> Option<(ExporterRef<'a>, Protocol)> {
    let first = first.filter(|first| is_ovs(first, exporter))?;
    let of_bridge = || exporter.and_then(|exporter| exporter.domain);
    let domain = first.observation_domain.or_else(of_bridge).unwrap_or(0);
    let origin = ExporterRef {
        exporter,
        source,
        domain,
    };
    Some((origin, first.protocol))
}

impl Handler for Worker {
    fn datagram(&mut self, datagram: Datagram<'_>, now_ns: u64) {
        let session = Session::datagram(datagram.session);
        // Over UDP there is nothing to be done about a refusal, beside the counting.
        let _ = self.message(session, datagram.payload, now_ns);
    }

    fn too_late(&mut self, datagrams: usize) {
        self.decode.too_late(datagrams);
    }

    fn batch_end(&mut self) {
        if self.batch.len() >= GATHERED {
            self.hand_on();
        } else {
            self.decode.publish();
        }
        self.decode.busy();
    }

    fn pause(&mut self) {
        self.hand_on();
    }

    fn silent(&mut self) {
        self.decode.idle();
    }
}

#[cfg(test)]
mod tests;
