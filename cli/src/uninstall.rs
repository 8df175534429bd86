//! `weir uninstall`: export off, wait until no node has rows, then delete. In another order
//! rows stay in Open vSwitch with nobody to take them away.

mod keep;
mod rows;
mod sources;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use kube::Client;
use serde_json::{Value, json};
use weir_process::signals::Signals;

pub use self::sources::Sources;
use self::sources::quoted;
use crate::cluster::ClusterArgs;
use crate::dynamic;
use crate::dynamic::Kind;
use crate::platform::{Images, NETWORK_DEFINITION, Platform, describe};
use crate::terminal::{report, say};

/// What users wrote themselves, and its definition.
const USERS: [(Kind, &str); 3] = [
    (
        Kind {
            api_version: "weir.dev/v1alpha1",
            kind: "ExportRollout",
        },
        "exportrollouts.weir.dev",
    ),
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
/// Arguments of `weir uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it, without a question; where there is no terminal to ask on, nothing is done without
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// How long nodes may take to remove their rows
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Delete Weir also where nodes have not said that their rows are gone; these stay
    #[arg(long)]
    force: bool,
    /// Delete ExportProfiles, the FlowExport and the ExportRollout as well, which are yours, and what is in Weir's
    /// namespaces and not Weir's: claims of volumes, ConfigMaps, Secrets
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Turns export off, waits, deletes. Exit code 1: nodes have rows still, and nothing was
/// deleted.
///
/// # Errors
/// Nobody said that it is meant, or the cluster cannot be reached, or refuses.
pub async fn run(args: UninstallArgs) -> Result<ExitCode> {
    let client = args.cluster.announced("give --kubeconfig").await?;
    consent(&args)?;
    let doomed = doomed()?;
    let kept = kept(&client, &args, &doomed).await?;
    let sources = Sources::of(&client).await?;
    let off = sources
        .turn_off(&client, args.dry_run, &kubectl_options(&args))
        .await?;
    let mut signals = Signals::install().context("cannot take signals")?;
    let ended = tokio::select! {
        ended = wait_and_delete(&client, &args, &sources, (&doomed, &kept)) => ended,
        signal = signals.next() => Err(anyhow!("{signal}: interrupted")),
    };
    if off.made {
        dynamic::delete(&client, &sources.read).await?;
        report(&format!("{} removed again", describe(&sources.read)));
    }
    if !matches!(ended, Ok(ExitCode::SUCCESS))
        && let Some(restore) = &off.restore
    {
        // In one line, however narrow the terminal: it is to be copied.
        let _ = writeln!(
            io::stderr(),
            "to export again what was exported before:\n{restore}"
        );
    }
    ended
}

/// # Errors
/// It is not meant, or there is nobody to ask.
fn consent(args: &UninstallArgs) -> Result<()> {
    if args.yes || args.dry_run {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        bail!("nothing was done: --yes says that this cluster is meant, --dry-run shows what would be done");
    }
    write!(
        io::stderr(),
        "turn flow export off there, and delete Weir? yes or no: "
    )?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() != "yes" {
        bail!("nothing was done");
    }
    Ok(())
}

/// Those by which kubectl finds the same cluster.
fn kubectl_options(args: &UninstallArgs) -> String {
    let file = args
        .cluster
        .kubeconfig
        .as_ref()
        .map(|file| file.display().to_string());
    [
        ("--kubeconfig", file.as_deref()),
        ("--context", args.cluster.context.as_deref()),
    ]
    .iter()
    .filter_map(|(option, value)| Some(format!(" {option} {}", quoted((*value)?))))
    .collect()
}

/// What is to go, and what of it stays and why, by what it is called.
type Doom<'a> = (&'a [Value], &'a BTreeMap<String, String>);

async fn wait_and_delete(
    client: &Client,
    args: &UninstallArgs,
    sources: &Sources,
    doom: Doom<'_>,
) -> Result<ExitCode> {
    if !args.dry_run {
        let left = rows::wait_clean(client, Duration::from_secs(args.timeout)).await?;
        if !left.is_empty() {
            explain(&left, &causes(client, &sources.read).await);
            if !args.force {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    delete_all(client, args, doom).await?;
    Ok(ExitCode::SUCCESS)
}

/// What may still ask for export, or keeps what was asked for, as far as it can be told.
async fn causes(client: &Client, source: &Value) -> Vec<String> {
    let mut causes = Vec::new();
    if let Ok(Some(found)) = dynamic::read(client, source).await {
        causes.extend(complaint(&found));
    }
    let flows_config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "ovs-flows-config", "namespace": "openshift-network-operator"}});
    if let Ok(Some(_)) = dynamic::read(client, &flows_config).await {
        causes.push(
            "the ConfigMap openshift-network-operator/ovs-flows-config asks for export, too".to_owned(),
        );
    }
    causes
}

/// What the controller says on its source: that it holds what was asked for last, cannot read
/// the source or a profile.
fn complaint(source: &Value) -> Option<String> {
    let conditions = source["status"]["conditions"].as_array()?;
    let degraded = conditions
        .iter()
        .find(|condition| condition["type"] == "FlowExportDegraded" && condition["status"] == "True")?;
    let message = degraded["message"].as_str().unwrap_or_default();
    Some(format!("the controller says: {message}"))
}

fn explain(left: &[String], causes: &[String]) {
    left.iter().chain(causes).for_each(|line| say(line));
    say(
        "Where no daemon runs any more, rows are cleared on the node: ovs-vsctl -- clear bridge br-int netflow -- \
         clear bridge br-int sflow -- clear bridge br-int ipfix. With --force Weir is deleted all the same.",
    );
}

/// What is deleted, in this order: programs first, so that nobody writes any more; the API,
/// which namespaces that are deleted ask; namespaces last.
fn doomed() -> Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    for platform in Platform::ALL {
        for object in platform.objects(&Images::default(), false)? {
            let is_new = all.iter().all(|known| {
                describe(known) != describe(&object)
                    || known["metadata"]["namespace"] != object["metadata"]["namespace"]
            });
            if is_new && object["metadata"]["name"] != NETWORK_DEFINITION {
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

/// What stays, and why.
async fn kept(client: &Client, args: &UninstallArgs, doomed: &[Value]) -> Result<BTreeMap<String, String>> {
    let mut kept = BTreeMap::new();
    if args.purge {
        return Ok(kept);
    }
    for (kind, definition) in USERS {
        if !dynamic::list(client, kind, None).await?.is_empty() {
            kept.insert(
                format!("customresourcedefinition/{definition}"),
                format!("you have objects of the kind {}", kind.kind),
            );
        }
    }
    for (namespace, names) in keep::of_others(client, doomed).await? {
        kept.insert(
            format!("namespace/{namespace}"),
            format!("{} would be deleted with it", names.join(", ")),
        );
    }
    Ok(kept)
}

async fn delete_all(client: &Client, args: &UninstallArgs, (doomed, kept): Doom<'_>) -> Result<()> {
    for object in doomed {
        let name = describe(object);
        if let Some(why) = kept.get(&name) {
            say(&format!("note: {name} stays: {why}; --purge deletes it as well"));
            continue;
        }
        if args.dry_run {
            if dynamic::read(client, object).await?.is_some() {
                report(&format!("{name} would be deleted"));
            }
            continue;
        }
        let deleted = dynamic::delete(client, object).await;
        if deleted.with_context(|| format!("cannot delete {name}"))? {
            report(&format!("{name} deleted"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_cannot_read_is_named() {
        let of = |status: &str| {
            json!({"status": {"conditions": [{"type": "FlowExportDegraded", "status": status,
                "message": "unreadable: ExportProfile slow"}]}})
        };
        let told = complaint(&of("True")).unwrap();
        assert!(told.contains("ExportProfile slow"), "{told}");
        assert_eq!(complaint(&of("False")), None);
        assert_eq!(complaint(&json!({})), None);
    }

    #[test]
    fn programs_go_first_the_namespaces_last_and_the_network_stays() {
        let doomed = doomed().unwrap();
        let at = |name: &str| doomed.iter().position(|object| describe(object) == name);
        assert!(at("daemonset/weir-node") < at("apiservice/v1.flows.weir.dev"));
        assert!(at("apiservice/v1.flows.weir.dev") < at("namespace/weir-system"));
        assert!(at("customresourcedefinition/nodeflowexports.weir.dev") < at("namespace/weir-node"));
        assert!(at("securitycontextconstraints/weir-node").is_some());
        assert_eq!(
            at(&format!("customresourcedefinition/{NETWORK_DEFINITION}")),
            None
        );
    }
}
