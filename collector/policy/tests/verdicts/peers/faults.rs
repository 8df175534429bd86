//! What the peers are known to take otherwise than the API says, made into a world: asked about
//! that world, the naive evaluator says what the peer says about the real one.

use weir_policy::facts::NAMESPACE_NAME_LABEL;
use weir_policy::policy::{NetworkPeer, NetworkPolicy};
use weir_policy::selector::{Operator, Requirement};
use weir_policy::{Answer, Cluster, Labels, Policy, Profile, Selector};

use crate::naive::{self, Call, End};

/// All values that labels of these worlds have, but the empty one.
const VALUES: [&str; 3] = ["a", "b", "c"];

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Peer {
    Cyclonus,
    Analyzer,
}

impl Peer {
    /// The world as it takes it, where that is not what the API says.
    pub fn sees(self, cluster: &Cluster) -> Cluster {
        let mut seen = cluster.clone();
        for policy in &mut seen.policies {
            let Policy::Network(policy) = policy else {
                continue;
            };
            if self == Peer::Cyclonus {
                cyclonus_selector(&mut policy.pods);
            }
            let rules = policy.ingress.iter_mut().chain(&mut policy.egress);
            for peer in rules.flat_map(|rule| &mut rule.peers) {
                match (self, peer) {
                    (Peer::Cyclonus, NetworkPeer::Pods { namespaces, pods }) => {
                        namespaces.iter_mut().chain(pods).for_each(cyclonus_selector);
                    }
                    (Peer::Analyzer, NetworkPeer::Pods { namespaces, pods }) => {
                        analyzer_peer(&policy.namespace, namespaces, pods.as_ref());
                    }
                    // a block has no pod
                    (Peer::Analyzer, peer @ NetworkPeer::Block(_)) => *peer = NetworkPeer::Unknown,
                    _ => {}
                }
            }
        }
        seen
    }

    /// What it should say, its faults taken for granted. That a block has no pod does not
    /// touch who is outside.
    pub fn expected(self, seen: &Cluster, seen_outside: &Cluster, call: &Call) -> Answer {
        let world = if is_between_pods(call) { seen } else { seen_outside };
        naive::together(&naive::judge(world, &Profile::default(), call))
    }

    /// The same with blocks, for calls from and to outside.
    pub fn sees_outside(self, cluster: &Cluster) -> Cluster {
        let mut seen = self.sees(cluster);
        for (seen, policy) in seen.policies.iter_mut().zip(&cluster.policies) {
            let (Policy::Network(seen), Policy::Network(policy)) = (seen, policy) else {
                continue;
            };
            let rules = |policy: &NetworkPolicy| [policy.ingress.clone(), policy.egress.clone()].concat();
            let real = rules(policy).into_iter().flat_map(|rule| rule.peers);
            let rules = seen.ingress.iter_mut().chain(&mut seen.egress);
            for (peer, real) in rules.flat_map(|rule| &mut rule.peers).zip(real) {
                if matches!(real, NetworkPeer::Block(_)) {
                    *peer = real;
                }
            }
        }
        seen
    }

    /// It knows what the API says: the first asks policies about a pod's call to itself, the
    /// other never does.
    pub fn is_asked(self, call: &Call) -> bool {
        call.client != call.server
    }
}

fn cyclonus_selector(selector: &mut Selector) {
    let Selector::Requirements(all) = selector else {
        return;
    };
    let mut seen: Vec<Requirement> = Vec::new();
    let mut labels = Labels::new();
    for Requirement { key, operator } in all.drain(..) {
        let is_label = matches!(&operator, Operator::In(values) if values.len() == 1)
            && labels.insert(key.clone(), String::new()).is_none();
        let operator = match operator {
            Operator::NotIn(values) => {
                seen.push(Requirement {
                    key: key.clone(),
                    operator: Operator::Exists,
                });
                Operator::NotIn(values)
            }
            Operator::In(values) if is_label && values[0].is_empty() => {
                Operator::NotIn(VALUES.map(str::to_owned).to_vec())
            }
            operator => operator,
        };
        seen.push(Requirement { key, operator });
    }
    *all = seen;
}

/// The analyzer takes a namespace without a label for one where it is empty; and a podSelector
/// that asks whether a key is there stays in the policy's namespace whatever the namespaceSelector.
fn analyzer_peer(own: &str, namespaces: &mut Option<Selector>, pods: Option<&Selector>) {
    let Some(Selector::Requirements(all)) = namespaces else {
        return;
    };
    for Requirement { operator, .. } in all.iter_mut() {
        let others = |values: &[String]| -> Vec<String> {
            let others = VALUES.iter().map(|value| (*value).to_owned());
            others.filter(|value| !values.contains(value)).collect()
        };
        let is_empty_named = |values: &[String]| values.iter().any(String::is_empty);
        *operator = match &*operator {
            Operator::In(values) if is_empty_named(values) => Operator::NotIn(others(values)),
            Operator::NotIn(values) if is_empty_named(values) => Operator::In(others(values)),
            operator => operator.clone(),
        };
    }
    let Some(Selector::Requirements(of_pods)) = pods else {
        return;
    };
    let asks_for_key =
        |requirement: &Requirement| matches!(requirement.operator, Operator::Exists | Operator::DoesNotExist);
    if of_pods.iter().any(asks_for_key) {
        all.push(Requirement {
            key: NAMESPACE_NAME_LABEL.to_owned(),
            operator: Operator::In(vec![own.to_owned()]),
        });
    }
}

fn is_between_pods(call: &Call) -> bool {
    matches!((&call.client, &call.server), (End::Pod { .. }, End::Pod { .. }))
}
