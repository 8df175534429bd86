//! Records as they arrive, as lines of JSON. A thread a tail lets its filter choose and
//! writes; it ends when nobody reads, when its time is over or when the store is closed. Who reads slowly misses records and is
//! told how many; the store never waits.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use serde_json::json;
use tokio::sync::mpsc;
use weir_query::{AnswerRows, Engine, Limits, RecordTail, Scope, TailEnd, TailRequest};

use super::offer::offer;
use super::params::TailParams;
use super::problem::Problem;
use super::suggest::Asked;
use super::turns::Turn;
use super::{TAILS, TAILS_OF_ONE};

/// JSON lines.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// Pieces of text that may wait for the network.
const WAITING: usize = 16;
/// An empty line says so often that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a piece may wait for who reads: its thread is one of few.
const PATIENCE: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
/// How long a tail goes on when nobody says: then access is looked at again.
pub const LONGEST: u64 = 600;

/// Why another tail is refused.
pub fn too_many() -> Problem {
    Problem::busy(format!(
        "{TAILS} tails run already, or {TAILS_OF_ONE} of yours; try again"
    ))
}

/// The lines of one tail, whose turn it is.
///
/// # Errors
/// The filter or a column is wrong.
pub async fn follow(
    engine: &dyn Engine,
    params: TailParams,
    limits: &Limits,
    turn: Turn,
) -> Result<impl Stream<Item = io::Result<String>> + use<>, Problem> {
    let (lines, written) = mpsc::channel(WAITING);
    let request = TailRequest {
        filter: params.filter,
        columns: params.columns.0,
        both_directions: params.both_directions,
        all_observations: params.all_observations,
        resume: params.resume,
    };
    let asked = Asked {
        filter: request.filter.clone(),
        fields: vec![("columns", request.columns.clone())],
    };
    let tail = engine.tail(&request, limits).await;
    let work = Work {
        tail: tail.map_err(|error| Problem::of(error, &asked))?,
        ends: Instant::now() + Duration::from_secs(params.seconds.unwrap_or(LONGEST)),
        wrote: Instant::now(),
        lines,
        missed: 0,
        limit: params.limit.map(RateLimit::new),
        says_marks: params.marks,
        sees_everything: limits.scope == Scope::All,
    };
    let run = move || {
        let _turn = turn;
        work.run();
    };
    let spawned = thread::Builder::new().name("tail".to_owned()).spawn(run);
    spawned.map_err(|error| Problem::unavailable(format!("no thread for a tail: {error}")))?;
    Ok(stream::unfold(written, async |mut written| {
        let text = written.recv().await?;
        Some((Ok(text), written))
    }))
}

struct Work {
    tail: Box<dyn RecordTail>,
    /// When something was written last.
    wrote: Instant,
    ends: Instant,
    lines: mpsc::Sender<String>,
    /// Records left out so far, as far as was told.
    missed: u64,
    limit: Option<RateLimit>,
    says_marks: bool,
    /// How many were left out counts those of all namespaces.
    sees_everything: bool,
}

/// Nobody reads any more, or there is nothing to read any more.
struct Over;

impl Work {
    fn run(mut self) {
        // Headers go out with the first text.
        let mut first = "\n".to_owned();
        if self.tail.has_gap() {
            let message = "what came since the mark is no longer there, and left out here";
            first += &note(json!({"kind": "gap", "message": message}));
        }
        let mut over = self.say(first).is_err();
        while !over && Instant::now() < self.ends {
            over = self.step().is_err();
        }
        if let Some(rest) = self.limit.as_mut().and_then(RateLimit::rest) {
            let _ = self.say(rest);
        }
    }

    /// Waits for records and writes those that fit.
    fn step(&mut self) -> Result<(), Over> {
        let second = self.limit.as_ref().and_then(RateLimit::ends);
        let next = [self.ends, self.wrote + HEARTBEAT]
            .into_iter()
            .chain(second)
            .min();
        let wait = next.map_or(HEARTBEAT, |next| next.saturating_duration_since(Instant::now()));
        let records = self.tail.next(wait).map_err(|end| {
            if let TailEnd::Failed(error) = end {
                tracing::error!(%error, "a tail failed");
            }
            Over
        })?;
        let mut text = self.note_of_missed();
        let now = Instant::now();
        text.extend(self.limit.as_mut().and_then(|limit| limit.begin(now)));
        for row in records.iter().flat_map(AnswerRows::json) {
            if self.limit.as_mut().is_some_and(|limit| !limit.take()) {
                continue;
            }
            text.push_str(&serde_json::Value::Object(row).to_string());
            text.push('\n');
        }
        match text.is_empty() {
            true if self.wrote.elapsed() < HEARTBEAT => Ok(()),
            true => self.say("\n".to_owned()),
            false => self.say(text),
        }
    }

    fn note_of_missed(&mut self) -> String {
        let missed = self.tail.missed();
        let fresh = missed - std::mem::replace(&mut self.missed, missed);
        if fresh == 0 {
            return String::new();
        }
        let left_out = "came faster than they were read and are left out here";
        let note = match self.sees_everything {
            true => {
                json!({"kind": "missed", "records": fresh, "message": format!("{fresh} records {left_out}")})
            }
            false => {
                json!({"kind": "missed", "message": format!("records {left_out}, perhaps none of yours")})
            }
        };
        self::note(note)
    }

    /// Sends text, and where to go on behind it.
    fn say(&mut self, mut text: String) -> Result<(), Over> {
        if self.says_marks {
            text += &format!("{}\n", json!({"mark": self.tail.mark()}));
        }
        self.wrote = Instant::now();
        offer(&self.lines, text, PATIENCE, self.ends + PATIENCE).map_err(|_| Over)
    }
}

fn note(note: serde_json::Value) -> String {
    format!("{}\n", json!({"note": note}))
}

/// So many records a second, and how many more there were. It reads no clock.
#[derive(Debug)]
struct RateLimit {
    a_second: u64,
    /// When the second began in which records are counted.
    began: Option<Instant>,
    shown: u64,
    rest: u64,
}

impl RateLimit {
    const fn new(a_second: u64) -> Self {
        Self {
            a_second,
            began: None,
            shown: 0,
            rest: 0,
        }
    }

    /// Begins another second when this one is over; then with what there is to say of it.
    fn begin(&mut self, now: Instant) -> Option<String> {
        let is_over = |began: Instant| now.saturating_duration_since(began) >= SECOND;
        if self.began.is_some_and(|began| !is_over(began)) {
            return None;
        }
        let rest = self.rest();
        *self = Self {
            began: Some(now),
            ..Self::new(self.a_second)
        };
        rest
    }

    /// Whether one more record is shown.
    const fn take(&mut self) -> bool {
        let shows = self.shown < self.a_second;
        match shows {
            true => self.shown += 1,
            false => self.rest += 1,
        }
        shows
    }

    /// When there is something to say, if records were left out.
    fn ends(&self) -> Option<Instant> {
        self.began.filter(|_| self.rest > 0).map(|began| began + SECOND)
    }

    /// How many more there were, once.
    fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.rest);
        let message = format!(
            "{rest} records more than {} a second are left out here",
            self.a_second
        );
        (rest > 0).then(|| note(json!({"kind": "limited", "records": rest, "message": message})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_than_so_many_a_second_is_counted_and_said_when_the_second_is_over() {
        let (mut limit, now) = (RateLimit::new(2), Instant::now());
        let takes = |limit: &mut RateLimit, records: u64| (0..records).filter(|_| limit.take()).count();
        assert_eq!(limit.begin(now), None);
        assert_eq!(takes(&mut limit, 5), 2);
        assert_eq!(limit.begin(now + SECOND / 2), None);
        assert_eq!(takes(&mut limit, 1), 0);
        assert_eq!(limit.ends(), Some(now + SECOND));
        let said = limit.begin(now + SECOND).unwrap();
        assert!(said.contains("\"records\":4") && said.ends_with('\n'), "{said}");
        assert_eq!(takes(&mut limit, 1), 1);
        assert_eq!((limit.ends(), limit.begin(now + 3 * SECOND)), (None, None));
    }
}
