//! Which images a workload has that is there already, and is installed again.

use anyhow::{Result, bail};
use serde_json::Value;

use crate::platform::{CONTAINERS, Images};

/// Leaves a workload the images that it has, but for the part of their names that was asked
/// for: who mends an installation does not mean another version, or another registry. A
/// container that is new there gets registry and version of the one beside it.
///
/// # Errors
/// The one beside it has a digest, which no other image has, and no tag is asked for.
pub fn keep(object: &mut Value, before: &Value, asked: &Images) -> Result<()> {
    let there: Vec<(&str, &str)> = CONTAINERS
        .iter()
        .filter_map(|list| before.pointer(list)?.as_array())
        .flatten()
        .filter_map(|container| Some((container["name"].as_str()?, container["image"].as_str()?)))
        .collect();
    let Some((_, beside)) = there.first() else {
        return Ok(());
    };
    for list in CONTAINERS {
        let containers = object.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let (Some(name), Some(new)) = (container["name"].as_str(), container["image"].as_str()) else {
                continue;
            };
            let image = match there.iter().find(|(there, _)| *there == name) {
                Some((_, there)) => chosen(there, new, asked),
                None => beside_it(beside, new, asked)?,
            };
            container["image"] = image.into();
        }
    }
    Ok(())
}

fn beside_it(beside: &str, new: &str, asked: &Images) -> Result<String> {
    let (there, version) = split(beside);
    if version.starts_with('@') && asked.tag.is_none() {
        bail!("{beside} is named by its digest, and {new} is new beside it: give --tag");
    }
    let folder = there.rfind('/').map_or("", |slash| &there[..=slash]);
    let (repository, _) = split(new);
    let name = repository.rsplit('/').next().unwrap_or(repository);
    Ok(chosen(&format!("{folder}{name}{version}"), new, asked))
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
            keep(&mut object, &workload(there), &asked).unwrap();
            assert_eq!(object, workload(expected));
        }
        let mut object = workload("weir-node:latest");
        keep(&mut object, &json!({}), &asked(None, None)).unwrap();
        assert_eq!(object, workload("weir-node:latest"));
    }

    #[test]
    fn a_container_that_is_new_has_registry_and_version_of_the_one_beside_it() {
        let with_gate = |image: &str| {
            let mut object = workload("weir-node:latest");
            object["spec"]["template"]["spec"]["initContainers"] =
                json!([{"name": "weir-ovsdb-gate", "image": image}]);
            object
        };
        let kept = |there: &str, new: &str, asked: &Images| {
            let mut object = with_gate(new);
            keep(&mut object, &workload(there), asked)
                .map(|()| object["spec"]["template"]["spec"]["initContainers"][0]["image"].clone())
        };
        let nothing = Images::default();
        let there = "registry.example:5000/weir/weir-node:0.4";
        assert_eq!(
            kept(there, "weir-ovsdb-gate:latest", &nothing).unwrap(),
            "registry.example:5000/weir/weir-ovsdb-gate:0.4"
        );
        assert_eq!(
            kept("weir-node", "weir-ovsdb-gate:latest", &nothing).unwrap(),
            "weir-ovsdb-gate"
        );
        let digest = "registry.example/weir-node@sha256:ab";
        let error = kept(digest, "weir-ovsdb-gate:latest", &nothing).unwrap_err();
        assert!(error.to_string().contains("--tag"), "{error}");
        let tagged = Images {
            registry: None,
            tag: Some("0.4".to_owned()),
        };
        assert_eq!(
            kept(digest, "weir-ovsdb-gate:0.4", &tagged).unwrap(),
            "registry.example/weir-ovsdb-gate:0.4"
        );
    }
}
