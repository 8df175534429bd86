//! Pods that do not run, and those that cannot be made. Pure.

use serde_json::Value;

use super::Finding;
use super::cluster::found;
use super::facts::Facts;

/// Pods that do not run, with what the cluster says about them; what it says about
/// workloads of which there are no pods.
pub fn judge(facts: &Facts) -> Vec<Finding> {
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
        .filter(|event| event["reason"] == "FailedCreate" && lacks_pods(facts, event))
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

/// Whether what an event is about still has fewer pods than it is to have. The API server
/// keeps events for an hour, mended or not.
fn lacks_pods(facts: &Facts, event: &Value) -> bool {
    let object = &event["involvedObject"];
    let name = object["name"].as_str().unwrap_or_default();
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    found(facts, &["DaemonSet", "Deployment"]).any(|(wanted, found)| {
        let of = wanted["metadata"]["name"].as_str().unwrap_or_default();
        let status = &found["status"];
        match wanted["kind"].as_str() {
            Some("DaemonSet") => {
                let desired = status["desiredNumberScheduled"].as_u64();
                name == of && desired.is_none_or(|desired| count(&status["currentNumberScheduled"]) < desired)
            }
            // The event is about its ReplicaSet, which has a name of its own behind.
            _ => {
                let is_its = name.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'));
                is_its && count(&status["updatedReplicas"]) < found["spec"]["replicas"].as_u64().unwrap_or(1)
            }
        }
    })
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
            "weir install --dry-run lists who has set another level; with --force it takes the levels of Pod \
             Security back",
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
            "push the images to a registry that nodes reach, and name it: weir install --apply --registry",
        ),
        (
            "pull image",
            "push the images to a registry that nodes reach, and name it: weir install --apply --registry",
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
