//! A patch laid over an object, as kustomize does: objects key by key, null takes away,
//! and lists of named things by their names.

use serde_json::Value;

/// The object with the patch over it.
pub fn merged(object: Value, patch: Value) -> Value {
    match (object, patch) {
        (Value::Object(mut object), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    object.shift_remove(&key);
                    continue;
                }
                let before = object.remove(&key).unwrap_or_default();
                object.insert(key, merged(before, value));
            }
            Value::Object(object)
        }
        (Value::Array(items), Value::Array(patches)) if patches.iter().all(|item| name(item).is_some()) => {
            Value::Array(by_name(items, patches))
        }
        (_, patch) => patch,
    }
}

fn by_name(mut items: Vec<Value>, patches: Vec<Value>) -> Vec<Value> {
    for patch in patches {
        match items.iter_mut().find(|item| name(item) == name(&patch)) {
            Some(item) => *item = merged(item.take(), patch),
            None => items.push(patch),
        }
    }
    items
}

fn name(item: &Value) -> Option<&str> {
    item["name"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let object = json!({"a": 1, "b": {"c": 2, "d": 3}, "list": [
            {"name": "x", "path": "/x", "type": "t"}, {"name": "y"}], "words": ["one", "two"]});
        let patch = json!({"b": {"c": null, "e": 4}, "words": ["three"], "list": [
            {"name": "x", "path": "/other"}, {"name": "z"}]});
        assert_eq!(
            merged(object, patch),
            json!({"a": 1, "b": {"d": 3, "e": 4}, "words": ["three"], "list": [
                {"name": "x", "path": "/other", "type": "t"}, {"name": "y"}, {"name": "z"}]})
        );
    }

    #[test]
    fn what_is_taken_away_and_was_not_there_stays_away() {
        assert_eq!(merged(json!({}), json!({"a": null})), json!({}));
    }
}
