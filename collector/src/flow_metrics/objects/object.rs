//! What is kept of the objects, and what they say. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::json;
use weir_flowmetrics::{API_VERSION, FlowMetric, KIND, ObjectName, Problem};

use crate::flow_metrics::definitions::MAX_RESOURCES;

/// The oldest objects of a list, and the names of the others.
#[derive(Debug, Default)]
pub struct Listing {
    pub oldest: BTreeMap<(Option<Timestamp>, ObjectName), DynamicObject>,
    pub beyond: BTreeSet<ObjectName>,
}

impl Listing {
    pub fn add(&mut self, object: DynamicObject) {
        let created = object.creation_timestamp().map(|created| created.0);
        self.oldest.insert((created, name_of(&object)), object);
        if self.oldest.len() > MAX_RESOURCES
            && let Some(((_, name), _)) = self.oldest.pop_last()
        {
            self.beyond.insert(name);
        }
    }
}

/// The name of an object.
pub fn name_of(object: &DynamicObject) -> ObjectName {
    ObjectName {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    }
}

/// What is asked of an object that was read.
pub fn trimmed(object: DynamicObject) -> DynamicObject {
    let ObjectMeta {
        name,
        namespace,
        generation,
        resource_version,
        mut managed_fields,
        ..
    } = object.metadata;
    for fields in managed_fields.iter_mut().flatten() {
        fields.fields_v1 = None;
    }
    DynamicObject {
        types: None,
        metadata: ObjectMeta {
            name,
            namespace,
            generation,
            resource_version,
            managed_fields,
            ..ObjectMeta::default()
        },
        data: json!({"status": object.data.get("status")}),
    }
}

/// The resource that it is.
pub fn read(object: &DynamicObject) -> Result<FlowMetric, Problem> {
    let mut object = object.clone();
    object.types = Some(TypeMeta {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
    });
    FlowMetric::from_json(&serde_json::to_value(object).unwrap_or_default())
}
