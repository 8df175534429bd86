//! `weir flows --follow`: records as they arrive, after those that were there before if
//! they are wanted. A tail ends now and then, so that the collector looks again at who
//! asks; it is asked for anew then.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use futures::io::{AsyncBufRead, AsyncBufReadExt, Lines};
use serde_json::Value;
use tokio::signal::ctrl_c;
use weir_collector::api::answer::Row;
use weir_collector::api::params::MOST_ROWS;
use weir_query::{FlowsRequest, Order};

use crate::server::{Pairs, Server};
use crate::show::Records;
use crate::source::{self, Source};
use crate::terminal::say;

/// How long after it was asked for what a tail brings may have been stored before.
const OVERLAP: Duration = Duration::from_secs(10);

/// What is shown before that which arrives.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// So many of the newest records.
    pub last: Option<usize>,
    /// Everything since the beginning of the range.
    pub since: bool,
}

/// Follows until Ctrl-C.
///
/// # Errors
/// The filter is wrong, nobody answers, or the source is no server.
pub async fn run(
    source: &Source,
    request: FlowsRequest,
    before: Before,
    mut paper: Records,
) -> Result<ExitCode> {
    let Source::Server(server) = source else {
        bail!("files do not tell what arrives: --follow needs a collector that runs");
    };
    let mut pairs = vec![
        ("filter", request.filter.clone()),
        ("all_observations", request.all_observations.to_string()),
        ("both_directions", request.both_directions.to_string()),
    ];
    pairs.extend(source::list("columns", &request.columns));
    let follow = async {
        // The tail comes first: nothing is lost between what was and what comes.
        let mut lines = begin(server, &pairs).await?;
        let mut shown = if before.last.is_some() || before.since {
            show_before(source, &request, before, &mut paper).await?
        } else {
            Shown::default()
        };
        loop {
            copy(server, lines, &request.columns, &mut shown, &mut paper).await?;
            lines = begin(server, &pairs).await?;
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

/// Once it has an answer, what arrives is in it.
async fn begin(server: &Server, pairs: &Pairs) -> Result<Lines<impl AsyncBufRead + Unpin + use<>>> {
    Ok(server.stream("tail", pairs).await?.lines())
}

async fn copy(
    server: &Server,
    mut lines: Lines<impl AsyncBufRead + Unpin>,
    columns: &[String],
    shown: &mut Shown,
    paper: &mut Records,
) -> Result<()> {
    while let Some(line) = lines.next().await {
        let line = line.with_context(|| format!("{server} is gone"))?;
        if line.is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line).with_context(|| format!("{server} sent {line:?}"))?;
        if let Some(note) = row.0.get("note").and_then(|note| note["message"].as_str()) {
            say(&format!("note: {note}"));
            continue;
        }
        if shown.take(&row, Instant::now()) {
            continue;
        }
        let names = if columns.is_empty() {
            names(&row)
        } else {
            columns.to_vec()
        };
        paper.write(&names, &[row])?;
        paper.flush()?;
    }
    Ok(())
}

/// Shows what is there already.
async fn show_before(
    source: &Source,
    request: &FlowsRequest,
    before: Before,
    paper: &mut Records,
) -> Result<Shown> {
    let mut shown = Shown::default();
    if let Some(last) = before.last {
        let page = source.newest(request, last).await?;
        paper.write(&page.columns, &page.rows)?;
        shown.add(&page.rows);
    } else {
        let mut request = FlowsRequest {
            order: Order::Oldest,
            limit: Some(MOST_ROWS),
            ..request.clone()
        };
        loop {
            let page = source.flows(&request).await?;
            paper.write(&page.columns, &page.rows)?;
            shown.add(&page.rows);
            request.cursor = page.cursor;
            if request.cursor.is_none() {
                break;
            }
        }
    }
    paper.flush()?;
    shown.until = Some(Instant::now() + OVERLAP);
    Ok(shown)
}

/// Records that were shown out of the store, and how often each: the tail may bring
/// those of the last moments again.
#[derive(Debug, Default)]
struct Shown {
    records: HashMap<String, usize>,
    until: Option<Instant>,
}

impl Shown {
    /// Keeps a page, and forgets the one before: what the tail may bring is of the end.
    fn add(&mut self, rows: &[Row]) {
        if rows.len() == MOST_ROWS {
            self.records.clear();
        }
        for row in rows {
            *self.records.entry(key(row)).or_default() += 1;
        }
    }

    /// Whether a record of the tail was shown already; each one counts once.
    fn take(&mut self, row: &Row, now: Instant) -> bool {
        if self.until.is_none_or(|until| now > until) {
            self.records = HashMap::new();
            return false;
        }
        match self.records.get_mut(&key(row)) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

/// The fields in an order of their own: two pages may have them in another one.
fn key(row: &Row) -> String {
    let mut fields: Vec<String> = row
        .0
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    fields.sort_unstable();
    fields.join("\n")
}

/// CSV without `--columns` has the columns of its first record.
fn names(row: &Row) -> Vec<String> {
    row.0
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Null))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_was_shown_is_not_shown_again_and_what_is_alike_is() {
        let (now, mut shown) = (Instant::now(), Shown::default());
        let rows = [json!({"ns": "a", "bytes": 1}), json!({"ns": "b", "bytes": 1})].map(row);
        shown.add(&rows);
        shown.until = Some(now + OVERLAP);
        assert!(shown.take(&row(json!({"bytes": 1, "ns": "a"})), now));
        assert!(!shown.take(&rows[0], now), "a second one like it");
        assert!(!shown.take(&row(json!({"ns": "b", "bytes": 2})), now));
        assert!(!shown.take(&rows[1], now + OVERLAP * 2), "long after");
    }
}
