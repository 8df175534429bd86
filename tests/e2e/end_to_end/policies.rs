//! From recorded traffic to a NetworkPolicy in the cluster, and back out.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{harness::Case, product, traffic::transfer, wait_until};

use crate::questions::asking::{SERVER, account};
use crate::records::{EXACT, pods};
use crate::stage::{DEADLINE, NAMESPACE, Stage};

mod service;

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "policies of what was seen break nothing of it, are taken by the cluster, and go again",
        from_traffic_to_a_policy_and_back,
    ),
    Case::new(
        "a policy that nobody enforces is found",
        a_policy_that_nobody_enforces,
    ),
    Case::new(
        "verdicts follow the policies of their time",
        verdicts_follow_the_policies_of_their_time,
    ),
    Case::new(
        "a call to a Service is judged at its backend",
        service::a_call_to_a_service_is_judged_at_its_backend,
    ),
];

/// Kinds of policies and workloads that a cluster may have: plural, kind, group, version, and
/// whether its objects are in namespaces.
const KINDS: [(&str, &str, &str, &str, &str); 7] = [
    (
        "adminnetworkpolicies",
        "AdminNetworkPolicy",
        "policy.networking.k8s.io",
        "v1alpha1",
        "Cluster",
    ),
    (
        "baselineadminnetworkpolicies",
        "BaselineAdminNetworkPolicy",
        "policy.networking.k8s.io",
        "v1alpha1",
        "Cluster",
    ),
    (
        "clusternetworkpolicies",
        "ClusterNetworkPolicy",
        "policy.networking.k8s.io",
        "v1alpha2",
        "Cluster",
    ),
    (
        "egressfirewalls",
        "EgressFirewall",
        "k8s.ovn.org",
        "v1",
        "Namespaced",
    ),
    (
        "clusternetworkpolicies",
        "ClusterNetworkPolicy",
        "crd.antrea.io",
        "v1beta1",
        "Cluster",
    ),
    (
        "networkpolicies",
        "NetworkPolicy",
        "crd.antrea.io",
        "v1beta1",
        "Namespaced",
    ),
    ("rollouts", "Rollout", "argoproj.io", "v1alpha1", "Namespaced"),
];

/// While the cluster has all of them.
pub fn with_all_kinds(stage: &mut Stage, work: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let names = KINDS.map(|(plural, _, group, ..)| format!("{plural}.{group}"));
    for ((plural, kind, group, version, scope), name) in KINDS.into_iter().zip(&names) {
        let approved = "api-approved.kubernetes.io: unapproved";
        stage.kube.apply(&format!(
            "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, \
             metadata: {{name: {name}, annotations: {{{approved}}}}}, spec: {{group: {group}, scope: {scope}, \
             names: {{kind: {kind}, listKind: {kind}List, plural: {plural}, singular: {}}}, \
             versions: [{{name: {version}, served: true, storage: true, schema: {{openAPIV3Schema: \
             {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}]}}}}",
            kind.to_lowercase(),
        ))?;
    }
    let outcome = work(stage);
    let mut delete = vec!["delete", "crd", "--timeout=30s"];
    delete.extend(names.iter().map(String::as_str));
    stage.kube.kubectl(&delete)?;
    outcome
}

/// Each span of time has a port of its own, so that its flows are known.
fn verdicts_follow_the_policies_of_their_time(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    stage.kube.apply(EXACT)?;
    let outcome = each_span_has_its_verdict(stage);
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    outcome?;
    stage.clear()
}

/// Only the client may call, and only at these ports.
const GUARD: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
    metadata: {name: guard, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}}, \
    ingress: [{ports: [{port: 7}]}, {from: [{podSelector: {matchLabels: {app: client}}}], \
    ports: [{port: 18080, endPort: 18089}]}]}}";

fn each_span_has_its_verdict(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    let person = Person::of(stage)?;
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    let kubectl = |words: &[&str]| stage.kube.kubectl(words);
    let judged = |port: u16, verdict: &str| -> Result<usize> {
        let filter = format!(r#"dst_port == {port} && dst_workload_name == "web" && {verdict}"#);
        let (_, rows) = person.weir(&["flows", &filter, "--since", "1h", "-o", "json"])?;
        Ok(rows
            .lines()
            .filter(|line| line.contains("policy_verdict"))
            .count())
    };
    // A change counts for certain once it has come into force everywhere.
    let wait = |port: u16, verdict: &str| {
        wait_until(&format!("a call to {port} with {verdict}"), 4 * DEADLINE, || {
            transfer(&client, &web, port, 20_000)?;
            Ok(judged(port, verdict)? > 0)
        })
    };
    let open = r#"policy_verdict == "allow" && policy_reason == "default" && ingress_policy == """#;
    let by_rule = r#"policy_verdict == "allow" && policy_reason == "rule" && ingress_policy == "shop/guard" && ingress_policy_rule == "ingress[1]""#;
    let isolated = r#"policy_verdict == "deny" && policy_reason == "isolation" && ingress_policy == "shop/guard" && ingress_policy_action == "drop""#;
    wait(18_080, open)?;
    stage.kube.apply(GUARD)?;
    wait(18_081, by_rule)?;
    kubectl(&[
        "label",
        "pod",
        "-n",
        "shop",
        "client-1",
        "app=stranger",
        "--overwrite",
    ])?;
    let relabelled = wait(18_082, isolated);
    kubectl(&[
        "label",
        "pod",
        "-n",
        "shop",
        "client-1",
        "app=client",
        "--overwrite",
    ])?;
    relabelled?;
    kubectl(&["delete", "networkpolicy", "-n", "shop", "guard"])?;
    wait(18_083, open)?;
    // What was said before stands.
    for (port, verdict, other) in [(18_080, open, isolated), (18_081, by_rule, isolated)] {
        ensure!(judged(port, verdict)? > 0, "{port} has lost {verdict}");
        ensure!(judged(port, other)? == 0, "{port} has {other}");
    }
    ensure!(judged(18_082, isolated)? > 0, "what was denied is not any more");
    Ok(())
}

/// Nobody may call the server.
const CLOSED: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
    metadata: {name: closed, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress]}}";

/// Only what is between the two: other cases have traffic of the same hour.
const BETWEEN: &str =
    r#"ns == "shop" && workload_name == "client" && dst_workload_name == "web" && dst_port == 8080"#;

/// A port that no other case calls, so that all of its traffic is of after the policy.
const UNUSED: u16 = 8143;

fn from_traffic_to_a_policy_and_back(stage: &mut Stage) -> Result<()> {
    exactly(stage, with_every_packet)
}

fn a_policy_that_nobody_enforces(stage: &mut Stage) -> Result<()> {
    exactly(stage, not_enforced)
}

/// While every packet is exported.
fn exactly(stage: &mut Stage, case: fn(&mut Stage) -> Result<()>) -> Result<()> {
    stage.clear()?;
    stage.kube.apply(EXACT)?;
    let outcome = case(stage);
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    outcome?;
    stage.clear()
}

/// The lab's switches know nothing of NetworkPolicies.
fn not_enforced(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    let person = Person::of(stage)?;
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    stage.kube.apply(CLOSED)?;
    transfer(&client, &web, UNUSED, 20_000)?;
    let filter = format!("dst_port == {UNUSED}");
    let found = wait_until("the answered call that the policy denies", DEADLINE, || {
        let words = [
            "policy",
            "disagreements",
            "--ns",
            "shop",
            "--filter",
            &filter,
            "-o",
            "json",
        ];
        let (code, told) = person.told(&words)?;
        let told: Value = serde_json::from_str(&told).unwrap_or_default();
        let row = &told["rows"][0];
        Ok(code == 1 && row["kind"] == "denied_but_answered" && row["policy"] == "shop/closed")
    });
    stage
        .kube
        .kubectl(&["delete", "networkpolicy", "closed", "-n", "shop"])?;
    found
}

fn with_every_packet(stage: &mut Stage) -> Result<()> {
    let (client, web) = pods(stage)?;
    let person = Person::of(stage)?;
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    transfer(&client, &web, 8080, 20_000)?;
    wait_until("the call in the matrix", DEADLINE, || {
        let (_, matrix) = person.weir(&["matrix", "--ns", "shop", "--ports", "-o", "json"])?;
        Ok(matrix.contains("\"web\"") && matrix.contains("8080"))
    })?;

    let folder = stage.lab.directory().join("policies");
    fs::create_dir_all(&folder)?;
    let (code, made) = person.weir(&["policy", "generate", "--ns", "shop", "--filter", BETWEEN])?;
    ensure!(code == 0, "{made}");
    ensure!(
        made.contains("port: 8080") && made.contains("app: client"),
        "{made}"
    );
    let made = file(&folder, "made.yaml", &made)?;
    let closed = file(&folder, "closed.yaml", CLOSED)?;

    // Nothing would break; and what would is told before it does.
    let check = |file: &str| person.weir(&["policy", "check", "--filter", BETWEEN, "-f", file]);
    let (code, told) = check(&made)?;
    ensure!(code == 0 && told.contains("NEWLY DENIED  0 edges"), "{told}");
    let (code, told) = check(&closed)?;
    ensure!(
        code == 1 && told.contains("shop/deployment/client -> shop/deployment/web 8080/tcp"),
        "{told}"
    );

    let kubectl = |words: &[&str]| stage.kube.kubectl(words);
    kubectl(&["apply", "--dry-run=server", "-f", &made])?;
    kubectl(&["apply", "-f", &made])?;
    let explain = |port: &str| person.weir(&["policy", "explain", "shop/client-1", "shop/web-1", port]);
    let (code, told) = explain("8080")?;
    ensure!(code == 0 && told.contains("networkpolicy shop/weir-"), "{told}");
    let (code, told) = explain("9")?;
    ensure!(code == 1 && told.contains("isolated by"), "{told}");
    // Learnt again, it is what is there.
    let (_, again) = person.weir(&["policy", "generate", "--ns", "shop", "--filter", BETWEEN])?;
    let again = file(&folder, "again.yaml", &again)?;
    let changed = kubectl(&["apply", "-f", &again])?;
    ensure!(
        !changed.contains("configured") && !changed.contains("created"),
        "{changed}"
    );
    kubectl(&["delete", "-f", &made])?;
    let left = kubectl(&["get", "networkpolicies", "-n", "shop", "-o", "name"])?;
    ensure!(left.trim().is_empty(), "{left}");
    Ok(())
}

fn file(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path.to_str().context("a path of text")?.to_owned())
}

/// Who sees all flows and may read the cluster.
struct Person<'a> {
    stage: &'a Stage,
    token: String,
}

/// Lets the account that sees all pods get NetworkPolicies, too.
const SEES_POLICIES: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: policies-sees-all}
rules: [{apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: policies-sees-all}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: policies-sees-all}
subjects: [{kind: ServiceAccount, name: sees-all, namespace: NAMESPACE}]
";

impl<'a> Person<'a> {
    fn of(stage: &'a Stage) -> Result<Self> {
        let token = account(stage, "sees-all", Some("*"))?;
        stage.kube.apply(&SEES_POLICIES.replace("NAMESPACE", NAMESPACE))?;
        Ok(Self { stage, token })
    }

    /// Exit code, and what was printed.
    fn weir(&self, words: &[&str]) -> Result<(i32, String)> {
        let (code, printed) = self.told(words)?;
        ensure!(code != 2, "{words:?}: there is no answer");
        Ok((code, printed))
    }

    /// The same, also where there is no answer.
    fn told(&self, words: &[&str]) -> Result<(i32, String)> {
        let mut command = Command::new(product::path("weir")?);
        command
            .args(words)
            .env("HOME", "/nonexistent")
            .env("KUBECONFIG", self.stage.kube.kubeconfig())
            .env("WEIR_SERVER", SERVER)
            .env("WEIR_TOKEN", &self.token);
        let output = command.output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (printed, said) = (text(output.stdout), text(output.stderr));
        let code = output.status.code().context("an exit code")?;
        if code == 2 {
            eprintln!("{words:?}: {said}");
        }
        Ok((code, printed))
    }
}
