//! `weir flows --follow`: records as they arrive. A tail ends now and then, so that
//! the collector looks again at who asks; it is asked for anew then.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use futures::io::{AsyncBufReadExt, Lines};
use serde_json::Value;
use tokio::signal::ctrl_c;
use weir_collector::api::answer::Row;

use crate::server::{Pairs, Server};
use crate::show::{Output, Records};
use crate::source::{self, Source};

/// Follows until Ctrl-C.
///
/// # Errors
/// The filter is wrong, nobody answers, or the source is no server.
pub async fn run(
    source: &Source,
    filter: &str,
    columns: &[String],
    all_observations: bool,
    output: Output,
) -> Result<ExitCode> {
    let Source::Server(server) = source else {
        bail!("files do not tell what arrives: --follow needs a collector that runs");
    };
    let mut pairs = vec![
        ("filter", filter.to_owned()),
        ("all_observations", all_observations.to_string()),
    ];
    pairs.extend(source::list("columns", columns));
    let mut paper = Records::new(output, columns.is_empty());
    let follow = async {
        loop {
            one_tail(server, &pairs, columns, &mut paper).await?;
        }
    };
    tokio::select! {
        ended = follow => ended,
        stopped = ctrl_c() => {
            stopped.context("cannot wait for Ctrl-C")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn one_tail(server: &Server, pairs: &Pairs, columns: &[String], paper: &mut Records) -> Result<()> {
    let mut lines: Lines<_> = server.stream("tail", pairs).await?.lines();
    while let Some(line) = lines.next().await {
        let line = line.with_context(|| format!("{server} is gone"))?;
        if line.is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line).with_context(|| format!("{server} sent {line:?}"))?;
        if let Some(note) = row.0.get("note").and_then(|note| note["message"].as_str()) {
            eprintln!("note: {note}");
            continue;
        }
        let names = if columns.is_empty() {
            names(&row)
        } else {
            columns.to_vec()
        };
        paper.write(&names, vec![row])?;
        paper.flush()?;
    }
    Ok(())
}

/// CSV without `--columns` has the columns of its first record.
fn names(row: &Row) -> Vec<String> {
    row.0
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Null))
        .map(|(name, _)| name.clone())
        .collect()
}
