//! Which images a workload has that is there already, and is installed again.

use serde_json::Value;

use crate::platform::Images;

/// Leaves a workload the images that it has, but for the part of their names that was asked
/// for: who mends an installation does not mean another version, or another registry.
pub fn keep(object: &mut Value, before: &Value, asked: &Images) {
    const CONTAINERS: &str = "/spec/template/spec/containers";
    let before = before.pointer(CONTAINERS).and_then(Value::as_array);
    let containers = object.pointer_mut(CONTAINERS).and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let name = &container["name"];
        let there = before.into_iter().flatten().find(|there| there["name"] == *name);
        let there = there.and_then(|there| there["image"].as_str());
        let (Some(there), Some(new)) = (there, container["image"].as_str()) else {
            continue;
        };
        container["image"] = chosen(there, new, asked).into();
    }
}

fn chosen(there: &str, new: &str, asked: &Images) -> String {
    let (there, new) = (split(there), split(new));
    let repository = if asked.registry.is_some() { new.0 } else { there.0 };
    let version = if asked.tag.is_some() { new.1 } else { there.1 };
    format!("{repository}{version}")
}

/// An image's repository, and its tag or digest with the mark before it.
fn split(image: &str) -> (&str, &str) {
    // A registry may have a port.
    let name = image.rfind('/').map_or(0, |slash| slash + 1);
    let version = image[name..].find([':', '@']).map_or(image.len(), |at| name + at);
    image.split_at(version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(image: &str) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [{"name": "weir-node", "image": image}]}}}})
    }

    #[test]
    fn what_is_not_asked_for_of_an_image_stays_as_it_is() {
        let there = "registry.example:5000/weir/weir-node@sha256:ab";
        let asked = |registry: Option<&str>, tag: Option<&str>| Images {
            registry: registry.map(str::to_owned),
            tag: tag.map(str::to_owned),
        };
        for (asked, new, expected) in [
            (asked(None, None), "weir-node:latest", there),
            (
                asked(None, Some("2")),
                "weir-node:2",
                "registry.example:5000/weir/weir-node:2",
            ),
            (
                asked(Some("other"), None),
                "other/weir-node:latest",
                "other/weir-node@sha256:ab",
            ),
            (
                asked(Some("other"), Some("2")),
                "other/weir-node:2",
                "other/weir-node:2",
            ),
        ] {
            let mut object = workload(new);
            keep(&mut object, &workload(there), &asked);
            assert_eq!(object, workload(expected));
        }
        let mut object = workload("weir-node:latest");
        keep(&mut object, &json!({}), &asked(None, None));
        assert_eq!(object, workload("weir-node:latest"));
    }
}
