//! `weir uninstall`: export off, wait until no node has rows, then delete. In another order
//! rows stay in Open vSwitch with nobody to take them away.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::ArgValueCompleter;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::dynamic::Kind;
use crate::platform::{Images, Platform, describe};
use crate::terminal::say;
use crate::{cluster, completion, dynamic};

const NODE_EXPORTS: Kind = Kind {
    api_version: "weir.dev/v1alpha1",
    kind: "NodeFlowExport",
};
/// What users wrote themselves, and its definition.
const USERS: [(Kind, &str); 2] = [
    (
        Kind {
            api_version: "weir.dev/v1alpha1",
            kind: "ExportProfile",
        },
        "exportprofiles.weir.dev",
    ),
    (
        Kind {
            api_version: "weir.dev/v1alpha1",
            kind: "FlowExport",
        },
        "flowexports.weir.dev",
    ),
];
/// How often nodes are asked.
const PAUSE: Duration = Duration::from_millis(500);
/// Never deleted.
const NETWORK: &str = "networks.operator.openshift.io";

/// Arguments of `weir uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// How long nodes may take to remove their rows
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Delete Weir also where nodes have not said that their rows are gone; these stay
    #[arg(long)]
    force: bool,
    /// Delete ExportProfiles and the FlowExport as well, which are yours
    #[arg(long)]
    purge: bool,
    /// How to reach the cluster (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(completion::contexts))]
    context: Option<String>,
}

/// Turns export off, waits, deletes. Exit code 1: nodes have rows still, and nothing was
/// deleted.
///
/// # Errors
/// The cluster cannot be reached, or refuses.
pub async fn run(args: UninstallArgs) -> Result<ExitCode> {
    let client = cluster::connect(
        args.kubeconfig.as_deref(),
        args.context.as_deref(),
        "give --kubeconfig",
    )
    .await?;
    turn_off(&client, args.dry_run).await?;
    if !args.dry_run {
        let left = wait_clean(&client, Duration::from_secs(args.timeout)).await?;
        if !left.is_empty() {
            explain(&left);
            if !args.force {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    delete_all(&client, &args).await?;
    Ok(ExitCode::SUCCESS)
}

/// What may ask for export: the Network of the cluster, and Weir's own object where there is
/// one.
fn sources() -> [Value; 2] {
    let named = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "cluster"}});
    [
        named("operator.openshift.io/v1", "Network"),
        named("weir.dev/v1alpha1", "FlowExport"),
    ]
}

async fn turn_off(client: &Client, dry_run: bool) -> Result<()> {
    for source in sources() {
        let name = describe(&source);
        let found = dynamic::read(client, &source).await;
        let Some(found) = found.with_context(|| format!("cannot read {name}"))? else {
            continue;
        };
        let wanted = &found["spec"]["exportNetworkFlows"];
        if wanted.is_null() {
            continue;
        }
        writeln!(io::stdout(), "{name} exports: {wanted}")?;
        if dry_run {
            writeln!(io::stdout(), "{name} would be told to export nothing")?;
            continue;
        }
        let nothing = json!({"spec": {"exportNetworkFlows": null}});
        let patched = dynamic::merge(client, &source, &nothing).await;
        patched.with_context(|| format!("cannot patch {name}"))?;
        writeln!(io::stdout(), "{name} exports nothing any more")?;
    }
    Ok(())
}

/// Waits until every node has said that it has no rows; those that have not, and why.
async fn wait_clean(client: &Client, limit: Duration) -> Result<Vec<String>> {
    let end = Instant::now() + limit;
    let mut told = 0;
    loop {
        let nodes = dynamic::list(client, NODE_EXPORTS, None).await?;
        let left: Vec<String> = nodes.iter().filter_map(rows_left).collect();
        if left.is_empty() || Instant::now() >= end {
            return Ok(left);
        }
        if left.len() != told {
            told = left.len();
            say(&format!(
                "waiting for {told} of {} nodes to remove their rows",
                nodes.len()
            ));
        }
        sleep(PAUSE).await;
    }
}

/// Why a node may have rows still; none if it has none.
fn rows_left(export: &Value) -> Option<String> {
    let name = export["metadata"]["name"].as_str().unwrap_or_default();
    let status = &export["status"];
    let asked_for = has_targets(&export["spec"]["bridges"]);
    if status["observedGeneration"].is_null() {
        // Nobody ever wrote a row there, and nobody is there to.
        return asked_for.then(|| format!("{name}: the controller has not turned it off; does one run?"));
    }
    let seen = status["observedGeneration"] == export["metadata"]["generation"];
    let conditions = status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let applied = conditions.iter().find(|condition| condition["type"] == "Applied");
    let applied = applied.unwrap_or(&Value::Null);
    if asked_for {
        Some(format!("{name}: something still asks for export there"))
    } else if !seen {
        Some(format!(
            "{name}: its daemon has not seen the change; does one run there?"
        ))
    } else if applied["status"] != "True" || has_targets(&status["bridges"]) {
        let message = applied["message"].as_str().unwrap_or("it does not say why");
        Some(format!("{name}: {message}"))
    } else {
        None
    }
}

/// Whether any protocol of these bridges has a target.
fn has_targets(bridges: &Value) -> bool {
    let bridges = bridges.as_array().map_or(&[][..], Vec::as_slice);
    let protocols = ["netFlow", "sFlow", "ipfix"];
    bridges.iter().any(|bridge| {
        protocols.iter().any(|protocol| {
            bridge[*protocol]["targets"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        })
    })
}

fn explain(left: &[String]) {
    for node in left {
        say(node);
    }
    say(
        "What still asks may be the ConfigMap openshift-network-operator/ovs-flows-config. Where no daemon runs any \
         more, rows are cleared on the node: ovs-vsctl -- clear bridge br-int netflow -- clear bridge br-int sflow \
         -- clear bridge br-int ipfix. With --force Weir is deleted all the same.",
    );
}

/// What is deleted, in this order: programs first, so that nobody writes any more; the API,
/// which namespaces that are deleted ask; namespaces last.
fn doomed() -> Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    for platform in Platform::ALL {
        for object in platform.objects(&Images::default())? {
            let is_new = all.iter().all(|known| {
                describe(known) != describe(&object)
                    || known["metadata"]["namespace"] != object["metadata"]["namespace"]
            });
            if is_new && object["metadata"]["name"] != NETWORK {
                all.push(object);
            }
        }
    }
    let order = |object: &Value| match object["kind"].as_str().unwrap_or_default() {
        "DaemonSet" | "Deployment" => 0,
        "APIService" => 1,
        "CustomResourceDefinition" => 3,
        "Namespace" => 4,
        _ => 2,
    };
    all.sort_by_key(order);
    Ok(all)
}

async fn delete_all(client: &Client, args: &UninstallArgs) -> Result<()> {
    let mut kept = Vec::new();
    for (kind, definition) in USERS {
        if !args.purge && !dynamic::list(client, kind, None).await?.is_empty() {
            kept.push((definition, kind.kind));
        }
    }
    for object in doomed()? {
        let name = describe(&object);
        let users = kept
            .iter()
            .find(|(definition, _)| object["metadata"]["name"] == *definition);
        if let Some((_, kind)) = users {
            say(&format!(
                "note: {name} stays, since you have objects of the kind {kind}; --purge deletes them as well"
            ));
            continue;
        }
        if args.dry_run {
            if dynamic::read(client, &object).await?.is_some() {
                writeln!(io::stdout(), "{name} would be deleted")?;
            }
            continue;
        }
        let deleted = dynamic::delete(client, &object).await;
        if deleted.with_context(|| format!("cannot delete {name}"))? {
            writeln!(io::stdout(), "{name} deleted")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(spec: Value, status: Value) -> Value {
        json!({"metadata": {"name": "n", "generation": 3}, "spec": spec, "status": status})
    }

    #[test]
    fn a_node_is_clean_when_it_has_seen_that_it_exports_nothing_and_says_so() {
        let nothing = json!({"bridges": [{"name": "br-int", "exporterId": 1}]});
        let asked = json!({"bridges": [{"name": "br-int", "ipfix": {"targets": ["192.0.2.1:4739"]}}]});
        let applied = |status: &str| json!([{"type": "Applied", "status": status, "message": "no socket"}]);
        let of = |spec: &Value, seen: Value, conditions: Value, rows: &Value| {
            let bridges = rows["bridges"].clone();
            let status = json!({"observedGeneration": seen, "conditions": conditions, "bridges": bridges});
            rows_left(&export(spec.clone(), status))
        };
        assert_eq!(of(&nothing, json!(3), applied("True"), &nothing), None);
        for (left, why) in [
            (
                of(&nothing, json!(2), applied("True"), &nothing),
                "not seen the change",
            ),
            (of(&nothing, json!(3), applied("False"), &nothing), "no socket"),
            (of(&nothing, json!(3), applied("True"), &asked), "no socket"),
            (of(&nothing, json!(3), json!([]), &nothing), "does not say why"),
            (of(&asked, json!(3), applied("True"), &asked), "still asks"),
            (rows_left(&export(asked.clone(), json!({}))), "the controller"),
        ] {
            assert!(
                left.as_ref().is_some_and(|left| left.contains(why)),
                "{left:?}: {why}"
            );
        }
        // No daemon ever was there.
        assert_eq!(rows_left(&export(nothing, json!({}))), None);
    }

    #[test]
    fn programs_go_first_the_namespaces_last_and_the_network_stays() {
        let doomed = doomed().unwrap();
        let at = |name: &str| doomed.iter().position(|object| describe(object) == name);
        assert!(at("daemonset/weir-node") < at("apiservice/v1.flows.weir.dev"));
        assert!(at("apiservice/v1.flows.weir.dev") < at("namespace/weir-system"));
        assert!(at("customresourcedefinition/nodeflowexports.weir.dev") < at("namespace/weir-node"));
        assert!(at("securitycontextconstraints/weir-node").is_some());
        assert_eq!(at(&format!("customresourcedefinition/{NETWORK}")), None);
    }
}
