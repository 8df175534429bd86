//! The status of a FlowMetric, as NetObserv's: `Ready`, `CardinalityWarning` and the name in
//! Prometheus. Pure.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use weir_api::condition::{Condition, Finding, Time, conclude};
use weir_flowmetrics::{Cardinality, Problem, Warning};

use crate::flow_metrics::Outcome;

/// Who writes it.
pub const MANAGER: &str = "weir-collector";
/// A message is cut off here.
const MAX_CHARS: usize = 4_096;

/// The status that the object should have; `None` if it has it, or if somebody else writes it.
pub fn of(object: &DynamicObject, outcome: &Outcome, now: Timestamp) -> Option<Value> {
    if is_written_by_others(object) {
        return None;
    }
    let status = object.data.get("status");
    let before = status.and_then(|status| status.get("conditions")).cloned();
    let before: Vec<Condition> = before
        .and_then(|conditions| serde_json::from_value(conditions).ok())
        .unwrap_or_default();
    let findings = findings(outcome);
    let others = before.iter().filter(|condition| {
        let is_ours = |finding: &Finding| finding.kind == condition.type_;
        !findings.iter().any(is_ours)
    });
    let mut conditions: Vec<_> = others.cloned().collect();
    conditions.extend(conclude(
        &findings,
        &before,
        object.metadata.generation,
        &Time(now),
    ));
    conditions.sort_by(|one, other| one.type_.cmp(&other.type_));
    let mut sorted = before;
    sorted.sort_by(|one, other| one.type_.cmp(&other.type_));
    if conditions == sorted {
        return None;
    }
    let name = outcome.as_ref().ok().map(|applied| &applied.prometheus_name);
    Some(match name {
        Some(name) => json!({"conditions": conditions, "prometheusName": name}),
        None => json!({"conditions": conditions}),
    })
}

/// What the status says then, without times.
pub fn says(object: &DynamicObject, outcome: &Outcome) -> String {
    format!("{:?} {:?}", object.metadata.generation, findings(outcome))
}

/// What there is to say.
fn findings(outcome: &Outcome) -> Vec<Finding> {
    match outcome {
        Ok(applied) => {
            let reason = applied.cardinality.as_str();
            vec![
                Finding {
                    kind: "Ready",
                    status: true.into(),
                    reason: "Ready",
                    message: format!("counted as {}", applied.prometheus_name),
                },
                Finding {
                    kind: "CardinalityWarning",
                    status: (applied.cardinality != Cardinality::Fine).into(),
                    reason,
                    message: joined(
                        applied
                            .warnings
                            .iter()
                            .map(|Warning { field, message }| format!("{field}: {message}")),
                    ),
                },
            ]
        }
        Err(problems) => vec![Finding {
            kind: "Ready",
            status: false.into(),
            reason: "Failure",
            message: joined(problems.iter().map(Problem::to_string)),
        }],
    }
}

fn joined(sentences: impl Iterator<Item = String>) -> String {
    let text = sentences.collect::<Vec<_>>().join(". ");
    text.chars().take(MAX_CHARS).collect()
}

/// Two who write one status would take turns for ever.
fn is_written_by_others(object: &DynamicObject) -> bool {
    let fields = object.metadata.managed_fields.iter().flatten();
    let mut of_status = fields.filter(|fields| fields.subresource.as_deref() == Some("status"));
    of_status.any(|fields| fields.manager.as_deref() != Some(MANAGER))
}

#[cfg(test)]
mod tests {
    use weir_flowmetrics::{Applied, MetricChange, ProblemKind};

    use super::*;

    fn object(more: Value) -> DynamicObject {
        let mut object = json!({
            "apiVersion": "flows.netobserv.io/v1alpha1",
            "kind": "FlowMetric",
            "metadata": {"name": "m", "namespace": "netobserv", "generation": 2},
            "spec": {"type": "Counter"},
        });
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn applied() -> Outcome {
        Ok(Applied {
            prometheus_name: "netobserv_m".to_owned(),
            change: MetricChange::Added,
            cardinality: Cardinality::Careful,
            warnings: vec![Warning {
                field: "spec.labels[0]".to_owned(),
                message: "DstPort may take many values".to_owned(),
            }],
        })
    }

    fn refused() -> Outcome {
        Err(vec![Problem {
            field: "spec.filters[0].value".to_owned(),
            kind: ProblemKind::BadRegex,
            message: "no expression".to_owned(),
            remedy: "close the bracket".to_owned(),
        }])
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn a_good_resource_is_ready_and_a_bad_one_says_where_and_what_to_do() {
        let status = of(&object(json!({})), &applied(), at(1)).unwrap();
        assert_eq!(status["prometheusName"], "netobserv_m");
        let [warning, ready] = &status["conditions"].as_array().unwrap()[..] else {
            panic!("{status}")
        };
        assert_eq!(
            (&ready["type"], &ready["status"], &ready["reason"]),
            (&json!("Ready"), &json!("True"), &json!("Ready"))
        );
        assert_eq!(
            (&warning["status"], &warning["reason"]),
            (&json!("True"), &json!("careful"))
        );
        assert_eq!(warning["message"], "spec.labels[0]: DstPort may take many values");
        assert_eq!(ready["observedGeneration"], 2);

        let status = of(&object(json!({})), &refused(), at(1)).unwrap();
        let ready = &status["conditions"][0];
        assert_eq!(
            (&ready["status"], &ready["reason"]),
            (&json!("False"), &json!("Failure"))
        );
        assert_eq!(
            ready["message"],
            "spec.filters[0].value: no expression; close the bracket"
        );
    }

    #[test]
    fn a_status_is_written_once_and_again_when_it_changes() {
        let written = |outcome: &Outcome, before: &DynamicObject, second: i64| {
            let status = of(before, outcome, at(second)).unwrap();
            object(json!({"status": status}))
        };
        let first = written(&applied(), &object(json!({})), 1);
        assert_eq!(of(&first, &applied(), at(2)), None);
        let second = written(&refused(), &first, 3);
        assert_eq!(of(&second, &refused(), at(4)), None);
        let ready = second.data["status"]["conditions"].as_array().unwrap();
        let ready = ready
            .iter()
            .find(|condition| condition["type"] == "Ready")
            .unwrap();
        assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:03Z");
    }

    #[test]
    fn a_status_that_somebody_else_writes_is_left_alone() {
        let metadata = |manager: &str, subresource: &str| {
            json!({"metadata": {"name": "m", "namespace": "netobserv", "managedFields":
                [{"manager": manager, "operation": "Update", "subresource": subresource}]}})
        };
        assert_eq!(
            of(
                &object(metadata("netobserv-operator", "status")),
                &applied(),
                at(1)
            ),
            None
        );
        assert!(of(&object(metadata("netobserv-operator", "")), &applied(), at(1)).is_some());
        assert!(of(&object(metadata(MANAGER, "status")), &applied(), at(1)).is_some());
    }
}
