//! `weir flows`, `weir top` and `weir query`: the command line, and the questions
//! that follow from it.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap_complete::ArgValueCompleter;
use weir_collector::api::params::MOST_ROWS;
use weir_query::{FlowsRequest, Order, Question};

use crate::completion;
use crate::effect::refuse_without_effect;
use crate::empty;
use crate::fields::parse_field;
use crate::follow;
use crate::output::{OutputArgs, Style};
use crate::shortcut::Shortcuts;
use crate::show;
use crate::source::{Source, SourceArgs};
use crate::sums::Sums;
use crate::terminal::{patiently, say};
use crate::time::TimeArgs;

/// Records that are shown when nobody says how many.
const SOME_RECORDS: usize = 100;

/// Arguments of `weir flows`.
#[derive(Debug, Args)]
pub struct FlowsArgs {
    #[command(flatten)]
    selection: FlowSelection,
    #[command(flatten)]
    sums: Sums,
    /// Fields to show, with commas in between [default: those that fit]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parse_field,
          add = ArgValueCompleter::new(completion::fields))]
    columns: Vec<String>,
    /// Show records as they arrive, until Ctrl-C; with --last or --since also what was
    /// before
    #[arg(
        short,
        long,
        visible_short_alias = 'w',
        visible_alias = "watch",
        conflicts_with = "data_dir"
    )]
    follow: bool,
    /// Records to show [default: 100]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Show so many of the newest records, the oldest of them first
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["limit", "oldest_first"])]
    last: Option<usize>,
    /// Begin with the oldest record
    #[arg(long)]
    oldest_first: bool,
    /// What records are ordered by: newest, oldest, or the largest first by bytes, packets,
    /// dropped_bytes, dropped_packets or duration [default: newest]
    #[arg(long, value_name = "ORDER", conflicts_with_all = ["oldest_first", "last"],
          add = ArgValueCompleter::new(completion::orders))]
    order: Option<Order>,
    /// Also flows whose other direction the filter lets through
    #[arg(long)]
    both_directions: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// Arguments of `weir top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    #[command(flatten)]
    selection: FlowSelection,
    #[command(flatten)]
    sums: Sums,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    source: SourceArgs,
}

/// Arguments of `weir query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    #[command(flatten)]
    top: TopArgs,
    /// Show how the question is answered: the filter, what was read and what was left out
    #[arg(long)]
    explain: bool,
    /// Never use rollups
    #[arg(long)]
    raw_only: bool,
}

/// Which flows.
#[derive(Debug, Args)]
pub struct FlowSelection {
    /// Which flows, in CEL, such as 'ns == "shop" && dst_workload_kind == "internet"'
    #[arg(value_name = "CEL", default_value = "", hide_default_value = true,
          add = ArgValueCompleter::new(completion::filter))]
    filter: String,
    #[command(flatten)]
    shortcuts: Shortcuts,
    #[command(flatten)]
    pub time: TimeArgs,
    /// Every observation of a flow, not its primary one alone
    #[arg(long)]
    pub all_observations: bool,
}

impl FlowSelection {
    /// The filter, with what the shortcuts say.
    pub fn filter(&self) -> String {
        self.shortcuts.joined(&self.filter)
    }
}

impl FlowsArgs {
    /// No option is ignored: what says nothing about what is asked is refused.
    fn check(&self) -> Result<()> {
        let of_records = [
            ("--columns", !self.columns.is_empty()),
            ("--limit", self.limit.is_some()),
            ("--last", self.last.is_some()),
            ("--oldest-first", self.oldest_first),
            ("--order", self.order.is_some()),
            ("--both-directions", self.both_directions),
            ("--follow", self.follow),
        ];
        if self.sums.are_wanted() {
            return refuse_without_effect(&of_records, "beside --group-by or --bucket, which sum up records");
        }
        refuse_without_effect(&self.sums.given(), "without --group-by or --bucket")?;
        if self.follow {
            let of_pages = [
                ("--limit", self.limit.is_some()),
                ("--oldest-first", self.oldest_first),
                ("--order", self.order.is_some()),
                ("--until", !self.selection.time.ends_now()),
            ];
            refuse_without_effect(&of_pages, "beside --follow")?;
        }
        anyhow::ensure!(
            !matches!(self.order, Some(Order::Largest(_)))
                || self.limit.is_none_or(|limit| limit <= MOST_ROWS),
            "--limit: the largest records are at most {MOST_ROWS}, since they have one page"
        );
        let columns = [("--columns", !self.columns.is_empty())];
        if self.output.output.chooses_fields() {
            refuse_without_effect(&columns, "with a form of output that names its fields")?;
        }
        Ok(())
    }

    /// The fields to ask for; none: all.
    fn fields(&self) -> Vec<String> {
        match self.output.output.fields() {
            Some(fields) => fields,
            None => self.columns.clone(),
        }
    }

    fn request(&self) -> Result<FlowsRequest> {
        let (since, until) = self.selection.time.range()?;
        Ok(FlowsRequest {
            filter: self.selection.filter(),
            since,
            until,
            columns: self.fields(),
            limit: None,
            cursor: None,
            order: match self.oldest_first {
                true => Order::Oldest,
                false => self.order.unwrap_or_default(),
            },
            both_directions: self.both_directions,
            all_observations: self.selection.all_observations,
        })
    }
}

/// Runs `weir flows`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn flows(args: FlowsArgs) -> Result<ExitCode> {
    args.check()?;
    let style = args.output.style(args.selection.time.zone())?;
    let source = args.source.open().await?;
    if args.sums.are_wanted() {
        return sum(&source, &args.sums.question(&args.selection)?, &style).await;
    }
    let request = args.request()?;
    let paper = show::Records::new(style, &args.columns, args.follow);
    if args.follow {
        let before = follow::Before {
            last: args.last,
            // Nobody asked for the last hour.
            since: args.selection.time.since.is_some(),
        };
        return follow::run(source, request, before, paper).await;
    }
    match args.last {
        Some(last) => last_records(&source, request, last, paper).await,
        None => records(&source, request, args.limit.unwrap_or(SOME_RECORDS), paper).await,
    }
}

/// Runs `weir top`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn top(mut args: TopArgs) -> Result<ExitCode> {
    if args.sums.group_by.is_empty() {
        args.sums.group_by = ["ns", "workload_name"].map(str::to_owned).to_vec();
    }
    let style = args.output.style(args.selection.time.zone())?;
    let source = args.source.open().await?;
    sum(&source, &args.sums.question(&args.selection)?, &style).await
}

/// Runs `weir query`.
///
/// # Errors
/// The question is wrong, or nobody answers.
pub async fn query(args: QueryArgs) -> Result<ExitCode> {
    let top = &args.top;
    let style = top.output.style(top.selection.time.zone())?;
    if args.explain {
        show::check_explanation(&top.output)?;
    }
    let source = top.source.open().await?;
    let question = Question {
        raw_only: args.raw_only,
        ..top.sums.question(&top.selection)?
    };
    if !args.explain {
        return sum(&source, &question, &style).await;
    }
    let explanation = patiently(source.explain(&question)).await?;
    show::explanation(&explanation, &style.output)?;
    Ok(ExitCode::SUCCESS)
}

async fn sum(source: &Source, question: &Question, style: &Style) -> Result<ExitCode> {
    let answer = patiently(source.query(question)).await?;
    show::sums(&answer, &question.group_by, question.by, style)?;
    show::notes(&answer.notes);
    if answer.groups == 0 || answer.rows.is_empty() {
        empty::explain(
            source,
            &question.filter,
            question.since,
            question.until,
            &style.times,
        )
        .await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks page after page until there are so many.
async fn records(
    source: &Source,
    mut request: FlowsRequest,
    limit: usize,
    mut paper: show::Records,
) -> Result<ExitCode> {
    let mut left = limit;
    let mut notes = Vec::new();
    let mut any = false;
    let times = paper.times().clone();
    while left > 0 {
        request.limit = Some(left.min(MOST_ROWS));
        let page = patiently(source.flows(&request)).await?;
        left = left.saturating_sub(page.rows.len());
        any |= !page.rows.is_empty();
        notes = page.notes;
        paper.write(&page.columns, &page.rows)?;
        request.cursor = page.cursor;
        if request.cursor.is_none() {
            break;
        }
    }
    paper.finish()?;
    show::notes(&notes);
    if !any && limit > 0 {
        empty::explain(source, &request.filter, request.since, request.until, &times).await;
    } else if request.cursor.is_some() {
        let records = if limit == 1 { "record" } else { "records" };
        say(&format!(
            "there are more than {limit} {records}: see --limit, --since and --until"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The newest so many, the oldest of them first.
async fn last_records(
    source: &Source,
    request: FlowsRequest,
    last: usize,
    mut paper: show::Records,
) -> Result<ExitCode> {
    let times = paper.times().clone();
    let page = patiently(source.newest(&request, last)).await?;
    paper.write(&page.columns, &page.rows)?;
    paper.finish()?;
    show::notes(&page.notes);
    if page.rows.is_empty() && last > 0 {
        empty::explain(source, &request.filter, request.since, request.until, &times).await;
    }
    Ok(ExitCode::SUCCESS)
}
