//! The way of people to the collector of a cluster: through the API server, which lets
//! them in by whatever they show it, verifies the collector by the certificate that the
//! collector made for itself, and says who asks.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_lab::{product, wait_for, wait_until};

use super::asking::{account, encode};
use crate::stage::{DEADLINE, NAMESPACE, Stage};

const API_SERVICE: &str = "v1.flows.weir.dev";
const SERVICE: &str = "weir-system/weir-collector";

pub fn the_api_server_leads_to_the_collector(stage: &mut Stage) -> Result<()> {
    // Whose tokens of the API server are made below.
    for (name, sees) in [
        ("sees-all", Some("*")),
        ("sees-shop", Some("shop")),
        ("sees-none", None),
    ] {
        account(stage, name, sees)?;
    }
    with_certificate(stage, asked_through_the_api_server)
}

/// Restarts the collector behind its Service, for as long as `ask` takes, once the API
/// server verifies it.
pub fn with_certificate(stage: &mut Stage, ask: fn(&Stage) -> Result<()>) -> Result<()> {
    stop(stage)?;
    stage.start_collector_with(&["--http-service", SERVICE])?;
    let outcome = verified(stage).and_then(|()| ask(stage));
    stage
        .kube
        .kubectl(&["delete", "endpointslice", "weir-collector-lab", "-n", NAMESPACE])?;
    stop(stage)?;
    stage.start_collector()?;
    outcome
}

fn stop(stage: &mut Stage) -> Result<()> {
    let collector = stage.collector.take().context("the collector runs")?;
    collector.terminate(DEADLINE).map(drop)
}

fn verified(stage: &Stage) -> Result<()> {
    // Nothing in the lab makes slices of Services.
    stage.kube.apply(&format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: \
         weir-collector-lab, namespace: {NAMESPACE}, labels: {{kubernetes.io/service-name: weir-collector}}}}, \
         ports: [{{name: http, port: 8080, protocol: TCP}}], endpoints: [{{addresses: [172.30.0.1], \
         conditions: {{ready: true}}}}]}}"
    ))?;
    wait_for("the API server to verify the collector", DEADLINE, || {
        let service = stage.kube.object(&["apiservice", API_SERVICE])?;
        let conditions = service["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let available = conditions
            .iter()
            .find(|condition| condition["type"] == "Available");
        let available = available.context("no condition")?;
        ensure!(available["status"] == "True", "{available}");
        ensure!(service["spec"]["insecureSkipTLSVerify"] != true, "{service}");
        Ok(Some(()))
    })
}

fn asked_through_the_api_server(stage: &Stage) -> Result<()> {
    let question = ["query", "--since", "2h", "-o", "json"];
    let sums = |account: &str| -> Result<Value> {
        let output = weir(stage, account, &question)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{account}: {said}");
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    wait_until("all flows", DEADLINE, || {
        Ok(sums("sees-all")?["totals"]["flows"].as_u64() > Some(0))
    })?;
    let (all, some) = (sums("sees-all")?, sums("sees-shop")?);
    let flows = |sums: &Value| sums["totals"]["flows"].as_u64();
    ensure!(
        flows(&some) > Some(0) && flows(&some) <= flows(&all),
        "{some} {all}"
    );
    ensure!(
        all["stats"].is_object() && some["stats"].is_null(),
        "{some} {all}"
    );
    let refused = weir(stage, "sees-none", &question)?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(2) && said.contains("sees-none may get pods in no namespace"),
        "{said}"
    );
    // What has no end passes, too.
    let export = weir(
        stage,
        "sees-shop",
        &["export", "--since", "2h", "--columns", "ns,dst_ns"],
    )?;
    let said = String::from_utf8_lossy(&export.stderr);
    let lines = String::from_utf8_lossy(&export.stdout).lines().count() as u64;
    ensure!(
        export.status.success() && Some(lines) >= flows(&some),
        "{lines} of {some}: {said}"
    );
    // kubectl is let in by what it shows, too: here by the administrator's own token.
    let query = format!(
        "/apis/flows.weir.dev/v1/query?filter={}",
        encode(r#"ns == "shop""#)
    );
    let raw = stage.kube.kubectl(&["get", "--raw", &query])?;
    ensure!(
        serde_json::from_str::<Value>(&raw)?["totals"].is_object(),
        "{raw}"
    );
    the_ui_stands_behind_the_api_server(stage)?;
    nobody_else_is_let_in(stage)
}

/// Below `ui/` is all that the web UI asks for, as whoever looks at it.
fn the_ui_stands_behind_the_api_server(stage: &Stage) -> Result<()> {
    let raw = |path: &str| {
        let path = format!("/apis/flows.weir.dev/v1/ui/{path}");
        stage.kube.kubectl(&["get", "--raw", &path])
    };
    let page = raw("")?;
    // Without Node the programs are built without a UI, which they say.
    ensure!(
        page.contains("<title>Weir</title>") || page.contains("make ui"),
        "{page}"
    );
    let me: Value = serde_json::from_str(&raw("api/v1/me")?)?;
    ensure!(me["known_by"] == "api-server" && me["name"].is_string(), "{me}");
    Ok(())
}

/// A token of the API server is of no use at the collector, and the API server's headers
/// mean nothing of anybody else.
fn nobody_else_is_let_in(stage: &Stage) -> Result<()> {
    let token = stage
        .kube
        .kubectl(&["create", "token", "sees-all", "-n", NAMESPACE])?;
    let own = account(stage, "sees-all", Some("*"))?;
    let bearer = |token: &str| format!("Authorization: Bearer {}", token.trim());
    ensure!(status(&[&bearer(&own)])? == "200");
    ensure!(status(&[&bearer(&token)])? == "401");
    ensure!(status(&["X-Remote-User: administrator", "X-Remote-Group: system:masters"])? == "401");
    ensure!(status(&[])? == "401");
    Ok(())
}

/// What the collector itself answers to a request with these headers.
fn status(headers: &[&str]) -> Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--max-time", "20"]);
    curl.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
    for header in headers {
        curl.args(["--header", header]);
    }
    let output = curl.arg("https://127.0.0.1:8080/api/v1/fields").output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// `weir` with the kubeconfig of an account, and with nothing else.
fn weir(stage: &Stage, account: &str, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(product::path("weir")?);
    command.args(arguments).env("HOME", "/nonexistent");
    let kubeconfig = stage.kube.service_account_kubeconfig(NAMESPACE, account)?;
    Ok(command.env("KUBECONFIG", kubeconfig).output()?)
}
