//! The pages about the cluster's flow export, `/api/v1/exports…`: how it is asked for and goes,
//! what was changed, and what a change would do. What is said is `weir_exports`'; what was
//! received of a node is added here.
//!
//! ```text
//! who asks -> which of the objects Kubernetes lets them read -> those, as they are now -> words
//! ```
//!
//! What somebody may not read is left out, and named.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::plan::named_services;
use weir_exports::{
    Asked, ExportChange, NodeExport, Prepared, Present, RolloutState, SourceKind, SourceState, history,
    preparation,
};

use super::nodes::{NodeAnswer, NodesAnswer, ReceptionAnswer};
use super::params::{NoParams, Params, PlanParams};
use super::problem::Problem;
use super::reply::Refusal;
use super::reviews::Readable;
use super::{Api, Caller, Who, asker};
use crate::exports::{ExportObjects, Objects, Part};

/// How the export of the cluster goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportsAnswer {
    /// The time here.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Since when datagrams are received and counted here.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Where flows are to go, and how that goes; left out where nothing says so, or it may not
    /// be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub source: Option<SourceState>,
    /// Where a change is on its way from node to node; left out without an `ExportRollout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rollout: Option<RolloutState>,
    /// All nodes, by name; left out where they may not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub nodes: Option<Vec<NodeExportAnswer>>,
    /// ExportProfiles by name; empty where there are none, or they may not be told.
    pub profiles: Vec<String>,
    /// What is not told, and which right that needs, a sentence each.
    pub hidden: Vec<String>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// A node, its export, and what was received of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeExportAnswer {
    /// What it is to export, and what its daemon says.
    #[serde(flatten)]
    pub export: NodeExport,
    /// What this collector received of it, by format.
    pub received: Vec<ReceptionAnswer>,
    /// When a datagram with its mark came last from an address that is not the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub unproven: Option<Timestamp>,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportChangesAnswer {
    /// Changes that are known, the newest first.
    pub changes: Vec<ExportChange>,
    /// What is not told, and which right that needs, a sentence each.
    pub hidden: Vec<String>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// What somebody is not told, and why.
#[derive(Default)]
struct Missing {
    hidden: Vec<String>,
    unread: Vec<String>,
}

impl Missing {
    /// A part, if it may be told and could be read.
    fn of<'a, T>(&mut self, may: bool, what: &Readable, part: &'a Part<T>) -> Option<&'a T> {
        if !may {
            self.hidden.push(what.to_string());
            return None;
        }
        if let Err(why) = part {
            self.unread.push(format!("{}: {why}", what.name()));
        }
        part.as_ref().ok()
    }
}

/// How the export of the cluster goes
///
/// Each part is for those whom Kubernetes lets read the objects that it is made of; the others are
/// told which right they lack.
#[utoipa::path(
    get,
    path = "/api/v1/exports",
    responses((status = 200, description = "The export", body = ExportsAnswer), Refusal),
)]
pub async fn exports(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<ExportsAnswer>, Problem> {
    let who = api.gate.identify(&caller).await?;
    let (objects, mut missing) = (api.export_objects()?.now().await, Missing::default());
    let source = api.source(&who, &objects, &mut missing).await?;
    let may = api.gate.may_read(&who, Readable::Rollout).await?;
    let rollout = missing
        .of(may, &Readable::Rollout, &objects.rollout)
        .cloned()
        .flatten();
    let may = api.gate.may_read(&who, Readable::Profiles).await?;
    let profiles = missing.of(may, &Readable::Profiles, &objects.profiles);
    let profiles = profiles.into_iter().flatten();
    let profiles = profiles
        .filter_map(|profile| profile.metadata.name.clone())
        .collect();
    let nodes = api.nodes_with_exports(&who, &objects, &mut missing).await?;
    Ok(Json(ExportsAnswer {
        time: Timestamp::now(),
        since: api.since,
        source: source.as_ref().map(SourceState::from),
        rollout: rollout.and_then(|rollout| rollout.status.as_ref().map(RolloutState::from)),
        nodes,
        profiles,
        hidden: missing.hidden,
        unread: missing.unread,
    }))
}

/// What was changed of the cluster's export, and when
#[utoipa::path(
    get,
    path = "/api/v1/exports/changes",
    responses((status = 200, description = "Changes", body = ExportChangesAnswer), Refusal),
)]
pub async fn export_changes(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<ExportChangesAnswer>, Problem> {
    let who = api.gate.identify(&caller).await?;
    let (objects, mut missing) = (api.export_objects()?.now().await, Missing::default());
    let source = api.source(&who, &objects, &mut missing).await?;
    let may = api.gate.may_read(&who, Readable::Rollout).await?;
    let rollout = missing
        .of(may, &Readable::Rollout, &objects.rollout)
        .cloned()
        .flatten();
    let status = rollout.and_then(|rollout| rollout.status).unwrap_or_default();
    let may = api.gate.may_read(&who, Readable::Revisions).await?;
    let kept = missing.of(may, &Readable::Revisions, &objects.revisions);
    let kept = kept.map(Vec::as_slice).unwrap_or_default();
    Ok(Json(ExportChangesAnswer {
        changes: history::all(kept, &status, source.and_then(|source| source.changed)),
        hidden: missing.hidden,
        unread: missing.unread,
    }))
}

/// What a change of the cluster's export would do
///
/// It is planned as the controller plans it. Nothing is written: the answer has the patch, and the
/// command that applies it.
#[utoipa::path(
    get,
    path = "/api/v1/exports/plan",
    params(PlanParams),
    responses((status = 200, description = "What it would do", body = Prepared), Refusal),
)]
pub async fn export_plan(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<PlanParams>,
) -> Result<Json<Prepared>, Problem> {
    let who = api.gate.identify(&caller).await?;
    let asked = params.into_asked().map_err(Problem::parameter)?;
    let reader = api.export_objects()?.clone();
    let (objects, mut missing) = (reader.now().await, Missing::default());
    api.source(&who, &objects, &mut missing).await?;
    for (what, unread) in [
        (Readable::NodeExports, objects.exports.as_ref().err()),
        (Readable::Profiles, objects.profiles.as_ref().err()),
        (Readable::Nodes, objects.nodes.as_ref().err()),
        (Readable::Rollout, objects.rollout.as_ref().err()),
    ] {
        let may = api.gate.may_read(&who, what.clone()).await?;
        missing.of(may, &what, &unread.cloned().map_or(Ok(()), Err));
    }
    if let Some(hidden) = missing.hidden.first() {
        return Err(Problem::forbidden(format!(
            "a change is planned from all that it depends on: {hidden}"
        )));
    }
    if let Some(unread) = missing.unread.first() {
        return Err(Problem::unavailable(format!(
            "a change cannot be planned now: {unread}"
        )));
    }
    let addresses = reader.addresses(api.named(&who, &asked, &objects).await?).await;
    let work = async move {
        let prepared = move || Ok(prepare(&objects, &asked, &|service| addresses.of(service)));
        weir_query::off_thread(prepared).await.map_err(Problem::from)
    };
    let prepared = api.threads.run(&asker(&who), work).await?;
    prepared
        .map(Json)
        .map_err(|error| Problem::parameter(error.to_string()))
}

type Services<'a> = &'a dyn Fn(&weir_api::collector::ServiceRef) -> Result<std::net::IpAddr, String>;

fn prepare(
    objects: &Objects,
    asked: &Asked,
    services: Services<'_>,
) -> Result<Prepared, preparation::NotPrepared> {
    let source = objects.source.as_ref().ok().and_then(Option::as_ref);
    let rollout = objects.rollout.as_ref().ok().and_then(Option::as_ref);
    let present = Present {
        source: source.map_or(SourceKind::Network, |source| source.kind),
        flows: source.and_then(|source| source.flows.as_ref()),
        profiles: objects.profiles.as_deref().unwrap_or_default(),
        nodes: objects.nodes.as_deref().unwrap_or_default(),
        exports: objects.exports.as_deref().unwrap_or_default(),
        rollout: rollout.map(|rollout| &rollout.spec),
    };
    preparation::prepare(&present, asked, services)
}

impl Api {
    /// What reads the objects, where there is a cluster.
    fn export_objects(&self) -> Result<&ExportObjects, Problem> {
        self.export_objects.as_ref().ok_or_else(|| {
            Problem::no_cluster(
                "this collector takes no names from Kubernetes (--kube), so nothing here says how export is asked for; \
                 on a host without Kubernetes ask weir status --network FILE, or --data-dir DIR of weir up",
            )
        })
    }

    /// The source that counts, if it may be told.
    async fn source(
        &self,
        who: &Who,
        objects: &Objects,
        missing: &mut Missing,
    ) -> Result<Option<weir_exports::Source>, Problem> {
        let known = objects.source.as_ref().ok().and_then(Option::as_ref);
        let what = Readable::Source(known.map_or(SourceKind::Network, |source| source.kind));
        let may = self.gate.may_read(who, what.clone()).await?;
        let source = missing.of(may, &what, &objects.source).cloned().flatten();
        if may && objects.source.as_ref().is_ok_and(Option::is_none) {
            missing.unread.push(
                "there is neither a Network nor a FlowExport named cluster: nobody says what to export"
                    .to_owned(),
            );
        }
        Ok(source)
    }

    /// All nodes with what was received of each, if they may be told. Those for which there is no
    /// `NodeFlowExport` are told to whoever may list nodes.
    async fn nodes_with_exports(
        &self,
        who: &Who,
        objects: &Objects,
        missing: &mut Missing,
    ) -> Result<Option<Vec<NodeExportAnswer>>, Problem> {
        let may = self.gate.may_read(who, Readable::NodeExports).await?;
        let Some(exports) = missing.of(may, &Readable::NodeExports, &objects.exports) else {
            return Ok(None);
        };
        let mut all: BTreeMap<String, NodeExport> = BTreeMap::new();
        let may = self.gate.may_read(who, Readable::Nodes).await?;
        for (facts, _) in missing
            .of(may, &Readable::Nodes, &objects.nodes)
            .into_iter()
            .flatten()
        {
            all.insert(facts.name.clone(), NodeExport::without(facts.name.clone()));
        }
        for export in exports {
            let export = NodeExport::of(export.clone());
            all.insert(export.node.clone(), export);
        }
        let received = NodesAnswer::of(self.metrics.exporters(), self.since, Timestamp::now());
        let mut received: BTreeMap<String, NodeAnswer> = received
            .nodes
            .into_iter()
            .map(|node| (node.node.clone(), node))
            .collect();
        let nodes = all.into_values().map(|export| {
            let came = received.remove(&export.node);
            NodeExportAnswer {
                unproven: came.as_ref().and_then(|came| came.unproven),
                received: came.map_or_else(Vec::new, |came| came.formats),
                export,
            }
        });
        Ok(Some(nodes.collect()))
    }

    /// The Services that a plan names and whose address its asker may know: those that are
    /// named already, since nodes are told their addresses, and those that they may get.
    async fn named(
        &self,
        who: &Who,
        asked: &Asked,
        objects: &Objects,
    ) -> Result<Vec<weir_api::collector::ServiceRef>, Problem> {
        let source = objects.source.as_ref().ok().and_then(Option::as_ref);
        let present = source.and_then(|source| source.flows.as_ref());
        let present = present
            .map(|flows| named_services(flows, None))
            .unwrap_or_default();
        let mut named = Vec::new();
        for service in named_services(&asked.flows(None).unwrap_or_default(), None) {
            let what = Readable::Services(service.namespace.clone());
            if !present.contains(&service) && self.gate.may_read(who, what).await? {
                named.push(service);
            }
        }
        named.extend(present);
        Ok(named)
    }
}
