//! An API server whose definition is older than this daemon refuses the whole status for one
//! field that it does not declare. The status is written without it: less is told, not nothing.
//! Pure.

use serde_json::Value;

/// How the API server ends what it says of each such field (structured-merge-diff,
/// `typed/validate.go`).
const UNDECLARED: &str = ": field not declared in schema";

/// Takes out of `body` what a refusal names as not declared, such as
/// `.status.bridges[name="br-int"].color`. Returns the places; none: the refusal was another.
pub fn leave_out(body: &mut Value, refusal: &str) -> Vec<String> {
    let mut places: Vec<&str> = refusal.split(UNDECLARED).collect();
    // What stands after the last one.
    places.pop();
    let place = |text: &str| text.rsplit([' ', '\n']).next().unwrap_or_default().to_owned();
    let places = places.into_iter().map(place);
    places.filter(|place| remove(body, place)).collect()
}

/// Whether there was something at that place.
fn remove(body: &mut Value, place: &str) -> bool {
    let Some((above, name)) = place.rsplit_once('.') else {
        return false;
    };
    let mut above = above.split(['.', '[']).filter(|step| !step.is_empty());
    let member = above.try_fold(body, |value, step| match step.strip_suffix(']') {
        None => value.get_mut(step),
        Some(key) => {
            let (key, wanted) = key.split_once('=')?;
            let items = value.as_array_mut()?.iter_mut();
            items
                .into_iter()
                .find(|item| item[key] == wanted.trim_matches('"'))
        }
    });
    let fields = member.and_then(Value::as_object_mut);
    fields.is_some_and(|fields| fields.remove(name).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_definition_does_not_declare_is_left_out_and_nothing_else() {
        let mut body = json!({"status": {"reason": "Exporting", "daemonVersion": "2",
            "bridges": [{"name": "br-ex"}, {"name": "br-int", "color": "red"}]}});
        let refusal = "failed to create typed patch object (/a; weir.dev/v1alpha1, Kind=NodeFlowExport): errors:\n  \
                       .status.daemonVersion: field not declared in schema\n  \
                       .status.bridges[name=\"br-int\"].color: field not declared in schema";
        assert_eq!(leave_out(&mut body, refusal).len(), 2);
        let left =
            json!({"status": {"reason": "Exporting", "bridges": [{"name": "br-ex"}, {"name": "br-int"}]}});
        assert_eq!(body, left);
    }

    #[test]
    fn another_refusal_leaves_everything_as_it_is() {
        let mut body = json!({"status": {"reason": "Exporting"}});
        for refusal in [
            "nobody may, today",
            ".status.other: field not declared in schema",
            "",
        ] {
            assert!(leave_out(&mut body, refusal).is_empty(), "{refusal}");
        }
        assert_eq!(body["status"]["reason"], "Exporting");
    }
}
