//! A patch laid over an object, as kustomize does: objects key by key, null takes away,
//! and lists of named things by their names.

use anyhow::{Context, Result};
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

/// The object with the operations of a JSON patch (RFC 6902) carried out, of which Weir's
/// patches use `test`, `replace` and `add`.
///
/// # Errors
/// One of them does not fit the object.
pub fn patched(mut object: Value, operations: &[Value]) -> Result<Value> {
    for operation in operations {
        let text = |member: &str| operation[member].as_str().unwrap_or_default();
        let path = text("path");
        carry_out(&mut object, text("op"), path, &operation["value"])
            .with_context(|| format!("{} {path} does not fit the object", text("op")))?;
    }
    Ok(object)
}

fn carry_out(object: &mut Value, operation: &str, path: &str, value: &Value) -> Option<()> {
    match operation {
        "test" => (object.pointer(path)? == value).then_some(()),
        "replace" => {
            object.pointer_mut(path)?.clone_from(value);
            Some(())
        }
        "add" => {
            let (parent, last) = path.rsplit_once('/')?;
            match object.pointer_mut(parent)? {
                Value::Array(items) if last == "-" => items.push(value.clone()),
                Value::Object(members) => {
                    members.insert(last.to_owned(), value.clone());
                }
                _ => return None,
            }
            Some(())
        }
        _ => None,
    }
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

    #[test]
    fn a_patch_of_operations_is_carried_out_or_names_what_does_not_fit() {
        let object = || json!({"a": {"b": ["x"]}});
        let done = patched(
            object(),
            &[
                json!({"op": "test", "path": "/a/b/0", "value": "x"}),
                json!({"op": "replace", "path": "/a/b/0", "value": "y"}),
                json!({"op": "add", "path": "/a/b/-", "value": "z"}),
                json!({"op": "add", "path": "/a/c", "value": 1}),
            ],
        );
        assert_eq!(done.unwrap(), json!({"a": {"b": ["y", "z"], "c": 1}}));
        for operation in [
            json!({"op": "test", "path": "/a/b/0", "value": "other"}),
            json!({"op": "replace", "path": "/a/b/7", "value": 1}),
            json!({"op": "add", "path": "/a/b/0", "value": 1}),
            json!({"op": "remove", "path": "/a/b"}),
        ] {
            let error = patched(object(), &[operation]).unwrap_err();
            assert!(error.to_string().contains("/a/b"), "{error}");
        }
    }
}
