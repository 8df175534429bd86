//! Identities made of others: with the Service of a port, with the label of a
//! subnet, with what several have in common. The same parts give the same shared
//! identity, so that those who keep records need not compare texts. Bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use weir_api::interface::{PRIMARY, UNPROVEN};
use weir_flow::{Identity, Kind};

/// Derived identities by the addresses of their parts, which they hold so that the addresses
/// stay theirs.
#[derive(Debug)]
pub struct DerivedIdentities {
    known: HashMap<(usize, usize, Derivation), DerivedIdentity, RandomState>,
    /// When there are so many, all are forgotten.
    most: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Derivation {
    Service,
    Label,
    Common,
}

#[derive(Debug)]
struct DerivedIdentity {
    made: Arc<Identity>,
    _of: (Arc<Identity>, Part),
}

#[derive(Debug)]
enum Part {
    Identity(#[expect(dead_code, reason = "kept so that its address is not used again")] Arc<Identity>),
    Name(#[expect(dead_code, reason = "kept so that its address is not used again")] Arc<str>),
}

impl DerivedIdentities {
    /// None yet, and so many at most, 300 bytes each.
    pub fn with_room(most: usize) -> Self {
        Self {
            known: HashMap::default(),
            most,
        }
    }

    /// Who it is, as a part of a Service.
    pub fn with_service(&mut self, who: &Arc<Identity>, service: &Arc<Identity>) -> Arc<Identity> {
        if who.service_name == service.name && who.service_ns == service.ns {
            return Arc::clone(who);
        }
        let key = (address(who), address(service), Derivation::Service);
        let part = || Part::Identity(Arc::clone(service));
        self.blend(key, who, part, || Identity {
            service_name: Arc::clone(&service.name),
            service_ns: Arc::clone(&service.ns),
            ..(**who).clone()
        })
    }

    /// Who it is, in a subnet with a label.
    pub fn with_label(&mut self, who: &Arc<Identity>, label: &Arc<str>) -> Arc<Identity> {
        let key = (address(who), label.as_ptr().addr(), Derivation::Label);
        let part = || Part::Name(Arc::clone(label));
        self.blend(key, who, part, || Identity {
            subnet_label: Arc::clone(label),
            ..(**who).clone()
        })
    }

    /// What two have in common.
    pub fn common(&mut self, one: &Arc<Identity>, other: &Arc<Identity>) -> Arc<Identity> {
        let key = (address(one), address(other), Derivation::Common);
        let part = || Part::Identity(Arc::clone(other));
        self.blend(key, one, part, || common(one, other))
    }

    fn blend(
        &mut self,
        key: (usize, usize, Derivation),
        who: &Arc<Identity>,
        part: impl FnOnce() -> Part,
        make: impl FnOnce() -> Identity,
    ) -> Arc<Identity> {
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(&known.made);
        }
        if self.known.len() >= self.most {
            self.known.clear();
        }
        let made = Arc::new(make());
        let blend = DerivedIdentity {
            made: Arc::clone(&made),
            _of: (Arc::clone(who), part()),
        };
        self.known.insert(key, blend);
        made
    }
}

fn address(who: &Arc<Identity>) -> usize {
    Arc::as_ptr(who).addr()
}

/// Where two are in different networks, and one of them only says that it is there, nothing
/// is proven of both.
fn common_network(one: &Arc<str>, other: &Arc<str>) -> Arc<str> {
    let is_proven = |network: &Arc<str>| matches!(&**network, "" | PRIMARY);
    match one == other {
        true => Arc::clone(one),
        false if is_proven(one) && is_proven(other) => Arc::default(),
        false => UNPROVEN.into(),
    }
}

fn common(one: &Identity, other: &Identity) -> Identity {
    let text = |field: fn(&Identity) -> &Arc<str>| {
        let (one, other) = (field(one), field(other));
        if one == other {
            Arc::clone(one)
        } else {
            Arc::default()
        }
    };
    let node_addr: Option<IpAddr> = one.node_addr.filter(|_| one.node_addr == other.node_addr);
    Identity {
        kind: if one.kind == other.kind {
            one.kind
        } else {
            Kind::Unknown
        },
        name: text(|who| &who.name),
        ns: text(|who| &who.ns),
        workload_name: text(|who| &who.workload_name),
        workload_kind: text(|who| &who.workload_kind),
        node_name: text(|who| &who.node_name),
        node_addr,
        zone: text(|who| &who.zone),
        region: text(|who| &who.region),
        service_name: text(|who| &who.service_name),
        service_ns: text(|who| &who.service_ns),
        network: common_network(&one.network, &other.network),
        labels: if one.labels == other.labels {
            Arc::clone(&one.labels)
        } else {
            Arc::default()
        },
        subnet_label: text(|who| &who.subnet_label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, zone: &str) -> Arc<Identity> {
        Arc::new(Identity {
            kind: Kind::Pod,
            name: name.into(),
            ns: "shop".into(),
            zone: zone.into(),
            ..Identity::default()
        })
    }

    #[test]
    fn the_same_parts_give_the_same_identity() {
        let mut derived = DerivedIdentities::with_room(8);
        let (web, label) = (pod("web", "z"), Arc::from("offices"));
        let one = derived.with_label(&web, &label);
        assert!(Arc::ptr_eq(&one, &derived.with_label(&web, &label)));
        assert_eq!((&*one.subnet_label, one.pod_name()), ("offices", "web"));
        let service = pod("svc", "");
        let served = derived.with_service(&one, &service);
        assert_eq!((&*served.service_name, &*served.service_ns), ("svc", "shop"));
        assert!(Arc::ptr_eq(&served, &derived.with_service(&served, &service)));
    }

    #[test]
    fn what_two_have_in_common_is_kept_and_nothing_else() {
        let both = DerivedIdentities::with_room(8).common(&pod("a", "z"), &pod("b", "z"));
        assert_eq!(
            (both.kind, &*both.name, &*both.ns, &*both.zone),
            (Kind::Pod, "", "shop", "z")
        );
        assert_eq!(&*common(&both, &pod("b", "y")).zone, "");
    }

    #[test]
    fn several_networks_that_pods_only_say_they_are_in_prove_none_together() {
        let network = |name: &str| Identity {
            network: name.into(),
            ..(*pod("web", "z")).clone()
        };
        let both = |one, other| common(&network(one), &network(other)).network.to_string();
        assert_eq!(both("shop/blue", "shop/red"), UNPROVEN);
        assert_eq!(both(PRIMARY, "shop/red"), UNPROVEN);
        assert_eq!(both(UNPROVEN, PRIMARY), UNPROVEN);
        assert_eq!(both("shop/red", "shop/red"), "shop/red");
        assert_eq!(
            (both(PRIMARY, PRIMARY), both(PRIMARY, "")),
            (PRIMARY.to_owned(), String::new())
        );
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let (mut derived, web) = (DerivedIdentities::with_room(100), pod("web", ""));
        for n in 0..=100 {
            derived.with_label(&web, &n.to_string().into());
        }
        assert!(derived.known.len() <= 100);
    }
}
