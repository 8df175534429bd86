//! What Weir's collector has received from each node, as it says when it is asked, and what
//! follows from it. Holds what was said last and what has to be remembered between two
//! answers; no I/O and no clock.
//!
//! Four clocks may differ, and no conclusion rests on two that do:
//!
//! | what | by the clock of |
//! |---|---|
//! | how old a datagram is, since when the collector listens | the collector |
//! | for how long the controller has seen a node export what it is told to | the controller |
//! | since when a spec is written | the API server; held against the controller's, but only to tell what came of an earlier spec, and never for less than the controller has seen |
//! | when a node's conditions turned | the node: not used |
//!
//! What a collector says is not believed beyond that: nodes that nobody wants are forgotten,
//! and a time in the future is now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::Protocol;

use crate::collector::ExpectedFormat;
use crate::moment::earlier;

mod answer;
mod loss;

pub use answer::{Answer, NodeAnswer, ReceivedFormat};
pub use loss::LossClass;
use loss::LossWindow;

/// The collector is not said to be silent for one answer that failed.
const FAILURES: u32 = 2;
/// How long a node may send nothing after a change before that is told.
const PATIENCE: Duration = Duration::from_secs(600);
/// A datagram proves for so long that a node's datagrams arrive.
const PROOF: Duration = Duration::from_secs(3_600);
/// A datagram with the mark of a node from another address counts for so long.
const ELSEWHERE: Duration = Duration::from_secs(600);
/// What came so shortly before a spec was in force may be of it: the two clocks differ in
/// what they call now.
const SLACK: Duration = Duration::from_secs(5);

/// What was said of all nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receptions {
    nodes: BTreeMap<String, NodeMemory>,
    /// Nodes that export as they are told to; `None`: nobody has looked yet.
    settled: Option<BTreeMap<String, Settled>>,
    /// The times of the last answer.
    answered: Option<Answered>,
    failures: u32,
    /// Why the last answer failed.
    failure: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Answered {
    /// By the collector's clock.
    time: Timestamp,
    /// Since when the collector listens, by its own clock.
    since: Timestamp,
    /// By our own.
    at: Timestamp,
}

/// Since when the controller sees a node export what it is told to, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Settled {
    generation: Option<i64>,
    since: Timestamp,
    /// It was so when the controller looked first, and may have been for long.
    found: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct NodeMemory {
    formats: BTreeMap<Protocol, FormatMemory>,
    unproven: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct FormatMemory {
    /// By the collector's clock.
    last: Option<Timestamp>,
    loss: LossWindow,
}

/// The spec of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecInForce {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// When it was written, by the clock of the API server.
    pub written: Timestamp,
}

/// Whether what one node sends is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Received(LossClass),
    /// Something leaves the node and nothing comes, for about so long.
    Missing(Silence),
    /// Nothing has come for about so long, or since its spec is in force, and nobody knows
    /// whether it sends.
    Silent(Silence),
    /// Nothing has come yet, and that is no wonder.
    Waiting,
}

/// For how long nothing has come, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Silence {
    /// Less than an hour.
    Minutes,
    /// Less than a day.
    Hours,
    /// A day or more.
    Days,
}

impl Silence {
    fn of(time: Duration) -> Self {
        match time.as_secs() {
            0..3_600 => Self::Minutes,
            3_600..86_400 => Self::Hours,
            _ => Self::Days,
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minutes => "for minutes",
            Self::Hours => "for over an hour",
            Self::Days => "for over a day",
        }
    }
}

impl Receptions {
    /// The collector answered; it is now `at` by our own clock. Nodes that are not wanted
    /// are forgotten.
    pub fn answered(&mut self, answer: Answer, is_wanted: impl Fn(&str) -> bool, at: Timestamp) {
        let time = answer.time;
        let since = answer.since.min(time);
        if let Some(before) = self.answered
            && (since != before.since || time < before.time)
        {
            self.follow_on(before, time, passed(before.at, at));
        }
        self.nodes.retain(|node, _| is_wanted(node));
        for said in answer.nodes {
            if !is_wanted(&said.node) {
                continue;
            }
            let node = self.nodes.entry(said.node).or_default();
            node.unproven = said.unproven.map(|last| last.min(time)).max(node.unproven);
            for format in said.formats {
                let memory = node.formats.entry(format.protocol).or_default();
                // A collector that started anew knows nothing of before.
                memory.last = format.last.map(|last| last.min(time)).max(memory.last);
                memory.loss.saw(format.sequenced, format.lost, time);
            }
        }
        self.answered = Some(Answered { time, since, at });
        (self.failures, self.failure) = (0, None);
    }

    /// Another collector answers than before, or its clock was set: so much time after the last
    /// answer it is `time` there. How long ago a datagram came is known all the same; moments and
    /// counters of the one before mean nothing to this one.
    fn follow_on(&mut self, before: Answered, time: Timestamp, between: Duration) {
        let moved = |last: Timestamp| earlier(time, passed(last, before.time) + between);
        for node in self.nodes.values_mut() {
            node.unproven = node.unproven.map(moved);
            for memory in node.formats.values_mut() {
                memory.last = memory.last.map(moved);
                memory.loss.begin_anew();
            }
        }
    }

    /// There was no answer of use.
    pub fn failed(&mut self, why: String) {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(why);
    }

    /// These nodes, with the generation of their spec, export as they are told to; it is now
    /// `now` by our own clock.
    pub fn settled(&mut self, nodes: Vec<(String, Option<i64>)>, now: Timestamp) {
        let before = self.settled.take();
        let found = before.is_none();
        let before = before.unwrap_or_default();
        let settled = nodes.into_iter().map(|(node, generation)| {
            let known = before.get(&node).filter(|known| known.generation == generation);
            let fresh = Settled {
                generation,
                since: now,
                found,
            };
            (node, known.copied().unwrap_or(fresh))
        });
        self.settled = Some(settled.collect());
    }

    /// Nodes whose marks came of late from an address that is not theirs.
    pub fn elsewhere(&self) -> BTreeSet<&str> {
        let Some(answered) = self.answered else {
            return BTreeSet::new();
        };
        let fresh = |memory: &NodeMemory| {
            memory
                .unproven
                .is_some_and(|last| passed(last, answered.time) < ELSEWHERE)
        };
        let nodes = self.nodes.iter().filter(|(_, memory)| fresh(memory));
        nodes.map(|(node, _)| node.as_str()).collect()
    }

    /// Nobody asks any longer.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Why nothing is known; `None`: something is. `Some("")`: nothing was said yet.
    pub fn unknown(&self) -> Option<&str> {
        match (&self.failure, self.answered) {
            (Some(why), None) => Some(why),
            (Some(why), Some(_)) if self.failures >= FAILURES => Some(why),
            (None, None) => Some(""),
            _ => None,
        }
    }

    /// Whether what a node sends is received; `None`: nobody has said anything yet.
    pub fn verdict(&self, node: &str, expected: &[ExpectedFormat], spec: SpecInForce) -> Option<Verdict> {
        let answered = self.answered?;
        let (standing, seen) = self.standing(node, spec, answered.at);
        let memory = self.nodes.get(node);
        let formats = expected.iter().map(|format| {
            let known = memory.and_then(|memory| memory.formats.get(&format.protocol));
            let age = known
                .and_then(|known| known.last)
                .map(|last| passed(last, answered.time));
            Format {
                certain_within: format.certain_within,
                // What came of an earlier spec proves nothing of this one.
                age: age.filter(|age| *age <= standing + SLACK),
                loss: known.map_or(LossClass::Little, |known| known.loss.class()),
            }
        });
        let formats: Vec<Format> = formats.collect();
        Some(conclude(
            &formats,
            passed(answered.since, answered.time).min(seen),
        ))
    }

    /// For how long a node's spec is in force at the most, and for how long that was seen.
    fn standing(&self, node: &str, spec: SpecInForce, now: Timestamp) -> (Duration, Duration) {
        let standing = passed(spec.written, now);
        let Some(settled) = &self.settled else {
            return (standing, standing);
        };
        let known = settled.get(node);
        let Some(known) = known.filter(|known| known.generation == spec.generation) else {
            return (standing, Duration::ZERO);
        };
        let seen = passed(known.since, now);
        let standing = standing.max(seen);
        (standing, if known.found { standing } else { seen })
    }
}

/// What is known of a format that a node is to send.
struct Format {
    certain_within: Option<Duration>,
    /// Of the newest datagram of this spec.
    age: Option<Duration>,
    loss: LossClass,
}

/// `listening`: how long datagrams would have been seen.
fn conclude(formats: &[Format], listening: Duration) -> Verdict {
    let overdue = formats.iter().filter_map(|format| {
        let silence = format.age.unwrap_or(listening);
        (silence >= format.certain_within?).then_some((silence, format.certain_within?))
    });
    let overdue: Vec<_> = overdue.collect();
    let missing = overdue.iter().filter(|(_, limit)| listening >= *limit);
    if let Some(silence) = missing.map(|(silence, _)| *silence).max() {
        return Verdict::Missing(Silence::of(silence));
    }
    let newest = formats.iter().filter_map(|format| format.age).min();
    let loss = formats
        .iter()
        .filter(|format| format.age.is_some())
        .map(|format| format.loss)
        .max();
    match (newest, loss) {
        (Some(age), Some(loss)) if age < PROOF && overdue.is_empty() => Verdict::Received(loss),
        _ if listening < PATIENCE => Verdict::Waiting,
        (Some(age), _) => Verdict::Silent(Silence::of(age)),
        (None, _) => Verdict::Silent(Silence::of(listening)),
    }
}

/// The time between two moments of one clock; none, where the later comes first.
fn passed(since: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
