//! What is read out of files and objects, and where faults are found.

use weir_policy::parse::{self, ParseError};
use weir_policy::{Policy, PolicyKind};

use crate::random::Random;

const POLICY: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec: {podSelector: {matchLabels: {app: a}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]}
";

fn problems(text: &str) -> Vec<String> {
    match parse::file(text, "default") {
        Err(ParseError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn documents_lists_and_json_are_read_and_other_kinds_counted() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: s}}\n- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: q}, spec: {podSelector: {}}}\n";
    let found = parse::file(&format!("---\n{POLICY}---\n---\n{list}"), "default").unwrap();
    let keys: Vec<_> = found
        .policies
        .iter()
        .map(|policy| policy.key().to_string())
        .collect();
    assert_eq!(keys, ["shop/p", "default/q"]);
    assert_eq!(found.policies[0].key().kind, PolicyKind::NetworkPolicy);
    assert_eq!(found.skipped.get("Service"), Some(&1));
    let json: serde_json::Value = serde_saphyr::from_str(POLICY).unwrap();
    assert_eq!(
        parse::file(&json.to_string(), "default").unwrap().policies,
        found.policies[..1]
    );
}

#[test]
fn every_fault_of_a_file_is_told_with_its_place() {
    let text = POLICY
        .replace("port: 80", "port: 0, prot: TCP")
        .replace("cidr: 10.0.0.0/8", "cidr: 10.0.0/8");
    let text = format!("{POLICY}---\n{text}---\n{}", POLICY.replace("spec:", "spce:"));
    assert_eq!(
        problems(&text),
        [
            "document 2: spec.ingress[0].from[0].ipBlock.cidr: \"10.0.0/8\" is no network in CIDR notation",
            "document 2: spec.ingress[0].ports[0].port: 0 is no number from 1 to 65535",
            "document 2: spec.ingress[0].ports[0].prot: is no field that we know",
            "document 3: spce: is no field that we know",
        ]
    );
}

#[test]
fn a_fault_of_yaml_names_the_line() {
    let Err(ParseError::Syntax { message, .. }) = parse::file("kind: NetworkPolicy\nspec: [", "default")
    else {
        panic!("no fault");
    };
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn a_port_that_cannot_be_understood_opens_nothing() {
    let text = POLICY.replace("{port: 80}", "{protocol: QUIC, port: 80}");
    let (policy, problems) = parse::stored(&serde_saphyr::from_str(&text).unwrap());
    assert_eq!(problems.len(), 1);
    let mut world = crate::world::World::new();
    world.cluster.policies.extend(policy.map(|policy| match policy {
        Policy::Network(mut policy) => {
            policy.namespace = "x".into();
            Policy::Network(policy)
        }
        other => other,
    }));
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
}

#[test]
fn metadata_of_the_api_server_is_no_fault() {
    let text = POLICY.replace(
        "namespace: shop",
        "namespace: shop, uid: u, generation: 2, managedFields: [{manager: m}]",
    );
    assert!(parse::file(&format!("{text}status: {{}}\n"), "default").is_ok());
    assert_eq!(
        problems(&POLICY.replace("name: p, ", ""))[0],
        "document 1: metadata.name: must have 1 to 253 characters"
    );
}

/// A value somewhere within becomes another one.
fn mutate(random: &mut Random, value: &mut serde_json::Value) {
    let others = [
        "null",
        "[]",
        "{}",
        "-1",
        "65536",
        "1.5",
        "\"\"",
        "\"*\"",
        "[null]",
        "{\"a\": 1}",
        "true",
        "\"::/129\"",
    ];
    let deeper = random.chance(85);
    match value {
        serde_json::Value::Object(fields) if deeper && !fields.is_empty() => {
            let at = random.below(fields.len());
            fields
                .values_mut()
                .nth(at)
                .into_iter()
                .for_each(|value| mutate(random, value));
        }
        serde_json::Value::Array(items) if deeper && !items.is_empty() => {
            let at = random.below(items.len());
            mutate(random, &mut items[at]);
        }
        _ => *value = serde_json::from_str(random.pick::<&str>(&others)).unwrap(),
    }
}

#[test]
fn broken_objects_never_panic() {
    let cnp = "apiVersion: policy.networking.k8s.io/v1beta1
kind: ClusterNetworkPolicy
metadata: {name: c}
spec:
  tier: Admin
  priority: 4
  subject: {pods: {namespaceSelector: {}, podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}]}}}
  ingress: [{name: r, action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 1, end: 9}}}}]}]
  egress: [{action: Accept, to: [{networks: [10.0.0.0/8]}, {domainNames: [a.example]}, {nodes: {}}]}]
";
    let mut faults = 0;
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let mut object: serde_json::Value =
            serde_saphyr::from_str(random.pick::<&str>(&[POLICY, cnp])).unwrap();
        (0..=random.below(2)).for_each(|_| mutate(&mut random, &mut object));
        let (policy, problems) = parse::stored(&object);
        let as_file = parse::file(&object.to_string(), "");
        faults += usize::from(as_file.is_err());
        if problems.is_empty()
            && let Some(policy) = policy
        {
            assert!(as_file.unwrap().policies.contains(&policy), "{object}");
        }
    }
    assert!(faults > 500, "{faults}");
}
