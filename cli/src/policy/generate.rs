//! `weir policy generate`: policies that let pass what was seen, and nothing else.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use weir_collector::api::params::{InternetName, KindName, LevelName, NodesName};
use weir_collector::api::policy::answer::GenerateAnswer;
use weir_decisions::Peer;
use weir_decisions::generate::{Made, PRIORITY, Wanted, differences, made};
use weir_policy::generate::GenerateOptions;
use weir_policy::{Policy, parse};

use super::remote;
use super::replay::ReplayArgs;
use super::source::policies_of;
use crate::effect::refuse_without_effect;
use crate::show;
use crate::source::list;
use crate::table::harmless_lines;
use crate::terminal::{self, say};

/// Arguments of `weir policy generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A namespace whose pods get policies; may be repeated
    #[arg(long = "ns", value_name = "NAMESPACE", required_unless_present = "workload")]
    namespaces: Vec<String>,
    /// Only this workload: namespace/kind/name
    #[arg(long, value_name = "WORKLOAD", conflicts_with = "namespaces")]
    workload: Option<Peer>,
    /// How wide the policies are
    #[arg(long, value_name = "LEVEL", default_value = "workload")]
    level: LevelName,
    /// How addresses outside of the cluster are written
    #[arg(long, value_name = "FORM", default_value = "aggregate")]
    internet: InternetName,
    /// How nodes, and pods on their network, are written
    #[arg(long, value_name = "FORM", default_value = "addresses")]
    nodes: NodesName,
    /// Kind of the policies
    #[arg(long, value_name = "KIND", default_value = "np")]
    kind: KindName,
    /// Of ClusterNetworkPolicies: the priority of rules that accept; those that deny have the next one
    /// [default: 500]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..1000))]
    priority: Option<u16>,
    /// What hand-written policies allow is not repeated
    #[arg(long)]
    on_top: bool,
    /// Learn also where it is weakly known who called; never for ports that clients use
    #[arg(long)]
    weak: bool,
    /// Learn also what nobody answered
    #[arg(long)]
    unanswered: bool,
    /// Learn also what policies deny
    #[arg(long)]
    denied: bool,
    /// Let every pod whose egress is isolated ask the cluster's DNS, seen or not
    #[arg(long)]
    assume_dns: bool,
    /// Write four ports in a row or more as a range
    #[arg(long)]
    ranges: bool,
    /// Leave out the policy that denies what no other allows
    #[arg(long)]
    no_default_deny: bool,
    /// Leave out comments
    #[arg(long)]
    plain: bool,
    /// Print nothing but what is not the same in this file or folder: the policies that are
    /// missing, another, or not generated. Exit code 0: nothing; 1: something
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    #[command(flatten)]
    replay: ReplayArgs,
}

impl GenerateArgs {
    /// What a collector that knows the policies makes.
    async fn asked(&self) -> Result<Option<Made>> {
        let Some(server) = self.replay.collector(false)? else {
            return Ok(None);
        };
        let mut pairs = self.replay.pairs()?;
        pairs.extend(list("ns", &self.namespaces));
        let word = |value: &dyn Fn() -> Option<PossibleValue>| {
            value().map_or_else(String::new, |value| value.get_name().to_owned())
        };
        pairs.extend([
            ("level", word(&|| self.level.to_possible_value())),
            ("internet", word(&|| self.internet.to_possible_value())),
            ("nodes", word(&|| self.nodes.to_possible_value())),
            ("kind", word(&|| self.kind.to_possible_value())),
            ("on_top", self.on_top.to_string()),
            ("weak", self.weak.to_string()),
            ("unanswered", self.unanswered.to_string()),
            ("denied", self.denied.to_string()),
            ("assume_dns", self.assume_dns.to_string()),
            ("ranges", self.ranges.to_string()),
            ("no_default_deny", self.no_default_deny.to_string()),
            ("plain", self.plain.to_string()),
            ("format", "json".to_owned()),
        ]);
        pairs.extend(self.priority.map(|priority| ("priority", priority.to_string())));
        pairs.extend(
            self.workload
                .as_ref()
                .map(|workload| ("workload", workload.to_string())),
        );
        let answer = remote::ask::<GenerateAnswer>(&server, "generate", &pairs, None).await?;
        Ok(answer.map(|answer| {
            show::notes(&answer.notes);
            answer.made
        }))
    }

    fn wanted(&self) -> Result<Wanted> {
        Ok(Wanted {
            options: self.options()?,
            priority: (self.kind == KindName::Cnp).then(|| self.priority.unwrap_or(PRIORITY)),
            is_plain: self.plain,
        })
    }

    fn options(&self) -> Result<GenerateOptions> {
        let is_np = self.kind == KindName::Np;
        let of_np = [
            ("--priority", self.priority.is_some() && is_np),
            ("--nodes labels", self.nodes == NodesName::Labels && is_np),
        ];
        refuse_without_effect(&of_np, "without --kind cnp")?;
        let of_one = [(
            "--no-default-deny",
            self.no_default_deny && self.workload.is_some(),
        )];
        refuse_without_effect(&of_one, "with --workload, which makes none")?;
        let (namespaces, workload) = match &self.workload {
            None => (self.namespaces.iter().cloned().collect(), None),
            Some(Peer::Workload(key)) => (BTreeSet::from([key.namespace.clone()]), Some(key.clone())),
            Some(other) => bail!("--workload {other}: write namespace/kind/name"),
        };
        Ok(GenerateOptions {
            namespaces,
            workload,
            level: self.level.into(),
            internet: self.internet.into(),
            nodes: self.nodes.into(),
            default_deny: !self.no_default_deny,
            on_top: self.on_top,
            weak: self.weak,
            unanswered: self.unanswered,
            denied: self.denied,
            assume_dns: self.assume_dns,
            ranges: self.ranges,
        })
    }
}

/// Does what is asked. The policies go to standard output, what one should know of them to
/// standard error.
///
/// # Errors
/// There is nothing to learn from, or what was learnt cannot be proved.
pub async fn run(args: GenerateArgs) -> Result<ExitCode> {
    let wanted = args.wanted()?;
    let plain = [("--plain", args.plain && args.check.is_some())];
    refuse_without_effect(&plain, "beside --check, which compares objects alone")?;
    let there = args.check.as_deref().map(policies_of).transpose()?;
    let made = match args.asked().await? {
        Some(made) => made,
        None => {
            let (world, traffic) = args.replay.read().await?;
            made(&world, &traffic, &wanted)?
        }
    };
    made.report.iter().for_each(|line| say(&harmless_lines(line)));
    if let Some(there) = there {
        return compare(&made, &there);
    }
    // Names come from the network; files get them as they are.
    match terminal::width() {
        Some(_) => write!(io::stdout(), "{}", harmless_lines(&made.yaml))?,
        None => write!(io::stdout(), "{}", made.yaml)?,
    }
    Ok(match made.objects.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// Says what is not the same as in the file.
fn compare(made: &Made, there: &[Policy]) -> Result<ExitCode> {
    let ours = parse::file(&made.yaml, "default").context("what was generated cannot be read")?;
    let differences = differences(&ours.policies, there);
    for line in &differences {
        writeln!(io::stdout(), "{}", harmless_lines(line))?;
    }
    Ok(match differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
