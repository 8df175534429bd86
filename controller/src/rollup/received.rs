//! Whether what the nodes send to Weir's collector is received there, of all nodes
//! together. Pure.
//!
//! It is one condition of the source, and not one of each `NodeFlowExport`: an answer tells
//! of all nodes at once, and a collector that starts anew would turn a thousand of them
//! around. What is known of a single node is the collector's page `nodes`.

use k8s_openapi::jiff::Timestamp;
use weir_api::condition::{ConditionStatus, Finding, find};
use weir_api::export::EXPORTING;
use weir_api::{Condition, NodeFlowExport};

use super::{NAMED_PROBLEMS, RECEIVED, enumerate};
use crate::cluster_state::ClusterState;
use crate::collector::expected;
use crate::decide::Decision;
use crate::facts::written_at;
use crate::reception::{LossClass, Receptions, Silence, Verdict};

const LOST_ON_THE_WAY: &str = "look for a firewall, a NetworkPolicy or a route between them and the collector, its \
                               --allow, and a path whose MTU is smaller than theirs";
const NOT_FROM_THE_NODE: &str = "something between changes the address: name it by the collector's --relay";
const MAYBE_NO_TRAFFIC: &str = "a node without traffic sends nothing; if there is some";
const LOSSES: &str =
    "sample coarser, give the collector more processors or a larger net.core.rmem_max, or look at the path";

/// Nodes by what became of what they send.
#[derive(Default)]
struct Sorted<'a> {
    received: usize,
    lossy: Vec<(&'a str, LossClass)>,
    missing: Vec<(&'a str, Silence)>,
    unproven: Vec<&'a str>,
    silent: Vec<&'a str>,
    waiting: usize,
}

/// What is to be said; nothing where no node is to send anything to Weir's collector.
/// `settled`: the nodes that export as they are told to; of the others something else is
/// wrong, which is told elsewhere.
pub(super) fn finding(
    cluster: &ClusterState,
    decision: &Decision,
    settled: &[&str],
    receptions: &Receptions,
) -> Option<Finding> {
    if !cluster.sends_to_collector(decision) {
        return None;
    }
    let unknown = |reason, message| said(ConditionStatus::Unknown, reason, message);
    if cluster.collector_replicas() > 1 {
        let text = "the collector has several replicas, and each knows only what it received itself: ask them by \
                    /api/v1/nodes";
        return Some(unknown("SeveralCollectors", text.to_owned()));
    }
    Some(match receptions.unknown() {
        Some("") => unknown("CollectorNotAsked", "the collector is being asked".to_owned()),
        Some(why) => unknown(
            "CollectorUnreachable",
            format!("what the collector receives is not known: {why}"),
        ),
        None => Sorted::of(cluster, settled, receptions).finding(),
    })
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
        for node in settled {
            let Some(export) = cluster.export(node) else {
                continue;
            };
            let formats = expected(export, |target| targets.contain(target));
            if formats.is_empty() {
                continue;
            }
            if let Some(verdict) = receptions.verdict(node, &formats, in_force_since(export)) {
                sorted.add(node, verdict);
            }
        }
        sorted
    }

    fn add(&mut self, node: &'a str, verdict: Verdict) {
        match verdict {
            Verdict::Received(loss) => {
                self.received += 1;
                if loss != LossClass::Little {
                    self.lossy.push((node, loss));
                }
            }
            Verdict::Missing(silence) => self.missing.push((node, silence)),
            Verdict::Unproven => self.unproven.push(node),
            Verdict::Silent => self.silent.push(node),
            Verdict::Waiting => self.waiting += 1,
        }
    }

    fn nodes(&self) -> usize {
        self.received + self.missing.len() + self.unproven.len() + self.silent.len() + self.waiting
    }

    fn finding(&self) -> Finding {
        let not_received = self.missing.len() + self.unproven.len();
        let (status, reason) = match (not_received, self.received) {
            (1.., _) => (ConditionStatus::False, "NotReceived"),
            (0, 1..) if !self.lossy.is_empty() => (ConditionStatus::True, "RecordsLost"),
            (0, 1..) => (ConditionStatus::True, "Received"),
            (0, 0) => (ConditionStatus::Unknown, "NothingReceived"),
        };
        let nodes = self.nodes();
        let first = match (not_received, self.received) {
            (1.., _) => {
                format!("of {nodes} nodes, what {not_received} send to the collector is not received")
            }
            (0, 0) => "nothing was received yet".to_owned(),
            (0, received) if received == nodes => {
                format!("the collector receives what all {nodes} nodes send to it")
            }
            (0, received) => format!("the collector receives what {received} of {nodes} nodes send to it"),
        };
        let parts = [
            Some(first),
            self.missing(),
            self.unproven(),
            self.silent(),
            self.losses(),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        said(status, reason, parts.join("; "))
    }

    fn missing(&self) -> Option<String> {
        let longest = self.missing.iter().map(|(_, silence)| *silence).max()?;
        let names = names(self.missing.iter().map(|(node, _)| *node));
        let long = longest.as_str();
        Some(format!(
            "datagrams leave {names} and none has come {long}: {LOST_ON_THE_WAY}"
        ))
    }

    fn unproven(&self) -> Option<String> {
        let names = names(self.unproven.iter().copied());
        (!self.unproven.is_empty()).then(|| {
            format!("the datagrams of {names} come from addresses that are not theirs: {NOT_FROM_THE_NODE}")
        })
    }

    fn silent(&self) -> Option<String> {
        let names = names(self.silent.iter().copied());
        (!self.silent.is_empty())
            .then(|| format!("nothing comes from {names}: {MAYBE_NO_TRAFFIC}, {LOST_ON_THE_WAY}"))
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

/// Since when a node exports what it is told to now, by the clock of the API server.
fn in_force_since(export: &NodeFlowExport) -> Timestamp {
    let conditions: &[Condition] = export.status.as_ref().map_or(&[], |status| &status.conditions);
    let exporting = find(conditions, EXPORTING).map(|condition| condition.last_transition_time.0);
    exporting.max(written_at(export)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
