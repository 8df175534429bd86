//! What is wrong with what is installed, and with what surrounds it. Pure.

use serde_json::Value;

use super::facts::{Facts, Seen};
use super::{Finding, pods};
use crate::platform::{Platform, describe};

/// The minor version that Weir is tested with.
const TESTED: u32 = 34;
/// By so many seconds clocks may differ.
const SKEW: f64 = 2.0;

/// All of it.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let parts = [
        version(facts),
        installed(facts),
        namespaces(facts),
        rights(facts),
        mounts(facts),
        pods::judge(facts),
        operator_beside(facts),
        own_clock(facts),
        api_service(facts),
        collector(facts),
        unread(facts),
    ];
    parts.concat()
}

fn version(facts: &Facts) -> Vec<Finding> {
    match facts.minor {
        Some(TESTED) => vec![Finding::fine(format!("Kubernetes is 1.{TESTED}"))],
        Some(minor) => vec![Finding::fine(format!(
            "Kubernetes is 1.{minor}; Weir was tested with 1.{TESTED}"
        ))],
        None => Vec::new(),
    }
}

/// The overlay that fits.
fn overlay(facts: &Facts) -> &'static str {
    facts.platform.unwrap_or(Platform::Kubernetes).name()
}

fn installed(facts: &Facts) -> Vec<Finding> {
    let platform = overlay(facts);
    let remedy = format!("weir install --platform {platform} --apply");
    let without_collector = has_no_collector(facts);
    let mut findings = Vec::new();
    if without_collector {
        findings.push(Finding::note(
            "Weir's own collector is not installed",
            format!("if that is not meant: {remedy}"),
        ));
    }
    let wanted = facts
        .installed
        .iter()
        .filter(|(wanted, _)| !(without_collector && is_of_collector(wanted)));
    let missing: Vec<String> = wanted
        .clone()
        .filter(|(_, found)| *found == Seen::Absent)
        .map(|(wanted, _)| describe(wanted))
        .collect();
    let (all, known) = (
        wanted.clone().count(),
        wanted.filter(|(_, found)| *found != Seen::Unknown).count(),
    );
    if !missing.is_empty() {
        findings.push(Finding::fault(
            format!("not installed: {}", missing.join(", ")),
            remedy,
        ));
    } else if known == all {
        findings.push(Finding::fine(format!("all that {platform} needs is installed")));
    } else if known > 0 {
        findings.push(Finding::fine(format!(
            "what is known of what {platform} needs is installed: {known} of {all} objects"
        )));
    }
    findings
}

/// Whose records go elsewhere needs none of the collector's objects; some of them alone are of
/// no use.
fn has_no_collector(facts: &Facts) -> bool {
    let mut of_it = facts
        .installed
        .iter()
        .filter(|(wanted, _)| is_of_collector(wanted));
    of_it.clone().any(|(_, found)| *found == Seen::Absent)
        && of_it.all(|(_, found)| *found != Seen::Unknown && found.there().is_none())
}

fn is_of_collector(object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    ["weir-collector", "weir-flows", "v1.flows.weir.dev"].contains(&name)
}

/// The levels of Pod Security.
fn namespaces(facts: &Facts) -> Vec<Finding> {
    const LEVEL: &str = "pod-security.kubernetes.io/enforce";
    let level = |object: &Value| {
        object["metadata"]["labels"][LEVEL]
            .as_str()
            .unwrap_or("none")
            .to_owned()
    };
    found(facts, &["Namespace"])
        .filter(|(wanted, found)| level(wanted) != level(found))
        .map(|(wanted, found)| {
            let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
            let what = format!(
                "the namespace {name} is held to the level {} of Pod Security, not {}",
                level(found),
                level(wanted)
            );
            let remedy = format!(
                "kubectl label namespace {name} {LEVEL}={} --overwrite",
                level(wanted)
            );
            // Too strict: no pod is made. Too lax: nothing fails.
            match level(wanted).as_str() {
                "privileged" if level(found) == "none" => Finding::note(what, remedy),
                "privileged" => Finding::fault(format!("{what}: its pods are refused"), remedy),
                _ => Finding::note(what, remedy),
            }
        })
        .collect()
}

/// Roles give what the programs need, and no more.
fn rights(facts: &Facts) -> Vec<Finding> {
    let kinds = ["ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"];
    let differs = |(wanted, found): &(&Value, &Value)| {
        ["rules", "subjects", "roleRef"].iter().any(|part| {
            // The API server adds what may be left out of a subject.
            !contains(&found[*part], &wanted[*part]) || longer(&found[*part], &wanted[*part])
        })
    };
    let changed: Vec<String> = found(facts, &kinds)
        .filter(differs)
        .map(|(wanted, _)| describe(wanted))
        .collect();
    if changed.is_empty() {
        return Vec::new();
    }
    vec![Finding::fault(
        format!(
            "the rights of the programs are not those that they need: {}",
            changed.join(", ")
        ),
        format!(
            "weir install --platform {} --apply lists who has set them so; with --force it takes them back",
            overlay(facts)
        ),
    )]
}

fn longer(found: &Value, wanted: &Value) -> bool {
    let len = |value: &Value| value.as_array().map_or(0, Vec::len);
    len(found) > len(wanted)
}

/// Whether all of `part` is in `whole`, lists item by item.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, value)| whole.get(key).is_some_and(|there| contains(there, value))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() >= part.len() && part.iter().zip(whole).all(|(part, whole)| contains(whole, part))
        }
        (whole, part) => whole == part,
    }
}

/// The daemon looks for the socket where the platform has it.
fn mounts(facts: &Facts) -> Vec<Finding> {
    let Some(platform) = facts.platform else {
        return vec![Finding::note(
            "no network plugin that uses Open vSwitch is known by the API server's groups",
            "if nodes have Open vSwitch all the same, nothing; else there is nothing to export from",
        )];
    };
    let directory = |object: &Value| {
        let volumes = &object["spec"]["template"]["spec"]["volumes"];
        volumes[0]["hostPath"]["path"].as_str().map(str::to_owned)
    };
    found(facts, &["DaemonSet"])
        .filter_map(|(_, found)| directory(found))
        .filter(|path| {
            path.trim_start_matches("/var") != platform.socket_directory().trim_start_matches("/var")
        })
        .map(|path| {
            Finding::note(
                format!(
                    "the node daemons look for the socket in {path}; {} has it in {}",
                    platform.name(),
                    platform.socket_directory()
                ),
                format!(
                    "if that is not meant: weir install --platform {} --apply",
                    platform.name()
                ),
            )
        })
        .collect()
}

/// What is there of what is to be installed, of these kinds.
pub(super) fn found<'a>(
    facts: &'a Facts,
    kinds: &'a [&'a str],
) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    facts
        .installed
        .iter()
        .filter(|(wanted, _)| kinds.iter().any(|kind| wanted["kind"] == *kind))
        .filter_map(|(wanted, found)| Some((wanted, found.there()?)))
}

/// The Cluster Network Operator reads the same field.
fn operator_beside(facts: &Facts) -> Vec<Finding> {
    if !facts.groups.iter().any(|group| group == "config.openshift.io") {
        return Vec::new();
    }
    if facts.network == Seen::Unknown {
        return Vec::new();
    }
    let asks = facts
        .network
        .there()
        .is_some_and(|network| !network["spec"]["exportNetworkFlows"].is_null());
    let unmanaged = facts
        .network
        .there()
        .is_some_and(|network| network["spec"]["managementState"] == "Unmanaged");
    if !asks || unmanaged {
        return vec![Finding::fine(
            "the Cluster Network Operator does not export from the same bridge",
        )];
    }
    let (what, remedy) = match facts.source() {
        Some(("FlowExport", _)) => (
            "the Network asks for export: the Cluster Network Operator writes rows of its own into br-int",
            "say what to export in FlowExport/cluster alone: kubectl patch network.operator cluster --type merge -p \
             '{\"spec\":{\"exportNetworkFlows\":null}}'",
        ),
        _ => (
            "the Cluster Network Operator reads the same field, and writes the same rows of br-int at each restart of \
             a node's network pods",
            "weir install --platform openshift --apply: then Weir reads FlowExport/cluster; move there what the Network \
             says",
        ),
    };
    vec![Finding::fault(what, remedy)]
}

fn own_clock(facts: &Facts) -> Vec<Finding> {
    let Some((theirs, ours)) = facts.clocks else {
        return Vec::new();
    };
    let ahead = ours.duration_since(theirs).as_secs_f64();
    // The header has whole seconds.
    if ahead.abs() <= SKEW + 1.0 {
        return Vec::new();
    }
    vec![Finding::note(
        format!("this host's clock differs from the API server's by {ahead:.0} s"),
        "set one of them; --since and --until are read by this host's",
    )]
}

fn api_service(facts: &Facts) -> Vec<Finding> {
    found(facts, &["APIService"])
        .filter_map(|(_, found)| {
            let conditions = found["status"]["conditions"].as_array()?;
            let available = conditions.iter().find(|condition| condition["type"] == "Available")?;
            (available["status"] != "True").then(|| {
                let text = |key: &str| available[key].as_str().unwrap_or_default().to_owned();
                Finding::fault(
                    format!(
                        "the API server does not pass questions on to the collector: {}: {}",
                        text("reason"),
                        text("message")
                    ),
                    "is a collector ready? docs/operations.md#the-certificate-of-the-http-port has the reasons",
                )
            })
        })
        .collect()
}

/// What the collector says of itself.
fn collector(facts: &Facts) -> Vec<Finding> {
    if has_no_collector(facts) {
        return Vec::new();
    }
    let status = match &facts.collector {
        Ok(status) => status,
        Err(why) => {
            return vec![Finding::note(
                format!("the collector was not asked: {why}"),
                "who may get the pods of all namespaces may ask it",
            )];
        }
    };
    let mut findings = Vec::new();
    if let Some(records) = &status.records {
        if records.kernel_drops > 0 {
            findings.push(Finding::fault(
                format!(
                    "the kernel dropped {} datagrams before the collector read them",
                    records.kernel_drops
                ),
                "raise net.core.rmem_max on the collector's node (sysctl -w net.core.rmem_max=33554432), or give it \
                 more CPU",
            ));
        }
        if records.dropped > 0 {
            findings.push(Finding::fault(
                format!("the collector dropped {} records", records.dropped),
                "weir_collector_records_dropped_total says why, by reason",
            ));
        }
    }
    if let Some(store) = &status.store {
        for trouble in &store.troubles {
            findings.push(Finding::fault(
                format!("the collector's store: {trouble}"),
                "is its volume full or read-only?",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("the collector drops nothing, and stores"));
    }
    findings
}

fn unread(facts: &Facts) -> Vec<Finding> {
    facts
        .unread
        .iter()
        .map(|why| Finding::note(why.clone(), "ask with more rights to know"))
        .collect()
}

pub(super) const CLOCK_SKEW: f64 = SKEW;
