//! Which nodes have rows still, by what they report.

use std::time::Duration;

use anyhow::Result;
use kube::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::dynamic::{self, Kind};
use crate::terminal::say;

/// What each node is told, and says.
pub const NODE_EXPORTS: Kind = Kind {
    api_version: "weir.dev/v1alpha1",
    kind: "NodeFlowExport",
};
/// How often nodes are asked.
const PAUSE: Duration = Duration::from_millis(500);

/// Waits until every node has said that it has no rows; those that have not, and why. An
/// API server that fails meanwhile is asked again.
///
/// # Errors
/// The API server refuses to tell, or did not at last.
pub async fn wait_clean(client: &Client, limit: Duration) -> Result<Vec<String>> {
    let end = Instant::now() + limit;
    let mut told = 0;
    loop {
        let nodes = match dynamic::list(client, NODE_EXPORTS, None).await {
            Ok(nodes) => nodes,
            Err(error) if dynamic::is_refused(&error) || Instant::now() >= end => return Err(error),
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let left: Vec<String> = nodes.iter().filter_map(rows_left).collect();
        if left.is_empty() || Instant::now() >= end {
            return Ok(left);
        }
        if left.len() != told {
            told = left.len();
            say(&format!(
                "waiting for {told} of {} nodes to remove their rows",
                nodes.len()
            ));
        }
        sleep(PAUSE).await;
    }
}

/// Why a node may have rows still; none if it has none.
fn rows_left(export: &Value) -> Option<String> {
    let name = export["metadata"]["name"].as_str().unwrap_or_default();
    let status = &export["status"];
    let asked_for = has_targets(&export["spec"]["bridges"]);
    if status["observedGeneration"].is_null() {
        // Nobody ever wrote a row there, and nobody is there to.
        return asked_for.then(|| format!("{name}: the controller has not turned it off; does one run?"));
    }
    let seen = status["observedGeneration"] == export["metadata"]["generation"];
    let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let applied = conditions.iter().find(|condition| condition["type"] == "Applied");
    let applied = applied.unwrap_or(&Value::Null);
    if asked_for {
        Some(format!("{name}: something still asks for export there"))
    } else if !seen {
        Some(format!(
            "{name}: its daemon has not seen the change; does one run there?"
        ))
    } else if applied["status"] != "True" || has_targets(&status["bridges"]) {
        let message = applied["message"].as_str().unwrap_or("it does not say why");
        Some(format!("{name}: {message}"))
    } else {
        None
    }
}

/// Whether any protocol of these bridges has a target.
pub fn has_targets(bridges: &Value) -> bool {
    let bridges = bridges.as_array().map_or(&[][..], Vec::as_slice);
    let protocols = ["netFlow", "sFlow", "ipfix"];
    bridges.iter().any(|bridge| {
        protocols.iter().any(|protocol| {
            bridge[*protocol]["targets"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kube::client::Body;
    use serde_json::json;

    use super::*;

    fn export(spec: Value, status: Value) -> Value {
        json!({"metadata": {"name": "n", "generation": 3}, "spec": spec, "status": status})
    }

    #[test]
    fn a_node_is_clean_when_it_has_seen_that_it_exports_nothing_and_says_so() {
        let nothing = json!({"bridges": [{"name": "br-int", "exporterId": 1}]});
        let asked = json!({"bridges": [{"name": "br-int", "ipfix": {"targets": ["192.0.2.1:4739"]}}]});
        let applied = |status: &str| json!([{"type": "Applied", "status": status, "message": "no socket"}]);
        let of = |spec: &Value, seen: Value, conditions: Value, rows: &Value| {
            let bridges = rows["bridges"].clone();
            let status = json!({"observedGeneration": seen, "conditions": conditions, "bridges": bridges});
            rows_left(&export(spec.clone(), status))
        };
        assert_eq!(of(&nothing, json!(3), applied("True"), &nothing), None);
        for (left, why) in [
            (
                of(&nothing, json!(2), applied("True"), &nothing),
                "not seen the change",
            ),
            (of(&nothing, json!(3), applied("False"), &nothing), "no socket"),
            (of(&nothing, json!(3), applied("True"), &asked), "no socket"),
            (of(&nothing, json!(3), json!([]), &nothing), "does not say why"),
            (of(&asked, json!(3), applied("True"), &asked), "still asks"),
            (rows_left(&export(asked.clone(), json!({}))), "the controller"),
        ] {
            assert!(
                left.as_ref().is_some_and(|left| left.contains(why)),
                "{left:?}: {why}"
            );
        }
        // No daemon ever was there.
        assert_eq!(rows_left(&export(nothing, json!({}))), None);
    }

    /// An API server that fails at first, with this status, and has a clean node then.
    fn failing_once(code: u16) -> (Client, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            let list = json!({"apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExportList", "metadata": {},
                "items": [export(json!({}), json!({}))]});
            let failure = json!({"kind": "Status", "code": code, "message": "later"});
            let (status, body) = if first { (code, failure) } else { (200, list) };
            let answer = http::Response::builder().status(status);
            async move { answer.body(Body::from(body.to_string().into_bytes())) }
        });
        (Client::new(service, "default"), asked)
    }

    #[tokio::test]
    async fn an_api_server_that_fails_is_asked_again_and_one_that_refuses_is_not() {
        let (client, asked) = failing_once(500);
        let left = wait_clean(&client, Duration::from_secs(60)).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        let (client, asked) = failing_once(403);
        let refused = wait_clean(&client, Duration::from_secs(60)).await;
        assert!(dynamic::is_refused(&refused.unwrap_err()));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // No longer than the limit.
        let (client, asked) = failing_once(500);
        assert!(wait_clean(&client, Duration::ZERO).await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
