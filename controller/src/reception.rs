//! What Weir's collector has received from each node, as it says when it is asked, and what
//! follows from it. Holds what was said last and what has to be remembered between two
//! answers; no I/O and no clock.
//!
//! Ages are told by the collector's clock alone, and how long a spec is in force by that
//! of the API server: the two are never compared. What a collector says is not believed
//! beyond that: nodes that nobody wants are forgotten, and a time in the future is now.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::Protocol;

use crate::collector::ExpectedFormat;

mod answer;
mod loss;

pub use answer::{Answer, NodeAnswer, ReceivedFormat};
pub use loss::LossClass;
use loss::LossWindow;

/// The collector is not said to be silent for one answer that failed.
const FAILURES: u32 = 2;
/// How long a node may send nothing after a change before that is told.
const PATIENCE: Duration = Duration::from_secs(600);
/// A datagram with the mark of a node from another address counts for so long.
const UNPROVEN: Duration = Duration::from_secs(600);
/// What came so shortly before a spec was in force may be of it: the two clocks differ in
/// what they call now.
const SLACK: Duration = Duration::from_secs(5);

/// What was said of all nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Receptions {
    nodes: BTreeMap<String, NodeMemory>,
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

/// Whether what one node sends is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Received(LossClass),
    /// Something leaves the node and nothing comes, for about so long.
    Missing(Silence),
    /// It comes from an address that is not the node's.
    Unproven,
    /// Nothing has come since its spec is in force, and nobody knows whether it sends.
    Silent,
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
        if self.answered.is_some_and(|before| time < before.time) {
            // Another clock: moments of the one before mean nothing.
            self.nodes.clear();
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
        self.answered = Some(Answered {
            time,
            since: answer.since.min(time),
            at,
        });
        (self.failures, self.failure) = (0, None);
    }

    /// There was no answer of use.
    pub fn failed(&mut self, why: String) {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(why);
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

    /// Whether what a node sends is received, whose spec is in force since then by the
    /// clock of the API server; `None`: nobody has said anything yet.
    pub fn verdict(&self, node: &str, expected: &[ExpectedFormat], in_force: Timestamp) -> Option<Verdict> {
        let answered = self.answered?;
        let standing = passed(in_force, answered.at);
        let memory = self.nodes.get(node);
        let ages = expected.iter().map(|format| {
            let known = memory.and_then(|memory| memory.formats.get(&format.protocol));
            let last = known.and_then(|known| known.last);
            let age = last.map(|last| passed(last, answered.time));
            // What came of an earlier spec proves nothing of this one.
            let age = age.filter(|age| *age <= standing + SLACK);
            (
                format,
                age,
                known.map_or(LossClass::Little, |known| known.loss.class()),
            )
        });
        let ages: Vec<_> = ages.collect();
        let listening = passed(answered.since, answered.time).min(standing);
        let silent = |age: &Option<Duration>| age.unwrap_or(listening);
        let missing = ages.iter().filter(|(format, age, _)| {
            let limit = format.certain_within;
            limit.is_some_and(|limit| silent(age) >= limit && listening >= limit)
        });
        let missing = missing.map(|(_, age, _)| silent(age)).max();
        let received = ages.iter().filter(|(_, age, _)| age.is_some());
        let loss = received.map(|(_, _, loss)| *loss).max();
        let unproven = memory.and_then(|memory| memory.unproven);
        let is_unproven = unproven.is_some_and(|last| passed(last, answered.time) < UNPROVEN);
        Some(match (missing, loss) {
            (Some(_), _) | (None, None) if is_unproven => Verdict::Unproven,
            (Some(silence), _) => Verdict::Missing(Silence::of(silence)),
            (None, Some(loss)) => Verdict::Received(loss),
            (None, None) if listening < PATIENCE => Verdict::Waiting,
            (None, None) => Verdict::Silent,
        })
    }
}

/// The time between two moments of one clock; none, where the later comes first.
fn passed(since: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
