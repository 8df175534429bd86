//! Who talked to whom: the questions of a platform team, asked with the CLI and over
//! the API, of real flows, by people with different rights.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{harness::Case, product, traffic::transfer, wait_for, wait_until};

use crate::{
    records,
    stage::{DEADLINE, NAMESPACE, Stage},
};

pub const CASES: &[Case<Stage>] = &[
    Case::new(
        "what crosses zones is told by CLI and API to who may see its namespace, and to nobody else",
        cross_zone_traffic_is_told_by_right,
    ),
    Case::new(
        "the collector of a cluster answers through the proxy of the API server",
        the_proxy_of_the_api_server_leads_to_the_collector,
    ),
];

/// Every packet, and flows that are reported at once.
const EXACT: &str = "{apiVersion: weir.dev/v1alpha1, kind: ExportProfile, metadata: {name: exact}, spec: {\
    ipfix: {sampling: 1, cacheActiveTimeout: 1}}}";

const BYTES: u64 = 200_000;

/// The question of Cast AI's pages.
const CROSS_ZONE: &str = r#"zone != "" && dst_zone != "" && zone != dst_zone"#;

const SERVER: &str = "http://127.0.0.1:8080";

/// An account, and what it may get the pods of: one namespace, all (`*`), or none.
fn account(stage: &Stage, name: &str, namespace: Option<&str>) -> Result<String> {
    let kube = &stage.kube;
    let manifest = |kind: &str, scope: &str, rest: &str| {
        format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: flows-{name}{scope}}}, {rest}}}"
        )
    };
    kube.apply(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {NAMESPACE}}}}}"
    ))?;
    if let Some(namespace) = namespace {
        let (prefix, scope) = match namespace {
            "*" => ("Cluster", String::new()),
            namespace => ("", format!(", namespace: {namespace}")),
        };
        let rules = r#"rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]"#;
        kube.apply(&manifest(&format!("{prefix}Role"), &scope, rules))?;
        let binding = format!(
            "roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {prefix}Role, name: flows-{name}}}, \
             subjects: [{{kind: ServiceAccount, name: {name}, namespace: {NAMESPACE}}}]"
        );
        kube.apply(&manifest(&format!("{prefix}RoleBinding"), &scope, &binding))?;
    }
    let token = kube.kubectl(&["create", "token", name, "-n", NAMESPACE])?;
    Ok(token.trim().to_owned())
}

fn weir(arguments: &[&str], token: &str) -> Result<Output> {
    let mut command = Command::new(product::path("weir")?);
    command.args(arguments).args(["--token", token]);
    Ok(command
        .env("HOME", "/nonexistent")
        .env_remove("KUBECONFIG")
        .output()?)
}

fn answer(arguments: &[&str], token: &str) -> Result<Value> {
    let output = weir(arguments, token)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?}: {said}"))
}

/// Makes traffic between two zones and waits until the collector shows it.
fn cross_zones(stage: &mut Stage, root: &str) -> Result<()> {
    stage.clear()?;
    let (client, web) = records::pods(stage)?;
    for (node, zone) in [("node-a", "zone-1"), ("node-b", "zone-2")] {
        let label = format!("topology.kubernetes.io/zone={zone}");
        stage
            .kube
            .kubectl(&["label", "node", node, &label, "--overwrite"])?;
    }
    stage.kube.apply(EXACT)?;
    stage.export("ipfix", &["172.30.0.1:4739"])?;
    stage.wait_exporting()?;
    wait_for("flows that cross zones", DEADLINE, || {
        transfer(&client, &web, 8080, BYTES)?;
        let sums = answer(&["query", CROSS_ZONE, "--server", SERVER, "-o", "json"], root)?;
        Ok((sums["totals"]["bytes"].as_u64() >= Some(BYTES)).then_some(()))
    })
}

fn cross_zone_traffic_is_told_by_right(stage: &mut Stage) -> Result<()> {
    let root = account(stage, "sees-all", Some("*"))?;
    cross_zones(stage, &root)?;
    let shop = account(stage, "sees-shop", Some("shop"))?;
    let other = account(stage, "sees-other", Some(NAMESPACE))?;
    let none = account(stage, "sees-none", None)?;

    let question = ["flows", CROSS_ZONE, "--server", SERVER, "-o", "json"];
    let grouped = ["--group-by", "ns,workload_name,zone,dst_workload_name,dst_zone"];
    for token in [&root, &shop] {
        let sums = answer(&[&question[..], &grouped[..]].concat(), token)?;
        let rows = sums["rows"].as_array().context("rows")?;
        let there = rows
            .iter()
            .find(|row| row["workload_name"] == "client")
            .context("the client's row")?;
        let expected = [
            ("ns", "shop"),
            ("zone", "zone-1"),
            ("dst_workload_name", "web"),
            ("dst_zone", "zone-2"),
        ];
        for (field, value) in expected {
            ensure!(there[field] == value, "{field} in {there}");
        }
        ensure!(there["bytes"].as_u64() >= Some(BYTES), "{there}");
    }
    // The same by the API itself.
    let query = format!("/api/v1/query?since=1h&filter={}", encode(CROSS_ZONE));
    let told = |token: &str| -> Result<(u16, Value)> { ask(&query, token) };
    let (status, sums) = told(&shop)?;
    ensure!(
        status == 200 && sums["totals"]["bytes"].as_u64() >= Some(BYTES),
        "{status} {sums}"
    );
    // Who may get pods of another namespace sees none of it; who may get none, nothing.
    let (status, problem) = told(&other)?;
    ensure!(
        status == 403 || problem["totals"]["flows"] == 0,
        "{status} {problem}"
    );
    ensure!(told(&none)?.0 == 403 && told("forged")?.0 == 401 && told("")?.0 == 401);
    let refused = weir(&question, &none)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(2) && said.contains("may get pods"),
        "{said}"
    );
    let values = answer(&["values", "dst_zone", "--server", SERVER, "-o", "json"], &shop)?;
    ensure!(values.to_string().contains("zone-2"), "{values}");
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    stage.clear()
}

/// The lab has no pod of the collector, and no controller that knows where it runs:
/// a pod and the Endpoints say it.
fn the_proxy_of_the_api_server_leads_to_the_collector(stage: &mut Stage) -> Result<()> {
    let root = account(stage, "sees-all", Some("*"))?;
    stage.kube.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: weir-collector-lab, namespace: {NAMESPACE}}}, \
         spec: {{nodeName: node-a, containers: [{{name: c, image: weir-collector}}]}}}}"
    ))?;
    let status = r#"{"status":{"phase":"Running","podIP":"172.30.0.1","podIPs":[{"ip":"172.30.0.1"}]}}"#;
    let pod = ["pod", "weir-collector-lab", "-n", NAMESPACE];
    let patch = ["--subresource=status", "--type", "merge", "-p", status];
    stage
        .kube
        .kubectl(&[&["patch"][..], &pod[..], &patch[..]].concat())?;
    stage.kube.apply(&format!(
        "{{apiVersion: v1, kind: Endpoints, metadata: {{name: weir-collector, namespace: {NAMESPACE}}}, subsets: \
         [{{addresses: [{{ip: 172.30.0.1, targetRef: {{kind: Pod, name: weir-collector-lab, namespace: {NAMESPACE}}}}}], \
         ports: [{{name: http, port: 8080, protocol: TCP}}]}}]}}"
    ))?;
    let kubeconfig = stage.kube.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("a path in UTF-8")?;
    let arguments = ["query", "--kubeconfig", kubeconfig, "--since", "2h", "-o", "json"];
    wait_until("the collector behind the API server", DEADLINE, || {
        let sums = answer(&arguments, &root)?;
        ensure!(sums["totals"]["flows"].is_u64(), "{sums}");
        Ok(true)
    })?;
    stage
        .kube
        .kubectl(&["delete", "pod", "weir-collector-lab", "-n", NAMESPACE, "--force"])?;
    Ok(())
}

fn ask(path: &str, token: &str) -> Result<(u16, Value)> {
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--max-time",
        "20",
        "--write-out",
        "\n%{http_code}",
    ]);
    if !token.is_empty() {
        curl.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = curl.arg(format!("{SERVER}{path}")).output()?;
    let text = String::from_utf8(output.stdout)?;
    let (body, status) = text.rsplit_once('\n').context("a status")?;
    Ok((
        status.parse()?,
        serde_json::from_str(body).with_context(|| body.to_owned())?,
    ))
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
