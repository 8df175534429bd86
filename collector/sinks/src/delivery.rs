//! One sink's work: frames in, what the target did not take again, cursors on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::counters::Counters;
use crate::rows::{Place, RowBatch};
use crate::target::{Failure, Target};

/// Frames that were shown to the target and are not there for certain: more are not asked for.
const WINDOW_FRAMES: usize = 64;
/// Bytes that a target takes before they are flushed.
const WINDOW_BYTES: usize = 1 << 20;
/// What was taken is flushed after so long at the latest.
const LINGER: Duration = Duration::from_secs(1);
/// How long a sink that is stopped goes on to flush. What a target is at then may take its
/// own time in addition.
const LAST_TRY: Duration = Duration::from_secs(5);
/// A sleep does not last longer before somebody looks whether it is to stop.
const NAP: Duration = Duration::from_millis(100);

/// Where frames come from.
pub trait Source {
    /// What it gives.
    type Frame: RowBatch;

    /// The next frame, if there is one in that time.
    fn next(&mut self, within: Duration) -> Next<Self::Frame>;

    /// The target has all up to this frame, which do not come again.
    fn acknowledge(&mut self, through: Place);
}

/// What a source has.
#[derive(Debug)]
pub enum Next<F> {
    /// A frame.
    Frame(F),
    /// None in that time.
    Nothing,
    /// None any more.
    Over,
}

/// What comes next in a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Go,
    /// Wait for so long; then go on.
    Wait(Duration),
    /// Nothing comes any more, and all is there.
    Done,
}

/// What a sink has in its hands. It reads no clock: `now` counts from whenever.
#[derive(Debug)]
pub struct Delivery<F> {
    /// Frames that were taken from the source and not acknowledged, the oldest first.
    window: VecDeque<F>,
    /// How many of them the target has taken since its last reset.
    taken: usize,
    /// When the first of them was taken.
    since: Option<Duration>,
    backoff: Backoff,
    is_over: bool,
    counters: Arc<Counters>,
}

impl<F: RowBatch> Delivery<F> {
    /// Nothing was taken. `seed` tells one sink's chances apart from others'.
    pub fn new(counters: Arc<Counters>, seed: u64) -> Self {
        Self {
            window: VecDeque::new(),
            taken: 0,
            since: None,
            backoff: Backoff::new(seed),
            is_over: false,
            counters,
        }
    }

    /// Takes one frame, or flushes.
    pub fn step(
        &mut self,
        source: &mut impl Source<Frame = F>,
        target: &mut dyn Target,
        now: Duration,
    ) -> Step {
        match self.try_step(source, target, now) {
            Ok(step) => step,
            Err(failure) => {
                self.taken = 0;
                self.since = None;
                target.reset();
                let wait = self.backoff.fail();
                if self.counters.failed(&failure) {
                    tracing::warn!(error = %failure, "a sink took nothing; it is tried again");
                }
                Step::Wait(wait)
            }
        }
    }

    /// Nothing more is taken from the source.
    pub const fn stop(&mut self) {
        self.is_over = true;
    }

    fn try_step(
        &mut self,
        source: &mut impl Source<Frame = F>,
        target: &mut dyn Target,
        now: Duration,
    ) -> Result<Step, Failure> {
        if let Some(again) = self.window.get(self.taken) {
            target.take(again)?;
            self.note_taken(now);
            return Ok(Step::Go);
        }
        let left = self
            .since
            .map_or(LINGER, |since| (since + LINGER).saturating_sub(now));
        let is_full = self.window.len() >= WINDOW_FRAMES || target.waiting() >= WINDOW_BYTES;
        if is_full || left.is_zero() || self.is_over {
            return self.flush(source, target);
        }
        match source.next(left) {
            Next::Frame(frame) => self.window.push_back(frame),
            Next::Nothing if self.window.is_empty() => target.idle()?,
            Next::Nothing => {}
            Next::Over => self.is_over = true,
        }
        Ok(Step::Go)
    }

    fn note_taken(&mut self, now: Duration) {
        self.taken += 1;
        self.since.get_or_insert(now);
    }

    fn flush(
        &mut self,
        source: &mut impl Source<Frame = F>,
        target: &mut dyn Target,
    ) -> Result<Step, Failure> {
        if let Some(last) = self.window.back().map(RowBatch::place) {
            let bytes = target.flush()?;
            source.acknowledge(last);
            self.counters.delivered(self.window.iter(), bytes);
            self.backoff.succeed();
            self.window.clear();
            self.taken = 0;
            self.since = None;
        }
        Ok(if self.is_over { Step::Done } else { Step::Go })
    }
}

/// Delivers until the source is over or `stop` is set, and then for five seconds at most what
/// was taken already. Blocks: it is a thread's work.
pub fn run<F: RowBatch>(
    source: &mut impl Source<Frame = F>,
    target: &mut dyn Target,
    counters: Arc<Counters>,
    seed: u64,
    stop: &AtomicBool,
) {
    let began = Instant::now();
    let mut delivery = Delivery::new(counters, seed);
    let mut ends: Option<Instant> = None;
    let mut wait_until: Option<Instant> = None;
    loop {
        if ends.is_none() && (delivery.is_over || stop.load(Ordering::Relaxed)) {
            delivery.stop();
            // It is tried once more at once, whatever the pause was to be.
            wait_until = None;
            ends = Some(Instant::now() + LAST_TRY);
        }
        let now = Instant::now();
        if ends.is_some_and(|ends| now >= ends) {
            return;
        }
        if let Some(left) = wait_until.and_then(|until| until.checked_duration_since(now)) {
            std::thread::sleep(left.min(NAP));
            continue;
        }
        wait_until = None;
        match delivery.step(source, target, began.elapsed()) {
            Step::Go => {}
            Step::Wait(wait) => wait_until = Some(Instant::now() + wait),
            Step::Done => return,
        }
    }
}

#[cfg(test)]
mod tests;
