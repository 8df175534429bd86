//! The loop's part that asks Weir's collector what it receives, as long as any node is to
//! send something there. One request at a time.

use std::time::Duration;

use futures::future::FutureExt;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::Reconciler;
use crate::collector_client::{AskError, AskPace, CollectorClient};
use crate::reception::{Answer, Receptions};

/// How the collector is asked, and what it said.
pub struct CollectorWatch {
    client: CollectorClient,
    pace: AskPace,
    /// Whether there is something to ask about.
    pub(super) needed: bool,
    /// Whether records were lost when that was known last.
    pub(super) lost: Option<bool>,
    pub(super) receptions: Receptions,
}

impl CollectorWatch {
    /// Nothing was asked yet; it is asked each time after so long.
    pub fn new(client: CollectorClient, interval: Duration) -> Self {
        Self {
            client,
            pace: AskPace::new(interval),
            needed: false,
            lost: None,
            receptions: Receptions::default(),
        }
    }
}

impl Reconciler {
    /// What is wanted, or where the collector is, may have changed.
    pub(super) fn ask_or_not(&mut self) {
        let needed = self.cluster.sends_to_collector(&self.decision);
        if !needed && self.collector.needed {
            self.stop_asking();
        }
        self.collector.needed = needed;
    }

    pub(super) fn stop_asking(&mut self) {
        self.asked.clear();
        self.collector.needed = false;
        self.collector.lost = None;
        self.collector.pace.forget();
        self.collector.receptions.forget();
    }

    /// When the collector is to be asked; a request that is under way wakes the loop by its
    /// answer.
    pub(super) fn next_ask(&self) -> Option<Instant> {
        let due = || Instant::from_std(self.collector.pace.due(std::time::Instant::now()));
        (self.collector.needed && self.asked.is_empty()).then(due)
    }

    pub(super) fn ask_if_due(&mut self) {
        if self.next_ask().is_some_and(|due| due <= Instant::now()) {
            let client = self.collector.client.clone();
            self.asked.push(async move { client.ask().await }.boxed());
        }
    }

    /// The collector answered, or did not.
    pub(super) fn hear(&mut self, answer: Result<Answer, AskError>) {
        self.metrics
            .asked_collector(answer.as_ref().map_or_else(AskError::kind, |_| "ok"));
        self.collector
            .pace
            .asked(answer.is_ok(), std::time::Instant::now());
        let receptions = &mut self.collector.receptions;
        match answer {
            Ok(answer) => {
                let wanted = &self.decision.wanted;
                receptions.answered(answer, |node| wanted.contains_key(node), Timestamp::now());
            }
            Err(error) => {
                tracing::warn!(%error, "the collector does not say what it receives");
                receptions.failed(error.told().to_owned());
            }
        }
        self.report_soon();
    }
}
