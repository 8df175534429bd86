//! Carries one write out against the API server. What to write and when is
//! decided elsewhere.

use std::time::Duration;

use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Client, ResourceExt};
use thiserror::Error;
use tokio::time::timeout;
use weir_api::network::CLUSTER;
use weir_api::{Condition, Network, NodeFlowExport};

use crate::decide::Wanted;
use crate::describe;
use crate::object::{self, FIELD_MANAGER};
use crate::outbox::Write;

/// Why a write failed. All of these are worth another attempt.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The API server refused it or cannot be reached.
    #[error("{}", describe::request(.0))]
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
pub struct Desk {
    exports: Api<NodeFlowExport>,
    networks: Api<Network>,
    patience: Duration,
}

impl Desk {
    /// `patience` bounds each write.
    pub fn new(client: &Client, patience: Duration) -> Self {
        Self {
            exports: Api::all(client.clone()),
            networks: Api::all(client.clone()),
            patience,
        }
    }

    /// Carries a write out. A `NodeFlowExport` that was applied comes back as
    /// it is now.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing or all of the write has taken place.
    pub async fn carry_out(&self, write: &Write) -> Result<Option<NodeFlowExport>, WriteError> {
        let answer = async {
            match write {
                Write::Apply(node, wanted) => self.apply(node, wanted).await.map(Some),
                Write::Delete(name, uid) => self.delete(name, uid).await.map(|()| None),
                Write::Report(conditions) => self.report(conditions).await.map(|()| None),
            }
        };
        timeout(self.patience, answer)
            .await
            .unwrap_or(Err(WriteError::Timeout(self.patience)))
    }

    async fn apply(&self, node: &str, wanted: &Wanted) -> Result<NodeFlowExport, WriteError> {
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
        wanted: &Wanted,
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

    async fn report(&self, conditions: &[Condition]) -> Result<(), WriteError> {
        match self.patch_network(conditions).await {
            Ok(()) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if lacks_generation(&status) => {
                Ok(self.patch_network(&without_generation(conditions)).await?)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn patch_network(&self, conditions: &[Condition]) -> Result<(), kube::Error> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(object::network_status(conditions));
        self.networks.patch_status(CLUSTER, &params, &patch).await?;
        Ok(())
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
