//! Whether one may reach the other, and who decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_policy::policy::{Action, Tier};
use weir_policy::{
    Answer, Connection, Direction, Explanation, MatchingRule, RuleRef, Side, SideExplanation, Snapshot,
};

use crate::{Called, DecisionError, HIDDEN, Peer, Resolved, Sight, World, profile_name};

/// Who is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who opens the connection.
    pub client: Peer,
    /// Who is called.
    pub server: Peer,
    /// Its port.
    pub called: Called,
    /// So many pairs of addresses are looked at, at most.
    pub most_pairs: usize,
}

/// One answer, and one pair whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedPair)]
pub struct Explained {
    /// Who opens the connection.
    pub client: End,
    /// Who is called.
    pub server: End,
    /// Its port: `80/tcp`, `icmp`.
    pub port: String,
    /// `allow`, `deny`, `unknown`; empty of what no policy is about.
    pub answer: String,
    /// Why: docs/policy-semantics.md.
    pub reason: String,
    /// The client's policies.
    pub egress: ExplainedSide,
    /// The server's policies.
    pub ingress: ExplainedSide,
    /// What is worth a word.
    pub notes: Vec<String>,
    /// The network plugin that is assumed.
    pub profile: String,
    /// How many pairs of addresses have this answer.
    pub pairs: usize,
    /// Of how many.
    pub all_pairs: usize,
}

/// One end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExplainedEnd)]
pub struct End {
    /// `namespace/pod`, `node/name`, or the address.
    pub name: String,
    /// By which of its addresses.
    pub address: String,
}

/// What the policies of one end say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ExplainedSide {
    /// As that of both.
    pub answer: String,
    /// Why.
    pub reason: String,
    /// `namespace/name ingress[0]`; the policy alone where it isolates; `hidden` where whoever
    /// asks may not get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decided_by: Option<String>,
    /// The policies that isolate it; `hidden` for those that whoever asks may not get.
    pub isolated_by: Vec<String>,
    /// The rules that match, in the order in which they count; none of policies that whoever
    /// asks may not get.
    pub rules: Vec<ExplainedRule>,
    /// Objects that select it and are not evaluated.
    pub not_evaluated: Vec<String>,
}

/// A rule that matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct ExplainedRule {
    /// `admin`, `networkpolicy`, `baseline`.
    pub tier: String,
    /// `namespace/name ingress[0]`.
    pub rule: String,
    /// Its own name, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub name: String,
    /// `allow`, `deny`, `pass`.
    pub action: String,
    /// Whether it is certain that the rule matches.
    pub certain: bool,
}

/// The answers for all pairs of one address family, the commonest first.
///
/// # Errors
/// An end is not there, or may not be told of, or these are too many.
pub fn explain(world: &World, question: &Question) -> Result<Vec<Explained>, DecisionError> {
    let pods = &world.sight.pods;
    for peer in [&question.client, &question.server] {
        if let Some(namespace) = peer.namespace().filter(|namespace| !pods.has(namespace)) {
            return Err(DecisionError::ForeignPods(namespace.to_owned()));
        }
    }
    let engine = world.engine();
    let clients = question.client.resolve(&world.objects, &engine, pods)?;
    let servers = question.server.resolve(&world.objects, &engine, pods)?;
    let is_own = |end: &Resolved| end.namespace.is_some();
    if !pods.is_all() && !clients.iter().any(is_own) && !servers.iter().any(is_own) {
        let ends = [&question.client, &question.server].map(ToString::to_string);
        let [client, server] = ends;
        return Err(DecisionError::NobodysOwn(client, server));
    }
    answers(&engine.snapshot(), &clients, &servers, question, &world.sight)
}

/// 0 allowed, 1 denied, 3 neither or not the same for all.
pub fn exit_code(all: &[Explained]) -> u8 {
    let are = |answer: Answer| all.iter().all(|told| told.answer == answer.name());
    match (are(Answer::Allow), are(Answer::Deny)) {
        (true, _) => 0,
        (_, true) => 1,
        _ => 3,
    }
}

fn answers(
    snapshot: &Snapshot,
    clients: &[Resolved],
    servers: &[Resolved],
    question: &Question,
    sight: &Sight,
) -> Result<Vec<Explained>, DecisionError> {
    let pairs = || {
        let pairs = clients
            .iter()
            .flat_map(|client| servers.iter().map(move |server| (client, server)));
        pairs.filter(|(client, server)| client.address.is_ipv4() == server.address.is_ipv4())
    };
    let of_family =
        |ends: &[Resolved], is_v4| ends.iter().filter(|end| end.address.is_ipv4() == is_v4).count();
    let each = [true, false].map(|is_v4| of_family(clients, is_v4).saturating_mul(of_family(servers, is_v4)));
    let all_pairs = each.into_iter().fold(0, usize::saturating_add);
    if all_pairs == 0 {
        return Err(DecisionError::Families);
    }
    if all_pairs > question.most_pairs {
        return Err(DecisionError::TooManyPairs(all_pairs, question.most_pairs));
    }
    let called = question.called;
    let mut found: BTreeMap<(String, String, ExplainedSide, ExplainedSide), Explained> = BTreeMap::new();
    for (client, server) in pairs() {
        let connection = Connection::new(client.endpoint, server.endpoint, called.protocol, called.port);
        let explanation = snapshot.explain(&connection);
        let told = tell(snapshot, &explanation, (client, server), called, sight);
        let key = (
            told.answer.clone(),
            told.reason.clone(),
            told.egress.clone(),
            told.ingress.clone(),
        );
        let known = found.entry(key).or_insert(Explained { all_pairs, ..told });
        known.pairs += 1;
    }
    let mut told: Vec<Explained> = found.into_values().collect();
    told.sort_by_key(|told| std::cmp::Reverse(told.pairs));
    Ok(told)
}

fn tell(
    snapshot: &Snapshot,
    explanation: &Explanation,
    (client, server): (&Resolved, &Resolved),
    called: Called,
    sight: &Sight,
) -> Explained {
    let verdict = &explanation.verdict;
    let profile = profile_name(snapshot.profile().cni);
    let end = |end: &Resolved| End {
        name: end.name.clone(),
        address: end.address.to_string(),
    };
    let mut notes = Vec::new();
    if verdict.notes.block_hits_pods {
        notes.push("an ipBlock or network matches a pod's address".to_owned());
    }
    if verdict.notes.rewritten {
        notes.push("the client is a node: it may stand for somebody whose address it took".to_owned());
    }
    if verdict.notes.profile {
        notes.push(format!("{profile} does otherwise than the API says"));
    }
    let decider = |side: &Side, direction| side.decider.and_then(|decider| snapshot.rule(decider, direction));
    let egress = decider(&verdict.egress, Direction::Egress);
    let ingress = decider(&verdict.ingress, Direction::Ingress);
    Explained {
        client: end(client),
        server: end(server),
        port: called.to_string(),
        answer: verdict.answer.name().to_owned(),
        reason: verdict.reason.name().to_owned(),
        egress: side(&verdict.egress, &explanation.egress, egress.as_ref(), sight),
        ingress: side(&verdict.ingress, &explanation.ingress, ingress.as_ref(), sight),
        notes,
        profile: profile.to_owned(),
        pairs: 0,
        all_pairs: 0,
    }
}

fn side(
    side: &Side,
    explanation: &SideExplanation,
    decider: Option<&RuleRef>,
    sight: &Sight,
) -> ExplainedSide {
    let rules = explanation.matching.iter();
    ExplainedSide {
        answer: side.answer.name().to_owned(),
        reason: side.reason.name().to_owned(),
        decided_by: decider.map(|decider| sight.rule(decider)),
        isolated_by: sight.policies(&explanation.isolating),
        rules: rules
            .filter(|matching| sight.sees(&matching.rule.policy))
            .map(|matching| rule(matching, sight))
            .collect(),
        not_evaluated: sight.policies(&explanation.foreign),
    }
}

fn rule(matching: &MatchingRule, sight: &Sight) -> ExplainedRule {
    ExplainedRule {
        tier: match matching.tier {
            Tier::Admin => "admin",
            Tier::NetworkPolicy => "networkpolicy",
            Tier::Baseline => "baseline",
        }
        .to_owned(),
        rule: sight.rule(&matching.rule),
        name: matching.rule.name.clone(),
        action: match matching.action {
            Action::Accept => "allow",
            Action::Deny => "deny",
            Action::Pass => "pass",
        }
        .to_owned(),
        certain: matching.certain,
    }
}

impl ExplainedSide {
    /// What decides, or has a say, is not told.
    pub fn is_hidden(&self) -> bool {
        let is_hidden = |name: &String| name == HIDDEN;
        self.decided_by.as_ref().is_some_and(is_hidden) || self.isolated_by.iter().any(is_hidden)
    }
}

/// A row of it as CSV.
#[derive(Debug, Default, Serialize)]
pub struct ExplainedLine {
    client: String,
    client_address: String,
    server: String,
    server_address: String,
    port: String,
    answer: String,
    reason: String,
    egress: String,
    egress_reason: String,
    egress_decided_by: String,
    ingress: String,
    ingress_reason: String,
    ingress_decided_by: String,
    pairs: usize,
    all_pairs: usize,
}

impl From<&Explained> for ExplainedLine {
    fn from(told: &Explained) -> Self {
        let told = told.clone();
        Self {
            client: told.client.name,
            client_address: told.client.address,
            server: told.server.name,
            server_address: told.server.address,
            port: told.port,
            answer: told.answer,
            reason: told.reason,
            egress: told.egress.answer,
            egress_reason: told.egress.reason,
            egress_decided_by: told.egress.decided_by.unwrap_or_default(),
            ingress: told.ingress.answer,
            ingress_reason: told.ingress.reason,
            ingress_decided_by: told.ingress.decided_by.unwrap_or_default(),
            pairs: told.pairs,
            all_pairs: told.all_pairs,
        }
    }
}
