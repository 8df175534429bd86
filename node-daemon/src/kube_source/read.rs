//! What a `NodeFlowExport` says, of whatever version it is. Pure.
//!
//! The object is read field by field rather than as one type: what this daemon does not
//! know must be told, and what it cannot read must not end the watch.

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;
use weir_api::plan::enforce;
use weir_api::unknown::unknown_fields;
use weir_api::{NodeFlowExportSpec, NodeFlowExportStatus};

use crate::desired::Desired;
use crate::status_writer::StatusObject;

/// The object's identity and status.
pub fn status_object(object: &DynamicObject) -> StatusObject {
    StatusObject {
        uid: object.uid().unwrap_or_default(),
        status: status(object),
        version: object.resource_version().and_then(|v| v.parse().ok()),
    }
}

fn status(object: &DynamicObject) -> Option<NodeFlowExportStatus> {
    let status = object.data.get("status")?;
    serde_json::from_value(status.clone()).ok()
}

/// What it asks for. A spec that cannot be read leaves what was asked `before` in force,
/// and without that whatever stands.
pub fn desired(object: DynamicObject, before: Option<&Desired>) -> Desired {
    let written = status(&object).unwrap_or_default();
    let (reported, reported_cost) = (written.conditions, written.cost);
    let raw = object.data.get("spec").cloned().unwrap_or(Value::Null);
    let read: Result<NodeFlowExportSpec, _> = serde_json::from_value(raw.clone());
    let generation = object.metadata.generation;
    match read {
        Ok(mut spec) => {
            let known = serde_json::to_value(&spec).unwrap_or_default();
            let unsafe_values = enforce(&mut spec);
            Desired {
                generation,
                unknown_fields: unknown_fields("spec", &raw, &known),
                unsafe_values: unsafe_values.iter().map(ToString::to_string).collect(),
                spec,
                reported,
                reported_cost,
                ..Desired::default()
            }
        }
        Err(error) => Desired {
            generation,
            spec: before.map(|b| b.spec.clone()).unwrap_or_default(),
            unreadable: Some(error.to_string()),
            hold: before.is_none_or(|b| b.hold),
            reported,
            reported_cost,
            ..Desired::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(spec: Value) -> DynamicObject {
        let object = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
            "metadata": {"name": "node-a", "uid": "u1", "generation": 2, "resourceVersion": "77"},
            "spec": spec,
            "status": {"protocols": "IPFIX", "conditions": [], "fromTomorrow": 1},
        });
        serde_json::from_value(object).unwrap()
    }

    fn of(name: &str) -> Value {
        json!({"bridges": [{"name": name, "exporterId": 1}]})
    }

    #[test]
    fn fields_of_a_newer_controller_are_named() {
        let mut newer = of("br-int");
        newer["pace"] = json!("slow");
        let desired = desired(object(newer), None);
        assert_eq!(desired.unknown_fields, ["spec.pace"]);
        assert_eq!(desired.spec.bridges[0].name, "br-int");
        assert_eq!((desired.generation, desired.hold), (Some(2), false));
    }

    #[test]
    fn a_spec_that_would_start_a_storm_is_put_right_and_named() {
        let mut storm = of("br-int");
        storm["bridges"][0]["ipfix"] = json!({"targets": ["192.0.2.1:1"], "sampling": 1});
        let desired = desired(object(storm), None);
        let ipfix = desired.spec.bridges[0].ipfix.as_ref().unwrap();
        assert_eq!(ipfix.cache_max_flows, Some(5_000));
        assert!(desired.unsafe_values[0].contains("bridge br-int") && desired.unknown_fields.is_empty());
    }

    #[test]
    fn a_spec_that_cannot_be_read_keeps_what_was_asked_before() {
        let good = desired(object(of("br-int")), None);
        let bad = || object(json!({"conflictPolicy": "Negotiate"}));
        let kept = desired(bad(), Some(&good));
        assert_eq!(kept.spec, good.spec);
        assert!(
            kept.unreadable
                .as_ref()
                .is_some_and(|why| why.contains("Negotiate"))
        );
        assert!(!kept.hold);
        let first = desired(bad(), None);
        assert!(
            first.hold && desired(bad(), Some(&first)).hold,
            "nobody knows what stands"
        );
        assert!(!desired(object(of("br-ex")), Some(&first)).hold);
    }

    #[test]
    fn a_status_of_a_newer_daemon_is_read_as_far_as_it_is_known() {
        let seen = status_object(&object(of("br-int")));
        assert_eq!((seen.uid.as_str(), seen.version), ("u1", Some(77)));
        assert_eq!(seen.status.unwrap().protocols, "IPFIX");
    }
}
