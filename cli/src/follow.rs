//! `weir flows --follow`: records as they arrive, after those that were there before if
//! they are wanted.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use weir_collector::api::answer::{FlowsAnswer, Row};
use weir_collector::api::params::MOST_ROWS;
use weir_process::signals::{Signals, StopSignal};
use weir_query::{FlowsRequest, Order};

use crate::show::Records;
use crate::source::Source;
use crate::tail::{Arrival, Recent, Tail};
use crate::terminal::say;

/// What is shown before that which arrives.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// So many of the newest records.
    pub last: Option<usize>,
    /// Everything since the beginning of the range.
    pub since: bool,
}

/// Follows until Ctrl-C, which ends it at once: also while nobody reads what it writes.
///
/// # Errors
/// The filter is wrong, nobody answers, or the source is no server.
pub async fn run(source: Source, request: FlowsRequest, before: Before, paper: Records) -> Result<ExitCode> {
    let mut signals = Signals::install().context("cannot take signals")?;
    let follow = tokio::spawn(follow(source, request, before, paper));
    tokio::select! {
        ended = follow => ended?,
        signal = signals.next() => Ok(ended_by(signal)),
    }
}

/// How what only shows ends: Ctrl-C is how a person ends it.
pub fn ended_by(signal: StopSignal) -> ExitCode {
    match signal {
        StopSignal::Interrupt => ExitCode::SUCCESS,
        StopSignal::Terminate => ExitCode::from(signal.exit_code()),
    }
}

async fn follow(
    source: Source,
    request: FlowsRequest,
    before: Before,
    mut paper: Records,
) -> Result<ExitCode> {
    let Source::Server(server) = &source else {
        bail!("files do not tell what arrives: --follow needs a collector that runs");
    };
    // The tail comes first: nothing is lost between what was and what comes.
    let mut recent = Recent::default();
    let mut tail = Tail::begin(server, &request, &mut recent).await?;
    if before.last.is_some() || before.since {
        show_before(&source, &request, before, &mut tail, &mut paper).await?;
    }
    loop {
        match tail.next().await? {
            Arrival::Record(row) => {
                paper.write(&names(&request, &row), &[row])?;
                paper.flush()?;
            }
            Arrival::Silence => {}
            Arrival::Missed { message, .. } => say(&format!("note: {message}")),
        }
    }
}

/// Shows what is there already.
async fn show_before(
    source: &Source,
    wanted: &FlowsRequest,
    before: Before,
    tail: &mut Tail<'_>,
    paper: &mut Records,
) -> Result<()> {
    let mut request = FlowsRequest {
        columns: tail.columns().to_vec(),
        ..wanted.clone()
    };
    let mut write = |mut page: FlowsAnswer| {
        tail.shown(&mut page.rows);
        let columns = match wanted.columns.is_empty() {
            true => &page.columns,
            false => &wanted.columns,
        };
        paper.write(columns, &page.rows)
    };
    if let Some(last) = before.last {
        write(source.newest(&request, last).await?)?;
    } else {
        (request.order, request.limit) = (Order::Oldest, Some(MOST_ROWS));
        loop {
            let page = source.flows(&request).await?;
            request.cursor.clone_from(&page.cursor);
            write(page)?;
            if request.cursor.is_none() {
                break;
            }
        }
    }
    paper.flush()
}

/// CSV without `--columns` has the columns of its first record.
fn names(request: &FlowsRequest, row: &Row) -> Vec<String> {
    if !request.columns.is_empty() {
        return request.columns.clone();
    }
    let filled = row.0.iter().filter(|(_, value)| !matches!(value, Value::Null));
    filled.map(|(name, _)| name.clone()).collect()
}
