//! Where policies and what was seen do not go together: denied though answered, allowed though
//! dropped.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_policy::edges::EdgeSet;
use weir_policy::usage::{
    Cause, Disagreeing, DisagreementInput, NotEnforced, UsageInput, disagreements as compared,
};
use weir_policy::{PolicyKey, words};

use crate::{EdgeRow, Traffic, World, profile_name};

/// An edge of which policies say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyDisagreement)]
pub struct DisagreementRow {
    /// `denied_but_answered` or `allowed_but_dropped`.
    pub kind: String,
    /// Which edge.
    #[serde(flatten)]
    pub edge: EdgeRow,
    /// The end whose policies say so: `egress` (the client) or `ingress`.
    pub side: String,
    /// The policy; none where no policy says anything.
    pub policy: Option<String>,
    /// Its rule; the policy alone where it isolates.
    pub rule: Option<String>,
    /// What may be behind it: `older` (the traffic began before the policy was there), `plugin`
    /// (another network plugin would allow it), `not_enforced`, `another_firewall`.
    pub cause: String,
    /// Of `plugin`: which.
    pub plugin: Option<String>,
}

/// A policy whose denials were answered for an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyNotEnforced)]
pub struct NotEnforcedRow {
    /// `namespace/name`; the name alone of cluster kinds.
    pub policy: String,
    /// When what it denies was seen first, in nanoseconds since 1970.
    pub first_seen_ns: u64,
    /// When what it denies was seen last, likewise.
    pub last_seen_ns: u64,
    /// Edges that it denies and that were answered.
    pub edges: u64,
    /// Their records.
    pub flows: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disagreements {
    /// Those with the most flows first, denied ones before dropped ones.
    pub rows: Vec<DisagreementRow>,
    /// By policy.
    pub not_enforced: Vec<NotEnforcedRow>,
}

/// Holds policies against what was answered, and what the switch dropped. Of namespaces, where
/// some are named, either end of the edge is in one of them.
pub fn disagreements(
    world: &World,
    traffic: &Traffic,
    dropped: &EdgeSet,
    namespaces: &[String],
) -> Disagreements {
    let inventory = world.objects.inventory(Vec::new());
    let created = created(world);
    let found = compared(DisagreementInput {
        usage: UsageInput {
            edges: &traffic.edges,
            inventory: &inventory,
            cluster: world.cluster(),
            profile: world.profile,
        },
        dropped,
        created: &created,
    });
    let of = |edges: &EdgeSet, all: &[Disagreeing], kind: &str| {
        let rows = all.iter().map(|one| row(world, edges, one, kind));
        rows.filter(|row| is_wanted(row, namespaces)).collect::<Vec<_>>()
    };
    let mut rows = of(&traffic.edges, &found.answered, "denied_but_answered");
    rows.extend(of(dropped, &found.dropped, "allowed_but_dropped"));
    let told = found.not_enforced.iter().filter(|one| {
        let namespace = &one.policy.namespace;
        world.sight.sees(&one.policy) && (namespaces.is_empty() || namespaces.contains(namespace))
    });
    Disagreements {
        rows,
        not_enforced: told.map(not_enforced).collect(),
    }
}

/// When each policy was made, in nanoseconds since 1970.
fn created(world: &World) -> BTreeMap<PolicyKey, u64> {
    let all = world.objects.created.iter();
    all.filter_map(|(key, time)| {
        let time: Timestamp = time.parse().ok()?;
        Some((key.clone(), u64::try_from(time.as_nanosecond()).ok()?))
    })
    .collect()
}

fn is_wanted(row: &DisagreementRow, namespaces: &[String]) -> bool {
    let is_of = |end: &str| {
        let end = end.strip_prefix("service ").unwrap_or(end);
        let namespace = end.split_once('/').map(|(namespace, _)| namespace);
        namespace.is_some_and(|namespace| namespaces.iter().any(|wanted| wanted == namespace))
    };
    namespaces.is_empty() || is_of(&row.edge.client) || is_of(&row.edge.server)
}

fn row(world: &World, edges: &EdgeSet, found: &Disagreeing, kind: &str) -> DisagreementRow {
    let (cause, plugin) = match found.cause {
        Cause::Older => ("older", None),
        Cause::Plugin(cni) => ("plugin", Some(profile_name(cni).to_owned())),
        Cause::NotEnforced => ("not_enforced", None),
        Cause::AnotherFirewall => ("another_firewall", None),
    };
    DisagreementRow {
        kind: kind.to_owned(),
        edge: EdgeRow::of(edges, &found.edge),
        side: words::direction(found.side).to_owned(),
        policy: found.rule.as_ref().map(|rule| world.sight.policy(&rule.policy)),
        rule: found.rule.as_ref().map(|rule| world.sight.rule(rule)),
        cause: cause.to_owned(),
        plugin,
    }
}

fn not_enforced(one: &NotEnforced) -> NotEnforcedRow {
    NotEnforcedRow {
        policy: one.policy.to_string(),
        first_seen_ns: one.first,
        last_seen_ns: one.last,
        edges: one.answered.edges,
        flows: one.answered.flows,
    }
}
