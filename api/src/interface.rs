//! What network plugins write on the Interface of a pod (`external_ids` in OVSDB), for
//! whoever reads it there. Nothing is guessed: what could be meant in two ways names
//! nobody.
//!
//! | plugin | pod | network |
//! |---|---|---|
//! | OVN-Kubernetes | `iface-id` is `NAMESPACE_POD`, or `NETWORK_NAMESPACE_POD` | `k8s.ovn.org/nad`; without it NETWORK, the attachment's name with `.` for `/` and `-` |
//! | Kube-OVN | `pod_namespace`, `pod_name` | `iface-id` is `POD.NAMESPACE`, or `POD.NAMESPACE.NAME.NAMESPACE.ovn` |
//! | Antrea | `pod-namespace`, `pod-name` | the pod's own if `if-dev` is `eth0` or missing |
//!
//! From go-controller/pkg/util of OVN-Kubernetes, pkg/ovs of Kube-OVN and
//! pkg/agent/cniserver of Antrea.

use std::borrow::Cow;

/// The network that every pod has.
pub const PRIMARY: &str = "primary";
/// In place of a network, of the `externalIPs` of a Service: whoever makes it writes any
/// address there, so that it proves nothing.
pub const EXTERNAL: &str = "external";
/// In place of a network, where nothing but a pod's own annotations says who it is.
pub const UNPROVEN: &str = "unproven";
/// Names the NetworkAttachmentDefinition, as `NAMESPACE/NAME`.
const OVN_ATTACHMENT: &str = "k8s.ovn.org/nad";
/// What OVN-Kubernetes calls the network that every pod has.
const OVN_DEFAULT: &str = "default";
/// Ends the providers of Kube-OVN's own networks.
const KUBE_OVN: &str = ".ovn";

/// The keys of `external_ids` that [`read_pod`] asks for.
pub const POD_KEYS: [&str; 7] = [
    "iface-id",
    OVN_ATTACHMENT,
    "pod_namespace",
    "pod_name",
    "pod-namespace",
    "pod-name",
    "if-dev",
];

/// Who is behind an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodInterface<'a> {
    /// The pod's namespace.
    pub ns: &'a str,
    /// The pod's name.
    pub pod: &'a str,
    /// [`PRIMARY`], or the name of the attachment, `NAMESPACE/NAME`, if it is known.
    pub network: Option<Cow<'a, str>>,
}

/// Reads the `external_ids` of an interface.
pub fn read_pod<'a>(id: impl Fn(&str) -> Option<&'a str>) -> Option<PodInterface<'a>> {
    let id = |key: &str| id(key).filter(|value| !value.is_empty());
    let named = |ns, pod| id(ns).zip(id(pod));
    if let Some((ns, pod)) = named("pod_namespace", "pod_name") {
        let network = id("iface-id").and_then(|port| kube_ovn_network(port, ns, pod));
        return Some(PodInterface { ns, pod, network });
    }
    if let Some((ns, pod)) = named("pod-namespace", "pod-name") {
        let own = id("if-dev").is_none_or(|device| device == "eth0");
        let network = own.then_some(PRIMARY.into());
        return Some(PodInterface { ns, pod, network });
    }
    read_ovn(id("iface-id")?, id(OVN_ATTACHMENT))
}

/// No name in Kubernetes has an underscore, no namespace a dot, and an attachment's
/// name, written this way, always has one.
fn read_ovn<'a>(iface_id: &'a str, attachment: Option<&'a str>) -> Option<PodInterface<'a>> {
    let words: Vec<&str> = iface_id.split('_').collect();
    let (ns, pod, written) = match words[..] {
        [ns, pod] => (ns, pod, None),
        [network, ns, pod] if network.contains('.') => (ns, pod, Some(network)),
        _ => return None,
    };
    if ns.is_empty() || ns.contains('.') || pod.is_empty() {
        return None;
    }
    let network = attachment.filter(|name| *name != OVN_DEFAULT).or(written);
    Some(PodInterface {
        ns,
        pod,
        network: Some(network.unwrap_or(PRIMARY).into()),
    })
}

fn kube_ovn_network(port: &str, ns: &str, pod: &str) -> Option<Cow<'static, str>> {
    let rest = port.strip_prefix(pod)?.strip_prefix('.')?.strip_prefix(ns)?;
    if rest.is_empty() {
        return Some(PRIMARY.into());
    }
    let provider = rest.strip_prefix('.')?.strip_suffix(KUBE_OVN)?;
    // A namespace has no dot; the attachment's name may have some.
    let (name, of) = provider.rsplit_once('.')?;
    Some(format!("{of}/{name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAMESPACE/POD NETWORK`.
    fn read(ids: &[(&str, &str)]) -> Option<String> {
        let asked = |key: &str| assert!(POD_KEYS.contains(&key), "{key} is not among POD_KEYS");
        let find = |key: &str| {
            asked(key);
            ids.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
        };
        let found = read_pod(find)?;
        let network = found.network.as_deref().unwrap_or("?");
        Some(format!("{}/{} {network}", found.ns, found.pod))
    }

    fn assert_read(ids: &[(&str, &str)], expected: &str) {
        assert_eq!(read(ids).as_deref(), Some(expected), "{ids:?}");
    }

    #[test]
    fn ovn_kubernetes_writes_both_in_one_and_the_network_before_them() {
        assert_read(&[("iface-id", "shop_web-1")], "shop/web-1 primary");
        assert_read(&[("iface-id", "shop_web.1")], "shop/web.1 primary");
        let secondary = ("iface-id", "net.team.blue.l2_shop_web-1");
        assert_read(&[secondary], "shop/web-1 net.team.blue.l2");
        assert_read(
            &[secondary, ("k8s.ovn.org/nad", "net-team/blue-l2")],
            "shop/web-1 net-team/blue-l2",
        );
        assert_read(
            &[("iface-id", "shop_web-1"), ("k8s.ovn.org/nad", "default")],
            "shop/web-1 primary",
        );
    }

    #[test]
    fn kube_ovn_and_antrea_write_each_for_itself() {
        let web = [("pod_namespace", "shop"), ("pod_name", "web.1")];
        let port = |port| [web[0], web[1], ("iface-id", port)];
        assert_read(&port("web.1.shop"), "shop/web.1 primary");
        assert_read(&port("web.1.shop.blue-l2.net.ovn"), "shop/web.1 net/blue-l2");
        assert_read(&port("web.1.shop.v1.blue.net.ovn"), "shop/web.1 net/v1.blue");
        assert_read(&port("machine.shop"), "shop/web.1 ?");
        assert_read(&port("web.1.shop.other"), "shop/web.1 ?");
        assert_read(&web, "shop/web.1 ?");
        let web = [("pod-namespace", "shop"), ("pod-name", "web-1")];
        let device = |device| [web[0], web[1], ("if-dev", device)];
        assert_read(&web, "shop/web-1 primary");
        assert_read(&device("eth0"), "shop/web-1 primary");
        assert_read(&device("eth1"), "shop/web-1 ?");
    }

    #[test]
    fn what_could_be_meant_in_two_ways_names_nobody() {
        for iface_id in [
            "",
            "_",
            "shop_",
            "_web",
            "br-ex",
            "k8s-node-a",
            // The network comes last with some, and has no dot.
            "shop_web-1_blue",
            "blue_shop_web-1",
            "a.b_shop.web_1",
            "a.b_shop_web_1",
            "a.b__web",
        ] {
            assert_eq!(read(&[("iface-id", iface_id)]), None, "{iface_id:?}");
        }
        assert_eq!(read(&[("pod_namespace", "shop")]), None);
        assert_eq!(read(&[("pod-namespace", "shop"), ("pod-name", "")]), None);
    }
}
