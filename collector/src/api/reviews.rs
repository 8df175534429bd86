//! Asks Kubernetes who somebody is (TokenReview), which namespaces' pods they may get and
//! NetworkPolicies they may get, whether they may list `NodeFlowExport`s or read what
//! FlowMetrics count (SubjectAccessReview), and remembers the answers for a while. A right that is withdrawn is still believed for [`YES`]. What several ask at a time is asked
//! once, and answers that came together do not grow old together.

mod readable;

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;
use weir_query::Scope;

use super::cache::{Cache, Flights};
use super::person::Person;
use super::problem::Problem;
use super::token::{self, AUDIENCE};

/// How long a yes is believed at most.
pub const YES: Duration = Duration::from_secs(60);
/// How long a no is, at most.
const NO: Duration = Duration::from_secs(10);
/// How long Kubernetes may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions under way at a time for one request.
const AT_A_TIME: usize = 16;
/// Tokens that are remembered.
const TOKENS: usize = 1_024;
/// Rights that are remembered, a person and a namespace each.
const RIGHTS: usize = 65_536;

pub use readable::Readable;

/// What Kubernetes says about people.
#[derive(Debug)]
pub struct Reviews {
    ask: Ask,
    tokens: Cache<Shown, Owner>,
    token_flights: Flights<Shown, Result<Owner, Problem>>,
    rights: Cache<Right, bool>,
    right_flights: Flights<Right, Result<bool, Problem>>,
    jitter: RandomState,
}

/// Whose a token is; nobody's, if Kubernetes does not accept it.
type Owner = Option<Arc<Person>>;

/// A token, and whether it is to be for this collector, or else for the API server.
type Shown = (String, bool);

/// What a person may do.
type Right = (Arc<Person>, Deed);

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Deed {
    /// To get pods in a namespace, or in all of them.
    GetPods(Option<String>),
    /// To read objects about the export.
    Read(Readable),
    /// To get `/flow-metrics`.
    GetFlowMetrics,
    /// To get NetworkPolicies in a namespace, or in all of them.
    GetPolicies(Option<String>),
}

impl Deed {
    fn question(self) -> SubjectAccessReviewSpec {
        let resource_attributes = match self {
            Self::GetPods(namespace) => ResourceAttributes {
                verb: Some("get".to_owned()),
                resource: Some("pods".to_owned()),
                namespace,
                ..Default::default()
            },
            Self::Read(what) => what.attributes(),
            Self::GetPolicies(namespace) => ResourceAttributes {
                verb: Some("get".to_owned()),
                group: Some("networking.k8s.io".to_owned()),
                resource: Some("networkpolicies".to_owned()),
                namespace,
                ..Default::default()
            },
            Self::GetFlowMetrics => {
                return SubjectAccessReviewSpec {
                    non_resource_attributes: Some(NonResourceAttributes {
                        path: Some("/flow-metrics".to_owned()),
                        verb: Some("get".to_owned()),
                    }),
                    ..Default::default()
                };
            }
        };
        SubjectAccessReviewSpec {
            resource_attributes: Some(resource_attributes),
            ..Default::default()
        }
    }
}

impl Reviews {
    /// Asks by this client.
    pub fn new(client: Client) -> Self {
        Self {
            ask: Ask(client),
            tokens: Cache::new(TOKENS),
            token_flights: Flights::default(),
            rights: Cache::new(RIGHTS),
            right_flights: Flights::default(),
            jitter: RandomState::new(),
        }
    }

    /// What somebody may see, out of these namespaces; perhaps none of them.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn scope(
        &self,
        person: &Arc<Person>,
        namespaces: impl AsyncFnOnce() -> Result<Vec<String>, Problem>,
    ) -> Result<Scope, Problem> {
        if self.may(person, Deed::GetPods(None)).await? {
            return Ok(Scope::All);
        }
        let mut seen = self.in_each(person, Deed::GetPods, namespaces().await?).await?;
        seen.sort_unstable();
        Ok(Scope::Namespaces(seen))
    }

    /// In which of these namespaces somebody may get NetworkPolicies; none: in all there are.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn policies(
        &self,
        person: &Arc<Person>,
        namespaces: Vec<String>,
    ) -> Result<Option<Vec<String>>, Problem> {
        if self.may(person, Deed::GetPolicies(None)).await? {
            return Ok(None);
        }
        self.in_each(person, Deed::GetPolicies, namespaces)
            .await
            .map(Some)
    }

    /// Those of the namespaces in which somebody may do that.
    async fn in_each(
        &self,
        person: &Arc<Person>,
        deed: fn(Option<String>) -> Deed,
        namespaces: Vec<String>,
    ) -> Result<Vec<String>, Problem> {
        let seen = stream::iter(namespaces)
            .map(async |namespace| {
                let may = self.may(person, deed(Some(namespace.clone()))).await?;
                Ok::<_, Problem>(may.then_some(namespace))
            })
            .buffered(AT_A_TIME)
            .try_filter_map(async |namespace| Ok(namespace));
        seen.try_collect().await
    }

    /// Whether somebody may read these objects.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn may_read(&self, person: &Arc<Person>, what: Readable) -> Result<bool, Problem> {
        self.may(person, Deed::Read(what)).await
    }

    /// Whether somebody may read what FlowMetrics count, which is of all namespaces.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn reads_flow_metrics(&self, person: &Arc<Person>) -> Result<bool, Problem> {
        Ok(self.may(person, Deed::GetFlowMetrics).await? || self.may(person, Deed::GetPods(None)).await?)
    }

    /// Whether somebody may read the policies of all namespaces.
    ///
    /// # Errors
    /// Kubernetes does not answer.
    pub async fn reads_policies(&self, person: &Arc<Person>) -> Result<bool, Problem> {
        self.may(person, Deed::GetPolicies(None)).await
    }

    /// Whose a token is that a scraper shows: one for this collector, or one that says not whom
    /// it is for and is a service account's, as Kubernetes keeps them in Secrets. Scrapers that an
    /// operator runs have no other that lasts.
    ///
    /// # Errors
    /// It is nobody's, or for others, or Kubernetes does not answer.
    pub async fn scraper(&self, token: &str) -> Result<Arc<Person>, Problem> {
        if !token::says_whom_it_is_for(token)
            && let Some(person) = self.identify(token, false).await?
            && person.name.starts_with("system:serviceaccount:")
        {
            return Ok(person);
        }
        self.person(token).await
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// It is nobody's, or not for this collector, or Kubernetes does not answer.
    pub async fn person(&self, token: &str) -> Result<Arc<Person>, Problem> {
        // Kubernetes says that it is for us, not for whom else.
        let person = match token::is_for_others(token) {
            true => None,
            false => self.identify(token, true).await?,
        };
        person.ok_or_else(|| {
            Problem::unauthorized(format!(
                "Kubernetes does not accept this token for {AUDIENCE}: ask through the API server, or show a \
                 token that is for nothing else (kubectl create token ACCOUNT --audience {AUDIENCE})"
            ))
        })
    }

    async fn identify(&self, token: &str, for_us: bool) -> Result<Owner, Problem> {
        let key = (token.to_owned(), for_us);
        if let Some(known) = self.tokens.find(&key, Instant::now()) {
            return Ok(known);
        }
        let flight = self.token_flights.join(key.clone(), || {
            let (ask, (token, for_us)) = (self.ask.clone(), key.clone());
            async move {
                let user = ask.who_has(&token, for_us).await?;
                Ok(user.map(|user| Arc::new(user.into())))
            }
            .boxed()
        });
        let person = flight.clone().await?;
        let now = Instant::now();
        let until = now + self.lifetime(person.is_some(), &key);
        self.tokens.keep(key, person.clone(), now, until);
        Ok(person)
    }

    async fn may(&self, person: &Arc<Person>, deed: Deed) -> Result<bool, Problem> {
        let key = (Arc::clone(person), deed);
        if let Some(known) = self.rights.find(&key, Instant::now()) {
            return Ok(known);
        }
        let flight = self.right_flights.join(key.clone(), || {
            let (ask, (person, deed)) = (self.ask.clone(), key.clone());
            async move { ask.may(&person, deed).await }.boxed()
        });
        // It is kept before the flight is let go: who comes in between finds one of both.
        let may = flight.clone().await?;
        let now = Instant::now();
        let until = now + self.lifetime(may, &key);
        self.rights.keep(key, may, now, until);
        Ok(may)
    }

    /// How long an answer is believed: up to a quarter less than it may be, so that what
    /// was asked together is not all asked anew at one moment.
    fn lifetime(&self, yes: bool, key: &impl Hash) -> Duration {
        let longest = if yes { YES } else { NO };
        let part = self.jitter.hash_one(key) as u32 % 1_024;
        longest - longest / 4 * part / 1_024
    }
}

/// The questions themselves.
#[derive(Clone)]
struct Ask(Client);

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

impl Ask {
    async fn who_has(&self, token: &str, for_us: bool) -> Result<Option<UserInfo>, Problem> {
        let question = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: for_us.then(|| vec![AUDIENCE.to_owned()]),
            },
            ..Default::default()
        };
        let api = Api::<TokenReview>::all(self.0.clone());
        let status = within(api.create(&PostParams::default(), &question))
            .await?
            .status;
        let status = status.unwrap_or_default();
        // An authenticator that knows of no audiences accepts those of others, too.
        let names_us = |audiences: Vec<String>| audiences.iter().any(|audience| audience == AUDIENCE);
        let accepted =
            status.authenticated == Some(true) && (!for_us || status.audiences.is_some_and(names_us));
        Ok(status.user.filter(|_| accepted))
    }

    async fn may(&self, person: &Person, deed: Deed) -> Result<bool, Problem> {
        let question = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(person.name.clone()),
                uid: person.uid.clone(),
                groups: Some(person.groups.clone()),
                extra: Some(person.extra.clone()),
                ..deed.question()
            },
            ..Default::default()
        };
        let api = Api::<SubjectAccessReview>::all(self.0.clone());
        let status = within(api.create(&PostParams::default(), &question))
            .await?
            .status;
        Ok(status.is_some_and(|status| status.allowed))
    }
}

/// Nobody is let in because Kubernetes does not answer.
async fn within<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, Problem> {
    let problem = |why: String| {
        tracing::warn!(why, "Kubernetes does not say who may see flows");
        Problem::unavailable("Kubernetes does not say who may see flows now; try again")
    };
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(problem(error.to_string())),
        Err(_) => Err(problem(format!("no answer within {PATIENCE:?}"))),
    }
}

#[cfg(test)]
pub(crate) mod tests;
