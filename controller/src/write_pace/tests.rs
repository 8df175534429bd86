use super::*;
use crate::decide::{Decision, DesiredExport};
use crate::write_queue::WriteQueue;
use std::collections::VecDeque;

const NODES: usize = 1000;
/// An answer of the API server takes so long.
const ANSWER: Duration = Duration::from_millis(5);

fn decision(nodes: usize, uid: &str) -> Decision {
    let names: Vec<String> = (0..nodes).map(|i| format!("node-{i:04}")).collect();
    let wanted = DesiredExport {
        node_uid: uid.to_owned(),
        spec: Default::default(),
        mark: None,
    };
    Decision {
        wanted: names.iter().map(|name| (name.clone(), wanted.clone())).collect(),
        applies: names,
        ..Default::default()
    }
}

fn number(write: &Write) -> usize {
    let Subject::Export(name) = write.subject() else {
        panic!("a node")
    };
    name[5..].parse().unwrap()
}

/// A queue and an API server on a clock of their own.
struct Simulation {
    queue: WriteQueue,
    start: Instant,
    now: Instant,
    answers: VecDeque<(Instant, Write)>,
    /// Seconds at which writes began, and whether they were refused.
    begun: Vec<(u64, bool)>,
}

impl Simulation {
    fn new(decision: &Decision) -> Self {
        let now = Instant::now();
        let mut queue = WriteQueue::default();
        queue.replace(decision);
        Self {
            queue,
            start: now,
            now,
            answers: VecDeque::new(),
            begun: Vec::new(),
        }
    }

    fn seconds(&self) -> u64 {
        (self.now - self.start).as_secs()
    }

    /// Runs for so many seconds against a server that refuses by node and second.
    fn run(&mut self, seconds: u64, refuses: impl Fn(usize, u64) -> bool) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            while let Some(write) = self.queue.take(self.now) {
                self.begun
                    .push((self.seconds(), refuses(number(&write), self.seconds())));
                self.answers.push_back((self.now + ANSWER, write));
            }
            let answer = self.answers.front().map(|(at, _)| *at);
            let next = [answer, self.queue.next_due(self.now)]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next.filter(|at| *at < end) else {
                break;
            };
            self.now = self.now.max(next);
            if answer.is_some_and(|at| at <= self.now) {
                let (_, write) = self.answers.pop_front().unwrap();
                match refuses(number(&write), self.seconds()) {
                    true => self.queue.failed(&write, "refused".to_owned(), self.now),
                    false => self.queue.succeeded(&write, self.now),
                }
            }
        }
        self.now = end;
    }

    /// Writes begun in each second that were refused.
    fn refused(&self) -> BTreeMap<u64, usize> {
        let mut by_second = BTreeMap::new();
        for (second, _) in self.begun.iter().filter(|(_, refused)| *refused) {
            *by_second.entry(*second).or_default() += 1;
        }
        by_second
    }

    fn busiest(&self, from: u64) -> usize {
        self.refused()
            .range(from..)
            .map(|(_, count)| *count)
            .max()
            .unwrap_or(0)
    }
}

#[test]
fn what_works_goes_at_full_speed_and_then_there_is_rest() {
    let mut simulation = Simulation::new(&decision(NODES, "u"));
    simulation.run(2, |_, _| false);
    assert_eq!(simulation.begun.len(), NODES);
    simulation.run(600, |_, _| false);
    assert_eq!(simulation.begun.len(), NODES);
}

#[test]
fn a_server_that_refuses_everything_gets_twenty_writes_a_second_at_most() {
    let mut simulation = Simulation::new(&decision(NODES, "u"));
    simulation.run(1800, |_, _| true);
    assert!(simulation.busiest(0) <= 20, "{:?}", simulation.refused());
    // Each was tried, and in the end only a few are.
    assert!(simulation.begun.len() >= NODES);
    assert!(simulation.busiest(1500) <= 4, "{:?}", simulation.refused());
}

#[test]
fn when_the_server_comes_back_all_nodes_are_written_soon() {
    let mut simulation = Simulation::new(&decision(NODES, "u"));
    simulation.run(660, |_, second| second < 600);
    assert_eq!(simulation.queue.next_due(simulation.now), None, "nothing waits");
    assert_eq!(simulation.queue.failing(), 0);
}

#[test]
fn nodes_that_are_refused_do_not_hold_up_the_others_and_are_tried_ever_more_rarely() {
    let refuses = |node: usize, _: u64| node.is_multiple_of(2);
    let mut simulation = Simulation::new(&decision(NODES, "u"));
    simulation.run(1800, refuses);
    assert_eq!(simulation.queue.failing(), NODES / 2);
    assert!(simulation.busiest(60) <= 20, "{:?}", simulation.refused());
    let began = simulation.begun.len();
    simulation.queue.replace(&decision(NODES, "next"));
    simulation.run(120, refuses);
    let written = simulation.begun[began..]
        .iter()
        .filter(|(_, refused)| !refused)
        .count();
    assert_eq!(written, NODES / 2);
    assert!(simulation.busiest(1800) <= 20, "{:?}", simulation.refused());
}

#[test]
fn a_server_that_fails_every_other_minute_is_not_stormed() {
    let mut simulation = Simulation::new(&decision(NODES, "u"));
    for round in 0..3 {
        simulation.queue.replace(&decision(NODES, &round.to_string()));
        simulation.run(120, |_, second| (second / 60).is_multiple_of(2));
    }
    assert!(simulation.busiest(0) <= 20, "{:?}", simulation.refused());
}

#[test]
fn somebody_who_writes_the_opposite_is_answered_ever_more_rarely() {
    let one = decision(1, "u");
    let mut simulation = Simulation::new(&one);
    for _ in 0..6000 {
        // The object was changed again: it is decided again, ten times a second.
        simulation.queue.replace(&one);
        let end = simulation.now + Duration::from_millis(100);
        simulation.run(0, |_, _| false);
        while let Some((_, write)) = simulation.answers.pop_front() {
            simulation.queue.succeeded(&write, simulation.now);
        }
        simulation.now = end;
    }
    assert!(
        simulation.begun.len() < 40,
        "{} writes in ten minutes",
        simulation.begun.len()
    );
}

#[test]
fn what_tells_of_the_failure_does_not_stand_behind_the_nodes() {
    let mut simulation = Simulation::new(&decision(NODES, "u"));
    simulation.run(1, |_, _| true);
    let report = Write::Report {
        uid: None,
        conditions: vec![],
        notices: vec![],
    };
    simulation.queue.add(report.clone());
    assert_eq!(simulation.queue.next_due(simulation.now), Some(simulation.now));
    let begun = std::iter::from_fn(|| simulation.queue.take(simulation.now));
    assert!(begun.collect::<Vec<_>>().contains(&report));
}

#[test]
fn an_error_is_told_when_it_lasts() {
    let mut pace = WritePace::default();
    let (subject, now) = (Subject::Export("node-0000".to_owned()), Instant::now());
    let write = Write::Delete("node-0000".to_owned(), "u".to_owned());
    for _ in 0..CHANCES {
        pace.failed(&write, "no".to_owned(), now);
        assert!(pace.has_failed(&subject) && pace.error(&subject).is_none());
    }
    pace.failed(&write, "no".to_owned(), now);
    assert_eq!(pace.error(&subject), Some("no"));
    pace.succeeded(&write, now);
    assert_eq!(pace.failing(), 0);
    // Where everything fails, none is a chance.
    for node in 0..IN_A_ROW {
        let write = Write::Delete(format!("node-{node:04}"), "u".to_owned());
        pace.failed(&write, "none".to_owned(), now);
    }
    assert_eq!(pace.error(&subject), Some("none"));
}

#[test]
fn reports_come_at_once_and_then_one_in_five_seconds() {
    let mut pace = WritePace::default();
    let start = Instant::now();
    let report = |n: i64| Write::Report {
        uid: Some(n.to_string()),
        conditions: vec![],
        notices: vec![],
    };
    let (mut now, mut begun) = (start, 0);
    while now < start + Duration::from_secs(100) {
        if pace
            .due(&Subject::Source, &report(begun))
            .is_none_or(|due| due <= now)
        {
            pace.begin(&report(begun), now);
            pace.succeeded(&report(begun), now);
            begun += 1;
        }
        now += Duration::from_millis(100);
    }
    assert!((24..=25).contains(&begun), "{begun}");
    // After a pause there is room for a few at once again.
    pace.begin(&report(-1), now + Duration::from_secs(60));
    assert_eq!(pace.due(&Subject::Source, &report(-2)), None);
}
