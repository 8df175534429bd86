//! What is said of a rollout: why it is where it is, and what a person can do. Pure. No
//! message has a number that changes as nodes follow.

use k8s_openapi::jiff::Timestamp;
use weir_api::Condition;
use weir_api::ExportRolloutStatus;
use weir_api::condition::{Finding, Time, conclude};
use weir_api::rollout::{ABORTED, AbortLimits, PAUSED, PROGRESSING};

use super::request::{Health, NodeView};
use crate::node_state::remedy;
use crate::rollup::{cut, enumerate};

/// Most nodes that a message names.
const NAMED: usize = 3;

/// Nodes fail that have the revision.
pub const NODES_FAILING: &str = "NodesFailing";
/// ovs-vswitchd takes more processor time there than before.
pub const PROCESSOR_TIME_ROSE: &str = "ProcessorTimeRose";
/// They lose more packets than before.
pub const LOST_PACKETS_ROSE: &str = "LostPacketsRose";

/// Why a rollout is where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All nodes have the revision.
    Completed,
    /// It is about to go on.
    Settling,
    /// What was completed before cannot be read.
    HistoryUnknown,
    /// Something cannot be read; what, and why.
    Unreadable(String),
    /// The revision cannot be written where it can be returned to; why.
    NotKept(String),
    /// These nodes are to report on it.
    Releasing(Vec<String>),
    /// No node that has it does well, for reasons that are older.
    NoneWell,
    /// No window is open until then.
    WindowClosed(Timestamp),
    /// None ever opens; why.
    WindowUnusable(String),
    /// The canary's selector is of no use; why.
    CanaryUnusable(String),
    /// The nodes that have it are watched.
    Soaking,
    /// The same, and of these nodes the processor time before or after is not known.
    SoakingBlind(Vec<String>),
    /// A person has to agree.
    AwaitingApproval,
    /// It was ended, and the nodes keep it.
    Paused,
    /// It was ended, and the nodes return.
    RolledBack,
}

/// Why nodes do not take a revision well: the reason, and in words.
pub fn objection(limits: &AbortLimits, released: &[&NodeView]) -> Option<(&'static str, String)> {
    let failing: Vec<_> = released
        .iter()
        .filter(|node| !node.failed_before)
        .filter_map(|node| match &node.health {
            Health::Failing(reason, text) => Some((node.name.as_str(), reason, text)),
            _ => None,
        })
        .collect();
    let most = limits.failing_nodes.size(released.len());
    if failing.len() >= most {
        let names = enumerate(failing.iter().map(|(name, ..)| (*name).to_owned()), NAMED, ", ");
        let (_, reason, text) = failing.first()?;
        let remedy = remedy(reason)
            .map(|remedy| format!("; {remedy}"))
            .unwrap_or_default();
        let text = cut((*text).clone());
        return Some((NODES_FAILING, format!("{reason} on {names} ({text}{remedy})")));
    }
    let above = |limit: Option<u32>, rise: fn(&NodeView) -> Option<i64>, at_limit: bool| {
        let limit = i64::from(limit?);
        let is_above = |rise: i64| rise > limit || (at_limit && rise == limit);
        let names: Vec<String> = released
            .iter()
            .filter(|node| rise(node).is_some_and(is_above))
            .map(|node| node.name.clone())
            .collect();
        (!names.is_empty()).then(|| enumerate(names.into_iter(), NAMED, ", "))
    };
    if let Some(names) = above(
        limits.vswitchd_millicores_delta,
        |node| node.millicores_rise,
        true,
    ) {
        let text = format!(
            "on {names} ovs-vswitchd takes more processor time than abort.vswitchdMillicoresDelta allows; take a \
             coarser sampling, or allow more"
        );
        return Some((PROCESSOR_TIME_ROSE, text));
    }
    let names = above(limits.lost_per_second, |node| node.lost_rise, false)?;
    let text = format!(
        "{names} lose more packets a second than abort.lostPerSecond allows; take a coarser sampling, or allow more"
    );
    Some((LOST_PACKETS_ROSE, text))
}

/// The conditions of the `ExportRollout`.
pub fn conditions(
    verdict: &Verdict,
    state: &ExportRolloutStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let (progressing, reason, message) = progress(verdict, state);
    let paused = pause(verdict, state);
    let aborted = state.abort.as_ref();
    let finding = |kind, holds: bool, reason: &'static str, message: String| Finding {
        kind,
        status: holds.into(),
        reason,
        message,
    };
    let findings = [
        finding(PROGRESSING, progressing, reason, message),
        match paused {
            Some((reason, message)) => finding(PAUSED, true, reason, message),
            None => finding(PAUSED, false, "NotPaused", "nobody is waited for".to_owned()),
        },
        match aborted {
            Some(abort) => finding(
                ABORTED,
                true,
                known_reason(&abort.reason),
                format!("revision {} was ended: {}", abort.revision, abort.message),
            ),
            None => finding(
                ABORTED,
                false,
                "NotAborted",
                "no revision was ended since one was completed".to_owned(),
            ),
        },
    ];
    conclude(&findings, &state.conditions, generation, &Time(now))
}

/// The first by name: how many more there are changes as they follow.
fn first_of(nodes: &[String]) -> String {
    let first = nodes.iter().min().cloned().unwrap_or_default();
    match nodes.len() {
        0 | 1 => first,
        _ => format!("{first} and others"),
    }
}

fn known_reason(reason: &str) -> &'static str {
    let known = [NODES_FAILING, PROCESSOR_TIME_ROSE, LOST_PACKETS_ROSE];
    known
        .into_iter()
        .find(|known| *known == reason)
        .unwrap_or("Aborted")
}

fn progress(verdict: &Verdict, state: &ExportRolloutStatus) -> (bool, &'static str, String) {
    let revision = state.revision.as_deref().unwrap_or("none");
    match verdict {
        Verdict::Completed => (false, "Completed", format!("all nodes have revision {revision}")),
        Verdict::Settling => (true, "Settling", "the next step is about to begin".to_owned()),
        Verdict::Releasing(nodes) => {
            let text = format!("revision {revision} is on its way to {}", first_of(nodes));
            (true, "Releasing", text)
        }
        Verdict::WindowClosed(until) => {
            let text = format!("the next nodes wait for a window, which opens at {until}");
            (true, "WindowClosed", text)
        }
        Verdict::Soaking => {
            let text = format!("the nodes that have revision {revision} are watched");
            (true, "Soaking", text)
        }
        Verdict::SoakingBlind(nodes) => {
            let names = first_of(nodes);
            let text = format!(
                "the nodes that have revision {revision} are watched; the processor time before or after is not known \
                 of {names}, so abort.vswitchdMillicoresDelta says nothing there (it needs \
                 other_config:enable-statistics=true in OVSDB, and an export before)"
            );
            (true, "Soaking", text)
        }
        Verdict::NoneWell => {
            let text = "no node that has it does well, for reasons older than it: bring one to report";
            (true, "NoneWell", text.to_owned())
        }
        _ => (false, "Paused", "it waits, see Paused".to_owned()),
    }
}

fn pause(verdict: &Verdict, state: &ExportRolloutStatus) -> Option<(&'static str, String)> {
    let revision = state.revision.as_deref().unwrap_or("none");
    Some(match verdict {
        Verdict::AwaitingApproval => (
            "AwaitingApproval",
            format!("revision {revision} is well on the first nodes; agree with `weir rollout approve`"),
        ),
        Verdict::Paused => (
            "Aborted",
            format!(
                "the nodes that have revision {revision} keep it: mend them and go on with `weir rollout approve`, or \
                 `weir rollout undo`"
            ),
        ),
        Verdict::RolledBack => (
            "RolledBack",
            format!(
                "all nodes have the last completed revision, though {revision} is asked for: `weir rollout undo` makes \
                 that so, another change is tried anew, `weir rollout approve` tries this one again"
            ),
        ),
        Verdict::HistoryUnknown => (
            "HistoryUnknown",
            "weir-controller cannot list controllerrevisions in its namespace, so nothing could be returned to: \
             apply the manifests of its version, which give it the right"
                .to_owned(),
        ),
        Verdict::Unreadable(why) => (
            "Unreadable",
            format!(
                "{}; nothing is begun until it is corrected or weir-controller has its version",
                cut(why.clone())
            ),
        ),
        Verdict::NotKept(error) => (
            "RevisionNotKept",
            format!(
                "the revision cannot be written as a ControllerRevision, and nothing could return to it: {}; apply \
                 the manifests of weir-controller's version",
                cut(error.clone())
            ),
        ),
        Verdict::WindowUnusable(why) => (
            "WindowUnusable",
            format!("no window ever opens: {why}; correct spec.windows"),
        ),
        Verdict::CanaryUnusable(why) => (
            "CanaryUnusable",
            format!("{why}; label a node, or correct spec.canary"),
        ),
        _ => return None,
    })
}
