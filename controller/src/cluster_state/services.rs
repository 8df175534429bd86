//! The Services that the configuration names, and the addresses of those that are gone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use weir_api::collector::ServiceRef;
use weir_api::plan::{named_services, service_address};
use weir_api::{ExportNetworkFlows, flows_config};

use super::ClusterState;
use crate::facts::ServiceAddress;
use crate::guarded::Guarded;
use crate::moment::{is_within, later};
use crate::table::{ObjectChange, key_of};
use crate::weigh::weigh_plan;

/// How long the address of a Service that is gone is held: `kubectl replace --force`
/// and a Helm upgrade delete it and make it anew, and the rows are not to go with it. Only in
/// memory: another process does not know it.
pub const SERVICE_HOLD: Duration = Duration::from_secs(60);

impl ClusterState {
    pub(super) fn apply_service(&mut self, event: Event<Guarded<Service>>, now: Timestamp) -> ObjectChange {
        let unnamed = match &event {
            Event::Apply(service) | Event::Delete(service) => !self.names(&key_of(service)),
            _ => false,
        };
        let seen = self.see_collector(&event, now);
        let before = self.named_addresses();
        let change = self
            .services
            .apply(event, |service| service_address(&service), weigh_plan);
        for (service, address) in before {
            if !matches!(self.services.within(&service.0, &service.1), Some(Ok(_))) {
                self.held_addresses.insert(service, (address, now));
            }
        }
        self.held_addresses
            .retain(|_, (_, gone)| is_within(*gone, SERVICE_HOLD, now));
        if unnamed { seen } else { change.max(seen) }
    }

    /// The Services that the configuration names and that have an address.
    fn named_addresses(&self) -> Vec<((String, String), IpAddr)> {
        let address = |service: &ServiceRef| match self.services.within(&service.namespace, &service.name) {
            Some(Ok(address)) => Some(((service.namespace.clone(), service.name.clone()), *address)),
            _ => None,
        };
        self.named_services().iter().filter_map(address).collect()
    }

    /// Whether the configuration names that Service.
    fn names(&self, (namespace, name): &(String, String)) -> bool {
        let named = self.named_services();
        named
            .iter()
            .any(|service| service.namespace == *namespace && service.name == *name)
    }

    fn named_services(&self) -> BTreeSet<ServiceRef> {
        let config = self.flows_config().and_then(|data| flows_config::parse(data).0);
        let nothing = ExportNetworkFlows::default();
        named_services(self.flows().unwrap_or(&nothing), config.as_ref())
    }

    /// The address of a Service, or why it has none.
    pub fn service(&self, namespace: &str, name: &str) -> ServiceAddress {
        self.services
            .within(namespace, name)
            .copied()
            .unwrap_or(Err("names a Service that does not exist"))
    }

    /// The last address of a Service that is gone, and until when it counts.
    pub fn held_address(&self, namespace: &str, name: &str, now: Timestamp) -> Option<(IpAddr, Timestamp)> {
        let held = self.held_addresses.get(&(namespace.to_owned(), name.to_owned()));
        let (address, gone) = held.copied()?;
        is_within(gone, SERVICE_HOLD, now).then(|| (address, later(gone, SERVICE_HOLD)))
    }
}
