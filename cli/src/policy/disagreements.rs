//! `weir policy disagreements`: where policies and what was seen do not go together.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use weir_collector::api::policy::answer::DisagreementsAnswer;
use weir_decisions::disagreements::{DisagreementRow, Disagreements, NotEnforcedRow, disagreements};
use weir_decisions::grouped;

use super::remote;
use super::replay::moment;
use super::usage::UsageArgs;
use crate::plain::Plain;
use crate::source::list;
use crate::table::{Head, Table, harmless_lines};
use crate::terminal::say;
use crate::zone::TimeStyle;
use crate::{show, terminal};

/// Does what is asked. Policies that nobody enforces are told on standard error, and in JSON.
///
/// # Errors
/// Objects or traffic cannot be had.
pub async fn run(args: UsageArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let found = found(&args).await?;
    let times = args.replay.times();
    match form {
        Plain::Table => {
            show::table(&table(&found.rows, &times), !args.output.no_headers)?;
            found.not_enforced.iter().for_each(|one| say(&told(one, &times)));
        }
        Plain::Json => {
            let all = json!({"rows": found.rows, "not_enforced": found.not_enforced});
            show::json(&mut io::stdout(), &all, terminal::width().is_some())?;
        }
        Plain::Name => {
            let mut policies: Vec<&String> =
                found.rows.iter().filter_map(|row| row.policy.as_ref()).collect();
            policies.sort();
            policies.dedup();
            for policy in policies {
                writeln!(io::stdout(), "{}", harmless_lines(policy))?;
            }
        }
    }
    Ok(match found.rows.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn found(args: &UsageArgs) -> Result<Disagreements> {
    if let Some(server) = args.replay.collector(false)? {
        let mut pairs = args.replay.pairs()?;
        pairs.extend(list("ns", &args.namespaces));
        let answer = remote::ask::<DisagreementsAnswer>(&server, "disagreements", &pairs, None).await?;
        if let Some(answer) = answer {
            show::notes(&answer.notes);
            return Ok(Disagreements {
                rows: answer.rows,
                not_enforced: answer.not_enforced,
            });
        }
    }
    let (world, traffic) = args.replay.read().await?;
    world.require(&args.namespaces)?;
    let dropped = args.replay.evidence.dropped().await?;
    Ok(disagreements(&world, &traffic, &dropped, &args.namespaces))
}

fn told(one: &NotEnforcedRow, times: &TimeStyle) -> String {
    let flows = grouped(one.flows);
    let since = moment(times, one.first_seen_ns);
    harmless_lines(&format!(
        "{} is not enforced: {flows} flows that it denies were answered since {since}",
        one.policy
    ))
}

fn table(rows: &[DisagreementRow], times: &TimeStyle) -> Table {
    let mut table = Table::new(vec![
        Head::text("CLIENT"),
        Head::text("SERVER"),
        Head::text("PORT"),
        Head::number("FLOWS"),
        Head::text(times.head("FIRST")),
        Head::text(times.head("LAST")),
        Head::text("DIRECTION"),
        Head::text("POLICY SAYS"),
        Head::text("SEEN"),
        Head::text("BY"),
        Head::text("MAY BE"),
    ]);
    for row in rows {
        let (says, seen) = match row.kind.as_str() {
            "denied_but_answered" => ("deny", "answered"),
            _ => ("allow", "dropped"),
        };
        table.push(vec![
            row.edge.client.clone(),
            row.edge.server.clone(),
            row.edge.port.clone(),
            grouped(row.edge.flows),
            moment(times, row.edge.first_seen_ns),
            moment(times, row.edge.last_seen_ns),
            row.edge.strength.clone(),
            says.to_owned(),
            seen.to_owned(),
            match &row.rule {
                Some(rule) => format!("{rule} ({})", row.side),
                None => "no policy".to_owned(),
            },
            cause(row),
        ]);
    }
    table
}

fn cause(row: &DisagreementRow) -> String {
    match (row.cause.as_str(), &row.plugin) {
        ("older", _) => "older than the policy".to_owned(),
        ("plugin", Some(plugin)) => format!("the plugin is {plugin}"),
        ("another_firewall", _) => "another firewall".to_owned(),
        _ => "not enforced".to_owned(),
    }
}
