//! Keeps the API server's objects in step with the pods of the lab, in as few
//! kubectl runs as their order allows: each takes about a tenth of a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use anyhow::Result;
use serde_json::Value;

use super::{Kubernetes, annotations, objects};
use crate::{
    Pod, PodSpec,
    address::NodeAddresses,
    localnet::SecondInterface,
    ovn::{egress, service::ServiceSpec},
};

/// Creates a node's object with its addresses.
pub(crate) fn create_node(
    kubernetes: &Kubernetes,
    name: &str,
    addresses: NodeAddresses,
    ovn: bool,
) -> Result<()> {
    let mut node = objects::node(name, addresses);
    if ovn {
        node["metadata"]["annotations"] = annotations::of_node(name, addresses);
    }
    kubernetes.apply_objects(vec![node])?;
    // Patched as a kubelet does, not applied: server-side apply refuses two
    // addresses of one type (kubernetes/kubernetes issue 121896).
    let status = objects::node_status(addresses, name, ovn).to_string();
    let patch = [
        "patch",
        "node",
        name,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    kubernetes.kubectl(&patch).map(drop)
}

/// Creates what stands above the pods, then the pods themselves; their uids.
pub(crate) fn create_pods(
    kubernetes: &Kubernetes,
    specs: &[PodSpec],
    existing: &[Pod],
) -> Result<Vec<Option<String>>> {
    let namespaces: BTreeSet<&str> = specs.iter().map(|spec| spec.namespace.as_str()).collect();
    kubernetes.apply_objects(namespaces.into_iter().map(objects::namespace).collect())?;
    let sets = create_workloads(kubernetes, specs, existing)?;
    let pod = |spec| objects::pod(spec, workload(spec).and_then(|workload| sets.get(&workload)));
    let services = specs.iter().filter_map(objects::service);
    let objects = kubernetes.apply_objects(specs.iter().map(pod).chain(services).collect())?;
    let uid = |object: &Value| Some(object["metadata"]["uid"].as_str()?.to_owned());
    Ok(objects.iter().take(specs.len()).map(uid).collect())
}

/// Publishes the addresses of pods that are plugged in.
pub(crate) fn publish_pods(kubernetes: &Kubernetes, added: &[Pod], all: &[Pod]) -> Result<()> {
    let status = |pod: &Pod| objects::pod_status(&pod.spec, pod.addresses(), pod.place.node);
    kubernetes.apply_status(added.iter().map(status).collect())?;
    let slices = added.iter().filter_map(|pod| endpoint_slice(pod, all)).collect();
    kubernetes.apply_objects(slices).map(drop)
}

/// Deletes a pod's object; `rest` are the pods that stay.
pub(crate) fn delete_pod(kubernetes: &Kubernetes, pod: &Pod, rest: &[Pod]) -> Result<()> {
    let PodSpec { namespace, name, .. } = &pod.spec;
    let what = ["delete", "pod", "-n", namespace, name];
    let how = [
        "--grace-period=0",
        "--force",
        "--wait=false",
        "--ignore-not-found",
    ];
    kubernetes.kubectl(&[&what[..], &how].concat())?;
    kubernetes
        .apply_objects(endpoint_slice(pod, rest).into_iter().collect())
        .map(drop)
}

/// Creates Services with what stands behind them, and publishes their addresses.
pub(crate) fn create_services(kubernetes: &Kubernetes, services: &[ServiceSpec]) -> Result<()> {
    let objects = services.iter().map(ServiceSpec::object);
    let slices = services.iter().flat_map(ServiceSpec::endpoint_slices);
    kubernetes.apply_objects(objects.chain(slices).collect())?;
    kubernetes.apply_status(services.iter().filter_map(ServiceSpec::status).collect())
}

/// Tells of a pod's second interface.
pub(crate) fn annotate_networks(kubernetes: &Kubernetes, interface: &SecondInterface) -> Result<()> {
    let PodSpec { namespace, name, .. } = &interface.pod.spec;
    let patch = serde_json::json!({ "metadata": { "annotations": annotations::of_pod(interface) } });
    let what = [
        "patch",
        "pod",
        "-n",
        namespace,
        name,
        "--type=merge",
        "-p",
        &patch.to_string(),
    ];
    kubernetes.kubectl(&what).map(drop)
}

/// Tells of an egress IP.
pub(crate) fn create_egress_ip(
    kubernetes: &Kubernetes,
    pod: &Pod,
    through: NodeAddresses,
    address: Ipv4Addr,
) -> Result<()> {
    kubernetes.apply_objects(vec![egress::definition()])?;
    let established = ["wait", "--for=condition=Established", "crd/egressips.k8s.ovn.org"];
    kubernetes.kubectl(&[&established[..], &["--timeout=30s"]].concat())?;
    let object = egress::object(pod, through, address);
    kubernetes.apply_objects(vec![object]).map(drop)
}

type Workload<'a> = (&'a str, &'a str);

fn workload(spec: &PodSpec) -> Option<Workload<'_>> {
    Some((&spec.namespace, spec.workload.as_deref()?))
}

/// The Deployments and ReplicaSets of `specs`; the latter, by workload.
fn create_workloads<'a>(
    kubernetes: &Kubernetes,
    specs: &'a [PodSpec],
    existing: &[Pod],
) -> Result<BTreeMap<Workload<'a>, Value>> {
    let owned: BTreeMap<Workload<'a>, &PodSpec> = specs
        .iter()
        .filter_map(|spec| Some((workload(spec)?, spec)))
        .collect();
    let replicas = |of: &PodSpec| {
        let all = specs.iter().chain(existing.iter().map(|pod| &pod.spec));
        all.filter(|spec| workload(spec) == workload(of)).count()
    };
    let deployments = owned
        .values()
        .filter_map(|spec| objects::deployment(spec, replicas(spec)));
    let deployments = kubernetes.apply_objects(deployments.collect())?;
    let sets = owned.values().zip(&deployments);
    let sets = sets.filter_map(|(spec, owner)| objects::replica_set(spec, replicas(spec), owner));
    let sets = kubernetes.apply_objects(sets.collect())?;
    Ok(owned.into_keys().zip(sets).collect())
}

/// The EndpointSlice of the Service that a pod stands behind.
fn endpoint_slice(of: &Pod, all: &[Pod]) -> Option<Value> {
    let behind: Vec<_> = all
        .iter()
        .filter(|pod| pod.spec.namespace == of.spec.namespace && pod.spec.app() == of.spec.app())
        .map(|pod| (&pod.spec, pod.addresses()))
        .collect();
    objects::endpoint_slice(&of.spec, &behind)
}
