//! What is odd about policies.

use weir_policy::lint::lint;
use weir_policy::{Cni, Policy, Profile, parse};

use crate::world::network_policy;

const CNP: &str = "apiVersion: policy.networking.k8s.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {name: NAME}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {}}
  egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}]}, {action: Deny, to: [{PEER: {}}], protocols: [{tcp: {}}]}]
";

fn stored(yaml: &str) -> Policy {
    parse::stored(&serde_saphyr::from_str(yaml).unwrap()).0.unwrap()
}

fn found(policies: &[Policy], cni: Cni) -> Vec<String> {
    let lints = lint(policies, &Profile::of(cni));
    lints
        .iter()
        .map(|lint| format!("{} {} {}", lint.policy, lint.code.name(), lint.place))
        .collect()
}

#[test]
fn odd_network_policies_are_told_with_their_rules() {
    let dead = "policyTypes: [Egress]\ningress: [{}, {}]\negress: [{ports: [{port: http}]}]";
    let bad =
        "ingress: [{from: [{podSelector: {}}]}, {from: [{podSelector: {matchLabels: {'a b': c}}}, {}]}]";
    let policies = [
        stored(&network_policy("dead", "{}", dead)),
        stored(&network_policy("bad", "{matchLabels: {app: '?'}}", bad)),
        stored(&network_policy("good", "{}", "ingress: [{ports: [{port: 80}]}]")),
    ];
    let spec = [
        "x/bad bad_selector spec.ingress[1]",
        "x/bad bad_selector spec.podSelector",
        "x/bad unknown_peer spec.ingress[1]",
        "x/dead dead_rules spec.ingress[0]",
        "x/dead dead_rules spec.ingress[1]",
    ];
    assert_eq!(found(&policies, Cni::Spec), spec);
    let ovn = found(&policies, Cni::OvnKubernetes);
    assert_eq!(ovn[5..], ["x/dead named_port_opens_protocol spec.egress[0]"]);
}

#[test]
fn odd_cluster_policies_are_told_with_their_rules() {
    let one = stored(&CNP.replace("NAME", "one").replace("PEER", "namespaces"));
    let two = stored(&CNP.replace("NAME", "two").replace("PEER", "galaxies"));
    assert_eq!(
        found(std::slice::from_ref(&one), Cni::Spec),
        ["one protocol_without_port spec.egress[1]"]
    );
    let both = [
        "one protocol_without_port spec.egress[1]",
        "one equal_priority two",
        "two unknown_peer spec.egress[1]",
        "two protocol_without_port spec.egress[1]",
        "two equal_priority one",
    ];
    assert_eq!(found(&[one, two], Cni::Spec), both);
}
