//! `/metrics`, `/healthz` and `/readyz`. Readiness is a fact: every kind was
//! listed. A standby is as ready as the leader.

use tokio::sync::watch;
use weir_process::http::Router;
use weir_process::http::{self, Probe, not_well, well};

use crate::metrics::Metrics;

/// Kinds that were not listed yet.
pub type Missing = watch::Receiver<Vec<&'static str>>;

/// The pages. A process that answers is healthy: it ends when any part ends.
pub fn pages(metrics: Metrics, missing: Missing) -> Router {
    http::probes(well, move || readiness(&missing)).merge(http::metrics(move || metrics.text()))
}

fn readiness(missing: &Missing) -> Probe {
    let missing = missing.borrow();
    match missing.is_empty() {
        true => well(),
        false => not_well(format_args!("not listed yet: {}", missing.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_what_is_missing() {
        let (sender, missing) = watch::channel(vec!["nodes"]);
        assert_eq!(readiness(&missing), Err("not listed yet: nodes\n".into()));
        sender.send_replace(Vec::new());
        assert_eq!(readiness(&missing), Ok("ok\n".into()));
    }
}
