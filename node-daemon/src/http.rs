//! `--http`: `/metrics`, `/healthz`, `/readyz`. Answers are computed from what
//! the agent's loop recorded last; nothing here decides anything.

use std::sync::Arc;
use std::time::Instant;

use weir_process::http::Router;
use weir_process::http::{self, Probe, not_well, well};

use crate::agent::FULL_CHECK;
use crate::metrics::Metrics;

/// The pages.
pub fn pages(metrics: Arc<Metrics>) -> Router {
    let [alive, ready] = [Arc::clone(&metrics), Arc::clone(&metrics)];
    let probes = http::probes(move || health(&alive), move || readiness(&ready));
    probes.merge(http::metrics(move || metrics.text()))
}

/// The loop turns at least once in [`FULL_CHECK`]; three missed turns mean that
/// it hangs. A run folder that was made anew is seen by another start alone.
fn health(metrics: &Metrics) -> Probe {
    match metrics.facts().unhealthy(Instant::now(), FULL_CHECK * 3) {
        None => well(),
        Some(why) => not_well(why),
    }
}

fn readiness(metrics: &Metrics) -> Probe {
    let unready = metrics.facts().unready();
    match unready.is_empty() {
        true => well(),
        false => not_well(unready.join("\n")),
    }
}
