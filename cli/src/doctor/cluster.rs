//! What is wrong with what is installed, and with what surrounds it. Pure.

use serde_json::Value;

use super::Finding;
use super::facts::Facts;
use crate::platform::{Platform, describe};

/// Tokens of pods name their node from this minor version on.
const OLDEST: u32 = 32;
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
        pods(facts),
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
        Some(minor) if minor < OLDEST => vec![Finding::fault(
            format!(
                "Kubernetes is 1.{minor}, whose tokens do not name a pod's node: no daemon may write its report"
            ),
            format!("upgrade to 1.{OLDEST} or later"),
        )],
        Some(minor) => vec![Finding::fine(format!("Kubernetes is 1.{minor}"))],
        None => Vec::new(),
    }
}

/// The overlay that fits.
fn overlay(facts: &Facts) -> &'static str {
    facts.platform.unwrap_or(Platform::Kubernetes).name()
}

fn installed(facts: &Facts) -> Vec<Finding> {
    let missing: Vec<String> = facts
        .installed
        .iter()
        .filter(|(_, found)| found.is_none())
        .map(|(wanted, _)| describe(wanted))
        .collect();
    let platform = overlay(facts);
    if missing.is_empty() {
        return vec![Finding::fine(format!("all that {platform} needs is installed"))];
    }
    vec![Finding::fault(
        format!("not installed: {}", missing.join(", ")),
        format!("weir install --platform {platform} --apply"),
    )]
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
        format!("weir install --platform {} --apply", overlay(facts)),
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
fn found<'a>(facts: &'a Facts, kinds: &'a [&'a str]) -> impl Iterator<Item = (&'a Value, &'a Value)> {
    facts
        .installed
        .iter()
        .filter(|(wanted, _)| kinds.iter().any(|kind| wanted["kind"] == *kind))
        .filter_map(|(wanted, found)| Some((wanted, found.as_ref()?)))
}

/// Pods that do not run, with what the cluster says about them; what it says about
/// workloads of which there are no pods.
fn pods(facts: &Facts) -> Vec<Finding> {
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let mut findings = Vec::new();
    for pod in facts.pods.iter().filter(|pod| !is_ready(pod)) {
        let pod = name(pod);
        let said = last_warning(facts, &pod).unwrap_or_else(|| "its log may say why".to_owned());
        findings.push(Finding::fault(
            format!("the pod {pod} is not ready: {said}"),
            remedy_of(&said),
        ));
    }
    for event in facts
        .warnings
        .iter()
        .filter(|event| event["reason"] == "FailedCreate")
    {
        let said = event["message"].as_str().unwrap_or_default();
        let of = event["involvedObject"]["name"].as_str().unwrap_or_default();
        findings.push(Finding::fault(
            format!("{of} cannot make pods: {said}"),
            remedy_of(said),
        ));
    }
    findings.dedup();
    findings
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    pod["status"]["phase"] == "Succeeded"
        || conditions
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn last_warning(facts: &Facts, name: &str) -> Option<String> {
    let of_it = facts
        .warnings
        .iter()
        .filter(|event| event["involvedObject"]["name"] == name);
    let last = of_it.max_by_key(|event| event["lastTimestamp"].as_str().unwrap_or_default().to_owned())?;
    last["message"].as_str().map(str::to_owned)
}

/// What to do about what Kubernetes says.
fn remedy_of(said: &str) -> &'static str {
    let known: [(&str, &str); 7] = [
        (
            "violates PodSecurity",
            "weir install --apply: the namespaces have levels of Pod Security that fit",
        ),
        (
            "unable to validate against any security context constraint",
            "weir install --platform openshift --apply",
        ),
        (
            "hostPath type check failed",
            "the node has no Open vSwitch there: install it, or take the overlay of your network plugin, or keep the \
             daemon off that node by a nodeSelector",
        ),
        (
            "ImagePull",
            "push the images to a registry that nodes reach, and name it: weir install --registry",
        ),
        (
            "pull image",
            "push the images to a registry that nodes reach, and name it: weir install --registry",
        ),
        (
            "Readiness probe failed",
            "kubectl describe nodeflowexport, and the log of the pod",
        ),
        (
            "Insufficient",
            "the nodes have too little room; ask for less in a patch of the resources",
        ),
    ];
    let fits = known.iter().find(|(words, _)| said.contains(words));
    fits.map_or("kubectl describe the pod, and its log", |(_, remedy)| remedy)
}

/// The Cluster Network Operator reads the same field.
fn operator_beside(facts: &Facts) -> Vec<Finding> {
    if !facts.groups.iter().any(|group| group == "config.openshift.io") {
        return Vec::new();
    }
    let asks = facts
        .network
        .as_ref()
        .is_some_and(|network| !network["spec"]["exportNetworkFlows"].is_null());
    let unmanaged = facts
        .network
        .as_ref()
        .is_some_and(|network| network["spec"]["managementState"] == "Unmanaged");
    if !asks || unmanaged {
        return vec![Finding::fine(
            "the Cluster Network Operator does not export from the same bridge",
        )];
    }
    let (what, remedy) = match facts.source() {
        ("FlowExport", _) => (
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
