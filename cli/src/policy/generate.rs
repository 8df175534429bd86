//! `weir policy generate`: policies that let pass what was seen, and nothing else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use weir_policy::generate::{
    GenerateInput, GenerateOptions, Generated, GenerationReport, Internet, Level, Skipped, cluster_policies,
    cluster_yaml, generate, yaml,
};
use weir_policy::policy::Tier;
use weir_policy::words;

use super::peer::Peer;
use super::replay::{Held, ReplayArgs, grouped, tally};
use crate::effect::refuse_without_effect;
use crate::table::harmless_lines;
use crate::terminal::{self, say};

/// Of rules that accept, unless another is asked for.
const PRIORITY: u16 = 500;

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
    #[command(flatten)]
    replay: ReplayArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LevelName {
    /// Labels that tell the replicas of a workload apart count, too.
    Pods,
    /// From workload to workload.
    Workload,
    /// Peers by namespace, ports as seen.
    Namespace,
    /// Peers by namespace, all ports.
    NamespacePorts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InternetName {
    /// Each address.
    Exact,
    /// Each address up to 16 for a port, then networks.
    Aggregate,
    /// All that is outside.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindName {
    /// NetworkPolicies.
    Np,
    /// ClusterNetworkPolicies.
    Cnp,
}

impl GenerateArgs {
    fn options(&self) -> Result<GenerateOptions> {
        let of_np = [("--priority", self.priority.is_some() && self.kind == KindName::Np)];
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
            level: match self.level {
                LevelName::Pods => Level::Pods,
                LevelName::Workload => Level::Workload,
                LevelName::Namespace => Level::Namespace,
                LevelName::NamespacePorts => Level::NamespacePorts,
            },
            internet: match self.internet {
                InternetName::Exact => Internet::Exact,
                InternetName::Aggregate => Internet::Aggregate,
                InternetName::Any => Internet::Any,
            },
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
    let options = args.options()?;
    let held = args.replay.read().await?;
    for namespace in &options.namespaces {
        let is_there = held
            .source
            .objects
            .cluster
            .pods
            .iter()
            .any(|pod| pod.namespace == *namespace);
        if !is_there {
            bail!("there is no pod in namespace {namespace}");
        }
    }
    let mut cluster = held.source.objects.cluster.clone();
    cluster.policies = held.source.all_policies();
    let input = GenerateInput {
        edges: &held.evidence.edges,
        cluster: &cluster,
        inventory: &held.inventory,
        profile: held.source.profile,
        managed: &held.source.objects.managed,
        options: &options,
    };
    let generated = generate(&input).context("no policy is given")?;
    let header = header(&held, &options);
    let text = match args.kind {
        KindName::Np => yaml(&generated, &header, args.plain),
        KindName::Cnp => {
            let of_cluster =
                cluster_policies(&input, &generated, Tier::Admin, args.priority.unwrap_or(PRIORITY));
            let of_cluster = of_cluster.context("no policy is given")?;
            of_cluster
                .notes
                .iter()
                .for_each(|note| say(&format!("note: {note}")));
            cluster_yaml(&of_cluster, &header, args.plain)
        }
    };
    // Names come from the network; files get them as they are.
    match terminal::width() {
        Some(_) => write!(io::stdout(), "{}", harmless_lines(&text))?,
        None => write!(io::stdout(), "{text}")?,
    }
    tell(&generated, &held);
    Ok(match generated.policies.is_empty() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn header(held: &Held, options: &GenerateOptions) -> Vec<String> {
    let whom: Vec<String> = match &options.workload {
        Some(key) => vec![key.to_string()],
        None => options.namespaces.iter().cloned().collect(),
    };
    let (since, until) = (&held.evidence.since, &held.evidence.until);
    vec![format!(
        "weir policy generate: {}, from traffic of {since} until {until}",
        whom.join(", ")
    )]
}

/// What was learnt and what not, on standard error.
fn tell(generated: &Generated, held: &Held) {
    let report = &generated.report;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "learnt from {} of {}",
        tally(&report.learnt),
        tally(&report.all)
    );
    for (why, of_it) in &report.skipped {
        let _ = writeln!(text, "  not from {}: {}", tally(of_it), skipped(*why));
    }
    let width = &report.width;
    let cut = if width.is_cut { " at least" } else { "" };
    let _ = writeln!(
        text,
        "pairs of ends and ports: {} seen, {}{cut} allowed",
        grouped(width.seen),
        grouped(width.allowed)
    );
    rest(&mut text, report, held);
    text.lines().for_each(|line| say(&harmless_lines(line)));
}

fn rest(text: &mut String, report: &GenerationReport, held: &Held) {
    let edges = &held.evidence.edges;
    for edge in report.tried.iter().take(20) {
        let port = words::port(edge.protocol, edge.port);
        let _ = writeln!(
            text,
            "tried: {} -> {} {port}",
            edges.at(edge.client),
            edges.at(edge.server)
        );
    }
    for network in &report.aggregated {
        let _ = writeln!(
            text,
            "{} {}: {} stands for {} addresses",
            network.policy,
            words::direction(network.direction),
            network.network,
            network.seen
        );
    }
    for (policy, direction) in &report.open {
        let _ = writeln!(
            text,
            "{policy}: {} stays open, for nothing was seen of it",
            words::direction(*direction)
        );
    }
    for policy in &report.changed_by_hand {
        let _ = writeln!(
            text,
            "{policy} was changed by hand: it is left alone, and ours stands beside it"
        );
    }
    for policy in &report.obsolete {
        let _ = writeln!(text, "{policy} is Weir's, and nothing asks for it any more");
    }
    report.warnings.iter().for_each(|warning| {
        let _ = writeln!(text, "warning: {warning}");
    });
}

fn skipped(why: Skipped) -> String {
    match why {
        Skipped::OutOfScope => "neither end gets a policy".to_owned(),
        Skipped::NeedsNoRule => "a policy has no say: own node, probes, the pod itself".to_owned(),
        Skipped::AllowedAlready => "hand-written policies allow it".to_owned(),
        Skipped::Denied => "policies deny it (--denied)".to_owned(),
        Skipped::Unanswered => "nobody answered (--unanswered)".to_owned(),
        Skipped::Weak => "who called is known too weakly (--weak)".to_owned(),
        Skipped::Ephemeral => "a port that clients use, on weak evidence".to_owned(),
        Skipped::Protocol => "a protocol that NetworkPolicies cannot name".to_owned(),
        Skipped::NoSelector => "an end has no labels that last, and no address".to_owned(),
        Skipped::Unknown(reason) => format!("the ends are not known: {}", reason.name()),
    }
}
