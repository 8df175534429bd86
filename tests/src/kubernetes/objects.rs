//! The Kubernetes objects that describe the lab's nodes and pods; no I/O.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use crate::{
    PodSpec,
    address::{NodeAddresses, PodAddresses},
    kubernetes::binaries,
};

/// A Node.
pub fn node(name: &str, addresses: NodeAddresses) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
        "spec": { "podCIDR": addresses.pod_network(), "podCIDRs": [addresses.pod_network()] },
    })
}

/// A patch of a Node's status: its addresses, and that it is ready. With OVN the first
/// node's address of `br-ex` is one of them, which the gateway router shares. The others
/// are like nodes whose kubelet has another interface: only OVN-Kubernetes' annotations
/// tell of that address.
pub fn node_status(addresses: NodeAddresses, name: &str, ovn: bool) -> Value {
    let internal = |address: String| json!({ "type": "InternalIP", "address": address });
    let mut listed = vec![
        internal(addresses.internal().to_string()),
        internal(addresses.internal_v6().to_string()),
    ];
    if ovn && addresses.number() == 1 {
        listed.push(internal(addresses.fabric().to_string()));
    }
    listed.push(json!({ "type": "Hostname", "address": name }));
    json!({
        "status": {
            "addresses": listed,
            "conditions": [{ "type": "Ready", "status": "True", "reason": "Lab", "message": "" }],
            "nodeInfo": {
                "architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "",
                "kubeProxyVersion": "", "kubeletVersion": binaries::VERSION, "machineID": "",
                "operatingSystem": "linux", "osImage": "Weir lab", "systemUUID": "",
            },
        },
    })
}

/// A Namespace.
pub fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// The Deployment of a pod that has a workload.
pub fn deployment(spec: &PodSpec, replicas: usize) -> Option<Value> {
    let name = spec.workload.as_ref()?;
    Some(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": spec.namespace, "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": { "containers": containers(spec) } },
        },
    }))
}

/// The ReplicaSet between a Deployment and its pods.
pub fn replica_set(spec: &PodSpec, replicas: usize, deployment: &Value) -> Option<Value> {
    let app = spec.workload.as_ref()?;
    let hash = template_hash(spec);
    let labels = json!({ "app": app, "pod-template-hash": hash });
    Some(json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "namespace": spec.namespace,
            "name": format!("{app}-{hash}"),
            "labels": labels,
            "ownerReferences": [owner(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": containers(spec) } },
        },
    }))
}

/// The Pod, owned by its ReplicaSet where it has one.
pub fn pod(spec: &PodSpec, replica_set: Option<&Value>) -> Value {
    let mut labels: Map<String, Value> = Map::new();
    labels.insert("app".to_owned(), spec.app().into());
    if spec.workload.is_some() {
        labels.insert("pod-template-hash".to_owned(), template_hash(spec).into());
    }
    labels.extend(
        spec.labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into())),
    );
    let owners: Vec<Value> = replica_set.map(owner).into_iter().collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": spec.namespace, "name": spec.name, "labels": labels, "ownerReferences": owners,
        },
        "spec": { "nodeName": spec.node, "hostNetwork": false, "containers": containers(spec) },
    })
}

/// A Pod of a program of a node, which a DaemonSet would have made: `ACCOUNT-NODE`.
pub fn account_pod(namespace: &str, account: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace, "name": format!("{account}-{node}"),
            "labels": { "app.kubernetes.io/name": account },
        },
        "spec": {
            "nodeName": node, "serviceAccountName": account,
            "containers": [{ "name": account, "image": "weir.invalid/lab" }],
        },
    })
}

/// A Pod's status: running, with its addresses.
pub fn pod_status(spec: &PodSpec, addresses: PodAddresses, node: NodeAddresses) -> Value {
    let (pod_ip, host_ip) = (addresses.v4.to_string(), node.internal().to_string());
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "namespace": spec.namespace, "name": spec.name },
        "status": {
            "phase": "Running",
            "podIP": pod_ip,
            "podIPs": addresses.both().map(|ip| json!({ "ip": ip.to_string() })),
            "hostIP": host_ip,
            "hostIPs": [{ "ip": host_ip }, { "ip": node.internal_v6().to_string() }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// The Service of a pod that has one. Its ClusterIP is the API server's choice.
pub fn service(spec: &PodSpec) -> Option<Value> {
    let name = spec.service.as_ref()?;
    let ports: Vec<Value> = spec.ports.iter().map(|port| service_port(*port)).collect();
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "namespace": spec.namespace, "name": name },
        "spec": { "selector": { "app": spec.app() }, "ports": ports },
    }))
}

/// The EndpointSlice that a controller-manager would keep for the Service;
/// `pods` are those behind it.
pub fn endpoint_slice(spec: &PodSpec, pods: &[(&PodSpec, PodAddresses)]) -> Option<Value> {
    let name = spec.service.as_ref()?;
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|(pod, addresses)| {
            json!({
                "addresses": [addresses.v4.to_string()],
                "conditions": { "ready": true },
                "nodeName": pod.node,
                "targetRef": { "kind": "Pod", "namespace": pod.namespace, "name": pod.name },
            })
        })
        .collect();
    let ports: Vec<Value> = spec
        .ports
        .iter()
        .map(|port| json!({ "name": port_name(*port), "port": port, "protocol": "TCP" }))
        .collect();
    Some(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": spec.namespace, "name": format!("{name}-lab"),
            "labels": { "kubernetes.io/service-name": name },
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }))
}

fn containers(spec: &PodSpec) -> Value {
    let ports: Vec<Value> = spec
        .ports
        .iter()
        .map(|port| json!({ "containerPort": port }))
        .collect();
    json!([{ "name": "main", "image": "weir.invalid/lab", "ports": ports }])
}

fn service_port(port: u16) -> Value {
    json!({ "name": port_name(port), "port": port, "targetPort": port, "protocol": "TCP" })
}

fn port_name(port: u16) -> String {
    format!("tcp-{port}")
}

/// Looks like the hash that Deployments put in their ReplicaSets' names.
fn template_hash(spec: &PodSpec) -> String {
    let mut hasher = DefaultHasher::new();
    (&spec.namespace, &spec.workload).hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}

fn owner(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"],
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_owned_by_the_replica_set_whose_selector_matches_it() {
        let spec = PodSpec::new("node-a", "shop", "web-1").workload("web");
        let set = replica_set(
            &spec,
            1,
            &json!({ "kind": "Deployment", "metadata": { "uid": "u1" } }),
        )
        .unwrap();
        assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], "u1");
        let pod = pod(&spec, Some(&set));
        assert_eq!(
            pod["metadata"]["ownerReferences"][0]["name"],
            set["metadata"]["name"]
        );
        assert_eq!(pod["metadata"]["labels"], set["spec"]["selector"]["matchLabels"]);
    }

    #[test]
    fn a_pod_without_a_workload_has_no_owner_and_is_selected_by_its_name() {
        let spec = PodSpec::new("node-a", "shop", "once").service("single").port(80);
        let pod = pod(&spec, None);
        assert_eq!(pod["metadata"]["ownerReferences"], json!([]));
        assert_eq!(
            service(&spec).unwrap()["spec"]["selector"],
            pod["metadata"]["labels"]
        );
        assert_eq!(deployment(&spec, 1), None);
    }
}
