//! Objects of the API as far as facts are made of them. What else an object has is not
//! kept when it is read, cannot keep it from being read, and costs no code: a pod of the
//! API has some three hundred fields.
//!
//! Names and shapes of the fields are those of the API.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use serde::{Deserialize, Deserializer, Serialize};

/// Makes types that are read by name, leave out what is not named, and take null for
/// nothing; those with a kind are objects that can be watched.
macro_rules! objects {
    ($(
        $(#[$doc:meta])*
        $name:ident $(($group:literal, $version:literal, $path:literal, $scope:ty))? {
            $($(#[$field_meta:meta])* $field:ident: $kind:ty,)+
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$field_meta])*
                #[serde(deserialize_with = "or_default")]
                pub $field: $kind,
            )+
        }

        $(
            impl k8s_openapi::Resource for $name {
                const API_VERSION: &'static str = match $group.len() {
                    0 => $version,
                    _ => concat!($group, "/", $version),
                };
                const GROUP: &'static str = $group;
                const KIND: &'static str = stringify!($name);
                const VERSION: &'static str = $version;
                const URL_PATH_SEGMENT: &'static str = $path;
                type Scope = $scope;
            }

            impl k8s_openapi::Metadata for $name {
                type Ty = ObjectMeta;

                fn metadata(&self) -> &ObjectMeta {
                    &self.metadata
                }

                fn metadata_mut(&mut self) -> &mut ObjectMeta {
                    &mut self.metadata
                }
            }
        )?
    )+};
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

objects! {
    /// `v1` Pod.
    Pod ("", "v1", "pods", NamespaceResourceScope) {
        metadata: ObjectMeta,
        spec: PodSpec,
        status: PodStatus,
    }
    /// What is wanted of a pod.
    PodSpec {
        host_network: bool,
        node_name: String,
        containers: Vec<Container>,
        init_containers: Vec<Container>,
    }
    /// What is wanted of a container.
    Container {
        ports: Vec<ContainerPort>,
    }
    /// A port that a container declares.
    ContainerPort {
        name: String,
        protocol: String,
        container_port: i32,
    }
    /// How a pod is.
    PodStatus {
        phase: String,
        start_time: Option<Time>,
        #[serde(rename = "podIP")]
        pod_ip: String,
        #[serde(rename = "podIPs")]
        pod_ips: Vec<PodIp>,
        container_statuses: Vec<ContainerStatus>,
    }
    /// One address of a pod.
    PodIp {
        ip: String,
    }
    /// How a container is.
    ContainerStatus {
        state: ContainerState,
    }
    /// Whether it has ended.
    ContainerState {
        terminated: Option<Terminated>,
    }
    /// When it has ended.
    Terminated {
        finished_at: Option<Time>,
    }

    /// `v1` Node.
    Node ("", "v1", "nodes", ClusterResourceScope) {
        metadata: ObjectMeta,
        spec: NodeSpec,
        status: NodeStatus,
    }
    /// What is given to a node.
    NodeSpec {
        #[serde(rename = "podCIDR")]
        pod_cidr: String,
        #[serde(rename = "podCIDRs")]
        pod_cidrs: Vec<String>,
    }
    /// How a node is.
    NodeStatus {
        addresses: Vec<NodeAddress>,
    }
    /// One address of a node.
    NodeAddress {
        #[serde(rename = "type")]
        type_: String,
        address: String,
    }

    /// `v1` Service.
    Service ("", "v1", "services", NamespaceResourceScope) {
        metadata: ObjectMeta,
        spec: ServiceSpec,
        status: ServiceStatus,
    }
    /// What a Service offers.
    ServiceSpec {
        #[serde(rename = "clusterIP")]
        cluster_ip: String,
        #[serde(rename = "clusterIPs")]
        cluster_ips: Vec<String>,
        #[serde(rename = "externalIPs")]
        external_ips: Vec<String>,
        ports: Vec<ServicePort>,
    }
    /// One port of a Service.
    ServicePort {
        name: String,
        protocol: String,
        port: i32,
        node_port: i32,
    }
    /// How a Service is.
    ServiceStatus {
        load_balancer: LoadBalancer,
    }
    /// Where a Service is reached from outside.
    LoadBalancer {
        ingress: Vec<LoadBalancerIngress>,
    }
    /// One address of a load balancer; empty where it has a name alone.
    LoadBalancerIngress {
        ip: String,
    }

    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice ("discovery.k8s.io", "v1", "endpointslices", NamespaceResourceScope) {
        metadata: ObjectMeta,
        endpoints: Vec<Endpoint>,
        ports: Vec<EndpointPort>,
    }
    /// One that stands behind a Service.
    Endpoint {
        addresses: Vec<String>,
        conditions: EndpointConditions,
        target_ref: Option<TargetRef>,
    }
    /// The object that has the addresses.
    TargetRef {
        kind: String,
        namespace: String,
        name: String,
    }
    /// How it is; what nobody says is none.
    EndpointConditions {
        ready: Option<bool>,
        serving: Option<bool>,
    }
    /// One port of those behind a Service; without a number it is all ports.
    EndpointPort {
        name: String,
        protocol: String,
        port: Option<i32>,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::Resource;
    use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_is_watched_is_what_the_api_calls_so() {
        fn name<R: Resource>() -> [&'static str; 5] {
            [R::API_VERSION, R::GROUP, R::KIND, R::VERSION, R::URL_PATH_SEGMENT]
        }
        assert_eq!(name::<Pod>(), name::<core::Pod>());
        assert_eq!(name::<Node>(), name::<core::Node>());
        assert_eq!(name::<Service>(), name::<core::Service>());
        assert_eq!(name::<EndpointSlice>(), name::<discovery::EndpointSlice>());
    }

    #[test]
    fn null_is_nothing_and_what_is_not_asked_for_may_be_anything() {
        let pod: Pod = from_value(json!({
            "metadata": {"name": "a"}, "spec": {"volumes": 7, "nodeName": null},
            "status": {"podIPs": null, "podIP": "10.0.0.1", "conditions": "?"},
        }))
        .unwrap();
        assert_eq!(
            (pod.spec.node_name.as_str(), pod.status.pod_ip.as_str()),
            ("", "10.0.0.1")
        );
        assert!(pod.status.pod_ips.is_empty());
        let slice: EndpointSlice = from_value(json!({"endpoints": null, "ports": null})).unwrap();
        assert_eq!(slice, EndpointSlice::default());
    }

    #[test]
    fn an_object_as_the_api_has_it_is_read_field_by_field() {
        let service: Service = from_value(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"],
                "externalIPs": ["192.0.2.1"], "ports": [{"port": 80, "nodePort": 30080, "targetPort": "http"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.2"}, {"hostname": "lb"}]}},
        }))
        .unwrap();
        let whole: core::Service = from_value(json!({
            "spec": {"clusterIP": service.spec.cluster_ip, "clusterIPs": service.spec.cluster_ips,
                "externalIPs": service.spec.external_ips},
        }))
        .unwrap();
        let spec = whole.spec.unwrap();
        assert_eq!(
            spec.cluster_ips.as_deref(),
            Some(&["10.96.0.1".to_owned(), "fd00::1".to_owned()][..])
        );
        assert_eq!(
            service.spec.ports[0],
            ServicePort {
                name: String::new(),
                protocol: String::new(),
                port: 80,
                node_port: 30080,
            }
        );
        let ingress: Vec<&str> = service
            .status
            .load_balancer
            .ingress
            .iter()
            .map(|i| i.ip.as_str())
            .collect();
        assert_eq!(ingress, ["192.0.2.2", ""]);
    }
}
