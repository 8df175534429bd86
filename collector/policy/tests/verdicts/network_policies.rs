//! NetworkPolicy v1, row by row of docs/policy-semantics.md.

use weir_policy::observed::{Answered, Changed, Disagreement, Lifetime, across, disagreement};
use weir_policy::{Answer, Cni, Connection, Profile, Protocol, Reason, Verdict, parse};

use crate::world::{World, address, endpoint, labels, network_policy, port};

/// Isolates pods with app=a in x and lets in what the rules say.
fn ingress(rules: &str) -> World {
    World::new().on_a("p", &format!("policyTypes: [Ingress]\ningress: {rules}"))
}

fn egress(rules: &str) -> World {
    World::new().on_a("p", &format!("policyTypes: [Egress]\negress: {rules}"))
}

fn refused(spec: &str) -> String {
    parse::file(&network_policy("p", "{}", spec), "x")
        .unwrap_err()
        .to_string()
}

#[test]
fn a_pod_that_no_policy_selects_is_open() {
    let world = ingress("[]");
    let asked = world.ask("x/a", "x/b", "tcp/80");
    assert_eq!((asked.answer, asked.reason), (Answer::Allow, Reason::Default));
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
}

#[test]
fn policies_add_up_in_any_order() {
    let one = "ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]";
    let two = "ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}, {from: [{podSelector: {}}]}]";
    let mut world = World::new().on_a("p2", two).on_a("p1", one);
    for _ in 0..2 {
        assert_eq!(world.ask("x/b", "x/a", "tcp/80").ingress, "x/p1 ingress[0]");
        assert_eq!(world.ask("x/c", "x/a", "tcp/80").ingress, "x/p2 ingress[0]");
        assert_eq!(world.ask("y/b", "x/a", "tcp/80").ingress, "x/p1");
        world.cluster.policies.reverse();
    }
    let engine = world.engine();
    let snapshot = engine.snapshot();
    let [client, server] = ["x/c", "x/a"].map(|end| endpoint(&engine, &snapshot, &world.end(end)));
    let explained = snapshot.explain(&Connection::new(client, server, 6, 80)).ingress;
    let isolating: Vec<String> = explained.isolating.iter().map(ToString::to_string).collect();
    assert_eq!(isolating, ["x/p1", "x/p2"]);
    let matching: Vec<_> = explained
        .matching
        .iter()
        .map(|m| (m.rule.policy.name.as_str(), m.rule.index))
        .collect();
    assert_eq!(matching, [("p2", Some(0)), ("p2", Some(1))]);
}

#[test]
fn types_that_are_given_silence_the_other_rules() {
    let world = World::new().on_a(
        "p",
        "policyTypes: [Egress]\ningress: [{from: [{podSelector: {}}]}]\negress: []",
    );
    assert!(world.allows("z/c", "x/a", "tcp/80"));
    assert!(!world.allows("x/a", "z/c", "tcp/80"));
}

#[test]
fn a_type_may_come_twice() {
    let world = World::new().on_a("p", "policyTypes: [Ingress, Ingress]");
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
    assert!(world.allows("x/a", "x/b", "tcp/80"));
    assert!(refused("policyTypes: [Ingress, Egress, Ingress]").contains("spec.policyTypes: has 3 items"));
    assert!(refused("policyTypes: [ingress]").contains("spec.policyTypes[0]"));
}

#[test]
fn types_default_by_the_number_of_egress_rules() {
    for (spec, isolates_egress) in [
        ("policyTypes: []", false),
        ("egress: []", false),
        ("egress: [{}]", true),
    ] {
        let world = World::new().on_a("p", spec);
        assert_eq!(world.ask("x/b", "x/a", "tcp/80").answer, Answer::Deny, "{spec}");
        let rule = world.ask("x/a", "x/b", "tcp/80");
        assert_eq!(rule.egress == "x/p egress[0]", isolates_egress, "{spec}");
        assert_eq!(rule.answer, Answer::Allow);
    }
    let world = World::new().on_a("p", "egress: [{to: [{podSelector: {matchLabels: {app: b}}}]}]");
    assert!(!world.allows("x/a", "x/c", "tcp/80"));
}

#[test]
fn an_empty_list_of_rules_allows_nothing() {
    for spec in [
        "policyTypes: [Ingress]",
        "policyTypes: [Ingress]\ningress: null",
        "policyTypes: [Ingress]\ningress: []",
    ] {
        let asked = World::new().on_a("p", spec).ask("x/b", "x/a", "tcp/80");
        assert_eq!((asked.answer, asked.reason), (Answer::Deny, Reason::Isolation));
        assert_eq!(asked.ingress, "x/p");
    }
}

#[test]
fn an_empty_rule_allows_everything() {
    let world = ingress("[{}]");
    for port in ["tcp/1", "udp/53", "sctp/65535"] {
        for client in ["x/b", "z/c", "203.0.113.9", "node:n2"] {
            assert!(world.allows(client, "x/a", port), "{client} {port}");
        }
    }
}

#[test]
fn no_peers_are_all_peers() {
    for rule in [
        "[{ports: [{port: 80}]}]",
        "[{from: [], ports: [{port: 80}]}]",
        "[{from: null, ports: [{port: 80}]}]",
    ] {
        let world = ingress(rule);
        for client in ["x/b", "z/c", "203.0.113.9", "node:n2", "x/host"] {
            assert!(world.allows(client, "x/a", "tcp/80"), "{client}");
        }
        assert!(!world.allows("x/b", "x/a", "tcp/81"));
    }
}

#[test]
fn no_ports_are_all_protocols() {
    for ports in ["", ", ports: []", ", ports: null"] {
        let world = ingress(&format!("[{{from: [{{podSelector: {{}}}}]{ports}}}]"));
        for port in ["tcp/80", "udp/80", "sctp/80"] {
            assert!(world.allows("x/b", "x/a", port));
        }
    }
}

#[test]
fn a_port_entry_without_port_is_its_whole_protocol() {
    let tcp = ingress("[{ports: [{}]}]");
    assert!(tcp.allows("x/b", "x/a", "tcp/1") && tcp.allows("x/b", "x/a", "tcp/65535"));
    assert!(!tcp.allows("x/b", "x/a", "udp/53"));
    let udp = ingress("[{ports: [{protocol: UDP}]}]");
    assert!(udp.allows("x/b", "x/a", "udp/1") && !udp.allows("x/b", "x/a", "tcp/1"));
}

#[test]
fn a_pod_selector_stays_in_its_namespace() {
    let world = ingress("[{from: [{podSelector: {matchLabels: {app: b}}}]}]");
    assert!(world.allows("x/b", "x/a", "tcp/80"));
    assert!(!world.allows("y/b", "x/a", "tcp/80"));
    for pods in ["{}", "null"] {
        let world = World::new().policy(&network_policy("p", pods, "policyTypes: [Ingress]"));
        assert!(!world.allows("y/a", "x/c", "tcp/80"));
        assert!(world.allows("x/a", "y/c", "tcp/80"));
    }
}

#[test]
fn all_namespaces_are_not_the_world() {
    let red = ingress("[{from: [{namespaceSelector: {matchLabels: {team: red}}}]}]");
    assert!(red.allows("x/c", "x/a", "tcp/80") && !red.allows("y/c", "x/a", "tcp/80"));
    let all = ingress("[{from: [{namespaceSelector: {}}]}]");
    assert!(all.allows("z/c", "x/a", "tcp/80"));
    for client in ["203.0.113.9", "node:n2", "10.1.77.77"] {
        assert!(!all.allows(client, "x/a", "tcp/80"), "{client}");
    }
}

#[test]
fn one_item_is_and_two_items_are_or() {
    let selectors = [
        "namespaceSelector: {matchLabels: {team: blue}}",
        "podSelector: {matchLabels: {app: b}}",
    ];
    let one = ingress(&format!("[{{from: [{{{}, {}}}]}}]", selectors[0], selectors[1]));
    let two = ingress(&format!(
        "[{{from: [{{{}}}, {{{}}}]}}]",
        selectors[0], selectors[1]
    ));
    for (client, and, or) in [
        ("y/b", true, true),
        ("y/c", false, true),
        ("x/b", false, true),
        ("x/c", false, false),
    ] {
        assert_eq!(one.allows(client, "x/a", "tcp/80"), and, "{client}");
        assert_eq!(two.allows(client, "x/a", "tcp/80"), or, "{client}");
    }
}

#[test]
fn null_and_empty_by_field() {
    for pods in ["", ", podSelector: null", ", podSelector: {}"] {
        let world = ingress(&format!(
            "[{{from: [{{namespaceSelector: {{matchLabels: {{team: blue}}}}{pods}}}]}}]"
        ));
        assert!(world.allows("y/c", "x/a", "tcp/80") && !world.allows("x/c", "x/a", "tcp/80"));
    }
    let own = ingress("[{from: [{namespaceSelector: null, podSelector: {}}]}]");
    assert!(own.allows("x/c", "x/a", "tcp/80") && !own.allows("y/c", "x/a", "tcp/80"));
    let all = ingress("[{from: [{namespaceSelector: {}, podSelector: {}}]}]");
    assert!(all.allows("x/c", "x/a", "tcp/80") && all.allows("y/c", "x/a", "tcp/80"));
}

#[test]
fn what_the_api_refuses_is_an_error_in_a_file() {
    let empty = refused("ingress: [{from: [{podSelector: {}}, {}]}]");
    assert!(
        empty.contains("spec.ingress[0].from[1]: must have a selector or an ipBlock"),
        "{empty}"
    );
    let both = refused("egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]");
    assert!(both.contains("spec.egress[0].to[0]"), "{both}");
    // stored all the same, it is nobody
    let yaml = network_policy("p", "{}", "ingress: [{from: [{}]}]");
    let object: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    let (policy, problems) = parse::stored(&object);
    assert_eq!(problems.len(), 1);
    let mut world = World::new();
    world.cluster.policies.extend(policy);
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
}

#[test]
fn requirements_are_and() {
    let world = ingress(
        "[{from: [{podSelector: {matchLabels: {app: b}, matchExpressions: [{key: tier, operator: Exists}]}}]}]",
    );
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
    let mut world = world;
    world.pod_mut("x", "b").labels = labels("app=b,tier=web");
    world.pod_mut("x", "c").labels = labels("tier=web");
    assert!(world.allows("x/b", "x/a", "tcp/80"));
    assert!(!world.allows("x/c", "x/a", "tcp/80"));
}

#[test]
fn a_selector_that_cannot_be_read_matches_nothing() {
    let spec = "policyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchLabels: {app: 'not a label!'}}}, {podSelector: {matchExpressions: [{key: app, operator: Like, values: [b]}]}}]}]";
    let yaml = network_policy("p", "{}", spec);
    let errors = parse::file(&yaml, "x").unwrap_err().to_string();
    assert!(
        errors.contains("spec.ingress[0].from[0].podSelector.matchLabels.app"),
        "{errors}"
    );
    assert!(
        errors.contains("spec.ingress[0].from[1].podSelector.matchExpressions[0].operator"),
        "{errors}"
    );
    let (policy, problems) = parse::stored(&serde_saphyr::from_str(&yaml).unwrap());
    assert_eq!(problems.len(), 2);
    let mut world = World::new();
    world.cluster.policies.extend(policy);
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
}

#[test]
fn notin_matches_what_has_no_such_label() {
    let rule = |operator: &str| {
        ingress(&format!(
            "[{{from: [{{podSelector: {{matchExpressions: [{operator}]}}}}]}}]"
        ))
    };
    let mut not_in = rule("{key: tier, operator: NotIn, values: [web]}");
    let mut absent = rule("{key: tier, operator: DoesNotExist}");
    for world in [&mut not_in, &mut absent] {
        world.pod_mut("x", "c").labels = labels("tier=web");
        assert!(world.allows("x/b", "x/a", "tcp/80"));
        assert!(!world.allows("x/c", "x/a", "tcp/80"));
        world.pod_mut("x", "c").labels = labels("tier=db");
    }
    assert!(not_in.allows("x/c", "x/a", "tcp/80"));
    assert!(!absent.allows("x/c", "x/a", "tcp/80"));
}

#[test]
fn an_empty_value_is_a_value() {
    let mut world = ingress("[{from: [{podSelector: {matchLabels: {k: ''}}}]}]");
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
    world.pod_mut("x", "b").labels = labels("k=");
    assert!(world.allows("x/b", "x/a", "tcp/80"));
}

#[test]
fn a_namespace_always_has_its_name_as_label() {
    let world = ingress("[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}]");
    assert!(world.allows("z/c", "x/a", "tcp/80"));
    assert!(!world.allows("y/c", "x/a", "tcp/80"));
    // also one of which only its pods are known
    let mut unknown = world;
    unknown.cluster.namespaces.clear();
    assert!(unknown.allows("z/c", "x/a", "tcp/80"));
}

#[test]
fn old_spellings_of_networks_are_masked_and_decimal() {
    let masked = ingress("[{from: [{ipBlock: {cidr: 203.1.2.3/8}}]}]");
    assert!(masked.allows("203.200.0.1", "x/a", "tcp/80"));
    let decimal = ingress("[{from: [{ipBlock: {cidr: 010.0.0.0/8}}]}]");
    assert!(decimal.allows("10.9.9.9", "x/a", "tcp/80"));
    assert!(!decimal.allows("8.9.9.9", "x/a", "tcp/80"));
}

#[test]
fn what_one_block_excepts_another_may_allow() {
    let block = "{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.64/26]}}";
    let alone = ingress(&format!("[{{from: [{block}]}}]"));
    assert!(alone.allows("203.0.113.1", "x/a", "tcp/80"));
    assert!(!alone.allows("203.0.113.65", "x/a", "tcp/80"));
    let other = ingress(&format!(
        "[{{from: [{block}, {{ipBlock: {{cidr: 203.0.113.65/32}}}}]}}]"
    ));
    assert!(other.allows("203.0.113.65", "x/a", "tcp/80"));
    assert!(!other.allows("203.0.113.66", "x/a", "tcp/80"));
    for except in ["203.0.112.0/23", "203.0.113.0/24", "198.51.100.0/25"] {
        let spec =
            format!("ingress: [{{from: [{{ipBlock: {{cidr: 203.0.113.0/24, except: [{except}]}}}}]}}]");
        assert!(refused(&spec).contains("except[0]"), "{except}");
    }
}

#[test]
fn families_do_not_mix() {
    let v4 = ingress("[{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]");
    assert!(v4.allows("203.0.113.9", "x/a", "tcp/80") && !v4.allows("2001:db8::9", "x/a@6", "tcp/80"));
    let v6 = ingress("[{from: [{ipBlock: {cidr: '::/0'}}]}]");
    assert!(!v6.allows("x/b", "x/a", "tcp/80") && v6.allows("x/b@6", "x/a@6", "tcp/80"));
}

#[test]
fn a_block_matches_a_pods_address() {
    let world = ingress("[{from: [{ipBlock: {cidr: 10.1.1.2/32}}]}]");
    let asked = world.ask("x/b", "x/a", "tcp/80");
    assert_eq!(asked.answer, Answer::Allow);
    assert!(asked.notes.block_hits_pods);
    assert!(!world.allows("x/c", "x/a", "tcp/80"));
    let outside =
        ingress("[{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]").ask("203.0.113.9", "x/a", "tcp/80");
    assert!(!outside.notes.block_hits_pods);
}

#[test]
fn a_block_on_a_cluster_ip_is_dead() {
    let world = egress("[{to: [{ipBlock: {cidr: 10.96.0.0/12}}]}]");
    let engine = world.engine();
    let snapshot = engine.snapshot();
    let client = endpoint(&engine, &snapshot, &world.end("x/a"));
    let service = snapshot.service(address("10.96.0.10"));
    let untranslated = snapshot.evaluate(&Connection::new(client, service, 6, 80));
    assert_eq!(
        (untranslated.answer, untranslated.reason),
        (Answer::Unknown, Reason::Backend)
    );
    // the pods behind decide; where they differ nobody knows
    let behind = ["x/b", "y/c"].map(|end| world.ask("x/a", end, "tcp/80").verdict);
    let agreed = Verdict::agreed(behind, Reason::Backend);
    assert_eq!((agreed.answer, agreed.reason), (Answer::Deny, Reason::Isolation));
    let one = egress("[{to: [{podSelector: {matchLabels: {app: b}}}]}]");
    let differ = Verdict::agreed(
        ["x/b", "y/c"].map(|end| one.ask("x/a", end, "tcp/80").verdict),
        Reason::Backend,
    );
    assert_eq!((differ.answer, differ.reason), (Answer::Unknown, Reason::Backend));
    assert_eq!(Verdict::agreed([], Reason::Backend).answer, Answer::Unknown);
}

#[test]
fn a_rule_means_the_target_port() {
    // a Service with port 80 and targetPort 8080
    let mut call = ingress("[{ports: [{port: 80}]}]").call("x/b", "x/a", "tcp/8080");
    call.through_service = true;
    assert_eq!(
        ingress("[{ports: [{port: 80}]}]").ask_call(&call).answer,
        Answer::Deny
    );
    assert_eq!(
        ingress("[{ports: [{port: 8080}]}]").ask_call(&call).answer,
        Answer::Allow
    );
}

#[test]
fn a_named_port_is_each_pods_own() {
    let world = World::new().policy(&network_policy("p", "{}", "ingress: [{ports: [{port: http}]}]"));
    for (server, open, closed) in [("x/a", "tcp/8080", "tcp/9090"), ("x/b", "tcp/9090", "tcp/8080")] {
        assert!(world.allows("y/c", server, open));
        assert!(!world.allows("y/c", server, closed));
    }
    let out = egress("[{ports: [{port: http}]}]");
    assert!(out.allows("x/a", "y/b", "tcp/9090") && !out.allows("x/a", "y/b", "tcp/8080"));
}

#[test]
fn a_name_nobody_has_matches_nothing() {
    let out = egress("[{ports: [{port: http}]}, {ports: [{port: nobody}]}]");
    assert!(!out.allows("x/a", "x/c", "tcp/80"));
    for outside in ["203.0.113.9", "node:n2", "x/host"] {
        assert!(!out.allows("x/a", outside, "tcp/8080"), "{outside}");
    }
    assert!(!ingress("[{ports: [{port: nobody}]}]").allows("x/b", "x/a", "tcp/8080"));
}

#[test]
fn a_name_with_another_protocol_is_no_match() {
    let world = ingress("[{ports: [{port: dns}, {port: http, protocol: UDP}]}]");
    assert!(!world.allows("x/b", "x/a", "tcp/53"));
    assert!(!world.allows("x/b", "x/a", "udp/53"));
    assert!(!world.allows("x/b", "x/a", "udp/8080"));
    assert!(ingress("[{ports: [{port: dns, protocol: UDP}]}]").allows("x/b", "x/a", "udp/53"));
}

#[test]
fn named_ports_of_all_containers() {
    let mut world = ingress("[{ports: [{port: http}, {port: admin}]}]");
    world
        .pod_mut("x", "a")
        .ports
        .extend([port("admin", Protocol::Tcp, 9), port("http", Protocol::Tcp, 81)]);
    for number in ["tcp/8080", "tcp/81", "tcp/9"] {
        assert!(world.allows("x/b", "x/a", number), "{number}");
    }
}

#[test]
fn a_range_ends_inclusively() {
    let world =
        ingress("[{ports: [{port: 8000, endPort: 8010}, {port: 9000, endPort: 9000}, {port: 65535}]}]");
    for (number, open) in [
        (7999, false),
        (8000, true),
        (8005, true),
        (8010, true),
        (8011, false),
        (9000, true),
        (9001, false),
        (65535, true),
    ] {
        assert_eq!(
            world.allows("x/b", "x/a", &format!("tcp/{number}")),
            open,
            "{number}"
        );
    }
    for ports in [
        "{port: 8010, endPort: 8000}",
        "{port: http, endPort: 9000}",
        "{endPort: 9000}",
        "{port: 0}",
        "{port: 65536}",
    ] {
        assert!(
            refused(&format!("ingress: [{{ports: [{ports}]}}]")).contains("spec.ingress[0].ports[0]"),
            "{ports}"
        );
    }
}

#[test]
fn the_own_node_reaches_its_pods() {
    let world = ingress("[]");
    let asked = world.ask("node:n1", "x/a", "tcp/80");
    assert_eq!((asked.answer, asked.reason), (Answer::Allow, Reason::Node));
    assert!(world.allows("x/host", "x/a", "tcp/80"));
    assert!(world.allows("node:n1@10.1.0.2", "x/a", "tcp/80"));
    assert!(!world.allows("node:n2", "x/a", "tcp/80"));
}

#[test]
fn to_the_own_node_by_profile() {
    for (cni, open) in [
        (Cni::Spec, false),
        (Cni::OvnKubernetes, false),
        (Cni::Antrea, false),
        (Cni::KubeOvn, true),
    ] {
        let world = World::with(cni).on_a("p", "policyTypes: [Egress]");
        let asked = world.ask("x/a", "node:n1", "tcp/10250");
        assert_eq!(asked.answer == Answer::Allow, open, "{cni:?}");
        assert_eq!(asked.notes.profile, open, "{cni:?}");
        assert!(!world.allows("x/a", "node:n2", "tcp/10250"));
    }
}

#[test]
fn a_pod_on_the_host_network_is_its_node() {
    let world = World::new().policy(&network_policy("p", "{}", "policyTypes: [Ingress, Egress]"));
    let asked = world.ask("z/c", "x/host", "tcp/80");
    assert_eq!(
        (asked.answer, asked.verdict.ingress.reason),
        (Answer::Allow, Reason::Host)
    );
    let peer = World::new().on_a(
        "p",
        "egress: [{to: [{namespaceSelector: {}}, {podSelector: {matchLabels: {app: host}}}]}]",
    );
    assert!(!peer.allows("x/a", "x/host", "tcp/80"));
    let block = World::new().on_a("p", "egress: [{to: [{ipBlock: {cidr: 192.168.0.1/32}}]}]");
    assert!(block.allows("x/a", "x/host", "tcp/80"));
}

#[test]
fn another_node_is_an_address() {
    let world = ingress(
        "[{from: [{namespaceSelector: {}}]}, {from: [{ipBlock: {cidr: 192.168.0.2/32}}], ports: [{port: 80}]}]",
    );
    assert_eq!(world.ask("node:n2", "x/a", "tcp/80").ingress, "x/p ingress[1]");
    assert!(!world.allows("node:n2", "x/a", "tcp/81"));
}

#[test]
fn a_pod_reaches_itself() {
    let world = World::new().on_a("p", "policyTypes: [Ingress, Egress]");
    let asked = world.ask("x/a", "x/a", "tcp/80");
    assert_eq!((asked.answer, asked.reason), (Answer::Allow, Reason::SelfPod));
    assert!(world.allows("x/a", "x/a@6", "tcp/80"));
}

#[test]
fn a_hairpin_by_profile() {
    let hairpin = |cni, spec: &str| {
        let world = World::with(cni).on_a("p", spec);
        let mut call = world.call("x/a", "x/a", "tcp/80");
        call.through_service = true;
        world.ask_call(&call)
    };
    let both = "policyTypes: [Ingress, Egress]";
    assert_eq!(hairpin(Cni::Spec, both).reason, Reason::Backend);
    assert_eq!(hairpin(Cni::Spec, both).answer, Answer::Unknown);
    assert_eq!(
        hairpin(Cni::Spec, "ingress: [{from: [{podSelector: {}}]}]").answer,
        Answer::Allow
    );
    assert_eq!(hairpin(Cni::OvnKubernetes, both).answer, Answer::Allow);
    assert!(hairpin(Cni::OvnKubernetes, both).notes.profile);
    assert_eq!(hairpin(Cni::Antrea, both).answer, Answer::Deny);
    assert_eq!(
        hairpin(Cni::Antrea, "policyTypes: [Ingress]").answer,
        Answer::Allow
    );
}

#[test]
fn protocols_are_not_each_others() {
    let udp = ingress("[{ports: [{protocol: UDP, port: 53}]}]");
    assert!(udp.allows("x/b", "x/a", "udp/53") && !udp.allows("x/b", "x/a", "tcp/53"));
    let sctp = ingress("[{ports: [{protocol: SCTP, port: 53}]}]");
    assert!(sctp.allows("x/b", "x/a", "sctp/53"));
    assert!(!sctp.allows("x/b", "x/a", "udp/53") && !sctp.allows("x/b", "x/a", "tcp/53"));
    assert!(refused("ingress: [{ports: [{protocol: ICMP}]}]").contains("ports[0].protocol"));
}

#[test]
fn icmp_by_profile() {
    let echo = "icmp/2048";
    let closed = "policyTypes: [Ingress]";
    let open = "ingress: [{from: [{podSelector: {}}]}]";
    let ports = "ingress: [{ports: [{}]}]";
    let answer = |world: World, spec: &str, port: &str| world.on_a("p", spec).ask("x/b", "x/a", port);
    for spec in [closed, open, ports] {
        let asked = answer(World::new(), spec, echo);
        assert_eq!((asked.answer, asked.reason), (Answer::Unknown, Reason::Protocol));
    }
    for cni in [Cni::OvnKubernetes, Cni::Antrea, Cni::KubeOvn] {
        assert_eq!(
            answer(World::with(cni), closed, echo).answer,
            Answer::Deny,
            "{cni:?}"
        );
        assert_eq!(
            answer(World::with(cni), ports, echo).answer,
            Answer::Deny,
            "{cni:?}"
        );
        assert_eq!(
            answer(World::with(cni), open, echo).answer,
            Answer::Allow,
            "{cni:?}"
        );
    }
    let mut icmp = World::with(Cni::OvnKubernetes);
    icmp.profile.allow_icmp = true;
    assert_eq!(answer(icmp, closed, echo).answer, Answer::Allow);
    let mut lax = World::with(Cni::KubeOvn);
    lax.profile.lax = true;
    assert_eq!(answer(lax, closed, "47/0").answer, Answer::Allow);
    assert_eq!(
        answer(World::with(Cni::KubeOvn), closed, "icmp6/32768").answer,
        Answer::Allow
    );
    assert_eq!(World::new().ask("x/b", "x/a", echo).reason, Reason::Default);
}

#[test]
fn replies_need_no_rule() {
    // a may call out and nobody may call a: the reply comes in all the same
    let world = World::new().on_a(
        "p",
        "policyTypes: [Ingress, Egress]\negress: [{to: [{podSelector: {}}]}]",
    );
    assert!(!world.allows("x/b", "x/a", "tcp/40000"));
    let engine = world.engine();
    let snapshot = engine.snapshot();
    let [a, b] = ["x/a", "x/b"].map(|end| endpoint(&engine, &snapshot, &world.end(end)));
    let reply = snapshot.evaluate(&Connection::of_reply(b, a, 6, 80));
    assert_eq!(reply, world.ask("x/a", "x/b", "tcp/80").verdict);
    assert_eq!(reply.answer, Answer::Allow);
}

#[test]
fn an_error_belongs_to_its_connection() {
    for cni in [Cni::Spec, Cni::OvnKubernetes, Cni::Antrea] {
        let world = World::with(cni).on_a("p", "policyTypes: [Ingress, Egress]");
        let error = world.ask("x/b", "x/a", &format!("icmp/{}", 3 * 256 + 1));
        assert_eq!(
            (error.answer, error.reason),
            (Answer::Unknown, Reason::Protocol),
            "{cni:?}"
        );
    }
    // one that a rule lets in needs no connection
    let open = World::with(Cni::Antrea).on_a("p", "ingress: [{}]");
    assert_eq!(open.ask("x/b", "x/a", "icmp/769").answer, Answer::Allow);
}

#[test]
fn neighbour_talk_is_not_judged() {
    let world = World::new().policy(&network_policy("p", "{}", "policyTypes: [Ingress, Egress]"));
    assert_eq!(
        world
            .ask("x/b@6", "x/a@6", &format!("icmp6/{}", 135 * 256))
            .answer,
        Answer::NotJudged
    );
    for group in ["224.0.0.251", "255.255.255.255", "ff02::1"] {
        let asked = world.ask("x/a", group, "udp/5353");
        assert_eq!((asked.answer, asked.answer.name()), (Answer::NotJudged, ""));
    }
}

#[test]
fn other_networks_are_not_judged() {
    let world = World::new().policy(&network_policy("p", "{}", "policyTypes: [Ingress, Egress]"));
    let engine = world.engine();
    let snapshot = engine.snapshot();
    let [a, b] = ["x/a", "x/b"].map(|end| endpoint(&engine, &snapshot, &world.end(end)));
    let secondary = Connection {
        primary_network: false,
        ..Connection::new(b, a, 6, 80)
    };
    assert_eq!(snapshot.evaluate(&secondary).answer, Answer::NotJudged);
}

#[test]
fn a_finished_pod_is_no_peer() {
    let world = ingress("[{from: [{podSelector: {matchLabels: {app: done}}}]}]");
    let engine = world.engine();
    assert!(engine.pod("x", "done", address("10.1.1.9")).is_none());
    assert!(engine.holders(address("10.1.1.9")).is_empty());
    assert!(!world.allows("10.1.1.9", "x/a", "tcp/80"));
    // its address goes to another
    let mut reused = world;
    reused.pod_mut("x", "b").addresses.push(address("10.1.1.9"));
    assert_eq!(reused.engine().holders(address("10.1.1.9")).len(), 1);
}

#[test]
fn ambiguous_holders_must_agree() {
    let mut world = ingress("[{from: [{podSelector: {matchLabels: {app: b}}}]}]");
    world.pod_mut("x", "c").addresses = vec![address("10.1.1.2")];
    let engine = world.engine();
    let snapshot = engine.snapshot();
    let judge = |port| {
        let server = endpoint(&engine, &snapshot, &world.end("x/a"));
        let readings = engine
            .holders(address("10.1.1.2"))
            .into_iter()
            .map(|client| snapshot.evaluate(&Connection::new(client, server, 6, port)));
        Verdict::agreed(readings, Reason::Identity)
    };
    let differ = judge(80);
    assert_eq!(
        (differ.answer, differ.reason),
        (Answer::Unknown, Reason::Identity)
    );
    world.pod_mut("x", "c").labels = labels("app=b");
    assert_eq!(world.ask("x/c", "x/a", "tcp/80").answer, Answer::Allow);
}

const SECOND: u64 = 1_000_000_000;

fn before_and_after() -> [Verdict; 2] {
    let closed = ingress("[]");
    [
        World::new().ask("x/b", "x/a", "tcp/80").verdict,
        closed.ask("x/b", "x/a", "tcp/80").verdict,
    ]
}

fn judged(opened: u64, start: u64, end: u64, change: Changed, cni: Cni) -> (Answer, Reason) {
    let [before, after] = before_and_after();
    let record = Lifetime {
        opened: opened * SECOND,
        start: start * SECOND,
        end: end * SECOND,
    };
    let verdict = across(before, after, record, change, &Profile::of(cni));
    (verdict.answer, verdict.reason)
}

fn change_at(earliest: u64, latest: u64) -> Changed {
    Changed {
        earliest: earliest * SECOND,
        latest: latest * SECOND,
    }
}

#[test]
fn a_flow_across_a_change_needs_both() {
    let change = change_at(100, 100);
    for cni in [Cni::Spec, Cni::OvnKubernetes] {
        assert_eq!(judged(50, 50, 90, change, cni), (Answer::Allow, Reason::Default));
        assert_eq!(
            judged(95, 95, 120, change, cni),
            (Answer::Unknown, Reason::Changed)
        );
        assert_eq!(
            judged(110, 110, 120, change, cni),
            (Answer::Unknown, Reason::Changed),
            "not settled yet"
        );
        assert_eq!(
            judged(130, 130, 140, change, cni),
            (Answer::Deny, Reason::Isolation)
        );
    }
    // nobody watched meanwhile
    assert_eq!(
        judged(150, 150, 160, change_at(100, 200), Cni::Spec),
        (Answer::Unknown, Reason::Gap)
    );
    // what did not change is known
    let [open, _] = before_and_after();
    let record = Lifetime {
        opened: 95 * SECOND,
        start: 95 * SECOND,
        end: 120 * SECOND,
    };
    assert_eq!(
        across(open, open, record, change, &Profile::default()).answer,
        Answer::Allow
    );
}

#[test]
fn an_old_connection_by_profile() {
    let change = change_at(100, 100);
    let late = |cni| judged(50, 200, 210, change, cni);
    assert_eq!(late(Cni::Spec), (Answer::Unknown, Reason::Changed));
    assert_eq!(late(Cni::Antrea), (Answer::Allow, Reason::Default));
    assert_eq!(late(Cni::OvnKubernetes), (Answer::Deny, Reason::Isolation));
    assert_eq!(late(Cni::KubeOvn), (Answer::Deny, Reason::Isolation));
}

#[test]
fn a_rewritten_source_is_what_the_pod_sees() {
    let world = ingress("[{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]");
    let direct = world.ask("203.0.113.9", "x/a", "tcp/80");
    assert_eq!((direct.answer, direct.notes.rewritten), (Answer::Allow, false));
    // the same client through a node port of another node
    let rewritten = world.ask("node:n2", "x/a", "tcp/80");
    assert_eq!(
        (rewritten.answer, rewritten.notes.rewritten),
        (Answer::Deny, true)
    );
    assert!(!world.ask("node:n1", "x/a", "tcp/80").notes.rewritten);
}

#[test]
fn no_answer_is_no_verdict() {
    let [open, closed] = before_and_after();
    assert_eq!(disagreement(&open, Answered::Forward, false), None);
    assert_eq!(
        disagreement(&open, Answered::Forward, true),
        Some(Disagreement::DroppedByAnother)
    );
    assert_eq!(disagreement(&closed, Answered::Forward, true), None);
    assert_eq!(
        disagreement(&closed, Answered::Both, false),
        Some(Disagreement::NotEnforced)
    );
    assert_eq!(closed.answer, Answer::Deny);
}

#[test]
fn both_ends_must_allow_and_egress_is_named_first() {
    let both = World::new().policy(&network_policy("p", "{}", "policyTypes: [Ingress, Egress]"));
    let asked = both.ask("x/a", "x/b", "tcp/80");
    assert_eq!((asked.egress.as_str(), asked.ingress.as_str()), ("x/p", "x/p"));
    assert_eq!(asked.verdict.egress.answer, Answer::Deny);
    // an ingress-only policy does not deny egress
    let ingress_only = ingress("[]");
    assert_eq!(ingress_only.ask("x/a", "y/b", "tcp/80").egress, "");
}

/// Rules are looked at 64 at a time; none is forgotten among them.
#[test]
fn each_of_many_rules_counts() {
    let rule = |n: u16| format!("- {{ports: [{{port: {}}}]}}", 1_000 + n);
    let rules: Vec<String> = (0..130).map(rule).collect();
    let spec = format!("policyTypes: [Ingress]\ningress:\n{}", rules.join("\n"));
    let world = World::new().on_a("many", &spec);
    for n in 0..130 {
        let asked = world.ask("x/b", "x/a", &format!("tcp/{}", 1_000 + n));
        assert_eq!(asked.answer, Answer::Allow, "rule {n}");
        assert!(
            asked.ingress.ends_with(&format!("ingress[{n}]")),
            "{}",
            asked.ingress
        );
    }
}
