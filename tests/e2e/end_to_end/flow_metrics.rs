//! FlowMetrics of the cluster: from `kubectl apply` to series, and to what is said of bad ones.

use anyhow::{Context, Result, ensure};
use weir_lab::{Pod, harness::Case, traffic::transfer, wait_until};

use crate::questions::asking;
use crate::records::{EXACT, pods};
use crate::stage::{DEADLINE, NAMESPACE, Stage, manifests};

pub const CASES: &[Case<Stage>] = &[Case::new(
    "FlowMetrics count from the day that the cluster has them, and bad ones say where and what to do",
    flow_metrics_of_the_cluster,
)];

/// The two metrics of NetObserv's article on the flow matrix.
const FLOW_MATRIX: &str = include_str!("../../../collector/flowmetrics/src/registry/tests/flow-matrix.yaml");

const DEFINITION: &str = "flowmetrics.flows.netobserv.io";

/// NetObserv's other resource, as far as anything of it is read here.
const FLOW_COLLECTORS: &str = "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, \
    metadata: {name: flowcollectors.flows.netobserv.io}, spec: {group: flows.netobserv.io, scope: Cluster, \
    names: {kind: FlowCollector, listKind: FlowCollectorList, plural: flowcollectors, singular: flowcollector}, \
    versions: [{name: v1beta2, served: true, storage: true, schema: {openAPIV3Schema: \
    {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}";

fn flow_metrics_of_the_cluster(stage: &mut Stage) -> Result<()> {
    stage.clear()?;
    let token = &may_scrape(stage)?;
    // The collector runs already, and knows no such resource.
    ensure!(shown(stage, token)?.is_empty());
    with_the_definition(stage, |stage| {
        stage.kube.apply(FLOW_MATRIX)?;
        let ready = |stage: &Stage, name: &str, status: &str, words: &[&str]| {
            stage.wait_condition(&["flowmetric", name, "-n", "netobserv"], "Ready", status, words)
        };
        ready(stage, "workload-syn-in", "True", &["netobserv_workload_syn_in"])?;
        ready(stage, "workload-syn-out", "True", &["netobserv_workload_syn_out"])?;
        let object = stage
            .kube
            .object(&["flowmetric", "workload-syn-in", "-n", "netobserv"])?;
        ensure!(
            object["status"]["prometheusName"] == "netobserv_workload_syn_in",
            "{object}"
        );

        the_matrix_is_counted(stage, token)?;

        what_can_never_count_is_not_taken(stage)?;
        let bad = metric("bad", "netobserv", "{type: Counter, labels: [Nobody]}");
        stage.kube.apply(&bad)?;
        ready(stage, "bad", "False", &["Failure", "spec.labels[0]"])?;
        let table = stage.kube.kubectl(&["get", "flowmetrics", "-n", "netobserv"])?;
        ensure!(table.contains("Failure") && table.contains("careful"), "{table}");
        stage.kube.apply(&metric(
            "bad",
            "netobserv",
            "{type: Counter, filters: [{field: Flags, value: SYN, matchType: MatchRegex}]}",
        ))?;
        ready(stage, "bad", "True", &["netobserv_bad"])?;
        // What is defined where nobody looks stays alone.
        let elsewhere = stage.kube.object(&["flowmetric", "elsewhere", "-n", "default"])?;
        ensure!(elsewhere["status"].is_null(), "{elsewhere}");
        Ok(())
    })?;
    wait_until("the series to go with the definition", DEADLINE, || {
        Ok(shown(stage, token)?.is_empty())
    })?;
    stage.http("127.0.0.1:8080", "/readyz")?;
    stage.clear()
}

/// While the cluster has the resource, with a namespace for it and an object elsewhere.
pub fn with_the_definition(stage: &mut Stage, work: impl FnOnce(&mut Stage) -> Result<()>) -> Result<()> {
    let file = manifests().join("components/flow-metrics/flowmetrics.yaml");
    let file = file.to_str().context("a path of text")?;
    stage.kube.kubectl(&["apply", "-f", file])?;
    stage.kube.apply(FLOW_COLLECTORS)?;
    for definition in [DEFINITION, "flowcollectors.flows.netobserv.io"] {
        let definition = format!("crd/{definition}");
        let wait = [
            "wait",
            "--for=condition=Established",
            &definition,
            "--timeout=30s",
        ];
        stage.kube.kubectl(&wait)?;
    }
    stage
        .kube
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: netobserv}}")?;
    stage
        .kube
        .apply(&metric("elsewhere", "default", "{type: Counter}"))?;
    let outcome = work(stage);
    stage.kube.kubectl(&[
        "delete",
        "crd",
        DEFINITION,
        "flowcollectors.flows.netobserv.io",
        "--timeout=30s",
    ])?;
    outcome
}

/// One that is good, until it is ready. The collector watches what there is of both kinds.
pub fn define_one(stage: &mut Stage) -> Result<()> {
    stage.kube.apply(&metric("one", "netobserv", "{type: Counter}"))?;
    stage
        .wait_condition(&["flowmetric", "one", "-n", "netobserv"], "Ready", "True", &[])
        .map(drop)
}

fn metric(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: flows.netobserv.io/v1alpha1, kind: FlowMetric, metadata: {{name: {name}, namespace: {namespace}}}, spec: {spec}}}"
    )
}

/// The API server refuses it, with the field and what to do.
fn what_can_never_count_is_not_taken(stage: &Stage) -> Result<()> {
    let filter = "{type: Counter, filters: [{field: Flags, value: '(', matchType: MatchRegex}]}";
    for (spec, field, remedy) in [
        (filter, "spec.filters[0]", "needs a backslash"),
        (
            "{type: Counter, labels: [Proto], remap: {Bytes: b}}",
            "spec.remap",
            "one of labels",
        ),
        (
            "{type: Histogram, labels: [Proto], remap: {Proto: le}}",
            "spec.remap",
            "another name",
        ),
        (
            "{type: Counter, labels: [Proto], remap: {Proto: __x}}",
            "spec.remap",
            "another name",
        ),
        (
            "{type: Histogram, buckets: ['1', '.5']}",
            "spec.buckets",
            "ascending order",
        ),
        ("{type: Counter, divider: '0.0'}", "spec.divider", "leave it out"),
        ("{type: Counter, divider: '-1'}", "spec.divider", "a Gauge"),
    ] {
        let refused = stage.kube.apply(&metric("refused", "netobserv", spec));
        let refused = refused.err().with_context(|| format!("{spec} is taken"))?;
        let text = format!("{refused:#}");
        ensure!(text.contains(field) && text.contains(remedy), "{spec}: {text}");
    }
    for spec in [
        "{type: Counter, filters: [{field: Flags, value: '(', matchType: Equal}]}",
        "{type: Gauge, divider: '-1e3'}",
        "{type: Histogram, buckets: ['.5', '1e3', '+Inf'], labels: [Proto], remap: {Proto: proto}}",
    ] {
        stage.kube.apply(&metric("taken", "netobserv", spec))?;
    }
    Ok(())
}

/// Three connections by each format, with flags and without: as many in the matrix, at both ends.
fn the_matrix_is_counted(stage: &mut Stage, token: &str) -> Result<()> {
    let (client, web) = pods(stage)?;
    stage.kube.apply(EXACT)?;
    let formats = [
        ("netFlow", "172.30.0.1:2056", 3),
        ("sFlow", "172.30.0.1:6343", 6),
        ("ipfix", "172.30.0.1:4739", 9),
    ];
    let outcome = formats
        .into_iter()
        .try_for_each(|(protocol, collector, count)| {
            stage.clear()?;
            stage.export(protocol, &[collector])?;
            stage.wait_exporting()?;
            for _ in 0..3 {
                transfer(&client, &web, 8080, 20_000)?;
            }
            for (way, from, to) in [("in", "from_", ""), ("out", "", "to_")] {
                let side = |prefix: &str, workload: &str| {
                    format!(
                        "{prefix}subnet_label=\"\",{prefix}namespace=\"shop\",{prefix}workload=\"{workload}\",{prefix}kind=\"Deployment\""
                    )
                };
                let sample = format!(
                    "netobserv_workload_syn_{way}{{{},{},port=\"8080\",Flags=\"SYN\"}} {count}",
                    side(from, "client"),
                    side(to, "web")
                );
                wait_until(&format!("{sample} of {protocol}"), DEADLINE, || {
                    let shown = shown(stage, token)?;
                    ensure!(shown.contains(&sample), "{shown:#?}");
                    Ok(true)
                })?;
            }
            Ok(())
        })
        .and_then(|()| networks_have_the_names_of_the_flow_collector(stage, (&client, &web), token));
    stage.kube.kubectl(&["delete", "exportprofile", "exact"])?;
    outcome
}

/// As in NetObserv's article: what is external gets a name, and the matrix shows it.
fn networks_have_the_names_of_the_flow_collector(
    stage: &Stage,
    (client, web): (&Pod, &Pod),
    token: &str,
) -> Result<()> {
    stage.kube.apply(
        "{apiVersion: flows.netobserv.io/v1beta2, kind: FlowCollector, metadata: {name: cluster}, spec: {processor: \
         {subnetLabels: {customLabels: [{name: named, cidrs: ['0.0.0.0/0']}]}}}}",
    )?;
    wait_until("the label of the network", DEADLINE, || {
        transfer(client, web, 8080, 20_000)?;
        let shown = shown(stage, token)?;
        let has_name = |sample: &String| {
            sample.starts_with("netobserv_workload_syn_out{") && sample.contains("to_subnet_label=\"named\"")
        };
        Ok(shown.iter().any(has_name))
    })
}

/// The samples that the collector shows.
/// The token of somebody who may read what is counted, and nothing else. Others may not.
fn may_scrape(stage: &Stage) -> Result<String> {
    let token = asking::account(stage, "scraper", None)?;
    let page = |token: &str| stage.http_with(token, "127.0.0.1:8080", "/flow-metrics");
    for (token, status) in [("", "401"), (&token, "403")] {
        let refused = page(token).err().context("the page is open")?;
        ensure!(format!("{refused:#}").contains(status), "{refused:#}");
    }
    stage.kube.apply(&format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: scraper}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: weir-flow-metrics-reader}}, \
         subjects: [{{kind: ServiceAccount, name: scraper, namespace: {NAMESPACE}}}]}}"
    ))?;
    // A no is believed for 10 seconds.
    wait_until("the token to be taken", DEADLINE, || page(&token).map(|_| true))?;
    Ok(token)
}

fn shown(stage: &Stage, token: &str) -> Result<Vec<String>> {
    let text = stage.http_with(token, "127.0.0.1:8080", "/flow-metrics")?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}
