//! Policies beside the traffic that was seen: coverage, unused and wide rules.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_policy::inventory::Inventory;
use weir_policy::usage::{self, Coverage, RuleUse, SideTraffic, UsageInput};

use crate::{Traffic, World, rule_name, tally::TallyRow};

/// How far policies reach for a workload, or a pod that nobody controls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyCoverage)]
pub struct CoverageRow {
    /// `namespace/kind/name`, or `namespace/pod`.
    pub workload: String,
    /// Its namespace.
    pub ns: String,
    /// Who called it.
    pub ingress: CoverageSide,
    /// What it called.
    pub egress: CoverageSide,
}

/// One direction of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyCoverageSide)]
pub struct CoverageSide {
    /// Pods that NetworkPolicies isolate.
    pub isolated_pods: u64,
    /// All pods that run, with an address of their own.
    pub pods: u64,
    /// A rule allows it.
    pub by_rule: TallyRow,
    /// No policy says anything.
    pub by_default: TallyRow,
    /// Its own node, or itself.
    pub exempt: TallyRow,
    /// Its policies deny it.
    pub denied: TallyRow,
    /// It cannot be said.
    pub unknown: TallyRow,
}

/// A rule and its use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyRuleUse)]
pub struct RuleRow {
    /// `namespace/name ingress[0]`.
    pub rule: String,
    /// Its own name, or empty.
    pub name: String,
    /// Edges that match it, whether it decides about them or not.
    pub edges: u64,
    /// Their records.
    pub flows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first was seen, in nanoseconds since 1970; 0 of nothing.
    pub first_seen_ns: u64,
    /// When the last was seen, likewise.
    pub last_seen_ns: u64,
    /// Pods that its policy selects.
    pub pods: u64,
    /// Pairs of peer and port that were used.
    pub used: u64,
    /// Those that it allows.
    pub allowed: u64,
    /// One other rule that allows all that it does.
    pub shadowed_by: Option<String>,
}

impl CoverageRow {
    /// Whether some of its pods are isolated in neither direction or only in one.
    pub fn is_uncovered(&self) -> bool {
        [&self.ingress, &self.egress]
            .into_iter()
            .any(|side| side.isolated_pods < side.pods)
    }
}

/// Which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// That nothing hit, or that others make needless.
    Unused,
    /// That allow more than what used them, the widest first.
    Wide,
}

fn input<'a>(world: &World, traffic: &'a Traffic, inventory: &'a Inventory) -> UsageInput<'a> {
    UsageInput {
        edges: &traffic.edges,
        inventory,
        cluster: world.cluster(),
        profile: world.profile,
    }
}

fn is_wanted(namespaces: &[String], namespace: &str) -> bool {
    namespaces.is_empty() || namespaces.iter().any(|wanted| wanted == namespace)
}

/// How far policies reach, workload by workload, in these namespaces; in all where none is
/// named.
pub fn coverage(world: &World, traffic: &Traffic, namespaces: &[String]) -> Vec<CoverageRow> {
    let inventory = world.objects.inventory(Vec::new());
    let report = usage::coverage(input(world, traffic, &inventory));
    let all = report.workloads.into_iter();
    let told =
        all.filter(|one| is_wanted(namespaces, &one.namespace) && world.sight.pods.has(&one.namespace));
    told.map(covered).collect()
}

fn covered(one: Coverage) -> CoverageRow {
    CoverageRow {
        ingress: side(&one.ingress),
        egress: side(&one.egress),
        workload: one.name,
        ns: one.namespace,
    }
}

fn side(side: &SideTraffic) -> CoverageSide {
    CoverageSide {
        isolated_pods: side.isolation.isolated,
        pods: side.isolation.pods,
        by_rule: TallyRow::from(&side.by_rule),
        by_default: TallyRow::from(&side.by_default),
        exempt: TallyRow::from(&side.exempt),
        denied: TallyRow::from(&side.denied),
        unknown: TallyRow::from(&side.unknown),
    }
}

/// Rules of policies of these namespaces; of all, the cluster's too, where none is named. Of a
/// policy whose names may not be told, or not all of whose traffic is seen, nothing is said.
pub fn rules(world: &World, traffic: &Traffic, which: Rules, namespaces: &[String]) -> Vec<RuleRow> {
    let inventory = world.objects.inventory(Vec::new());
    let all = usage::rule_usage(input(world, traffic, &inventory));
    let chosen = match which {
        Rules::Unused => usage::unused(&all),
        Rules::Wide => usage::wide(&all),
    };
    let told = chosen.into_iter().filter(|found| {
        let policy = &found.rule.policy;
        is_wanted(namespaces, &policy.namespace) && world.sight.sees_use_of(policy)
    });
    told.map(|found| rule(world, found)).collect()
}

fn rule(world: &World, found: &RuleUse) -> RuleRow {
    RuleRow {
        rule: rule_name(&found.rule),
        name: found.rule.name.clone(),
        edges: found.hits.edges,
        flows: found.hits.flows,
        bytes: found.hits.bytes,
        first_seen_ns: found.first,
        last_seen_ns: found.last,
        pods: found.subjects,
        used: found.used,
        allowed: found.allowed,
        shadowed_by: found.shadowed_by.as_ref().map(|by| world.sight.rule(by)),
    }
}
