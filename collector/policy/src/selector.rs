//! Label selectors: what `matchLabels` and `matchExpressions` say, with the same
//! answers as apimachinery's `LabelSelectorAsSelector`.

use std::collections::BTreeMap;

/// Labels of a pod, a namespace or a node.
pub type Labels = BTreeMap<String, String>;

/// One selector: all its requirements must hold. Without any it selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// All of these hold.
    Requirements(Vec<Requirement>),
    /// Stored by an API server that validated less, and not to be understood: selects nothing.
    Unreadable,
}

/// What a selector demands of one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What is demanded of it.
    pub operator: Operator,
}

/// The operators of a label selector. An entry of `matchLabels` is `In` of one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// The key is there, with one of these values.
    In(Vec<String>),
    /// The key is not there, or has another value.
    NotIn(Vec<String>),
    /// The key is there.
    Exists,
    /// The key is not there.
    DoesNotExist,
}

impl Selector {
    /// The empty selector, `{}`.
    pub fn everything() -> Selector {
        Selector::Requirements(Vec::new())
    }

    /// Whether something with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Selector::Requirements(all) => all.iter().all(|requirement| requirement.holds(labels)),
            Selector::Unreadable => false,
        }
    }

    /// The keys that the selector asks for.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements()
            .iter()
            .map(|requirement| requirement.key.as_str())
    }

    /// A key and the values of which something selected has one; `None` if no
    /// requirement says so.
    pub(crate) fn indexed(&self) -> Option<(&str, &[String])> {
        self.requirements()
            .iter()
            .find_map(|requirement| match &requirement.operator {
                Operator::In(values) => Some((requirement.key.as_str(), values.as_slice())),
                _ => None,
            })
    }

    fn requirements(&self) -> &[Requirement] {
        match self {
            Selector::Requirements(all) => all,
            Selector::Unreadable => &[],
        }
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
