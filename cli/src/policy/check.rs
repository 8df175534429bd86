//! `weir policy check`: what a change of policies would have done to the traffic that was seen.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use weir_collector::api::policy::answer::CheckAnswer;
use weir_decisions::check::{CheckReport, Deletion, DeniedEdge, LabelSetting, Wanted, check};
use weir_decisions::{DecisionError, TallyRow, grouped, tally};
use weir_policy::replay::CheckOptions;

use super::remote;
use super::replay::{ReplayArgs, moment};
use crate::source::list;
use crate::table::harmless_lines;
use crate::zone::TimeStyle;
use crate::{show, terminal};

/// So many edges of each class are shown.
const MOST_SHOWN: usize = 50;

/// Arguments of `weir policy check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A policy that is deleted: namespace/name, kind/name of a cluster policy, or
    /// namespace/kind/name; may be repeated
    #[arg(long, value_name = "POLICY")]
    delete: Vec<Deletion>,
    /// A label that is set (KEY=VALUE) or removed (KEY-) on a namespace, a pod or a workload:
    /// shop/deploy/web:tier=front; may be repeated
    #[arg(long, value_name = "WHO:LABEL")]
    set_label: Vec<LabelSetting>,
    /// Traffic that nobody answered counts as broken, too
    #[arg(long)]
    strict: bool,
    /// The share of the flows with an end that the change may be about, that may be without an answer
    #[arg(long, value_name = "SHARE", default_value = "0.01", value_parser = share)]
    max_unknown: f64,
    /// What newly allowed traffic, and pairs that nobody tried and that the change opens, are
    #[arg(long, value_name = "WHAT", default_value = "tell")]
    newly_allowed: NewlyAllowedIs,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    replay: ReplayArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NewlyAllowedIs {
    /// Worth a word.
    Tell,
    /// Broken.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One object.
    Json,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a share from 0 to 1".to_owned())
}

/// Does what is asked.
///
/// # Errors
/// Objects, policies or traffic cannot be had, or nothing is changed.
pub async fn run(args: CheckArgs) -> Result<ExitCode> {
    let wanted = args.wanted();
    if wanted.is_empty() && args.replay.objects.files.is_empty() {
        bail!("nothing is changed: give -f, --delete or --set-label");
    }
    let report = match args.asked().await? {
        Some(report) => report,
        None => args.made(&wanted).await?,
    };
    let code = report.exit_code;
    match args.output {
        Form::Json => show::json(&mut io::stdout(), &report, terminal::width().is_some())?,
        Form::Text => {
            let mut text = as_text(&report, &args.replay.times());
            let _ = writeln!(text, "exit code {code}: {}", meaning(code));
            write!(io::stdout(), "{}", harmless_lines(&text))?;
        }
    }
    Ok(ExitCode::from(code))
}

impl CheckArgs {
    fn wanted(&self) -> Wanted {
        Wanted {
            deleted: self.delete.clone(),
            labels: self.set_label.clone(),
        }
    }

    /// The report of a collector that knows the policies.
    async fn asked(&self) -> Result<Option<CheckReport>> {
        let Some(server) = self.replay.collector(true)? else {
            return Ok(None);
        };
        let objects = &self.replay.objects;
        let mut pairs = self.replay.pairs()?;
        pairs.extend([
            ("namespace", objects.namespace().to_owned()),
            ("strict", self.strict.to_string()),
            ("max_unknown", self.max_unknown.to_string()),
            (
                "newly_allowed_fails",
                (self.newly_allowed == NewlyAllowedIs::Fail).to_string(),
            ),
        ]);
        let deleted: Vec<String> = self.delete.iter().map(ToString::to_string).collect();
        let labels: Vec<String> = self.set_label.iter().map(ToString::to_string).collect();
        pairs.extend(list("delete", &deleted));
        pairs.extend(list("set_label", &labels));
        let body = objects.text()?;
        let answer = remote::ask::<CheckAnswer>(&server, "check", &pairs, Some(body)).await?;
        Ok(answer.map(|answer| {
            show::notes(&answer.notes);
            answer.report
        }))
    }

    /// The report that is made here.
    async fn made(&self, wanted: &Wanted) -> Result<CheckReport> {
        let (world, traffic) = self.replay.read().await?;
        let options = CheckOptions {
            strict: self.strict,
            max_unknown: self.max_unknown,
            newly_allowed_fails: self.newly_allowed == NewlyAllowedIs::Fail,
        };
        check(&world, &traffic, wanted, &options).map_err(|error| match error {
            DecisionError::NoChange => {
                anyhow::anyhow!("nothing is changed: there is no policy in what -f names")
            }
            DecisionError::NoPolicy(_) => anyhow::anyhow!("--delete {error}"),
            DecisionError::NoTarget(_) => anyhow::anyhow!("--set-label: {error}"),
            other => other.into(),
        })
    }
}

fn meaning(code: u8) -> &'static str {
    match code {
        0 => "nothing that was seen would break",
        1 => "something that was seen would break",
        3 => "too much of what was seen cannot be judged",
        _ => "there is no answer",
    }
}

fn as_text(report: &CheckReport, times: &TimeStyle) -> String {
    let mut text = String::new();
    denied(&mut text, "NEWLY DENIED", &report.newly_denied, times);
    denied(
        &mut text,
        "NEWLY DENIED, NEVER ANSWERED",
        &report.newly_denied_unanswered,
        times,
    );
    let all = report.newly_allowed.iter().map(|found| &found.edge);
    let _ = writeln!(text, "NEWLY ALLOWED  {}", tally(&TallyRow::of(all)));
    for found in report.newly_allowed.iter().take(MOST_SHOWN) {
        let by = found.rule.as_deref().unwrap_or("nothing isolates it any more");
        let flows = grouped(found.edge.flows);
        let _ = writeln!(text, "  {}  {flows} flows  {by}", found.edge);
    }
    more(&mut text, report.newly_allowed.len());
    if report.opens.pairs > 0 {
        let cut = match report.opens.all_looked_at {
            true => "",
            false => ", and more that were not looked at",
        };
        let _ = writeln!(
            text,
            "OPENS  {} pairs that nobody tried{cut}",
            grouped(report.opens.pairs)
        );
    }
    let _ = writeln!(text, "UNCHANGED  {}", tally(&report.unchanged));
    if report.decider_changed.edges > 0 {
        let _ = writeln!(
            text,
            "  of them decided by another policy or rule: {}",
            tally(&report.decider_changed)
        );
    }
    unknown(&mut text, report);
    if report.stand_ins.edges > 0 {
        let _ = writeln!(
            text,
            "pods that are gone, judged by another of their workload: {}",
            tally(&report.stand_ins)
        );
    }
    if !report.rules_without_traffic.is_empty() {
        let rules = report.rules_without_traffic.join(", ");
        let _ = writeln!(text, "rules without traffic: {rules}");
    }
    let (since, until) = (times.show(&report.since), times.show(&report.until));
    let _ = writeln!(
        text,
        "traffic from {since} until {until}, network plugin {}",
        report.profile
    );
    text
}

fn denied(text: &mut String, title: &str, found: &[DeniedEdge], times: &TimeStyle) {
    let all = TallyRow::of(found.iter().map(|found| &found.edge));
    let _ = writeln!(text, "{title}  {}", tally(&all));
    for found in found.iter().take(MOST_SHOWN) {
        let edge = &found.edge;
        let _ = writeln!(
            text,
            "  {edge}  {} flows, last {}\n    {}",
            grouped(edge.flows),
            moment(times, edge.last_seen_ns),
            found.why
        );
    }
    more(text, found.len());
}

fn unknown(text: &mut String, report: &CheckReport) {
    let all = report.all_unknown();
    let share = report.concerned_unknown.share_of_flows(&report.concerned) * 100.0;
    let _ = writeln!(
        text,
        "UNKNOWN  {}, and {share:.4} % of the flows that the change may be about",
        tally(&all)
    );
    for (reason, of_it) in &report.unknown {
        let _ = writeln!(text, "  {reason}: {}", tally(of_it));
    }
    for found in report.unknown_edges.iter().take(MOST_SHOWN) {
        let _ = writeln!(text, "  {}  {}", found.edge, found.reason);
    }
    more(text, report.unknown_edges.len());
}

fn more(text: &mut String, all: usize) {
    if all > MOST_SHOWN {
        let _ = writeln!(text, "  and {} more; -o json has them", all - MOST_SHOWN);
    }
}
