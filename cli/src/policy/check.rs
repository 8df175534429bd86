//! `weir policy check`: what a change of policies would have done to the traffic that was seen.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use weir_policy::edges::{Edge, EdgeSet, Tally, WorkloadKey};
use weir_policy::replay::{
    Change, CheckOptions, ClusterVersion, LabelChange, LabelTarget, NewlyDenied, ReplayInput, Report,
    exit_code, replay,
};
use weir_policy::{PolicyKey, PolicyKind, RuleRef, words};

use super::explain::rule_name;
use super::peer::Peer;
use super::replay::{Held, ReplayArgs, grouped, moment, tally};
use super::source::ProfileName;
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
    delete: Vec<Deleted>,
    /// A label that is set (KEY=VALUE) or removed (KEY-) on a namespace, a pod or a workload:
    /// shop/deploy/web:tier=front; may be repeated
    #[arg(long, value_name = "WHO:LABEL")]
    set_label: Vec<SetLabel>,
    /// Traffic that nobody answered counts as broken, too
    #[arg(long)]
    strict: bool,
    /// The share of flows that may be without an answer
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

/// A policy that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Deleted(PolicyKey);

/// Kinds of policies as they are typed.
const KINDS: [(PolicyKind, &[&str]); 4] = [
    (PolicyKind::NetworkPolicy, &["networkpolicy", "netpol"]),
    (PolicyKind::AdminNetworkPolicy, &["adminnetworkpolicy", "anp"]),
    (
        PolicyKind::BaselineAdminNetworkPolicy,
        &["baselineadminnetworkpolicy", "banp"],
    ),
    (PolicyKind::ClusterNetworkPolicy, &["clusternetworkpolicy", "cnp"]),
];

impl FromStr for Deleted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |word: &str| {
            let word = word.to_ascii_lowercase();
            KINDS
                .iter()
                .find(|(_, words)| words.contains(&word.as_str()))
                .map(|(kind, _)| *kind)
        };
        let key = |namespace: &str, name: &str, kind| {
            Ok(Self(PolicyKey {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                kind,
            }))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["", ..] | [.., ""] => {}
            [first, name] => match kind(first) {
                Some(PolicyKind::NetworkPolicy) | None => return key(first, name, PolicyKind::NetworkPolicy),
                Some(kind) => return key("", name, kind),
            },
            [namespace, word, name] if kind(word) == Some(PolicyKind::NetworkPolicy) => {
                return key(namespace, name, PolicyKind::NetworkPolicy);
            }
            _ => {}
        }
        Err(format!(
            "{text:?} is none of namespace/name, anp/name, banp/name, cnp/name"
        ))
    }
}

/// A label that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SetLabel(LabelChange);

impl FromStr for SetLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither WHO:KEY=VALUE nor WHO:KEY-");
        let (who, label) = text.split_once(':').ok_or_else(wrong)?;
        let (key, value) = match (label.split_once('='), label.strip_suffix('-')) {
            (Some((key, value)), _) => (key, Some(value.to_owned())),
            (None, Some(key)) => (key, None),
            _ => return Err(wrong()),
        };
        let target = match who.contains('/') {
            false if !who.is_empty() => LabelTarget::Namespace(who.to_owned()),
            _ => match who.parse::<Peer>()? {
                Peer::Pod { namespace, name } => LabelTarget::Pod(namespace, name),
                Peer::Workload(key) => LabelTarget::Workload(key),
                Peer::Address(_) | Peer::Node(_) => return Err(wrong()),
            },
        };
        if key.is_empty() {
            return Err(wrong());
        }
        Ok(Self(LabelChange {
            target,
            key: key.to_owned(),
            value,
        }))
    }
}

/// Does what is asked.
///
/// # Errors
/// Objects, policies or traffic cannot be had, or nothing is changed.
pub async fn run(args: CheckArgs) -> Result<ExitCode> {
    let is_change =
        !(args.delete.is_empty() && args.set_label.is_empty() && args.replay.objects.files.is_empty());
    if !is_change {
        bail!("nothing is changed: give -f, --delete or --set-label");
    }
    let held = args.replay.read().await?;
    let change = change(&args, &held)?;
    if change.policies.is_empty() && change.deleted.is_empty() && change.labels.is_empty() {
        bail!("nothing is changed: there is no policy in what -f names");
    }
    let report = replay(ReplayInput {
        edges: &held.evidence.edges,
        inventory: &held.inventory,
        before: vec![ClusterVersion {
            since: 0,
            cluster: held.source.objects.cluster.clone(),
        }],
        change: &change,
        profile: held.source.profile,
    });
    let options = CheckOptions {
        strict: args.strict,
        max_unknown: args.max_unknown,
        newly_allowed_fails: args.newly_allowed == NewlyAllowedIs::Fail,
    };
    let code = exit_code(Some(&report), &options);
    match args.output {
        Form::Json => {
            let told = as_json(&report, &held, code);
            show::json(&mut io::stdout(), &told, terminal::width().is_some())?;
        }
        Form::Text => {
            let mut text = as_text(&report, &held, &args.replay.times());
            let _ = writeln!(text, "exit code {code}: {}", meaning(code));
            write!(io::stdout(), "{}", harmless_lines(&text))?;
        }
    }
    Ok(ExitCode::from(code))
}

/// What is meant must be there: a name that is not would change nothing, and pass.
fn change(args: &CheckArgs, held: &Held) -> Result<Change> {
    let cluster = &held.source.objects.cluster;
    for Deleted(key) in &args.delete {
        if !cluster.policies.iter().any(|policy| policy.key() == *key) {
            bail!("--delete {key}: there is no such {}", key.kind.name());
        }
    }
    for SetLabel(label) in &args.set_label {
        let is_there = match &label.target {
            LabelTarget::Namespace(name) => {
                cluster.namespaces.iter().any(|namespace| namespace.name == *name)
            }
            LabelTarget::Pod(namespace, name) => cluster
                .pods
                .iter()
                .any(|pod| pod.namespace == *namespace && pod.name == *name),
            LabelTarget::Workload(key) => held
                .inventory
                .workloads
                .iter()
                .any(|workload| workload.key == *key),
        };
        if !is_there {
            bail!("--set-label: there is no {}", target(&label.target));
        }
    }
    Ok(Change {
        policies: held.source.policies.clone(),
        deleted: args.delete.iter().map(|Deleted(key)| key.clone()).collect(),
        labels: args
            .set_label
            .iter()
            .map(|SetLabel(label)| label.clone())
            .collect(),
    })
}

fn target(target: &LabelTarget) -> String {
    match target {
        LabelTarget::Namespace(name) => format!("namespace {name}"),
        LabelTarget::Pod(namespace, name) => format!("pod {namespace}/{name}"),
        LabelTarget::Workload(WorkloadKey {
            namespace,
            kind,
            name,
        }) => format!("{kind} {namespace}/{name}"),
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

/// `shop/deployment/web -> bank/statefulset/db 5432/tcp`.
fn named(edges: &EdgeSet, edge: &Edge) -> String {
    let port = words::port(edge.protocol, edge.port);
    format!("{} -> {} {port}", edges.at(edge.client), edges.at(edge.server))
}

fn as_text(report: &Report, held: &Held, times: &TimeStyle) -> String {
    let edges = &held.evidence.edges;
    let mut text = String::new();
    denied(&mut text, "NEWLY DENIED", &report.newly_denied, edges, times);
    denied(
        &mut text,
        "NEWLY DENIED, NEVER ANSWERED",
        &report.newly_denied_unanswered,
        edges,
        times,
    );
    let all = report.newly_allowed.iter().map(|found| &found.edge);
    let _ = writeln!(text, "NEWLY ALLOWED  {}", tally(&sum(all)));
    for found in report.newly_allowed.iter().take(MOST_SHOWN) {
        let by = found
            .rule
            .as_ref()
            .map_or_else(|| "nothing isolates it any more".to_owned(), rule_name);
        let _ = writeln!(
            text,
            "  {}  {} flows  {by}",
            named(edges, &found.edge),
            grouped(found.edge.flows)
        );
    }
    more(&mut text, report.newly_allowed.len());
    if report.opens.pairs > 0 {
        let cut = if report.opens.is_cut {
            ", and more that were not looked at"
        } else {
            ""
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
    unknown(&mut text, report, edges);
    if report.stand_ins.edges > 0 {
        let _ = writeln!(
            text,
            "pods that are gone, judged by another of their workload: {}",
            tally(&report.stand_ins)
        );
    }
    if !report.without_traffic.is_empty() {
        let rules: Vec<String> = report.without_traffic.iter().map(rule_name).collect();
        let _ = writeln!(text, "rules without traffic: {}", rules.join(", "));
    }
    let (since, until) = (times.show(&held.evidence.since), times.show(&held.evidence.until));
    let profile = ProfileName::of(held.source.profile.cni);
    let _ = writeln!(
        text,
        "traffic from {since} until {until}, network plugin {profile}"
    );
    text
}

fn denied(text: &mut String, title: &str, found: &[NewlyDenied], edges: &EdgeSet, times: &TimeStyle) {
    let _ = writeln!(
        text,
        "{title}  {}",
        tally(&sum(found.iter().map(|found| &found.edge)))
    );
    for found in found.iter().take(MOST_SHOWN) {
        let edge = &found.edge;
        let _ = writeln!(
            text,
            "  {}  {} flows, last {}\n    {}",
            named(edges, edge),
            grouped(edge.flows),
            moment(times, edge.last),
            found.words
        );
    }
    more(text, found.len());
}

fn unknown(text: &mut String, report: &Report, edges: &EdgeSet) {
    let all = report.all_unknown();
    let share = all.share_of_flows(&report.all) * 100.0;
    let _ = writeln!(text, "UNKNOWN  {} ({share:.4} %)", tally(&all));
    for (reason, of_it) in &report.unknown {
        let _ = writeln!(text, "  {}: {}", reason.name(), tally(of_it));
    }
    for found in report.unknown_edges.iter().take(MOST_SHOWN) {
        let _ = writeln!(text, "  {}  {}", named(edges, &found.edge), found.reason.name());
    }
    more(text, report.unknown_edges.len());
}

fn more(text: &mut String, all: usize) {
    if all > MOST_SHOWN {
        let _ = writeln!(text, "  and {} more; -o json has them", all - MOST_SHOWN);
    }
}

fn sum<'e>(edges: impl Iterator<Item = &'e Edge>) -> Tally {
    let mut sum = Tally::default();
    edges.for_each(|edge| sum.add(edge));
    sum
}

fn as_json(report: &Report, held: &Held, code: u8) -> Value {
    let edges = &held.evidence.edges;
    let told = |edge: &Edge| {
        json!({
            "client": edges.at(edge.client).to_string(), "server": edges.at(edge.server).to_string(),
            "port": words::port(edge.protocol, edge.port), "flows": edge.flows, "bytes": edge.bytes,
            "first_seen_ns": edge.first, "last_seen_ns": edge.last,
            "strength": edge.strength.name(), "answered": edge.answered,
        })
    };
    let with = |edge: &Edge, more: Value| {
        let mut object = told(edge);
        if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
            object.extend(more);
        }
        object
    };
    let denied = |found: &NewlyDenied| {
        with(
            &found.edge,
            json!({"side": words::direction(found.side), "why": found.words, "stand_in": found.is_stand_in,
                "isolated_by": found.isolating.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "rule": found.rule.as_ref().map(rule_name)}),
        )
    };
    let tally = |tally: &Tally| json!({"edges": tally.edges, "flows": tally.flows, "bytes": tally.bytes});
    let rules = |rules: &[RuleRef]| rules.iter().map(rule_name).collect::<Vec<_>>();
    json!({
        "exit_code": code,
        "since": held.evidence.since, "until": held.evidence.until,
        "profile": ProfileName::of(held.source.profile.cni),
        "all": tally(&report.all),
        "newly_denied": report.newly_denied.iter().map(denied).collect::<Vec<_>>(),
        "newly_denied_unanswered": report.newly_denied_unanswered.iter().map(denied).collect::<Vec<_>>(),
        "newly_allowed": report.newly_allowed.iter().map(|found| with(&found.edge, json!({
            "side": words::direction(found.side), "rule": found.rule.as_ref().map(rule_name),
            "stand_in": found.is_stand_in,
        }))).collect::<Vec<_>>(),
        "opens": {"pairs": report.opens.pairs, "all_looked_at": !report.opens.is_cut},
        "unchanged": tally(&report.unchanged),
        "decider_changed": tally(&report.decider_changed),
        "unknown": report.unknown.iter().map(|(reason, of_it)| (reason.name(), tally(of_it)))
            .collect::<std::collections::BTreeMap<_, _>>(),
        "unknown_edges": report.unknown_edges.iter().map(|found| with(&found.edge, json!({
            "reason": found.reason.name(), "before": found.before.name(), "after": found.after.name(),
        }))).collect::<Vec<_>>(),
        "not_judged": tally(&report.not_judged),
        "stand_ins": tally(&report.stand_ins),
        "rules_without_traffic": rules(&report.without_traffic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_deleted_is_named_by_namespace_or_kind() {
        let shown = |text: &str| {
            let deleted = text.parse::<Deleted>();
            deleted.map(|Deleted(key)| format!("{} {key}", key.kind.name()))
        };
        assert_eq!(shown("shop/web").as_deref(), Ok("NetworkPolicy shop/web"));
        assert_eq!(shown("shop/netpol/web").as_deref(), Ok("NetworkPolicy shop/web"));
        assert_eq!(shown("anp/guard").as_deref(), Ok("AdminNetworkPolicy guard"));
        assert_eq!(shown("CNP/guard").as_deref(), Ok("ClusterNetworkPolicy guard"));
        assert!(shown("web").is_err() && shown("shop/").is_err() && shown("shop/svc/web").is_err());
    }

    #[test]
    fn a_label_is_set_or_removed_on_who_is_named() {
        let of = |text: &str| {
            text.parse::<SetLabel>()
                .map(|SetLabel(label)| (label.target, label.key, label.value))
        };
        let namespace = LabelTarget::Namespace("shop".to_owned());
        assert_eq!(
            of("shop:team=a"),
            Ok((namespace.clone(), "team".to_owned(), Some("a".to_owned())))
        );
        assert_eq!(of("shop:team-"), Ok((namespace, "team".to_owned(), None)));
        let (target, ..) = of("shop/deploy/web:tier=front").unwrap();
        assert!(matches!(target, LabelTarget::Workload(key) if key.kind == "Deployment"));
        for wrong in ["shop", "shop:team", ":a=b", "shop:=b", "node/n1:a=b"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
