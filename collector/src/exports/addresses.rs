//! Addresses of the Services that a plan names: looked up at the same time, so many at a time for
//! all who plan, with one deadline for all of a plan.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::ListParams;
use tokio::time::{Instant, timeout_at};
use weir_api::collector::ServiceRef;
use weir_api::plan::service_address;
use weir_process::kubernetes::describe;

use super::ExportObjects;
use super::reading::{PATIENCE, too_late};

/// Services that are looked up at a time, whoever plans.
pub(super) const AT_A_TIME: usize = 16;

/// Addresses of Services by namespace and name, or why they have none.
#[derive(Debug, Default)]
pub struct Addresses(BTreeMap<(String, String), Result<IpAddr, String>>);

impl Addresses {
    /// That of one.
    ///
    /// # Errors
    /// In words why there is none.
    pub fn of(&self, service: &ServiceRef) -> Result<IpAddr, String> {
        let key = (service.namespace.clone(), service.name.clone());
        let known = self.0.get(&key).cloned();
        known.unwrap_or_else(|| {
            Err(format!(
                "is a Service whose address you may not see: that is for who may get services in {}",
                service.namespace
            ))
        })
    }
}

impl ExportObjects {
    /// Addresses of Services, those that have one.
    pub async fn addresses(&self, services: impl IntoIterator<Item = ServiceRef>) -> Addresses {
        let end = Instant::now() + PATIENCE;
        let found = services.into_iter().map(async |service| {
            let found = timeout_at(end, self.look_up(&service)).await;
            let unread = |why| format!("is a Service that cannot be read: {why}");
            let address = match found.map_err(|_| too_late()) {
                Ok(Ok(Some(found))) => service_address(&found).map_err(str::to_owned),
                Ok(Ok(None)) => Err("names a Service that is not there".to_owned()),
                Ok(Err(why)) | Err(why) => Err(unread(why)),
            };
            ((service.namespace, service.name), address)
        });
        Addresses(join_all(found).await.into_iter().collect())
    }

    /// A list of one: the collector may list Services, and not get them.
    async fn look_up(&self, service: &ServiceRef) -> Result<Option<Service>, String> {
        let _turn = self
            .lookups
            .acquire()
            .await
            .map_err(|closed| closed.to_string())?;
        let api = Api::<Service>::namespaced(self.client.clone(), &service.namespace);
        let named = ListParams::default().fields(&format!("metadata.name={}", service.name));
        let found = api.list(&named).await.map_err(|error| describe(&error))?;
        Ok(found.items.into_iter().next())
    }
}
