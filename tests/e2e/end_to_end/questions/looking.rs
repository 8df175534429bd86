//! Whoever looks changes nothing: what the API server has logged while every page of the API
//! that can be looked at was asked, the way of the web UI.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use weir_lab::{Process, product, program, wait_for, wait_until};

use super::aggregated;
use crate::stage::{DEADLINE, NAMESPACE, Stage};

/// Who looks.
const VIEWER: &str = "looks";
const AGGREGATED: &str = "flows.weir.dev";
/// Verbs of the API server that read.
const READS: [&str; 3] = ["get", "list", "watch"];

/// Each page that the API's document has a GET of, and how it is asked. Of these are all that
/// the UI asks.
const PAGES: [(&str, &str); 23] = [
    ("export", "since=1h"),
    ("exporters", ""),
    ("exports", ""),
    ("exports/changes", ""),
    ("exports/plan", "net_flow=192.0.2.1:2055"),
    ("fields", ""),
    ("filter", "filter=ns==%22shop%22"),
    ("flow-metrics", ""),
    ("flows", "since=1h"),
    ("matrix", "since=1h"),
    ("me", ""),
    ("nodes", ""),
    ("policy/coverage", "since=1h"),
    ("policy/disagreements", "since=1h"),
    ("policy/explain", "src=10.128.1.2&dst=10.128.2.2&port=80"),
    ("policy/generate", "since=1h&ns=shop"),
    ("policy/lint", ""),
    ("policy/unused", "since=1h"),
    ("policy/wide", "since=1h"),
    ("query", "since=1h&group_by=ns"),
    ("status", ""),
    ("tail", "seconds=1"),
    ("values", "field=ns"),
];
/// Without traffic a report of policies has nothing to tell, which is the collector's to say.
const NO_ANSWER: &str = "urn:weir:no-answer";

pub fn looking_changes_nothing(stage: &mut Stage) -> Result<()> {
    stage.kube.apply(&format!(
        "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {VIEWER}, namespace: {NAMESPACE}}}}}"
    ))?;
    for (resource, verb) in [
        ("pods", "get"),
        ("networkpolicies.networking.k8s.io", "get"),
        ("nodeflowexports.weir.dev", "list"),
        ("networks.operator.openshift.io", "get"),
        ("flowexports.weir.dev", "get"),
        ("exportrollouts.weir.dev", "get"),
        ("exportprofiles.weir.dev", "list"),
        ("controllerrevisions.apps", "list"),
        ("nodes", "list"),
    ] {
        let name = format!("{VIEWER}-{}", resource.split('.').next().unwrap_or(resource));
        let account = format!("--serviceaccount={NAMESPACE}:{VIEWER}");
        let (verb, resource) = (format!("--verb={verb}"), format!("--resource={resource}"));
        stage
            .kube
            .kubectl(&["create", "clusterrole", &name, &verb, &resource])?;
        let role = format!("--clusterrole={name}");
        stage
            .kube
            .kubectl(&["create", "clusterrolebinding", &name, &role, &account])?;
    }
    aggregated::with_certificate(stage, looked_at)
}

fn looked_at(stage: &Stage) -> Result<()> {
    every_page_is_named()?;
    let before = stage.kube.audit_log()?.lines().count();
    let (ui, address) = opened(stage)?;
    // The page itself; without Node it says that there is none.
    let (status, page) = get(&address)?;
    ensure!(
        status == 200 && (page.contains("<title>Weir</title>") || page.contains("make ui")),
        "{page}"
    );
    for (page, query) in PAGES {
        let url = format!("{address}api/v1/{page}?{query}");
        wait_until(&format!("an answer to {page}"), DEADLINE, || {
            let (status, body) = get(&url)?;
            let has_none = page.starts_with("policy/") && body.contains(NO_ANSWER);
            // Whether this stage has a source to plan from is the case's before it.
            let has_no_plan = page == "exports/plan" && body.contains("urn:weir:");
            ensure!(status == 200 || has_none || has_no_plan, "{status} {body}");
            Ok(true)
        })?;
    }
    ui.signal(Signal::SIGINT)?;
    let log = stage.kube.audit_log()?;
    let events: Vec<Value> = log
        .lines()
        .skip(before)
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    of_the_viewer(&events)?;
    of_the_collector(&events)
}

/// `weir ui` as the viewer, and the address that it prints.
fn opened(stage: &Stage) -> Result<(Process, String)> {
    let mut command = program::command(&product::path("weir")?.display().to_string())?;
    command.args(["ui", "--no-open"]).env("HOME", "/nonexistent").env(
        "KUBECONFIG",
        stage.kube.service_account_kubeconfig(NAMESPACE, VIEWER)?,
    );
    let ui = stage.lab.spawn("weir-ui", &mut command)?;
    let address = wait_for("the address of the UI", DEADLINE, || {
        let printed = ui.stdout()?;
        ensure!(printed.ends_with("/\n"), "{printed} {}", ui.stderr()?);
        Ok(Some(printed.trim().to_owned()))
    })?;
    Ok((ui, address))
}

/// Status and body of a page.
fn get(url: &str) -> Result<(u16, String)> {
    let mut curl = program::command("curl")?;
    curl.args(["--silent", "--show-error", "--max-time", "20"]);
    let told = program::read(curl.args(["--write-out", "\n%{http_code}", url]))?;
    let (body, status) = told.rsplit_once('\n').context("a status")?;
    Ok((status.parse()?, body.to_owned()))
}

fn every_page_is_named() -> Result<()> {
    let document: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json"))?;
    let paths = document["paths"].as_object().context("paths")?;
    let gets: BTreeSet<&str> = paths
        .iter()
        .filter(|(_, methods)| methods.get("get").is_some())
        .filter_map(|(path, _)| path.strip_prefix("/api/v1/"))
        .collect();
    let named = BTreeSet::from(PAGES.map(|(page, _)| page));
    ensure!(
        gets == named,
        "not the pages of the document: {:?}",
        gets.symmetric_difference(&named)
    );
    Ok(())
}

/// What was asked of the API server in the viewer's name: pages of the API, and to read.
fn of_the_viewer(events: &[Value]) -> Result<()> {
    let own = of(events, VIEWER);
    for event in &own {
        let verb = event["verb"].as_str().unwrap_or_default();
        ensure!(
            READS.contains(&verb) && event["objectRef"]["apiGroup"] == AGGREGATED,
            "{event}"
        );
    }
    ensure!(
        own.len() >= PAGES.len(),
        "only {} requests of the viewer are logged",
        own.len()
    );
    Ok(())
}

/// What the collector asked the API server meanwhile: it read, and it asked what somebody may do.
fn of_the_collector(events: &[Value]) -> Result<()> {
    let own = of(events, "weir-collector");
    let is_review = |event: &Value| {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        event["verb"] == "create" && ["subjectaccessreviews", "tokenreviews"].contains(&resource)
    };
    for event in &own {
        let verb = event["verb"].as_str().unwrap_or_default();
        ensure!(READS.contains(&verb) || is_review(event), "{event}");
    }
    // The viewer was not known before.
    ensure!(
        own.iter().any(|event| is_review(event)),
        "no review of the collector is logged"
    );
    Ok(())
}

/// Those of an account.
fn of<'a>(events: &'a [Value], account: &str) -> Vec<&'a Value> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let of_user = |event: &&Value| event["user"]["username"] == user;
    events.iter().filter(of_user).collect()
}
