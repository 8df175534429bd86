//! What is wrong on the nodes, as they and their kubelets report it, and with what they send
//! to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use weir_exports::condition::{node_level, node_remedy, source_level, source_remedy};

use super::cluster::CLOCK_SKEW;
use super::facts::{Facts, NAMESPACES, Seen};
use super::{Finding, Level};

/// A kubelet renews its lease every ten seconds.
const STALE: f64 = 40.0;
/// So many nodes are named.
const NAMED: usize = 5;

/// All of it.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    [
        sources(facts),
        former_daemons(facts),
        reports(facts),
        conditions(facts),
        clocks(facts),
        collectors(facts),
    ]
    .concat()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The first of them, and how many there are beside.
fn named(names: &[&str]) -> String {
    let first = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Something asks for export, and the controller has read it.
fn sources(facts: &Facts) -> Vec<Finding> {
    let Some((kind, source)) = facts.source() else {
        return Vec::new();
    };
    let source = match source {
        Seen::There(source) => source,
        Seen::Unknown => return Vec::new(),
        Seen::Absent => {
            return vec![Finding::fault(
                format!("there is no {kind} named cluster, so nobody says what to export"),
                "make an empty one: docs/operations.md#install",
            )];
        }
    };
    let mut findings = Vec::new();
    let ours = items(&source["status"]["conditions"]).iter().filter(|condition| {
        condition["type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("FlowExport"))
    });
    let mut seen = false;
    for condition in ours {
        seen = true;
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        if source_level(text("type"), text("status")) == Level::Fault {
            findings.push(Finding::fault(
                format!("the {kind}: {}", text("message")),
                source_remedy(text("reason")),
            ));
        }
    }
    if !seen {
        findings.push(Finding::fault(
            format!("the controller has not read the {kind}"),
            "kubectl get pods -n weir-system, and the controller's log",
        ));
    }
    if facts.flows_config.there().is_some() {
        findings.push(Finding::note(
            "the ConfigMap openshift-network-operator/ovs-flows-config asks for export, too",
            "docs/operations.md#the-configmap-ovs-flows-config",
        ));
    }
    findings
}

/// Node daemons have a namespace of their own; earlier they shared the others'.
fn former_daemons(facts: &Facts) -> Vec<Finding> {
    let is_former = |pod: &&Value| {
        let metadata = &pod["metadata"];
        metadata["namespace"] == NAMESPACES[0] && metadata["labels"]["app.kubernetes.io/name"] == "weir-node"
    };
    if !facts.pods.iter().any(|pod| is_former(&pod)) {
        return Vec::new();
    }
    vec![Finding::fault(
        "node daemons of an earlier version run beside those of this one",
        "kubectl delete -n weir-system daemonset/weir-node serviceaccount/weir-node",
    )]
}

/// Each node has an object, and a daemon that has read it.
fn reports(facts: &Facts) -> Vec<Finding> {
    let Some(exports) = &facts.exports else {
        return Vec::new();
    };
    let known: BTreeSet<&str> = exports.iter().map(name).collect();
    let without: Vec<&str> = facts
        .nodes
        .iter()
        .map(name)
        .filter(|node| !known.contains(node))
        .collect();
    let silent: Vec<&str> = exports
        .iter()
        .filter(|export| export["status"]["observedGeneration"].is_null())
        .map(name)
        .collect();
    let behind: Vec<&str> = exports
        .iter()
        .filter(|export| {
            let seen = &export["status"]["observedGeneration"];
            !seen.is_null() && *seen != export["metadata"]["generation"]
        })
        .map(name)
        .collect();
    let mut findings = Vec::new();
    let mut say = |nodes: &[&str], what: &str, remedy: &str| {
        if !nodes.is_empty() {
            findings.push(Finding::fault(format!("{what}: {}", named(nodes)), remedy));
        }
    };
    say(
        &without,
        "nodes for which the controller has made no NodeFlowExport",
        "is a controller ready? kubectl logs -n weir-system deployment/weir-controller",
    );
    say(
        &silent,
        "nodes whose daemon has never reported",
        "does one run there? kubectl get pods -n weir-node -o wide. Where a token may not write the report, its log \
         says Forbidden",
    );
    say(
        &behind,
        "nodes whose daemon has not seen the newest change",
        "the daemon's log there: can it reach the API server?",
    );
    if findings.is_empty() {
        findings.push(Finding::fine(format!("all {} nodes report", exports.len())));
    }
    findings
}

/// What daemons complain of, by reason.
fn conditions(facts: &Facts) -> Vec<Finding> {
    let mut by_reason: BTreeMap<(bool, String, String), Vec<&str>> = BTreeMap::new();
    for export in facts.exports.iter().flatten() {
        for condition in items(&export["status"]["conditions"]) {
            let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
            let level = node_level(&text("type"), &text("status"), &text("reason"));
            if level == Level::Fine {
                continue;
            }
            by_reason
                .entry((level == Level::Fault, text("reason"), text("message")))
                .or_default()
                .push(name(export));
        }
    }
    by_reason
        .into_iter()
        .map(|((is_fault, reason, message), mut nodes)| {
            nodes.dedup();
            let what = format!("{reason} on {}: {message}", named(&nodes));
            match is_fault {
                true => Finding::fault(what, node_remedy(&reason, &message)),
                false => Finding::note(what, node_remedy(&reason, &message)),
            }
        })
        .collect()
}

/// Kubelets renew their leases by their own clocks.
fn clocks(facts: &Facts) -> Vec<Finding> {
    let Some((now, _)) = facts.clocks else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for lease in &facts.leases {
        let renewed = lease["spec"]["renewTime"].as_str();
        let Some(renewed) = renewed.and_then(|text| text.parse::<Timestamp>().ok()) else {
            continue;
        };
        let ahead = renewed.duration_since(now).as_secs_f64();
        // What the API server says has whole seconds.
        if ahead > CLOCK_SKEW + 1.0 {
            findings.push(Finding::fault(
                format!(
                    "the clock of node {} is {ahead:.0} s ahead of the API server's",
                    name(lease)
                ),
                "set it (chrony): its flows have times of their own, and names are looked up by time",
            ));
        } else if ahead < -STALE {
            findings.push(Finding::fault(
                format!(
                    "node {} renewed its lease {:.0} s ago: it is away, or its clock is behind",
                    name(lease),
                    -ahead
                ),
                "kubectl get node; on the node, chronyc tracking",
            ));
        }
    }
    findings
}

/// Targets that are a Service's of this cluster, with nobody behind it, and those that nobody
/// can reach.
fn collectors(facts: &Facts) -> Vec<Finding> {
    let mut targets: BTreeSet<&str> = BTreeSet::new();
    for bridge in facts
        .exports
        .iter()
        .flatten()
        .flat_map(|export| items(&export["spec"]["bridges"]))
    {
        for protocol in ["netFlow", "sFlow", "ipfix"] {
            targets.extend(
                items(&bridge[protocol]["targets"])
                    .iter()
                    .filter_map(Value::as_str),
            );
        }
    }
    let mut findings = Vec::new();
    for target in targets {
        let Ok(address) = target.parse::<std::net::SocketAddr>() else {
            continue;
        };
        let is_of = |service: &&Value| {
            items(&service["spec"]["clusterIPs"])
                .iter()
                .any(|ip| *ip == address.ip().to_string().as_str())
        };
        if address.ip().is_loopback() {
            findings.push(Finding::fault(
                format!("the collector {target} is each node itself"),
                "name an address that nodes reach, or :port for each node's own",
            ));
        } else if let Some(service) = facts.services.iter().find(is_of) {
            let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
            if ready_endpoints(facts, namespace, name(service)) == Some(0) {
                findings.push(Finding::fault(
                    format!(
                        "nobody receives at {target}: the Service {namespace}/{} has no ready endpoint",
                        name(service)
                    ),
                    "is the collector ready? kubectl get pods there",
                ));
            }
        }
    }
    findings
}

/// None where it is not known.
fn ready_endpoints(facts: &Facts, namespace: &str, service: &str) -> Option<usize> {
    let of_it = |slice: &&Value| {
        slice["metadata"]["namespace"] == namespace
            && slice["metadata"]["labels"]["kubernetes.io/service-name"] == service
    };
    let slices = facts.slices.as_ref()?.iter().filter(of_it);
    let endpoints = slices.flat_map(|slice| items(&slice["endpoints"]));
    // Unknown is to be taken for ready (discovery.k8s.io/v1).
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
    Some(ready.count())
}
