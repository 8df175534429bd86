//! The bounded way from the workers to the sink, in batches. It is bounded by the
//! room for records in them, used or not, so that its memory is. The oldest wins:
//! a full queue refuses what comes, and the records that it refuses are counted.
//! Nobody ever waits for room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::metrics::{Drop, Metrics};
use weir_flow::FlowRecord;

/// Batches in the queue; a batch is what one read of a socket brought.
const MAX_BATCHES: usize = 8_192;

/// For so long the sink lets batches gather before it waits to be woken.
const NAP: Duration = Duration::from_millis(2);

/// Emptied batches that are kept to be filled again: fresh memory for each record
/// would cost more than what is done with it.
const MAX_SPARES: usize = 16;

/// The workers' end.
#[derive(Debug, Clone)]
pub struct Sender {
    batches: SyncSender<Vec<FlowRecord>>,
    room: Arc<AtomicUsize>,
    spares: Spares,
    metrics: Arc<Metrics>,
}

type Spares = Arc<Mutex<Vec<Vec<FlowRecord>>>>;

/// The sink's end.
#[derive(Debug)]
pub struct Inbox {
    batches: Receiver<Vec<FlowRecord>>,
    room: Arc<AtomicUsize>,
    spares: Spares,
}

/// A queue with room for this many records.
pub fn queue(records: usize, metrics: Arc<Metrics>) -> (Sender, Inbox) {
    let (sender, receiver) = sync_channel(MAX_BATCHES);
    let room = Arc::new(AtomicUsize::new(records));
    let spares = Spares::default();
    (
        Sender {
            batches: sender,
            room: Arc::clone(&room),
            spares: Arc::clone(&spares),
            metrics,
        },
        Inbox {
            batches: receiver,
            room,
            spares,
        },
    )
}

impl Sender {
    /// Hands on what is in a batch and leaves an empty one, or counts its records as
    /// dropped when there is no room.
    pub fn send(&self, filled: &mut Vec<FlowRecord>) {
        let records = filled.len();
        if records == 0 {
            return;
        }
        let batch = if records < filled.capacity() / 2 {
            // It would take more room than it needs.
            let mut small = Vec::with_capacity(records);
            small.append(filled);
            small
        } else {
            std::mem::replace(filled, self.spare())
        };
        let slots = batch.capacity();
        let take = |room: usize| room.checked_sub(slots);
        let fits = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        if !fits {
            self.metrics.drop_records(Drop::QueueFull, records as u64);
        } else if self.batches.try_send(batch).is_err() {
            self.room.fetch_add(slots, Ordering::Relaxed);
            self.metrics.drop_records(Drop::QueueFull, records as u64);
        }
    }

    fn spare(&self) -> Vec<FlowRecord> {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spares.pop().unwrap_or_default()
    }
}

impl Inbox {
    /// The next batch if there is one now. `None`: there is none now.
    ///
    /// # Errors
    /// There is none and there will be none: all senders are gone.
    pub fn poll(&self) -> Result<Option<Vec<FlowRecord>>, Closed> {
        match self.batches.try_recv() {
            Ok(batch) => Ok(Some(self.take(batch))),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Closed),
        }
    }

    /// Waits for the next batch; first for a moment without being seen to wait:
    /// while there is much to do, no worker spends its time on waking the sink.
    ///
    /// # Errors
    /// All senders are gone and the queue is empty.
    pub fn wait(&self) -> Result<Vec<FlowRecord>, Closed> {
        thread::sleep(NAP);
        if let Some(batch) = self.poll()? {
            return Ok(batch);
        }
        self.batches
            .recv()
            .map(|batch| self.take(batch))
            .map_err(|_| Closed)
    }

    /// Takes back a batch whose records are no longer needed.
    pub fn give_back(&self, mut batch: Vec<FlowRecord>) {
        batch.clear();
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < MAX_SPARES {
            spares.push(batch);
        }
    }

    fn take(&self, batch: Vec<FlowRecord>) -> Vec<FlowRecord> {
        self.room.fetch_add(batch.capacity(), Ordering::Relaxed);
        batch
    }
}

/// The queue is empty and nobody can fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::metrics::Metrics;
    use crate::normalise::{Context, normalise};
    use weir_flow::FlowRecord;

    fn batch(records: usize, slots: usize) -> Vec<FlowRecord> {
        let context = Context {
            received_ns: 0,
            source: [192, 0, 2, 1].into(),
            exporter: None,
        };
        let mut batch = Vec::with_capacity(slots);
        batch.extend((0..records).map(|_| normalise(wire::Record::default(), context)));
        batch
    }

    fn dropped(metrics: &Metrics) -> u64 {
        metrics.totals().dropped
    }

    #[test]
    fn the_oldest_are_kept_and_room_counts_whether_it_is_used_or_not() {
        let metrics = Arc::new(Metrics::default());
        let (sender, inbox) = super::queue(10, Arc::clone(&metrics));
        sender.send(&mut batch(5, 8));
        sender.send(&mut batch(3, 3));
        assert_eq!(dropped(&metrics), 3);
        sender.send(&mut batch(1, 4));
        sender.send(&mut batch(1, 2));
        assert_eq!(dropped(&metrics), 4, "less than half is sent alone");
        assert_eq!(inbox.wait().unwrap().len(), 5);
        sender.send(&mut batch(8, 8));
        assert_eq!(dropped(&metrics), 4);
        drop(sender);
        assert_eq!([inbox.wait(), inbox.wait()].map(|b| b.unwrap().len()), [1, 8]);
        assert!(inbox.wait().is_err());
    }

    #[test]
    fn a_batch_that_came_back_is_filled_again() {
        let (sender, inbox) = super::queue(100, Arc::default());
        sender.send(&mut batch(7, 8));
        inbox.give_back(inbox.wait().unwrap());
        let mut filled = batch(2, 2);
        sender.send(&mut filled);
        assert_eq!((filled.len(), filled.capacity()), (0, 8));
        assert_eq!(inbox.wait().unwrap().len(), 2);
    }

    #[test]
    fn a_record_takes_no_more_memory_than_the_option_says() {
        assert!(size_of::<FlowRecord>() <= 1024, "{}", size_of::<FlowRecord>());
    }
}
