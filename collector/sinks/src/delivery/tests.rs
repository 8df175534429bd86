use std::io;

use proptest::prelude::*;

use super::*;
use crate::counters::Snapshot;
use crate::testing::Frame;

/// Frames in order; those that were not acknowledged are shown once, as a reader shows them.
#[derive(Debug, Default)]
struct Frames {
    left: VecDeque<Frame>,
    acknowledged: Vec<Place>,
    ends: bool,
}

impl Source for Frames {
    type Frame = Frame;

    fn next(&mut self, _within: Duration) -> Next<Frame> {
        match self.left.pop_front() {
            Some(frame) => Next::Frame(frame),
            None if self.ends => Next::Over,
            None => Next::Nothing,
        }
    }

    fn acknowledge(&mut self, through: Place) {
        self.acknowledged.push(through);
    }
}

/// Takes frames, and fails whenever `fails` says so.
#[derive(Debug, Default)]
struct Picky {
    fails: VecDeque<bool>,
    taken: Vec<Place>,
    has: Vec<Place>,
}

impl Picky {
    fn try_it(&mut self) -> Result<(), Failure> {
        match self.fails.pop_front() {
            Some(true) => Err(Failure::io("no")(io::ErrorKind::ConnectionRefused.into())),
            _ => Ok(()),
        }
    }
}

impl Target for Picky {
    fn take(&mut self, rows: &dyn RowBatch) -> Result<(), Failure> {
        self.try_it()?;
        self.taken.push(rows.place());
        Ok(())
    }

    fn flush(&mut self) -> Result<u64, Failure> {
        self.try_it()?;
        let bytes = self.taken.len() as u64;
        self.has.append(&mut self.taken);
        Ok(bytes)
    }

    fn reset(&mut self) {
        self.taken.clear();
    }

    fn waiting(&self) -> usize {
        self.taken.len()
    }
}

fn frames(count: u64) -> Frames {
    Frames {
        left: (0..count).map(|frame| Frame::of(1, frame, 2)).collect(),
        ends: true,
        ..Frames::default()
    }
}

/// Steps until it is done; time goes on by what is waited.
fn deliver(source: &mut Frames, target: &mut Picky) -> Snapshot {
    let counters = Arc::new(Counters::default());
    let mut delivery = Delivery::new(Arc::clone(&counters), 3);
    let mut now = Duration::ZERO;
    for _ in 0..10_000 {
        match delivery.step(source, target, now) {
            Step::Go => {}
            Step::Wait(wait) => now += wait,
            Step::Done => return counters.snapshot(),
        }
    }
    panic!("it does not end");
}

proptest! {
    #[test]
    fn each_frame_is_there_once_in_order_whatever_fails(
        count in 0..200_u64,
        fails in proptest::collection::vec(any::<bool>(), 0..300),
    ) {
        let (mut source, mut target) = (frames(count), Picky { fails: fails.clone().into(), ..Picky::default() });
        let counted = deliver(&mut source, &mut target);
        let expected: Vec<Place> = (0..count).map(|frame| Place { head: 1, frame }).collect();
        prop_assert_eq!(&target.has, &expected);
        prop_assert_eq!(source.acknowledged.last(), expected.last());
        prop_assert!(source.acknowledged.is_sorted());
        prop_assert_eq!((counted.sent_rows, counted.filtered_rows), (2 * count, count));
        let tries: u64 = counted.retries.iter().map(|(_, count)| count).sum();
        prop_assert!(tries <= fails.iter().filter(|fails| **fails).count() as u64);
        let refused = counted.retries.iter().find(|(reason, _)| reason.as_str() == "refused");
        prop_assert_eq!(refused.map(|(_, count)| *count), Some(tries));
    }
}

#[test]
fn nothing_is_acknowledged_before_it_was_flushed() {
    let (mut source, mut target) = (frames(3), Picky::default());
    source.ends = false;
    let mut delivery = Delivery::new(Arc::default(), 3);
    for _ in 0..7 {
        delivery.step(&mut source, &mut target, Duration::ZERO);
    }
    assert_eq!(target.taken.len(), 3);
    assert!(source.acknowledged.is_empty() && target.has.is_empty());
    delivery.step(&mut source, &mut target, LINGER);
    assert_eq!(target.has.len(), 3);
    assert_eq!(source.acknowledged, [Place { head: 1, frame: 2 }]);
}

#[test]
fn what_is_not_taken_keeps_more_from_being_asked_for() {
    let (mut source, mut target) = (frames(1_000), Picky::default());
    target.fails = vec![true; 5_000].into();
    let mut delivery = Delivery::new(Arc::default(), 3);
    for _ in 0..5_000 {
        delivery.step(&mut source, &mut target, Duration::ZERO);
    }
    assert_eq!(source.left.len(), 999);
}

#[test]
fn why_nothing_goes_is_told_until_something_goes() {
    let counters = Arc::new(Counters::default());
    let (mut source, mut target) = (frames(1), Picky::default());
    target.fails = vec![true].into();
    let mut delivery = Delivery::new(Arc::clone(&counters), 3);
    assert_eq!(delivery.step(&mut source, &mut target, Duration::ZERO), Step::Go);
    let step = delivery.step(&mut source, &mut target, Duration::ZERO);
    assert!(
        matches!(step, Step::Wait(wait) if wait <= Duration::from_millis(100)),
        "{step:?}"
    );
    let failure = counters.snapshot().failure.unwrap();
    assert!(failure.starts_with("no: "), "{failure}");
    while delivery.step(&mut source, &mut target, LINGER) != Step::Done {}
    let counted = counters.snapshot();
    assert_eq!(counted.failure, None);
    assert!(counted.last_success.is_some());
}

/// Ends the sink when so many frames were asked for.
struct Stopping<'s> {
    frames: Frames,
    left: u32,
    stop: &'s AtomicBool,
}

impl Source for Stopping<'_> {
    type Frame = Frame;

    fn next(&mut self, within: Duration) -> Next<Frame> {
        self.left -= 1;
        self.stop.store(self.left == 0, Ordering::Relaxed);
        self.frames.next(within)
    }

    fn acknowledge(&mut self, through: Place) {
        self.frames.acknowledge(through);
    }
}

#[test]
fn a_stopped_sink_puts_out_what_it_has_at_once_though_it_was_waiting() {
    let stop = AtomicBool::new(false);
    let mut source = Stopping {
        frames: frames(5),
        left: 3,
        stop: &stop,
    };
    source.frames.ends = false;
    // The last of the three is refused, whereupon it would wait.
    let mut target = Picky {
        fails: vec![false, false, true].into(),
        ..Picky::default()
    };
    run(&mut source, &mut target, Arc::default(), 3, &stop);
    let places: Vec<Place> = (0..3).map(|frame| Place { head: 1, frame }).collect();
    assert_eq!(target.has, places);
    assert_eq!(source.frames.acknowledged.last(), places.last());
    assert_eq!(source.frames.left.len(), 2);
}

#[test]
fn flushes_that_fail_send_each_frame_of_the_window_again() {
    let (mut source, mut target) = (frames(150), Picky::default());
    // A window, and its flush twice.
    target.fails = std::iter::repeat_n(false, 64)
        .chain([true])
        .cycle()
        .take(130)
        .collect();
    let counted = deliver(&mut source, &mut target);
    assert_eq!(target.has.len(), 150);
    assert_eq!(counted.sent_rows, 300);
}
