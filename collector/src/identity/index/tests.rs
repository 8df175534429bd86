use super::super::facts::{self, Owner};
use super::*;
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use serde_json::{Value, json};
use weir_api::NodeFlowExport;

const POD_IP: &str = "10.128.0.5";

#[derive(Default)]
struct Cluster(Index);

impl Cluster {
    fn pod(&mut self, name: &str, object: Value) {
        let pod: Pod = serde_json::from_value(object).unwrap();
        self.0
            .apply(ObjectKey::new(ObjectKind::Pod, "shop", name), facts::pod(&pod));
    }

    fn node(&mut self, name: &str, zone: &str, address: &str) {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
            "status": {"addresses": [
                {"type": "Hostname", "address": name},
                {"type": "ExternalIP", "address": "203.0.113.7"},
                {"type": "InternalIP", "address": address}]},
        }))
        .unwrap();
        self.0
            .apply(ObjectKey::new(ObjectKind::Node, "", name), facts::node(&node));
    }

    fn controlled(&mut self, kind: ObjectKind, name: &str, owner: Option<(&str, &str)>) {
        let owner = owner.map(|(kind, name)| Owner {
            kind: kind.into(),
            name: name.into(),
        });
        self.0
            .apply(ObjectKey::new(kind, "shop", name), Fact::Controlled(owner));
    }

    fn who(&mut self, address: &str) -> Option<Identity> {
        let snapshot = self.0.snapshot();
        snapshot
            .directory
            .addresses
            .get(&address.parse().unwrap())
            .map(|identity| (**identity).clone())
    }

    fn workload(&mut self) -> (String, String) {
        let who = self.who(POD_IP).unwrap();
        (who.workload_kind.to_string(), who.workload_name.to_string())
    }
}

fn running(owner: Option<(&str, &str)>) -> Value {
    let owners: Vec<Value> = owner
        .map(|(kind, name)| {
            json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true})
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
        assert_eq!((&*who.node_name, &*who.zone), ("node-a", "zone-1"));
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
}

#[test]
fn the_workload_stays_true_when_the_replicaset_goes_before_its_pods() {
    let mut cluster = Cluster::default();
    cluster.controlled(ObjectKind::ReplicaSet, "web-5d9", Some(("Deployment", "web")));
    cluster.pod("web", running(Some(("ReplicaSet", "web-5d9"))));
    cluster
        .0
        .delete(&ObjectKey::new(ObjectKind::ReplicaSet, "shop", "web-5d9"));
    assert_eq!(cluster.workload(), ("Deployment".into(), "web".into()));
}

#[test]
fn pods_on_the_host_network_and_ended_pods_claim_nothing() {
    let mut cluster = Cluster::default();
    cluster.pod("host", with(running(None), "/spec/hostNetwork", json!(true)));
    assert_eq!(cluster.who(POD_IP), None);
    for phase in ["Succeeded", "Failed"] {
        cluster.pod("web", running(None));
        assert!(cluster.who(POD_IP).is_some());
        cluster.pod("web", with(running(None), "/status/phase", json!(phase)));
        assert_eq!(cluster.who(POD_IP), None);
    }
}

#[test]
fn the_younger_of_two_pods_has_the_address_and_the_other_keeps_nothing() {
    let mut cluster = Cluster::default();
    let newer = with(
        running(None),
        "/metadata/creationTimestamp",
        json!("2026-02-01T00:00:00Z"),
    );
    cluster.pod("new", newer);
    cluster.pod("old", running(None));
    assert_eq!(cluster.who(POD_IP).unwrap().pod_name(), "new");
    cluster.0.delete(&ObjectKey::new(ObjectKind::Pod, "shop", "new"));
    assert_eq!(cluster.who(POD_IP).unwrap().pod_name(), "old");
    cluster.0.delete(&ObjectKey::new(ObjectKind::Pod, "shop", "old"));
    assert_eq!(cluster.who(POD_IP), None);
    assert!(cluster.0.claims.is_empty() && cluster.0.dependents.is_empty());
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
    cluster.0.delete(&ObjectKey::new(ObjectKind::Node, "", "node-a"));
    assert_eq!(&*cluster.who(POD_IP).unwrap().zone, "");
}

#[test]
fn a_service_is_found_by_its_cluster_and_balancer_addresses() {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.10", "clusterIPs": ["10.96.0.10", "None"]},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}, {"hostname": "lb.example"}]}},
    }))
    .unwrap();
    let mut cluster = Cluster::default();
    cluster.0.apply(
        ObjectKey::new(ObjectKind::Service, "shop", "web"),
        facts::service(&service),
    );
    for address in ["10.96.0.10", "203.0.113.9"] {
        let who = cluster.who(address).unwrap();
        assert_eq!(
            (&*who.service_name, &*who.service_ns, who.pod_name()),
            ("web", "shop", "")
        );
    }
}

#[test]
fn what_is_known_already_is_no_news() {
    let mut cluster = Cluster::default();
    cluster.node("node-a", "zone-1", "192.0.2.1");
    let key = ObjectKey::new(ObjectKind::Node, "", "node-a");
    let fact = cluster.0.objects[&key].clone();
    assert!(!cluster.0.apply(key, fact));
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
    cluster.0.apply(
        ObjectKey::new(ObjectKind::NodeFlowExport, "", "node-a"),
        facts::exports(&export),
    );
    let exporters = cluster.0.snapshot().exporters;
    let node = |mark, source: &str| {
        exporters
            .resolve(mark, source.parse().unwrap())
            .map(|e| (e.node.to_string(), e.formats.ipfix.map(|i| i.sampling)))
    };
    use crate::exporters::Mark;
    let expected = Some(("node-a".to_owned(), Some(10)));
    let in_force = exporters.node("node-a").unwrap();
    assert_eq!(
        (in_force.bridges, in_force.formats.s_flow),
        (1, None),
        "asked for is not in force"
    );
    assert_eq!(node(Some(Mark::Domain(9)), "192.0.2.99"), expected);
    assert_eq!(node(Some(Mark::Engine(1, 2)), "192.0.2.99"), expected);
    assert_eq!(
        node(Some(Mark::Agent([192, 0, 2, 1].into())), "192.0.2.99"),
        expected
    );
    let exporter = exporters
        .resolve(Some(Mark::Domain(9)), [192, 0, 2, 99].into())
        .unwrap();
    assert_eq!(
        (exporter.tunnel_overhead(4), exporter.tunnel_overhead(5)),
        (Some(58), None)
    );
    assert!(exporter.single_pass);
    assert_eq!(exporter.formats.net_flow.unwrap().active_timeout, 5);
    assert_eq!(node(None, "192.0.2.2"), Some(("node-b".to_owned(), None)));
}
