use super::*;
use crate::facts::objects::{EndpointSlice, Node, Pod, Service};
use crate::facts::{self, Owner};
use crate::{Owners, Span};
use serde_json::{Value, json};
use weir_api::NodeFlowExport;
use weir_api::interface::{EXTERNAL, UNPROVEN};
use weir_flow::Kind;

const POD_IP: &str = "10.128.0.5";
const SECOND: u64 = 1_000_000_000;
/// When the pods of the tests were made: 2026-01-01.
const MADE: u64 = 1_767_225_600 * SECOND;

/// The index, and the time, in seconds since the pods were made.
#[derive(Default)]
struct Cluster(Index, u64);

impl Cluster {
    fn pod(&mut self, name: &str, object: Value) {
        let pod: Pod = serde_json::from_value(object).unwrap();
        self.apply(ObjectKind::Pod, name, facts::pod(&pod));
    }

    fn apply(&mut self, kind: ObjectKind, name: &str, fact: Fact) -> bool {
        let ns = if matches!(kind, ObjectKind::Node | ObjectKind::NodeFlowExport) {
            ""
        } else {
            "shop"
        };
        self.0
            .apply(ObjectKey::new(kind, ns, name), fact, MADE + self.1 * SECOND)
    }

    fn delete(&mut self, kind: ObjectKind, name: &str) {
        let ns = if kind == ObjectKind::Node { "" } else { "shop" };
        self.0
            .delete(&ObjectKey::new(kind, ns, name), MADE + self.1 * SECOND);
    }

    fn node(&mut self, name: &str, zone: &str, address: &str) {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone,
                         "failure-domain.beta.kubernetes.io/zone": "old", "failure-domain.beta.kubernetes.io/region": "north"}},
            "status": {"addresses": [
                {"type": "Hostname", "address": name},
                {"type": "ExternalIP", "address": "203.0.113.7"},
                {"type": "InternalIP", "address": address}]},
        }))
        .unwrap();
        self.apply(ObjectKind::Node, name, facts::node(&node));
    }

    fn controlled(&mut self, kind: ObjectKind, name: &str, owner: Option<(&str, &str)>) {
        let owner = owner.map(|(kind, name)| Owner {
            kind: kind.into(),
            name: name.into(),
            watched: None,
        });
        self.apply(kind, name, Fact::Controlled(owner));
    }

    fn who(&mut self, address: &str) -> Option<Identity> {
        match self.owners(address, self.1 + 5).as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => panic!("several: {several:?}"),
        }
    }

    /// Everybody who had an address at a time, in seconds.
    fn owners(&mut self, address: &str, at: u64) -> Vec<Identity> {
        let snapshot = self.0.snapshot();
        let at = MADE + at * SECOND;
        let flow = Span { from: at, to: at };
        match snapshot.directory.owners(address.parse().unwrap(), flow) {
            Owners::Nobody => Vec::new(),
            Owners::One(who) => vec![(**who).clone()],
            Owners::Several(all) => all.into_iter().map(|who| (**who).clone()).collect(),
        }
    }

    fn names(&mut self, address: &str, at: u64) -> Vec<String> {
        let owners = self.owners(address, at);
        owners.iter().map(|who| who.name.to_string()).collect()
    }

    fn service(&mut self, address: &str, proto: u8, port: u16) -> String {
        let at = Span::since(MADE + (self.1 + 5) * SECOND);
        let directory = self.0.snapshot().directory;
        let endpoint = Endpoint {
            address: address.parse().unwrap(),
            proto,
            port,
        };
        let who = directory.service(endpoint, at);
        who.map_or(String::new(), |who| {
            format!("{}/{}", who.service_ns, who.service_name)
        })
    }

    fn workload(&mut self) -> (String, String) {
        let who = self.who(POD_IP).unwrap();
        (who.workload_kind.to_string(), who.workload_name.to_string())
    }
}

fn running(owner: Option<(&str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .map(|(kind, name)| {
            let version = match kind {
                "Job" => "batch/v1",
                "ReplicationController" | "Node" => "v1",
                _ => "apps/v1",
            };
            json!({"apiVersion": version, "kind": kind, "name": name, "uid": "u", "controller": true})
        })
        .into_iter()
        .collect();
    json!({
        "metadata": {"name": "p", "namespace": "shop", "ownerReferences": owners,
                     "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node-a", "containers": []},
        "status": {"phase": "Running", "podIP": POD_IP, "podIPs": [{"ip": POD_IP}, {"ip": "fd00::5"}]},
    })
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key] = value;
    object
}

#[test]
fn a_pod_is_found_by_each_of_its_addresses_with_its_node_and_zone() {
    let mut cluster = Cluster::default();
    cluster.pod("web", running(None));
    cluster.node("node-a", "zone-1", "192.0.2.1");
    for address in [POD_IP, "fd00::5"] {
        let who = cluster.who(address).unwrap();
        assert_eq!((who.pod_name(), &*who.ns, who.kind), ("web", "shop", Kind::Pod));
        assert_eq!(
            (&*who.node_name, &*who.zone, &*who.region),
            ("node-a", "zone-1", "north")
        );
        assert_eq!(&*who.network, "primary");
        assert_eq!(who.node_addr, Some([192, 0, 2, 1].into()));
    }
}

#[test]
fn the_workload_is_the_top_owner_whichever_object_comes_first() {
    let mut cluster = Cluster::default();
    cluster.pod("web", running(Some(("ReplicaSet", "web-5d9"))));
    assert_eq!(cluster.workload(), ("ReplicaSet".into(), "web-5d9".into()));
    cluster.controlled(ObjectKind::ReplicaSet, "web-5d9", Some(("Deployment", "web")));
    assert_eq!(cluster.workload(), ("Deployment".into(), "web".into()));

    let mut cluster = Cluster::default();
    cluster.controlled(ObjectKind::Job, "backup-1", Some(("CronJob", "backup")));
    cluster.pod("backup-1-x", running(Some(("Job", "backup-1"))));
    assert_eq!(cluster.workload(), ("CronJob".into(), "backup".into()));

    let mut cluster = Cluster::default();
    cluster.controlled(
        ObjectKind::ReplicationController,
        "shop-3",
        Some(("DeploymentConfig", "shop")),
    );
    cluster.pod("shop-3-x", running(Some(("ReplicationController", "shop-3"))));
    assert_eq!(cluster.workload(), ("DeploymentConfig".into(), "shop".into()));

    let mut cluster = Cluster::default();
    cluster.controlled(ObjectKind::ReplicaSet, "web-5d9", Some(("Rollout", "web")));
    cluster.pod("web", running(Some(("ReplicaSet", "web-5d9"))));
    assert_eq!(cluster.workload(), ("Rollout".into(), "web".into()));
}

#[test]
fn a_controller_of_another_group_is_not_taken_for_its_namesake() {
    let owner = |version: &str| {
        let metadata = json!({"ownerReferences": [
            {"apiVersion": version, "kind": "Job", "name": "x", "uid": "u", "controller": true}]});
        Owner::of(&serde_json::from_value(metadata).unwrap())
            .unwrap()
            .watched
    };
    assert_eq!(
        (owner("batch/v1"), owner("batch.volcano.sh/v1alpha1")),
        (Some(ObjectKind::Job), None)
    );
}

#[test]
fn a_workload_without_an_owner_above_is_its_own_top() {
    let mut cluster = Cluster::default();
    cluster.controlled(ObjectKind::Job, "once", None);
    cluster.pod("once-x", running(Some(("Job", "once"))));
    assert_eq!(cluster.workload(), ("Job".into(), "once".into()));
    let mut cluster = Cluster::default();
    cluster.pod("db-0", running(Some(("StatefulSet", "db"))));
    assert_eq!(cluster.workload(), ("StatefulSet".into(), "db".into()));
    let mut cluster = Cluster::default();
    cluster.pod("alone", running(None));
    assert_eq!(cluster.workload(), ("Pod".into(), "alone".into()));
    let mut cluster = Cluster::default();
    cluster.pod("etcd-node-a", running(Some(("Node", "node-a"))));
    assert_eq!(cluster.workload(), ("Node".into(), "node-a".into()));
}

#[test]
fn the_workload_stays_true_when_the_replicaset_goes_before_its_pods() {
    let mut cluster = Cluster::default();
    cluster.controlled(ObjectKind::ReplicaSet, "web-5d9", Some(("Deployment", "web")));
    cluster.pod("web", running(Some(("ReplicaSet", "web-5d9"))));
    cluster.delete(ObjectKind::ReplicaSet, "web-5d9");
    assert_eq!(cluster.workload(), ("Deployment".into(), "web".into()));
}

#[test]
fn a_pod_on_the_host_network_claims_nothing_and_its_node_has_the_address() {
    let mut cluster = Cluster::default();
    cluster.node("node-a", "zone-1", POD_IP);
    cluster.pod("web", with(running(None), "/spec/hostNetwork", json!(true)));
    assert_eq!(cluster.who(POD_IP).unwrap().kind, Kind::Node);
    assert_eq!(cluster.who("fd00::5"), None);
}

#[test]
fn a_pod_that_ended_held_its_address_until_its_last_container_ended() {
    for phase in ["Succeeded", "Failed"] {
        let mut cluster = Cluster::default();
        cluster.pod("web", running(None));
        cluster.1 = 100;
        let ended = json!([{"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                            "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-01-01T00:01:00Z"}}}]);
        let status = with(running(None), "/status/phase", json!(phase));
        cluster.pod("web", with(status, "/status/containerStatuses", ended));
        assert_eq!(cluster.names(POD_IP, 60), ["web"]);
        assert_eq!(cluster.names(POD_IP, 63), [""; 0]);
        cluster.pod("next", since(running(None), 70));
        assert_eq!(cluster.names(POD_IP, 75), ["next"]);
        cluster.delete(ObjectKind::Pod, "web");
        assert_eq!(
            (cluster.names(POD_IP, 60), cluster.names(POD_IP, 75)),
            (vec!["web".into()], vec!["next".into()])
        );
    }
}

/// The pod, made at a time in seconds.
fn since(pod: Value, at: u64) -> Value {
    let time = jiff::Timestamp::from_nanosecond(i128::from(MADE + at * SECOND)).unwrap();
    with(pod, "/metadata/creationTimestamp", json!(time.to_string()))
}

#[test]
fn an_address_that_was_given_to_another_pod_is_credited_by_time() {
    let mut cluster = Cluster::default();
    cluster.pod("old", running(None));
    cluster.1 = 100;
    cluster.delete(ObjectKind::Pod, "old");
    cluster.pod("new", since(running(None), 110));
    for address in [POD_IP, "fd00::5"] {
        assert_eq!(cluster.names(address, 50), ["old"]);
        assert_eq!(cluster.names(address, 105), [""; 0]);
        assert_eq!(cluster.names(address, 120), ["new"]);
    }
}

#[test]
fn two_pods_that_both_claim_an_address_are_both_shown() {
    let mut cluster = Cluster::default();
    cluster.pod("old", running(None));
    cluster.pod("new", since(running(None), 50));
    assert_eq!(cluster.names(POD_IP, 60), ["old", "new"]);
    let leaving = with(
        running(None),
        "/metadata/deletionTimestamp",
        json!("2026-01-01T00:01:00Z"),
    );
    cluster.pod("old", leaving);
    assert_eq!(
        (cluster.names(POD_IP, 40), cluster.names(POD_IP, 60)),
        (vec!["old".into()], vec!["new".into()])
    );
}

#[test]
fn a_pod_that_waits_for_its_address_has_it_since_it_was_last_seen_without() {
    let mut cluster = Cluster::default();
    cluster.pod("old", running(None));
    let waiting = with(
        with(since(running(None), 50), "/status/podIP", json!(null)),
        "/status/podIPs",
        json!([]),
    );
    cluster.1 = 55;
    cluster.pod("new", waiting.clone());
    cluster.1 = 80;
    cluster.delete(ObjectKind::Pod, "old");
    cluster.1 = 90;
    cluster.pod("new", waiting);
    cluster.1 = 95;
    cluster.pod("new", since(running(None), 50));
    assert_eq!(cluster.names(POD_IP, 70), ["old"]);
    assert_eq!(cluster.names(POD_IP, 92), ["new"]);
}

#[test]
fn a_pod_that_was_made_anew_under_its_name_is_another_one() {
    let mut cluster = Cluster::default();
    cluster.pod("db-0", running(None));
    cluster.1 = 100;
    let other = with(
        with(since(running(None), 60), "/spec/nodeName", json!("node-b")),
        "/status",
        json!({"podIP": "10.128.0.9"}),
    );
    cluster.pod("db-0", other);
    assert_eq!(
        (cluster.names(POD_IP, 50), cluster.names(POD_IP, 90)),
        (vec!["db-0".into()], vec![])
    );
    assert_eq!(&*cluster.owners(POD_IP, 50)[0].node_name, "node-a");
    assert_eq!(&*cluster.owners("10.128.0.9", 70)[0].node_name, "node-b");
}

#[test]
fn who_had_an_address_is_known_for_the_history_and_nothing_is_left_after_it() {
    let mut cluster = Cluster(Index::new(Duration::from_secs(60)), 0);
    cluster.pod("web", running(None));
    cluster.1 = 100;
    cluster.delete(ObjectKind::Pod, "web");
    assert!(
        cluster
            .0
            .snapshot()
            .directory
            .pod("shop/web", Span::since(MADE))
            .is_some()
    );
    cluster.0.expire(MADE + 150 * SECOND);
    assert_eq!(cluster.names(POD_IP, 50), ["web"]);
    assert!(cluster.0.expire(MADE + 161 * SECOND));
    let directory = cluster.0.snapshot().directory;
    assert!(directory.addresses.is_empty() && directory.pods.is_empty());
    assert!(cluster.0.is_empty() && cluster.0.holdings() == 0 && cluster.0.dependents.is_empty());
}

#[test]
fn addresses_in_secondary_networks_bear_the_network() {
    let multus = json!([
        {"name": "ovn-kubernetes", "interface": "eth0", "ips": [POD_IP], "default": true},
        {"name": "shop/blue", "interface": "net1", "ips": ["192.168.7.2"]}]);
    let ovn = json!({"default": {"ip_addresses": ["10.128.0.5/23"]},
                     "shop/red": {"ip_addresses": ["172.30.7.2/24"], "role": "secondary"}});
    let annotations = json!({"k8s.v1.cni.cncf.io/network-status": multus.to_string(),
                             "k8s.ovn.org/pod-networks": ovn.to_string()});
    let mut cluster = Cluster::default();
    cluster.pod("web", with(running(None), "/metadata/annotations", annotations));
    for (address, network) in [
        (POD_IP, "primary"),
        ("192.168.7.2", "shop/blue"),
        ("172.30.7.2", "shop/red"),
    ] {
        let who = cluster.who(address).unwrap();
        assert_eq!((who.pod_name(), &*who.network), ("web", network));
    }
    // Whoever makes a pod may write that it has any address.
    let claims =
        json!([{"name": "shop/blue", "interface": "net1", "ips": ["8.8.8.8", "2001:4860:4860::8888"]}]);
    let claims = json!({"k8s.v1.cni.cncf.io/network-status": claims.to_string()});
    cluster.pod("claims", with(running(None), "/metadata/annotations", claims));
    assert!(cluster.who("8.8.8.8").is_none() && cluster.who("2001:4860:4860::8888").is_none());
    // Nor that it is in the cluster's own network, or in one that is told by no name.
    for name in ["primary", ""] {
        let claims = json!([{"name": name, "ips": ["192.168.7.9"], "mac": "02:00:00:00:00:07"}]);
        let claims = json!({"k8s.v1.cni.cncf.io/network-status": claims.to_string()});
        cluster.pod("claims", with(running(None), "/metadata/annotations", claims));
        let at = Span::since(MADE + 5 * SECOND);
        let directory = cluster.0.snapshot().directory;
        let by_mac = directory.mac([2, 0, 0, 0, 0, 7], at).unwrap();
        assert_eq!(&*by_mac.network, UNPROVEN, "{name:?}");
        let by_address = cluster.who("192.168.7.9").map(|who| who.network.to_string());
        assert_eq!(by_address.as_deref(), (name.is_empty()).then_some(UNPROVEN));
    }
    let nonsense = json!({"k8s.v1.cni.cncf.io/network-status": "{", "k8s.ovn.org/pod-networks": "[]"});
    cluster.pod("other", with(running(None), "/metadata/annotations", nonsense));
}

#[test]
fn a_node_is_found_by_its_addresses_and_its_change_reaches_its_pods() {
    let mut cluster = Cluster::default();
    cluster.node("node-a", "zone-1", "192.0.2.1");
    cluster.pod("web", running(None));
    let who = cluster.who("203.0.113.7").unwrap();
    assert_eq!(
        (who.kind, &*who.name, &*who.workload_kind),
        (Kind::Node, "node-a", "Node")
    );
    cluster.node("node-a", "zone-2", "192.0.2.9");
    assert_eq!(&*cluster.who(POD_IP).unwrap().zone, "zone-2");
    assert_eq!(cluster.who("192.0.2.1"), None);
    cluster.delete(ObjectKind::Node, "node-a");
    assert_eq!(&*cluster.who(POD_IP).unwrap().zone, "");
}

#[test]
fn a_service_is_found_by_its_cluster_and_balancer_addresses() {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "None"],
                 "externalIPs": ["192.0.2.80"], "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}, {"hostname": "lb.example"}]}},
    }))
    .unwrap();
    let mut cluster = Cluster::default();
    cluster.apply(ObjectKind::Service, "web", facts::service(&service));
    for (address, network) in [("10.96.0.10", ""), ("203.0.113.9", ""), ("192.0.2.80", EXTERNAL)] {
        let who = cluster.who(address).unwrap();
        assert_eq!(
            (&*who.service_name, &*who.service_ns, who.pod_name()),
            ("web", "shop", "")
        );
        assert_eq!(&*who.network, network, "{address}");
        assert_eq!(cluster.service(address, 6, 80), "shop/web");
        assert_eq!(cluster.service(address, 17, 53), "shop/web");
        assert_eq!(cluster.service(address, 6, 53), "");
    }
    let directory = cluster.0.snapshot().directory;
    let port = |proto| NodePort { proto, port: 30080 };
    assert!(directory.node_port(port(6), Span::since(MADE)).is_some());
    assert!(directory.node_port(port(17), Span::since(MADE)).is_none());
}

#[test]
fn an_external_address_that_the_balancer_gave_too_is_the_services_own() {
    let service = |given: bool| {
        let ingress = if given {
            json!([{"ip": "203.0.113.9"}])
        } else {
            json!([])
        };
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"externalIPs": ["203.0.113.9"], "ports": [{"port": 80}]},
            "status": {"loadBalancer": {"ingress": ingress}},
        }))
        .unwrap();
        facts::service(&service)
    };
    let mut cluster = Cluster::default();
    for (given, network) in [(true, ""), (false, EXTERNAL), (true, "")] {
        cluster.apply(ObjectKind::Service, "web", service(given));
        assert_eq!(&*cluster.who("203.0.113.9").unwrap().network, network);
    }
}

fn slice(service: &str, addresses: &[(&str, Value)], ports: Value) -> Fact {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|(address, conditions)| json!({"addresses": [address], "conditions": conditions}))
        .collect();
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": "x", "namespace": "shop", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    }))
    .unwrap();
    facts::endpoints(&slice)
}

#[test]
fn ready_endpoints_belong_to_their_service_by_address_protocol_and_port() {
    let ready = json!({"ready": true});
    let gone = json!({"ready": false, "serving": false, "terminating": true});
    let last = json!({"ready": false, "serving": true, "terminating": true});
    let all = [
        ("10.0.0.1", ready.clone()),
        ("10.0.0.2", gone),
        ("10.0.0.3", last),
        ("10.0.0.4", json!({})),
    ];
    let mut cluster = Cluster::default();
    cluster.apply(
        ObjectKind::EndpointSlice,
        "x",
        slice("web", &all, json!([{"port": 8080}])),
    );
    let served = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(|a| cluster.service(a, 6, 8080));
    assert_eq!(served, ["shop/web", "", "shop/web", "shop/web"]);
    assert_eq!(
        (
            cluster.service("10.0.0.1", 17, 8080),
            cluster.service("10.0.0.1", 6, 80)
        ),
        Default::default()
    );
    // A second slice of the same Service changes nothing, one of another leaves it open.
    cluster.apply(
        ObjectKind::EndpointSlice,
        "y",
        slice("web", &all[..1], json!([{"port": 8080}])),
    );
    assert_eq!(cluster.service("10.0.0.1", 6, 8080), "shop/web");
    cluster.apply(
        ObjectKind::EndpointSlice,
        "z",
        slice("other", &all[..1], json!([{"port": 8080}])),
    );
    assert_eq!(cluster.service("10.0.0.1", 6, 8080), "");
    cluster.1 = 50;
    cluster.delete(ObjectKind::EndpointSlice, "z");
    assert_eq!(cluster.service("10.0.0.1", 6, 8080), "shop/web");
}

#[test]
fn endpoints_of_a_headless_service_without_ports_count_at_all_ports() {
    let mut cluster = Cluster::default();
    let all = [("10.0.0.1", json!({"ready": true}))];
    cluster.apply(ObjectKind::EndpointSlice, "x", slice("db", &all, json!([])));
    assert_eq!(cluster.service("10.0.0.1", 17, 1234), "shop/db");
    cluster.apply(
        ObjectKind::EndpointSlice,
        "x",
        slice("db", &all, json!([{"protocol": "UDP"}])),
    );
    assert_eq!(
        (cluster.service("10.0.0.1", 17, 1234), cluster.0.portless),
        ("shop/db".into(), 1)
    );
    cluster.1 = 50;
    cluster.delete(ObjectKind::EndpointSlice, "x");
    assert_eq!(
        (cluster.service("10.0.0.1", 6, 1234), cluster.0.portless),
        (String::new(), 0)
    );
}

#[test]
fn what_is_known_already_is_no_news() {
    let mut cluster = Cluster::default();
    cluster.node("node-a", "zone-1", "192.0.2.1");
    let key = ObjectKey::new(ObjectKind::Node, "", "node-a");
    let fact = cluster.0.objects[ObjectKind::Node as usize][&key].fact.clone();
    assert!(!cluster.apply(ObjectKind::Node, "node-a", fact));
}

#[test]
fn exporters_come_from_the_exports_of_nodes_with_the_sampling_in_force() {
    let export: NodeFlowExport = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "node-a"},
        "spec": {"bridges": [{"name": "br-int", "exporterId": 258,
                  "ipfix": {"targets": [], "obsDomainId": 9, "sampling": 400},
                  "sFlow": {"targets": [], "agent": "192.0.2.1"}}]},
        "status": {"bridges": [{"name": "br-int", "ipfix": {"targets": [], "sampling": 10},
                   "netFlow": {"targets": [], "activeTimeout": 5}, "singlePass": true,
                   "tunnelPorts": [{"overhead": 58, "ofports": [3, 4]}]}]},
    }))
    .unwrap();
    let mut cluster = Cluster::default();
    cluster.node("node-b", "", "192.0.2.2");
    cluster.apply(ObjectKind::NodeFlowExport, "node-a", facts::exports(&export));
    let exporters = cluster.0.snapshot().exporters;
    use crate::exporters::{ExporterKey, Trust};
    let trust = Trust {
        relays: vec!["192.0.2.99/32".parse().unwrap()],
        has_names: true,
    };
    let node = |mark, source: &str| {
        let found = exporters.resolve(mark, source.parse().unwrap(), &trust);
        found
            .exporter
            .map(|e| (e.node.to_string(), e.formats.ipfix.map(|i| i.sampling)))
    };
    let expected = Some(("node-a".to_owned(), Some(10)));
    let in_force = exporters.node("node-a").unwrap();
    assert_eq!(
        (in_force.bridges, in_force.formats.s_flow),
        (1, None),
        "asked for is not in force"
    );
    assert_eq!(node(Some(ExporterKey::Domain(9)), "192.0.2.99"), expected);
    assert_eq!(node(Some(ExporterKey::Engine(1, 2)), "192.0.2.99"), expected);
    assert_eq!(
        node(Some(ExporterKey::Agent([192, 0, 2, 1].into())), "192.0.2.99"),
        expected
    );
    let exporter = exporters
        .resolve(Some(ExporterKey::Domain(9)), [192, 0, 2, 99].into(), &trust)
        .exporter
        .unwrap();
    assert_eq!(
        (exporter.tunnel_overhead(4), exporter.tunnel_overhead(5)),
        (Some(58), None)
    );
    assert!(exporter.single_pass);
    assert_eq!(exporter.formats.net_flow.unwrap().active_timeout, 5);
    assert_eq!(node(None, "192.0.2.2"), Some(("node-b".to_owned(), None)));
}

#[test]
fn a_report_of_an_older_spec_does_not_say_what_is_in_force() {
    let export: NodeFlowExport = serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
        "metadata": {"name": "node-a", "generation": 2},
        "spec": {"bridges": [{"name": "br-int", "exporterId": 258, "sFlow": {"targets": [], "sampling": 64}}]},
        "status": {"observedGeneration": 1,
                   "bridges": [{"name": "br-int", "ipfix": {"targets": [], "sampling": 10}}]},
    }))
    .unwrap();
    let mut cluster = Cluster::default();
    cluster.apply(ObjectKind::NodeFlowExport, "node-a", facts::exports(&export));
    let exporters = cluster.0.snapshot().exporters;
    let formats = exporters.node("node-a").unwrap().formats;
    assert_eq!((formats.s_flow, formats.ipfix.is_some()), (Some(64), false));
}

#[test]
fn a_node_without_a_working_daemon_is_not_believed_to_export() {
    let formats = |status: serde_json::Value| {
        let mut export = json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport",
            "metadata": {"name": "node-a", "generation": 1},
            "spec": {"bridges": [{"name": "br-int", "exporterId": 258, "sFlow": {"targets": []}}]},
        });
        if !status.is_null() {
            export["status"] = status;
        }
        let export: NodeFlowExport = serde_json::from_value(export).unwrap();
        let mut cluster = Cluster::default();
        cluster.apply(ObjectKind::NodeFlowExport, "node-a", facts::exports(&export));
        let exporters = cluster.0.snapshot().exporters;
        (exporters.is_active(), exporters.len())
    };
    let condition = |status: &str| {
        json!({"observedGeneration": 1, "bridges": [{"name": "br-int", "sFlow": {"targets": []}}],
               "conditions": [{"type": "Exporting", "status": status, "reason": "r", "message": "",
                               "lastTransitionTime": "2026-11-01T00:00:00Z"}]})
    };
    assert_eq!(
        formats(serde_json::Value::Null),
        (false, 2),
        "its marks stay known"
    );
    assert_eq!(formats(condition("False")), (false, 2));
    assert_eq!(formats(condition("True")), (true, 2));
    assert_eq!(formats(condition("Unknown")), (true, 2));
}

#[test]
fn a_node_daemons_pod_speaks_for_its_node_and_no_other_pod_does() {
    use crate::exporters::{Standing, Trust};
    let pod = |ns: &str, owner: &str, address: u8| {
        let primary: Arc<str> = "primary".into();
        let fact = Fact::Pod(PodFact {
            addresses: vec![([10, 0, 0, address].into(), primary)],
            node: "node-a".into(),
            owner: Some(Owner {
                kind: "DaemonSet".into(),
                name: owner.into(),
                watched: None,
            }),
            ..PodFact::default()
        });
        (ObjectKey::new(ObjectKind::Pod, ns, &format!("p-{address}")), fact)
    };
    let mut index = Index::default();
    for (key, fact) in [
        pod("weir-system", "weir-node", 1),
        pod("shop", "weir-node", 2),
        pod("weir-system", "other", 3),
    ] {
        index.apply(key, fact, MADE);
    }
    let standing = |index: &mut Index, address: u8| {
        let exporters = index.snapshot().exporters;
        let found = exporters.resolve(None, [10, 0, 0, address].into(), &Trust::default());
        (found.standing, found.exporter.map(|e| e.node.to_string()))
    };
    let node = (Standing::Node, Some("node-a".to_owned()));
    assert_eq!(standing(&mut index, 1), node);
    for other in [2, 3] {
        assert_eq!(standing(&mut index, other), (Standing::Stranger, None));
    }
    index.delete(&pod("weir-system", "weir-node", 1).0, MADE);
    assert_eq!(standing(&mut index, 1), (Standing::Stranger, None), "it is gone");
}

#[test]
fn a_node_daemons_pod_speaks_from_the_clusters_own_network_alone() {
    let addresses = [("10.0.0.1", "primary"), ("10.9.0.1", "shop/blue")];
    let daemon = Fact::Pod(PodFact {
        addresses: addresses
            .map(|(a, network)| (a.parse().unwrap(), network.into()))
            .into(),
        node: "node-a".into(),
        owner: Some(Owner {
            kind: "DaemonSet".into(),
            name: NODE_DAEMON.1.into(),
            watched: None,
        }),
        ..PodFact::default()
    });
    let mut index = Index::default();
    index.apply(
        ObjectKey::new(ObjectKind::Pod, NODE_DAEMON.0, "daemon"),
        daemon,
        MADE,
    );
    let exporters = index.snapshot().exporters;
    let speaks = addresses.map(|(address, _)| exporters.knows(address.parse().unwrap()));
    assert_eq!(speaks, [true, false]);
}

/// Node `name` with this internal address and these addresses of its kernel's.
fn node_with(name: &str, address: &str, host: &[&str]) -> Fact {
    let host: Vec<String> = host.iter().map(|a| format!("\"{a}/24\"")).collect();
    let node: Node = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {
            "k8s.ovn.org/host-cidrs": format!("[{}]", host.join(",")),
            "k8s.ovn.org/node-subnets": r#"{"default":["10.128.1.0/24"]}"#,
            "k8s.ovn.org/node-gateway-router-lrp-ifaddrs": r#"{"default":{"ipv4":"100.64.0.2/16"}}"#}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }))
    .unwrap();
    facts::node(&node)
}

#[test]
fn a_nodes_other_addresses_name_it_and_its_kernels_own_speak_for_it() {
    let mut cluster = Cluster::default();
    cluster.apply(
        ObjectKind::Node,
        "node-a",
        node_with("node-a", "192.0.2.1", &["198.51.100.1"]),
    );
    let network = |cluster: &mut Cluster, address| {
        cluster
            .who(address)
            .map(|who| (who.kind, who.network.to_string()))
    };
    for address in ["192.0.2.1", "198.51.100.1", "100.64.0.2"] {
        assert_eq!(
            network(&mut cluster, address),
            Some((Kind::Node, String::new())),
            "{address}"
        );
    }
    assert_eq!(
        network(&mut cluster, "10.128.1.2"),
        Some((Kind::Node, "primary".to_owned()))
    );
    let exporters = cluster.0.snapshot().exporters;
    let speaks = |address: &str| exporters.knows(address.parse().unwrap());
    assert!(speaks("192.0.2.1") && speaks("198.51.100.1") && speaks("10.128.1.2"));
    assert!(
        !speaks("100.64.0.2"),
        "whoever calls a node port comes from there"
    );
}

#[test]
fn no_annotation_gives_a_node_the_address_of_another_to_speak_from() {
    let mut cluster = Cluster::default();
    cluster.apply(
        ObjectKind::Node,
        "node-a",
        node_with("node-a", "192.0.2.1", &["192.0.2.2"]),
    );
    cluster.apply(ObjectKind::Node, "node-b", node_with("node-b", "192.0.2.2", &[]));
    let exporters = cluster.0.snapshot().exporters;
    let trust = crate::exporters::Trust::default();
    let who = exporters.resolve(None, "192.0.2.2".parse().unwrap(), &trust);
    assert_eq!(who.exporter.map(|exporter| &*exporter.node), Some("node-b"));
}

#[test]
fn a_pod_is_found_by_its_ethernet_addresses_wherever_it_is_seen() {
    let status = json!([
        {"name": "ovn-kubernetes", "interface": "eth0", "ips": [POD_IP], "mac": "0a:58:0a:80:00:05", "default": true},
        {"name": "shop/vlan", "interface": "net1", "mac": "02:00:00:00:00:11"},
    ]);
    let mut object = running(None);
    object["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/network-status": status.to_string()});
    let mut cluster = Cluster::default();
    cluster.pod("vm", object.clone());
    let at = Span::since(MADE + 5 * SECOND);
    let found = |cluster: &mut Cluster, mac| {
        let directory = cluster.0.snapshot().directory;
        let who = directory.mac(mac, at)?;
        Some((who.name.to_string(), who.network.to_string()))
    };
    let (own, vlan) = ([0x0a, 0x58, 0x0a, 0x80, 0, 5], [2, 0, 0, 0, 0, 0x11]);
    let in_network = |network: &str| Some(("vm".to_owned(), network.to_owned()));
    assert_eq!(
        found(&mut cluster, own),
        in_network(UNPROVEN),
        "its annotations say so"
    );
    assert_eq!(found(&mut cluster, vlan), in_network("shop/vlan"));
    cluster.pod("twin", object);
    assert_eq!(found(&mut cluster, vlan), None, "of two it is nobody's");
    cluster.delete(ObjectKind::Pod, "twin");
    cluster.delete(ObjectKind::Pod, "vm");
    cluster.0.expire(MADE + 10_000 * SECOND);
    assert!(cluster.0.snapshot().directory.macs.is_empty());
}

/// A pod of a random walk: which of the four addresses it has.
fn walker(made: u64, addresses: u64) -> Fact {
    let has = |n: &u8| addresses >> n & 1 == 1;
    let primary: Arc<str> = "primary".into();
    Fact::Pod(PodFact {
        addresses: (0..4_u8)
            .filter(has)
            .map(|n| ([10, 0, 0, n].into(), Arc::clone(&primary)))
            .collect(),
        node: "node-a".into(),
        created: made,
        started: made,
        ..PodFact::default()
    })
}

#[test]
fn whatever_happens_the_view_shows_who_has_an_address_and_in_the_end_nothing_is_left() {
    use std::collections::{BTreeMap, BTreeSet};
    for seed in 1..60_u64 {
        let mut random = seed;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut cluster = Cluster::default();
        let mut model: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for step in 1..60 {
            cluster.1 = 10 * step;
            let name = format!("p{}", below(5));
            let now = MADE + cluster.1 * SECOND;
            if below(3) == 0 {
                cluster.delete(ObjectKind::Pod, &name);
                model.remove(&name);
            } else {
                let reborn = below(4) == 0;
                let made = model
                    .get(&name)
                    .filter(|_| !reborn)
                    .map_or(now, |(made, _)| *made);
                let addresses = below(16);
                cluster.apply(ObjectKind::Pod, &name, walker(made, addresses));
                model.insert(name, (made, addresses));
            }
            for n in 0..4_u64 {
                let has = model.iter().filter(|(_, (_, addresses))| addresses >> n & 1 == 1);
                let expected: BTreeSet<String> = has.map(|(name, _)| name.clone()).collect();
                let shown = cluster.names(&format!("10.0.0.{n}"), 10 * step + 5);
                assert_eq!(
                    shown.into_iter().collect::<BTreeSet<_>>(),
                    expected,
                    "seed {seed}, step {step}"
                );
            }
        }
        for name in model.keys() {
            cluster.delete(ObjectKind::Pod, name);
        }
        cluster.0.expire(MADE + 10_000 * SECOND);
        let directory = cluster.0.snapshot().directory;
        assert!(
            directory.addresses.is_empty() && directory.pods.is_empty(),
            "seed {seed}"
        );
        assert!(
            cluster.0.is_empty() && cluster.0.dependents.is_empty(),
            "seed {seed}"
        );
    }
}
