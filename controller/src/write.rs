//! Carries one write out against the API server. What to write and when is
//! decided elsewhere.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ObjectMeta, Status};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, ResourceExt};
use thiserror::Error;
use tokio::time::timeout;
use weir_api::network::CLUSTER;
use weir_api::{
    Condition, ExportProfile, ExportProfileStatus, ExportRollout, ExportRolloutStatus, FlowExport, Network,
    NodeFlowExport,
};
use weir_process::kubernetes::describe;

use crate::decide::DesiredExport;
use crate::notice::Notice;
use crate::object::{self, FIELD_MANAGER};
use crate::source::FlowSource;
use crate::write_queue::Write;

/// Why a write failed. All of these are worth another attempt.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The API server refused it or cannot be reached.
    #[error("{}", describe(.0))]
    Api(#[from] kube::Error),
    /// There was no answer.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The object did not take the spec on, although the API server agreed.
    #[error("somebody else's fields stay in the spec")]
    NotTaken,
}

impl WriteError {
    /// A word for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Api(_) => "refused",
            Self::Timeout(_) => "timeout",
            Self::NotTaken => "not_taken",
        }
    }
}

/// The resources that the controller writes.
#[derive(Clone)]
pub struct ApiWriter {
    exports: Api<NodeFlowExport>,
    profiles: Api<ExportProfile>,
    source: FlowSource,
    networks: Api<Network>,
    flow_exports: Api<FlowExport>,
    rollouts: Api<ExportRollout>,
    revisions: Api<ControllerRevision>,
    events: Recorder,
    patience: Duration,
}

/// An object as it is after a write.
pub enum Written {
    /// A node's.
    Export(NodeFlowExport),
    /// The `ExportRollout`.
    Rollout(ExportRollout),
    /// A revision that is kept.
    Revision(ControllerRevision),
}

impl ApiWriter {
    /// `namespace` is that of revisions, `patience` bounds each write.
    pub fn new(client: &Client, source: FlowSource, namespace: &str, patience: Duration) -> Self {
        Self {
            exports: Api::all(client.clone()),
            profiles: Api::all(client.clone()),
            source,
            networks: Api::all(client.clone()),
            flow_exports: Api::all(client.clone()),
            rollouts: Api::all(client.clone()),
            revisions: Api::namespaced(client.clone(), namespace),
            events: Recorder::new(client.clone(), FIELD_MANAGER.into()),
            patience,
        }
    }

    /// Carries a write out. What the next decision rests on comes back as it is now.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing or all of the write has taken place.
    pub async fn carry_out(&self, write: &Write) -> Result<Option<Written>, WriteError> {
        let answer = async {
            match write {
                Write::Apply(node, wanted) => {
                    let export = self.apply(node, wanted).await;
                    export.map(Written::Export).map(Some)
                }
                Write::Rollout(write) => Ok(self.roll(&write.0, &write.1).await?.map(Written::Rollout)),
                Write::Keep { hash, number, data } => {
                    let params = PatchParams::apply(FIELD_MANAGER).force();
                    let object = object::kept_revision(hash, *number, data);
                    let name = object.name_any();
                    let kept = self
                        .revisions
                        .patch(&name, &params, &Patch::Apply(&object))
                        .await?;
                    Ok(Some(Written::Revision(kept)))
                }
                Write::Complete(name, since) => {
                    // A patch, so that a later apply of the same revision leaves it.
                    let patch = Patch::Merge(object::completed_revision(since));
                    let params = PatchParams::default();
                    match self.revisions.patch_metadata(name, &params, &patch).await {
                        Ok(_) => Ok(None),
                        Err(kube::Error::Api(status)) if is_gone(&status) => Ok(None),
                        Err(error) => Err(error.into()),
                    }
                }
                Write::Forget(name) => self.forget(name).await.map(|()| None),
                Write::Delete(name, uid) => self.delete(name, uid).await.map(|()| None),
                Write::Report { conditions, .. } => self.report(self.source, conditions).await.map(|()| None),
                Write::ReportOther(conditions) => {
                    self.report(self.source.other(), conditions).await.map(|()| None)
                }
                Write::Tell(notice) => {
                    self.tell(None, std::slice::from_ref(notice)).await;
                    Ok(None)
                }
                Write::Assess(name, status) => self.assess(name, status).await.map(|()| None),
            }
        };
        let answer = timeout(self.patience, answer)
            .await
            .unwrap_or(Err(WriteError::Timeout(self.patience)));
        if let (Write::Report { uid, notices, .. }, Ok(_)) = (write, &answer) {
            self.tell(uid.clone(), notices).await;
        }
        answer
    }

    async fn roll(
        &self,
        seen: &ObjectMeta,
        status: &ExportRolloutStatus,
    ) -> Result<Option<ExportRollout>, WriteError> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object::rollout_status(seen, status));
        match self.rollouts.patch_status(CLUSTER, &params, &patch).await {
            Ok(rollout) => Ok(Some(rollout)),
            // Gone, or another by now: what is to stand there is decided anew.
            Err(kube::Error::Api(status)) if is_gone(&status) => Ok(None),
            // It cannot be read, but its status stands there; the watch will show it.
            Err(kube::Error::SerdeError(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn forget(&self, revision: &str) -> Result<(), WriteError> {
        match self.revisions.delete(revision, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if is_gone(&status) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Events are a courtesy: what was not told stands in the conditions.
    async fn tell(&self, uid: Option<String>, notices: &[Notice]) {
        let source = object::source_reference(self.source, uid);
        for notice in notices {
            let event = Event {
                type_: if notice.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: notice.reason.clone(),
                note: Some(notice.note.clone()),
                action: notice.action.clone(),
                secondary: None,
            };
            match timeout(self.patience, self.events.publish(&event, &source)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(error = describe(&error), "an event was not taken")
                }
                Err(_) => tracing::debug!("an event was not taken: no answer in time"),
            }
        }
    }

    async fn apply(&self, node: &str, wanted: &DesiredExport) -> Result<NodeFlowExport, WriteError> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let export = object::export(node, wanted);
        let answer = self.exports.patch(node, &params, &Patch::Apply(&export)).await?;
        if wanted.is_met_by(&answer) {
            return Ok(answer);
        }
        self.take_over(answer, wanted).await
    }

    /// Server-side apply leaves fields alone that somebody else added; the spec
    /// has one writer, so they go.
    async fn take_over(
        &self,
        mut export: NodeFlowExport,
        wanted: &DesiredExport,
    ) -> Result<NodeFlowExport, WriteError> {
        export.spec = wanted.spec.clone();
        export.metadata.managed_fields = None;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..Default::default()
        };
        let answer = self.exports.replace(&export.name_any(), &params, &export).await?;
        wanted
            .is_met_by(&answer)
            .then_some(answer)
            .ok_or(WriteError::NotTaken)
    }

    async fn delete(&self, name: &str, uid: &str) -> Result<(), WriteError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        match self.exports.delete(name, &params).await {
            Ok(_) => Ok(()),
            // Gone already, or another object of that name by now.
            Err(kube::Error::Api(status)) if is_gone(&status) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Of a source that does not count stands there what is of a time when it did, or
    /// that it does not.
    async fn report(&self, source: FlowSource, conditions: &[Condition]) -> Result<(), WriteError> {
        match self.patch_source(source, conditions).await {
            Ok(()) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if lacks_generation(&status) => {
                Ok(self.patch_source(source, &without_generation(conditions)).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn patch_source(&self, source: FlowSource, conditions: &[Condition]) -> Result<(), kube::Error> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object::source_status(source, conditions));
        let answer = match source {
            FlowSource::Network => self
                .networks
                .patch_status(CLUSTER, &params, &patch)
                .await
                .map(drop),
            FlowSource::FlowExport => self
                .flow_exports
                .patch_status(CLUSTER, &params, &patch)
                .await
                .map(drop),
        };
        match answer {
            // The source cannot be read, but its status stands there.
            Err(kube::Error::SerdeError(_)) => Ok(()),
            answer => answer,
        }
    }

    async fn assess(&self, name: &str, status: &ExportProfileStatus) -> Result<(), WriteError> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object::profile_status(name, status));
        match self.profiles.patch_status(name, &params, &patch).await {
            Ok(_) => Ok(()),
            // Gone, or a definition of an earlier version, which has no status.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            // The profile cannot be read, but its status stands there.
            Err(kube::Error::SerdeError(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// OpenShift's own definition of the Network gives conditions no
/// observedGeneration, and server-side apply refuses what is not declared.
fn lacks_generation(status: &Status) -> bool {
    status
        .message
        .contains("observedGeneration: field not declared in schema")
}

fn without_generation(conditions: &[Condition]) -> Vec<Condition> {
    let strip = |condition: &Condition| Condition {
        observed_generation: None,
        ..condition.clone()
    };
    conditions.iter().map(strip).collect()
}

fn is_gone(status: &Status) -> bool {
    status.code == 404 || status.code == 409
}

#[cfg(test)]
mod tests;
