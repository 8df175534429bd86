//! ClusterNetworkPolicies as objects and as YAML.

use serde_json::{Map, Value, json};

use super::Evidence;
use super::cluster::{GeneratedCluster, GeneratedClusterPolicy, cluster_spec_hash};
use super::names::{MANAGED_BY, SPEC_ANNOTATION};
use super::yaml::{flow, in_words, selector};
use crate::policy::{
    Action, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterRule, Direction, PortMatch, Tier,
};

/// Served by every release that has the kind since 0.2; v1beta1 has the same schema.
const VERSION: &str = "policy.networking.k8s.io/v1alpha2";

/// The policy as the API server takes it.
pub fn cluster_object(policy: &ClusterPolicy) -> Value {
    json!({
        "apiVersion": VERSION,
        "kind": "ClusterNetworkPolicy",
        "metadata": metadata(policy),
        "spec": spec(policy),
    })
}

fn metadata(policy: &ClusterPolicy) -> Value {
    let labels = Map::from_iter([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.into())]);
    let annotations = Map::from_iter([(SPEC_ANNOTATION.to_owned(), cluster_spec_hash(policy).into())]);
    json!({"name": policy.name, "labels": labels, "annotations": annotations})
}

/// The `spec` of a policy.
pub(super) fn spec(policy: &ClusterPolicy) -> Value {
    let mut spec = Map::new();
    spec.insert("tier".to_owned(), tier(policy.tier).into());
    spec.insert("priority".to_owned(), policy.priority.into());
    spec.insert("subject".to_owned(), pods(&policy.subject));
    for direction in [Direction::Ingress, Direction::Egress] {
        let rules = policy.rules(direction);
        if !rules.is_empty() {
            let rules = rules.iter().map(|rule| self::rule(rule, direction));
            spec.insert(crate::words::direction(direction).to_owned(), rules.collect());
        }
    }
    Value::Object(spec)
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Baseline => "Baseline",
        Tier::Admin | Tier::NetworkPolicy => "Admin",
    }
}

fn pods(pods: &ClusterPods) -> Value {
    let namespaces = selector(&pods.namespaces);
    match &pods.pods {
        None => json!({"namespaces": namespaces}),
        Some(pods) => json!({"pods": {"namespaceSelector": namespaces, "podSelector": selector(pods)}}),
    }
}

fn peer(peer: &ClusterPeer) -> Value {
    match peer {
        ClusterPeer::Pods(some) => pods(some),
        ClusterPeer::Nodes(nodes) => json!({"nodes": selector(nodes)}),
        ClusterPeer::Networks(networks) => {
            json!({"networks": networks.iter().map(ToString::to_string).collect::<Vec<_>>()})
        }
        ClusterPeer::DomainNames(names) => json!({"domainNames": names}),
        ClusterPeer::Unknown => json!({}),
    }
}

fn port(port: &ClusterPort) -> Value {
    let destination = match &port.port {
        PortMatch::Named(name) => return json!({"destinationNamedPort": name}),
        PortMatch::All => json!({"range": {"start": 1, "end": u16::MAX}}),
        PortMatch::Range(first, last) if first == last => json!({"number": first}),
        PortMatch::Range(first, last) => json!({"range": {"start": first, "end": last}}),
    };
    let protocol = port
        .protocol
        .map_or_else(|| "tcp".to_owned(), |protocol| protocol.name().to_lowercase());
    Value::Object(Map::from_iter([(
        protocol,
        json!({"destinationPort": destination}),
    )]))
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Accept => "Accept",
        Action::Deny => "Deny",
        Action::Pass => "Pass",
    }
}

fn peers_field(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    }
}

fn rule(rule: &ClusterRule, direction: Direction) -> Value {
    let mut object = Map::new();
    if !rule.name.is_empty() {
        object.insert("name".to_owned(), rule.name.as_str().into());
    }
    object.insert("action".to_owned(), action(rule.action).into());
    object.insert(
        peers_field(direction).to_owned(),
        rule.peers.iter().map(peer).collect(),
    );
    if !rule.ports.is_empty() {
        object.insert("protocols".to_owned(), rule.ports.iter().map(port).collect());
    }
    Value::Object(object)
}

/// All policies as documents of YAML, as [`super::yaml`] writes them.
pub fn cluster_yaml(generated: &GeneratedCluster, header: &[String], plain: bool) -> String {
    let mut text = String::new();
    if !plain {
        let lines = header.iter().chain(&generated.notes);
        lines.for_each(|line| text.push_str(&super::yaml::comment(line)));
    }
    let documents = generated.policies.iter().map(|policy| document(policy, plain));
    text.push_str(&documents.collect::<Vec<_>>().join("---\n"));
    text
}

fn document(generated: &GeneratedClusterPolicy, plain: bool) -> String {
    let policy = &generated.policy;
    let mut text = format!("apiVersion: {VERSION}\nkind: ClusterNetworkPolicy\nmetadata:\n");
    for (key, value) in metadata(policy).as_object().into_iter().flatten() {
        text.push_str(&format!("  {key}: {}\n", flow(value)));
    }
    text.push_str(&format!(
        "spec:\n  tier: {}\n  priority: {}\n  subject: {}\n",
        tier(policy.tier),
        policy.priority,
        flow(&pods(&policy.subject))
    ));
    for (direction, evidence) in [
        (Direction::Ingress, &generated.ingress),
        (Direction::Egress, &generated.egress),
    ] {
        if !policy.rules(direction).is_empty() {
            text.push_str(&format!("  {}:\n", crate::words::direction(direction)));
        }
        for (index, one) in policy.rules(direction).iter().enumerate() {
            let evidence = evidence
                .get(index)
                .filter(|evidence| !plain && evidence.tally.edges > 0);
            write_rule(&mut text, &rule(one, direction), evidence);
        }
    }
    text
}

fn write_rule(text: &mut String, rule: &Value, evidence: Option<&Evidence>) {
    let comment = evidence.map_or_else(String::new, |evidence| format!("  # {}", in_words(evidence)));
    for (at, (key, value)) in rule.as_object().into_iter().flatten().enumerate() {
        let start = if at == 0 { "  - " } else { "    " };
        let comment = if at == 0 { comment.as_str() } else { "" };
        match value {
            Value::Array(items) => {
                text.push_str(&format!("{start}{key}:{comment}\n"));
                items
                    .iter()
                    .for_each(|item| text.push_str(&format!("    - {}\n", flow(item))));
            }
            other => text.push_str(&format!("{start}{key}: {}{comment}\n", flow(other))),
        }
    }
}
