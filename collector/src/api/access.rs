//! Who may see which flows. What a request shows and what follows from it is
//! decided here; asking Kubernetes is `reviews`' work.
//!
//! | names come from | HTTP listens on | who may ask | sees |
//! |---|---|---|---|
//! | Kubernetes | anything | whom the API server let in and passed on; a token that Kubernetes accepts for this collector | flows with an end, by a name that nobody can write down for themselves, in a namespace whose pods they may get |
//! | elsewhere | loopback | everybody on this host | everything |
//! | elsewhere | anything else | nobody | |
//!
//! What FlowMetrics count is of all namespaces, and is a page apart: [`Gate::admit_scraper`].
//! Names and rules of policies are told to whoever may get NetworkPolicies in their namespace,
//! those of the cluster to whoever may in all: [`Gate::policies`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;

use weir_decisions::Namespaces;
use weir_query::Scope;

use super::person::{Asserted, Person};
use super::problem::Problem;
use super::reviews::{Readable, Reviews};

/// Where the token is looked for when `Authorization` has none: proxies take that header
/// away.
pub const PROXIED_TOKEN: &str = "x-weir-authorization";

/// Longer ones are no tokens.
const LONGEST_TOKEN: usize = 16 << 10;

/// What a request shows of who sends it.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    headers: HeaderMap,
    asserted: Option<Arc<Person>>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut headers = parts.headers.clone();
        // HTTP/2 says for whom a request is in its address.
        let authority = parts.uri.authority().map(|authority| authority.as_str().parse());
        if let (None, Some(Ok(authority))) = (headers.get(HOST), authority) {
            headers.insert(HOST, authority);
        }
        Ok(Self {
            headers,
            asserted: parts.extensions.get().map(|Asserted(person)| Arc::clone(person)),
        })
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Somebody on this host.
    Local,
    /// Somebody whom the API server let in, and passed on.
    Passed(Arc<Person>),
    /// Somebody with a token for this collector.
    Bearer(Arc<Person>),
}

impl Who {
    /// The person, if it is known which.
    pub fn person(&self) -> Option<&Arc<Person>> {
        match self {
            Self::Local => None,
            Self::Passed(person) | Self::Bearer(person) => Some(person),
        }
    }
}

/// How a collector tells who may ask.
#[derive(Debug, Clone)]
pub enum Gate {
    /// Whoever is on this host may.
    Loopback,
    /// Nobody may: there is nothing to tell by.
    Closed,
    /// Kubernetes tells.
    Kubernetes(Arc<Reviews>),
}

impl Gate {
    /// The gate of a collector that serves HTTP here.
    pub fn of(http: SocketAddr, reviews: Option<Reviews>) -> Self {
        match reviews {
            Some(reviews) => Self::Kubernetes(Arc::new(reviews)),
            None if http.ip().is_loopback() => Self::Loopback,
            None => Self::Closed,
        }
    }

    /// Who sends a request.
    ///
    /// # Errors
    /// Nobody knows, or nobody may.
    pub async fn identify(&self, caller: &Caller) -> Result<Who, Problem> {
        match self {
            Self::Loopback if names_this_host(&caller.headers) => Ok(Who::Local),
            Self::Loopback => Err(Problem::forbidden(
                "without tokens only requests to localhost are answered, and this one names another host",
            )),
            Self::Closed => Err(Problem::forbidden(
                "there is nothing to tell who asks: serve HTTP on loopback (--http 127.0.0.1:8080) or take \
                 names from Kubernetes (--kube)",
            )),
            Self::Kubernetes(reviews) => match &caller.asserted {
                Some(person) => Ok(Who::Passed(Arc::clone(person))),
                None => reviews.person(token(&caller.headers)?).await.map(Who::Bearer),
            },
        }
    }

    /// What somebody may see, out of these namespaces; perhaps none of them.
    ///
    /// # Errors
    /// The problem says why.
    pub async fn scope(
        &self,
        who: &Who,
        namespaces: impl AsyncFnOnce() -> Result<Vec<String>, Problem>,
    ) -> Result<Scope, Problem> {
        match (self, who.person()) {
            (Self::Kubernetes(reviews), Some(person)) => reviews.scope(person, namespaces).await,
            (Self::Loopback, None) => Ok(Scope::All),
            _ => Ok(Scope::Namespaces(Vec::new())),
        }
    }

    /// In which of these namespaces somebody may get NetworkPolicies.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn policies(&self, who: &Who, namespaces: Vec<String>) -> Result<Namespaces, Problem> {
        match (self, who.person()) {
            (Self::Kubernetes(reviews), Some(person)) => {
                let seen = reviews.policies(person, namespaces).await?;
                Ok(seen.map_or(Namespaces::All, |some| {
                    Namespaces::Some(some.into_iter().collect())
                }))
            }
            (Self::Loopback, None) => Ok(Namespaces::All),
            _ => Ok(Namespaces::Some(BTreeSet::new())),
        }
    }

    /// Whether somebody may read these objects.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn may_read(&self, who: &Who, what: Readable) -> Result<bool, Problem> {
        match (self, who.person()) {
            (Self::Kubernetes(reviews), Some(person)) => reviews.may_read(person, what).await,
            (Self::Loopback, None) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Whether somebody may read the policies of all namespaces.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn reads_policies(&self, who: &Who) -> Result<bool, Problem> {
        match (self, who.person()) {
            (Self::Kubernetes(reviews), Some(person)) => reviews.reads_policies(person).await,
            (Self::Loopback, None) => Ok(true),
            _ => Ok(false),
        }
    }

    /// Lets somebody read what FlowMetrics count: whoever may get `/flow-metrics`, and whoever may
    /// see everything. Where Kubernetes does not tell, everybody; else it is told who it is.
    ///
    /// # Errors
    /// They may not, or nobody knows who they are.
    pub async fn admit_scraper(&self, caller: &Caller) -> Result<Option<Arc<Person>>, Problem> {
        let Self::Kubernetes(reviews) = self else {
            return Ok(None);
        };
        let person = match &caller.asserted {
            Some(person) => Arc::clone(person),
            None => reviews.scraper(token(&caller.headers)?).await?,
        };
        if reviews.reads_flow_metrics(&person).await? {
            return Ok(Some(person));
        }
        Err(Problem::forbidden(format!(
            "{} may not read what FlowMetrics count: bind the ClusterRole weir-flow-metrics-reader to them",
            person.name
        )))
    }

    /// Whether somebody may see everything.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn sees_everything(&self, who: &Who) -> Result<bool, Problem> {
        let scope = self.scope(who, async || Ok(Vec::new())).await?;
        Ok(scope == Scope::All)
    }
}

/// The bearer token (RFC 6750 section 2.1).
fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let bearer = |name: &str| {
        let (scheme, token) = headers.get(name)?.to_str().ok()?.trim().split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    };
    let token = bearer(AUTHORIZATION.as_str()).or_else(|| bearer(PROXIED_TOKEN));
    match token {
        None => Err(Problem::unauthorized(
            "a bearer token is needed that Kubernetes accepts",
        )),
        Some(token) if token.len() > LONGEST_TOKEN => {
            Err(Problem::unauthorized("the bearer token is too long"))
        }
        Some(token) => Ok(token),
    }
}

/// Whether a request is for this host by a name of its own. A page from elsewhere, opened in
/// a browser here, can make its own name resolve to loopback; but then its name is what the
/// request is for.
pub fn names_this_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    if host.parse::<SocketAddr>().is_ok_and(|a| a.ip().is_loopback()) {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a: IpAddr| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    async fn admit(http: &str, pairs: &[(&'static str, &str)]) -> Result<Scope, u16> {
        let gate = Gate::of(http.parse().unwrap(), None);
        let caller = Caller {
            headers: headers(pairs),
            asserted: None,
        };
        let seen = async {
            let who = gate.identify(&caller).await?;
            gate.scope(&who, async || Ok(Vec::new())).await
        };
        seen.await.map_err(|problem: Problem| problem.status)
    }

    #[tokio::test]
    async fn on_loopback_without_kubernetes_everything_is_seen_by_those_who_mean_this_host() {
        for host in [
            "localhost",
            "localhost:8080",
            "127.0.0.1:1",
            "127.0.0.1",
            "[::1]:8080",
            "[::1]",
        ] {
            let seen = admit("127.0.0.1:8080", &[("host", host)]).await;
            assert_eq!(seen, Ok(Scope::All), "{host}");
        }
        for host in ["evil.example:8080", "10.0.0.1:8080", "localhost.evil.example", ""] {
            assert_eq!(
                admit("127.0.0.1:8080", &[("host", host)]).await,
                Err(403),
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn elsewhere_nothing_is_served_whatever_the_request_shows() {
        for pairs in [&[][..], &[("host", "localhost"), ("authorization", "Bearer x")]] {
            assert_eq!(admit("0.0.0.0:8080", pairs).await, Err(403));
            assert_eq!(admit("192.0.2.1:8080", pairs).await, Err(403));
        }
    }

    #[test]
    fn a_token_is_found_in_either_header_and_nothing_else_is_one() {
        let found = |pairs: &[_]| token(&headers(pairs)).map(str::to_owned).map_err(|p| p.status);
        assert_eq!(found(&[("authorization", "Bearer a")]), Ok("a".into()));
        assert_eq!(found(&[("authorization", "bearer  a ")]), Ok("a".into()));
        assert_eq!(found(&[(PROXIED_TOKEN, "Bearer b")]), Ok("b".into()));
        let both = [("authorization", "Bearer a"), (PROXIED_TOKEN, "Bearer b")];
        assert_eq!(found(&both), Ok("a".into()));
        for none in ["Basic YTpi", "Bearer", "Bearer ", "a"] {
            assert_eq!(found(&[("authorization", none)]), Err(401), "{none}");
        }
        let long = format!("Bearer {}", "x".repeat(LONGEST_TOKEN + 1));
        assert_eq!(found(&[("authorization", &long)]), Err(401));
        assert_eq!(found(&[]), Err(401));
    }
}
