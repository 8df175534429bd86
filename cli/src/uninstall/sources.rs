//! What asks for export: the object that the controller reads is told to ask for nothing,
//! and the other, which somebody else may read, is left alone.

use anyhow::{Context, Result};
use kube::Client;
use serde_json::{Value, json};

use super::rows::{NODE_EXPORTS, has_targets};
use crate::dynamic;
use crate::platform::{NETWORK_DEFINITION, Platform, describe, reads_own};
use crate::terminal::report;

/// The object that the controller reads, and the one that it does not.
#[derive(Debug)]
pub struct Sources {
    /// Whose `spec.exportNetworkFlows` counts.
    pub read: Value,
    other: Value,
}

/// What was done to the source.
#[derive(Debug, Default)]
pub struct TurnedOff {
    /// The command that has it ask for the same again.
    pub restore: Option<String>,
    /// It was not there, and an empty one was made.
    pub made: bool,
}

impl Sources {
    /// As the controller's arguments say; without a controller, as it would be installed.
    ///
    /// # Errors
    /// That cannot be read.
    pub async fn of(client: &Client) -> Result<Self> {
        let controller = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "weir-controller", "namespace": "weir-system"}});
        let controller = dynamic::read(client, &controller).await;
        let own = match controller.context("cannot tell what the controller reads")? {
            Some(controller) => reads_own(&controller),
            None => {
                let platform = Platform::of(&dynamic::groups(client).await?);
                platform.is_some_and(|(platform, _)| platform == Platform::Openshift)
            }
        };
        Ok(Self::new(own))
    }

    fn new(own: bool) -> Self {
        let named = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "cluster"}});
        let network = named("operator.openshift.io/v1", "Network");
        let flow_export = named("weir.dev/v1alpha1", "FlowExport");
        match own {
            true => Self {
                read: flow_export,
                other: network,
            },
            false => Self {
                read: network,
                other: flow_export,
            },
        }
    }

    /// Tells the source to ask for nothing. Where it is gone and nodes were told to go on, it is
    /// made, empty: the controller takes what it says, and what is gone says nothing.
    /// `options` are those by which kubectl finds the cluster.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn turn_off(&self, client: &Client, dry_run: bool, options: &str) -> Result<TurnedOff> {
        self.leave_alone(client).await?;
        let name = describe(&self.read);
        let found = dynamic::read(client, &self.read).await;
        let Some(found) = found.with_context(|| format!("cannot read {name}"))? else {
            return self.make_empty(client, dry_run).await;
        };
        let wanted = &found["spec"]["exportNetworkFlows"];
        if wanted.is_null() {
            return Ok(TurnedOff::default());
        }
        report(&format!("{name} exports: {wanted}"));
        if dry_run {
            report(&format!("{name} would be told to export nothing"));
            return Ok(TurnedOff::default());
        }
        let nothing = json!({"spec": {"exportNetworkFlows": null}});
        let patched = dynamic::merge(client, &self.read, &nothing).await;
        patched.with_context(|| format!("cannot patch {name}"))?;
        report(&format!("{name} exports nothing any more"));
        Ok(TurnedOff {
            restore: Some(restore(&self.read, wanted, options)),
            made: false,
        })
    }

    async fn leave_alone(&self, client: &Client) -> Result<()> {
        let other = dynamic::read(client, &self.other).await.ok().flatten();
        let wanted = other.map(|other| other["spec"]["exportNetworkFlows"].clone());
        if wanted.is_some_and(|wanted| !wanted.is_null()) {
            let name = describe(&self.other);
            report(&format!("{name} left alone: the controller does not read it"));
        }
        Ok(())
    }

    async fn make_empty(&self, client: &Client, dry_run: bool) -> Result<TurnedOff> {
        let nodes = dynamic::list(client, NODE_EXPORTS, None).await?;
        if !nodes.iter().any(|node| has_targets(&node["spec"]["bridges"])) {
            return Ok(TurnedOff::default());
        }
        let name = describe(&self.read);
        report(&format!("{name} is gone, and nodes keep what it asked for last"));
        if dry_run {
            report(&format!("{name} would be made, empty, and removed afterwards"));
            return Ok(TurnedOff::default());
        }
        let mut empty = self.read.clone();
        empty["spec"] = json!({});
        let made = dynamic::create(client, &empty).await;
        made.with_context(|| format!("cannot make an empty {name}"))?;
        report(&format!(
            "{name} made, empty, until nodes have removed their rows"
        ));
        Ok(TurnedOff {
            restore: None,
            made: true,
        })
    }
}

/// The command that has an object ask for that again.
fn restore(source: &Value, wanted: &Value, options: &str) -> String {
    let resource = match source["kind"].as_str() {
        Some("FlowExport") => "flowexports.weir.dev",
        _ => NETWORK_DEFINITION,
    };
    let patch = json!({"spec": {"exportNetworkFlows": wanted}}).to_string();
    format!(
        "kubectl{options} patch {resource} cluster --type merge -p {}",
        quoted(&patch)
    )
}

/// One word of a shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_network_is_the_other_where_the_controller_reads_weirs_own() {
        let sources = Sources::new(true);
        assert_eq!(describe(&sources.read), "flowexport/cluster");
        assert_eq!(describe(&sources.other), "network/cluster");
        assert_eq!(describe(&Sources::new(false).read), "network/cluster");
    }

    #[test]
    fn what_was_asked_for_can_be_asked_for_again_from_a_shell() {
        let wanted = json!({"ipfix": {"collectors": ["it's:1"]}});
        assert_eq!(
            restore(&Sources::new(true).read, &wanted, " --context 'lab'"),
            r#"kubectl --context 'lab' patch flowexports.weir.dev cluster --type merge -p '{"spec":{"exportNetworkFlows":{"ipfix":{"collectors":["it'\''s:1"]}}}}'"#
        );
    }
}
