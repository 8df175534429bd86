//! `weir policy lint`: what is odd about policies.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use weir_collector::api::policy::answer::LintAnswer;
use weir_decisions::lint::{Finding, findings};

use super::remote;
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

/// Does what is asked.
///
/// # Errors
/// The policies cannot be had.
pub async fn run(args: LintArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let findings = rows(&args).await?;
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

async fn rows(args: &LintArgs) -> Result<Vec<Finding>> {
    if let Some(server) = args.source.collector()? {
        let pairs = args.source.objects.profile_pair().into_iter().collect();
        if let Some(answer) = remote::ask::<LintAnswer>(&server, "lint", &pairs, None).await? {
            show::notes(&answer.notes);
            return Ok(answer.rows);
        }
    }
    Ok(findings(&args.source.read().await?, &[]))
}

fn table(findings: &[Finding]) -> Table {
    let heads = ["POLICY", "CODE", "PLACE", "MEANS"];
    let mut table = Table::new(heads.into_iter().map(Head::text).collect());
    for finding in findings {
        table.push(vec![
            finding.policy.clone(),
            finding.code.clone(),
            finding.place.clone(),
            finding.means.clone(),
        ]);
    }
    table
}
