//! Datagrams to raw records, one decoder a worker, and the counting that goes
//! with it: received = decoded + rejected. What datagrams say beside their records
//! goes to those who keep it: samplers, interfaces, the switches' own counters.

use std::sync::Arc;

use wire::{Decoder, Limits, Protocol, Record, Reject, Session, Summary};

use crate::containment::Containment;
use crate::metrics::DecodeCounters;
use crate::normalise;
use crate::samplers::Samplers;
use crate::sequence::{Arrival, Sequences};
use crate::templates::{Telling, Templates};
use weir_identity::exporters::{Exporter, Exporters, Mark};
use weir_identity::interfaces::{ExporterRef, Interfaces};

/// Why a datagram or message was refused. It is counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It came from somebody who may not send any.
    Stranger,
    /// There is something wrong with it.
    Malformed,
    /// It met a fault of ours.
    Panic,
}

/// One worker's decoder: the templates of the sessions that it receives.
#[derive(Debug)]
pub struct Decode {
    decoder: Decoder,
    limits: Limits,
    sequences: Sequences,
    samplers: Samplers,
    interfaces: Arc<Interfaces>,
    counters: DecodeCounters,
    telling: Telling,
    containment: Arc<Containment>,
}

impl Decode {
    /// A decoder that knows no templates yet.
    pub fn new(
        limits: Limits,
        interfaces: Arc<Interfaces>,
        counters: DecodeCounters,
        containment: Arc<Containment>,
    ) -> Self {
        Self {
            decoder: Decoder::new(limits.clone()),
            limits,
            sequences: Sequences::default(),
            samplers: Samplers::default(),
            interfaces,
            counters,
            telling: Telling::default(),
            containment,
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
    }

    /// There will be no more work. What waits for its template waits in vain.
    pub fn finish(&mut self) {
        self.telling.end(&mut self.decoder);
        self.decoder.give_up_waiting();
        self.counters.expired(self.decoder.take_expired_sets());
    }

    /// A datagram came from somebody who may not send any; it is not looked at.
    pub fn stranger(&mut self) {
        self.counters.received();
        self.counters.reject_stranger();
    }

    /// So many datagrams came when there was no time left for them.
    pub fn too_late(&mut self, datagrams: usize) {
        self.counters.reject_late(datagrams);
    }

    /// Shows what was counted. Call it before the records are handed on.
    pub fn publish(&mut self) {
        self.counters.publish();
    }

    /// What came over a stream cannot be cut into messages.
    pub fn malformed(&mut self, reject: &Reject) {
        self.counters.received();
        self.counters.reject(reject);
    }

    /// A session over a stream has ended, and its templates with it.
    pub fn end(&mut self, session: Session) {
        self.decoder.end_session(session);
        self.samplers.end(session.peer);
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
    ) -> Result<Option<&'a Exporter>, Refused> {
        self.counters.received();
        let containment = Arc::clone(&self.containment);
        let decode = || self.decoder.decode(session, now_ms, datagram, records);
        let summary = match containment.run(session, datagram, decode) {
            Some(Ok(summary)) => summary,
            Some(Err(reject)) => {
                self.counters.reject(&reject);
                tracing::debug!(session = %session.peer, %reject, "refused");
                return Err(Refused::Malformed);
            }
            None => {
                records.clear();
                self.counters.reject_for_panic();
                self.forget(session, datagram);
                return Err(Refused::Panic);
            }
        };
        self.counters.decoded(&summary, self.decoder.take_expired_sets());
        let exporter = exporters.resolve(mark(&summary, records), session.peer.ip());
        // What a datagram says of its exporter is worth less than its records.
        let keep = || {
            self.follow(session, &summary, records, exporter);
            self.learn(session, &summary, now_ms, exporter);
            self.samplers.complete(session.peer, records);
        };
        let _ = containment.run(session, datagram, keep);
        Ok(exporter)
    }

    /// After a panic a session may be half changed, and is met as a new one.
    fn forget(&mut self, session: Session, datagram: &[u8]) {
        let containment = Arc::clone(&self.containment);
        let end = || self.decoder.end_session(session);
        if containment.run(session, datagram, end).is_none() {
            self.decoder = Decoder::new(self.limits.clone());
        }
    }

    /// Keeps what is no record.
    fn learn(&mut self, session: Session, summary: &Summary, now_ms: u64, exporter: Option<&Exporter>) {
        self.counters.told(summary, now_ms, exporter);
        if summary.options.is_empty() {
            return;
        }
        self.samplers.learn(session.peer, &summary.options);
        let origin = ExporterRef {
            exporter,
            source: session.peer.ip(),
            domain: summary.observation_domain,
        };
        self.interfaces.learn(origin, &summary.options, now_ms);
        self.counters.interfaces(self.interfaces.len());
    }

    fn follow(
        &mut self,
        session: Session,
        summary: &Summary,
        records: &[Record],
        exporter: Option<&Exporter>,
    ) {
        let ovs = match records.first() {
            Some(record) => normalise::is_ovs(record, exporter),
            None => exporter.is_some_and(Exporter::is_ovs),
        };
        let arrival = Arrival {
            session: session.peer,
            protocol: summary.protocol,
            domain: summary.observation_domain,
            sequence: summary.sequence,
            records: summary.data_records,
            complete: summary.sets_held == 0 && summary.sets_dropped == 0,
            ovs,
        };
        let lost = self.sequences.arrive(arrival);
        if lost > 0 {
            self.counters.lost(summary.protocol, lost, exporter);
        }
    }
}

fn mark(summary: &Summary, records: &[Record]) -> Option<Mark> {
    match (records.first(), summary.protocol) {
        (Some(record), _) => Mark::of(record),
        (None, Protocol::Ipfix) => Mark::of_domain(summary.observation_domain),
        (None, Protocol::Sflow5) => summary.counters.first()?.agent.map(Mark::Agent),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wire::encode::Ipfix;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn data_that_waits_for_its_template_at_the_end_counts_as_expired() {
        let metrics = Arc::<Metrics>::default();
        let counters = metrics.decode_counters();
        let mut decode = Decode::new(Limits::default(), Arc::default(), counters, Arc::default());
        let data = Ipfix::new(0, 0, 1).set(256, &[0, 80]).set(257, &[1]).encode();
        let session = Session::datagram(([192, 0, 2, 1], 4739).into());
        decode
            .datagram(session, 0, &data, &Exporters::default(), &mut Vec::new())
            .unwrap();
        decode.finish();
        decode.publish();
        let text = metrics.encode();
        for line in [
            "weir_collector_data_sets_total{event=\"held\"} 2",
            "weir_collector_data_sets_total{event=\"expired\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
