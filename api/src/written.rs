//! When an object was written last, by whom it is to be written: the API server keeps that in
//! `metadata.managedFields`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use crate::NodeFlowExport;

/// The field manager that the controller writes by.
pub const CONTROLLER: &str = "weir-controller";

impl NodeFlowExport {
    /// When the controller wrote the spec last; when it was made, where nobody says more.
    pub fn written_at(&self) -> Option<Timestamp> {
        let is_ours = |entry: &&ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(CONTROLLER) && entry.subresource.is_none()
        };
        newest(self.metadata.managed_fields.iter().flatten().filter(is_ours))
            .or_else(|| made_at(&self.metadata))
    }
}

/// When somebody wrote `spec.exportNetworkFlows` of a `Network` or `FlowExport` last, and who. One
/// that was not written by itself does not say when it was taken away.
pub fn flows_written_at(metadata: &ObjectMeta) -> Option<(Timestamp, String)> {
    let has_flows = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let flows = fields.and_then(|fields| fields.get("f:spec")?.get("f:exportNetworkFlows"));
        entry.subresource.is_none() && flows.is_some_and(Value::is_object)
    };
    let entries = metadata.managed_fields.iter().flatten().filter(has_flows);
    let newest =
        entries.filter_map(|entry| Some((entry.time.as_ref()?.0, entry.manager.clone().unwrap_or_default())));
    newest.max()
}

fn newest<'a>(entries: impl Iterator<Item = &'a ManagedFieldsEntry>) -> Option<Timestamp> {
    entries
        .filter_map(|entry| entry.time.as_ref())
        .map(|time| time.0)
        .max()
}

fn made_at(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn when_something_was_written_say_the_fields_of_who_writes_it() {
        let export: NodeFlowExport = serde_json::from_value(json!({
            "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [
                {"manager": CONTROLLER, "operation": "Apply", "time": "2026-01-02T00:00:00Z"},
                {"manager": "weir-node", "operation": "Apply", "subresource": "status", "time": "2026-01-05T00:00:00Z"},
                {"manager": "kubectl", "operation": "Update", "time": "2026-01-04T00:00:00Z"},
            ]}, "spec": {},
        }))
        .unwrap();
        assert_eq!(export.written_at().unwrap().to_string(), "2026-01-02T00:00:00Z");
        let bare: NodeFlowExport = serde_json::from_value(
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}}),
        )
        .unwrap();
        assert_eq!(bare.written_at().unwrap().to_string(), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn of_a_source_that_time_counts_in_which_its_flows_were_written() {
        let entry = |manager: &str, time: &str, spec: Value| {
            json!({"manager": manager, "operation": "Update", "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec}})
        };
        let metadata: ObjectMeta = serde_json::from_value(json!({"managedFields": [
            entry("ann", "2026-01-02T00:00:00Z", json!({"f:exportNetworkFlows": {"f:ipfix": {}}})),
            entry("bob", "2026-01-03T00:00:00Z", json!({"f:exportNetworkFlows": {".": {}}})),
            entry("operator", "2026-01-04T00:00:00Z", json!({"f:logLevel": {}})),
        ]}))
        .unwrap();
        let (time, who) = flows_written_at(&metadata).unwrap();
        assert_eq!(
            (time.to_string().as_str(), who.as_str()),
            ("2026-01-03T00:00:00Z", "bob")
        );
        assert_eq!(flows_written_at(&ObjectMeta::default()), None);
    }
}
