//! Whether what the nodes send to Weir's collector is received there, of all nodes
//! together. Pure.
//!
//! It is one condition of the source, and not one of each `NodeFlowExport`: an answer tells
//! of all nodes at once, and a collector that starts anew would turn a thousand of them
//! around. What is known of a single node is the collector's page `nodes`.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use weir_api::condition::{ConditionStatus, Finding, find};
use weir_api::{Condition, NodeFlowExport};

use super::{NAMED_PROBLEMS, RECEIVED, enumerate};
use crate::cluster_state::{ClusterState, SERVICE_HOLD};
use crate::collector::expected;
use crate::decide::Decision;
use crate::moment::{later, past};
use crate::reception::{LossClass, Receptions, Silence, SpecInForce, Verdict};

const LOST_ON_THE_WAY: &str = "look for a firewall, a NetworkPolicy or a route between them and the collector, its \
                               --allow, and a path whose MTU is smaller than theirs";
const NOT_FROM_THE_NODE: &str = "something between changes the address, or somebody sends in their name; name it by \
                                 the collector's --relay only if you know it: a relay may speak for every node";
const MAYBE_NO_TRAFFIC: &str = "a node without traffic sends nothing; if there is some";
const LOSSES: &str =
    "sample coarser, give the collector more processors or a larger net.core.rmem_max, or look at the path";
const REPLICAS_NOT_LISTED: &str = "how many replicas the collector has cannot be listed, and each knows only what it \
                                   received itself: the controller needs the right to list endpointslices in the \
                                   collector's namespace, as the Role weir-controller-collector gives it";
const SEVERAL_REPLICAS: &str = "the collector has several replicas, and each knows only what it received itself: ask \
                                them by /api/v1/nodes";

const NOT_ASKED: &str = "CollectorNotAsked";
const SERVICE_MISSING: &str = "CollectorServiceMissing";
/// How long the collector may have several replicas before that is told: one that is updated
/// has two for a while.
const REPLICA_PATIENCE: Duration = Duration::from_secs(120);
/// Every reason that there is.
const REASONS: [&str; 9] = [
    SERVICE_MISSING,
    "Received",
    "RecordsLost",
    "PartlyReceived",
    "NotReceived",
    "NothingReceived",
    NOT_ASKED,
    "CollectorUnreachable",
    "SeveralCollectors",
];

/// Nodes by what became of what they send.
#[derive(Default)]
struct Sorted<'a> {
    received: usize,
    lossy: Vec<(&'a str, LossClass)>,
    missing: Vec<(&'a str, Silence)>,
    silent: Vec<(&'a str, Silence)>,
    waiting: usize,
    /// Of those that are not received, whose marks come from other addresses.
    elsewhere: Vec<&'a str>,
}

/// What is to be said, nothing where no node is to send anything to Weir's collector; and when
/// that may be otherwise without an event. `settled`: the nodes that export as they are told to;
/// of the others something else is wrong, which is told elsewhere.
pub(super) fn finding(
    cluster: &ClusterState,
    decision: &Decision,
    settled: &[&str],
    receptions: &Receptions,
    now: Timestamp,
) -> (Option<Finding>, Option<Timestamp>) {
    if !cluster.sends_to_collector(decision) {
        return without_service(cluster, decision, now);
    }
    let unknown = |reason, message: &str| said(ConditionStatus::Unknown, reason, message.to_owned());
    // What was found out before, by this leader or the one before it.
    let as_before = || {
        let told = stored(cluster).filter(|told| told.reason != SERVICE_MISSING);
        told.unwrap_or_else(|| unknown(NOT_ASKED, "the collector is being asked"))
    };
    let several = cluster
        .several_collectors_since()
        .map(|since| later(past(since, now), REPLICA_PATIENCE));
    let finding = match (receptions.unknown(), cluster.collector_replicas(), several) {
        (Some(""), _, _) => as_before(),
        (Some(why), _, _) => unknown(
            "CollectorUnreachable",
            &format!("what the collector receives is not known: {why}"),
        ),
        (None, None, _) => unknown("SeveralCollectors", REPLICAS_NOT_LISTED),
        (None, Some(_), Some(end)) if now < end => return (Some(as_before()), Some(end)),
        (None, Some(_), Some(_)) => unknown("SeveralCollectors", SEVERAL_REPLICAS),
        (None, Some(_), None) => Sorted::of(cluster, settled, receptions).finding(),
    };
    (Some(finding), None)
}

/// The collector's Service may be made again for as long as its address is held. Whoever leads
/// next does not know the addresses that it had, but what was said of it.
fn without_service(
    cluster: &ClusterState,
    decision: &Decision,
    now: Timestamp,
) -> (Option<Finding>, Option<Timestamp>) {
    let Some((namespace, name)) = cluster.missing_collector() else {
        return (None, None);
    };
    let Some(since) = cluster.sends_to_gone_collector(decision) else {
        let exports = decision
            .wanted
            .values()
            .any(|wanted| wanted.spec.exports_anything());
        let told = stored(cluster).filter(|told| told.reason == SERVICE_MISSING && exports);
        return (told, None);
    };
    let end = later(past(since, now), SERVICE_HOLD);
    if now < end {
        return (stored(cluster), Some(end));
    }
    let message = format!(
        "the Service {namespace}/{name} is gone, and what nodes send to the addresses that it had is lost: make it \
         again with `weir install` or its manifests, and name its new address as a collector, or the Service itself"
    );
    (Some(said(ConditionStatus::False, SERVICE_MISSING, message)), None)
}

/// What the source's status says, where it is one of ours.
fn stored(cluster: &ClusterState) -> Option<Finding> {
    let source = cluster.shown_source()?;
    let Condition {
        status,
        reason,
        message,
        ..
    } = find(&source.conditions, RECEIVED)?;
    let status = match status.as_str() {
        "True" => ConditionStatus::True,
        "False" => ConditionStatus::False,
        _ => ConditionStatus::Unknown,
    };
    let reason = REASONS.into_iter().find(|known| known == reason)?;
    Some(said(status, reason, message.clone()))
}

fn said(status: ConditionStatus, reason: &'static str, message: String) -> Finding {
    Finding {
        kind: RECEIVED,
        status,
        reason,
        message,
    }
}

impl<'a> Sorted<'a> {
    fn of(cluster: &ClusterState, settled: &[&'a str], receptions: &Receptions) -> Self {
        let mut sorted = Self::default();
        let Some(targets) = cluster.collector_targets() else {
            return sorted;
        };
        let elsewhere = receptions.elsewhere();
        for node in settled {
            let Some(export) = cluster.export(node) else {
                continue;
            };
            let formats = expected(export, |target| targets.contain(target));
            if formats.is_empty() {
                continue;
            }
            if let Some(verdict) = receptions.verdict(node, &formats, in_force(export)) {
                sorted.add(node, verdict, &elsewhere);
            }
        }
        sorted
    }

    fn add(&mut self, node: &'a str, verdict: Verdict, elsewhere: &BTreeSet<&str>) {
        match verdict {
            Verdict::Received(loss) => {
                self.received += 1;
                if loss != LossClass::Little {
                    self.lossy.push((node, loss));
                }
                return;
            }
            Verdict::Missing(silence) => self.missing.push((node, silence)),
            Verdict::Silent(silence) => self.silent.push((node, silence)),
            Verdict::Waiting => self.waiting += 1,
        }
        if elsewhere.contains(node) {
            self.elsewhere.push(node);
        }
    }

    fn nodes(&self) -> usize {
        self.received + self.missing.len() + self.silent.len() + self.waiting
    }

    /// No counters of what is on its way: each answer would change them.
    fn finding(&self) -> Finding {
        let (nodes, missing) = (self.nodes(), self.missing.len());
        let (status, reason, first) = match (missing, self.received) {
            (1.., _) => (
                ConditionStatus::False,
                "NotReceived",
                format!("of {nodes} nodes, what {missing} send to the collector is not received"),
            ),
            (0, 0) => (
                ConditionStatus::Unknown,
                "NothingReceived",
                "nothing was received yet".to_owned(),
            ),
            (0, received) if received < nodes => (
                ConditionStatus::Unknown,
                "PartlyReceived",
                format!(
                    "of {nodes} nodes, what some send to the collector was not received yet, or not of late"
                ),
            ),
            (0, _) => {
                let reason = match self.lossy.is_empty() {
                    true => "Received",
                    false => "RecordsLost",
                };
                let text = format!("the collector receives what all {nodes} nodes send to it");
                (ConditionStatus::True, reason, text)
            }
        };
        let parts = [
            Some(first),
            self.missing(),
            self.silent(),
            self.elsewhere(),
            self.losses(),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        said(status, reason, parts.join("; "))
    }

    fn missing(&self) -> Option<String> {
        let (names, long) = named(&self.missing)?;
        Some(format!(
            "datagrams leave {names} and none has come {long}: {LOST_ON_THE_WAY}"
        ))
    }

    fn silent(&self) -> Option<String> {
        let (names, long) = named(&self.silent)?;
        Some(format!(
            "nothing has come from {names} {long}: {MAYBE_NO_TRAFFIC}, {LOST_ON_THE_WAY}"
        ))
    }

    fn elsewhere(&self) -> Option<String> {
        let names = names(self.elsewhere.iter().copied());
        (!self.elsewhere.is_empty()).then(|| {
            format!("datagrams with the numbers of {names} come from addresses that are not theirs: {NOT_FROM_THE_NODE}")
        })
    }

    fn losses(&self) -> Option<String> {
        let of = |class, share: &str| {
            let lossy = self.lossy.iter().filter(|(_, loss)| *loss == class);
            let lossy: Vec<_> = lossy.map(|(node, _)| *node).collect();
            let named = names(lossy.iter().copied());
            (!lossy.is_empty()).then(|| format!("{share} of what {named} send is lost"))
        };
        let much = of(LossClass::Much, "more than a tenth");
        let some = of(LossClass::Some, "more than a hundredth");
        let parts: Vec<String> = [much, some].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("{}: {LOSSES}", parts.join(", ")))
    }
}

fn names<'a>(nodes: impl ExactSizeIterator<Item = &'a str>) -> String {
    enumerate(nodes.map(str::to_owned), NAMED_PROBLEMS, ", ")
}

/// The names, and the longest silence.
fn named(nodes: &[(&str, Silence)]) -> Option<(String, &'static str)> {
    let longest = nodes.iter().map(|(_, silence)| *silence).max()?;
    Some((names(nodes.iter().map(|(node, _)| *node)), longest.as_str()))
}

fn in_force(export: &NodeFlowExport) -> SpecInForce {
    SpecInForce {
        generation: export.metadata.generation,
        written: export.written_at().unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

#[cfg(test)]
mod tests;
