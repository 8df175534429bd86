//! What a sink did, for metrics and status.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::rows::RowBatch;
use crate::target::{Failure, Reason};

/// Counters of one sink since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    sent_rows: AtomicU64,
    filtered_rows: AtomicU64,
    unreadable_rows: AtomicU64,
    sent_bytes: AtomicU64,
    flushes: AtomicU64,
    retries: [AtomicU64; Reason::ALL.len()],
    now: Mutex<Now>,
}

#[derive(Debug, Default, Clone)]
struct Now {
    failure: Option<String>,
    last_success: Option<SystemTime>,
}

/// The same at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Rows that the target has.
    pub sent_rows: u64,
    /// Rows that the filter left out.
    pub filtered_rows: u64,
    /// Rows that could not be looked at, by a fault of ours.
    pub unreadable_rows: u64,
    /// Bytes that went to the target.
    pub sent_bytes: u64,
    /// How often it took what waited.
    pub flushes: u64,
    /// How often something was tried again, by reason.
    pub retries: Vec<(Reason, u64)>,
    /// Why nothing goes there now.
    pub failure: Option<String>,
    /// When something went there last.
    pub last_success: Option<SystemTime>,
}

impl Counters {
    /// The target has the rows of these frames, and the rest of them is done with.
    pub(crate) fn delivered<'f, F: RowBatch + 'f>(&self, frames: impl Iterator<Item = &'f F>, bytes: u64) {
        let mut rows = 0;
        for frame in frames {
            rows += frame.rows();
            self.filtered_rows.fetch_add(frame.filtered(), Ordering::Relaxed);
            self.unreadable_rows
                .fetch_add(frame.unreadable(), Ordering::Relaxed);
        }
        self.sent_rows.fetch_add(rows, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        // Who was sent nothing has not shown that it takes something.
        if rows > 0 {
            let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            now.failure = None;
            now.last_success = Some(SystemTime::now());
        }
    }

    /// It did not take them. Returns whether that is news.
    pub(crate) fn failed(&self, failure: &Failure) -> bool {
        self.fail(failure.reason(), failure.to_string())
    }

    /// Something else keeps it from going on, and is tried again. Returns whether that is news.
    pub fn hindered(&self, why: String) -> bool {
        self.fail(Reason::Other, why)
    }

    fn fail(&self, reason: Reason, text: String) -> bool {
        if let Some(count) = self.retries.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = now.failure.as_ref() != Some(&text);
        now.failure = Some(text);
        is_news
    }

    /// All of them.
    pub fn snapshot(&self) -> Snapshot {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Snapshot {
            sent_rows: count(&self.sent_rows),
            filtered_rows: count(&self.filtered_rows),
            unreadable_rows: count(&self.unreadable_rows),
            sent_bytes: count(&self.sent_bytes),
            flushes: count(&self.flushes),
            retries: Reason::ALL
                .into_iter()
                .zip(self.retries.iter().map(count))
                .collect(),
            failure: now.failure,
            last_success: now.last_success,
        }
    }
}
