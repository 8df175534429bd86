//! What is odd about policies.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_policy::lint::{Lint, LintCode, lint};

use crate::World;

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyFinding)]
pub struct Finding {
    /// `namespace/name`; the name alone of cluster kinds.
    pub policy: String,
    /// Its kind.
    pub kind: String,
    /// What is odd: `dead_rules`, `bad_selector`, `unknown_peer`, `protocol_without_port`,
    /// `named_port_opens_protocol`, `equal_priority`.
    pub code: String,
    /// Where: `spec.ingress[0]`, or the other policy of `equal_priority`.
    pub place: String,
    /// What that comes to.
    pub means: String,
}

/// All findings about the policies that may be told of, in these namespaces; all when none is
/// named.
pub fn findings(world: &World, namespaces: &[String]) -> Vec<Finding> {
    let policies = world.all_policies();
    let is_wanted = |found: &Lint| {
        let namespace = &found.policy.namespace;
        world.sight.sees(&found.policy) && (namespaces.is_empty() || namespaces.contains(namespace))
    };
    let found = lint(&policies, &world.profile).into_iter();
    found.filter(is_wanted).map(finding).collect()
}

fn finding(lint: Lint) -> Finding {
    Finding {
        policy: lint.policy.to_string(),
        kind: lint.policy.kind.name().to_owned(),
        code: lint.code.name().to_owned(),
        place: lint.place,
        means: meaning(lint.code).to_owned(),
    }
}

fn meaning(code: LintCode) -> &'static str {
    match code {
        LintCode::DeadRules => "policyTypes leaves this direction out: the rule never counts",
        LintCode::BadSelector => "cannot be understood: it selects nothing",
        LintCode::UnknownPeer => "names nobody known: it allows nothing, and denies everybody",
        LintCode::ProtocolWithoutPort => "is refused by the API; taken for all ports",
        LintCode::NamedPortOpensProtocol => "this network plugin opens all ports of the protocol",
        LintCode::EqualPriority => "has the same priority: where they disagree, either may win",
    }
}
