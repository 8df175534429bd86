//! Records as they arrive, as lines of JSON. A thread a tail takes them from the
//! store, lets the filter choose and writes; it ends when nobody reads, when its
//! time is over or when the store is closed. Who reads slowly misses records and is
//! told how many; the store never waits.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use weir_query::{Filter, Scope, compile, output};
use weir_store::{Closed, Reader, Tail};

use super::params::TailParams;
use super::problem::Problem;

/// JSON lines.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// Pieces of text that may wait for the network.
const WAITING: usize = 16;
/// An empty line says so often that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a tail goes on when nobody says: then access is looked at again.
pub const LONGEST: u64 = 600;

/// The lines of one tail.
///
/// # Errors
/// The filter or a column is wrong, or too many tails run.
pub fn follow(
    reader: &Reader,
    params: TailParams,
    scope: &Scope,
    turns: Arc<Semaphore>,
) -> Result<impl Stream<Item = io::Result<String>> + use<>, Problem> {
    let filter = compile(&params.filter).map_err(weir_query::QueryError::from)?;
    let turn = turns.try_acquire_owned();
    let turn = turn.map_err(|_| Problem::busy(format!("{} tails run already; try again", super::TAILS)))?;
    let (lines, written) = mpsc::channel(WAITING);
    let work = Work {
        tail: reader.tail(),
        reader: reader.clone(),
        filter: filter.within(scope),
        columns: params.columns.0,
        all: params.all_observations,
        ends: Instant::now() + Duration::from_secs(params.seconds.unwrap_or(LONGEST)),
        lines,
        missed: 0,
    };
    // A wrong name of a column is told before the answer begins.
    work.check()?;
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
    tail: Tail,
    reader: Reader,
    filter: Filter,
    columns: Vec<String>,
    all: bool,
    ends: Instant,
    lines: mpsc::Sender<String>,
    /// Records left out so far, as far as was told.
    missed: u64,
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
        let left = self.ends.saturating_duration_since(Instant::now());
        let Some(rows) = self.tail.next(left.min(HEARTBEAT)).map_err(|Closed| Over)? else {
            return self.say("\n".to_owned());
        };
        let identities = self.reader.identities();
        let chosen = weir_query::tail(&rows, &identities, &self.filter, &self.columns, self.all);
        let chosen = chosen.map_err(|error| {
            tracing::error!(%error, "a tail failed");
            Over
        })?;
        let mut text = self.note_of_missed();
        for row in output::json_rows(&chosen) {
            text.push_str(&serde_json::Value::Object(row).to_string());
            text.push('\n');
        }
        if text.is_empty() { Ok(()) } else { self.say(text) }
    }

    fn note_of_missed(&mut self) -> String {
        let missed = self.tail.missed();
        let fresh = missed - std::mem::replace(&mut self.missed, missed);
        if fresh == 0 {
            return String::new();
        }
        let message = format!("{fresh} records came faster than they were read and are left out here");
        format!(
            "{}\n",
            json!({"note": {"kind": "missed", "records": fresh, "message": message}})
        )
    }

    fn say(&self, text: String) -> Result<(), Over> {
        self.lines.blocking_send(text).map_err(|_| Over)
    }

    fn check(&self) -> Result<(), Problem> {
        let nothing = weir_store::schema::facts();
        let rows = arrow::array::RecordBatch::new_empty(nothing);
        let identities = self.reader.identities();
        weir_query::tail(&rows, &identities, &self.filter, &self.columns, self.all)?;
        Ok(())
    }
}
