//! Fields that a text has and a type does not know: what came in, against what the type
//! writes out again of it. Serde ignores them, which is right for objects that a newer
//! version wrote, and says nothing, which is not.

use serde_json::Value;

/// Paths of the members of `raw` that `read` lacks, below `place`, such as
/// `spec.bridges[0].ipfix.color`, in order. A member that is null or an empty list says nothing: what
/// is written out leaves empty lists away.
pub fn unknown_fields(place: &str, raw: &Value, read: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(place, raw, read, &mut found);
    found.sort();
    found
}

fn collect(place: &str, raw: &Value, read: &Value, found: &mut Vec<String>) {
    match (raw, read) {
        (Value::Object(raw), Value::Object(read)) => {
            for (name, value) in raw.iter().filter(|(_, value)| !says_nothing(value)) {
                let place = format!("{place}.{name}");
                match read.get(name) {
                    Some(read) => collect(&place, value, read, found),
                    None => found.push(place),
                }
            }
        }
        (Value::Array(raw), Value::Array(read)) => {
            for (i, (raw, read)) in raw.iter().zip(read).enumerate() {
                collect(&format!("{place}[{i}]"), raw, read, found);
            }
        }
        _ => {}
    }
}

fn says_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeFlowExportSpec;
    use serde_json::json;

    fn of_spec(raw: Value) -> Vec<String> {
        let read: NodeFlowExportSpec = serde_json::from_value(raw.clone()).unwrap();
        unknown_fields("spec", &raw, &serde_json::to_value(read).unwrap())
    }

    #[test]
    fn what_a_newer_version_wrote_is_named_by_its_place() {
        let raw = json!({
            "conflictPolicy": "Refuse", "pace": 1, "gone": null,
            "bridges": [
                {"name": "br-int", "exporterId": 1, "ipfix": {"targets": ["192.0.2.1:1"], "color": "red"}},
                {"name": "br-ex", "netFlow": null},
            ],
        });
        assert_eq!(of_spec(raw), ["spec.bridges[0].ipfix.color", "spec.pace"]);
    }

    #[test]
    fn what_we_write_ourselves_is_known() {
        let raw = json!({"profile": "tuned", "bridges": [{"name": "b", "sFlow": {"targets": [], "header": 0},
                "ipfix": {"targets": [], "interfaceNames": []}}]});
        assert_eq!(of_spec(raw), Vec::<String>::new());
    }
}
