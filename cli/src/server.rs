//! A collector over HTTP: by its own URL, or through the API server of a cluster, which
//! knows who asks by whatever the kubeconfig shows it. No token of the kubeconfig ever
//! goes anywhere else.

use std::fmt;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use futures::io::AsyncBufRead;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Client, Config};
use weir_collector::api::problem::Problem;
use weir_collector::api::token;

/// Where the API server has the collector's pages.
const AGGREGATED: &str = "/apis/flows.weir.dev/v1";
/// Pages that may take longer than the API server lets anything take that it does not take for a
/// watch, which is a minute.
const UNENDING: [&str; 2] = ["tail", "export"];
/// The parameter that makes it take them for one.
const WATCH: &str = "watch";

/// There is no answer. It tells trouble with the network from trouble with what this program
/// writes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// The API server lets nobody through to the collector who may not ask for such a page.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAllowed(String);

/// Parameters of a page.
pub type Pairs = Vec<(&'static str, String)>;

/// A collector.
pub struct Server {
    client: Client,
    /// What stands before the name of a page.
    prefix: &'static str,
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
    /// It is no URL, or the token is for others, too.
    pub fn at(url: &str, token: Option<String>) -> Result<Self> {
        let address = url
            .parse::<http::Uri>()
            .with_context(|| format!("--server {url}"))?;
        let scheme = address.scheme_str().unwrap_or_default();
        anyhow::ensure!(
            ["http", "https"].contains(&scheme) && address.host().is_some(),
            "--server {url}: write http://HOST:PORT"
        );
        anyhow::ensure!(
            token.as_deref().is_none_or(token::is_for_collectors),
            "--token is not for collectors alone, and is shown to none: it may be good for all that you may do in \
             the cluster. Make one: kubectl create token ACCOUNT --audience {}",
            token::AUDIENCE
        );
        let mut config = Config::new(address);
        config.auth_info = AuthInfo {
            token: token.map(Into::into),
            ..AuthInfo::default()
        };
        prepare(&mut config);
        Ok(Self {
            client: Client::try_from(config).with_context(|| format!("--server {url}"))?,
            prefix: "/api/v1",
            name: url.to_owned(),
        })
    }

    /// The collector of a cluster.
    ///
    /// # Errors
    /// The kubeconfig is of no use.
    pub fn of_cluster(mut config: Config) -> Result<Self> {
        prepare(&mut config);
        Ok(Self {
            prefix: AGGREGATED,
            name: format!("the collector of {}", config.cluster_url),
            client: Client::try_from(config).context("cannot reach the cluster")?,
        })
    }

    /// The body of a page.
    ///
    /// # Errors
    /// A [`Problem`], or nobody answers.
    pub async fn get(&self, page: &str, pairs: &Pairs) -> Result<Vec<u8>> {
        whole(self, self.send(page, pairs).await?).await
    }

    /// The body of a page that takes one.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, page: &str, pairs: &Pairs, body: String) -> Result<Vec<u8>> {
        let path = format!("{}/{page}?{}", self.prefix, encoded(pairs));
        let request = Request::post(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/yaml");
        let request = request
            .body(Body::from(body.into_bytes()))
            .context("the token is no token")?;
        whole(self, self.answer(request).await?).await
    }

    /// The lines of a page that has no end.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn stream(&self, page: &str, pairs: &Pairs) -> Result<impl AsyncBufRead + use<>> {
        let body = self.body(page, pairs).await?;
        Ok(body
            .into_data_stream()
            .map_err(std::io::Error::other)
            .into_async_read())
    }

    /// A page that may take long, as it comes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn body(&self, page: &str, pairs: &Pairs) -> Result<Body> {
        let mut pairs = pairs.clone();
        pairs.push((WATCH, "true".to_owned()));
        Ok(self.send(page, &pairs).await?.into_body())
    }

    /// A page as somebody else asks for it, with the query and what is sent along as they are, and
    /// nothing of theirs but `kept`: which forms and codings of an answer they take, and what
    /// they send.
    ///
    /// # Errors
    /// As [`Self::get`]; also when the answer is a refusal.
    pub async fn pass(
        &self,
        method: Method,
        page: &str,
        query: &str,
        kept: &HeaderMap,
        body: Body,
    ) -> Result<Response<Body>> {
        let mut path = format!("{}/{page}?{query}", self.prefix);
        if UNENDING.contains(&page) {
            let joint = if query.is_empty() { "" } else { "&" };
            path += &format!("{joint}{WATCH}=true");
        }
        let request = kept.iter().fold(
            Request::builder().method(method).uri(path),
            |request, (name, value)| request.header(name, value),
        );
        let request = request.body(body);
        self.answer(request.context("the question is no part of an address")?)
            .await
    }

    async fn send(&self, page: &str, pairs: &Pairs) -> Result<Response<Body>> {
        let path = format!("{}/{page}?{}", self.prefix, encoded(pairs));
        let request = Request::get(path)
            .header(header::ACCEPT, "application/json, */*;q=0.5")
            .header(header::TE, "trailers");
        self.answer(request.body(Body::empty()).context("the token is no token")?)
            .await
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>> {
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
            Ok(problem) => problem.into(),
            Err(_) if status == 404 && self.prefix == AGGREGATED => anyhow::anyhow!(
                "the cluster has no API flows.weir.dev/v1: apply manifests/ there, or name the collector by --server"
            ),
            Err(_) => {
                let text = String::from_utf8_lossy(&body);
                let said = serde_json::from_slice::<serde_json::Value>(&body).ok();
                let said = said.and_then(|v| v["message"].as_str().map(str::to_owned));
                let said = said.unwrap_or_else(|| text.chars().take(200).collect());
                let text = format!("{self} answers {status}: {said}");
                match status {
                    StatusCode::FORBIDDEN => NotAllowed(text).into(),
                    _ => anyhow::Error::msg(text),
                }
            }
        }
    }
}

async fn whole(server: &Server, response: Response<Body>) -> Result<Vec<u8>> {
    let body = response.into_body().collect().await;
    Ok(body
        .with_context(|| NoAnswer(format!("{server} ended its answer early")))?
        .to_bytes()
        .to_vec())
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
