//! `weir policy explain`: whether one may reach the other, and who decides.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use weir_policy::policy::{Action, Tier};
use weir_policy::{
    Answer, Connection, Explanation, MatchingRule, Reason, RuleRef, Side, SideExplanation, Snapshot,
};

use super::peer::{Peer, Resolved};
use super::source::{AnySourceArgs, ProfileName};
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
    client: Peer,
    /// Who is called
    #[arg(value_name = "DST")]
    server: Peer,
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

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Called {
    protocol: u8,
    /// For ICMP type * 256 + code.
    port: u16,
}

/// Protocols by the word for them.
const PROTOCOLS: [(&str, u8); 3] = [("tcp", 6), ("udp", 17), ("sctp", 132)];
/// An echo request of each ICMP.
const PINGS: [(&str, Called); 2] = [
    (
        "icmp",
        Called {
            protocol: 1,
            port: 8 << 8,
        },
    ),
    (
        "icmpv6",
        Called {
            protocol: 58,
            port: 128 << 8,
        },
    ),
];

impl FromStr for Called {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_ascii_lowercase();
        if let Some((_, ping)) = PINGS.iter().find(|(name, _)| *name == word) {
            return Ok(*ping);
        }
        let (port, protocol) = word.split_once('/').unwrap_or((&word, "tcp"));
        let Some((_, protocol)) = PROTOCOLS.iter().find(|(name, _)| *name == protocol) else {
            return Err(format!("{protocol:?} is none of tcp, udp, sctp"));
        };
        match port.parse() {
            Ok(port) if port > 0 => Ok(Self {
                protocol: *protocol,
                port,
            }),
            _ => Err(format!("{port:?} is no port from 1 to 65535")),
        }
    }
}

impl std::fmt::Display for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((name, _)) = PINGS.iter().find(|(_, ping)| ping == self) {
            return f.write_str(name);
        }
        let name = PROTOCOLS.iter().find(|(_, number)| *number == self.protocol);
        write!(f, "{}/{}", self.port, name.map_or("", |(name, _)| name))
    }
}

/// One answer, and one pair whose it is.
#[derive(Debug, Serialize)]
struct Told {
    client: End,
    server: End,
    port: String,
    answer: &'static str,
    reason: &'static str,
    egress: SideTold,
    ingress: SideTold,
    /// What is worth a word.
    notes: Vec<String>,
    profile: &'static str,
    /// How many pairs of addresses have this answer, and of how many.
    pairs: usize,
    all_pairs: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct End {
    name: String,
    address: String,
}

/// What the policies of one end say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct SideTold {
    answer: &'static str,
    reason: &'static str,
    /// `ns/name ingress[0]`; the policy alone where it isolates.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<String>,
    isolated_by: Vec<String>,
    rules: Vec<RuleTold>,
    not_evaluated: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct RuleTold {
    tier: &'static str,
    rule: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    action: &'static str,
    /// Whether it is certain that the rule matches.
    certain: bool,
}

/// Does what is asked.
///
/// # Errors
/// The objects cannot be had, or an end is not among them.
pub async fn run(args: ExplainArgs) -> Result<ExitCode> {
    let source = args.source.read().await?;
    let engine = source.engine();
    let clients = args.client.resolve(&source.objects, &engine)?;
    let servers = args.server.resolve(&source.objects, &engine)?;
    let told = answers(&engine.snapshot(), &clients, &servers, args.port)?;
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
    Ok(ExitCode::from(code(&told)))
}

/// 0 allowed, 1 denied, 3 neither or not the same for all.
fn code(told: &[Told]) -> u8 {
    let all = |answer: Answer| told.iter().all(|told| told.answer == answer.name());
    match (all(Answer::Allow), all(Answer::Deny)) {
        (true, _) => 0,
        (_, true) => 1,
        _ => 3,
    }
}

/// The answers for all pairs of one address family, the commonest first.
fn answers(
    snapshot: &Snapshot,
    clients: &[Resolved],
    servers: &[Resolved],
    called: Called,
) -> Result<Vec<Told>> {
    let pairs = || {
        let pairs = clients
            .iter()
            .flat_map(|client| servers.iter().map(move |server| (client, server)));
        pairs.filter(|(client, server)| client.address.is_ipv4() == server.address.is_ipv4())
    };
    let all_pairs = pairs().count();
    if all_pairs == 0 {
        bail!("one end has only IPv4 addresses and the other only IPv6 ones");
    }
    if all_pairs > MOST_PAIRS {
        bail!("these are {all_pairs} pairs of addresses, more than {MOST_PAIRS}: name pods");
    }
    let mut found: BTreeMap<(&str, &str, SideTold, SideTold), Told> = BTreeMap::new();
    for (client, server) in pairs() {
        let connection = Connection::new(client.endpoint, server.endpoint, called.protocol, called.port);
        let explanation = snapshot.explain(&connection);
        let told = tell(snapshot, &explanation, client, server, called, all_pairs);
        let key = (
            told.answer,
            told.reason,
            told.egress.clone(),
            told.ingress.clone(),
        );
        found.entry(key).or_insert(told).pairs += 1;
    }
    let mut told: Vec<Told> = found.into_values().collect();
    told.sort_by_key(|told| std::cmp::Reverse(told.pairs));
    Ok(told)
}

fn tell(
    snapshot: &Snapshot,
    explanation: &Explanation,
    client: &Resolved,
    server: &Resolved,
    called: Called,
    all_pairs: usize,
) -> Told {
    let verdict = &explanation.verdict;
    let profile = ProfileName::of(snapshot.profile().cni);
    let end = |end: &Resolved| End {
        name: end.name.clone(),
        address: end.address.to_string(),
    };
    let mut notes = Vec::new();
    if verdict.notes.block_hits_pods {
        notes.push("an ipBlock or network matches a pod's address".to_owned());
    }
    if verdict.notes.rewritten {
        notes.push("the client is a node: it may stand for somebody whose address it took".to_owned());
    }
    if verdict.notes.profile {
        notes.push(format!("{profile} does otherwise than the API says"));
    }
    let egress = verdict
        .egress
        .decider
        .and_then(|d| snapshot.rule(d, weir_policy::Direction::Egress));
    let ingress = verdict
        .ingress
        .decider
        .and_then(|d| snapshot.rule(d, weir_policy::Direction::Ingress));
    Told {
        client: end(client),
        server: end(server),
        port: called.to_string(),
        answer: verdict.answer.name(),
        reason: verdict.reason.name(),
        egress: side(&verdict.egress, &explanation.egress, egress.as_ref()),
        ingress: side(&verdict.ingress, &explanation.ingress, ingress.as_ref()),
        notes,
        profile,
        pairs: 0,
        all_pairs,
    }
}

fn side(side: &Side, explanation: &SideExplanation, decider: Option<&RuleRef>) -> SideTold {
    let names = |keys: &[weir_policy::PolicyKey]| keys.iter().map(ToString::to_string).collect();
    SideTold {
        answer: side.answer.name(),
        reason: side.reason.name(),
        decided_by: decider.map(rule_name),
        isolated_by: names(&explanation.isolating),
        rules: explanation.matching.iter().map(rule).collect(),
        not_evaluated: names(&explanation.foreign),
    }
}

/// `ns/name ingress[0]`, as a person finds it; the policy alone where no rule is meant.
pub fn rule_name(rule: &RuleRef) -> String {
    let direction = match rule.direction {
        weir_policy::Direction::Egress => "egress",
        weir_policy::Direction::Ingress => "ingress",
    };
    match rule.index {
        Some(index) => format!("{} {direction}[{index}]", rule.policy),
        None => rule.policy.to_string(),
    }
}

fn rule(matching: &MatchingRule) -> RuleTold {
    RuleTold {
        tier: match matching.tier {
            Tier::Admin => "admin",
            Tier::NetworkPolicy => "networkpolicy",
            Tier::Baseline => "baseline",
        },
        rule: rule_name(&matching.rule),
        name: matching.rule.name.clone(),
        action: match matching.action {
            Action::Accept => "allow",
            Action::Deny => "deny",
            Action::Pass => "pass",
        },
        certain: matching.certain,
    }
}

/// One answer for people.
fn paragraph(told: &Told) -> String {
    let (client, server) = (&told.client, &told.server);
    let shown = |end: &End| match end.name == end.address {
        true => end.name.clone(),
        false => format!("{} ({})", end.name, end.address),
    };
    let mut text = format!(
        "{} ({}): {} -> {} {}",
        told.answer_or_unjudged(),
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

impl Told {
    /// What no policy is about has no answer.
    fn answer_or_unjudged(&self) -> &'static str {
        match self.answer {
            "" => "not judged",
            answer => answer,
        }
    }
}

fn side_lines(text: &mut String, side: &SideTold) {
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
    if side.rules.is_empty() && side.reason == Reason::Isolation.name() {
        let _ = writeln!(text, "    no rule allows it");
    }
    if !side.not_evaluated.is_empty() {
        let _ = writeln!(text, "    not evaluated: {}", side.not_evaluated.join(", "));
    }
}

/// The reason of one end, in words.
fn meaning(side: &SideTold) -> &'static str {
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
        () => side.reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_with_a_protocol_or_a_ping() {
        let shown = |text: &str| text.parse::<Called>().map(|called| called.to_string());
        assert_eq!(shown("80").as_deref(), Ok("80/tcp"));
        assert_eq!(shown("53/UDP").as_deref(), Ok("53/udp"));
        assert_eq!(shown("icmp").as_deref(), Ok("icmp"));
        assert!(shown("0").unwrap_err().contains("from 1 to 65535"));
        assert!(shown("70000/tcp").unwrap_err().contains("from 1 to 65535"));
        assert!(shown("80/quic").unwrap_err().contains("none of tcp"));
    }
}
