//! What is not Weir's in Weir's namespaces, and would be gone with them.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::Client;
use serde_json::Value;

use crate::dynamic::{self, Kind};
use crate::platform::describe;

const KINDS: [Kind; 3] = [kind("PersistentVolumeClaim"), kind("ConfigMap"), kind("Secret")];

const fn kind(kind: &'static str) -> Kind {
    Kind {
        api_version: "v1",
        kind,
    }
}

/// By namespace, what somebody would miss. `installed` are Weir's own objects.
///
/// # Errors
/// That cannot be read.
pub async fn of_others(client: &Client, installed: &[Value]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    for namespace in installed.iter().filter(|object| object["kind"] == "Namespace") {
        let namespace = namespace["metadata"]["name"].as_str().unwrap_or_default();
        let mut names = Vec::new();
        for kind in KINDS {
            for mut object in dynamic::list(client, kind, Some(namespace)).await? {
                // Items of a list do not say their kind.
                object["kind"] = kind.kind.into();
                if is_of_others(&object, installed) {
                    names.push(describe(&object));
                }
            }
        }
        if !names.is_empty() {
            all.insert(namespace.to_owned(), names);
        }
    }
    Ok(all)
}

/// Weir's are those that it installs; Kubernetes and OpenShift put some of their own into
/// each namespace, and make them again.
fn is_of_others(object: &Value, installed: &[Value]) -> bool {
    if object["kind"] == "PersistentVolumeClaim" {
        return true;
    }
    let metadata = &object["metadata"];
    let is_installed = installed.iter().any(|known| {
        known["kind"] == object["kind"]
            && known["metadata"]["name"] == metadata["name"]
            && known["metadata"]["namespace"] == metadata["namespace"]
    });
    let published = ["kube-root-ca.crt", "openshift-service-ca.crt"];
    let is_of_the_cluster =
        object["kind"] == "ConfigMap" && published.iter().any(|name| metadata["name"] == *name);
    // Tokens of accounts, and OpenShift's for its registry.
    let is_an_accounts = ["kubernetes.io/service-account-token", "kubernetes.io/dockercfg"]
        .iter()
        .any(|kind| object["type"] == *kind);
    let is_labelled = metadata["labels"]["app.kubernetes.io/part-of"] == "weir";
    !(is_installed || is_of_the_cluster || is_an_accounts || is_labelled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_and_what_users_wrote_are_others_and_what_is_made_again_is_not() {
        let of = |kind: &str, name: &str, more: Value| {
            let mut object = json!({"kind": kind, "metadata": {"namespace": "weir-system", "name": name}});
            object
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            object
        };
        let installed = [of("Secret", "weir-collector-http", json!({}))];
        let none = json!({});
        for (object, expected) in [
            (of("PersistentVolumeClaim", "flows", none.clone()), true),
            (of("ConfigMap", "weir-subnet-labels", none.clone()), true),
            (
                of(
                    "Secret",
                    "registry",
                    json!({"type": "kubernetes.io/dockerconfigjson"}),
                ),
                true,
            ),
            (of("Secret", "weir-collector-http", none.clone()), false),
            (of("ConfigMap", "kube-root-ca.crt", none), false),
            (
                of(
                    "Secret",
                    "t",
                    json!({"type": "kubernetes.io/service-account-token"}),
                ),
                false,
            ),
        ] {
            assert_eq!(is_of_others(&object, &installed), expected, "{object}");
        }
        let dashboard =
            json!({"kind": "ConfigMap", "metadata": {"labels": {"app.kubernetes.io/part-of": "weir"}}});
        assert!(!is_of_others(&dashboard, &installed));
    }
}
