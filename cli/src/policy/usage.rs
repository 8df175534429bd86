//! `weir policy coverage`, `unused` and `wide`: policies beside the traffic that was seen.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use weir_policy::edges::Tally;
use weir_policy::usage::{Coverage, RuleUse, SideTraffic, UsageInput, coverage, rule_usage, unused, wide};

use super::explain::rule_name;
use super::replay::{Held, ReplayArgs, grouped, moment};
use crate::plain::{Plain, PlainArgs};
use crate::table::{Head, Table, harmless_lines};
use crate::zone::TimeStyle;
use crate::{show, terminal};

/// Arguments of the reports.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Only workloads or policies of this namespace, none of the cluster's; may be repeated
    #[arg(long = "ns", value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    #[command(flatten)]
    output: PlainArgs,
    #[command(flatten)]
    replay: ReplayArgs,
}

impl UsageArgs {
    fn is_wanted(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|wanted| wanted == namespace)
    }
}

impl UsageArgs {
    /// Reads all of it. A namespace that is not there has no pod that is not isolated, which
    /// nobody wants to hear.
    async fn read(&self) -> Result<Held> {
        self.output.form()?;
        let held = self.replay.read().await?;
        let cluster = &held.source.objects.cluster;
        for wanted in &self.namespaces {
            let is_there = cluster.pods.iter().any(|pod| pod.namespace == *wanted)
                || cluster
                    .namespaces
                    .iter()
                    .any(|namespace| namespace.name == *wanted);
            if !is_there {
                bail!("there is no namespace {wanted}");
            }
        }
        Ok(held)
    }
}

fn input(held: &Held) -> UsageInput<'_> {
    let mut cluster = held.source.objects.cluster.clone();
    cluster.policies = held.source.all_policies();
    UsageInput {
        edges: &held.evidence.edges,
        inventory: &held.inventory,
        cluster,
        profile: held.source.profile,
    }
}

/// Writes rows in the form that is asked for.
fn write<T>(
    args: &UsageArgs,
    rows: &[T],
    table: Table,
    as_json: impl Fn(&T) -> Value,
    name: impl Fn(&T) -> String,
) -> Result<()> {
    match args.output.form()? {
        Plain::Table => show::table(&table, !args.output.no_headers)?,
        Plain::Json => {
            let all: Vec<Value> = rows.iter().map(as_json).collect();
            show::json(&mut io::stdout(), &all, terminal::width().is_some())?;
        }
        Plain::Name => {
            for row in rows {
                writeln!(io::stdout(), "{}", harmless_lines(&name(row)))?;
            }
        }
    }
    Ok(())
}

/// How far policies reach, workload by workload.
///
/// # Errors
/// Objects or traffic cannot be had.
pub async fn covered(args: UsageArgs) -> Result<ExitCode> {
    let held = args.read().await?;
    let report = coverage(input(&held));
    let rows: Vec<Coverage> = report
        .workloads
        .into_iter()
        .filter(|one| args.is_wanted(&one.namespace))
        .collect();
    let heads = [
        "WORKLOAD",
        "ISOLATED IN",
        "ISOLATED OUT",
        "BY RULE",
        "OPEN",
        "DENIED",
        "UNKNOWN",
    ];
    let mut table = Table::new(heads.into_iter().map(Head::text).collect());
    for one in &rows {
        let (ingress, egress) = (&one.ingress, &one.egress);
        let isolated = |side: &SideTraffic| format!("{} of {}", side.isolation.isolated, side.isolation.pods);
        let both = |of: fn(&SideTraffic) -> &Tally| {
            format!(
                "{} in, {} out",
                grouped(of(ingress).flows),
                grouped(of(egress).flows)
            )
        };
        table.push(vec![
            one.name.clone(),
            isolated(ingress),
            isolated(egress),
            both(|side| &side.by_rule),
            both(|side| &side.by_default),
            both(|side| &side.denied),
            both(|side| &side.unknown),
        ]);
    }
    write(&args, &rows, table, coverage_json, |one| one.name.clone())?;
    let is_covered = rows.iter().all(|one| !one.is_uncovered());
    Ok(if is_covered {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn coverage_json(one: &Coverage) -> Value {
    let side = |side: &SideTraffic| {
        let tally = |tally: &Tally| json!({"edges": tally.edges, "flows": tally.flows, "bytes": tally.bytes});
        json!({
            "isolated_pods": side.isolation.isolated, "pods": side.isolation.pods,
            "by_rule": tally(&side.by_rule), "by_default": tally(&side.by_default),
            "exempt": tally(&side.exempt), "denied": tally(&side.denied), "unknown": tally(&side.unknown),
        })
    };
    json!({"workload": one.name, "ns": one.namespace, "ingress": side(&one.ingress), "egress": side(&one.egress)})
}

/// Rules that nothing hit, or that others make needless.
///
/// # Errors
/// Objects or traffic cannot be had.
pub async fn not_used(args: UsageArgs) -> Result<ExitCode> {
    rules(args, unused).await
}

/// Rules that allow more than what used them.
///
/// # Errors
/// Objects or traffic cannot be had.
pub async fn too_wide(args: UsageArgs) -> Result<ExitCode> {
    rules(args, wide).await
}

async fn rules(args: UsageArgs, choose: impl Fn(&[RuleUse]) -> Vec<&RuleUse>) -> Result<ExitCode> {
    let held = args.read().await?;
    let usage = rule_usage(input(&held));
    let mut chosen = choose(&usage);
    chosen.retain(|found| args.is_wanted(&found.rule.policy.namespace));
    let times = args.replay.times();
    let table = rule_table(&chosen, &times);
    write(
        &args,
        &chosen,
        table,
        |found| rule_json(found),
        |found| rule_name(&found.rule),
    )?;
    Ok(if chosen.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn rule_table(chosen: &[&RuleUse], times: &TimeStyle) -> Table {
    let mut table = Table::new(vec![
        Head::text("RULE"),
        Head::number("FLOWS"),
        Head::text(times.head("LAST")),
        Head::number("USED"),
        Head::number("ALLOWED"),
        Head::number("PODS"),
        Head::text("SHADOWED BY"),
    ]);
    for found in chosen {
        let last = match found.hits.edges {
            0 => "never".to_owned(),
            _ => moment(times, found.last),
        };
        table.push(vec![
            rule_name(&found.rule),
            grouped(found.hits.flows),
            last,
            grouped(found.used),
            grouped(found.allowed),
            grouped(found.subjects),
            found
                .shadowed_by
                .as_ref()
                .map_or_else(|| "-".to_owned(), rule_name),
        ]);
    }
    table
}

fn rule_json(found: &RuleUse) -> Value {
    json!({
        "rule": rule_name(&found.rule), "name": found.rule.name,
        "edges": found.hits.edges, "flows": found.hits.flows, "bytes": found.hits.bytes,
        "first_seen_ns": found.first, "last_seen_ns": found.last,
        "pods": found.subjects, "used": found.used, "allowed": found.allowed,
        "shadowed_by": found.shadowed_by.as_ref().map(rule_name),
    })
}
