//! Estimates for metrics that are new, or count something else than before, and again as long as they may tell more: one look at what is stored for all
//! of them, as a question that takes a turn which no user's question takes, and never where records are received.

use std::time::{Duration, Instant};

use super::{Estimate, FlowMetrics, Unknown};
use crate::api::Api;

/// Time between two looks for metrics that are to be estimated: what comes together is estimated together.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Pause after no turn was free.
const BUSY_PAUSE: Duration = Duration::from_secs(30);
/// Who asks: nobody's turns but its own count for it.
const ASKER: &str = "the collector's estimates of FlowMetrics";
/// So many metrics are estimated together.
const AT_A_TIME: usize = 32;

/// Estimates, for ever.
pub async fn follow(flow_metrics: FlowMetrics, api: Api) {
    let asker = ASKER.into();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let metrics = flow_metrics.clone();
        let without =
            tokio::task::spawn_blocking(move || metrics.without_estimate(AT_A_TIME, Instant::now())).await;
        let Ok(without) = without else { return };
        if without.is_empty() {
            continue;
        }
        let metrics = without.iter().map(|due| due.definition.clone()).collect();
        let estimates = match api.estimate_if_free(&asker, metrics).await {
            Ok(estimates) => estimates,
            Err(problem) if problem.is_busy() => {
                tokio::time::sleep(BUSY_PAUSE).await;
                continue;
            }
            Err(problem) => {
                tracing::warn!(%problem, "the series of FlowMetrics cannot be estimated, will be tried again");
                vec![Estimate::Unknown(Unknown::Unread); without.len()]
            }
        };
        let metrics = flow_metrics.clone();
        let told = move || metrics.set_estimates(without.into_iter().zip(estimates), Instant::now());
        if tokio::task::spawn_blocking(told).await.is_err() {
            return;
        }
    }
}
