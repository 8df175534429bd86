//! Generated policies as objects and as YAML, with their evidence in comments.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::names::{MANAGED_BY, SPEC_ANNOTATION, spec_hash};
use super::{Evidence, Generated, GeneratedPolicy};
use crate::policy::{Direction, NetworkPeer, NetworkPolicy, NetworkPort, NetworkRule, PortMatch};
use crate::selector::{Operator, Selector};

/// The policy as the API server takes it.
pub fn object(policy: &NetworkPolicy) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(policy),
        "spec": spec(policy),
    })
}

fn metadata(policy: &NetworkPolicy) -> Value {
    let mut annotations = Map::new();
    annotations.insert(SPEC_ANNOTATION.to_owned(), spec_hash(policy).into());
    let mut labels = Map::new();
    labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.into());
    json!({
        "name": policy.name,
        "namespace": policy.namespace,
        "labels": labels,
        "annotations": annotations,
    })
}

/// The `spec` of a policy. Directions without rules are left out.
pub(super) fn spec(policy: &NetworkPolicy) -> Value {
    let mut spec = Map::new();
    spec.insert("podSelector".to_owned(), selector(&policy.pods));
    if !policy.types.is_empty() {
        let types = policy
            .types
            .iter()
            .map(|direction| Value::from(type_name(*direction)));
        spec.insert("policyTypes".to_owned(), types.collect());
    }
    for direction in [Direction::Ingress, Direction::Egress] {
        let rules = policy.rules(direction);
        if !rules.is_empty() {
            let rules = rules.iter().map(|rule| self::rule(rule, direction));
            spec.insert(field(direction).to_owned(), rules.collect());
        }
    }
    Value::Object(spec)
}

fn type_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "Ingress",
        Direction::Egress => "Egress",
    }
}

fn field(direction: Direction) -> &'static str {
    crate::words::direction(direction)
}

fn peers_field(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

fn rule(rule: &NetworkRule, direction: Direction) -> Value {
    let mut object = Map::new();
    if !rule.peers.is_empty() {
        object.insert(
            peers_field(direction).to_owned(),
            rule.peers.iter().map(peer).collect(),
        );
    }
    if !rule.ports.is_empty() {
        object.insert("ports".to_owned(), rule.ports.iter().map(port).collect());
    }
    Value::Object(object)
}

fn peer(peer: &NetworkPeer) -> Value {
    let mut object = Map::new();
    match peer {
        NetworkPeer::Pods { namespaces, pods } => {
            for (name, wanted) in [("namespaceSelector", namespaces), ("podSelector", pods)] {
                if let Some(wanted) = wanted {
                    object.insert(name.to_owned(), selector(wanted));
                }
            }
        }
        NetworkPeer::Block(block) => {
            let mut written = Map::new();
            written.insert("cidr".to_owned(), block.cidr.to_string().into());
            if !block.except.is_empty() {
                let except = block
                    .except
                    .iter()
                    .map(|network| Value::from(network.to_string()));
                written.insert("except".to_owned(), except.collect());
            }
            object.insert("ipBlock".to_owned(), Value::Object(written));
        }
        NetworkPeer::Unknown => {}
    }
    Value::Object(object)
}

fn port(port: &NetworkPort) -> Value {
    let protocol = port.protocol.name();
    match &port.port {
        PortMatch::All => json!({"protocol": protocol}),
        PortMatch::Range(first, last) if first == last => json!({"protocol": protocol, "port": first}),
        PortMatch::Range(first, last) => json!({"protocol": protocol, "port": first, "endPort": last}),
        PortMatch::Named(name) => json!({"protocol": protocol, "port": name}),
    }
}

pub(super) fn selector(selector: &Selector) -> Value {
    let Selector::Requirements(all) = selector else {
        return json!({"matchExpressions": []});
    };
    let (mut labels, mut expressions) = (Map::new(), Vec::new());
    for requirement in all {
        let key = &requirement.key;
        match &requirement.operator {
            Operator::In(values) if values.len() == 1 && !labels.contains_key(key) => {
                labels.insert(key.clone(), values[0].as_str().into());
            }
            Operator::In(values) => {
                expressions.push(json!({"key": key, "operator": "In", "values": values}));
            }
            Operator::NotIn(values) => {
                expressions.push(json!({"key": key, "operator": "NotIn", "values": values}));
            }
            Operator::Exists => expressions.push(json!({"key": key, "operator": "Exists"})),
            Operator::DoesNotExist => expressions.push(json!({"key": key, "operator": "DoesNotExist"})),
        }
    }
    let mut object = Map::new();
    if !labels.is_empty() {
        object.insert("matchLabels".to_owned(), Value::Object(labels));
    }
    if !expressions.is_empty() {
        object.insert("matchExpressions".to_owned(), Value::Array(expressions));
    }
    Value::Object(object)
}

/// All policies as documents of YAML. `header` are lines of a comment before them; `plain`
/// leaves out all comments.
pub fn yaml(generated: &Generated, header: &[String], plain: bool) -> String {
    let mut text = String::new();
    if !plain {
        header.iter().for_each(|line| text.push_str(&comment(line)));
    }
    let documents = generated.policies.iter().map(|policy| document(policy, plain));
    text.push_str(&documents.collect::<Vec<_>>().join("---\n"));
    text
}

fn document(generated: &GeneratedPolicy, plain: bool) -> String {
    let policy = &generated.policy;
    let mut text = String::new();
    if !plain {
        generated
            .notes
            .iter()
            .for_each(|note| text.push_str(&comment(note)));
    }
    let metadata = metadata(policy);
    text.push_str("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n");
    for (key, value) in metadata.as_object().into_iter().flatten() {
        text.push_str(&format!("  {key}: {}\n", flow(value)));
    }
    let types: Vec<&str> = policy
        .types
        .iter()
        .map(|direction| type_name(*direction))
        .collect();
    text.push_str(&format!(
        "spec:\n  podSelector: {}\n",
        flow(&selector(&policy.pods))
    ));
    text.push_str(&format!("  policyTypes: [{}]\n", types.join(", ")));
    for direction in [Direction::Ingress, Direction::Egress] {
        if policy.rules(direction).is_empty() {
            continue;
        }
        text.push_str(&format!("  {}:\n", field(direction)));
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            let evidence = generated.evidence(direction).get(index).filter(|_| !plain);
            write_rule(&mut text, rule, direction, evidence);
        }
    }
    text
}

fn write_rule(text: &mut String, rule: &NetworkRule, direction: Direction, evidence: Option<&Evidence>) {
    let comment = evidence.map_or_else(String::new, |evidence| format!("  # {}", in_words(evidence)));
    let mut start = "  - ";
    if !rule.peers.is_empty() {
        text.push_str(&format!("{start}{}:{comment}\n", peers_field(direction)));
        rule.peers
            .iter()
            .for_each(|one| text.push_str(&format!("    - {}\n", flow(&peer(one)))));
        start = "    ";
    }
    if !rule.ports.is_empty() {
        text.push_str(&format!("{start}ports:\n"));
        rule.ports
            .iter()
            .for_each(|one| text.push_str(&format!("    - {}\n", flow(&port(one)))));
    }
    if rule.peers.is_empty() && rule.ports.is_empty() {
        text.push_str(&format!("  - {{}}{comment}\n"));
    }
}

/// `48210 flows, 2026-06-01 .. 2026-06-14, proven, payments`.
pub(super) fn in_words(evidence: &Evidence) -> String {
    let mut words = Vec::new();
    if evidence.tally.edges > 0 {
        let flows = evidence.tally.flows;
        words.push(format!("{flows} {}", if flows == 1 { "flow" } else { "flows" }));
        words.push(format!("{} .. {}", date(evidence.first), date(evidence.last)));
        words.push(evidence.strength.name().to_owned());
    }
    words.extend(evidence.notes.iter().map(|note| one_line(note)));
    words.join(", ")
}

/// A line of a comment.
pub(super) fn comment(text: &str) -> String {
    format!("# {}\n", one_line(text))
}

/// Without what would end a comment: control characters, and what Unicode breaks lines at.
fn one_line(text: &str) -> String {
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if ends_line(c) { ' ' } else { c }).collect()
}

/// The day of a moment in nanoseconds since 1970, UTC (civil from days, Howard Hinnant).
fn date(nanoseconds: u64) -> String {
    const DAY: u64 = 86_400_000_000_000;
    let days = nanoseconds / DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A value in one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut text = String::from("{");
            for (at, (key, value)) in object.iter().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                // writing to a String cannot fail
                let _ = write!(text, "{comma}{}: {}", scalar(key), flow(value));
            }
            text.push('}');
            text
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A string, quoted where YAML would take it for something else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    match is_plain {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}
