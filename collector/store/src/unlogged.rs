//! Frames on their way to the log: under the store's lock, as all of [`State`].

use std::collections::VecDeque;

use crate::state::State;
use crate::wal::Frame;

impl State {
    /// The frames that wait for the log.
    pub fn take_unlogged(&mut self) -> VecDeque<Frame> {
        let frames = std::mem::take(&mut self.unlogged);
        self.logging = frames.iter().map(|frame| frame.batch.num_rows() as u64).sum();
        frames
    }

    /// Frames that could not be logged wait on, before all others. Those that are in a
    /// segment by now are never logged, nor is what came after them in the same head: the
    /// log of a head has its first frames, and none beyond one that is missing.
    pub fn put_back(&mut self, frames: VecDeque<Frame>) {
        self.logging = 0;
        if frames.is_empty() {
            return;
        }
        for frame in frames.into_iter().rev() {
            self.unlogged.push_front(frame);
        }
        self.skip_sealed();
    }

    /// Where the disk is slower with the log than rows are sealed, frames of sealed heads pile
    /// up, of which nobody else knows: beyond so many bytes they are never logged. Returns
    /// their rows.
    pub fn bound_unlogged(&mut self, bytes: usize) -> u64 {
        let sealed = self
            .unlogged
            .iter()
            .filter(|frame| frame.cursor.head <= self.sealed);
        let waiting: usize = sealed.map(|frame| frame.batch.memory_size()).sum();
        match waiting > bytes {
            true => self.skip_sealed(),
            false => 0,
        }
    }

    fn skip_sealed(&mut self) -> u64 {
        let (sealed, readers) = (self.sealed, &self.readers);
        let mut rows = 0;
        self.unlogged.retain(|frame| {
            let is_sealed = frame.cursor.head <= sealed;
            if is_sealed {
                rows += frame.batch.num_rows() as u64;
                readers.skipped(frame.cursor, frame.batch.num_rows());
            }
            !is_sealed
        });
        rows
    }

    pub fn unlogged_rows(&self) -> u64 {
        let unsealed = self
            .unlogged
            .iter()
            .filter(|frame| frame.cursor.head > self.sealed);
        let queued: usize = unsealed.map(|frame| frame.batch.num_rows()).sum();
        queued as u64 + self.logging
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, UInt32Array};

    use super::*;
    use crate::batch::Batch;
    use crate::catalog::Catalog;
    use crate::identity_ids::IdentityIds;
    use crate::lock::Lock;
    use crate::log_frame::Cursor;
    use crate::log_readers::Bounds;

    fn frame(head: u64, frame: u64) -> Frame {
        let ids: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..10));
        Frame {
            cursor: Cursor { head, frame },
            named: None,
            batch: Batch::of_rows(RecordBatch::try_from_iter([("src_id", ids)]).unwrap()),
        }
    }

    #[test]
    fn frames_of_sealed_heads_that_the_log_is_too_slow_for_are_given_up_and_counted() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::new(IdentityIds::default(), Catalog::default(), 2);
        let bounds = Bounds {
            bytes: u64::MAX,
            age: None,
        };
        let joined = state.readers.attach("sink", bounds, Cursor { head: 1, frame: 0 });
        let lock = Arc::new(Lock::take(directory.path(), "lock").unwrap());
        let log = joined.unwrap().begin(directory.path(), "a store", lock).unwrap();
        let frames = [(1, 0), (1, 1), (2, 0)].map(|(head, nth)| frame(head, nth));
        let of_head = 2 * frames[0].batch.memory_size();
        state.unlogged.extend(frames);
        assert_eq!(state.bound_unlogged(0), 0, "they count as memory");
        state.sealed = 1;
        assert_eq!(state.bound_unlogged(of_head), 0);
        assert_eq!(state.unlogged.len(), 3);
        assert_eq!(state.bound_unlogged(of_head - 1), 20);
        let left: Vec<u64> = state.unlogged.iter().map(|frame| frame.cursor.head).collect();
        assert_eq!((left, log.status().dropped.lost), (vec![2], 20));
    }
}
