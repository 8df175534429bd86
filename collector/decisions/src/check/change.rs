//! What is changed beside the policies of files: policies that are deleted, labels that are
//! set.

use std::collections::BTreeSet;
use std::str::FromStr;

use weir_policy::edges::WorkloadKey;
use weir_policy::inventory::Inventory;
use weir_policy::replay::{Change, LabelChange, LabelTarget};
use weir_policy::{PolicyKey, PolicyKind};

use crate::{DecisionError, Peer, World};

/// A policy that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion(pub PolicyKey);

/// A label that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSetting(pub LabelChange);

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Policies that go.
    pub deleted: Vec<Deletion>,
    /// Labels that change.
    pub labels: Vec<LabelSetting>,
}

/// Kinds of policies as they are typed.
const KINDS: [(PolicyKind, &[&str]); 4] = [
    (PolicyKind::NetworkPolicy, &["networkpolicy", "netpol"]),
    (PolicyKind::AdminNetworkPolicy, &["adminnetworkpolicy", "anp"]),
    (
        PolicyKind::BaselineAdminNetworkPolicy,
        &["baselineadminnetworkpolicy", "banp"],
    ),
    (PolicyKind::ClusterNetworkPolicy, &["clusternetworkpolicy", "cnp"]),
];

impl FromStr for Deletion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |word: &str| {
            let word = word.to_ascii_lowercase();
            KINDS
                .iter()
                .find(|(_, words)| words.contains(&word.as_str()))
                .map(|(kind, _)| *kind)
        };
        let key = |namespace: &str, name: &str, kind| {
            Ok(Self(PolicyKey {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                kind,
            }))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["", ..] | [.., ""] => {}
            [first, name] => match kind(first) {
                Some(PolicyKind::NetworkPolicy) | None => return key(first, name, PolicyKind::NetworkPolicy),
                Some(kind) => return key("", name, kind),
            },
            [namespace, word, name] if kind(word) == Some(PolicyKind::NetworkPolicy) => {
                return key(namespace, name, PolicyKind::NetworkPolicy);
            }
            _ => {}
        }
        Err(format!(
            "{text:?} is none of namespace/name, anp/name, banp/name, cnp/name"
        ))
    }
}

impl std::fmt::Display for Deletion {
    /// As it is typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(key) = self;
        let word = KINDS.iter().find(|(kind, _)| *kind == key.kind);
        match (key.namespace.as_str(), word) {
            ("", Some((_, [word, ..]))) => write!(f, "{word}/{}", key.name),
            _ => write!(f, "{key}"),
        }
    }
}

impl std::fmt::Display for LabelSetting {
    /// As it is typed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(LabelChange { target, key, value }) = self;
        match target {
            LabelTarget::Namespace(name) => write!(f, "{name}:")?,
            LabelTarget::Pod(namespace, name) => write!(f, "{namespace}/{name}:")?,
            LabelTarget::Workload(workload) => write!(f, "{workload}:")?,
        }
        match value {
            Some(value) => write!(f, "{key}={value}"),
            None => write!(f, "{key}-"),
        }
    }
}

impl FromStr for LabelSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither WHO:KEY=VALUE nor WHO:KEY-");
        let (who, label) = text.split_once(':').ok_or_else(wrong)?;
        let (key, value) = match (label.split_once('='), label.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Some(value.to_owned())),
            (None, Some(key)) => (key, None),
            _ => return Err(wrong()),
        };
        let target = match who.contains('/') {
            false if !who.is_empty() => LabelTarget::Namespace(who.to_owned()),
            _ => match who.parse::<Peer>()? {
                Peer::Pod { namespace, name } => LabelTarget::Pod(namespace, name),
                Peer::Workload(key) => LabelTarget::Workload(key),
                Peer::Address(_) | Peer::Node(_) => return Err(wrong()),
            },
        };
        if key.is_empty() {
            return Err(wrong());
        }
        Ok(Self(LabelChange {
            target,
            key: key.to_owned(),
            value,
        }))
    }
}

impl Wanted {
    /// Nothing of it.
    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.labels.is_empty()
    }

    /// The namespaces that it, and the policies of files, touch; an empty name for the
    /// cluster's policies.
    pub fn namespaces<'p>(
        &self,
        policies: impl IntoIterator<Item = &'p weir_policy::Policy>,
    ) -> BTreeSet<String> {
        let policies = policies.into_iter().map(|policy| policy.key().namespace);
        let deleted = self.deleted.iter().map(|Deletion(key)| key.namespace.clone());
        let labels = self
            .labels
            .iter()
            .map(|LabelSetting(label)| label_namespace(&label.target).to_owned());
        policies.chain(deleted).chain(labels).collect()
    }

    /// What is meant must be there: a name that is not would change nothing, and pass.
    pub(super) fn change(&self, world: &World, inventory: &Inventory) -> Result<Change, DecisionError> {
        if world.policies.is_empty() && self.is_empty() {
            return Err(DecisionError::NoChange);
        }
        let cluster = &world.objects.cluster;
        for Deletion(key) in &self.deleted {
            if !cluster.policies.iter().any(|policy| policy.key() == *key) {
                return Err(DecisionError::NoPolicy(key.clone()));
            }
        }
        for LabelSetting(label) in &self.labels {
            if !is_there(&label.target, world, inventory) {
                return Err(DecisionError::NoTarget(label.target.clone()));
            }
        }
        Ok(Change {
            policies: world.policies.clone(),
            deleted: self.deleted.iter().map(|Deletion(key)| key.clone()).collect(),
            labels: self
                .labels
                .iter()
                .map(|LabelSetting(label)| label.clone())
                .collect(),
        })
    }
}

fn label_namespace(target: &LabelTarget) -> &str {
    match target {
        LabelTarget::Namespace(name) => name,
        LabelTarget::Pod(namespace, _) => namespace,
        LabelTarget::Workload(key) => &key.namespace,
    }
}

fn is_there(target: &LabelTarget, world: &World, inventory: &Inventory) -> bool {
    let cluster = &world.objects.cluster;
    match target {
        LabelTarget::Namespace(name) => cluster.namespaces.iter().any(|namespace| namespace.name == *name),
        LabelTarget::Pod(namespace, name) => cluster
            .pods
            .iter()
            .any(|pod| pod.namespace == *namespace && pod.name == *name),
        LabelTarget::Workload(key) => inventory.workloads.iter().any(|workload| workload.key == *key),
    }
}

/// `namespace shop`, `pod shop/web-1`, `Deployment shop/web`.
pub fn target(target: &LabelTarget) -> String {
    match target {
        LabelTarget::Namespace(name) => format!("namespace {name}"),
        LabelTarget::Pod(namespace, name) => format!("pod {namespace}/{name}"),
        LabelTarget::Workload(WorkloadKey {
            namespace,
            kind,
            name,
        }) => format!("{kind} {namespace}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_deleted_is_named_by_namespace_or_kind() {
        let shown = |text: &str| {
            let deleted = text.parse::<Deletion>();
            deleted.map(|Deletion(key)| format!("{} {key}", key.kind.name()))
        };
        assert_eq!(shown("shop/web").as_deref(), Ok("NetworkPolicy shop/web"));
        assert_eq!(shown("shop/netpol/web").as_deref(), Ok("NetworkPolicy shop/web"));
        assert_eq!(shown("anp/guard").as_deref(), Ok("AdminNetworkPolicy guard"));
        assert_eq!(shown("CNP/guard").as_deref(), Ok("ClusterNetworkPolicy guard"));
        for typed in [
            "shop/web",
            "adminnetworkpolicy/guard",
            "clusternetworkpolicy/guard",
        ] {
            assert_eq!(typed.parse::<Deletion>().unwrap().to_string(), typed);
        }
        assert!(shown("web").is_err() && shown("shop/").is_err() && shown("shop/svc/web").is_err());
    }

    #[test]
    fn a_label_is_set_or_removed_on_who_is_named() {
        let of = |text: &str| {
            text.parse::<LabelSetting>()
                .map(|LabelSetting(label)| (label.target, label.key, label.value))
        };
        let namespace = LabelTarget::Namespace("shop".to_owned());
        assert_eq!(
            of("shop:team=a"),
            Ok((namespace.clone(), "team".to_owned(), Some("a".to_owned())))
        );
        assert_eq!(of("shop:team-"), Ok((namespace, "team".to_owned(), None)));
        let (target, ..) = of("shop/deploy/web:tier=front").unwrap();
        assert!(matches!(target, LabelTarget::Workload(key) if key.kind == "Deployment"));
        for typed in [
            "shop:team=a",
            "shop/web-1:team-",
            "shop/deployment/web:tier=front",
        ] {
            assert_eq!(typed.parse::<LabelSetting>().unwrap().to_string(), typed);
        }
        for wrong in ["shop", "shop:team", ":a=b", "shop:=b", "node/n1:a=b"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
