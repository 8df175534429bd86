//! A collector over HTTP, by its own URL or through the proxy of a cluster's API
//! server.

use std::fmt;

use anyhow::{Context, Result, bail};
use futures::TryStreamExt;
use futures::io::AsyncBufRead;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::client::{Body, ConfigExt};
use kube::config::AuthInfo;
use kube::{Client, Config};
use tower::{Layer, Service, ServiceExt, service_fn};
use weir_collector::api::access::PROXIED_TOKEN;
use weir_collector::api::problem::Problem;

/// There is no answer. It tells trouble with the network from trouble with what this program
/// writes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Parameters of a page.
pub type Pairs = Vec<(&'static str, String)>;

/// A collector.
pub struct Server {
    client: Client,
    /// What stands before `/api/v1/…` of the collector.
    prefix: String,
    /// For the collector, where the API server keeps `Authorization` for itself.
    token: Option<String>,
    name: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Server {
    /// The collector at a URL.
    ///
    /// # Errors
    /// It is no URL.
    pub fn at(url: &str, token: Option<String>) -> Result<Self> {
        let address = url
            .parse::<http::Uri>()
            .with_context(|| format!("--server {url}"))?;
        let scheme = address.scheme_str().unwrap_or_default();
        anyhow::ensure!(
            ["http", "https"].contains(&scheme) && address.host().is_some(),
            "--server {url}: write http://HOST:PORT"
        );
        let mut config = Config::new(address);
        config.auth_info = AuthInfo {
            token: token.map(Into::into),
            ..AuthInfo::default()
        };
        prepare(&mut config);
        Ok(Self {
            client: Client::try_from(config).with_context(|| format!("--server {url}"))?,
            prefix: String::new(),
            token: None,
            name: url.to_owned(),
        })
    }

    /// The collector behind a Service of a cluster, `NAMESPACE/NAME:PORT`.
    ///
    /// # Errors
    /// The Service is written otherwise, or the kubeconfig is of no use.
    pub async fn of_cluster(mut config: Config, service: &str, token: Option<String>) -> Result<Self> {
        let Some((namespace, name)) = service.split_once('/') else {
            bail!("--service {service}: write NAMESPACE/NAME:PORT");
        };
        prepare(&mut config);
        let token = match token {
            Some(token) => Some(token),
            None => own_token(&config).await?,
        };
        Ok(Self {
            prefix: format!("/api/v1/namespaces/{namespace}/services/{name}/proxy"),
            name: format!("the collector {service} of {}", config.cluster_url),
            client: Client::try_from(config).context("cannot reach the cluster")?,
            token,
        })
    }

    /// The body of a page.
    ///
    /// # Errors
    /// A [`Problem`], or nobody answers.
    pub async fn get(&self, page: &str, pairs: &Pairs) -> Result<Vec<u8>> {
        let response = self.send(page, pairs).await?;
        let body = response.into_body().collect().await;
        Ok(body
            .with_context(|| NoAnswer(format!("{self} ended its answer early")))?
            .to_bytes()
            .to_vec())
    }

    /// The lines of a page that has no end.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn stream(&self, page: &str, pairs: &Pairs) -> Result<impl AsyncBufRead + use<>> {
        let body = self.send(page, pairs).await?.into_body();
        Ok(body
            .into_data_stream()
            .map_err(std::io::Error::other)
            .into_async_read())
    }

    async fn send(&self, page: &str, pairs: &Pairs) -> Result<Response<Body>> {
        let path = format!("{}/api/v1/{page}?{}", self.prefix, encoded(pairs));
        let mut request = Request::get(path).header(header::ACCEPT, "application/json, */*;q=0.5");
        if let Some(token) = &self.token {
            request = request.header(PROXIED_TOKEN, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).context("the token is no token")?;
        let response = self.client.send(request).await;
        let response =
            response.map_err(|error| NoAnswer(format!("cannot reach {self}: {}", root(&error))))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    /// Why there is no answer: the collector's problem, or whatever was said instead.
    async fn refusal(&self, response: Response<Body>) -> anyhow::Error {
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if status == 401 && self.token.is_none() && !self.prefix.is_empty() => {
                let hint = "the kubeconfig has no token to show, perhaps a certificate; give --token, for \
                            instance --token \"$(kubectl create token ACCOUNT)\"";
                anyhow::Error::from(problem).context(hint)
            }
            Ok(problem) => problem.into(),
            Err(_) => {
                let text = String::from_utf8_lossy(&body);
                let said = serde_json::from_slice::<serde_json::Value>(&body).ok();
                let said = said.and_then(|v| v["message"].as_str().map(str::to_owned));
                let said = said.unwrap_or_else(|| text.chars().take(200).collect());
                anyhow::anyhow!("{self} answers {status}: {said}")
            }
        }
    }
}

/// What is at the bottom of it: "Connection refused", not which layers passed that on.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

fn encoded(pairs: &Pairs) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    query.finish()
}

/// A tail may be silent for long; and what a collector refuses is for the user to
/// know, not to be tried again.
fn prepare(config: &mut Config) {
    config.read_timeout = None;
    config.default_retry = false;
}

/// The token that the kubeconfig shows to the API server, whether it stands there,
/// in a file, or a program makes it; none: it shows a certificate.
async fn own_token(config: &Config) -> Result<Option<String>> {
    let Some(layer) = config
        .auth_layer()
        .context("the kubeconfig says not who you are")?
    else {
        return Ok(None);
    };
    let mut probe = layer.layer(service_fn(async |request: Request<Body>| {
        let mut response = Response::new(());
        *response.headers_mut() = request.into_parts().0.headers;
        Ok::<_, tower::BoxError>(response)
    }));
    let ready = probe.ready().await;
    let response = match ready {
        Ok(probe) => probe.call(Request::new(Body::empty())).await,
        Err(error) => Err(error),
    };
    let response =
        response.map_err(|error| anyhow::anyhow!("the kubeconfig says not who you are: {error}"))?;
    let value = response.headers().get(header::AUTHORIZATION);
    let value = value.and_then(|value| value.to_str().ok());
    Ok(value
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::to_owned))
}
