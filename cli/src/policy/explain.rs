//! `weir policy explain`: whether one may reach the other, and who decides.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use weir_collector::api::policy::answer::ExplainAnswer;
use weir_decisions::explain::{End, Explained, ExplainedSide, Question, exit_code, explain};
use weir_decisions::{Called, Peer};
use weir_policy::Reason;

use super::remote;
use super::source::AnySourceArgs;
use crate::table::harmless_lines;
use crate::{show, terminal};

/// So many different answers are shown.
const MOST_SHOWN: usize = 20;
/// So many pairs of pods are asked about.
const MOST_PAIRS: usize = 4_000_000;

/// Arguments of `weir policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Who opens the connection
    #[arg(value_name = "SRC")]
    src: Peer,
    /// Who is called
    #[arg(value_name = "DST")]
    dst: Peer,
    /// Its port: a number, with /udp or /sctp where it is not TCP, or icmp, icmpv6
    #[arg(value_name = "PORT")]
    port: Called,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    #[command(flatten)]
    source: AnySourceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// A list, an object for each answer.
    Json,
}

/// Does what is asked.
///
/// # Errors
/// The objects cannot be had, or an end is not among them.
pub async fn run(args: ExplainArgs) -> Result<ExitCode> {
    let told = rows(&args).await?;
    match args.output {
        Form::Json => show::json(&mut io::stdout(), &told, terminal::width().is_some())?,
        Form::Text => {
            let mut text: String = told.iter().take(MOST_SHOWN).map(paragraph).collect();
            if told.len() > MOST_SHOWN {
                let more = told.len() - MOST_SHOWN;
                let _ = writeln!(text, "{more} more answers are not shown; -o json has them");
            }
            write!(io::stdout(), "{}", harmless_lines(&text))?;
        }
    }
    Ok(ExitCode::from(exit_code(&told)))
}

async fn rows(args: &ExplainArgs) -> Result<Vec<Explained>> {
    if let Some(server) = args.source.collector()? {
        let mut pairs = vec![
            ("src", args.src.to_string()),
            ("dst", args.dst.to_string()),
            ("port", args.port.to_string()),
        ];
        pairs.extend(args.source.objects.profile_pair());
        if let Some(answer) = remote::ask::<ExplainAnswer>(&server, "explain", &pairs, None).await? {
            show::notes(&answer.notes);
            return Ok(answer.rows);
        }
    }
    let question = Question {
        client: args.src.clone(),
        server: args.dst.clone(),
        called: args.port,
        most_pairs: MOST_PAIRS,
    };
    Ok(explain(&args.source.read().await?, &question)?)
}

/// One answer for people.
fn paragraph(told: &Explained) -> String {
    let (client, server) = (&told.client, &told.server);
    let shown = |end: &End| match end.name == end.address {
        true => end.name.clone(),
        false => format!("{} ({})", end.name, end.address),
    };
    let mut text = format!(
        "{} ({}): {} -> {} {}",
        answer_or_unjudged(told),
        told.reason,
        shown(client),
        shown(server),
        told.port
    );
    if told.all_pairs > 1 {
        let _ = write!(
            text,
            ", so {} of {} pairs of addresses",
            told.pairs, told.all_pairs
        );
    }
    text.push('\n');
    for (word, end, side) in [
        ("egress", client, &told.egress),
        ("ingress", server, &told.ingress),
    ] {
        let _ = writeln!(
            text,
            "  {word} of {}: {} ({})",
            end.name,
            side.answer,
            meaning(side)
        );
        side_lines(&mut text, side);
    }
    for note in &told.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    let _ = writeln!(text, "  network plugin: {}", told.profile);
    text
}

/// What no policy is about has no answer.
fn answer_or_unjudged(told: &Explained) -> &str {
    match told.answer.as_str() {
        "" => "not judged",
        answer => answer,
    }
}

fn side_lines(text: &mut String, side: &ExplainedSide) {
    if !side.isolated_by.is_empty() {
        let _ = writeln!(text, "    isolated by {}", side.isolated_by.join(", "));
    }
    for rule in &side.rules {
        let name = match rule.name.is_empty() {
            true => String::new(),
            false => format!(" {:?}", rule.name),
        };
        let certain = if rule.certain { "" } else { ", perhaps" };
        let decides = if side.decided_by.as_ref() == Some(&rule.rule) {
            ", decides"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "    {} {}{name}: {}{certain}{decides}",
            rule.tier, rule.rule, rule.action
        );
    }
    if side.rules.is_empty() && !side.is_hidden() && side.reason == Reason::Isolation.name() {
        let _ = writeln!(text, "    no rule allows it");
    }
    if !side.not_evaluated.is_empty() {
        let _ = writeln!(text, "    not evaluated: {}", side.not_evaluated.join(", "));
    }
}

/// The reason of one end, in words.
fn meaning(side: &ExplainedSide) -> &str {
    let of = |reason: Reason| side.reason == reason.name();
    match () {
        () if of(Reason::Rule) => "a rule says so",
        () if of(Reason::Isolation) => "a policy isolates it",
        () if of(Reason::Node) => "its own node",
        () if of(Reason::SelfPod) => "itself",
        () if of(Reason::Default) => "no policy says anything",
        () if of(Reason::Host) => "a node: no policy is about it",
        () if of(Reason::External) => "outside of the cluster: no policy is about it",
        () if of(Reason::Identity) => "who has the address is not known",
        () if of(Reason::Backend) => "an address of a Service: which pod answers is not known",
        () if of(Reason::Protocol) => "the API says nothing about this protocol",
        () if of(Reason::Domain) => "which domain name the address had is not known",
        () if of(Reason::Order) => "policies of one rank disagree",
        () if of(Reason::Foreign) => "an object that is not evaluated selects it",
        () => &side.reason,
    }
}
