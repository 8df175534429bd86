//! The engine that answers out of a store on this machine.
//!
//! A question that is dropped stops: nothing goes on working for it but a step that is
//! begun. Questions need a tokio runtime with its clock and keep its threads busy while
//! they work, so that a server gives them one of their own.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use async_trait::async_trait;
use weir_store::{Reader, Tier, TimeRange};

use crate::budget::Budget;
use crate::engine::{Engine, EngineStatus, RecordTail, TailRequest, TierStatus};
use crate::tail::Live;
use crate::{
    Answer, Explanation, FlowsPage, FlowsRequest, Limits, QueryError, Question, ValueCount, ValuesRequest,
    aggregate, complete, page,
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

    async fn values(&self, request: &ValuesRequest, limits: &Limits) -> Result<Vec<ValueCount>, QueryError> {
        let budget = Budget::new(limits);
        budget
            .spend(complete::values(&self.reader, request, &budget))
            .await
    }

    async fn tail(&self, request: &TailRequest, limits: &Limits) -> Result<Box<dyn RecordTail>, QueryError> {
        Ok(Box::new(self.live.follow(request, limits).await?))
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
        }
    }

    fn namespaces(&self) -> Vec<String> {
        let view = self.reader.view(TimeRange::ALL);
        let column = view.identities.batch().column_by_name("ns");
        let names = column.and_then(|column| column.as_string_view_opt());
        let names = names.into_iter().flatten().flatten();
        let names: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}
