//! The cluster kinds, row by row of docs/policy-semantics.md.

use weir_policy::{Answer, Protocol, Reason, parse};

use crate::world::{World, labels, network_policy, port};

fn cnp(name: &str, tier: &str, priority: u16, body: &str) -> String {
    of_version("v1beta1", name, tier, priority, body)
}

fn of_version(version: &str, name: &str, tier: &str, priority: u16, body: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/{version}\nkind: ClusterNetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  tier: {tier}\n  priority: {priority}\n  subject: {{namespaces: {{}}}}\n  {}\n",
        body.trim().replace('\n', "\n  ")
    )
}

fn from(action: &str) -> String {
    format!("ingress: [{{name: r, action: {action}, from: [{{namespaces: {{}}}}]}}]")
}

fn admin(priority: u16, body: &str) -> World {
    World::new().policy(&cnp("admin", "Admin", priority, body))
}

fn refused(yaml: &str) -> String {
    parse::file(yaml, "x").unwrap_err().to_string()
}

fn repeated(item: &str, times: usize) -> String {
    vec![item; times].join(", ")
}

#[test]
fn lower_numbers_come_first() {
    let world = admin(10, &from("Deny")).policy(&cnp("first", "Admin", 9, &from("Accept")));
    assert_eq!(world.ask("x/b", "x/a", "tcp/80").ingress, "first ingress[0]");
    let tiers = World::new()
        .policy(&cnp("late", "Baseline", 0, &from("Deny")))
        .policy(&network_policy("np", "{matchLabels: {app: a}}", "ingress: [{}]"))
        .policy(&cnp(
            "early",
            "Admin",
            1000,
            "ingress: [{action: Deny, from: [{pods: {podSelector: {matchLabels: {app: c}}}}]}]",
        ));
    assert_eq!(tiers.ask("x/b", "x/a", "tcp/80").ingress, "x/np ingress[0]");
    assert_eq!(tiers.ask("x/c", "x/a", "tcp/80").ingress, "early ingress[0]");
    assert_eq!(tiers.ask("x/a", "x/b", "tcp/80").ingress, "late ingress[0]");
}

#[test]
fn the_limits_of_the_crd() {
    let peer = "{namespaces: {}}";
    let rule = format!("{{action: Deny, from: [{peer}]}}");
    let many = |what: &str, times: usize| match what {
        "rules" => cnp("p", "Admin", 1, &format!("ingress: [{}]", repeated(&rule, times))),
        "peers" => cnp(
            "p",
            "Admin",
            1,
            &format!("ingress: [{{action: Deny, from: [{}]}}]", repeated(peer, times)),
        ),
        "protocols" => cnp(
            "p",
            "Admin",
            1,
            &format!(
                "ingress: [{{action: Deny, from: [{peer}], protocols: [{}]}}]",
                repeated("{tcp: {destinationPort: {number: 1}}}", times)
            ),
        ),
        "networks" => cnp(
            "p",
            "Admin",
            1,
            &format!(
                "egress: [{{action: Deny, to: [{{networks: [{}]}}]}}]",
                repeated("10.0.0.0/8", times)
            ),
        ),
        _ => cnp(
            "p",
            "Admin",
            1,
            &format!(
                "egress: [{{action: Accept, to: [{{domainNames: [{}]}}]}}]",
                repeated("a.example", times)
            ),
        ),
    };
    for what in ["rules", "peers", "protocols", "networks", "names"] {
        assert!(parse::file(&many(what, 25), "x").is_ok(), "{what}");
        assert!(
            refused(&many(what, 26)).contains("has 26 items, more than 25"),
            "{what}"
        );
    }
    assert!(parse::file(&cnp("p", "Admin", 1000, ""), "x").is_ok());
    assert!(refused(&cnp("p", "Admin", 1001, "")).contains("spec.priority"));
    let long = format!(
        "ingress: [{{name: {}, action: Deny, from: [{peer}]}}]",
        "n".repeat(101)
    );
    assert!(refused(&cnp("p", "Admin", 1, &long)).contains("spec.ingress[0].name"));
}

#[test]
fn a_cluster_policy_isolates_nobody() {
    let world = admin(
        1,
        "ingress: [{action: Accept, from: [{pods: {podSelector: {matchLabels: {app: b}}}}]}]\negress: []",
    );
    let asked = world.ask("x/c", "x/a", "tcp/80");
    assert_eq!((asked.answer, asked.reason), (Answer::Allow, Reason::Default));
    let order = admin(
        1,
        "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}, {action: Accept, from: [{namespaces: {}}]}]",
    );
    assert_eq!(order.ask("x/c", "x/a", "tcp/80").ingress, "admin ingress[0]");
    assert_eq!(order.ask("x/c", "x/a", "tcp/81").ingress, "admin ingress[1]");
}

#[test]
fn pass_skips_the_tier() {
    let world = admin(1, &from("Pass")).policy(&cnp("later", "Admin", 2, &from("Deny")));
    assert_eq!(world.ask("x/b", "x/a", "tcp/80").reason, Reason::Default);
    let closed = admin(1, &from("Pass")).on_a("np", "policyTypes: [Ingress]");
    assert_eq!(closed.ask("x/b", "x/a", "tcp/80").ingress, "x/np");
    let baseline = World::new()
        .policy(&cnp("one", "Baseline", 1, &from("Pass")))
        .policy(&cnp("two", "Baseline", 2, &from("Deny")));
    assert!(baseline.allows("x/b", "x/a", "tcp/80"));
    let accepted = admin(1, &from("Accept")).on_a("np", "policyTypes: [Ingress]");
    assert!(accepted.allows("x/b", "x/a", "tcp/80"));
}

#[test]
fn accept_is_for_one_side() {
    let world =
        admin(1, "egress: [{action: Accept, to: [{namespaces: {}}]}]").on_a("np", "policyTypes: [Ingress]");
    let asked = world.ask("x/b", "x/a", "tcp/80");
    assert_eq!(asked.answer, Answer::Deny);
    assert_eq!(
        (asked.egress.as_str(), asked.ingress.as_str()),
        ("admin egress[0]", "x/np")
    );
}

#[test]
fn equal_priorities_that_disagree_are_unknown() {
    let differ = admin(5, &from("Accept")).policy(&cnp("other", "Admin", 5, &from("Deny")));
    let asked = differ.ask("x/b", "x/a", "tcp/80");
    assert_eq!((asked.answer, asked.reason), (Answer::Unknown, Reason::Order));
    let agree = admin(5, &from("Deny")).policy(&cnp("other", "Admin", 5, &from("Deny")));
    assert_eq!(agree.ask("x/b", "x/a", "tcp/80").ingress, "admin ingress[0]");
    let apart = admin(5, &from("Accept")).policy(&cnp("other", "Admin", 6, &from("Deny")));
    assert!(apart.allows("x/b", "x/a", "tcp/80"));
    // both readings come out the same
    let same = admin(5, &from("Accept")).policy(&cnp("other", "Admin", 5, &from("Pass")));
    assert!(same.allows("x/b", "x/a", "tcp/80"));
    let same = same.on_a("np", "policyTypes: [Ingress]");
    assert_eq!(same.ask("x/b", "x/a", "tcp/80").reason, Reason::Order);
}

#[test]
fn cluster_policies_skip_the_host_network() {
    let world = admin(
        1,
        "ingress: [{action: Deny, from: [{namespaces: {}}]}]\negress: [{action: Deny, to: [{namespaces: {}}]}]",
    );
    assert!(
        world.allows("x/b", "x/host", "tcp/80"),
        "neither as subject nor as peer"
    );
    assert!(world.allows("x/host", "x/b", "tcp/80"));
    assert!(!world.allows("x/b", "x/a", "tcp/80"));
    let subject = "apiVersion: policy.networking.k8s.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec: {tier: Admin, priority: 1, subject: {}}";
    assert!(refused(subject).contains("spec.subject: must have one of namespaces and pods"));
    let both = subject.replace("{}}", "{namespaces: {}, pods: {podSelector: {}}}}");
    assert!(refused(&both).contains("spec.subject"));
}

#[test]
fn no_protocols_are_all_cluster() {
    let world = admin(1, &from("Deny"));
    for port in ["tcp/80", "udp/80", "sctp/80", "icmp/2048", "47/0"] {
        assert!(!world.allows("x/b", "x/a", port), "{port}");
    }
    let tcp = admin(
        1,
        "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}}]}]",
    );
    assert!(!tcp.allows("x/b", "x/a", "tcp/1") && !tcp.allows("x/b", "x/a", "tcp/65535"));
    assert!(tcp.allows("x/b", "x/a", "udp/1") && tcp.allows("x/b", "x/a", "icmp/2048"));
}

#[test]
fn a_range_must_grow() {
    let rule = |port: &str| {
        format!("ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], protocols: [{port}]}}]")
    };
    let range = |start: u16, end: u16| {
        rule(&format!(
            "{{udp: {{destinationPort: {{range: {{start: {start}, end: {end}}}}}}}}}"
        ))
    };
    let world = admin(1, &range(100, 110));
    for (number, denied) in [(99, false), (100, true), (110, true), (111, false)] {
        assert_eq!(
            !world.allows("x/b", "x/a", &format!("udp/{number}")),
            denied,
            "{number}"
        );
    }
    for wrong in [
        range(110, 100),
        range(100, 100),
        rule("{udp: {destinationPort: {}}}"),
        rule("{}"),
    ] {
        assert!(refused(&cnp("p", "Admin", 1, &wrong)).contains("spec.ingress[0].protocols[0]"));
    }
    let mut named = admin(1, &rule("{destinationNamedPort: http}"));
    named
        .pod_mut("x", "a")
        .ports
        .push(port("http", Protocol::Sctp, 7));
    for (number, denied) in [("tcp/8080", true), ("sctp/7", true), ("tcp/7", false)] {
        assert_eq!(!named.allows("x/b", "x/a", number), denied, "{number}");
    }
    let networks =
        "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: http}]}]";
    assert!(refused(&cnp("p", "Admin", 1, networks)).contains("no named ports"));
}

#[test]
fn from_outside_no_cluster_rule_matches() {
    let world = admin(1, &from("Deny"));
    for client in ["203.0.113.9", "node:n1", "node:n2"] {
        assert!(world.allows(client, "x/a", "tcp/80"), "{client}");
    }
    let networks = "ingress: [{action: Deny, from: [{networks: [0.0.0.0/0]}]}]";
    assert!(refused(&cnp("p", "Admin", 1, networks)).contains("spec.ingress[0].from[0].networks"));
}

#[test]
fn nodes_are_their_addresses() {
    let mut world = admin(
        1,
        "egress: [{action: Deny, to: [{nodes: {matchLabels: {zone: b}}}]}]",
    );
    assert!(!world.allows("x/a", "node:n2", "tcp/80"));
    assert!(world.allows("x/a", "node:n1", "tcp/80"));
    assert!(
        world.allows("x/a", "node:n2@10.1.0.3", "tcp/80"),
        "not among status.addresses"
    );
    assert!(world.allows("x/a", "z/c", "tcp/80"));
    world.cluster.nodes[0].labels = labels("zone=b");
    assert!(
        !world.allows("x/a", "x/host", "tcp/80"),
        "a pod there has the node's address"
    );
}

#[test]
fn a_network_hits_pods_too() {
    let world = admin(1, "egress: [{action: Deny, to: [{networks: [10.1.3.0/24]}]}]");
    let asked = world.ask("x/a", "z/c", "tcp/80");
    assert_eq!(asked.answer, Answer::Deny);
    assert!(asked.notes.block_hits_pods);
    assert!(!world.allows("x/a", "z/c", "icmp/2048"));
    assert!(world.allows("x/a", "y/c", "tcp/80"));
    let host_bits = "egress: [{action: Deny, to: [{networks: [10.1.3.1/24]}]}]";
    assert!(refused(&cnp("p", "Admin", 1, host_bits)).contains("must be written 10.1.3.0/24"));
}

const NAMES: &str = "egress: [{action: Accept, to: [{domainNames: ['*.example.com', 'Exact.org.']}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]";

fn with_names(world: &World, names: &[&str]) -> Answer {
    let mut call = world.call("x/a", "203.0.113.9", "tcp/443");
    call.domains = Some(names.iter().map(ToString::to_string).collect());
    world.ask_call(&call).answer
}

#[test]
fn a_wildcard_is_not_its_apex() {
    let world = admin(1, NAMES);
    for (name, open) in [
        ("www.example.com", true),
        ("a.b.example.com", true),
        ("example.com", false),
        ("badexample.com", false),
        ("exact.org", true),
        ("www.exact.org", false),
    ] {
        assert_eq!(with_names(&world, &[name]) == Answer::Allow, open, "{name}");
    }
    assert_eq!(with_names(&world, &["other.net", "exact.org"]), Answer::Allow);
    let denied = NAMES.replacen("Accept", "Deny", 1);
    assert!(refused(&cnp("p", "Admin", 1, &denied)).contains("rules that accept"));
    let partial = NAMES.replace("*.example", "w*.example");
    assert!(refused(&cnp("p", "Admin", 1, &partial)).contains("domainNames[0]"));
}

#[test]
fn without_dns_a_name_is_unknown() {
    let world = admin(1, NAMES);
    let asked = world.ask("x/a", "203.0.113.9", "tcp/443");
    assert_eq!((asked.answer, asked.reason), (Answer::Unknown, Reason::Domain));
    assert_eq!(with_names(&world, &[]), Answer::Deny);
    // where the name makes no difference the answer is known, and pods have no such names
    let open = admin(1, "egress: [{action: Accept, to: [{domainNames: [a.example]}]}]");
    assert!(open.allows("x/a", "203.0.113.9", "tcp/443"));
    assert!(!world.allows("x/a", "y/b", "tcp/443"));
}

#[test]
fn an_unknown_peer_fails_closed() {
    for (action, answer) in [
        ("Accept", Answer::Allow),
        ("Deny", Answer::Deny),
        ("Pass", Answer::Deny),
    ] {
        let yaml = cnp(
            "new",
            "Admin",
            1,
            &format!(
                "egress: [{{action: {action}, to: [{{galaxies: {{}}}}], protocols: [{{tcp: {{destinationPort: {{number: 1}}}}}}]}}]"
            ),
        );
        assert!(refused(&yaml).contains("spec.egress[0].to[0].galaxies: is no field that we know"));
        let (policy, problems) = parse::stored(&serde_saphyr::from_str(&yaml).unwrap());
        assert!(!problems.is_empty());
        let mut world = World::new();
        world.cluster.policies.extend(policy);
        assert_eq!(
            world.ask("x/a", "203.0.113.9", "udp/53").answer,
            answer,
            "{action}"
        );
        let closed = world.policy(&cnp(
            "rest",
            "Admin",
            2,
            "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]",
        ));
        assert_eq!(
            closed.ask("x/a", "203.0.113.9", "tcp/1").answer,
            Answer::Deny,
            "{action}"
        );
    }
}

#[test]
fn v1alpha1_means_the_same() {
    let anp = "apiVersion: policy.networking.k8s.io/v1alpha1
kind: AdminNetworkPolicy
metadata: {name: anp}
spec:
  priority: 7
  subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}}
  ingress:
  - {name: one, action: Allow, from: [{namespaces: {matchLabels: {team: blue}}}], ports: [{portNumber: {protocol: TCP, port: 80}}, {namedPort: dns}]}
  - {name: two, action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: c}}}}]}
  - {action: Deny, from: [{namespaces: {}}], ports: [{portRange: {start: 80, end: 90}}]}
";
    let banp = "apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: blue}}}]}]
";
    let world = World::new().policy(anp).policy(banp);
    let said = |client: &str, port: &str| world.ask(client, "x/a", port).ingress;
    assert_eq!(said("y/b", "tcp/80"), "anp ingress[0]");
    assert_eq!(said("y/b", "udp/53"), "anp ingress[0]");
    assert_eq!(said("x/b", "tcp/85"), "anp ingress[2]");
    assert_eq!(said("x/c", "tcp/85"), "", "passed, and nobody else says anything");
    assert_eq!(
        said("y/c", "tcp/85"),
        "default ingress[0]",
        "passed on to the baseline"
    );
    assert_eq!(world.ask("y/b", "x/b", "tcp/85").ingress, "default ingress[0]");
    assert!(refused(&banp.replace("default", "other")).contains("metadata.name"));
    assert!(refused(&banp.replace("action: Deny", "action: Pass")).contains("action"));
    assert!(refused(&anp.replace("Allow", "Accept")).contains("spec.ingress[0].action"));
}

#[test]
fn both_versions_of_cluster_network_policy_mean_the_same() {
    let body = "ingress: [{action: Deny, from: [{namespaces: {}}]}]";
    let [alpha, beta] = ["v1alpha2", "v1beta1"].map(|version| {
        parse::file(&of_version(version, "p", "Admin", 3, body), "x")
            .unwrap()
            .policies
    });
    assert_eq!(alpha, beta);
    assert!(refused(&of_version("v1", "p", "Admin", 3, body)).contains("no version"));
}
