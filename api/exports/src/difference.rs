//! What is different between two objects, leaf by leaf.

use serde_json::Value;

/// So many characters of a value are told.
const LONGEST: usize = 200;

/// Each leaf that is not the same, with its place: `ipfix.sampling 400 → 100`. A list is one leaf.
pub fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), before, after, &mut found);
    found
}

fn compare<'a>(place: &mut Vec<&'a str>, before: &'a Value, after: &'a Value, found: &mut Vec<String>) {
    match (fields(before), fields(after)) {
        (Some(_), _) | (_, Some(_)) => {
            let mut names: Vec<&str> = Vec::new();
            for object in [before, after] {
                let own = object.as_object().into_iter().flat_map(|object| object.keys());
                let new: Vec<&str> = own
                    .map(String::as_str)
                    .filter(|name| !names.contains(name))
                    .collect();
                names.extend(new);
            }
            for name in names {
                place.push(name);
                compare(place, &before[name], &after[name], found);
                place.pop();
            }
        }
        _ if before == after => {}
        _ => found.push(format!(
            "{} {} → {}",
            place.join("."),
            shown(before),
            shown(after)
        )),
    }
}

/// The fields of an object that has any; nothing there has none.
fn fields(value: &Value) -> Option<()> {
    value.as_object().filter(|fields| !fields.is_empty()).map(drop)
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::Object(_) => return "{}".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => return "nothing".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn each_leaf_is_told_with_its_place() {
        let before =
            json!({"ipfix": {"sampling": 400, "targets": ["a:1"]}, "netFlow": {"activeTimeout": 60}});
        let after = json!({"ipfix": {"sampling": 100, "targets": ["a:1", "b:2"]}, "export": "Disabled"});
        assert_eq!(
            differences(&before, &after),
            [
                "ipfix.sampling 400 → 100",
                "ipfix.targets a:1 → a:1, b:2",
                "netFlow.activeTimeout 60 → nothing",
                "export nothing → Disabled",
            ]
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| map.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_the_same_has_none_and_both_ways_have_as_many(one in value(), other in value()) {
            prop_assert_eq!(differences(&one, &one), Vec::<String>::new());
            prop_assert_eq!(differences(&one, &other).len(), differences(&other, &one).len());
        }
    }
}
