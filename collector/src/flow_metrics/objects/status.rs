//! The status of a FlowMetric, as NetObserv's: `Ready`, `CardinalityWarning` and the name in
//! Prometheus. Pure.

use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use weir_api::condition::{Condition, Finding, Time, conclude};
use weir_flowmetrics::{Cardinality, Problem, Warning};

use crate::flow_metrics::{Estimate, Outcome, said_in};

/// Who writes it.
pub const MANAGER: &str = "weir-collector";
/// A message is cut off here.
const MAX_CHARS: usize = 4_096;

/// The status that the object should have; `None` if it has it, or if somebody else writes it.
pub fn of(
    object: &DynamicObject,
    outcome: &Outcome,
    estimate: Option<&Estimate>,
    now: Timestamp,
) -> Option<Value> {
    if is_written_by_others(object) {
        return None;
    }
    let before = conditions(object);
    let findings = findings(outcome, estimated(object, estimate));
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
pub fn says(object: &DynamicObject, outcome: &Outcome, estimate: Option<&Estimate>) -> String {
    let findings = findings(outcome, estimated(object, estimate));
    format!("{:?} {findings:?}", object.metadata.generation)
}

/// The conditions that the object has.
fn conditions(object: &DynamicObject) -> Vec<Condition> {
    let status = object.data.get("status");
    let conditions = status.and_then(|status| status.get("conditions")).cloned();
    conditions
        .and_then(|conditions| serde_json::from_value(conditions).ok())
        .unwrap_or_default()
}

/// The sentence about how many series there will be. One that the status has of what the object says now stays:
/// collectors that store other flows, or at other times, would write their own in turn. Only one that tells more takes
/// its place: a number, or one that rests on at least twice the time.
fn estimated(object: &DynamicObject, estimate: Option<&Estimate>) -> Option<String> {
    let conditions = conditions(object);
    let warning = conditions.iter().find(|condition| {
        condition.type_ == WARNING && condition.observed_generation == object.metadata.generation
    });
    let said = warning.and_then(|warning| said_in(&warning.message));
    match (said, estimate) {
        (Some(said), Some(estimate)) if estimate.telling().is_more_than(said.telling) => {
            Some(estimate.to_string())
        }
        (Some(said), _) => Some(said.sentence.to_owned()),
        (None, estimate) => estimate.map(Estimate::to_string),
    }
}

/// The condition that tells how many series there are.
const WARNING: &str = "CardinalityWarning";

/// What there is to say.
fn findings(outcome: &Outcome, estimated: Option<String>) -> Vec<Finding> {
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
                    kind: WARNING,
                    status: (applied.cardinality != Cardinality::Fine).into(),
                    reason,
                    message: joined(
                        applied
                            .warnings
                            .iter()
                            .map(|Warning { field, message }| format!("{field}: {message}"))
                            .chain(estimated),
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
        let status = of(&object(json!({})), &applied(), None, at(1)).unwrap();
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

        let status = of(&object(json!({})), &refused(), None, at(1)).unwrap();
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
            let status = of(before, outcome, None, at(second)).unwrap();
            object(json!({"status": status}))
        };
        let first = written(&applied(), &object(json!({})), 1);
        assert_eq!(of(&first, &applied(), None, at(2)), None);
        let second = written(&refused(), &first, 3);
        assert_eq!(of(&second, &refused(), None, at(4)), None);
        let ready = second.data["status"]["conditions"].as_array().unwrap();
        let ready = ready
            .iter()
            .find(|condition| condition["type"] == "Ready")
            .unwrap();
        assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:03Z");
    }

    fn series(series: usize) -> Estimate {
        Estimate::Series(crate::flow_metrics::SeriesEstimate {
            series,
            is_bounded: false,
            is_part: false,
            is_young: false,
            flows: 1,
            span: std::time::Duration::from_secs(86_400),
        })
    }

    #[test]
    fn how_many_series_there_will_be_is_told_once_for_what_the_object_says() {
        let message = |object: &DynamicObject| {
            let conditions = conditions(object);
            let warning = conditions.iter().find(|condition| condition.type_ == WARNING);
            warning.unwrap().message.clone()
        };
        let write = |before: &DynamicObject, estimate: &Estimate, generation: u64| {
            let mut before = before.clone();
            before.metadata.generation = Some(i64::try_from(generation).unwrap());
            let status = of(&before, &applied(), Some(estimate), at(1))?;
            before.data["status"] = status;
            Some(before)
        };
        let nothing = Estimate::Unknown(crate::flow_metrics::Unknown::NothingStored);
        let advice = "spec.labels[0]: DstPort may take many values";
        let told = write(&object(json!({})), &nothing, 2).unwrap();
        assert_eq!(
            message(&told),
            format!("{advice}. the number of series cannot be estimated: the collector stores no flows")
        );
        let told = write(&told, &series(1_240), 2).unwrap();
        let sentence = "about 1,240 series, estimated from 24 h of flows";
        assert_eq!(message(&told), format!("{advice}. {sentence}"));
        // Another collector, that stores other flows, or none, or has just started.
        assert!(write(&told, &series(7), 2).is_none());
        assert!(write(&told, &nothing, 2).is_none());
        assert_eq!(of(&told, &applied(), None, at(2)), None);
        // The object says something else now.
        let told = write(&told, &series(7), 3).unwrap();
        assert!(message(&told).ends_with("about 7 series, estimated from 24 h of flows"));
    }

    #[test]
    fn an_estimate_that_rests_on_little_makes_place_for_one_that_rests_on_more() {
        use crate::flow_metrics::SeriesEstimate;
        let young = |series: usize, seconds: u64| {
            Estimate::Series(SeriesEstimate {
                series,
                is_bounded: false,
                is_part: false,
                is_young: true,
                flows: 1,
                span: std::time::Duration::from_secs(seconds),
            })
        };
        let mut told = object(json!({}));
        for (estimate, is_told) in [
            (young(3, 4), true),
            // Another collector's, of about as much time.
            (young(2, 7), false),
            (young(90, 600), true),
            (young(70, 1_100), false),
            (Estimate::Unknown(crate::flow_metrics::Unknown::Unread), false),
            (series(800), true),
            (young(900, 80_000), false),
            (series(810), false),
        ] {
            let status = of(&told, &applied(), Some(&estimate), at(1));
            assert_eq!(status.is_some(), is_told, "{estimate}");
            if let Some(status) = status {
                assert!(status.to_string().contains(&estimate.to_string()), "{status}");
                told.data["status"] = status;
            }
        }
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
                None,
                at(1)
            ),
            None
        );
        assert!(
            of(
                &object(metadata("netobserv-operator", "")),
                &applied(),
                None,
                at(1)
            )
            .is_some()
        );
        assert!(of(&object(metadata(MANAGER, "status")), &applied(), None, at(1)).is_some());
    }
}
