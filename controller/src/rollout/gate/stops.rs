//! What ends a rollout or makes it wait for a person, and how it goes on then.

use weir_api::rollout::{Abort, OnAbort};
use weir_api::{ExportRolloutStatus, RolloutPhase};

use crate::rollout::request::{Gate, History, NodeView, Position, Release, Request};
use crate::rollout::verdict::{self, Verdict};

/// Characters of the object's uid that tell it from another one of its name.
const UID_LENGTH: usize = 8;

impl Request<'_> {
    /// A state that a person ends.
    pub(super) fn stop(&self, phase: RolloutPhase) -> ExportRolloutStatus {
        let stops = self.state.stops.saturating_add(1);
        let uid: String = self.uid.chars().take(UID_LENGTH).collect();
        ExportRolloutStatus {
            stops,
            // An object that was made again begins to count anew, and may bring along what
            // was agreed to by the one before.
            awaiting: Some(format!("{}-{uid}-{stops}", self.revision)),
            ..self.enter(phase)
        }
    }

    /// Waits for a person.
    pub(super) fn wait(&self, release: Release) -> Gate {
        let state = self.state;
        let approved = state.awaiting.is_some() && state.awaiting == self.policy.approved;
        let verdict = match state.phase {
            RolloutPhase::Paused => Verdict::Paused,
            RolloutPhase::RolledBack => Verdict::RolledBack,
            _ => Verdict::AwaitingApproval,
        };
        if !approved {
            return self.says(release, state.clone(), verdict);
        }
        let released = self.counted(Position::Released).count();
        let next = match state.phase {
            RolloutPhase::Paused => self.enter(RolloutPhase::Releasing),
            RolloutPhase::RolledBack => self.first_step(),
            _ => self.next_step(released),
        };
        let next = ExportRolloutStatus { abort: None, ..next };
        self.says(release, next, Verdict::Settling)
    }

    /// Ends the rollout, where nodes do not take it well.
    pub(super) fn abort(&self) -> Option<Gate> {
        let released: Vec<&NodeView> = self.counted(Position::Released).collect();
        let (reason, mut message) = verdict::objection(&self.policy.abort, &released)?;
        let rolled_back = self.policy.on_abort == OnAbort::Rollback && self.has_baseline;
        if self.policy.on_abort == OnAbort::Rollback && self.history == History::Unknown {
            // What could be returned to is not listed yet.
            return Some(self.stays(Verdict::HistoryUnknown));
        }
        if self.policy.on_abort == OnAbort::Rollback && !rolled_back {
            message.push_str("; no revision was completed before that could be returned to");
        }
        let phase = match rolled_back {
            true => RolloutPhase::RolledBack,
            false => RolloutPhase::Paused,
        };
        let abort = Abort {
            revision: self.revision.to_owned(),
            reason: reason.to_owned(),
            message,
            rolled_back,
        };
        let state = ExportRolloutStatus {
            abort: Some(abort),
            ..self.stop(phase)
        };
        let verdict = match rolled_back {
            true => Verdict::RolledBack,
            false => Verdict::Paused,
        };
        // It is stored first: whoever leads next is to know why nodes return.
        Some(self.says(Release::These(self.have_it()), state, verdict))
    }
}
