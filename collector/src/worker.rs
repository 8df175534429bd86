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
use crate::enrich::{Enrich, NameRoom, Names, SoughtSides};
use crate::flow_metrics::{FlowCounter, FlowMetrics};
use crate::metrics::{Drop, Metrics};
use crate::normalise::{Context, VantagePoint, is_ovs, judge, normalise};
use crate::outlet::Outlet;
use crate::policies::{Judge, PolicyCounts, Versions};
use crate::receive::{Datagram, Handler};
use crate::templates::Templates;
use weir_flow::FlowRecord;
use weir_identity::Snapshot;
use weir_identity::exporters::Exporter;
use weir_identity::interfaces::{ExporterRef, Interfaces, SwitchInterfaces, Switches};
use weir_identity::subnets::Labels;

/// Records in a batch at which it is handed on before all datagrams were looked at.
const FULL_BATCH: usize = 1_024;

/// Records for which a worker keeps room when it has handed them on.
const MAX_KEPT: usize = 2 * FULL_BATCH;

/// Records in a batch at which it is handed on although more datagrams wait.
const GATHERED: usize = 512;

/// Flows whose first record is known, for each side that is kept.
const FLOWS_A_SIDE: usize = 4;

/// Records that are named at once, those of one datagram aside: what they are looked up
/// in is to stay in the processor's caches until all are.
const NAMED_AT_ONCE: usize = 64;

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
    /// What is counted over records.
    pub flow_metrics: FlowMetrics,
    /// What records are judged by; none where nothing says which policies there are.
    pub policies: Option<watch::Receiver<Arc<Versions>>>,
    /// Where records go.
    pub outlet: Outlet,
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
            judge: Judge::new(
                self.policies.clone(),
                room.judged,
                PolicyCounts::new(Arc::clone(self.metrics.policies())),
            ),
            flow_counter: self.flow_metrics.counter(FLOWS_A_SIDE * room.sides),
            outlet: self.outlet.clone(),
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
    judge: Judge,
    flow_counter: FlowCounter,
    outlet: Outlet,
}

/// The records of one datagram, which have no names yet.
struct Unnamed<'a> {
    session: Session,
    payload: &'a [u8],
    /// How many there are, in the batch after those of the one before.
    records: usize,
    at: VantagePoint<'a>,
    /// The cluster vouches for who sent them.
    of_cluster: bool,
    here: Option<SwitchInterfaces>,
}

impl Worker {
    /// Takes one datagram or message, received at this time (ns since the epoch UTC).
    ///
    /// # Errors
    /// It was refused, and counted so.
    pub fn message(&mut self, session: Session, payload: &[u8], now_ns: u64) -> Result<(), DatagramReject> {
        self.refresh_names();
        let names = self.names.clone();
        let unnamed = self.decode(&names, session, payload, now_ns)?;
        self.name(&names, &[unnamed]);
        if self.batch.len() >= FULL_BATCH {
            self.hand_on();
        }
        Ok(())
    }

    /// Appends the records of a datagram to the batch.
    fn decode<'a>(
        &mut self,
        names: &'a Snapshot,
        session: Session,
        payload: &'a [u8],
        now_ns: u64,
    ) -> Result<Unnamed<'a>, DatagramReject> {
        let exporters = &*names.exporters;
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
        let (decoded, before) = (self.raw.len(), self.batch.len());
        let normalised = contained(session, payload, || {
            let origin = origin(self.raw.first(), exporter, source);
            let here =
                origin.and_then(|(origin, format)| self.switches.here(&self.interfaces, origin, format));
            // Each is made where it stays: a record is large.
            self.batch
                .extend(self.raw.iter_mut().map(|raw| normalise(raw, context)));
            (VantagePoint::new(exporter, exporters, metering), here.cloned())
        });
        self.raw.clear();
        let Some((at, here)) = normalised else {
            self.batch.truncate(before);
            self.metrics.drop_records(Drop::Panic, decoded as u64);
            return Err(DatagramReject::Panic);
        };
        Ok(Unnamed {
            session,
            payload,
            records: decoded,
            at,
            of_cluster,
            here,
        })
    }

    /// Names and judges the last records of the batch, which are those of these datagrams.
    /// What names are looked up in comes from memory for all of them at once.
    fn name(&mut self, names: &Snapshot, datagrams: &[Unnamed<'_>]) {
        let labels = Arc::clone(&self.labels);
        let all: usize = datagrams.iter().map(|datagram| datagram.records).sum();
        let mut first = self.batch.len() - all;
        let mut sought = Vec::with_capacity(all);
        for datagram in datagrams {
            let (before, here) = (sought.len(), datagram.here.as_ref());
            let records = &self.batch[first + before..][..datagram.records];
            let seek = || {
                let node = records.first().map_or("", |first| &*first.exporter_node);
                let within = Names::of(&names.directory, &labels, node, here);
                let seek = |record| Some(self.enrich.seek(record, within));
                sought.extend(records.iter().map(seek));
            };
            if contained(datagram.session, datagram.payload, seek).is_none() {
                sought.truncate(before);
                sought.resize_with(before + datagram.records, || None);
            }
        }
        self.enrich.fetch(sought.iter().flatten());
        let mut sought = &sought[..];
        for datagram in datagrams {
            let (its, others) = sought.split_at(datagram.records);
            first += self.name_datagram(datagram, first, its);
            sought = others;
        }
    }

    /// Names and judges the records of one datagram, which begin at this place of the
    /// batch, and says how many are left of them: those that it could not be done for are
    /// dropped.
    fn name_datagram(
        &mut self,
        datagram: &Unnamed<'_>,
        first: usize,
        sought: &[Option<SoughtSides<'_>>],
    ) -> usize {
        let (mut finished, mut names_refused) = (0, 0);
        let records = &mut self.batch[first..first + datagram.records];
        let finish = || {
            for (record, sought) in records.iter_mut().zip(sought) {
                let Some(sought) = sought else { break };
                self.enrich.name_sides(record, sought);
                if !record.attributes.is_empty() {
                    names_refused += usize::from(self.claims.apply(record, datagram.of_cluster));
                }
                judge(record, &datagram.at);
                finished += 1;
            }
        };
        if contained(datagram.session, datagram.payload, finish).is_none() {
            self.enrich = Enrich::with_room(self.room);
            self.claims = Claims::with_room(self.room);
        }
        let named = &mut self.batch[first..first + finished];
        let judge = || self.judge.judge(named);
        if contained(datagram.session, datagram.payload, judge).is_none() {
            finished = 0;
        }
        if finished < datagram.records {
            self.batch.drain(first + finished..first + datagram.records);
            let lost = datagram.records - finished;
            self.metrics.drop_records(Drop::Panic, lost as u64);
        }
        if names_refused > 0 {
            self.decode
                .names_refused(datagram.session.peer.ip(), names_refused);
        }
        finished
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
        self.judge.publish();
        self.flow_counter.observe(&self.batch);
        self.outlet.send(&mut self.batch);
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
    fn datagrams<'a>(&mut self, datagrams: impl Iterator<Item = Datagram<'a>>, now_ns: u64) {
        self.refresh_names();
        let names = self.names.clone();
        let (mut unnamed, mut records) = (Vec::new(), 0);
        for Datagram { session, payload } in datagrams {
            // Over UDP there is nothing to be done about a refusal, beside the counting.
            let decoded = self.decode(&names, Session::datagram(session), payload, now_ns);
            let Ok(decoded) = decoded else { continue };
            records += decoded.records;
            unnamed.push(decoded);
            if records >= NAMED_AT_ONCE {
                self.name(&names, &unnamed);
                unnamed.clear();
                records = 0;
                if self.batch.len() >= FULL_BATCH {
                    self.hand_on();
                }
            }
        }
        self.name(&names, &unnamed);
        if self.batch.len() >= GATHERED {
            self.hand_on();
        } else {
            self.decode.publish();
        }
        self.decode.busy();
    }

    fn too_late(&mut self, datagrams: usize) {
        self.decode.too_late(datagrams);
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
