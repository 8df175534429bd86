//! The cluster kinds of `policy.networking.k8s.io`: AdminNetworkPolicy and
//! BaselineAdminNetworkPolicy `v1alpha1`, ClusterNetworkPolicy `v1alpha2` and `v1beta1`
//! (network-policy-api v0.3.0; the two have one schema).

use serde_json::Value;

use super::Reader;
use super::object::Object;
use crate::policy::{
    Action, BASELINE_ADMIN_PRIORITY, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterRule,
    Direction, Policy, PolicyKind, PortMatch, Tier,
};
use crate::selector::Selector;

mod ports;

/// The highest priority number.
const MOST_PRIORITY: u16 = 1000;
/// The longest name of a rule.
const MOST_RULE_NAME: usize = 100;
/// CIDRs and domain names of one peer, in all versions.
const MOST_NETWORKS: usize = 25;
/// The one BaselineAdminNetworkPolicy's name.
const BASELINE_NAME: &str = "default";

/// What differs between the versions.
#[derive(Clone, Copy)]
struct Schema {
    /// Rules in a direction, peers in a rule, ports in a rule.
    most: usize,
    /// The word for [`Action::Accept`].
    accept: &'static str,
    /// v1alpha1: `ports` instead of `protocols`.
    alpha1: bool,
    /// Whether there is an action Pass.
    pass: bool,
}

const ADMIN: Schema = Schema {
    most: 100,
    accept: "Allow",
    alpha1: true,
    pass: true,
};
const BASELINE: Schema = Schema { pass: false, ..ADMIN };
const CLUSTER: Schema = Schema {
    most: 25,
    accept: "Accept",
    alpha1: false,
    pass: true,
};

impl Reader {
    pub(super) fn admin_network_policy(&mut self, object: &mut Object<'_>) -> Option<Policy> {
        let (_, name) = self.metadata(object)?;
        let mut spec = self.spec(object)?;
        let priority = self.priority(&mut spec);
        Some(self.cluster_policy(
            spec,
            PolicyKind::AdminNetworkPolicy,
            name,
            Tier::Admin,
            priority,
            ADMIN,
        ))
    }

    pub(super) fn baseline_admin_network_policy(&mut self, object: &mut Object<'_>) -> Option<Policy> {
        let (_, name) = self.metadata(object)?;
        if name != BASELINE_NAME {
            self.problem("metadata.name", format!("must be {BASELINE_NAME}"));
        }
        let spec = self.spec(object)?;
        let (kind, tier) = (PolicyKind::BaselineAdminNetworkPolicy, Tier::Baseline);
        Some(self.cluster_policy(spec, kind, name, tier, BASELINE_ADMIN_PRIORITY, BASELINE))
    }

    pub(super) fn cluster_network_policy(&mut self, object: &mut Object<'_>) -> Option<Policy> {
        let (_, name) = self.metadata(object)?;
        let mut spec = self.spec(object)?;
        let tier = match spec.text("tier", self) {
            Some("Admin") => Tier::Admin,
            Some("Baseline") => Tier::Baseline,
            word => {
                self.problem(
                    "spec.tier",
                    format!("{:?} is neither Admin nor Baseline", word.unwrap_or_default()),
                );
                return None;
            }
        };
        let priority = self.priority(&mut spec);
        Some(self.cluster_policy(
            spec,
            PolicyKind::ClusterNetworkPolicy,
            name,
            tier,
            priority,
            CLUSTER,
        ))
    }

    fn spec<'v>(&mut self, object: &mut Object<'v>) -> Option<Object<'v>> {
        let spec = object.object("spec", self);
        if spec.is_none() {
            self.problem("spec", "is missing");
        }
        spec
    }

    fn priority(&mut self, spec: &mut Object<'_>) -> u16 {
        if spec.field("priority").is_none() {
            self.problem("spec.priority", "is missing");
        }
        spec.number("priority", 0..=MOST_PRIORITY, self)
            .unwrap_or_default()
    }

    fn cluster_policy(
        &mut self,
        mut spec: Object<'_>,
        kind: PolicyKind,
        name: String,
        tier: Tier,
        priority: u16,
        schema: Schema,
    ) -> Policy {
        let subject = match spec.object("subject", self) {
            Some(subject) => self.subject(subject),
            None => {
                self.problem("spec.subject", "is missing");
                ClusterPods {
                    namespaces: Selector::Unreadable,
                    pods: None,
                }
            }
        };
        let ingress = self.cluster_rules(&mut spec, Direction::Ingress, schema);
        let egress = self.cluster_rules(&mut spec, Direction::Egress, schema);
        spec.close(self);
        Policy::Cluster(ClusterPolicy {
            kind,
            name,
            tier,
            priority,
            subject,
            ingress,
            egress,
        })
    }

    fn subject(&mut self, mut subject: Object<'_>) -> ClusterPods {
        let found = self.cluster_pods(&mut subject);
        let place = subject.place().to_owned();
        subject.close(self);
        match <[ClusterPods; 1]>::try_from(found) {
            Ok([pods]) => pods,
            Err(_) => {
                self.problem(place, "must have one of namespaces and pods");
                ClusterPods {
                    namespaces: Selector::Unreadable,
                    pods: None,
                }
            }
        }
    }

    /// What `namespaces` and `pods` say; there should be one.
    fn cluster_pods(&mut self, object: &mut Object<'_>) -> Vec<ClusterPods> {
        let namespaces = self.selector_field(object, "namespaces");
        let mut found: Vec<_> = namespaces
            .into_iter()
            .map(|namespaces| ClusterPods {
                namespaces,
                pods: None,
            })
            .collect();
        if let Some(mut both) = object.object("pods", self) {
            let namespaces = self.selector_field(&mut both, "namespaceSelector");
            let pods = self.selector_field(&mut both, "podSelector");
            if pods.is_none() {
                self.problem(both.at("podSelector"), "is missing");
            }
            both.close(self);
            let namespaces = namespaces.unwrap_or_else(Selector::everything);
            found.push(ClusterPods {
                namespaces,
                pods: pods.or(Some(Selector::Unreadable)),
            });
        }
        found
    }

    fn cluster_rules(
        &mut self,
        spec: &mut Object<'_>,
        direction: Direction,
        schema: Schema,
    ) -> Vec<ClusterRule> {
        let name = match direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        let items = spec.list(name, schema.most, self);
        items
            .into_iter()
            .map(|(place, value)| self.cluster_rule(value, place, direction, schema))
            .collect()
    }

    fn cluster_rule(
        &mut self,
        value: &Value,
        place: String,
        direction: Direction,
        schema: Schema,
    ) -> ClusterRule {
        let mut rule = Object::new(value, place, self);
        let name = rule.text("name", self).unwrap_or_default().to_owned();
        if name.chars().count() > MOST_RULE_NAME {
            self.problem(
                rule.at("name"),
                format!("has more than {MOST_RULE_NAME} characters"),
            );
        }
        let action = self.action(&mut rule, schema);
        let word = if direction == Direction::Ingress {
            "from"
        } else {
            "to"
        };
        let at = rule.at(word);
        let listed = rule.list(word, schema.most, self);
        let mut peers: Vec<_> = listed
            .into_iter()
            .map(|(place, peer)| self.cluster_peer(peer, place, direction))
            .collect();
        if peers.is_empty() {
            self.problem(at.as_str(), "must have at least one peer");
        }
        let ports = self.cluster_ports(&mut rule, schema);
        let closed = ports.is_none() || peers.is_empty();
        let ports = ports.unwrap_or_default();
        self.check_combination(&rule, action, &peers, &ports);
        rule.close(self);
        if closed || action.is_none() {
            peers.push(ClusterPeer::Unknown);
        }
        ClusterRule {
            name,
            action: action.unwrap_or(Action::Deny),
            peers,
            ports,
        }
    }

    fn action(&mut self, rule: &mut Object<'_>, schema: Schema) -> Option<Action> {
        let word = rule.text("action", self).unwrap_or_default();
        let action = match word {
            "Deny" => Some(Action::Deny),
            "Pass" if schema.pass => Some(Action::Pass),
            _ if word == schema.accept => Some(Action::Accept),
            _ => None,
        };
        if action.is_none() {
            self.problem(rule.at("action"), format!("{word:?} is no action of this kind"));
        }
        action
    }

    /// What the CRD's rules over several fields refuse.
    fn check_combination(
        &mut self,
        rule: &Object<'_>,
        action: Option<Action>,
        peers: &[ClusterPeer],
        ports: &[ClusterPort],
    ) {
        let names = peers
            .iter()
            .any(|peer| matches!(peer, ClusterPeer::DomainNames(_)));
        let no_pods = peers.iter().any(|p| {
            matches!(
                p,
                ClusterPeer::Networks(_) | ClusterPeer::Nodes(_) | ClusterPeer::DomainNames(_)
            )
        });
        if names && action != Some(Action::Accept) {
            self.problem(rule.place(), "domain names are for rules that accept");
        }
        if no_pods && ports.iter().any(|port| matches!(port.port, PortMatch::Named(_))) {
            self.problem(
                rule.place(),
                "networks, nodes and domain names have no named ports",
            );
        }
    }

    fn cluster_peer(&mut self, value: &Value, place: String, direction: Direction) -> ClusterPeer {
        let mut peer = Object::new(value, place, self);
        if peer.is_empty() {
            self.problem(peer.place(), "must have a field");
        }
        let mut found: Vec<_> = self
            .cluster_pods(&mut peer)
            .into_iter()
            .map(ClusterPeer::Pods)
            .collect();
        if direction == Direction::Egress {
            found.extend(self.selector_field(&mut peer, "nodes").map(ClusterPeer::Nodes));
            let networks = peer.list("networks", MOST_NETWORKS, self);
            if !networks.is_empty() {
                let all: Option<Vec<_>> = networks
                    .into_iter()
                    .map(|(place, value)| self.network(value, &place, true))
                    .collect();
                found.push(all.map_or(ClusterPeer::Unknown, ClusterPeer::Networks));
            }
            let names = peer.list("domainNames", MOST_NETWORKS, self);
            if !names.is_empty() {
                let all: Option<Vec<_>> = names
                    .into_iter()
                    .map(|(place, value)| self.domain_name(value, place))
                    .collect();
                found.push(all.map_or(ClusterPeer::Unknown, ClusterPeer::DomainNames));
            }
        }
        let place = peer.place().to_owned();
        peer.close(self);
        match <[ClusterPeer; 1]>::try_from(found) {
            Ok([peer]) => peer,
            Err(found) => {
                if found.len() > 1 {
                    self.problem(place, "may have one field only");
                }
                ClusterPeer::Unknown
            }
        }
    }

    fn domain_name(&mut self, value: &Value, place: String) -> Option<String> {
        let text = value.as_str().unwrap_or_default().to_ascii_lowercase();
        let name = text.strip_suffix('.').unwrap_or(&text);
        let labels: Vec<&str> = name.strip_prefix("*.").unwrap_or(name).split('.').collect();
        let is_label = |label: &&str| {
            let ends = |c: char| c.is_ascii_alphanumeric();
            label.starts_with(ends)
                && label.ends_with(ends)
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        let good = labels.len() > 1 && labels.iter().all(is_label);
        if !good {
            self.problem(
                place,
                format!("{value} is no domain name, exact or with *. before it"),
            );
        }
        good.then(|| name.to_owned())
    }
}
