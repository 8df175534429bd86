//! `weir install`: the objects of a platform, shown, judged by the API server, or applied.

mod images;
mod leftovers;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::PossibleValue;
use clap::{ValueEnum, builder::EnumValueParser};
use clap_complete::ArgValueCompleter;
use kube::Client;
use serde_json::Value;
use weir_process::kubernetes::{self, Retries};

use crate::dynamic::Manner;
use crate::platform::{Images, NETWORK_DEFINITION, Platform, describe};
use crate::terminal::{report, say};
use crate::{cluster, completion, dynamic, platform};

/// A platform, or whichever the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Auto,
    Given(Platform),
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Auto,
            Self::Given(Platform::Kubernetes),
            Self::Given(Platform::Openshift),
            Self::Given(Platform::KubeOvn),
            Self::Given(Platform::Antrea),
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Auto => {
                Some(PossibleValue::new("auto").help("What the API server's groups say that it is"))
            }
            Self::Given(platform) => platform.to_possible_value(),
        }
    }
}

/// Arguments of `weir install`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["dry_run", "apply", "print"])))]
pub struct InstallArgs {
    /// What runs Open vSwitch on the nodes
    #[arg(long, value_name = "PLATFORM", default_value = "auto", value_parser = EnumValueParser::<Choice>::new())]
    platform: Choice,
    /// Let the API server judge what would be applied, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Apply it
    #[arg(long)]
    apply: bool,
    /// Print it as YAML, and ask nobody; needs --platform
    #[arg(long)]
    print: bool,
    /// The registry of the images, with a path where they are in one [default: that of the images
    /// that are installed, else the container engine's]
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// The tag of the images [default: tag or digest of those that are installed, else latest]
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Put weir-ovsdb-gate between weir-node and Open vSwitch: it lets flow export pass and
    /// nothing else [default: as it is installed, else without]
    #[arg(long, value_name = "BOOL", default_missing_value = "true", num_args = 0..=1,
        require_equals = true)]
    gate: Option<bool>,
    /// Take fields from others who have set them otherwise
    #[arg(long, conflicts_with = "print")]
    force: bool,
    /// How to reach the cluster (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)
    #[arg(long, value_name = "FILE", conflicts_with = "print")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", conflicts_with = "print", add = ArgValueCompleter::new(completion::contexts))]
    context: Option<String>,
}

/// Shows, checks or applies. Exit code 1: the API server refuses some of it, or others have
/// set some of it otherwise.
///
/// # Errors
/// There is no cluster to reach, or it is not of that platform.
pub async fn run(args: InstallArgs) -> Result<ExitCode> {
    let images = Images {
        registry: args.registry.clone(),
        tag: args.tag.clone(),
    };
    if args.print {
        return print(args.platform, &images, args.gate.unwrap_or(false));
    }
    let config = cluster::announced(
        args.kubeconfig.as_deref(),
        args.context.as_deref(),
        "give --kubeconfig",
    );
    let client = kubernetes::client(config.await?, Retries::ByClient)?;
    let platform = decide(args.platform, &dynamic::groups(&client).await?)?;
    let manner = Manner {
        dry_run: args.dry_run,
        force: args.force,
    };
    let wanted = Wanted {
        platform,
        images,
        gate: args.gate,
    };
    let outcome = apply_all(&client, &wanted, manner).await?;
    if outcome.refused > 0 {
        say(&format!(
            "weir: the API server refuses {} objects",
            outcome.refused
        ));
    }
    if outcome.conflicts > 0 {
        say(&format!(
            "weir: {} objects have fields that others have set otherwise, and stay as they are; --force takes these fields",
            outcome.conflicts
        ));
    }
    if outcome.refused + outcome.conflicts + outcome.leftovers > 0 {
        return Ok(ExitCode::FAILURE);
    }
    if args.apply {
        say(NEXT);
    } else if outcome.unjudged > 0 {
        say("note: what is in a namespace that is not there yet cannot be judged");
    }
    Ok(ExitCode::SUCCESS)
}

const NEXT: &str = "next: kubectl rollout status -n weir-node daemonset/weir-node; then weir doctor says what is \
                    wrong, if anything is";

fn print(choice: Choice, images: &Images, gate: bool) -> Result<ExitCode> {
    let Choice::Given(platform) = choice else {
        anyhow::bail!("--print asks no cluster what it is: give --platform");
    };
    let mut out = io::stdout().lock();
    for object in platform.objects(images, gate)? {
        write!(out, "---\n{}", serde_saphyr::to_string(&object)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The platform that is meant.
///
/// # Errors
/// The cluster is OpenShift, and another was given: that would replace the cluster's own
/// definition of the Network.
fn decide(choice: Choice, groups: &[String]) -> Result<Platform> {
    let found = Platform::of(groups);
    match (choice, found) {
        (Choice::Given(given), Some((Platform::Openshift, _))) if given != Platform::Openshift => {
            anyhow::bail!(
                "this cluster is OpenShift, whose Network must not be replaced; give --platform openshift"
            )
        }
        (Choice::Given(given), _) => Ok(given),
        (Choice::Auto, Some((platform, group))) => {
            say(&format!(
                "platform: {} (the API server has {group})",
                platform.name()
            ));
            Ok(platform)
        }
        (Choice::Auto, None) => {
            say(
                "note: no network plugin that uses Open vSwitch is known by the API server's groups; taken for \
                 kubernetes",
            );
            Ok(Platform::Kubernetes)
        }
    }
}

#[derive(Default)]
struct Outcome {
    refused: usize,
    conflicts: usize,
    unjudged: usize,
    leftovers: usize,
}

/// What is to be installed.
struct Wanted {
    platform: Platform,
    images: Images,
    /// `None`: as it is installed.
    gate: Option<bool>,
}

/// Whether the node daemons that are installed reach OVS through the gate.
async fn has_gate(client: &Client, platform: Platform) -> Result<bool> {
    let objects = platform.objects(&Images::default(), false)?;
    let daemon = objects.iter().find(|object| platform::is_node_daemon(object));
    let daemon = daemon.context("there is no node daemon")?;
    let there = dynamic::read(client, daemon)
        .await
        .context("cannot read the node daemons")?;
    Ok(there.as_ref().is_some_and(platform::has_gate))
}

/// Applies all, one after the other, and says what became of each.
async fn apply_all(client: &Client, wanted: &Wanted, manner: Manner) -> Result<Outcome> {
    let dry_run = manner.dry_run;
    let gate = match wanted.gate {
        Some(gate) => gate,
        None => has_gate(client, wanted.platform).await?,
    };
    let other = wanted.platform.objects(&wanted.images, !gate)?;
    let other = other.into_iter().find(platform::is_node_daemon);
    let mut outcome = Outcome::default();
    let mut missing = BTreeSet::new();
    for mut object in wanted.platform.objects(&wanted.images, gate)? {
        let name = describe(&object);
        let before = dynamic::read(client, &object).await;
        let before = before.with_context(|| format!("cannot read {name}"))?;
        if dry_run && before.is_none() && object["kind"] == "Namespace" {
            missing.insert(object["metadata"]["name"].to_string());
        }
        if missing.contains(&object["metadata"]["namespace"].to_string()) {
            outcome.unjudged += 1;
            report(&format!("{name} would be created"));
            continue;
        }
        if is_of_somebody_else(before.as_ref()) {
            report(&format!("{name} left alone: it is not Weir's"));
            continue;
        }
        if let Err(error) = images::keep(&mut object, before.as_ref().unwrap_or_default(), &wanted.images) {
            outcome.refused += 1;
            report(&format!("{name} is left as it is: {error}"));
            continue;
        }
        let answer = match dynamic::apply(client, &object, manner).await {
            Err(error) if dynamic::is_conflict(&error) => {
                in_force(client, &object, before.as_ref(), error).await
            }
            answer => answer,
        };
        let told = match answer {
            Ok(after) => {
                let left = leftovers::of(&object, &after, other.as_ref());
                outcome.leftovers += left.len();
                tell_leftovers(&name, &left);
                word(before.as_ref(), &after, dry_run)
            }
            Err(error) if dynamic::is_conflict(&error) => {
                outcome.conflicts += 1;
                format!("is left as it is: {}", dynamic::reason(&error))
            }
            Err(error) => {
                outcome.refused += 1;
                format!("refused: {}", dynamic::reason(&error))
            }
        };
        report(&format!("{name} {told}"));
    }
    Ok(outcome)
}

/// What stayed with or without a gate, though it was installed the other way.
fn tell_leftovers(name: &str, left: &[String]) {
    if !left.is_empty() {
        report(&format!(
            "{name} still has {}: others have set that, and no apply takes it away. Delete {name}, which leaves \
             export as it is, and install again",
            left.join(" and ")
        ));
    }
}

/// The object as it is, where what somebody else has set is what would be set: of some parts
/// the API server calls that a conflict, since it has added what they leave out.
///
/// # Errors
/// It is another: the conflict.
async fn in_force(
    client: &Client,
    object: &Value,
    before: Option<&Value>,
    conflict: anyhow::Error,
) -> Result<Value> {
    let judged = Manner {
        dry_run: true,
        force: true,
    };
    match (before, dynamic::apply(client, object, judged).await) {
        (Some(before), Ok(after)) if substance(before) == substance(&after) => Ok(after),
        _ => Err(conflict),
    }
}

/// A definition of the Network that has fields of which ours knows nothing is that of the
/// Cluster Network Operator, whatever the platform was said to be.
fn is_of_somebody_else(before: Option<&Value>) -> bool {
    let Some(before) = before.filter(|before| before["metadata"]["name"] == NETWORK_DEFINITION) else {
        return false;
    };
    let annotations = before["metadata"]["annotations"].as_object();
    annotations.is_some_and(|annotations| annotations.keys().any(|key| key.contains("openshift.io")))
}

/// What became of an object, as kubectl says it.
fn word(before: Option<&Value>, after: &Value, dry_run: bool) -> String {
    let done = match before {
        None => "created",
        Some(before) if substance(before) == substance(after) => "unchanged",
        Some(_) => "configured",
    };
    match dry_run {
        true if done == "unchanged" => done.to_owned(),
        true => format!("would be {done}"),
        false => done.to_owned(),
    }
}

/// What is asked for in an object: not who wrote it, and how often.
fn substance(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in ["managedFields", "resourceVersion", "generation"] {
            metadata.remove(key);
        }
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn groups(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn nothing_but_its_own_platform_is_installed_on_openshift() {
        let openshift = groups(&["config.openshift.io"]);
        let refused = decide(Choice::Given(Platform::Kubernetes), &openshift).unwrap_err();
        assert!(refused.to_string().contains("--platform openshift"), "{refused}");
        assert_eq!(decide(Choice::Auto, &openshift).unwrap(), Platform::Openshift);
        assert_eq!(
            decide(Choice::Given(Platform::Antrea), &groups(&["apps"])).unwrap(),
            Platform::Antrea
        );
        assert_eq!(
            decide(Choice::Auto, &groups(&["apps"])).unwrap(),
            Platform::Kubernetes
        );
    }

    #[test]
    fn the_operators_definition_of_the_network_is_known_by_its_annotations() {
        let of = |annotations| json!({"metadata": {"name": NETWORK_DEFINITION, "annotations": annotations}});
        let operators = of(json!({"include.release.openshift.io/self-managed-high-availability": "true"}));
        assert!(is_of_somebody_else(Some(&operators)));
        assert!(!is_of_somebody_else(Some(&of(json!({})))));
        assert!(!is_of_somebody_else(None));
    }

    #[test]
    fn what_only_the_api_server_counts_is_no_change() {
        let before = json!({"metadata": {"name": "x", "resourceVersion": "1"}, "spec": 1, "status": 2});
        let same = json!({"metadata": {"name": "x", "resourceVersion": "2"}, "spec": 1});
        let other = json!({"metadata": {"name": "x"}, "spec": 3});
        assert_eq!(word(Some(&before), &same, false), "unchanged");
        assert_eq!(word(Some(&before), &other, true), "would be configured");
        assert_eq!(word(None, &other, false), "created");
    }
}
