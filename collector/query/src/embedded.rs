//! The engine that answers out of a store on this machine.
//!
//! A question that is dropped stops: nothing goes on working for it but a step that is
//! begun. Questions need a tokio runtime with its clock and keep its threads busy while
//! they work, so that a server gives them one of their own.

use async_trait::async_trait;
use jiff::Timestamp;
use weir_store::{LogReaderStatus, Reader, Tier, TimeRange};

use crate::budget::Budget;
use crate::engine::{
    DiskStatus, Engine, EngineStatus, ExportRequest, ReaderStatus, RecordExport, RecordTail, TailRequest,
    TierStatus,
};
use crate::tail::Live;
use crate::{
    Answer, Explanation, FlowsPage, FlowsRequest, Limits, Matrix, MatrixRequest, QueryError, Question, Since,
    Until, ValueCount, ValuesRequest, aggregate, complete, export, matrix, page,
};

/// A store that is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedded {
    reader: Reader,
    live: Live,
}

impl Embedded {
    /// Of a store.
    pub fn new(reader: Reader) -> Self {
        Self {
            live: Live::new(reader.clone()),
            reader,
        }
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn answer(&self, question: &Question, limits: &Limits) -> Result<Answer, QueryError> {
        let budget = Budget::new(limits);
        budget
            .spend(aggregate::answer(&self.reader, question, &budget))
            .await
    }

    async fn explain(&self, question: &Question, limits: &Limits) -> Result<Explanation, QueryError> {
        let budget = Budget::new(limits);
        budget
            .spend(aggregate::explain(&self.reader, question, &budget))
            .await
    }

    async fn flows(&self, request: &FlowsRequest, limits: &Limits) -> Result<FlowsPage, QueryError> {
        let budget = Budget::new(limits);
        budget.spend(page::flows(&self.reader, request, &budget)).await
    }

    async fn matrix(&self, request: &MatrixRequest, limits: &Limits) -> Result<Matrix, QueryError> {
        let budget = Budget::new(limits);
        budget.spend(matrix::matrix(&self.reader, request, &budget)).await
    }

    async fn values(&self, request: &ValuesRequest, limits: &Limits) -> Result<Vec<ValueCount>, QueryError> {
        let budget = Budget::new(limits);
        budget
            .spend(complete::values(&self.reader, request, &budget))
            .await
    }

    async fn tail(&self, request: &TailRequest, limits: &Limits) -> Result<Box<dyn RecordTail>, QueryError> {
        Ok(Box::new(self.live.follow(request, limits).await?))
    }

    async fn export(
        &self,
        request: &ExportRequest,
        limits: &Limits,
    ) -> Result<Box<dyn RecordExport>, QueryError> {
        Ok(Box::new(export::export(&self.reader, request, limits).await?))
    }

    fn status(&self) -> EngineStatus {
        let status = self.reader.status();
        let tiers = Tier::ALL.iter().zip(status.tiers).map(|(tier, has)| TierStatus {
            tier: tier.as_str().to_owned(),
            segments: has.segments,
            rows: has.rows,
            bytes: has.bytes,
            time: has.time.map(|time| (time.from, time.until.saturating_sub(1))),
        });
        let unreadable = status.unreadable.iter().map(|file| {
            let name = file.path.file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), file.reason.clone())
        });
        let troubles = status.troubles.iter();
        EngineStatus {
            memory_rows: status.memory_rows,
            degraded: troubles
                .map(|trouble| format!("{}: {}", trouble.part, trouble.reason))
                .collect(),
            tiers: tiers.collect(),
            unreadable: unreadable.collect(),
            disk: status.disk.map(|space| DiskStatus {
                free: space.free,
                total: space.total,
                expired_early_rows: status.counts.expired_early_rows,
            }),
            readers: self
                .reader
                .log_status()
                .readers()
                .into_iter()
                .map(reader_status)
                .collect(),
        }
    }

    fn namespaces(&self, since: Since, until: Until) -> Vec<String> {
        let now = Timestamp::now();
        let range = TimeRange {
            from: since.0.at(now),
            until: until.0.at(now),
        };
        let names = self.reader.namespaces(range).into_iter();
        names.filter(|name| !name.is_empty()).collect()
    }
}

fn reader_status(reader: LogReaderStatus) -> ReaderStatus {
    ReaderStatus {
        position: (reader.cursor.head, reader.cursor.frame),
        dropped_rows: reader.dropped.by_reason(),
        name: reader.name,
        durable: reader.durable,
        attached: reader.attached,
        lag_rows: reader.lag_rows,
        lag_bytes: reader.lag_bytes,
        lag_age: reader.lag_age,
        max_bytes: reader.bounds.bytes,
        acknowledged_rows: reader.acknowledged_rows,
    }
}
