//! Where a worker hands its records on to: straight into the store, where there is one,
//! and what is printed to the thread that prints.

use std::sync::Arc;
use std::sync::mpsc;

use weir_flow::FlowRecord;
use weir_store::Appender;

use crate::metrics::{Drop, Metrics, Unprinted};
use crate::queue::{Full, Sender};

/// The way out of a worker.
#[derive(Debug, Clone)]
pub enum Outlet {
    /// To the thread that prints or lets go.
    Sink {
        /// The way there.
        sink: Sender,
        /// Counters.
        metrics: Arc<Metrics>,
    },
    /// Into the store.
    Store {
        /// The way in.
        appender: Appender,
        /// What is stored is printed as well, as far as there is room.
        printer: Option<Sender>,
        /// Counters.
        metrics: Arc<Metrics>,
        /// As long as this is held, the store is not closed.
        _open: mpsc::SyncSender<()>,
    },
}

impl Outlet {
    /// Hands on what is in a batch and leaves an empty one. What is not taken is counted.
    pub fn send(&self, batch: &mut Vec<FlowRecord>) {
        match self {
            Self::Sink { sink, metrics } => {
                if let Err(Full(records)) = sink.send(batch) {
                    metrics.drop_records(Drop::QueueFull, records as u64);
                }
            }
            Self::Store {
                appender,
                printer,
                metrics,
                ..
            } => {
                let records = batch.len() as u64;
                if records == 0 {
                    return;
                }
                match appender.append(batch) {
                    Ok(()) => metrics.store(records),
                    Err(refusal) => metrics.drop_records(refusal.into(), records),
                }
                match printer.as_ref().map(|printer| printer.send(batch)) {
                    None => batch.clear(),
                    Some(Ok(())) => {}
                    Some(Err(Full(_))) => metrics.leave_unprinted(Unprinted::Behind, records),
                }
            }
        }
    }
}
