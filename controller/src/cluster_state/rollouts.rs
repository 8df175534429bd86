//! The `ExportRollout` and the revisions that are kept.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;
use kube::runtime::watcher::Event;
use serde::Deserialize;
use weir_api::network::CLUSTER;
use weir_api::rollout::{COMPLETED_ANNOTATION, REVISION_LABEL};
use weir_api::{ExportRollout, ExportRolloutStatus, RevisionData};

use super::ClusterState;
use crate::guarded::Guarded;
use crate::table::{ObjectChange, key_of};
use crate::weigh::{weigh_plan, weigh_rollout};

/// A revision as a `ControllerRevision` has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptRevision {
    /// The object's name.
    pub name: String,
    /// The revision's hash; empty, where its data cannot be read.
    pub hash: String,
    /// Its number: the highest was used last.
    pub number: i64,
    /// All nodes had it once.
    pub completed: bool,
    /// What it is made of.
    pub data: RevisionData,
}

impl ClusterState {
    pub(super) fn apply_rollout(&mut self, event: Event<Guarded<ExportRollout>>) -> ObjectChange {
        match event {
            // The watch lags behind the answers to our own writes.
            Event::Apply(object) if self.is_older(&object) => ObjectChange::Nothing,
            Event::Apply(object) => {
                let known = self.unknown_rollout.clone();
                let object = Event::Apply(self.readable(object));
                let change = self.rollouts.apply(object, strip, weigh_rollout);
                match known == self.unknown_rollout {
                    true => change,
                    false => ObjectChange::Plan,
                }
            }
            Event::InitApply(object) => {
                let object = Event::InitApply(self.readable(object));
                self.rollouts.apply(object, strip, weigh_rollout)
            }
            event => {
                if matches!(event, Event::Delete(_)) {
                    self.unknown_rollout = None;
                }
                self.rollouts.apply(event, strip, weigh_rollout)
            }
        }
    }

    /// Of one that this version cannot read the last readable spec counts, with the status
    /// as it stands there: windows and approval do not end because of it.
    fn readable(&mut self, object: Guarded<ExportRollout>) -> Guarded<ExportRollout> {
        let invalid = match object.0 {
            Ok(rollout) => {
                self.unknown_rollout = None;
                return Guarded(Ok(rollout));
            }
            Err(invalid) => invalid,
        };
        let same = |known: &&ExportRollout| known.metadata.uid == invalid.metadata.uid;
        let last = self.rollouts.named(CLUSTER).filter(same);
        let last = last.filter(|_| self.unknown_rollout.is_none());
        if self.unknown_rollout.as_ref() != Some(&invalid.why) {
            tracing::warn!(
                why = invalid.why,
                "the ExportRollout cannot be read; its last readable spec counts"
            );
        }
        let rollout = ExportRollout {
            spec: last.map(|last| last.spec.clone()).unwrap_or_default(),
            metadata: invalid.metadata,
            status: ExportRolloutStatus::deserialize(&invalid.status).ok(),
        };
        if last.is_none() {
            self.unknown_rollout = Some(invalid.why);
        }
        Guarded(Ok(rollout))
    }

    /// Why the `ExportRollout` cannot be read, where it never could be.
    pub fn unknown_rollout(&self) -> Option<&str> {
        self.rollout()?;
        self.unknown_rollout.as_deref()
    }

    fn is_older(&self, object: &Guarded<ExportRollout>) -> bool {
        let version = |version: Option<String>| version.and_then(|version| version.parse::<u64>().ok());
        let known = self
            .rollouts
            .named(CLUSTER)
            .filter(|known| known.uid() == object.uid());
        let known = known.and_then(|known| version(known.resource_version()));
        known
            .zip(version(object.resource_version()))
            .is_some_and(|(known, shown)| shown < known)
    }

    pub(super) fn apply_revision(&mut self, event: Event<Guarded<ControllerRevision>>) -> ObjectChange {
        self.revisions.apply(event, read_revision, weigh_plan)
    }

    /// How changes reach the nodes, where not all get them at once.
    pub fn rollout(&self) -> Option<&ExportRollout> {
        self.rollouts.named(CLUSTER)
    }

    /// Takes in the answer to a write.
    pub fn rolled(&mut self, answer: ExportRollout) {
        let same = self.rollout().is_some_and(|known| known.uid() == answer.uid());
        if same && !self.is_older(&Guarded(Ok(answer.clone()))) {
            self.rollouts.insert(key_of(&answer), strip(answer));
        }
    }

    /// The same of a revision.
    pub fn kept(&mut self, answer: ControllerRevision) {
        if self.revisions.synced() {
            self.revisions.insert(key_of(&answer), read_revision(answer));
        }
    }

    /// The revisions that are kept; `None`: nobody knows.
    pub fn revisions(&self) -> Option<Vec<&KeptRevision>> {
        let rows = self.revisions.rows().filter(|revision| !revision.hash.is_empty());
        self.revisions.synced().then(|| rows.collect())
    }

    /// The last revision that all nodes had, where it is kept.
    pub fn completed_revision(&self) -> Option<&RevisionData> {
        let status = self.rollout()?.status.as_ref()?;
        let hash = status.completed_revision.as_ref()?;
        let revision = self.revisions.rows().find(|revision| revision.hash == *hash);
        revision.map(|revision| &revision.data)
    }
}

fn strip(mut rollout: ExportRollout) -> ExportRollout {
    rollout.metadata.managed_fields = None;
    rollout
}

fn read_revision(object: ControllerRevision) -> KeptRevision {
    let data = object
        .data
        .as_ref()
        .map(|data| RevisionData::deserialize(&data.0));
    let hash = object.labels().get(REVISION_LABEL).cloned().unwrap_or_default();
    let (hash, data) = match data {
        Some(Ok(data)) => (hash, data),
        _ => Default::default(),
    };
    KeptRevision {
        name: object.name_any(),
        hash,
        number: object.revision,
        completed: object.annotations().contains_key(COMPLETED_ANNOTATION),
        data,
    }
}
