//! Where a worker hands its records on to: into the store, or without one into a log in
//! memory, where somebody prints them; else they are let go.

use std::sync::Arc;
use std::sync::mpsc;

use weir_flow::FlowRecord;
use weir_store::Appender;

use crate::metrics::{Drop, Metrics};

/// The way out of a worker.
#[derive(Debug, Clone)]
pub struct Outlet {
    way: Way,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Clone)]
enum Way {
    Nowhere,
    Log {
        /// The way in.
        appender: Appender,
        /// Records are stored when they are in the log, not when they were printed.
        is_store: bool,
        /// As long as this is held, the log is not closed.
        _open: mpsc::SyncSender<()>,
    },
    #[cfg(test)]
    Test(mpsc::SyncSender<Vec<FlowRecord>>),
}

/// Ends when nobody has the outlet any more.
#[derive(Debug)]
pub struct UntilClosed(mpsc::Receiver<()>);

impl UntilClosed {
    /// Waits for that.
    pub fn wait(&self) {
        // Nothing is ever sent: it ends when the last who could is gone.
        while self.0.recv().is_ok() {}
    }

    /// Whether it is so.
    pub fn is_over(&self) -> bool {
        matches!(self.0.try_recv(), Err(mpsc::TryRecvError::Disconnected))
    }
}

impl Outlet {
    /// Records are counted as stored and let go.
    pub fn nowhere(metrics: Arc<Metrics>) -> Self {
        Self {
            way: Way::Nowhere,
            metrics,
        }
    }

    /// Into a store, where records count as stored, or into a log in memory.
    pub fn log(appender: Appender, is_store: bool, metrics: Arc<Metrics>) -> (Self, UntilClosed) {
        let (open, until_closed) = mpsc::sync_channel(1);
        let way = Way::Log {
            appender,
            is_store,
            _open: open,
        };
        (Self { way, metrics }, UntilClosed(until_closed))
    }

    /// Where a test takes them.
    #[cfg(test)]
    pub fn test(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Vec<FlowRecord>>) {
        let (sender, batches) = mpsc::sync_channel(64);
        let way = Way::Test(sender);
        (Self { way, metrics }, batches)
    }

    /// Hands on what is in a batch and leaves an empty one. What is not taken is counted.
    pub fn send(&self, batch: &mut Vec<FlowRecord>) {
        let records = batch.len() as u64;
        if records == 0 {
            return;
        }
        match &self.way {
            Way::Nowhere => self.metrics.store(records),
            Way::Log {
                appender, is_store, ..
            } => match appender.append(batch) {
                Ok(()) if *is_store => self.metrics.store(records),
                Ok(()) => {}
                Err(refusal) => self.metrics.drop_records(Drop::from(refusal), records),
            },
            #[cfg(test)]
            Way::Test(to) => to.try_send(std::mem::take(batch)).expect("the test takes them"),
        }
        batch.clear();
    }
}
