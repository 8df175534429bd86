//! The gate between plan and write: which nodes may have a revision now. Pure; the moment
//! is passed in.
//!
//! What is let through follows from the state as it is stored, and a step is stored before
//! any node of it is let through. So a leader that dies between two steps is followed by one
//! that goes on from there: what a node has says the node's object, what a step allows and
//! since when it is watched says the status of the `ExportRollout`.
//!
//! ```text
//!            begin              all have it            soak over: the next step, or
//! (another) ------> Releasing ------------> Soaking ----------------------------> Completed
//!                       |    <-----------------+  \
//!                       |      approved            AwaitingApproval
//!                       +--> Paused or RolledBack, when nodes do not take it well
//! ```

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::condition::Time;
use weir_api::rollout::Approval;
use weir_api::{ExportRolloutStatus, RolloutPhase};

use super::request::{Gate, Health, History, NodeView, Position, Release, Request};
use super::verdict::Verdict;
use super::window::{Opening, opening};
use crate::moment::{earlier, later};

/// How long a revision must be wanted before it is begun: one command may change several
/// objects, and what is between is not to be tried on a node.
pub const SETTLING: Duration = Duration::from_secs(1);
/// How often the cost is looked at: it changes without an event.
const LOOK: Duration = Duration::from_secs(5);
/// How often the calendar is held against the clock that nobody sets.
const CLOCK_LOOK: Duration = Duration::from_secs(30);
/// So far may they differ.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

mod stops;

/// Decides.
pub fn gate(request: &Request<'_>) -> Gate {
    let state = request.state;
    let mut gate = if state.completed_revision.as_deref() == Some(request.revision) {
        request.complete()
    } else if let Some(gate) = request.unreadable() {
        gate
    } else if state.revision.as_deref() != Some(request.revision) {
        request.begin()
    } else {
        match state.phase {
            RolloutPhase::Soaking => request.soak(),
            RolloutPhase::Releasing => request.release(),
            // Somebody meddled with it: from the beginning.
            RolloutPhase::Completed => request.begin(),
            RolloutPhase::AwaitingApproval | RolloutPhase::Paused => {
                request.wait(Release::These(request.have_it()))
            }
            RolloutPhase::RolledBack => request.wait(Release::Baseline),
        }
    };
    // What stood between two writes of one command is not kept.
    let settled = later(request.wanted_since, SETTLING);
    if matches!(request.history, History::Missing(_)) && request.unreadable.is_none() {
        gate.keep = request.now >= settled;
        if !gate.keep {
            gate.next_check = Some(gate.next_check.map_or(settled, |at| at.min(settled)));
        }
    }
    request.count(&mut gate.state);
    gate
}

impl Request<'_> {
    fn count(&self, state: &mut ExportRolloutStatus) {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let released = self.counted(Position::Released).count();
        state.released_nodes = number(released);
        state.total_nodes = number(released + self.counted(Position::Waiting).count());
        if state.phase == RolloutPhase::Completed {
            // All have it, whichever made it so.
            let all = self.nodes.iter().filter(|node| node.counts()).count();
            (state.released_nodes, state.total_nodes) = (number(all), number(all));
        }
    }

    fn says(&self, release: Release, state: ExportRolloutStatus, verdict: Verdict) -> Gate {
        Gate {
            release,
            state,
            verdict,
            keep: false,
            next_check: None,
        }
    }

    /// Without all that it follows from, nothing goes on, and what was ended stays ended.
    fn unreadable(&self) -> Option<Gate> {
        let verdict = Verdict::Unreadable(self.unreadable.clone()?);
        let is_this = self.state.revision.as_deref() == Some(self.revision);
        let release = match self.state.phase {
            RolloutPhase::RolledBack if is_this => Release::Baseline,
            _ if is_this => Release::These(self.have_it()),
            _ => Release::These(std::collections::BTreeSet::new()),
        };
        Some(self.says(release, self.state.clone(), verdict))
    }

    /// The nodes that have it keep it, the state stays.
    fn stays(&self, verdict: Verdict) -> Gate {
        self.says(Release::These(self.have_it()), self.state.clone(), verdict)
    }

    fn enter(&self, phase: RolloutPhase) -> ExportRolloutStatus {
        ExportRolloutStatus {
            phase,
            since: Some(Time(self.now)),
            awaiting: None,
            ..self.state.clone()
        }
    }

    /// To return to what all nodes had is no risk.
    fn complete(&self) -> Gate {
        let completed = self.state.phase == RolloutPhase::Completed
            && self.state.revision.as_deref() == Some(self.revision)
            && self.state.abort.is_none();
        let state = if completed {
            self.state.clone()
        } else {
            self.completed()
        };
        self.says(Release::All, state, Verdict::Completed)
    }

    fn completed(&self) -> ExportRolloutStatus {
        ExportRolloutStatus {
            revision: Some(self.revision.to_owned()),
            completed_revision: Some(self.revision.to_owned()),
            step: 0,
            limit: None,
            abort: None,
            ..self.enter(RolloutPhase::Completed)
        }
    }

    /// Another revision than before. No node has it yet.
    fn begin(&self) -> Gate {
        match &self.history {
            History::Unknown => return self.stays(Verdict::HistoryUnknown),
            History::Missing(error) => {
                let verdict = error.clone().map_or(Verdict::Settling, Verdict::NotKept);
                return self.stays(verdict);
            }
            History::Kept => {}
        }
        let begins = later(self.wanted_since, SETTLING);
        if self.now < begins {
            let next_check = Some(begins);
            return Gate {
                next_check,
                ..self.stays(Verdict::Settling)
            };
        }
        if self.counted(Position::Waiting).next().is_none()
            && self.counted(Position::Released).next().is_none()
        {
            return self.says(
                Release::These(self.have_it()),
                self.completed(),
                Verdict::Settling,
            );
        }
        let state = self.first_step();
        self.says(Release::These(self.have_it()), state, Verdict::Settling)
    }

    fn first_step(&self) -> ExportRolloutStatus {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let waiting = self.counted(Position::Waiting);
        let canaries = number(waiting.clone().filter(|node| node.canary).count());
        let limit = self.limit_above(0);
        // The canary is alone in the first step, whatever the steps are.
        let all = limit.unwrap_or_else(|| number(waiting.count()));
        let alone = self.policy.canary.is_some() && (1..all).contains(&canaries);
        ExportRolloutStatus {
            revision: Some(self.revision.to_owned()),
            rollout: Some(format!("{}-{}", self.revision, self.now.as_second())),
            step: 1,
            limit: if alone { Some(canaries) } else { limit },
            ..self.enter(RolloutPhase::Releasing)
        }
    }

    /// The smallest step that is larger; none: all nodes.
    fn limit_above(&self, released: usize) -> Option<u32> {
        let total = self.counted(Position::Released).count() + self.counted(Position::Waiting).count();
        u32::try_from(self.policy.step_above(released, total)?).ok()
    }

    fn limit(&self) -> usize {
        let limit = self.state.limit.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(usize::MAX)
    }

    /// Tells the nodes of the step.
    fn release(&self) -> Gate {
        if let Some(gate) = self.abort() {
            return gate;
        }
        let candidates = match self.candidates() {
            Ok(candidates) => candidates,
            Err(why) => return self.stays(Verdict::CanaryUnusable(why)),
        };
        let released = self.counted(Position::Released).count();
        let mut chosen = self.have_it();
        let room = self.limit().saturating_sub(released);
        let next: Vec<&NodeView> = candidates.into_iter().take(room).collect();
        if !next.is_empty() {
            return match opening(&self.policy.windows, self.now) {
                Opening::Open { until } => {
                    chosen.extend(next.iter().map(|node| node.name.clone()));
                    let verdict = Verdict::Releasing(next.iter().map(|node| node.name.clone()).collect());
                    let gate = self.says(Release::These(chosen), self.state.clone(), verdict);
                    Gate {
                        next_check: until,
                        ..gate
                    }
                }
                Opening::Closed { until } => {
                    let next_check = Some(until);
                    let gate = self.stays(Verdict::WindowClosed(until));
                    Gate { next_check, ..gate }
                }
                Opening::Unusable(why) => self.stays(Verdict::WindowUnusable(why)),
            };
        }
        if released == 0 {
            // They went, or have it by now for another reason.
            return match self.counted(Position::Waiting).next() {
                None => self.says(Release::These(chosen), self.completed(), Verdict::Settling),
                Some(_) => self.says(Release::These(chosen), self.next_step(0), Verdict::Settling),
            };
        }
        match self.not_settled() {
            Some(verdict) => self.look_again(self.stays(verdict)),
            None => {
                let state = self.enter(RolloutPhase::Soaking);
                self.says(Release::These(chosen), state, Verdict::Soaking)
            }
        }
    }

    /// The nodes that may be told next, in order: the canary, those that do well, by name.
    fn candidates(&self) -> Result<Vec<&NodeView>, String> {
        let mut candidates: Vec<&NodeView> = self.counted(Position::Waiting).collect();
        if self.state.step <= 1 && self.policy.canary.is_some() {
            if !self.canary_exists.clone()? {
                return Err("no node has the labels of canary.nodeSelector".to_owned());
            }
            let mut counted = self.nodes.iter().filter(|node| node.counts() && node.canary);
            if counted.clone().next().is_none() {
                return Err("no node with the labels of canary.nodeSelector runs weir-node".to_owned());
            }
            if counted.any(|node| node.position != Position::Same) {
                candidates.retain(|node| node.canary);
            }
        }
        candidates.sort_by_key(|node| (!node.canary, node.health != Health::Well, node.name.as_str()));
        Ok(candidates)
    }

    /// Why the nodes of the step cannot be said to have it well.
    fn not_settled(&self) -> Option<Verdict> {
        let behind = self
            .counted(Position::Released)
            .filter(|node| node.health == Health::Behind);
        let behind: Vec<String> = behind.map(|node| node.name.clone()).collect();
        if !behind.is_empty() {
            return Some(Verdict::Releasing(behind));
        }
        let mut released = self.counted(Position::Released);
        let some_well = released.any(|node| node.health == Health::Well);
        (!some_well).then_some(Verdict::NoneWell)
    }

    /// Watches the nodes of the step.
    fn soak(&self) -> Gate {
        if let Some(gate) = self.abort() {
            return gate;
        }
        let released = self.counted(Position::Released).count();
        if released == 0 {
            let state = self.enter(RolloutPhase::Releasing);
            return self.says(Release::These(self.have_it()), state, Verdict::Settling);
        }
        if let Some(since) = self.misstated() {
            let state = ExportRolloutStatus {
                since: Some(Time(since)),
                ..self.state.clone()
            };
            return self.says(Release::These(self.have_it()), state, Verdict::Soaking);
        }
        let soak = self.policy.soak.time();
        if let Some(left) = soak.checked_sub(self.soaked).filter(|left| !left.is_zero()) {
            let next_check = Some(later(self.now, left.min(CLOCK_LOOK)));
            let gate = self.stays(self.soaking());
            return self.look_again(Gate { next_check, ..gate });
        }
        if let Some(verdict) = self.not_settled() {
            return self.look_again(self.stays(verdict));
        }
        let (state, verdict) = self.after_soak(released);
        self.says(Release::These(self.have_it()), state, verdict)
    }

    /// Since when the step is watched by the calendar of now, where the status says otherwise:
    /// a clock was set, or a time in which nobody watched does not count. The next leader knows
    /// nothing else.
    fn misstated(&self) -> Option<Timestamp> {
        let since = earlier(self.now, self.soaked);
        let is_so = |stored: &Time| stored.0.duration_since(since).unsigned_abs() < CLOCK_TOLERANCE;
        (!self.state.since.as_ref().is_some_and(is_so)).then_some(since)
    }

    fn soaking(&self) -> Verdict {
        let unknown = self
            .counted(Position::Released)
            .filter(|node| node.millicores_rise.is_none());
        let unknown: Vec<String> = unknown.map(|node| node.name.clone()).collect();
        match self.policy.abort.vswitchd_millicores_delta {
            Some(_) if !unknown.is_empty() => Verdict::SoakingBlind(unknown),
            _ => Verdict::Soaking,
        }
    }

    fn after_soak(&self, released: usize) -> (ExportRolloutStatus, Verdict) {
        // Nodes that joined in the last step wait no longer than its soak.
        if self.state.limit.is_none() || self.counted(Position::Waiting).next().is_none() {
            return (self.completed(), Verdict::Settling);
        }
        if self.policy.approval == Approval::AfterFirstStep && self.state.step <= 1 {
            return (
                self.stop(RolloutPhase::AwaitingApproval),
                Verdict::AwaitingApproval,
            );
        }
        (self.next_step(released), Verdict::Settling)
    }

    fn next_step(&self, released: usize) -> ExportRolloutStatus {
        ExportRolloutStatus {
            step: self.state.step.saturating_add(1),
            limit: self.limit_above(released),
            ..self.enter(RolloutPhase::Releasing)
        }
    }

    fn look_again(&self, gate: Gate) -> Gate {
        let limits = &self.policy.abort;
        if limits.vswitchd_millicores_delta.is_none() && limits.lost_per_second.is_none() {
            return gate;
        }
        let look = later(self.now, LOOK);
        Gate {
            next_check: Some(gate.next_check.map_or(look, |at| at.min(look))),
            ..gate
        }
    }
}
