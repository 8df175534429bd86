//! What may be told to whoever asks: the names and rules of which policies, and whose pods.

use std::collections::BTreeSet;

use weir_policy::{PolicyKey, RuleRef};

use crate::words::rule_name;

/// What stands for the name of a policy that may not be told.
pub const HIDDEN: &str = "hidden";

/// Some namespaces, or all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// All, and what belongs to none.
    All,
    /// These.
    Some(BTreeSet<String>),
}

impl Namespaces {
    /// Whether it is one of them.
    pub fn has(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(some) => some.contains(namespace),
        }
    }

    /// All of them, and what belongs to none.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Where they may get NetworkPolicies; all: those of the cluster, too.
    pub policies: Namespaces,
    /// Where they may get pods.
    pub pods: Namespaces,
}

impl Sight {
    /// Whoever may see everything.
    pub const EVERYTHING: Self = Self {
        policies: Namespaces::All,
        pods: Namespaces::All,
    };

    /// Whoever may see nothing at all.
    pub fn is_nothing(&self) -> bool {
        let none = Namespaces::Some(BTreeSet::new());
        self.policies == none && self.pods == none
    }

    /// Whether the name and the rules of a policy may be told.
    pub fn sees(&self, policy: &PolicyKey) -> bool {
        match policy.namespace.as_str() {
            "" => self.policies.is_all(),
            namespace => self.policies.has(namespace),
        }
    }

    /// Whether what is said of the use of a policy's rules is of all that used them: whoever
    /// asks sees all flows of the pods that it selects.
    pub fn sees_use_of(&self, policy: &PolicyKey) -> bool {
        let sees_pods = match policy.namespace.as_str() {
            "" => self.pods.is_all(),
            namespace => self.pods.has(namespace),
        };
        sees_pods && self.sees(policy)
    }

    /// The name of a policy, or [`HIDDEN`].
    pub fn policy(&self, policy: &PolicyKey) -> String {
        match self.sees(policy) {
            true => policy.to_string(),
            false => HIDDEN.to_owned(),
        }
    }

    /// The name of a rule, or [`HIDDEN`].
    pub fn rule(&self, rule: &RuleRef) -> String {
        match self.sees(&rule.policy) {
            true => rule_name(rule),
            false => HIDDEN.to_owned(),
        }
    }

    /// The names of policies; how many are hidden is not told.
    pub fn policies(&self, policies: &[PolicyKey]) -> Vec<String> {
        let mut names: Vec<String> = policies.iter().map(|policy| self.policy(policy)).collect();
        if !self.policies.is_all() {
            let mut is_first = true;
            names.retain(|name| name != HIDDEN || std::mem::take(&mut is_first));
        }
        names
    }
}
