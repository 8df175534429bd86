//! What a workload has beyond what was applied: applying takes away only what the same tool has
//! set before. A mount that stays is access that was to be taken.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::platform::{CONTAINERS, is_node_daemon};

/// Containers and mounts of the node daemon as it is installed the other way, with a gate or
/// without, that are not asked for and are there. What else there is, is nobody's business.
pub fn of(wanted: &Value, there: &Value, other_way: Option<&Value>) -> Vec<String> {
    let Some(other) = other_way.filter(|_| is_node_daemon(wanted)) else {
        return Vec::new();
    };
    let (asked, found, other) = (parts(wanted), parts(there), parts(other));
    let left = other
        .iter()
        .filter(|part| found.contains(*part) && !asked.contains(*part));
    left.cloned().collect()
}

fn parts(workload: &Value) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    let containers = CONTAINERS
        .iter()
        .filter_map(|list| workload.pointer(list)?.as_array())
        .flatten();
    for container in containers {
        let name = container["name"].as_str().unwrap_or_default();
        parts.insert(format!("container {name}"));
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let path = mount["mountPath"].as_str().unwrap_or_default();
            parts.insert(format!("the mount {path} in container {name}"));
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::platform::{Images, Platform};

    fn daemon(gate: bool) -> Value {
        let objects = Platform::Kubernetes.objects(&Images::default(), gate).unwrap();
        objects.into_iter().find(is_node_daemon).unwrap()
    }

    #[test]
    fn a_mount_that_was_to_go_and_a_container_that_is_no_more_are_named() {
        let (with, without) = (daemon(true), daemon(false));
        assert_eq!(of(&with, &with, Some(&without)), [""; 0]);
        let mut left = with.clone();
        let mounts = left
            .pointer_mut("/spec/template/spec/containers/0/volumeMounts")
            .unwrap();
        let mount = json!({"name": "openvswitch", "mountPath": "/var/run/openvswitch"});
        mounts.as_array_mut().unwrap().push(mount);
        assert_eq!(
            of(&with, &left, Some(&without)),
            ["the mount /var/run/openvswitch in container weir-node"]
        );
        let more = of(&without, &with, Some(&with));
        assert!(more.contains(&"container weir-ovsdb-gate".to_owned()), "{more:?}");
    }
}
