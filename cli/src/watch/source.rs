//! Asks for what is wanted, again and again, and says what it hears. What is lost is tried
//! anew, later each time; what is refused is not asked again.

use std::collections::HashMap;
use std::future::pending;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use weir_collector::api::answer::Row;
use weir_collector::api::params::MOST_ROWS;
use weir_collector::api::problem::Problem;
use weir_query::{FlowsRequest, Moment, Question, Since, ValuesRequest};

use super::model::Sums;
use super::records::Missed;
use super::report::{Report, Wanted, WantedRecords};
use crate::backoff::Backoff;
use crate::server::Server;
use crate::show::text;
use crate::source::{Source, SourceArgs};
use crate::tail::{Arrival, Recent, Tail};

/// A collector gives up on a question after a minute; one that says nothing for so long is
/// gone.
const PATIENCE: Duration = Duration::from_secs(75);
/// A person who completes waits no longer than this.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);
/// How long who types rests before values are asked for.
pub const TYPING: Duration = Duration::from_millis(150);
/// How often the collector's counters are read, and files are opened anew.
const COUNTERS: Duration = Duration::from_secs(5);
/// No more than this part of the collector's time is taken: a question that took long is
/// asked again so many times later.
const REST: u32 = 4;
/// Records that are shown at first.
const FIRST: usize = 200;
/// Records of a tail that are told at once, at most.
const BATCH: usize = 500;
/// Records of a directory that are looked at again, at most.
const MOST_LOOKED: usize = MOST_ROWS;
/// How long after it was stored a record may still come, in a directory.
const OVERLAP: Duration = Duration::from_secs(5);

/// Asks.
pub struct Feed {
    /// Whom.
    pub args: SourceArgs,
    /// How long it rests between two questions.
    pub every: Duration,
    /// Who hears.
    pub reports: mpsc::Sender<Report>,
    counters_read: Option<Instant>,
    backoff: Backoff,
    /// What was shown of the records that are wanted.
    recent: Recent,
    /// The newest records were told, and what arrives is told behind them.
    told_newest: bool,
}

/// Nobody hears any more.
#[derive(Debug, thiserror::Error)]
#[error("nobody watches any more")]
struct NobodyHears;

impl Feed {
    /// Nothing was asked yet.
    pub fn new(args: SourceArgs, every: Duration, reports: mpsc::Sender<Report>) -> Self {
        Self {
            args,
            every,
            reports,
            counters_read: None,
            backoff: Backoff::default(),
            recent: Recent::default(),
            told_newest: false,
        }
    }

    /// Asks for what is wanted, which may change, until nobody hears any more.
    pub async fn run(mut self, mut wanted: watch::Receiver<Wanted>) {
        loop {
            let now = wanted.borrow_and_update().clone();
            self.told_newest = false;
            self.backoff.reset();
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = self.serve(&now) => return,
            }
        }
    }

    /// Ends when nobody hears any more.
    async fn serve(&mut self, wanted: &Wanted) {
        loop {
            let ended = match wanted {
                Wanted::Nothing => pending().await,
                Wanted::Sums(question) => self.sums(question).await,
                Wanted::Records(wanted) => self.records(wanted).await,
            };
            let Err(error) = ended else { continue };
            if error.is::<NobodyHears>() {
                return;
            }
            let why = format!("{error:#}");
            if is_refusal(&error) {
                let of = wanted.clone();
                if self.tell(Report::Refused { of, why }).await.is_err() {
                    return;
                }
                return pending().await;
            }
            let again_in = self.backoff.next();
            let of = wanted.clone();
            if self.tell(Report::Lost { of, why, again_in }).await.is_err() {
                return;
            }
            sleep(again_in).await;
        }
    }

    async fn tell(&self, report: Report) -> Result<()> {
        self.reports.send(report).await.map_err(|_| NobodyHears.into())
    }

    async fn sums(&mut self, question: &Question) -> Result<()> {
        let mut source = self.args.open().await?;
        loop {
            let begun = Instant::now();
            let answer = answered(source.query(question)).await?;
            let took = begun.elapsed();
            self.backoff.reset();
            let of = Box::new(question.clone());
            self.tell(Report::Sums(Box::new(Sums {
                of,
                answer,
                at: Instant::now(),
                took,
            })))
            .await?;
            self.read_counters(&source).await?;
            sleep(self.every.max(took * REST)).await;
            if let Source::Directory(_) = source {
                // What was read is as old as when it was opened.
                source = self.args.open().await?;
            }
        }
    }

    async fn records(&mut self, wanted: &WantedRecords) -> Result<()> {
        let source = self.args.open().await?;
        match &source {
            Source::Server(server) => self.follow(&source, server, wanted).await,
            Source::Directory(_) => self.look_again(source, wanted).await,
        }
    }

    /// The newest records of a server, then what arrives; after a connection was lost, what
    /// arrived since.
    async fn follow(&mut self, source: &Source, server: &Server, wanted: &WantedRecords) -> Result<()> {
        let mut recent = match self.told_newest {
            true => std::mem::take(&mut self.recent),
            false => Recent::default(),
        };
        let followed = self.follow_from(source, server, wanted, &mut recent).await;
        self.recent = recent;
        followed
    }

    async fn follow_from(
        &mut self,
        source: &Source,
        server: &Server,
        wanted: &WantedRecords,
        recent: &mut Recent,
    ) -> Result<()> {
        let request = request(wanted);
        // The tail comes first: nothing is lost between what was and what comes.
        let mut tail = Tail::begin(server, &request, recent).await?;
        self.backoff.reset();
        let of = Wanted::Records(wanted.clone());
        self.tell(Report::Connected { of }).await?;
        if !self.told_newest {
            let mut newest = answered(source.newest(&request, FIRST)).await?;
            tail.shown(&mut newest.rows);
            self.tell_records(wanted, newest.rows, Missed::default()).await?;
            self.told_newest = true;
        }
        loop {
            let first = tail.next().await?;
            let (rows, missed, broken) = gather(first, &mut tail);
            self.tell_records(wanted, rows, missed).await?;
            broken?;
            self.read_counters(source).await?;
        }
    }

    /// The records of a directory: the newest, then the newest of those that came since, again
    /// and again.
    async fn look_again(&mut self, mut source: Source, wanted: &WantedRecords) -> Result<()> {
        let mut request = request(wanted);
        let newest = answered(source.newest(&request, FIRST)).await?;
        self.backoff.reset();
        let mut known = Known::default();
        let fresh = known.take(newest.rows);
        self.tell_records(wanted, fresh, Missed::default()).await?;
        loop {
            sleep(self.every).await;
            source = self.args.open().await?;
            if let Some(since) = known.until() {
                request.since = Since(Moment::At(since));
            }
            let newest = answered(source.newest(&request, MOST_LOOKED)).await?;
            let mut missed = Missed::default();
            // There are more, of which nobody counts how many were shown.
            if newest.rows.len() == MOST_LOOKED {
                missed.add(None);
            }
            let fresh = known.take(newest.rows);
            self.tell_records(wanted, fresh, missed).await?;
        }
    }

    async fn tell_records(&self, wanted: &WantedRecords, rows: Vec<Row>, missed: Missed) -> Result<()> {
        let of = wanted.clone();
        self.tell(Report::Records { of, rows, missed }).await
    }

    /// What became of the collector's records, now and then; that it does not tell is no
    /// failure.
    async fn read_counters(&mut self, source: &Source) -> Result<()> {
        if self.counters_read.is_some_and(|read| read.elapsed() < COUNTERS) {
            return Ok(());
        }
        self.counters_read = Some(Instant::now());
        if let Source::Directory(_) = source {
            return Ok(());
        }
        if let Ok(Ok(status)) = timeout(SHORT_PATIENCE, source.status()).await
            && let Some(counters) = status.records
        {
            self.tell(Report::Collector(counters)).await?;
        }
        Ok(())
    }
}

/// What arrived, without waiting for more than the first; and whether the connection broke
/// behind that.
fn gather(first: Arrival, tail: &mut Tail<'_>) -> (Vec<Row>, Missed, Result<()>) {
    let (mut rows, mut missed) = (Vec::new(), Missed::default());
    let mut next = Some(Ok(first));
    while let Some(arrival) = next {
        match arrival {
            Ok(Arrival::Missed { records, .. }) => missed.add(records),
            Ok(Arrival::Record(row)) => rows.push(row),
            Ok(Arrival::Silence) => {}
            Err(error) => return (rows, missed, Err(error)),
        }
        next = match rows.len() < BATCH {
            true => tail.next_now(),
            false => None,
        };
    }
    (rows, missed, Ok(()))
}

/// Values of fields as they are asked for, until nobody hears any more: when who types has
/// rested for so long, and of a source that is opened once.
pub async fn answer_values(
    args: SourceArgs,
    rest: Duration,
    mut wanted: watch::Receiver<Option<ValuesRequest>>,
    reports: mpsc::Sender<Report>,
) {
    let mut opened = Opened { args, source: None };
    loop {
        let request = wanted.borrow_and_update().clone();
        let work = async {
            let request = request?;
            sleep(rest).await;
            let values = timeout(SHORT_PATIENCE, opened.values(&request))
                .await
                .ok()?
                .ok()?;
            let (field, prefix) = (request.field, request.prefix);
            reports
                .send(Report::Values {
                    field,
                    prefix,
                    values,
                })
                .await
                .ok()
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            _ = async { work.await; pending::<()>().await } => {}
        }
    }
}

/// A source that is opened once, and again when it failed; files are when what was read of
/// them is old.
struct Opened {
    args: SourceArgs,
    source: Option<(Source, Instant)>,
}

impl Opened {
    async fn values(&mut self, request: &ValuesRequest) -> Result<Vec<String>> {
        let (source, since) = match self.source.take() {
            Some((source, since)) if !is_old(&source, since) => (source, since),
            _ => (self.args.open().await?, Instant::now()),
        };
        let answer = source.values(request).await?;
        self.source = Some((source, since));
        Ok(answer.values.into_iter().map(|value| value.value).collect())
    }
}

fn is_old(source: &Source, since: Instant) -> bool {
    matches!(source, Source::Directory(_)) && since.elapsed() >= COUNTERS
}

fn request(wanted: &WantedRecords) -> FlowsRequest {
    FlowsRequest {
        filter: wanted.filter.clone(),
        since: Since(Moment::Ago(wanted.window)),
        all_observations: wanted.all_observations,
        ..FlowsRequest::default()
    }
}

/// The records of a directory that were told and may be found again, and from when they are.
#[derive(Debug, Default)]
struct Known {
    /// Each, as often as it was told, and when it reached the collector.
    told: HashMap<String, (usize, Option<Timestamp>)>,
    newest: Option<Timestamp>,
    /// What is older was there before, above what was shown at first.
    oldest: Option<Timestamp>,
}

impl Known {
    /// From where on there may be more.
    fn until(&self) -> Option<Timestamp> {
        self.newest.and_then(|newest| newest.checked_sub(OVERLAP).ok())
    }

    /// The rows that were not told, each of which counts once, the oldest first.
    fn take(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let time = |row: &Row| text(row, "time").parse::<Timestamp>().ok();
        let times: Vec<Option<Timestamp>> = rows.iter().map(time).collect();
        let is_first = self.newest.is_none();
        if is_first {
            self.oldest = times.iter().flatten().min().copied();
        }
        let mut found: HashMap<String, usize> = HashMap::new();
        let mut fresh = Vec::new();
        for (row, time) in rows.into_iter().zip(times) {
            if time.zip(self.oldest).is_some_and(|(time, oldest)| time < oldest) {
                continue;
            }
            self.newest = self.newest.max(time);
            let name = serde_json::to_string(&row).unwrap_or_default();
            let again = found.entry(name.clone()).or_default();
            *again += 1;
            let told = self.told.entry(name).or_insert((0, time));
            if *again > told.0 {
                told.0 += 1;
                fresh.push(row);
            }
        }
        let until = self.until();
        self.told.retain(|_, (_, time)| *time >= until);
        fresh
    }
}

async fn answered<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PATIENCE, work).await.context("no answer came")?
}

/// Nothing helps but to ask otherwise.
fn is_refusal(error: &anyhow::Error) -> bool {
    let problem = error.chain().find_map(|cause| cause.downcast_ref::<Problem>());
    problem.is_some_and(|problem| [400, 403, 404, 422].contains(&problem.status))
}

#[cfg(test)]
mod tests;
