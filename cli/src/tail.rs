//! Records as they arrive at a collector. A tail ends now and then, so that the collector
//! looks again at who asks. It is asked for anew then, behind the mark that it sent last;
//! what lies too far back for that, or where the collector knows no marks, comes out of the
//! store. Each record comes once.

mod recent;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::future::FutureExt;
use futures::io::{AsyncBufRead, AsyncBufReadExt, Lines};
use futures::stream::StreamExt;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use weir_collector::api::answer::{FlowsAnswer, Row};
use weir_collector::api::params::MOST_ROWS;
use weir_collector::api::problem::Problem;
use weir_query::{FlowsRequest, Order, Since};

pub use self::recent::Recent;
use self::recent::{Seen, take};
use crate::backoff::Backoff;
use crate::server::{NoAnswer, Pairs, Server};
use crate::source::{self, flows_pairs};

/// How long before a tail began those records may have arrived that it brings, and how long
/// before the last one ended those that it did not.
const OVERLAP: Duration = Duration::from_secs(10);
/// A tail says at least every five seconds that it lives.
const SILENCE: Duration = Duration::from_secs(30);
/// A collector gives up on a page after a minute.
const PATIENCE: Duration = Duration::from_secs(75);
/// A tail that ends sooner was no good.
const SHORT: Duration = Duration::from_secs(5);
/// Pages that are read of what was stored between two tails, at most.
const CATCH_UP: usize = 20;
/// Records behind a mark that are kept, at most: a mark comes after each piece.
const UNMARKED: usize = 100_000;
/// Without it two records may look alike.
const TIME: &str = "time";

/// What a tail brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// A record.
    Record(Row),
    /// Nothing for some seconds, but the connection lives.
    Silence,
    /// Records that were left out here.
    Missed {
        /// How many; none: that is not told.
        records: Option<u64>,
        /// The same for people.
        message: String,
    },
}

/// The records of a collector as they arrive.
pub struct Tail<'a> {
    server: &'a Server,
    /// Which ones: the filter, the fields, and whether all observations are wanted.
    request: FlowsRequest,
    lines: Lines<Box<dyn AsyncBufRead + Send + Unpin>>,
    /// When these lines began.
    begun: Instant,
    backoff: Backoff,
    recent: &'a mut Recent,
    /// `time` is asked for, and was not wanted.
    strips_time: bool,
    /// What came after the last mark is gone from the tail; the store may have it.
    has_gap: bool,
}

impl<'a> Tail<'a> {
    /// Once it has begun, what arrives is in it. What was stored since the newest record of
    /// `recent` comes first.
    ///
    /// # Errors
    /// A problem, or nobody answers.
    pub async fn begin(server: &'a Server, request: &FlowsRequest, recent: &'a mut Recent) -> Result<Self> {
        let mut request = request.clone();
        let strips_time = !request.columns.is_empty() && !request.columns.iter().any(|name| name == TIME);
        if strips_time {
            request.columns.push(TIME.to_owned());
        }
        let mut tail = Self {
            server,
            lines: lines(server, &request, recent).await?,
            request,
            begun: Instant::now(),
            backoff: Backoff::default(),
            recent,
            strips_time,
            has_gap: false,
        };
        tail.go_on().await?;
        Ok(tail)
    }

    /// Records that were there before, as a page has them: the tail does not bring them again.
    pub fn shown(&mut self, rows: &mut [Row]) {
        for row in rows {
            let seen = Seen::of(row);
            self.recent.show(seen);
            self.recent.expect(seen);
            self.strip(row);
        }
    }

    /// The fields to ask pages for that are given to [`Self::shown`].
    pub fn columns(&self) -> &[String] {
        &self.request.columns
    }

    /// What arrives next. A tail that ended is begun anew.
    ///
    /// # Errors
    /// The collector is gone, or refuses another tail.
    pub async fn next(&mut self) -> Result<Arrival> {
        loop {
            if let Some(first) = self.recent.first.pop_front() {
                return Ok(first);
            }
            if std::mem::take(&mut self.has_gap) {
                self.catch_up().await?;
                continue;
            }
            let line = timeout(SILENCE, self.lines.next()).await;
            match line.with_context(|| NoAnswer(format!("{} is silent", self.server)))? {
                Some(line) => {
                    let line = line.with_context(|| NoAnswer(format!("{} is gone", self.server)))?;
                    if let Some(arrival) = self.read(&line)? {
                        return Ok(arrival);
                    }
                }
                None => self.begin_anew().await?,
            }
        }
    }

    /// What is there without waiting; none: nothing is.
    pub fn next_now(&mut self) -> Option<Result<Arrival>> {
        if let Some(first) = self.recent.first.pop_front() {
            return Some(Ok(first));
        }
        while !self.has_gap
            && let Some(Some(line)) = self.lines.next().now_or_never()
        {
            let read = line
                .context("the connection broke")
                .and_then(|line| self.read(&line));
            match read.transpose() {
                None | Some(Ok(Arrival::Silence)) => {}
                Some(found) => return Some(found),
            }
        }
        None
    }

    async fn begin_anew(&mut self) -> Result<()> {
        sleep(rest(self.begun.elapsed(), &mut self.backoff)).await;
        self.lines = lines(self.server, &self.request, self.recent).await?;
        self.begun = Instant::now();
        self.go_on().await
    }

    /// After lines have begun: what was before them, unless they go on behind a mark.
    async fn go_on(&mut self) -> Result<()> {
        if self.recent.mark.is_some() {
            self.recent.expect_unmarked();
            return Ok(());
        }
        if self.recent.begun.is_none() {
            self.recent.begun = Some(self.begun);
            return Ok(());
        }
        self.catch_up().await
    }

    /// What was stored since the newest record that is known.
    async fn catch_up(&mut self) -> Result<()> {
        let mut request = FlowsRequest {
            since: Since(self.recent.known_until()),
            order: Order::Oldest,
            limit: Some(MOST_ROWS),
            ..self.request.clone()
        };
        let mut shown = self.recent.shown();
        for _ in 0..CATCH_UP {
            let page: FlowsAnswer = page(self.server, &request).await?;
            for mut row in page.rows {
                let seen = Seen::of(&row);
                self.recent.expect(seen);
                if !take(&mut shown, seen.key) {
                    self.recent.show(seen);
                    self.strip(&mut row);
                    self.recent.first.push_back(Arrival::Record(row));
                }
            }
            request.cursor = page.cursor;
            if request.cursor.is_none() {
                return Ok(());
            }
        }
        let message = "more was stored between two tails than is read again; part of it is left out here";
        self.recent.first.push_back(Arrival::Missed {
            records: None,
            message: message.to_owned(),
        });
        Ok(())
    }

    /// A line of the tail; none: a record that was shown already.
    fn read(&mut self, line: &str) -> Result<Option<Arrival>> {
        if line.is_empty() {
            return Ok(Some(Arrival::Silence));
        }
        let mut row: Row =
            serde_json::from_str(line).with_context(|| format!("{} sent {line:?}", self.server))?;
        if let Some(mark) = row.0.get("mark").and_then(Value::as_str) {
            self.recent.set_mark(mark);
            return Ok(Some(Arrival::Silence));
        }
        if let Some(note) = row.0.get("note") {
            self.has_gap |= note["kind"] == "gap";
            return Ok(missed(note).filter(|_| note["kind"] != "gap"));
        }
        let seen = Seen::of(&row);
        if self.recent.was_expected(seen) {
            return Ok(None);
        }
        self.recent.show(seen);
        self.strip(&mut row);
        Ok(Some(Arrival::Record(row)))
    }

    fn strip(&self, row: &mut Row) {
        if self.strips_time {
            row.0.shift_remove(TIME);
        }
    }
}

/// How long to wait before another tail after one that lived so long: a collector that ends
/// them at once is not asked again at once.
fn rest(lived: Duration, backoff: &mut Backoff) -> Duration {
    if lived < SHORT {
        return backoff.next();
    }
    backoff.reset();
    Duration::ZERO
}

fn missed(note: &Value) -> Option<Arrival> {
    let message = note["message"].as_str()?.to_owned();
    let records = note["records"].as_u64();
    Some(Arrival::Missed { records, message })
}

type TailLines = Lines<Box<dyn AsyncBufRead + Send + Unpin>>;

/// Asks for a tail with marks, behind the last one where there is one. An older collector
/// knows none, and has forgotten those that another one gave.
async fn lines(server: &Server, request: &FlowsRequest, recent: &mut Recent) -> Result<TailLines> {
    let of_pages = ["since", "until", "order", "limit", "cursor"];
    let mut pairs = flows_pairs(request);
    pairs.retain(|(name, _)| !of_pages.contains(name));
    let mut with_marks = pairs.clone();
    with_marks.push(("marks", "true".to_owned()));
    with_marks.extend(recent.mark.clone().map(|mark| ("resume", mark)));
    let body: Box<dyn AsyncBufRead + Send + Unpin> = match begun(server, &with_marks).await {
        Err(error) if knows_no_marks(&error) => {
            recent.forget_mark();
            Box::new(begun(server, &pairs).await?)
        }
        answered => Box::new(answered?),
    };
    Ok(body.lines())
}

async fn page(server: &Server, request: &FlowsRequest) -> Result<FlowsAnswer> {
    let page = source::read(server, "flows", flows_pairs(request));
    within(PATIENCE, server, page).await
}

/// The beginning of an answer comes at once, or nobody is there.
async fn begun(server: &Server, pairs: &Pairs) -> Result<impl AsyncBufRead + use<>> {
    within(SILENCE, server, server.stream("tail", pairs)).await
}

/// Who says nothing for so long is gone.
async fn within<T>(limit: Duration, server: &Server, work: impl Future<Output = Result<T>>) -> Result<T> {
    let ended = timeout(limit, work).await;
    ended.with_context(|| NoAnswer(format!("{server} is silent")))?
}

fn knows_no_marks(error: &anyhow::Error) -> bool {
    let problem = error.downcast_ref::<Problem>();
    problem.is_some_and(|problem| problem.status == 400 && problem.detail.contains("`marks`"))
}

#[cfg(test)]
mod tests;
