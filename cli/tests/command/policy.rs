//! What policies say, of files that hold the objects of a cluster.

use std::path::{Path, PathBuf};

use weir_collector::policies::PolicySources;
use weir_collector::{Collector, Config};
use weir_flow::{FlowRecord, Identity, Kind, Server, ServerConfidence, Who};
use weir_store::Settings;

use super::fixture::{flow, run, seconds_ago};

const OBJECTS: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: bank}}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: shop, name: web-abc-1, labels: {app: web, pod-template-hash: abc},
    ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, controller: true}]}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: shop, name: web-abc-2, labels: {app: web, canary: 'yes', pod-template-hash: abc},
    ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-abc, controller: true}]}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: bank, name: db-0, labels: {app: db}}
  spec: {nodeName: n1, containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
  status: {phase: Running, podIPs: [{ip: 10.0.1.1}]}
- apiVersion: v1
  kind: Node
  metadata: {name: n1, annotations: {k8s.ovn.org/node-subnets: '{"default":"10.0.0.0/24"}'}}
  status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
- {apiVersion: v1, kind: Service, metadata: {namespace: bank, name: db}, spec: {clusterIP: 10.96.0.7, ports: [{port: 5432}]}}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {namespace: bank, name: db}
  spec:
    podSelector: {matchLabels: {app: db}}
    ingress:
    - from: [{namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {canary: 'yes'}}}]
      ports: [{port: 5432}]
"#;

/// What would let all of the shop in.
const OPEN: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: bank, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{namespaceSelector: {matchLabels: {team: shop}}}]
    ports: [{port: sql}]
";

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Its exit code, what it printed, and what it said.
fn policy(words: &[&str]) -> (i32, String, String) {
    run(&[&["policy"], words].concat())
}

#[test]
fn who_may_reach_whom_is_explained_pod_by_pod_and_by_what_is_not_applied_yet() {
    let folder = tempfile::tempdir().unwrap();
    let objects = file(folder.path(), "cluster.yaml", OBJECTS).display().to_string();
    let open = file(folder.path(), "open.yaml", OPEN).display().to_string();
    let explain = |client: &str, server: &str, port: &str, more: &[&str]| {
        policy(&[&["explain", client, server, port, "--objects", &objects], more].concat())
    };

    let (code, out, _) = explain("shop/web-abc-1", "bank/db-0", "5432", &[]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.starts_with("deny (isolation): shop/web-abc-1 (10.0.0.1) -> bank/db-0 (10.0.1.1) 5432/tcp\n"),
        "{out}"
    );
    assert!(
        out.contains("egress of shop/web-abc-1: allow (no policy says anything)"),
        "{out}"
    );
    assert!(
        out.contains("isolated by bank/db\n    no rule allows it"),
        "{out}"
    );
    assert!(out.contains("network plugin: ovn-kubernetes"), "{out}");

    let (code, out, _) = explain("shop/web-abc-2", "10.0.1.1", "5432/tcp", &[]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("networkpolicy bank/db ingress[0]: allow, decides"),
        "{out}"
    );

    // No policy sees the address of a Service.
    let (code, out, _) = explain("shop/web-abc-2", "10.96.0.7", "5432", &[]);
    assert_eq!(code, 3, "{out}");
    assert!(out.starts_with("unknown (backend)"), "{out}");

    // The replicas differ.
    let (code, out, _) = explain("shop/deploy/web", "bank/db-0", "5432", &["-o", "json"]);
    assert_eq!(code, 3, "{out}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let answers: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|told| told["answer"].as_str().unwrap())
        .collect();
    assert_eq!(answers.len(), 2);
    assert!(answers.contains(&"allow") && answers.contains(&"deny"), "{out}");
    assert_eq!(told[0]["pairs"], 1);
    assert_eq!(told[0]["all_pairs"], 2);

    // A policy of the same name takes the place of the one that is there.
    let (code, out, _) = explain("shop/deploy/web", "bank/db-0", "5432", &["-f", &open]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("so 2 of 2 pairs"), "{out}");
    // This plugin makes the whole protocol of a named port, and the API does not.
    let (code, out, _) = explain("shop/web-abc-1", "bank/db-0", "9", &["-f", &open]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("note: ovn-kubernetes does otherwise than the API says"),
        "{out}"
    );
    let (code, out, _) = explain(
        "shop/web-abc-1",
        "bank/db-0",
        "9",
        &["-f", &open, "--profile", "spec"],
    );
    assert_eq!(code, 1, "{out}");
}

#[test]
fn what_is_odd_about_policies_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let objects = file(folder.path(), "cluster.yaml", OBJECTS).display().to_string();
    let open = file(folder.path(), "open.yaml", OPEN).display().to_string();
    let (code, out, _) = policy(&["lint", "--objects", &objects]);
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
    let (code, out, _) = policy(&["lint", "--objects", &objects, "-f", &open]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("bank/db") && out.contains("named_port_opens_protocol"),
        "{out}"
    );
    assert!(out.contains("spec.ingress[0]"), "{out}");
    let (code, out, _) = policy(&["lint", "--objects", &objects, "-f", &open, "--profile", "antrea"]);
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
}

#[test]
fn what_cannot_be_answered_names_the_place_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let objects = file(folder.path(), "cluster.yaml", OBJECTS).display().to_string();
    let bad = file(folder.path(), "bad.yaml", &OPEN.replace("port: sql", "prot: sql"))
        .display()
        .to_string();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    let with = |objects: &str, words: &[&str]| {
        let (code, out, said) = policy(&[words, &["--objects", objects]].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {said}");
        said
    };
    let of = |words: &[&str]| with(&objects, words);
    let said = of(&["lint", "-f", &bad]);
    assert!(
        said.contains("bad.yaml") && said.contains("document 1: spec.ingress[0].ports[0].prot"),
        "{said}"
    );
    assert!(of(&["explain", "shop/web", "bank/db-0", "80"]).contains("there is no pod shop/web"));
    assert!(
        of(&["explain", "shop/sts/web", "bank/db-0", "80"]).contains("no pod in shop is of StatefulSet web")
    );
    assert!(of(&["explain", "node/n2", "bank/db-0", "80"]).contains("there is no node n2"));
    assert!(of(&["explain", "bank/db-0", "fd00::1", "80"]).contains("only IPv4"));
    assert!(of(&["explain", "web", "bank/db-0", "80"]).contains("namespace/pod"));
    assert!(of(&["explain", "bank/db-0", "10.0.0.1", "http"]).contains("no port"));
    assert!(with(&empty, &["lint"]).contains("ends in .yaml"));
    assert!(with("/nowhere.yaml", &["lint"]).contains("cannot read /nowhere.yaml"));
}

/// A pod as records name it.
fn pod(ns: &str, name: &str, workload: (&str, &str)) -> Who {
    let (kind, workload) = workload;
    Who::from(Identity {
        ns: ns.into(),
        name: name.into(),
        kind: Kind::Pod,
        workload_kind: kind.into(),
        workload_name: workload.into(),
        ..Identity::default()
    })
}

/// The record of a connection's packets from the client to the server; turned round, those back.
fn call(client: (&str, Who), server: (&str, u16, Who), is_reply: bool) -> FlowRecord {
    let mut record = flow("client", seconds_ago(60));
    record.proto = Some(6);
    (record.start_ns, record.end_ns) = (record.time_ns - 1_000_000_000, record.time_ns);
    let (mut source, mut destination) = (record.src.clone(), record.dst.clone());
    (source.addr, source.port, source.identity) = (Some(client.0.parse().unwrap()), Some(41_000), client.1);
    (destination.addr, destination.port, destination.identity) =
        (Some(server.0.parse().unwrap()), Some(server.1), server.2);
    record.server_confidence = ServerConfidence::Syn;
    (record.server, record.src, record.dst) = match is_reply {
        false => (Server::Dst, source, destination),
        true => (Server::Src, destination, source),
    };
    record
}

/// Traffic of the cluster above: both replicas of the shop ask the bank, one an address
/// outside, and somebody tries a port that nobody answers on.
fn traffic(directory: &Path) {
    let web = |name: &str| pod("shop", name, ("Deployment", "web"));
    let db = || pod("bank", "db-0", ("Pod", "db-0"));
    let outside = Who::from(Identity {
        workload_kind: "internet".into(),
        ..Identity::default()
    });
    let mut records = Vec::new();
    for (address, name) in [("10.0.0.1", "web-abc-1"), ("10.0.0.2", "web-abc-2")] {
        for is_reply in [false, true] {
            records.push(call((address, web(name)), ("10.0.1.1", 5432, db()), is_reply));
        }
    }
    for is_reply in [false, true] {
        let server = ("203.0.113.9", 443, outside.clone());
        records.push(call(("10.0.0.1", web("web-abc-1")), server, is_reply));
    }
    records.push(call(
        ("10.0.0.2", web("web-abc-2")),
        ("10.0.1.1", 22, db()),
        false,
    ));
    let (mut writer, _, _) = weir_store::open(Settings::new(directory)).unwrap();
    writer.append(&records).unwrap();
    writer.close();
}

/// Only pods with a label that none has may ask the bank.
const CLOSED: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: bank, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: nobody}}}]
";

#[test]
fn a_change_is_held_against_the_traffic_that_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data);
    let data = data.display().to_string();
    let objects = file(folder.path(), "cluster.yaml", OBJECTS).display().to_string();
    let open = file(folder.path(), "open.yaml", OPEN).display().to_string();
    let closed = file(folder.path(), "closed.yaml", CLOSED).display().to_string();
    let check =
        |words: &[&str]| policy(&[&["check", "--data-dir", &data, "--objects", &objects], words].concat());

    let (code, out, said) = check(&["-f", &closed]);
    assert_eq!(code, 1, "{out}{said}");
    assert!(
        out.starts_with("NEWLY DENIED  1 edge, 2 flows\n  shop/deployment/web -> bank/db-0 5432/tcp"),
        "{out}"
    );
    assert!(
        out.contains("exit code 1: something that was seen would break"),
        "{out}"
    );

    let (code, out, said) = check(&["-f", &open]);
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("NEWLY DENIED  0 edges"), "{out}");
    // A named port is the whole protocol with this plugin: the port that nobody answered on, too.
    assert!(out.contains("NEWLY ALLOWED  2 edges"), "{out}");
    let (code, out, _) = check(&["-f", &open, "--newly-allowed", "fail"]);
    assert_eq!(code, 1, "{out}");

    let (code, out, _) = check(&["--set-label", "shop/web-abc-2:canary-", "-o", "json"]);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &told["exit_code"]),
        (1, &told["newly_denied"].as_array().unwrap().len().into())
    );
    assert_eq!(told["newly_denied"][0]["side"], "ingress");
    let (code, out, _) = check(&["--delete", "bank/db"]);
    assert_eq!(code, 0, "{out}");

    let (code, _, said) = check(&["--delete", "bank/other"]);
    assert_eq!(
        (code, said.contains("there is no such NetworkPolicy")),
        (2, true),
        "{said}"
    );
    // What a plugin decides by itself is not evaluated, and what is no policy changes nothing.
    let firewall =
        "{apiVersion: k8s.ovn.org/v1, kind: EgressFirewall, metadata: {namespace: shop, name: default}}";
    let firewall = file(folder.path(), "firewall.yaml", firewall)
        .display()
        .to_string();
    let (code, out, _) = check(&["-f", &firewall]);
    assert_eq!((code, out.contains("foreign")), (3, true), "{out}");
    let other = file(folder.path(), "other.yaml", "{kind: ConfigMap, apiVersion: v1}")
        .display()
        .to_string();
    let (code, _, said) = check(&["-f", &other]);
    assert_eq!(
        (code, said.contains("there is no policy in what -f names")),
        (2, true),
        "{said}"
    );
    for useless in [
        &["-f", &open, "--server", "http://192.0.2.1"][..],
        &["--delete", "bank/db", "-n", "bank"],
    ] {
        let (code, _, said) = check(useless);
        assert_eq!(code, 2, "{useless:?}: {said}");
    }
    let (code, _, said) = check(&[]);
    assert_eq!((code, said.contains("nothing is changed")), (2, true), "{said}");
    let (code, _, said) = check(&["-f", &open, "--since", "3h", "--until", "2h"]);
    assert_eq!((code, said.contains("no traffic")), (2, true), "{said}");
}

#[test]
fn policies_are_made_of_what_was_seen_and_let_it_pass() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data);
    let data = data.display().to_string();
    let without = OBJECTS.split_once("- apiVersion: networking.k8s.io").unwrap().0;
    let objects = file(folder.path(), "cluster.yaml", without).display().to_string();
    let with = |words: &[&str]| policy(&[words, &["--data-dir", &data, "--objects", &objects]].concat());

    let (code, out, said) = with(&["generate", "--ns", "bank", "--ns", "shop"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        out.contains("kind: NetworkPolicy") && out.contains("203.0.113.9/32"),
        "{out}"
    );
    assert!(
        said.contains("not from 1 edge, 1 flow: nobody answered"),
        "{said}"
    );
    // It is stable, and comments can be left out.
    assert_eq!(with(&["generate", "--ns", "bank", "--ns", "shop"]).1, out);
    let (_, plain, _) = with(&["generate", "--ns", "bank", "--ns", "shop", "--plain"]);
    assert!(!plain.contains('#'), "{plain}");

    // What was answered goes on; what nobody answered is told and does not count.
    let made = file(folder.path(), "made.yaml", &out).display().to_string();
    let (code, out, said) = with(&["check", "-f", &made]);
    assert_eq!(code, 0, "{out}{said}");
    assert!(out.contains("NEWLY DENIED, NEVER ANSWERED  1 edge"), "{out}");
    assert_eq!(with(&["check", "-f", &made, "--strict"]).0, 1);

    let (code, out, _) = with(&["coverage", "-o", "name"]);
    assert_eq!((code, out.as_str()), (1, "bank/db-0\nshop/deployment/web\n"));
    let (code, out, said) = with(&["coverage", "-f", &made]);
    assert_eq!(code, 0, "{out}{said}");
    let (code, out, said) = with(&["unused", "-f", &made]);
    assert_eq!(code, 0, "{out}{said}");
    // Objects are compared: words and order make no difference.
    let again = |file: &str| with(&["generate", "--ns", "bank", "--ns", "shop", "--check", file]);
    let turned = file(folder.path(), "turned.yaml", &("# Mine.\n".to_owned() + &plain));
    let (code, out, said) = again(&turned.display().to_string());
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    let other = file(
        folder.path(),
        "other.yaml",
        &plain.replace("203.0.113.9/32", "203.0.113.8/32"),
    );
    let (code, out, said) = again(&other.display().to_string());
    assert_eq!(code, 1, "{out}{said}");
    assert_eq!(
        out, "NetworkPolicy shop/weir-deployment-web is another\n",
        "{said}"
    );
    let (code, _, said) = with(&["generate", "--ns", "bank", "--plain", "--check", &made]);
    assert_eq!(
        (code, said.contains("--plain has no effect")),
        (2, true),
        "{said}"
    );
    let (code, out, said) = with(&["generate", "--ns", "bank", "--kind", "cnp"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("kind: ClusterNetworkPolicy"), "{out}");
    for command in ["coverage", "unused", "wide"] {
        let (code, _, said) = with(&[command, "--ns", "nowhere"]);
        assert_eq!((code, said.contains("no namespace nowhere")), (2, true), "{said}");
    }
    for useless in [
        &["--ns", "bank", "--priority", "7"][..],
        &["--workload", "shop/deploy/web", "--no-default-deny"],
    ] {
        let (code, _, said) = with(&[&["generate"], useless].concat());
        assert_eq!((code, said.contains("has no effect")), (2, true), "{said}");
    }
    let (code, _, said) = with(&["generate", "--ns", "nowhere"]);
    assert_eq!(
        (code, said.contains("no pod in namespace nowhere")),
        (2, true),
        "{said}"
    );
}

#[test]
fn where_policies_and_what_was_seen_do_not_go_together_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data);
    let data = data.display().to_string();
    let objects = file(folder.path(), "cluster.yaml", OBJECTS).display().to_string();
    let closed = file(folder.path(), "closed.yaml", CLOSED).display().to_string();
    let with = |words: &[&str]| {
        policy(
            &[
                &["disagreements", "--data-dir", &data, "--objects", &objects],
                words,
            ]
            .concat(),
        )
    };
    // The one without the label is denied, and was answered.
    let (code, out, said) = with(&["--profile", "spec", "-o", "json"]);
    assert_eq!(code, 1, "{out}{said}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let row = &told["rows"][0];
    assert_eq!(told["rows"].as_array().unwrap().len(), 1, "{out}");
    assert_eq!(
        (&row["kind"], &row["policy"]),
        (&"denied_but_answered".into(), &"bank/db".into())
    );
    assert_eq!(
        (&row["port"], &row["strength"]),
        (&"5432/tcp".into(), &"proven".into())
    );
    assert_eq!(told["not_enforced"], serde_json::json!([]), "not for an hour");
    let (code, out, _) = with(&["-f", &closed]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("5432/tcp") && out.contains("bank/db (ingress)") && out.contains("not enforced"),
        "{out}"
    );
    assert_eq!(with(&["-f", &closed, "-o", "name"]).1, "bank/db\n");
    let (code, out, said) = with(&["--ns", "shop", "--filter", "dst_port == 443"]);
    assert_eq!(code, 0, "{out}{said}");
}

#[test]
fn the_matrix_says_what_the_policies_say_about_each_row() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data);
    let data = data.display().to_string();
    let objects = file(folder.path(), "cluster.yaml", OBJECTS).display().to_string();
    let open = file(folder.path(), "open.yaml", OPEN).display().to_string();
    let matrix = |words: &[&str]| {
        let (code, out, said) = run(&[&["matrix", "--data-dir", &data, "--policies"], words].concat());
        assert_eq!(code, 0, "{words:?}: {said}");
        out
    };
    let line = |out: &str, server: &str, port: &str| {
        let lines = out.lines();
        let mut found = lines.filter(|line| line.contains(server) && line.contains(port));
        found
            .next()
            .unwrap_or_else(|| panic!("{port}: {out}"))
            .trim_end()
            .to_owned()
    };
    let out = matrix(&["--objects", &objects, "--ports", "--profile", "spec"]);
    assert!(out.lines().next().unwrap().ends_with("POLICY"), "{out}");
    // One of the two replicas has the label; nobody who calls the other port is let in.
    assert!(
        line(&out, "bank", "5432/tcp").ends_with("mixed: deny bank/db isolates ingress"),
        "{out}"
    );
    assert!(
        line(&out, "bank", "22/tcp").ends_with("  deny bank/db isolates ingress"),
        "{out}"
    );
    assert!(
        line(&out, "internet", "443/tcp").ends_with("  allow default"),
        "{out}"
    );
    let by_pod = matrix(&["--objects", &objects, "--ports", "--by", "pod", "-o", "json"]);
    let told: serde_json::Value = serde_json::from_str(&by_pod).unwrap();
    let rows = told["rows"].as_array().unwrap().iter();
    let asks = rows.filter(|row| row["dst_port"] == 5432).map(|row| {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        [word("pod_name"), word("policy_verdict"), word("policy_rule")].join(" ")
    });
    let mut asks: Vec<String> = asks.collect();
    asks.sort();
    assert_eq!(
        asks,
        ["web-abc-1 deny bank/db", "web-abc-2 allow bank/db ingress[0]"]
    );
    // What is not applied yet, and the address outside asked for from its end.
    let out = matrix(&["--objects", &objects, "-f", &open, "--ports", "--profile", "spec"]);
    assert!(
        line(&out, "bank", "5432/tcp").ends_with("  allow bank/db ingress[0]"),
        "{out}"
    );
    let out = matrix(&["--objects", &objects, "--ns", "shop", "-o", "csv"]);
    assert!(
        out.lines().next().unwrap().ends_with(",policy_unknown_flows"),
        "{out}"
    );
    assert!(out.contains(",allow,default,,,,0,0"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_matrix_of_a_collector_that_knows_the_policies_is_that_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data);
    let objects = file(folder.path(), "cluster.yaml", OBJECTS);
    let words = ["matrix", "--policies", "--ports", "--ns", "bank", "-o", "csv"];
    let (of_data, of_objects) = (data.display().to_string(), objects.display().to_string());
    let of_files = run(&[&words[..], &["--data-dir", &of_data, "--objects", &of_objects]].concat());
    let running = Collector::start(Config {
        store: Some(Settings::new(&data)),
        policies: PolicySources {
            paths: vec![objects],
            ..PolicySources::default()
        },
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let asked = tokio::task::spawn_blocking(move || run(&[&words[..], &["--server", &server]].concat()));
    assert_eq!(asked.await.unwrap(), of_files);
    assert!(of_files.1.contains("bank/db"), "{of_files:?}");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_knows_the_policies_answers_what_files_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data);
    let objects = file(folder.path(), "cluster.yaml", OBJECTS);
    let closed = file(folder.path(), "closed.yaml", CLOSED).display().to_string();
    let commands: [&[&str]; 10] = [
        &["explain", "shop/web-abc-1", "bank/db-0", "5432"],
        &[
            "explain",
            "shop/deploy/web",
            "10.0.1.1",
            "5432",
            "-o",
            "json",
            "--profile",
            "spec",
        ],
        &["lint"],
        &["check", "-f", &closed],
        &["check", "-f", &closed, "-o", "json", "--strict"],
        &[
            "check",
            "--delete",
            "bank/db",
            "--set-label",
            "shop/web-abc-2:canary-",
        ],
        &["coverage"],
        &["unused", "--ns", "bank", "-o", "json"],
        &["disagreements", "--profile", "spec"],
        &["generate", "--ns", "bank", "--ns", "shop", "--unanswered"],
    ];
    let (of_data, of_objects) = (data.display().to_string(), objects.display().to_string());
    let of_files = commands.map(|words| {
        let is_traffic = !["explain", "lint"].contains(&words[0]);
        let data: &[&str] = if is_traffic {
            &["--data-dir", &of_data]
        } else {
            &[]
        };
        policy(&[words, data, &["--objects", &of_objects]].concat())
    });
    let running = Collector::start(Config {
        store: Some(Settings::new(&data)),
        policies: PolicySources {
            paths: vec![objects],
            ..PolicySources::default()
        },
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let commands = commands.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let asked = tokio::task::spawn_blocking(move || {
        commands.map(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            policy(&[&words[..], &["--server", &server]].concat())
        })
    });
    for (asked, of_files) in asked.await.unwrap().into_iter().zip(of_files) {
        assert_eq!(asked, of_files);
    }
    running.stop().await.unwrap();
}
