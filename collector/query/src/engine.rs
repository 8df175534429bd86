//! What answers questions. The API and the CLI know this and no more: neither how an engine
//! keeps its rows nor what it computes with.
//!
//! A question, its filter, its answer and its limits are the same for every engine. The
//! embedded one ([`crate::Embedded`]) answers out of a store on this machine; another one
//! would turn the checked filter into what its database understands, and hold to the same:
//!
//! - an answer is exact, or says in a note what it lacks;
//! - it keeps within [`Limits`]: time, groups, rows, memory, and whose flows are seen;
//! - a question whose asker goes away stops.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Answer, AnswerRows, Explanation, FlowsPage, FlowsRequest, Limits, Matrix, MatrixRequest, Note,
    QueryError, Question, Since, Until, ValueCount, ValuesRequest,
};

/// Answers questions.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// Sums over groups of flows.
    ///
    /// # Errors
    /// The question is wrong, or costs more than `limits` allow.
    async fn answer(&self, question: &Question, limits: &Limits) -> Result<Answer, QueryError>;

    /// Answers a question and says how, in place of the answer.
    ///
    /// # Errors
    /// Those of [`Self::answer`].
    async fn explain(&self, question: &Question, limits: &Limits) -> Result<Explanation, QueryError>;

    /// A page of records.
    ///
    /// # Errors
    /// The request is wrong, or costs more than `limits` allow.
    async fn flows(&self, request: &FlowsRequest, limits: &Limits) -> Result<FlowsPage, QueryError>;

    /// Who called whom.
    ///
    /// # Errors
    /// The request is wrong, or costs more than `limits` allow.
    async fn matrix(&self, request: &MatrixRequest, limits: &Limits) -> Result<Matrix, QueryError>;

    /// The values of a field that begin with a prefix, the most frequent first.
    ///
    /// # Errors
    /// The request is wrong, or costs more than `limits` allow.
    async fn values(&self, request: &ValuesRequest, limits: &Limits) -> Result<Vec<ValueCount>, QueryError>;

    /// Records as they arrive.
    ///
    /// # Errors
    /// The filter or a column is wrong, or there is no room for another tail.
    async fn tail(&self, request: &TailRequest, limits: &Limits) -> Result<Box<dyn RecordTail>, QueryError>;

    /// All records that fit, a piece at a time, however many they are; in the order of
    /// their times by and large.
    ///
    /// # Errors
    /// The request is wrong, or cannot be begun within `limits`; for the records
    /// themselves there is no limit of time or rows.
    async fn export(
        &self,
        request: &ExportRequest,
        limits: &Limits,
    ) -> Result<Box<dyn RecordExport>, QueryError>;

    /// What it has.
    fn status(&self) -> EngineStatus;

    /// The namespaces that occur in its records of this time, each once, and perhaps others
    /// of the hours around it.
    fn namespaces(&self, since: Since, until: Until) -> Vec<String>;
}

/// Which records are shown as they arrive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TailRequest {
    /// Which flows, in the filter language; all when empty.
    pub filter: String,
    /// Fields to show; all when empty.
    pub columns: Vec<String>,
    /// Also flows that the filter lets through when they are looked at from their other end.
    pub both_directions: bool,
    /// Every observation of a flow, not its primary one alone.
    pub all_observations: bool,
    /// Goes on behind this mark of an earlier tail, if what came since is still there.
    pub resume: Option<String>,
}

/// Which records are wanted, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExportRequest {
    /// Which flows, in the filter language; all when empty.
    pub filter: String,
    /// From when on, by arrival at the collector.
    pub since: Since,
    /// Until when, itself excluded.
    pub until: Until,
    /// Fields to write; all when empty.
    pub columns: Vec<String>,
    /// Every observation of a flow, not its primary one alone.
    pub all_observations: bool,
}

/// The records of an export, a piece at a time. Dropping it ends it.
pub trait RecordExport: fmt::Debug + Send {
    /// The next piece; it may be empty, and all have the same columns. `None`: that was the
    /// last. It reads files on the thread that asks.
    ///
    /// # Errors
    /// There will be no more.
    fn next(&mut self) -> Result<Option<AnswerRows>, QueryError>;

    /// What one should know, up to here.
    fn notes(&self) -> Vec<Note>;
}

/// The records of one who watches, as a page has them.
pub trait RecordTail: fmt::Debug + Send {
    /// The next records; `None` when there were none in that time, or the filter let
    /// none of them through. It waits on the thread that asks.
    ///
    /// # Errors
    /// There will be no more.
    fn next(&mut self, within: Duration) -> Result<Option<AnswerRows>, TailEnd>;

    /// Records that came faster than they were taken, and are left out.
    fn missed(&self) -> u64;

    /// Behind all that was taken so far: where another tail may go on.
    fn mark(&self) -> String;

    /// It was to go on behind a mark, and what came since was no longer there.
    fn has_gap(&self) -> bool;
}

/// Why a tail has no more records.
#[derive(Debug, thiserror::Error)]
pub enum TailEnd {
    /// The store was closed and all was shown.
    #[error("the store was closed")]
    Closed,
    /// It failed.
    #[error(transparent)]
    Failed(#[from] QueryError),
}

/// What an engine has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineStatus {
    /// Rows that are in no file yet.
    pub memory_rows: u64,
    /// What does not go on, and is tried again.
    pub degraded: Vec<String>,
    /// Records as they came, and their sums, the finest first.
    pub tiers: Vec<TierStatus>,
    /// Files that are skipped, and why.
    pub unreadable: Vec<(String, String)>,
    /// The disk that its files are on, where it is known.
    pub disk: Option<DiskStatus>,
    /// Those who are told of every record as it comes.
    pub readers: Vec<ReaderStatus>,
}

/// How far one is who is told of every record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderStatus {
    /// What it is called.
    pub name: String,
    /// It goes on after a restart.
    pub durable: bool,
    /// Somebody reads under this name now.
    pub attached: bool,
    /// The head of the log, and the frame in it, that it does not have yet.
    pub position: (u64, u64),
    /// Rows that wait for it.
    pub lag_rows: u64,
    /// Bytes of them.
    pub lag_bytes: u64,
    /// How long the oldest waits.
    pub lag_age: Option<Duration>,
    /// Bytes that may wait.
    pub max_bytes: u64,
    /// Rows that it has.
    pub acknowledged_rows: u64,
    /// Rows that it is not shown, by reason.
    pub dropped_rows: [(&'static str, u64); 3],
}

/// The disk of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskStatus {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Rows that expired before their time because it was short.
    pub expired_early_rows: u64,
}

/// What a tier has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierStatus {
    /// `raw`, `minute`, `hour` or `edges`.
    pub tier: String,
    /// Files.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// The earliest and the latest time in them, in microseconds since the epoch.
    pub time: Option<(i64, i64)>,
}
