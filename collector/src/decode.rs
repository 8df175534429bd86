//! Datagrams to raw records, one decoder a worker, and the counting that goes
//! with it: received = decoded + rejected.

use std::net::SocketAddr;

use wire::{Decoder, Protocol, Record, Summary};

use crate::exporters::{Exporter, Exporters, Mark};
use crate::metrics::DecodeCounters;
use crate::normalise;
use crate::sequence::{Arrival, Sequences};

/// One worker's decoder: the templates of the sessions that it receives.
#[derive(Debug)]
pub struct Decode {
    decoder: Decoder,
    sequences: Sequences,
    counters: DecodeCounters,
}

impl Decode {
    /// A decoder that knows no templates yet.
    pub fn new(counters: DecodeCounters) -> Self {
        Self {
            decoder: Decoder::default(),
            sequences: Sequences::default(),
            counters,
        }
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

    /// Decodes one datagram, appends its records to `records` (which is empty) and
    /// says who sent it. A datagram that is refused is counted, with the reason.
    pub fn datagram<'a>(
        &mut self,
        session: SocketAddr,
        now_ms: u64,
        datagram: &[u8],
        exporters: &'a Exporters,
        records: &mut Vec<Record>,
    ) -> Option<&'a Exporter> {
        self.counters.received();
        let summary = match self.decoder.decode(session, now_ms, datagram, records) {
            Ok(summary) => summary,
            Err(reject) => {
                self.counters.reject(&reject);
                tracing::debug!(%session, %reject, "datagram refused");
                return None;
            }
        };
        self.counters.decoded(&summary, self.decoder.take_expired_sets());
        let exporter = exporters.resolve(mark(&summary, records), session.ip());
        self.follow(session, &summary, records, exporter);
        exporter
    }

    fn follow(
        &mut self,
        session: SocketAddr,
        summary: &Summary,
        records: &[Record],
        exporter: Option<&Exporter>,
    ) {
        let ovs = match records.first() {
            Some(record) => normalise::is_ovs(record, exporter),
            None => exporter.is_some_and(Exporter::is_ovs),
        };
        let arrival = Arrival {
            session,
            protocol: summary.protocol,
            domain: summary.observation_domain,
            sequence: summary.sequence,
            records: summary.records - summary.released_records + summary.options_records,
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
        (None, _) => None,
    }
}
