//! `weir flows`, `weir top` and `weir query`: the command line, and the questions
//! that follow from it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;
use weir_collector::api::params::MOST_ROWS;
use weir_query::{FlowsRequest, Measure, Moment, Order, Question, Since, Span, Until};

use crate::completion;
use crate::empty;
use crate::follow;
use crate::show::{self, Output};
use crate::source::{Source, SourceArgs};
use crate::terminal::patiently;

/// Records that are shown when nobody says how many.
const SOME_RECORDS: usize = 100;
/// Groups that are shown when nobody says how many.
const SOME_GROUPS: usize = 20;

/// Arguments of `weir flows`.
#[derive(Debug, Args)]
pub struct FlowsArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    sums: Sums,
    /// Fields to show, with commas in between [default: those that fit]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', conflicts_with = "group_by",
          add = ArgValueCompleter::new(completion::fields))]
    columns: Vec<String>,
    /// Show records as they arrive, until Ctrl-C
    #[arg(short, long, conflicts_with_all = ["group_by", "since", "until", "limit", "data_dir"])]
    follow: bool,
    /// Records to show
    #[arg(long, value_name = "NUMBER", default_value_t = SOME_RECORDS, conflicts_with = "group_by")]
    limit: usize,
    /// Begin with the oldest record
    #[arg(long, conflicts_with = "group_by")]
    oldest_first: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    source: SourceArgs,
}

/// Arguments of `weir top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    sums: Sums,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    source: SourceArgs,
}

/// Arguments of `weir query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    top: TopArgs,
    /// Show how the question is answered: what was read and what was left out
    #[arg(long)]
    explain: bool,
    /// Never use rollups
    #[arg(long)]
    raw_only: bool,
}

/// Which flows.
#[derive(Debug, Args)]
struct Which {
    /// Which flows, in CEL, such as 'ns == "shop" && dst_workload_kind == "internet"'
    #[arg(value_name = "CEL", default_value = "", hide_default_value = true,
          add = ArgValueCompleter::new(completion::filter))]
    filter: String,
    /// From when on: how long ago (5m, 1h, 2d) or a time of RFC 3339
    #[arg(long, value_name = "TIME", default_value = "1h")]
    since: Moment,
    /// Until when, likewise
    #[arg(long, value_name = "TIME", default_value = "now", hide_default_value = true)]
    until: Moment,
    /// Every observation of a flow, not its primary one alone
    #[arg(long)]
    all_observations: bool,
}

/// What is summed, and how.
#[derive(Debug, Args)]
struct Sums {
    /// Fields to group by, with commas in between
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', add = ArgValueCompleter::new(completion::fields))]
    group_by: Vec<String>,
    /// What to sum, with commas in between [default: bytes,packets,flows]
    #[arg(long, value_name = "MEASURES", value_delimiter = ',', add = ArgValueCompleter::new(completion::measures))]
    measures: Vec<Measure>,
    /// What to order by, the largest first
    #[arg(long, value_name = "MEASURE", default_value = "bytes", add = ArgValueCompleter::new(completion::measures))]
    by: Measure,
    /// Groups to show
    #[arg(long, value_name = "NUMBER", default_value_t = SOME_GROUPS, value_parser = parse_top)]
    top: usize,
    /// A row for each so long a time (1m, 1h)
    #[arg(long, value_name = "TIME")]
    bucket: Option<Span>,
    /// Join both directions of a conversation
    #[arg(long)]
    conversation: bool,
}

fn parse_top(text: &str) -> Result<usize, String> {
    let top = text.parse().ok().filter(|top| (1..=MOST_ROWS).contains(top));
    top.ok_or_else(|| format!("write a number from 1 to {MOST_ROWS}"))
}

impl Sums {
    fn question(&self, which: &Which) -> Question {
        Question {
            filter: which.filter.clone(),
            since: Since(which.since),
            until: Until(which.until),
            group_by: self.group_by.clone(),
            measures: self.measures.clone(),
            by: self.by,
            top: Some(self.top),
            bucket: self.bucket,
            conversation: self.conversation,
            all_observations: which.all_observations,
            raw_only: false,
        }
    }
}

/// Runs `weir flows`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn flows(args: FlowsArgs) -> Result<ExitCode> {
    let source = args.source.open().await?;
    if args.follow {
        return follow::run(
            &source,
            &args.which.filter,
            &args.columns,
            args.which.all_observations,
            args.output,
        )
        .await;
    }
    if !args.sums.group_by.is_empty() || args.sums.bucket.is_some() {
        return sum(&source, &args.sums.question(&args.which), args.output).await;
    }
    let request = FlowsRequest {
        filter: args.which.filter.clone(),
        since: Since(args.which.since),
        until: Until(args.which.until),
        columns: args.columns.clone(),
        limit: None,
        cursor: None,
        order: if args.oldest_first {
            Order::Oldest
        } else {
            Order::Newest
        },
        all_observations: args.which.all_observations,
    };
    records(&source, request, args.limit, args.output).await
}

/// Runs `weir top`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn top(mut args: TopArgs) -> Result<ExitCode> {
    if args.sums.group_by.is_empty() {
        args.sums.group_by = ["ns", "workload_name"].map(str::to_owned).to_vec();
    }
    let source = args.source.open().await?;
    sum(&source, &args.sums.question(&args.which), args.output).await
}

/// Runs `weir query`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn query(args: QueryArgs) -> Result<ExitCode> {
    let source = args.top.source.open().await?;
    let question = Question {
        raw_only: args.raw_only,
        ..args.top.sums.question(&args.top.which)
    };
    if !args.explain {
        return sum(&source, &question, args.top.output).await;
    }
    let explanation = patiently(source.explain(&question)).await?;
    show::explanation(&explanation, args.top.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn sum(source: &Source, question: &Question, output: Output) -> Result<ExitCode> {
    let answer = patiently(source.query(question)).await?;
    show::sums(&answer, &question.group_by, output)?;
    show::notes(&answer.notes);
    if answer.groups == 0 || answer.rows.is_empty() {
        empty::explain(source, &question.filter, question.since, question.until).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks page after page until there are so many.
async fn records(
    source: &Source,
    mut request: FlowsRequest,
    limit: usize,
    output: Output,
) -> Result<ExitCode> {
    let mut left = limit;
    let mut paper = show::Records::new(output, request.columns.is_empty());
    let mut notes = Vec::new();
    let mut any = false;
    while left > 0 {
        request.limit = Some(left.min(MOST_ROWS));
        let page = patiently(source.flows(&request)).await?;
        left = left.saturating_sub(page.rows.len());
        any |= !page.rows.is_empty();
        notes = page.notes;
        paper.write(&page.columns, page.rows)?;
        request.cursor = page.cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    paper.finish()?;
    show::notes(&notes);
    if !any && limit > 0 {
        empty::explain(source, &request.filter, request.since, request.until).await;
    } else if request.cursor.is_some() {
        eprintln!("there are more than {limit} records: see --limit, --since and --until");
    }
    Ok(ExitCode::SUCCESS)
}

/// Only `weir fields` and the like have no other forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plain {
    /// For people.
    Table,
    /// One object.
    Json,
}
