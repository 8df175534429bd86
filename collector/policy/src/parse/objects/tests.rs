use serde_json::json;

use super::*;
use crate::policy::Policy;
use crate::{Connection, Engine, Profile, Reason};

fn objects(values: &[Value]) -> Objects {
    let mut objects = Objects::default();
    values.iter().for_each(|value| objects.add(value));
    objects
}

fn pod_object(namespace: &str, name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "c", "ports": [
                {"name": "web", "containerPort": 8080},
                {"name": "dns", "containerPort": 5353, "protocol": "UDP"},
                {"containerPort": 9},
                {"name": "odd", "containerPort": 99999},
            ]},
        ], "initContainers": [{"name": "i", "ports": [{"name": "early", "containerPort": 1}]}]},
        "status": {"phase": "Running", "podIP": address},
    })
}

#[test]
fn a_pod_is_read_with_its_addresses_and_the_named_ports_of_all_containers() {
    let mut both = pod_object("shop", "web", "10.0.0.1");
    both["status"]["podIPs"] = json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "nonsense"}]);
    let read = objects(&[both, pod_object("shop", "old", "10.0.0.2")]);
    let [web, old] = &read.cluster.pods[..] else {
        panic!()
    };
    assert_eq!(web.addresses.len(), 2, "{:?}", web.addresses);
    let named: Vec<(&str, u16, Protocol)> = web
        .ports
        .iter()
        .map(|p| (p.name.as_str(), p.number, p.protocol))
        .collect();
    assert_eq!(
        named,
        [
            ("web", 8080, Protocol::Tcp),
            ("dns", 5353, Protocol::Udp),
            ("early", 1, Protocol::Tcp),
        ]
    );
    assert_eq!(
        (web.node.as_str(), web.host_network, web.finished),
        ("n1", false, false)
    );
    assert_eq!(old.addresses.len(), 1, "podIP alone counts too");
}

#[test]
fn the_workload_is_found_with_and_without_its_replicaset() {
    let owned = |name: &str, kind: &str, owner: &str, hash: Option<&str>| {
        let mut pod = pod_object("shop", name, "10.0.0.1");
        pod["metadata"]["ownerReferences"] = json!([
            {"kind": "Other", "name": "not-me"}, {"kind": kind, "name": owner, "controller": true},
        ]);
        if let Some(hash) = hash {
            pod["metadata"]["labels"] = json!({"pod-template-hash": hash});
        }
        pod
    };
    let owner_of = |kind: &str, name: &str, above: Option<(&str, &str)>| {
        let owners = above.map(|(kind, name)| json!([{"kind": kind, "name": name, "controller": true}]));
        let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        json!({"apiVersion": version, "kind": kind,
            "metadata": {"namespace": "shop", "name": name, "ownerReferences": owners}})
    };
    let read = objects(&[
        owned("guessed-abc-1", "ReplicaSet", "guessed-abc", Some("abc")),
        owned("rollout-abc-1", "ReplicaSet", "rollout-abc", Some("abc")),
        owner_of("ReplicaSet", "rollout-abc", Some(("Rollout", "rollout"))),
        owner_of("ReplicaSet", "alone-abc", None),
        owned("alone-abc-1", "ReplicaSet", "alone-abc", Some("abc")),
        owned("bill-7", "Job", "bill", None),
        owner_of("Job", "bill", Some(("CronJob", "nightly"))),
        owned("db-0", "StatefulSet", "db", None),
        pod_object("shop", "bare", "10.0.0.9"),
    ]);
    let of = |pod: &str| {
        read.workload("shop", pod)
            .map(|owner| format!("{} {}", owner.kind, owner.name))
    };
    assert_eq!(of("guessed-abc-1").as_deref(), Some("Deployment guessed"));
    assert_eq!(of("rollout-abc-1").as_deref(), Some("Rollout rollout"));
    assert_eq!(of("alone-abc-1").as_deref(), Some("ReplicaSet alone-abc"));
    assert_eq!(of("bill-7").as_deref(), Some("CronJob nightly"));
    assert_eq!(of("db-0").as_deref(), Some("StatefulSet db"));
    assert_eq!(of("bare"), None);
}

#[test]
fn nodes_tell_which_cni_there_is_and_their_management_ports() {
    let node = |annotations: Value| {
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n1", "annotations": annotations, "labels": {"zone": "a"}},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"},
                {"type": "Hostname", "address": "n1"}]}})
    };
    let read = objects(&[node(json!({
        "k8s.ovn.org/node-subnets": r#"{"default":["10.244.1.0/24","fd00:1::/64"]}"#,
    }))]);
    let expected: Vec<IpAddr> = vec!["10.244.1.2".parse().unwrap(), "fd00:1::2".parse().unwrap()];
    assert_eq!(read.cluster.nodes[0].management, expected);
    assert_eq!(
        read.cluster.nodes[0].addresses,
        ["192.0.2.1".parse::<IpAddr>().unwrap()]
    );
    assert_eq!(read.cni, Some(Cni::OvnKubernetes));
    let single = objects(&[node(
        json!({"k8s.ovn.org/node-subnets": r#"{"default":"10.244.1.0/24"}"#}),
    )]);
    assert_eq!(single.cluster.nodes[0].management, expected[..1]);
    let kube_ovn = objects(&[node(
        json!({"ovn.kubernetes.io/ip_address": "100.64.0.3,fd00:100::3"}),
    )]);
    assert_eq!(kube_ovn.cluster.nodes[0].management.len(), 2);
    let mut antrea = node(json!({"node.antrea.io/mac-address": "x"}));
    antrea["spec"] = json!({"podCIDRs": ["10.1.2.0/24", "fd00:2::/64"]});
    let first: Vec<IpAddr> = vec!["10.1.2.1".parse().unwrap(), "fd00:2::1".parse().unwrap()];
    assert_eq!(objects(&[antrea]).cluster.nodes[0].management, first);
    assert_eq!(
        objects(&[node(json!({"ovn.kubernetes.io/chassis": "x"}))]).cni,
        Some(Cni::KubeOvn)
    );
    assert_eq!(
        objects(&[node(json!({"node.antrea.io/mac-address": "x"}))]).cni,
        Some(Cni::Antrea)
    );
    assert_eq!(objects(&[node(json!(null))]).cni, None);
}

#[test]
fn what_a_cni_decides_by_itself_makes_the_verdict_of_whom_it_selects_unknown() {
    let antrea = |ends: Value| {
        json!({"apiVersion": "crd.antrea.io/v1beta1", "kind": "ClusterNetworkPolicy",
            "metadata": {"name": "acnp"}, "spec": {"appliedTo": ends}})
    };
    let answer = |object: Value, pod: &str| {
        let read = objects(&[
            pod_object("shop", "web", "10.0.0.1"),
            pod_object("shop", "db", "10.0.0.2"),
            pod_object("other", "web", "10.0.1.1"),
            pod_object("other", "client", "10.0.1.9"),
            object,
        ]);
        let engine = Engine::compile(Profile::default(), read.cluster);
        let holder = |address: &str| engine.holders(address.parse().unwrap())[0];
        let connection = Connection::new(holder("10.0.1.9"), holder(pod), 6, 80);
        engine.snapshot().evaluate(&connection).reason
    };
    let selected = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let of_web = antrea(json!([selected("web")]));
    assert_eq!(answer(of_web.clone(), "10.0.0.1"), Reason::Foreign);
    assert_eq!(answer(of_web, "10.0.0.2"), Reason::Default);
    // Each of several counts.
    let of_both = antrea(json!([selected("web"), selected("db")]));
    assert_eq!(answer(of_both.clone(), "10.0.0.1"), Reason::Foreign);
    assert_eq!(answer(of_both, "10.0.0.2"), Reason::Foreign);
    // A group is not looked up: it may be anybody.
    assert_eq!(
        answer(antrea(json!([{"group": "g"}])), "10.0.0.2"),
        Reason::Foreign
    );
    let firewall = json!({"apiVersion": "k8s.ovn.org/v1", "kind": "EgressFirewall",
        "metadata": {"namespace": "shop", "name": "default"}, "spec": {"egress": []}});
    assert_eq!(answer(firewall.clone(), "10.0.0.1"), Reason::Foreign);
    assert_eq!(answer(firewall, "10.0.1.1"), Reason::Default);
}

#[test]
fn what_is_not_understood_is_told_with_the_object_and_other_kinds_are_counted() {
    let policy = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"namespace": "shop", "name": "odd"},
        "spec": {"podSelector": {"matchExpressions": [{"key": "a", "operator": "Perhaps"}]}}});
    let mut read = objects(&[policy, json!({"apiVersion": "v1", "kind": "Secret"})]);
    let told: Vec<String> = read.problems.iter().map(ToString::to_string).collect();
    assert!(
        told[0].starts_with("NetworkPolicy shop/odd: spec.podSelector"),
        "{told:?}"
    );
    assert!(matches!(read.cluster.policies[..], [Policy::Network(_)]));
    assert_eq!(read.skipped.get("Secret"), Some(&1));
    let list = "kind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n---\n\
        {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
    read.add_text(list).unwrap();
    assert_eq!(read.cluster.namespaces.len(), 2);
    assert!(read.add_text("{").is_err());
}

#[test]
fn workloads_services_and_networks_are_known_whatever_the_order_of_the_objects() {
    let mut pod = pod_object("shop", "web-abc-1", "10.0.0.1");
    pod["metadata"]["ownerReferences"] =
        json!([{"kind": "ReplicaSet", "name": "web-abc", "controller": true}]);
    pod["metadata"]["labels"] = json!({"app": "web", "pod-template-hash": "abc"});
    let template = json!({"metadata": {"labels": {"app": "web", "tier": "front"}},
        "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}});
    let mut values = vec![
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}],
        "endpoints": [
            {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-abc-1"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
            {"addresses": ["203.0.113.9"], "conditions": {"ready": true}},
        ]}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}),
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "shop", "name": "web-abc",
            "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": true}]}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": ["10.96.0.0/12"]}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
            "spec": {"podCIDRs": ["10.0.0.0/24"]}, "status": {"addresses": [{"address": "192.0.2.1"}]}}),
        pod,
    ];
    for turn in 0..values.len() {
        values.rotate_left(turn);
        let inventory = objects(&values).inventory(Vec::new());
        let [web] = &inventory.workloads[..] else {
            panic!("{:?}", inventory.workloads);
        };
        assert_eq!(web.key.to_string(), "shop/deployment/web");
        assert_eq!(
            (web.selector.len(), web.template.len(), web.ports.len()),
            (1, 2, 1)
        );
        assert!(web.pods.contains("web-abc-1"));
        let [service] = &inventory.services[..] else {
            panic!()
        };
        let backends = &service.ports[0].backends;
        assert_eq!(backends.len(), 2, "{backends:?}");
        assert!(backends.iter().all(|backend| backend.port == 8080));
        assert_eq!(backends[0].pod, Some(("shop".to_owned(), "web-abc-1".to_owned())));
        assert_eq!(backends[1].pod, None);
        let networks: Vec<String> = inventory
            .cluster_networks
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(networks, ["10.0.0.0/24", "10.96.0.0/12", "192.0.2.1/32"]);
    }
}

#[test]
fn a_policy_of_ours_is_told_from_those_of_others() {
    let policy = |name: &str, labels: Value| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": "shop", "name": name, "labels": labels, "annotations": {"weir.dev/spec": "abc"}},
            "spec": {"podSelector": {}}})
    };
    let read = objects(&[
        policy("ours", json!({"app.kubernetes.io/managed-by": "weir"})),
        policy("theirs", json!({"app.kubernetes.io/managed-by": "helm"})),
        policy("bare", json!(null)),
    ]);
    let ours: Vec<(String, &str)> = read
        .managed
        .iter()
        .map(|(key, hash)| (key.to_string(), hash.as_str()))
        .collect();
    assert_eq!(ours, [("shop/ours".to_owned(), "abc")]);
}

#[test]
fn a_file_as_large_as_a_cluster_is_read_as_json_and_as_yaml() {
    let pods: Vec<Value> = (0..3_000)
        .map(|n| {
            let mut pod = pod_object("shop", &format!("pod-{n}"), "10.0.0.1");
            let more: serde_json::Map<String, Value> =
                (0..60).map(|n| (format!("k{n}"), json!("v"))).collect();
            pod["metadata"]["annotations"] = more.into();
            pod
        })
        .collect();
    let list = json!({"kind": "List", "apiVersion": "v1", "items": pods});
    let yaml = serde_saphyr::to_string(&list).unwrap();
    for text in [list.to_string(), yaml] {
        let mut read = Objects::default();
        read.add_text(&text).unwrap();
        assert_eq!(read.cluster.pods.len(), 3_000);
    }
}
