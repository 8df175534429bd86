use super::*;
use serde_json::json;

fn addresses(all: &[IpAddr]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn read_node(annotations: Value, spec: Value) -> NodeFact {
    let object = json!({
        "metadata": {"name": "node-a", "annotations": annotations},
        "spec": spec,
        "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.2"}]},
    });
    match node(&serde_json::from_value(object).unwrap()) {
        Fact::Node(node) => node,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_annotations_of_ovn_kubernetes_tell_a_nodes_other_addresses() {
    let gateway = json!({"default": {"mode": "shared", "ip-address": "172.19.0.2/16",
        "ip-addresses": ["172.18.0.2/16", "172.19.0.2/16"], "next-hops": ["172.18.0.1"]}});
    let annotations = json!({
        "k8s.ovn.org/node-subnets": r#"{"default":["10.244.1.0/24","fd00:10:244:2::/64"],"blue":["10.9.0.0/24"]}"#,
        "k8s.ovn.org/host-cidrs": r#"["172.18.0.2/16","fc00::2/64","192.0.2.9/24"]"#,
        "k8s.ovn.org/node-primary-ifaddr": r#"{"ipv4":"172.18.0.2/16","ipv6":"fc00::2/64"}"#,
        "k8s.ovn.org/node-gateway-router-lrp-ifaddrs": r#"{"default":{"ipv4":"100.64.0.3/16","ipv6":"fd98::3/64"}}"#,
        "k8s.ovn.org/l3-gateway-config": gateway.to_string(),
    });
    let node = read_node(annotations, json!({"podCIDRs": ["10.99.0.0/24"]}));
    assert_eq!(addresses(&node.addresses), ["172.18.0.2"]);
    assert_eq!(
        addresses(&node.host_addresses),
        ["172.18.0.2", "fc00::2", "192.0.2.9"]
    );
    assert_eq!(
        addresses(&node.pod_network_addresses),
        ["10.244.1.2", "fd00:10:244:2::2"]
    );
    let routers = ["100.64.0.3", "fd98::3", "172.19.0.2"];
    assert_eq!(
        addresses(&node.router_addresses),
        routers,
        "what is the host's own is no router's"
    );
    let sources: Vec<IpAddr> = node.other_sources().collect();
    assert!(
        routers
            .iter()
            .all(|router| !addresses(&sources).contains(&(*router).to_owned()))
    );
    assert!(addresses(&sources).contains(&"10.244.1.2".to_owned()));
}

#[test]
fn annotations_of_older_releases_are_read_too() {
    let node = read_node(
        json!({
            "k8s.ovn.org/node-subnets": r#"{"default":"10.244.1.0/24"}"#,
            "k8s.ovn.org/host-addresses": r#"["192.0.2.9"]"#,
            "k8s.ovn.org/node-gateway-router-lrp-ifaddr": r#"{"ipv4":"100.64.0.3/16"}"#,
        }),
        json!({}),
    );
    assert_eq!(addresses(&node.pod_network_addresses), ["10.244.1.2"]);
    assert_eq!(addresses(&node.host_addresses), ["192.0.2.9"]);
    assert_eq!(addresses(&node.router_addresses), ["100.64.0.3"]);
}

#[test]
fn the_gateway_of_a_nodes_pods_speaks_for_it_only_where_the_plugin_keeps_it_from_pods() {
    let spec = json!({"podCIDR": "10.10.1.0/24", "podCIDRs": ["10.10.1.0/24", "fd00:10:10:1::/64"]});
    let unknown = read_node(json!({}), spec.clone());
    assert_eq!(
        addresses(&unknown.pod_network_addresses),
        ["10.10.1.1", "fd00:10:10:1::1"]
    );
    assert_eq!(unknown.other_sources().count(), 0);
    let antrea = read_node(
        json!({"node.antrea.io/mac-address": "aa:bb:cc:dd:ee:ff"}),
        spec.clone(),
    );
    assert_eq!(antrea.other_sources().count(), 2);
    let kube_ovn = read_node(
        json!({"ovn.kubernetes.io/ip_address": "100.64.0.2,fd00:100:64::2"}),
        spec,
    );
    assert_eq!(
        addresses(&kube_ovn.pod_network_addresses),
        ["100.64.0.2", "fd00:100:64::2"]
    );
    assert_eq!(kube_ovn.other_sources().count(), 2);
}

#[test]
fn bad_annotations_say_nothing() {
    let names = [
        "k8s.ovn.org/node-subnets",
        "k8s.ovn.org/host-cidrs",
        "k8s.ovn.org/node-primary-ifaddr",
        "k8s.ovn.org/node-gateway-router-lrp-ifaddrs",
        "k8s.ovn.org/l3-gateway-config",
        "ovn.kubernetes.io/ip_address",
    ];
    let values = [
        "",
        "x",
        "{",
        "null",
        "[]",
        "{}",
        "7",
        "[7]",
        "[[]]",
        r#""10.0.0.1""#,
        r#"{"default":7}"#,
        r#"{"default":[7,"x","10.0.0.0/31","::/127"]}"#,
        r#"{"default":{"ipv4":7}}"#,
        r#"["127.0.0.1/8","::1","0.0.0.0","fe80::1/64","224.0.0.1","169.254.169.2/29","ff02::1"]"#,
        r#"{"ipv4":"","ipv6":"x"}"#,
        r#"{"default":{"ip-addresses":["x"],"ip-address":""}}"#,
    ];
    for value in values {
        let annotations = names.map(|name| (name.to_owned(), Value::from(value)));
        let annotations = Value::Object(annotations.into_iter().collect());
        let spec = json!({"podCIDRs": ["x", "10.0.0.1/32", "fd00::/128"]});
        let node = read_node(annotations, spec);
        let all = [
            &node.host_addresses,
            &node.router_addresses,
            &node.pod_network_addresses,
        ];
        assert!(all.iter().all(|a| a.is_empty()), "{value}: {all:?}");
    }
}
