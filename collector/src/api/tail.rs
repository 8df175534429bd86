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

use super::params::TailParams;
use super::problem::Problem;
use super::turns::Turn;
use super::{TAILS, TAILS_OF_ONE};

/// JSON lines.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// Pieces of text that may wait for the network.
const WAITING: usize = 16;
/// An empty line says so often that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
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
        all_observations: params.all_observations,
    };
    let work = Work {
        tail: engine.tail(&request, limits).await?,
        ends: Instant::now() + Duration::from_secs(params.seconds.unwrap_or(LONGEST)),
        wrote: Instant::now(),
        lines,
        missed: 0,
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
    /// How many were left out counts those of all namespaces.
    sees_everything: bool,
}

/// Nobody reads any more, or there is nothing to read any more.
struct Over;

impl Work {
    fn run(mut self) {
        // Headers go out with the first text.
        let mut over = self.say("\n".to_owned()).is_err();
        while !over && Instant::now() < self.ends {
            over = self.step().is_err();
        }
    }

    /// Waits for records and writes those that fit.
    fn step(&mut self) -> Result<(), Over> {
        let next = [self.ends, self.wrote + HEARTBEAT].into_iter().min();
        let wait = next.map_or(HEARTBEAT, |next| next.saturating_duration_since(Instant::now()));
        let records = self.tail.next(wait).map_err(|end| {
            if let TailEnd::Failed(error) = end {
                tracing::error!(%error, "a tail failed");
            }
            Over
        })?;
        let mut text = self.note_of_missed();
        for row in records.iter().flat_map(AnswerRows::json) {
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
        format!("{}\n", json!({"note": note}))
    }

    fn say(&mut self, text: String) -> Result<(), Over> {
        self.wrote = Instant::now();
        self.lines.blocking_send(text).map_err(|_| Over)
    }
}
