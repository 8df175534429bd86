//! What policies say, of files that hold the objects of a cluster.

use std::path::{Path, PathBuf};

use super::fixture::run;

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
