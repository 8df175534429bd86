//! The pages about the cluster's flow export, `/api/v1/exports…`: how it is asked for and goes,
//! what was changed, and what a change would do. What is said is `weir_exports`'; what was
//! received of a node is added here.
//!
//! ```text
//! who asks -> which of the objects Kubernetes lets them read -> those, as they are now -> words
//! ```
//!
//! What somebody may not read is not read for them; it is left out, and named.

mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_api::collector::ServiceRef;
use weir_api::plan::named_services;
use weir_api::{ExportProfile, ExportRollout, NodeFlowExport};
use weir_exports::{
    Asked, ExportChange, NodeExport, Prepared, Present, RolloutState, Source, SourceKind, SourceState,
    history, preparation,
};

use super::nodes::{NodeAnswer, NodesAnswer, ReceptionAnswer};
use super::params::{NoParams, Params, PlanParams};
use super::problem::Problem;
use super::reply::Refusal;
use super::reviews::Readable;
use super::{Api, Caller, Who, asker};
use crate::exports::{ExportObjects, LabelledNode, Part};
use told::{Missing, Told, no_plan};

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
    let reader = api.export_objects()?;
    let (source, rollout, profiles, (exports, names)) = futures::try_join!(
        api.source(&who, reader),
        api.told(&who, Readable::Rollout, reader.rollout()),
        api.told(&who, Readable::Profiles, reader.profiles()),
        api.exports_and_names(&who, reader),
    )?;
    let mut missing = Missing::default();
    let source = missing.of_source(source);
    let rollout = missing.of(rollout);
    let rollout = rollout.as_deref().and_then(Option::as_ref);
    let profiles = missing.of(profiles);
    let profiles = profiles.iter().flat_map(|profiles| profiles.iter());
    let profiles = profiles
        .filter_map(|profile| profile.metadata.name.clone())
        .collect();
    let exports = missing.of(exports);
    let names = names.and_then(|names| missing.of(names));
    let nodes = match exports {
        Some(exports) => Some(api.rows(&who, exports, names).await?),
        None => None,
    };
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
    let reader = api.export_objects()?;
    let (source, rollout, kept) = futures::try_join!(
        api.source(&who, reader),
        api.told(&who, Readable::Rollout, reader.rollout()),
        api.told(&who, Readable::Revisions, reader.revisions()),
    )?;
    let mut missing = Missing::default();
    let source = missing.of_source(source);
    let rollout = missing.of(rollout);
    let rollout = rollout.as_deref().and_then(Option::as_ref);
    let status = rollout.and_then(|rollout| rollout.status.clone());
    let status = status.unwrap_or_default();
    let kept = missing.of(kept);
    let kept = kept.as_ref().map_or(&[][..], |kept| kept.as_slice());
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
    let reader = api.export_objects()?;
    let objects = api.planned_from(&who, reader).await?;
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

/// What a plan is made from.
struct Objects {
    source: Arc<Option<Source>>,
    exports: Arc<Vec<NodeFlowExport>>,
    profiles: Arc<Vec<ExportProfile>>,
    nodes: Arc<Vec<LabelledNode>>,
    rollout: Arc<Option<ExportRollout>>,
}

type Services<'a> = &'a dyn Fn(&ServiceRef) -> Result<std::net::IpAddr, String>;

fn prepare(
    objects: &Objects,
    asked: &Asked,
    services: Services<'_>,
) -> Result<Prepared, preparation::NotPrepared> {
    let source = objects.source.as_ref().as_ref();
    let rollout = objects.rollout.as_ref().as_ref();
    let present = Present {
        source: source.map(|source| source.kind),
        flows: source.and_then(|source| source.flows.as_ref()),
        profiles: &objects.profiles,
        nodes: &objects.nodes,
        exports: &objects.exports,
        rollout: rollout.map(|rollout| &rollout.spec),
    };
    preparation::prepare(&present, asked, services)
}

/// All nodes with what was received of each.
fn rows(exports: &[NodeFlowExport], names: &[String], received: NodesAnswer) -> Vec<NodeExportAnswer> {
    let without = names.iter().cloned().map(NodeExport::without);
    let exports = exports.iter().cloned().map(NodeExport::of);
    let all: BTreeMap<String, NodeExport> = without
        .chain(exports)
        .map(|export| (export.node.clone(), export))
        .collect();
    let received = received.nodes.into_iter();
    let mut received: BTreeMap<String, NodeAnswer> = received.map(|node| (node.node.clone(), node)).collect();
    let row = |export: NodeExport| {
        let came = received.remove(&export.node);
        NodeExportAnswer {
            unproven: came.as_ref().and_then(|came| came.unproven),
            received: came.map_or_else(Vec::new, |came| came.formats),
            export,
        }
    };
    all.into_values().map(row).collect()
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

    /// One kind of objects, which is read for who may read it alone.
    async fn told<T>(
        &self,
        who: &Who,
        what: Readable,
        read: impl Future<Output = Part<Arc<T>>>,
    ) -> Result<Told<T>, Problem> {
        match self.gate.may_read(who, what.clone()).await? {
            true => Ok(Told::of(&what, read.await)),
            false => Ok(Told::Hidden(what.to_string())),
        }
    }

    /// The source that counts, if it may be told. Which one that is takes both to know: they are
    /// read for who may read either.
    async fn source(&self, who: &Who, reader: &ExportObjects) -> Result<Told<Option<Source>>, Problem> {
        let network = Readable::Source(SourceKind::Network);
        let flow_export = Readable::Source(SourceKind::FlowExport);
        let may_network = self.gate.may_read(who, network.clone()).await?;
        let may_flow_export = self.gate.may_read(who, flow_export.clone()).await?;
        if !may_network && !may_flow_export {
            return Ok(Told::Hidden(format!(
                "{network}, or {} where that is what counts",
                flow_export.name()
            )));
        }
        let source = reader.source().await;
        let known = source.as_ref().ok().and_then(|source| source.as_ref().as_ref());
        let (may, what) = match known.map(|source| source.kind) {
            Some(SourceKind::FlowExport) => (may_flow_export, flow_export),
            Some(SourceKind::Network) | None => (may_network, network),
        };
        Ok(match may {
            true => Told::of(&what, source),
            false => Told::Hidden(what.to_string()),
        })
    }

    /// What nodes are told and report, and to whom that may be told the names of all nodes, since
    /// one may have no `NodeFlowExport`.
    async fn exports_and_names(
        &self,
        who: &Who,
        reader: &ExportObjects,
    ) -> Result<(Told<Vec<NodeFlowExport>>, Option<Told<Vec<String>>>), Problem> {
        let exports = self.told(who, Readable::NodeExports, reader.exports()).await?;
        if matches!(exports, Told::Hidden(_)) {
            return Ok((exports, None));
        }
        let names = self.told(who, Readable::Nodes, reader.node_names()).await?;
        Ok((exports, Some(names)))
    }

    /// All nodes, when it is the asker's turn: there may be thousands.
    async fn rows(
        &self,
        who: &Who,
        exports: Arc<Vec<NodeFlowExport>>,
        names: Option<Arc<Vec<String>>>,
    ) -> Result<Vec<NodeExportAnswer>, Problem> {
        let received = NodesAnswer::of(self.metrics.exporters(), self.since, Timestamp::now());
        let work = async move {
            let names = names.unwrap_or_default();
            let all = move || Ok(rows(&exports, &names, received));
            weir_query::off_thread(all).await.map_err(Problem::from)
        };
        self.threads.run(&asker(who), work).await
    }

    /// All that a plan depends on. Nothing is read for who may not read all of it.
    async fn planned_from(&self, who: &Who, reader: &ExportObjects) -> Result<Objects, Problem> {
        for what in [
            Readable::NodeExports,
            Readable::Profiles,
            Readable::Nodes,
            Readable::Rollout,
        ] {
            if !self.gate.may_read(who, what.clone()).await? {
                return Err(no_plan(&what.to_string()));
            }
        }
        let source = self.source(who, reader).await?.needed()?;
        let (exports, profiles, nodes, rollout) = futures::join!(
            reader.exports(),
            reader.profiles(),
            reader.nodes(),
            reader.rollout(),
        );
        Ok(Objects {
            source,
            exports: Told::of(&Readable::NodeExports, exports).needed()?,
            profiles: Told::of(&Readable::Profiles, profiles).needed()?,
            nodes: Told::of(&Readable::Nodes, nodes).needed()?,
            rollout: Told::of(&Readable::Rollout, rollout).needed()?,
        })
    }

    /// The Services that a plan names and whose address its asker may know: those that are
    /// named already, since nodes are told their addresses, and those that they may get.
    async fn named(&self, who: &Who, asked: &Asked, objects: &Objects) -> Result<Vec<ServiceRef>, Problem> {
        let source = objects.source.as_ref().as_ref();
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
