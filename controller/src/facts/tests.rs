use super::*;
use crate::fixture::object;
use serde_json::{Value, json};

#[test]
fn a_node_has_its_first_internal_address_and_else_its_first_external_one() {
    let addresses = |list: Value| {
        read_node(object(
            json!({"metadata": {"name": "n"}, "status": {"addresses": list}}),
        ))
        .facts
        .address
        .map(|a| a.to_string())
    };
    let external = json!({"type": "ExternalIP", "address": "192.0.2.1"});
    let internal = json!({"type": "InternalIP", "address": "10.0.0.1"});
    let second = json!({"type": "InternalIP", "address": "fd00::1"});
    assert_eq!(
        addresses(json!([external, internal, second])).as_deref(),
        Some("10.0.0.1")
    );
    assert_eq!(addresses(json!([external])).as_deref(), Some("192.0.2.1"));
    assert_eq!(
        addresses(json!([{"type": "Hostname", "address": "10.0.0.2"}])),
        None
    );
}

fn pod(spec: Value, status: Value, metadata: Value) -> DaemonPod {
    let mut whole = json!({"name": "weir-node-x", "creationTimestamp": "2026-01-01T00:00:00Z"});
    whole
        .as_object_mut()
        .unwrap()
        .extend(metadata.as_object().unwrap().clone());
    read_pod(object(json!({"metadata": whole, "spec": spec, "status": status})))
}

#[test]
fn a_daemons_pod_tells_its_node_before_it_is_bound() {
    let field = json!({"key": "metadata.name", "operator": "In", "values": ["node-a"]});
    let terms = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}});
    let unbound = json!({"containers": [], "affinity": affinity});
    let refused = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "too full"}]});
    let pod = pod(unbound, refused, json!({}));
    assert_eq!(pod.node, "node-a");
    let (why, since) = pod.down.unwrap();
    assert_eq!(
        (why.as_str(), since.to_string().as_str()),
        ("too full", "2026-01-01T00:00:00Z")
    );
}

#[test]
fn a_daemon_is_up_when_its_pod_is_ready_and_not_on_its_way_out() {
    let spec = json!({"containers": [], "nodeName": "node-a"});
    let ready = json!({"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T00:00:00Z"},
    ]});
    assert_eq!(pod(spec.clone(), ready.clone(), json!({})).down, None);
    // It was to be gone 30 s after it was deleted, and had been ready for a day.
    let deleted = json!({"deletionTimestamp": "2026-01-03T00:00:30Z", "deletionGracePeriodSeconds": 30});
    let (_, since) = pod(spec.clone(), ready, deleted).down.unwrap();
    assert_eq!(since.to_string(), "2026-01-03T00:00:00Z");
    assert!(pod(spec, json!({}), json!({})).down.is_some());
}

#[test]
fn of_the_managed_fields_only_our_own_time_is_kept() {
    let entry = |manager: &str, time: &str| json!({"manager": manager, "operation": "Apply", "time": time, "fieldsV1": {"f:spec": {}}});
    let export: NodeFlowExport = object(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "spec": {},
        "metadata": {"name": "a", "managedFields": [
            entry("weir-controller", "2026-01-01T00:00:00Z"), entry("weir-node", "2026-01-05T00:00:00Z"),
        ]},
    }));
    let stripped = strip_export(export);
    assert_eq!(stripped.written_at().unwrap().to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(stripped.metadata.managed_fields.unwrap()[0].fields_v1, None);
}
