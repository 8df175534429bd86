//! `weir policy lint`: what is odd about policies.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use weir_policy::lint::{Lint, LintCode, lint};

use super::source::AnySourceArgs;
use crate::plain::{Plain, PlainArgs};
use crate::table::{Head, Table, harmless_lines};
use crate::{show, terminal};

/// Arguments of `weir policy lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    #[command(flatten)]
    source: AnySourceArgs,
    #[command(flatten)]
    output: PlainArgs,
}

/// A finding as it is written.
#[derive(Debug, Serialize)]
struct Finding {
    policy: String,
    kind: &'static str,
    code: &'static str,
    place: String,
    means: &'static str,
}

/// Does what is asked.
///
/// # Errors
/// The policies cannot be had.
pub async fn run(args: LintArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let source = args.source.read().await?;
    let policies = source.all_policies();
    let findings: Vec<Finding> = lint(&policies, &source.profile)
        .into_iter()
        .map(finding)
        .collect();
    match form {
        Plain::Table => show::table(&table(&findings), !args.output.no_headers)?,
        Plain::Json => show::json(&mut io::stdout(), &findings, terminal::width().is_some())?,
        Plain::Name => {
            for finding in &findings {
                writeln!(io::stdout(), "{}", harmless_lines(&finding.policy))?;
            }
        }
    }
    Ok(match findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn finding(lint: Lint) -> Finding {
    Finding {
        policy: lint.policy.to_string(),
        kind: lint.policy.kind.name(),
        code: lint.code.name(),
        place: lint.place,
        means: meaning(lint.code),
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

fn table(findings: &[Finding]) -> Table {
    let heads = ["POLICY", "CODE", "PLACE", "MEANS"];
    let mut table = Table::new(heads.into_iter().map(Head::text).collect());
    for finding in findings {
        table.push(vec![
            finding.policy.clone(),
            finding.code.to_owned(),
            finding.place.clone(),
            finding.means.to_owned(),
        ]);
    }
    table
}
