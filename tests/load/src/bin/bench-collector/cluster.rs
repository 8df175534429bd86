//! The objects of a cluster as a kube-apiserver lists them, and the labels of its
//! networks: the pods that the load is about, each behind a Service with eight ports.
//! Who serves them is `apiserver`'s.

use serde_json::{Value, json};
use weir_load::flow::{self, NODES, PODS, SERVICE_PORTS, SERVICES};

const CREATED: &str = "2026-01-01T00:00:00Z";
const NAMESPACES: u32 = 20;

/// `customLabels` of ten networks: the cluster's own, as OpenShift labels them, and
/// parts of the network outside.
pub fn labels() -> String {
    let outside = (0..8).map(|n| format!("- {{name: partner-{n}, cidrs: [\"203.0.113.{}/27\"]}}\n", n * 32));
    let own = "customLabels:\n- {name: pods, cidrs: [\"10.128.0.0/9\"]}\n- {name: services, cidrs: [\"10.96.0.0/16\"]}\n";
    own.to_owned() + &outside.collect::<String>()
}

/// The list at a path of the API; empty where there is nothing of that kind.
pub fn list(path: &str) -> Value {
    let (version, kind, items): (_, _, Vec<Value>) = match path {
        "/api/v1/pods" => ("v1", "PodList", all_pods().map(pod).collect()),
        "/api/v1/nodes" => ("v1", "NodeList", (0..NODES).map(node).collect()),
        "/api/v1/services" => ("v1", "ServiceList", (0..SERVICES).map(service).collect()),
        "/apis/discovery.k8s.io/v1/endpointslices" => (
            "discovery.k8s.io/v1",
            "EndpointSliceList",
            (0..SERVICES).map(slice).collect(),
        ),
        "/apis/apps/v1/replicasets" => (
            "meta.k8s.io/v1",
            "PartialObjectMetadataList",
            (0..SERVICES).map(replica_set).collect(),
        ),
        "/apis/weir.dev/v1alpha1/nodeflowexports" => (
            "weir.dev/v1alpha1",
            "NodeFlowExportList",
            (0..NODES).map(export).collect(),
        ),
        _ => ("meta.k8s.io/v1", "PartialObjectMetadataList", Vec::new()),
    };
    json!({"apiVersion": version, "kind": kind, "metadata": {"resourceVersion": "1"}, "items": items})
}

fn all_pods() -> impl Iterator<Item = (u32, u32)> {
    (0..NODES).flat_map(|node| (0..PODS).map(move |number| (node, number)))
}

/// The Service that a pod stands behind; its pods are spread over all nodes.
const fn service_of(node: u32, number: u32) -> u32 {
    (node * PODS + number) % SERVICES
}

fn meta(ns: Option<u32>, name: &str) -> Value {
    let mut meta = json!({"name": name, "uid": name, "resourceVersion": "1", "creationTimestamp": CREATED});
    if let Some(service) = ns {
        meta["namespace"] = flow::namespace(service % NAMESPACES).into();
    }
    meta
}

fn pod((node, number): (u32, u32)) -> Value {
    let service = service_of(node, number);
    let (address, v6) = (flow::pod(node, number), flow::v6(flow::pod(node, number)));
    let mut meta = meta(Some(service), &flow::pod_name(node, number));
    meta["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set_name(service),
        "uid": set_name(service), "controller": true}]);
    json!({
        "metadata": meta,
        "spec": {"nodeName": node_name(node), "containers": [{"name": "main", "image": "main"}]},
        "status": {"phase": "Running", "startTime": CREATED, "hostIP": node_address(node), "podIP": address,
                   "podIPs": [{"ip": address}, {"ip": v6}]},
    })
}

fn node(node: u32) -> Value {
    let mut meta = meta(None, &node_name(node));
    let zone = format!("eu-central-1{}", ["a", "b", "c"][node as usize % 3]);
    meta["labels"] =
        json!({"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "eu-central-1"});
    json!({
        "metadata": meta,
        "status": {"addresses": [{"type": "InternalIP", "address": node_address(node)}]},
    })
}

fn service(service: u32) -> Value {
    let ports = SERVICE_PORTS.map(|port| json!({"name": format!("p{port}"), "port": port}));
    json!({
        "metadata": meta(Some(service), &service_name(service)),
        "spec": {"type": "ClusterIP", "clusterIP": flow::cluster_ip(service),
                 "clusterIPs": [flow::cluster_ip(service)], "ports": ports},
    })
}

fn slice(service: u32) -> Value {
    let behind = all_pods().filter(|(node, number)| service_of(*node, *number) == service);
    let endpoints: Vec<_> = behind
        .map(|(node, number)| json!({"addresses": [flow::pod(node, number)], "conditions": {"ready": true}}))
        .collect();
    let ports =
        SERVICE_PORTS.map(|port| json!({"name": format!("p{port}"), "port": port, "protocol": "TCP"}));
    let mut meta = meta(Some(service), &format!("{}-x1", service_name(service)));
    meta["labels"] = json!({"kubernetes.io/service-name": service_name(service)});
    json!({"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": ports})
}

fn replica_set(service: u32) -> Value {
    let mut meta = meta(Some(service), &set_name(service));
    meta["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment",
        "name": service_name(service), "uid": service_name(service), "controller": true}]);
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": meta})
}

/// All three protocols on the one bridge, in force.
fn export(node: u32) -> Value {
    let targets = json!(["127.0.0.1:4739"]);
    let bridge = json!({
        "name": "br-int",
        "netFlow": {"targets": targets, "activeTimeout": 60},
        "sFlow": {"targets": targets, "sampling": 64},
        "ipfix": {"targets": targets, "sampling": 1, "obsDomainId": node},
    });
    let (mut wanted, mut shown) = (bridge.clone(), bridge);
    wanted["exporterId"] = node.into();
    shown["present"] = true.into();
    let mut meta = meta(None, &node_name(node));
    meta["generation"] = 1.into();
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "AsExpected", "message": "",
               "lastTransitionTime": CREATED, "observedGeneration": 1})
    };
    json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": meta,
        "spec": {"bridges": [wanted]},
        "status": {"observedGeneration": 1, "protocols": "NetFlow,sFlow,IPFIX", "reason": "AsExpected",
                   "bridges": [shown], "conditions": [condition("Applied"), condition("Exporting")]},
    })
}

fn node_name(node: u32) -> String {
    format!("ip-10-0-0-{node}.eu-central-1.compute.internal")
}

/// Where the load's exporter of that number sends from.
fn node_address(node: u32) -> std::net::Ipv4Addr {
    weir_load::source(node)
}

fn service_name(service: u32) -> String {
    format!("service-{service}")
}

fn set_name(service: u32) -> String {
    format!("service-{service}-5d9c7f86b4")
}
