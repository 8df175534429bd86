//! `weir policy coverage`, `unused` and `wide`: policies beside the traffic that was seen.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_collector::api::policy::answer::{CoverageAnswer, RulesAnswer};
use weir_decisions::usage::{self, CoverageSide, RuleRow, Rules, coverage};
use weir_decisions::{TallyRow, Traffic, World, grouped};
use weir_query::Note;

use super::remote;
use super::replay::{ReplayArgs, moment};
use crate::plain::{Plain, PlainArgs};
use crate::source::list;
use crate::table::{Head, Table, harmless_lines};
use crate::zone::TimeStyle;
use crate::{show, terminal};

/// Arguments of the reports.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Only workloads or policies of this namespace, none of the cluster's; may be repeated
    #[arg(long = "ns", value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    #[command(flatten)]
    pub output: PlainArgs,
    #[command(flatten)]
    pub replay: ReplayArgs,
}

impl UsageArgs {
    /// The rows of a page, or those that are made here. A namespace that is not there has no pod
    /// that is not isolated, which nobody wants to hear.
    async fn rows<A: DeserializeOwned, T>(
        &self,
        page: &str,
        taken: impl FnOnce(A) -> (Vec<T>, Vec<Note>),
        made: impl FnOnce(&World, &Traffic, &[String]) -> Vec<T>,
    ) -> Result<Vec<T>> {
        self.output.form()?;
        if let Some(server) = self.replay.collector(false)? {
            let mut pairs = self.replay.pairs()?;
            pairs.extend(list("ns", &self.namespaces));
            if let Some(answer) = remote::ask(&server, page, &pairs, None).await? {
                let (rows, notes) = taken(answer);
                show::notes(&notes);
                return Ok(rows);
            }
        }
        let (world, traffic) = self.replay.read().await?;
        world.require(&self.namespaces)?;
        Ok(made(&world, &traffic, &self.namespaces))
    }
}

/// Writes rows in the form that is asked for.
fn write<T: Serialize>(args: &UsageArgs, rows: &[T], table: Table, name: impl Fn(&T) -> &str) -> Result<()> {
    match args.output.form()? {
        Plain::Table => show::table(&table, !args.output.no_headers)?,
        Plain::Json => {
            show::json(&mut io::stdout(), &rows, terminal::width().is_some())?;
        }
        Plain::Name => {
            for row in rows {
                writeln!(io::stdout(), "{}", harmless_lines(name(row)))?;
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
    let taken = |answer: CoverageAnswer| (answer.rows, answer.notes);
    let rows = args.rows("coverage", taken, coverage).await?;
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
        let isolated = |side: &CoverageSide| format!("{} of {}", side.isolated_pods, side.pods);
        let both = |of: fn(&CoverageSide) -> &TallyRow| {
            format!(
                "{} in, {} out",
                grouped(of(ingress).flows),
                grouped(of(egress).flows)
            )
        };
        table.push(vec![
            one.workload.clone(),
            isolated(ingress),
            isolated(egress),
            both(|side| &side.by_rule),
            both(|side| &side.by_default),
            both(|side| &side.denied),
            both(|side| &side.unknown),
        ]);
    }
    write(&args, &rows, table, |one| &one.workload)?;
    let is_covered = rows.iter().all(|one| !one.is_uncovered());
    Ok(if is_covered {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Rules that nothing hit, or that others make needless.
///
/// # Errors
/// Objects or traffic cannot be had.
pub async fn not_used(args: UsageArgs) -> Result<ExitCode> {
    rules(args, "unused", Rules::Unused).await
}

/// Rules that allow more than what used them.
///
/// # Errors
/// Objects or traffic cannot be had.
pub async fn too_wide(args: UsageArgs) -> Result<ExitCode> {
    rules(args, "wide", Rules::Wide).await
}

async fn rules(args: UsageArgs, page: &str, which: Rules) -> Result<ExitCode> {
    let taken = |answer: RulesAnswer| (answer.rows, answer.notes);
    let made = |world: &World, traffic: &Traffic, namespaces: &[String]| {
        usage::rules(world, traffic, which, namespaces)
    };
    let rows = args.rows(page, taken, made).await?;
    let table = rule_table(&rows, &args.replay.times());
    write(&args, &rows, table, |found| &found.rule)?;
    Ok(if rows.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn rule_table(rows: &[RuleRow], times: &TimeStyle) -> Table {
    let mut table = Table::new(vec![
        Head::text("RULE"),
        Head::number("FLOWS"),
        Head::text(times.head("LAST")),
        Head::number("USED"),
        Head::number("ALLOWED"),
        Head::number("PODS"),
        Head::text("SHADOWED BY"),
    ]);
    for found in rows {
        let last = match found.edges {
            0 => "never".to_owned(),
            _ => moment(times, found.last_seen_ns),
        };
        table.push(vec![
            found.rule.clone(),
            grouped(found.flows),
            last,
            grouped(found.used),
            grouped(found.allowed),
            grouped(found.pods),
            found.shadowed_by.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}
