//! What policies say about a record's connection, as a record carries it: shared by all
//! records of which they say the same.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use wire::{Attribute, AttributeValue, Attributes};

use crate::attributes::{named_text, policy_action};
use crate::columns::word;
use crate::value::Value;

/// What a policy of one end says. Empty: none says anything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PolicySide {
    /// `ns/name`, or `name` of one that is in no namespace.
    pub policy: Box<str>,
    /// The rule's name, or its place: `ingress[1]`.
    pub rule: Box<str>,
    /// `allow`, `drop`, `reject`, or empty.
    pub action: &'static str,
}

/// What policies say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct PolicyVerdict {
    /// `allow`, `deny`, `unknown`, or empty: it was not judged.
    pub answer: &'static str,
    /// Why.
    pub reason: &'static str,
    /// Of the server.
    pub ingress: PolicySide,
    /// Of the client.
    pub egress: PolicySide,
}

/// A [`PolicyVerdict`] that is shared, or none.
#[derive(Debug, Clone, Default)]
pub struct Judged(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    hash: u64,
    verdict: PolicyVerdict,
}

impl Judged {
    /// Nothing was said.
    pub const NOT: Self = Self(None);

    /// What an exporter of the cluster says of policies itself.
    #[inline]
    pub fn said(attributes: &Attributes) -> Self {
        match attributes.is_empty() {
            true => Self::NOT,
            false => PolicyVerdict::said(attributes).into(),
        }
    }

    /// What was said, if anything.
    #[inline]
    pub fn verdict(&self) -> Option<&PolicyVerdict> {
        self.0.as_deref().map(|shared| &shared.verdict)
    }
}

impl From<PolicyVerdict> for Judged {
    fn from(verdict: PolicyVerdict) -> Self {
        if verdict == PolicyVerdict::default() {
            return Self::NOT;
        }
        let hash = FixedState::default().hash_one(&verdict);
        Self(Some(Arc::new(Shared { hash, verdict })))
    }
}

impl PartialEq for Judged {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                Arc::ptr_eq(one, other) || one.hash == other.hash && one.verdict == other.verdict
            }
            _ => false,
        }
    }
}

impl Eq for Judged {}

impl Hash for Judged {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.as_ref().map_or(0, |shared| shared.hash));
    }
}

impl PolicySide {
    /// No policy says anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What an exporter says of the ingress, or else the egress: Antrea's elements.
    fn said(attributes: &Attributes, is_ingress: bool) -> Self {
        let [name, namespace, rule, action] = match is_ingress {
            true => [
                Attribute::IngressPolicyName,
                Attribute::IngressPolicyNamespace,
                Attribute::IngressPolicyRule,
                Attribute::IngressPolicyAction,
            ],
            false => [
                Attribute::EgressPolicyName,
                Attribute::EgressPolicyNamespace,
                Attribute::EgressPolicyRule,
                Attribute::EgressPolicyAction,
            ],
        };
        let text = |attribute| match attributes.get(attribute) {
            Some(AttributeValue::Text(text)) => text.as_str(),
            _ => "",
        };
        let action = match attributes.get(action) {
            Some(AttributeValue::Unsigned(number)) => policy_action(*number),
            _ => None,
        };
        Self {
            policy: named_text(text(name), text(namespace)).into(),
            rule: text(rule).into(),
            action: action.unwrap_or_default(),
        }
    }
}

impl PolicyVerdict {
    /// What an exporter of the cluster says of policies itself; nothing of others, and nothing
    /// of what became of the connection as a whole.
    pub fn said(attributes: &Attributes) -> Self {
        Self {
            ingress: PolicySide::said(attributes, true),
            egress: PolicySide::said(attributes, false),
            ..Self::default()
        }
    }
}

/// The text, if there is any.
pub(crate) fn text(text: &str) -> Option<Value<'_>> {
    (!text.is_empty()).then(|| word(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::tests::everything;
    use crate::record::tests::full;

    #[test]
    fn what_an_exporter_says_of_policies_is_named_with_the_namespace_where_it_has_one() {
        let mut said = Attributes::NONE;
        said.set(
            Attribute::IngressPolicyName,
            AttributeValue::Text("deny-all".into()),
        );
        let ingress = |said: &Attributes| PolicyVerdict::said(said).ingress;
        assert_eq!(&*ingress(&said).policy, "deny-all");
        said.set(
            Attribute::IngressPolicyNamespace,
            AttributeValue::Text("shop".into()),
        );
        said.set(Attribute::IngressPolicyAction, AttributeValue::Unsigned(2));
        assert_eq!(&*ingress(&said).policy, "shop/deny-all");
        assert_eq!(ingress(&said).action, "drop");
        said.set(Attribute::IngressPolicyAction, AttributeValue::Unsigned(9));
        assert_eq!(ingress(&said).action, "");
        assert!(PolicyVerdict::said(&said).egress.is_empty());
        let all = PolicyVerdict::said(&everything());
        assert!(!all.ingress.rule.is_empty() && !all.egress.action.is_empty());
        assert_eq!(Judged::from(PolicyVerdict::said(&Attributes::NONE)), Judged::NOT);
    }

    #[test]
    fn verdicts_that_say_the_same_are_equal_whoever_made_them() {
        let verdict = full().policy.verdict().unwrap().clone();
        let (one, other) = (Judged::from(verdict.clone()), Judged::from(verdict.clone()));
        assert_eq!(one, other);
        let different = PolicyVerdict {
            reason: "default",
            ..verdict
        };
        assert_ne!(one, Judged::from(different));
        assert_ne!(one, Judged::NOT);
    }
}
