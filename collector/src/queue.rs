//! A bounded way from one stage to the next, in batches: from the workers to the thread
//! that prints or lets go. It is bounded in bytes of memory: room for records,
//! used or not, and what records keep elsewhere (long texts). The oldest wins: a full
//! queue refuses what comes, and who is refused counts it. Nobody ever waits for room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use weir_flow::FlowRecord;

/// Batches in the queue; a batch is what one read of a socket brought.
const MAX_BATCHES: usize = 8_192;

/// For so long the sink lets batches gather before it waits to be woken.
const NAP: Duration = Duration::from_millis(2);

/// Emptied batches that are kept to be filled again: fresh memory for each record
/// would cost more than what is done with it.
const MAX_SPARES: usize = 16;

/// Records that a batch has room for that is kept.
const MAX_SPARE_RECORDS: usize = 4_096;

/// The end that fills it.
#[derive(Debug, Clone)]
pub struct Sender {
    batches: SyncSender<Batch>,
    /// Bytes that there is room for.
    room: Arc<AtomicUsize>,
    /// With so much room, in bytes, none is saved.
    plenty: usize,
    spares: Spares,
}

type Spares = Arc<Mutex<Vec<Vec<FlowRecord>>>>;

/// The end that empties it.
#[derive(Debug)]
pub struct Inbox {
    batches: Receiver<Batch>,
    room: Arc<AtomicUsize>,
    spares: Spares,
}

/// Records, and the memory that they were counted with.
#[derive(Debug)]
struct Batch {
    records: Vec<FlowRecord>,
    bytes: usize,
}

/// There was no room for so many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full(pub usize);

/// A queue with room for records that take this much memory.
pub fn queue(bytes: usize) -> (Sender, Inbox) {
    let spares = Spares::default();
    let (sender, receiver) = sync_channel(MAX_BATCHES);
    let room = Arc::new(AtomicUsize::new(bytes));
    let sender = Sender {
        batches: sender,
        room: Arc::clone(&room),
        plenty: bytes / 2,
        spares: Arc::clone(&spares),
    };
    let inbox = Inbox {
        batches: receiver,
        room,
        spares,
    };
    (sender, inbox)
}

impl Sender {
    /// Hands on what is in a batch and leaves an empty one.
    ///
    /// # Errors
    /// There is no room: the records are gone.
    pub fn send(&self, filled: &mut Vec<FlowRecord>) -> Result<(), Full> {
        let records = filled.len();
        if records == 0 {
            return Ok(());
        }
        let is_scarce = self.room.load(Ordering::Relaxed) < self.plenty;
        let batch = if is_scarce && records < filled.capacity() / 2 {
            // It would take more room than it needs, where a copy costs less than that.
            let mut small = Vec::with_capacity(records);
            small.append(filled);
            small
        } else {
            std::mem::replace(filled, self.spare())
        };
        self.try_send(batch).map_err(|batch| Full(batch.len()))
    }

    /// Hands on a batch.
    ///
    /// # Errors
    /// There is no room: here it is again.
    fn try_send(&self, records: Vec<FlowRecord>) -> Result<(), Vec<FlowRecord>> {
        let bytes = memory(&records);
        let take = |room: usize| room.checked_sub(bytes);
        let fits = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok();
        if !fits {
            return Err(records);
        }
        let sent = self.batches.try_send(Batch { records, bytes });
        sent.map_err(|error| {
            self.room.fetch_add(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(batch) | TrySendError::Disconnected(batch) => batch.records,
            }
        })
    }

    fn spare(&self) -> Vec<FlowRecord> {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spares.pop().unwrap_or_default()
    }
}

/// Bytes of memory that a batch takes, used or not.
fn memory(records: &Vec<FlowRecord>) -> usize {
    let texts: usize = records.iter().map(FlowRecord::heap_bytes).sum();
    records.capacity() * size_of::<FlowRecord>() + texts
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
        if let Some(batch) = self.poll()? {
            return Ok(batch);
        }
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
        if spares.len() < MAX_SPARES && batch.capacity() <= MAX_SPARE_RECORDS {
            spares.push(batch);
        }
    }

    fn take(&self, batch: Batch) -> Vec<FlowRecord> {
        self.room.fetch_add(batch.bytes, Ordering::Relaxed);
        batch.records
    }
}

/// The queue is empty and nobody can fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

#[cfg(test)]
mod tests {
    use super::Full;
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

    fn slots(n: usize) -> usize {
        n * size_of::<FlowRecord>()
    }

    #[test]
    fn the_oldest_are_kept_and_room_counts_whether_it_is_used_or_not() {
        let (sender, inbox) = super::queue(slots(10));
        assert_eq!(sender.send(&mut batch(5, 8)), Ok(()));
        assert_eq!(sender.send(&mut batch(3, 3)), Err(Full(3)));
        // Less than half is sent alone.
        assert_eq!(sender.send(&mut batch(1, 4)), Ok(()));
        assert_eq!(sender.send(&mut batch(1, 2)), Err(Full(1)));
        assert_eq!(inbox.wait().unwrap().len(), 5);
        assert_eq!(sender.send(&mut batch(8, 8)), Ok(()));
        drop(sender);
        assert_eq!([inbox.wait(), inbox.wait()].map(|b| b.unwrap().len()), [1, 8]);
        assert!(inbox.wait().is_err());
    }

    #[test]
    fn long_texts_take_room_too() {
        let named = |names: usize| {
            let mut batch = batch(1, 1);
            batch[0].src.if_name = "v".repeat(names).as_str().into();
            batch
        };
        let (sender, inbox) = super::queue(slots(1) + 100);
        assert_eq!(sender.send(&mut named(101)), Err(Full(1)));
        assert_eq!(sender.send(&mut named(100)), Ok(()));
        inbox.wait().unwrap();
        // What was taken out has given all of its room back.
        assert_eq!(sender.send(&mut named(100)), Ok(()));
    }

    #[test]
    fn a_batch_that_came_back_is_filled_again() {
        let (sender, inbox) = super::queue(slots(100));
        sender.send(&mut batch(7, 8)).unwrap();
        inbox.give_back(inbox.wait().unwrap());
        let mut filled = batch(2, 2);
        sender.send(&mut filled).unwrap();
        assert_eq!((filled.len(), filled.capacity()), (0, 8));
        assert_eq!(inbox.wait().unwrap().len(), 2);
    }
}
