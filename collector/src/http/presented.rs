//! What is shown over HTTPS, and whom we know by what they show: kept up to date by one
//! task. A certificate comes from files, or is made for a Service and kept in a Secret
//! ([`issue`]); then its authority is told to the API server, which passes requests on to
//! that Service and verifies it ([`front_proxy`]).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_rustls::rustls::ServerConfig;

use super::certificate::Certificate;
use super::der;
use super::front_proxy::{self, FrontProxy};
use super::issue::{self, Issued};
use super::{API_SERVICE, HttpServer};
use crate::tls::{self, Clients, TlsError};

/// What clients may speak, the best first.
pub(super) const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How often the cluster is asked what has changed.
const CLUSTER: Duration = Duration::from_secs(60);
/// How long it may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Two collectors may want to write a Secret at a time.
const ATTEMPTS: usize = 3;

/// What connections that come now are shown.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) config: Arc<ServerConfig>,
    /// Who may say who asks.
    pub(super) front_proxy: Option<Arc<FrontProxy>>,
    /// When the certificate ends.
    pub(super) ends: Option<Timestamp>,
}

/// A Service by its names, `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceName {
    /// Its namespace.
    pub namespace: String,
    /// Its own name.
    pub name: String,
}

impl FromStr for ServiceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                })
            }
            _ => Err("write NAMESPACE/NAME".to_owned()),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl ServiceName {
    /// The Secret that keeps its certificate.
    fn secret(&self) -> String {
        format!("{}-http", self.name)
    }

    /// The names that it is asked by: the API server uses the first, who forwards a port
    /// the last.
    fn names(&self) -> Vec<String> {
        let Self { namespace, name } = self;
        vec![
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}"),
            name.clone(),
            "localhost".to_owned(),
        ]
    }
}

/// Where the certificate comes from.
enum Source {
    Files(Certificate),
    Service(ServiceName, Issued),
}

/// Keeps what is shown up to date.
pub(crate) struct Keeper {
    source: Source,
    cluster: Option<Client>,
    front_proxy: Option<Arc<FrontProxy>>,
    /// What was wrong when the cluster was asked last; it is logged once.
    trouble: Option<String>,
    interval: Duration,
    /// Something is to be shown that is not yet.
    is_due: bool,
    presented: watch::Sender<Arc<Presented>>,
}

impl Keeper {
    /// Reads the certificate; `None` when there is to be none, and HTTP is in the clear.
    ///
    /// # Errors
    /// TLS cannot be spoken with the files.
    pub(crate) fn start(config: &HttpServer, cluster: Option<Client>) -> Result<Option<Self>, TlsError> {
        let source = match (&config.tls, &config.service) {
            (Some(files), _) => Source::Files(Certificate::read(files.clone())?),
            // Probes are answered before the cluster is: nobody verifies it for them.
            (None, Some(service)) => Source::Service(service.clone(), made(service, "")?),
            (None, None) => return Ok(None),
        };
        if let Source::Service(service, _) = &source
            && cluster.is_none()
        {
            tracing::warn!(%service, "nobody verifies a certificate for a Service: names come from no cluster");
        }
        let first = Presented {
            config: shown(&source, None)?,
            front_proxy: None,
            ends: ends(&source),
        };
        Ok(Some(Self {
            source,
            cluster,
            front_proxy: None,
            trouble: None,
            interval: config.certificate_interval,
            is_due: false,
            presented: watch::Sender::new(Arc::new(first)),
        }))
    }

    /// What is shown, now and later.
    pub(super) fn presented(&self) -> watch::Receiver<Arc<Presented>> {
        self.presented.subscribe()
    }

    /// Looks at files and cluster, until nobody wants to know.
    pub(crate) async fn run(mut self) {
        let mut look = interval(self.interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask_at = Instant::now();
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = self.presented.closed() => return,
            }
            if let Source::Files(certificate) = &mut self.source {
                self.is_due |= certificate.refresh();
            }
            if let Some(client) = self.cluster.clone().filter(|_| ask_at <= Instant::now()) {
                let troubles = self.ask(&client).await;
                if troubles.is_empty() {
                    ask_at = Instant::now() + CLUSTER;
                }
                self.report((!troubles.is_empty()).then(|| troubles.join("; ")));
            }
            if self.is_due {
                self.present();
            }
        }
    }

    /// What is wrong is said when it begins, and that it is over.
    fn report(&mut self, trouble: Option<String>) {
        if trouble == self.trouble {
            return;
        }
        match &trouble {
            Some(why) => tracing::warn!(why, "the API server cannot pass requests on to this collector"),
            None => tracing::info!("the API server may pass requests on to this collector"),
        }
        self.trouble = trouble;
    }

    /// Shows what there is now; until that can be done it is due.
    fn present(&mut self) {
        match shown(&self.source, self.front_proxy.as_deref()) {
            Ok(config) => {
                self.presented.send_replace(Arc::new(Presented {
                    config,
                    front_proxy: self.front_proxy.clone(),
                    ends: ends(&self.source),
                }));
                self.is_due = false;
            }
            Err(error) => tracing::warn!(%error, "the certificate before is shown on"),
        }
    }

    /// Asks the cluster how the API server is known, and for the certificate, each whatever
    /// became of the other; with what went wrong.
    async fn ask(&mut self, client: &Client) -> Vec<String> {
        let mut troubles = Vec::new();
        match known(client).await {
            Ok(known) => {
                // Whom it is no longer known by is believed no longer.
                let (known, trouble) = match known {
                    Ok(known) => (Some(Arc::new(known)), None),
                    Err(why) => (None, Some(why)),
                };
                self.is_due |= self.front_proxy != known;
                self.front_proxy = known;
                troubles.extend(trouble);
            }
            Err(why) => troubles.push(why),
        }
        if let Source::Service(service, issued) = &mut self.source {
            match keep(client, service).await {
                Ok(kept) => {
                    troubles.extend(tell(client, service, &kept.authorities).await.err());
                    self.is_due |= *issued != kept;
                    *issued = kept;
                }
                Err(why) => troubles.push(why),
            }
        }
        troubles
    }
}

/// How the API server is known, or why it is not.
///
/// # Errors
/// It does not say.
async fn known(client: &Client) -> Result<Result<FrontProxy, String>, String> {
    let config = Api::<ConfigMap>::namespaced(client.clone(), front_proxy::NAMESPACE);
    let found = within("its ConfigMap", config.get_opt(front_proxy::CONFIG_MAP)).await?;
    Ok(FrontProxy::read(
        &found.and_then(|found| found.data).unwrap_or_default(),
    ))
}

fn made(service: &ServiceName, before: &str) -> Result<Issued, TlsError> {
    issue::issue(&service.names(), before, SystemTime::now()).map_err(|error| TlsError {
        file: service.to_string().into(),
        reason: error.to_string(),
    })
}

fn shown(source: &Source, front_proxy: Option<&FrontProxy>) -> Result<Arc<ServerConfig>, TlsError> {
    let clients = front_proxy.map_or(Clients::Any, |proxy| Clients::MayShow(proxy.authorities()));
    match source {
        Source::Files(certificate) => tls::server_config(certificate.files(), clients, &PROTOCOLS),
        Source::Service(service, issued) => {
            let name = service.to_string();
            let identity = tls::Identity::parse(&name, &issued.certificate, &issued.private_key)?;
            identity.server_config(clients, &PROTOCOLS)
        }
    }
}

/// When the certificate of a source ends, if that can be read.
fn ends(source: &Source) -> Option<Timestamp> {
    let first = match source {
        Source::Files(certificate) => CertificateDer::from_pem_file(&certificate.files().certificate),
        Source::Service(_, issued) => CertificateDer::from_pem_slice(issued.certificate.as_bytes()),
    };
    der::not_after(&first.ok()?)
}

/// The certificate in the Secret of a Service; a new one when it is none, or about to end.
async fn keep(client: &Client, service: &ServiceName) -> Result<Issued, String> {
    let secrets = Api::<Secret>::namespaced(client.clone(), &service.namespace);
    let (name, what) = (service.secret(), format!("the Secret of {service}"));
    for _ in 0..ATTEMPTS {
        let mut secret = within(&what, secrets.get(&name)).await?;
        let kept = read(secret.data.as_ref());
        let Some(why) = issue::fault(&kept, &service.names(), SystemTime::now() + issue::RENEWAL) else {
            return Ok(kept);
        };
        tracing::info!(%service, why, "a certificate for HTTP is made");
        let new = made(service, &kept.authorities).map_err(|error| error.to_string())?;
        secret.data = Some(written(&new));
        // With the version that was read: who wrote meanwhile is not overwritten.
        match timeout(PATIENCE, secrets.replace(&name, &PostParams::default(), &secret)).await {
            Ok(Ok(_)) => return Ok(new),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) => return Err(format!("{what}: {error}")),
            Err(_) => return Err(format!("{what}: no answer within {PATIENCE:?}")),
        }
    }
    Err(format!("{what} is written by others at the same time"))
}

/// Tells the API server by which authorities it knows the Service.
async fn tell(client: &Client, service: &ServiceName, authorities: &str) -> Result<(), String> {
    let services = Api::<APIService>::all(client.clone());
    let what = format!("the APIService {API_SERVICE}");
    let Some(found) = within(&what, services.get_opt(API_SERVICE)).await? else {
        return Err(format!("{what} is missing: manifests/ bring it"));
    };
    let spec = found.spec.unwrap_or_default();
    let leads_to = spec.service.unwrap_or_default();
    if leads_to.namespace.as_deref() != Some(&service.namespace)
        || leads_to.name.as_deref() != Some(&service.name)
    {
        return Err(format!("{what} leads to another Service than {service}"));
    }
    let bundle = ByteString(authorities.as_bytes().to_vec());
    if spec.ca_bundle.as_ref() == Some(&bundle) {
        return Ok(());
    }
    let patch = Patch::Merge(json!({"spec": {"caBundle": bundle}}));
    within(
        &what,
        services.patch(API_SERVICE, &PatchParams::default(), &patch),
    )
    .await?;
    tracing::info!(%service, "the API server knows by which authority to verify it");
    Ok(())
}

fn read(data: Option<&BTreeMap<String, ByteString>>) -> Issued {
    let text = |key: &str| {
        let bytes = data.and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
        String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
    };
    Issued {
        authorities: text("ca.crt"),
        certificate: text("tls.crt"),
        private_key: text("tls.key"),
    }
}

fn written(issued: &Issued) -> BTreeMap<String, ByteString> {
    let parts = [
        ("ca.crt", &issued.authorities),
        ("tls.crt", &issued.certificate),
        ("tls.key", &issued.private_key),
    ];
    parts
        .map(|(key, text)| (key.to_owned(), ByteString(text.as_bytes().to_vec())))
        .into()
}

async fn within<T>(what: &str, answer: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: no answer within {PATIENCE:?}")),
    }
}
