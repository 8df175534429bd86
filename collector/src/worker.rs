//! What a receive thread does with a datagram: decode, normalise, enrich, hand on.

use std::sync::Arc;

use tokio::sync::watch;
use wire::Record;

use crate::decode::Decode;
use crate::enrich::enrich;
use crate::identity::Snapshot;
use crate::metrics::Metrics;
use crate::normalise::{Context, judge, normalise};
use crate::queue::Sender;
use crate::receive::{Datagram, Handler};
use crate::record::FlowRecord;

/// Records in a batch at which it is handed on before all datagrams were looked at.
const FULL_BATCH: usize = 1_024;

/// One thread's state.
#[derive(Debug)]
pub struct Worker {
    decode: Decode,
    snapshots: watch::Receiver<Snapshot>,
    names: Snapshot,
    raw: Vec<Record>,
    batch: Vec<FlowRecord>,
    sender: Sender,
}

impl Worker {
    /// A worker that looks names up in the newest snapshot.
    pub fn new(metrics: &Arc<Metrics>, mut snapshots: watch::Receiver<Snapshot>, sender: Sender) -> Self {
        let names = snapshots.borrow_and_update().clone();
        let decode = Decode::new(metrics.decode_counters());
        Self {
            decode,
            snapshots,
            names,
            raw: Vec::new(),
            batch: Vec::new(),
            sender,
        }
    }

    fn refresh_names(&mut self) {
        if self.snapshots.has_changed().unwrap_or(false) {
            self.names = self.snapshots.borrow_and_update().clone();
        }
    }
}

impl Handler for Worker {
    fn datagram(&mut self, datagram: Datagram<'_>, now_ns: u64) {
        self.refresh_names();
        let Datagram { session, payload } = datagram;
        let exporters = &self.names.exporters;
        let exporter = self
            .decode
            .datagram(session, now_ns / 1_000_000, payload, exporters, &mut self.raw);
        let context = Context {
            received_ns: now_ns,
            source: session.ip(),
            exporter,
        };
        for raw in self.raw.drain(..) {
            let mut record = normalise(raw, context);
            enrich(&mut record, &self.names.directory);
            judge(&mut record, exporter, exporters);
            self.batch.push(record);
        }
        if self.batch.len() >= FULL_BATCH {
            self.batch_end();
        }
    }

    fn batch_end(&mut self) {
        self.sender.send(std::mem::take(&mut self.batch));
    }
}
