//! `weir rollout`: how a change of flow export goes from node to node, what was in force
//! before, and the two words that a person has in it: yes, and back.

mod history;
mod undo;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use weir_api::condition::holds;
use weir_api::rollout::PROGRESSING;
use weir_api::{ExportRollout, ExportRolloutStatus, RolloutPhase};

use weir_exports::Kept;
use weir_exports::rollout::told;

use crate::cluster::ClusterArgs;
use crate::plain::{Plain, PlainArgs};
use crate::table::{Head, Table, harmless_lines};
use crate::terminal::{self, report, say};
use crate::zone::TimeStyle;
use crate::{dynamic, show};

/// How often a rollout that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments of `weir rollout`.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show how far the change is, and what it waits for
    ///
    /// Exit code 0: all nodes have it; 1: not all have, or it was ended; 2: it cannot be told.
    Status(StatusArgs),
    /// List the revisions that can be returned to
    History(HistoryArgs),
    /// Ask for what an earlier revision asked for
    ///
    /// Writes the collectors of that revision into the Network (or FlowExport) and its settings
    /// into the ExportProfiles; those that it did not have are deleted. Unless --to is given that
    /// is the last completed revision, or, where all nodes have that, the one before it. To
    /// return to what all nodes have passes at once; another goes from step to step.
    Undo(undo::UndoArgs),
    /// Agree to go on: after the first step, or in spite of what ended the change
    Approve(ApproveArgs),
}

const INSTEAD: &str = "give --kubeconfig";

#[derive(Debug, Args)]
struct StatusArgs {
    /// Wait so long until all nodes have it or it stops
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    #[command(flatten)]
    output: PlainArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Args)]
struct HistoryArgs {
    /// Show times in UTC, not in the zone of this host or of $TZ
    #[arg(long)]
    utc: bool,
    #[command(flatten)]
    output: PlainArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Args)]
struct ApproveArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Does what is asked.
///
/// # Errors
/// The cluster cannot be reached, or has no `ExportRollout`.
pub async fn run(args: RolloutArgs) -> Result<ExitCode> {
    match args.what {
        What::Status(args) => status(args).await,
        What::History(args) => list(args).await,
        What::Undo(args) => undo::run(args).await,
        What::Approve(args) => approve(args).await,
    }
}

fn object() -> Value {
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ExportRollout", "metadata": {"name": "cluster"}})
}

/// The one that counts.
async fn read(client: &Client) -> Result<ExportRollout> {
    let found = dynamic::read(client, &object()).await;
    let Some(found) = found.context("cannot read the ExportRollout named cluster")? else {
        bail!("there is no ExportRollout named cluster: changes go to all nodes at once");
    };
    serde_json::from_value(found).context("this weir cannot read the ExportRollout")
}

async fn status(args: StatusArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let client = args.cluster.connect(INSTEAD).await?;
    let end = args
        .wait
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    // A change that was made just now is not seen by the controller yet: rest is seen twice.
    let mut rested = false;
    let rollout = loop {
        let rollout = read(&client).await?;
        let rests = is_at_rest(&rollout);
        if (rests && rested) || end.is_none_or(|end| Instant::now() >= end) {
            break rollout;
        }
        rested = rests;
        sleep(LOOK).await;
    };
    let status = rollout.status.unwrap_or_default();
    match form {
        Plain::Table => {
            show::table(&table(&status), !args.output.no_headers)?;
            for line in told(&status) {
                writeln!(io::stdout(), "{}", harmless_lines(&line))?;
            }
        }
        Plain::Json => show::json(&mut io::stdout(), &status, terminal::width().is_some())?,
        Plain::Name => {
            let revision = status.revision.clone().unwrap_or_default();
            writeln!(io::stdout(), "{}", harmless_lines(&revision))?;
        }
    }
    let done = status.phase == RolloutPhase::Completed && status.revision.is_some();
    Ok(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The controller has seen the newest spec, and nothing goes on by itself.
fn is_at_rest(rollout: &ExportRollout) -> bool {
    let status = rollout.status.as_ref();
    status.is_some_and(|status| {
        status.observed_generation >= rollout.metadata.generation && !holds(&status.conditions, PROGRESSING)
    })
}

fn table(status: &ExportRolloutStatus) -> Table {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let mut table = Table::new(vec![
        Head::text("PHASE"),
        Head::text("STEP"),
        Head::text("NODES"),
        Head::text("REVISION"),
        Head::text("COMPLETED"),
    ]);
    let step = match status.step {
        0 => "-".to_owned(),
        step => step.to_string(),
    };
    table.push(vec![
        format!("{:?}", status.phase),
        step,
        format!("{} of {}", status.released_nodes, status.total_nodes),
        or_dash(&status.revision),
        or_dash(&status.completed_revision),
    ]);
    table
}

async fn list(args: HistoryArgs) -> Result<ExitCode> {
    let form = args.output.form()?;
    let client = args.cluster.connect(INSTEAD).await?;
    let status = read(&client).await?.status.unwrap_or_default();
    let kept = history::kept(&client).await?;
    match form {
        Plain::Table => {
            let zone = match args.utc {
                true => jiff::tz::TimeZone::UTC,
                false => jiff::tz::TimeZone::system(),
            };
            let times = TimeStyle::new(zone, Timestamp::now(), terminal::width());
            show::table(&history::table(&kept, &status, &times), !args.output.no_headers)?;
        }
        Plain::Json => show::json(&mut io::stdout(), &kept, terminal::width().is_some())?,
        Plain::Name => {
            for Kept { revision, .. } in &kept {
                writeln!(io::stdout(), "{}", harmless_lines(revision))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn approve(args: ApproveArgs) -> Result<ExitCode> {
    let client = args.cluster.announced(INSTEAD).await?;
    let rollout = read(&client).await?;
    let status = rollout.status.unwrap_or_default();
    let Some(awaiting) = status.awaiting else {
        say("weir: nobody is waited for");
        return Ok(ExitCode::FAILURE);
    };
    let patch = json!({"spec": {"approved": awaiting}});
    let patched = dynamic::merge(&client, &object(), &patch).await;
    patched.context("cannot patch the ExportRollout named cluster")?;
    report(&format!(
        "revision {} goes on",
        status.revision.as_deref().unwrap_or_default()
    ));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": format!("{kind}Reason"), "message": "why",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn a_row_says_where_a_change_is() {
        let soaking =
            json!({"phase": "Soaking", "step": 1, "revision": "r", "releasedNodes": 1, "totalNodes": 9});
        let soaking: ExportRolloutStatus = serde_json::from_value(soaking).unwrap();
        let lines = table(&soaking).lines(None);
        assert!(
            lines[1].contains("Soaking") && lines[1].contains("1 of 9"),
            "{lines:?}"
        );
    }

    #[test]
    fn it_is_at_rest_when_the_newest_spec_was_seen_and_nothing_progresses() {
        let rollout = |generation: i64, progressing: &str| -> ExportRollout {
            serde_json::from_value(
                json!({"metadata": {"name": "cluster", "generation": generation}, "spec": {},
                "status": {"observedGeneration": 2, "conditions": [condition("Progressing", progressing)]}}),
            )
            .unwrap()
        };
        assert!(is_at_rest(&rollout(2, "False")));
        assert!(!is_at_rest(&rollout(3, "False")) && !is_at_rest(&rollout(2, "True")));
    }
}
