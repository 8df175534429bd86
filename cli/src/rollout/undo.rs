//! `weir rollout undo`: asks for what an earlier revision asked for. The objects that say
//! what is wanted are written, as whoever asked first would, so that they stay true.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use kube::Client;
use serde_json::{Value, json};
use weir_api::{ExportRolloutStatus, Protocol, RevisionData};
use weir_exports::Kept;

use super::history;
use super::{INSTEAD, read};
use crate::cluster::ClusterArgs;
use crate::dynamic::{self, Kind};
use crate::platform::describe;
use crate::terminal::{report, say};
use crate::uninstall::Sources;

const PROFILES: Kind = Kind {
    api_version: "weir.dev/v1alpha1",
    kind: "ExportProfile",
};

#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The number of the revision, as `weir rollout history` shows it
    #[arg(long, value_name = "NUMBER")]
    to: Option<i64>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Returns to an earlier revision.
///
/// # Errors
/// There is none, or it cannot be asked for.
pub async fn run(args: UndoArgs) -> Result<ExitCode> {
    let client = args.cluster.announced(INSTEAD).await?;
    let status = read(&client).await?.status.unwrap_or_default();
    let kept = history::kept(&client).await?;
    let earlier = choose(&kept, &status, args.to)?;
    let source = Sources::of(&client).await?.read;
    let found = dynamic::read(&client, &source).await?;
    let Some(found) = found else {
        bail!("there is no {}: make an empty one first", describe(&source));
    };
    let profiles = dynamic::list(&client, PROFILES, None).await?;
    let changes = changes(&earlier.data, &found, profiles);
    report(&format!(
        "revision {} ({}): {}",
        earlier.number,
        earlier.revision,
        earlier.asks()
    ));
    if changes.is_empty() {
        say("weir: that is what is asked for already");
        return Ok(ExitCode::SUCCESS);
    }
    // Settings first: collectors are not to be met by settings that are to go.
    for change in &changes {
        if !args.dry_run {
            change
                .carry_out(&client)
                .await
                .with_context(|| change.describe())?;
        }
        let would = if args.dry_run { "would be " } else { "" };
        report(&format!("{} {would}{}", describe(change.object()), change.verb()));
    }
    if earlier.data.flows_config.is_some() {
        say(
            "note: the ConfigMap openshift-network-operator/ovs-flows-config is not Weir's, and stays as it is",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The one that is asked for, or the last that all nodes had and do not have now. What they
/// never had all, such as what stood while several objects were written, takes a number.
fn choose<'a>(kept: &'a [Kept], status: &ExportRolloutStatus, to: Option<i64>) -> Result<&'a Kept> {
    let by_hash = |hash: Option<&String>| kept.iter().find(|kept| Some(&kept.revision) == hash);
    let chosen = match to {
        Some(number) => kept.iter().find(|kept| kept.number == number),
        None if status.revision != status.completed_revision => by_hash(status.completed_revision.as_ref()),
        None => {
            let current = by_hash(status.revision.as_ref()).map_or(i64::MAX, |kept| kept.number);
            kept.iter()
                .filter(|kept| kept.number < current && kept.completed.is_some())
                .max_by_key(|kept| kept.number)
        }
    };
    match (chosen, to) {
        (Some(kept), _) => Ok(kept),
        (None, Some(number)) => bail!("no revision has the number {number}: see weir rollout history"),
        (None, None) => bail!(
            "no earlier revision is kept that all nodes had: choose one by --to (see weir rollout history)"
        ),
    }
}

/// Something to be written.
#[derive(Debug, PartialEq)]
enum Change {
    Make(Value),
    Replace(Value),
    Delete(Value),
    /// A merge patch.
    Patch(Value, Value),
}

impl Change {
    const fn object(&self) -> &Value {
        match self {
            Self::Make(object) | Self::Replace(object) | Self::Delete(object) | Self::Patch(object, _) => {
                object
            }
        }
    }

    const fn verb(&self) -> &'static str {
        match self {
            Self::Make(_) => "made",
            Self::Replace(_) | Self::Patch(..) => "changed",
            Self::Delete(_) => "deleted",
        }
    }

    fn describe(&self) -> String {
        format!("cannot write {}", describe(self.object()))
    }

    async fn carry_out(&self, client: &Client) -> Result<()> {
        match self {
            Self::Make(object) => dynamic::create(client, object).await,
            Self::Replace(object) => dynamic::replace(client, object).await,
            Self::Delete(object) => dynamic::delete(client, object).await.map(drop),
            Self::Patch(object, patch) => dynamic::merge(client, object, patch).await,
        }
    }
}

/// What makes the present what the revision asked for.
fn changes(earlier: &RevisionData, source: &Value, present: Vec<Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut missing = earlier.profiles.clone();
    for mut object in present {
        // Items of a list do not say their kind.
        object["apiVersion"] = json!(PROFILES.api_version);
        object["kind"] = json!(PROFILES.kind);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match missing.remove(name) {
            None => changes.push(Change::Delete(object)),
            Some(spec) => {
                let known = serde_json::from_value(object["spec"].clone()).ok();
                if known != Some(spec.clone()) {
                    object["spec"] = json!(spec);
                    changes.push(Change::Replace(object));
                }
            }
        }
    }
    let made = missing.into_iter().map(|(name, spec)| {
        Change::Make(json!({"apiVersion": PROFILES.api_version, "kind": PROFILES.kind,
            "metadata": {"name": name}, "spec": spec}))
    });
    changes.extend(made);
    let present = serde_json::from_value(source["spec"]["exportNetworkFlows"].clone())
        .ok()
        .flatten();
    if present != earlier.flows {
        let flows = earlier.flows.as_ref().map(|flows| {
            let of = |protocol: Protocol| match flows.entries(protocol) {
                [] => Value::Null,
                entries => json!({ "collectors": entries }),
            };
            let fields = Protocol::ALL.map(|protocol| (protocol.field().to_owned(), of(protocol)));
            Value::Object(fields.into_iter().collect())
        });
        let patch = json!({"spec": {"exportNetworkFlows": flows}});
        changes.push(Change::Patch(source.clone(), patch));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: i64, revision: &str) -> Kept {
        Kept {
            number,
            revision: revision.to_owned(),
            since: String::new(),
            completed: (number != 2).then(String::new),
            data: RevisionData::default(),
        }
    }

    fn status(revision: &str, completed: &str) -> ExportRolloutStatus {
        serde_json::from_value(json!({"revision": revision, "completedRevision": completed})).unwrap()
    }

    #[test]
    fn the_last_completed_revision_is_returned_to_or_the_one_before_it() {
        // All nodes never had the second.
        let all = [kept(4, "d"), kept(3, "c"), kept(2, "b"), kept(1, "a")];
        let number = |status: &ExportRolloutStatus, to| choose(&all, status, to).map(|kept| kept.number).ok();
        assert_eq!(number(&status("c", "a"), None), Some(1));
        assert_eq!(number(&status("d", "d"), None), Some(3));
        assert_eq!(number(&status("c", "c"), None), Some(1));
        assert_eq!(number(&status("c", "c"), Some(2)), Some(2));
        assert_eq!(number(&status("a", "a"), None), None);
        assert_eq!(number(&status("a", "a"), Some(3)), Some(3));
        assert_eq!(number(&status("a", "a"), Some(5)), None);
    }

    #[test]
    fn settings_are_written_before_collectors_and_what_was_not_there_goes() {
        let earlier: RevisionData = serde_json::from_value(json!({
            "flows": {"netFlow": {"collectors": ["192.0.2.1:1"]}},
            "profiles": {"same": {"netFlow": {"activeTimeout": 1}}, "tuned": {}, "gone": {}},
        }))
        .unwrap();
        let source = json!({"kind": "Network", "metadata": {"name": "cluster"},
            "spec": {"exportNetworkFlows": {"ipfix": {"collectors": ["192.0.2.2:2"]}}}});
        let profile = |name: &str, spec: Value| json!({"metadata": {"name": name}, "spec": spec});
        let present = vec![
            profile("new", json!({})),
            profile(
                "same",
                json!({"netFlow": {"activeTimeout": 1}, "conflictPolicy": "Refuse"}),
            ),
            profile("tuned", json!({"ipfix": {"sampling": 1}})),
        ];
        let changes = changes(&earlier, &source, present);
        let told: Vec<String> = changes
            .iter()
            .map(|change| format!("{} {}", describe(change.object()), change.verb()))
            .collect();
        assert_eq!(
            told,
            [
                "exportprofile/new deleted",
                "exportprofile/tuned changed",
                "exportprofile/gone made",
                "network/cluster changed"
            ]
        );
        let Some(Change::Patch(_, patch)) = changes.last() else {
            panic!("{changes:?}");
        };
        assert_eq!(
            patch["spec"]["exportNetworkFlows"],
            json!({"netFlow": {"collectors": ["192.0.2.1:1"]}, "sFlow": null, "ipfix": null})
        );
    }
}
