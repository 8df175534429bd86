//! Objects of a CNI's own that decide about connections, too. They are not evaluated; that
//! they select a pod makes its verdict unknown.

use serde_json::Value;

use super::objects::{list, text};
use super::{Origin, Reader};
use crate::policy::{ForeignPolicy, Policy};
use crate::selector::Selector;

/// What of an object selects pods; nothing if it is of no such kind.
pub(super) fn policies(object: &Value) -> Vec<Policy> {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    let group = text(object, "/apiVersion").split('/').next().unwrap_or_default();
    match (group, kind) {
        // All of its namespace.
        ("k8s.ovn.org", "EgressFirewall") => {
            vec![foreign(object, name.to_owned(), None, Selector::everything())]
        }
        ("crd.antrea.io", "ClusterNetworkPolicy" | "NetworkPolicy") => {
            let ends = applied_to(object);
            let name_of = |index| match ends.len() {
                1 => name.to_owned(),
                _ => format!("{name} appliedTo[{index}]"),
            };
            let parts = ends.iter().enumerate();
            parts
                .map(|(index, end)| antrea(object, name_of(index), end))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Antrea: for all rules, or for each its own.
fn applied_to(object: &Value) -> Vec<&Value> {
    let rules = ["/spec/ingress", "/spec/egress"];
    let of_rules = rules.iter().flat_map(|rules| list(object, rules));
    let of_rules = of_rules.flat_map(|rule| list(rule, "/appliedTo"));
    list(object, "/spec/appliedTo").chain(of_rules).collect()
}

/// Groups, Services and nodes that it may be applied to are not looked up: all pods, then.
fn antrea(object: &Value, name: String, end: &Value) -> Policy {
    let selector = |name: &str| {
        let mut reader = Reader {
            origin: Origin::Stored,
            document: 0,
            problems: Vec::new(),
        };
        let value = end.get(name).filter(|value| !value.is_null())?;
        match reader.selector(value, String::new()) {
            // What selects is not known, so it may be all.
            Selector::Unreadable => Some(Selector::everything()),
            selector => Some(selector),
        }
    };
    let (namespaces, pods) = (selector("namespaceSelector"), selector("podSelector"));
    foreign(
        object,
        name,
        namespaces,
        pods.unwrap_or_else(Selector::everything),
    )
}

fn foreign(object: &Value, name: String, namespaces: Option<Selector>, pods: Selector) -> Policy {
    Policy::Foreign(ForeignPolicy {
        kind: text(object, "/kind").to_owned(),
        namespace: text(object, "/metadata/namespace").to_owned(),
        name,
        namespaces,
        pods,
    })
}
