//! Who is at the other end of a connection, and what becomes of the requests that come
//! from there.

use std::future::pending;
use std::sync::Arc;

use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, Request};
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;

use super::front_proxy::FrontProxy;
use super::presented::Presented;
use crate::api::person::Asserted;

/// Where the API server passes the pages of the API on to.
pub(super) const AGGREGATED: &str = "/apis/flows.weir.dev/v1";
/// Where they are.
const PAGES: &str = "/api/v1";
/// Below this the API server has all that the web UI asks for.
const UI: &str = "/ui";

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(super) struct Peer(Option<Arc<FrontProxy>>);

impl Peer {
    /// Nobody knows.
    pub(super) const fn anybody() -> Self {
        Self(None)
    }

    /// Who shows this certificate, which is of an authority of the API server's, if it is
    /// any.
    pub(super) fn who_shows(shown: Option<&CertificateDer<'_>>, proxy: Option<&Arc<FrontProxy>>) -> Self {
        let proxy = proxy.filter(|proxy| shown.is_some_and(|shown| proxy.is_shown_by(shown)));
        Self(proxy.cloned())
    }

    /// Waits until the API server, as which it was known, is known by something else: who
    /// took it over may still have this connection.
    pub(super) async fn is_known_otherwise(&self, presented: Option<watch::Receiver<Arc<Presented>>>) {
        let Some((known, mut presented)) = self.0.as_ref().zip(presented) else {
            return pending().await;
        };
        let changed = presented.wait_for(|presented| presented.front_proxy.as_ref() != Some(known));
        if changed.await.is_err() {
            // Nothing is presented any more: the collector ends.
            pending().await
        }
    }

    /// Puts a request where its page is; with who asks, if the API server says so.
    pub(super) fn mark<B>(&self, mut request: Request<B>) -> Request<B> {
        if let Some(uri) = own(request.uri()) {
            *request.uri_mut() = uri;
        }
        if let Some(asserted) = self.asserted(request.headers()) {
            request.extensions_mut().insert(asserted);
        }
        request
    }

    fn asserted(&self, headers: &HeaderMap) -> Option<Asserted> {
        let person = self.0.as_ref()?.person(headers)?;
        Some(Asserted(Arc::new(person)))
    }
}

/// The address of a page here, out of the one that the API server knows it by.
fn own(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(AGGREGATED)?;
    let own = match rest.strip_prefix(UI).filter(|page| page.starts_with('/')) {
        Some(page) => page.to_owned(),
        None if rest.len() > 1 && rest.starts_with('/') => format!("{PAGES}{rest}"),
        None => return None,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(own).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::server::ResolvesServerCertUsingSni;

    use super::*;

    #[test]
    fn pages_are_found_by_the_address_that_the_api_server_knows_them_by() {
        let own = |uri: &str| own(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(
            own("/apis/flows.weir.dev/v1/flows?a=b").as_deref(),
            Some("/api/v1/flows?a=b")
        );
        assert_eq!(
            own("https://weir-collector.weir-system.svc/apis/flows.weir.dev/v1/me").as_deref(),
            Some("https://weir-collector.weir-system.svc/api/v1/me")
        );
        for (known, here) in [
            ("/apis/flows.weir.dev/v1/ui/", "/"),
            ("/apis/flows.weir.dev/v1/ui/flows?since=1h", "/flows?since=1h"),
            ("/apis/flows.weir.dev/v1/ui/assets/a.js", "/assets/a.js"),
            ("/apis/flows.weir.dev/v1/ui/api/v1/me", "/api/v1/me"),
            ("/apis/flows.weir.dev/v1/uid", "/api/v1/uid"),
        ] {
            assert_eq!(own(known).as_deref(), Some(here));
        }
        for other in [
            "/apis/flows.weir.dev/v1",
            "/apis/flows.weir.dev/v1/",
            "/apis/flows.weir.dev/v12/flows",
            "/api/v1/flows",
        ] {
            assert_eq!(own(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn who_is_known_by_an_authority_that_is_no_longer_told_is_not_known_on() {
        let presented = |front_proxy: Option<Arc<FrontProxy>>| {
            let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
            Arc::new(Presented {
                config: Arc::new(config),
                front_proxy,
                ends: None,
            })
        };
        let proxy = Arc::new(FrontProxy::default());
        let (told, presents) = watch::channel(presented(Some(Arc::clone(&proxy))));
        let peer = Peer(Some(Arc::clone(&proxy)));
        let changed = peer.is_known_otherwise(Some(presents.clone()));
        tokio::pin!(changed);
        // Another certificate of ours is no matter.
        told.send_replace(presented(Some(proxy)));
        assert!(futures::poll!(changed.as_mut()).is_pending());
        told.send_replace(presented(None));
        changed.await;
        let anybody = Peer::anybody();
        let of_anybody = anybody.is_known_otherwise(Some(presents));
        tokio::pin!(of_anybody);
        assert!(futures::poll!(of_anybody).is_pending());
    }

    #[test]
    fn headers_say_nothing_of_who_asks_unless_the_api_server_sent_them() {
        let request = Request::get("/")
            .header("x-remote-user", "root")
            .body(())
            .unwrap();
        let marked = Peer::anybody().mark(request);
        assert!(marked.extensions().get::<Asserted>().is_none());
    }
}
