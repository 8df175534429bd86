//! The pages about policies, `/api/v1/policy/…`: which policies there are is
//! [`crate::policies`]', what is answered is `weir_decisions`'. Here is who may be told what,
//! and where it is worked on.
//!
//! ```text
//! gate -> objects as they are now -> what may be told (Sight) -> traffic within the scope
//!   -> a report, on a thread that may be busy -> JSON, CSV, YAML
//! ```

pub mod answer;
mod body;
pub mod check;
pub mod disagreements;
pub mod generate;
pub mod pages;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use weir_decisions::{DecisionError, Namespaces, Sight, World};
use weir_policy::parse::Objects;
use weir_policy::{Policy, Profile};
use weir_query::{Engine, Limits, MatrixRequest, Note, NoteKind, QueryError, Question, Scope};

use super::answer::{MatrixAnswer, QueryAnswer};
use super::evidence::{Answers, Evidence, gather};
use super::params::TrafficAsked;
use super::problem::Problem;
use super::reply::problem;
use super::{Api, Who, ask, asker};
use crate::args::ProfileName;

/// What is known of the cluster, and what whoever asks may be told of it.
struct Known {
    objects: Arc<Objects>,
    profile: Profile,
    /// All namespaces that objects are in.
    namespaces: Vec<String>,
    /// Those that policies are in.
    of_policies: BTreeSet<String>,
}

impl Api {
    /// The objects as they are now, which may have to be read anew: that is work like that on an
    /// answer, and waits for the asker's turn.
    async fn known(&self, who: &Who) -> Result<Known, Problem> {
        let Some(policies) = self.policies.clone() else {
            return Err(Problem::no_policies(
                "nothing says which policies there are: the collector needs names from Kubernetes (--kube), or \
                 --policies FILE",
            ));
        };
        let read = move || {
            let objects = policies.now()?;
            let cluster = &objects.cluster;
            let of_policies: BTreeSet<String> = cluster
                .policies
                .iter()
                .map(|policy| policy.key().namespace)
                .filter(|namespace| !namespace.is_empty())
                .collect();
            let pods = cluster.pods.iter().map(|pod| pod.namespace.as_str());
            let named = cluster.namespaces.iter().map(|namespace| namespace.name.as_str());
            let all: BTreeSet<&str> = pods
                .chain(named)
                .chain(of_policies.iter().map(String::as_str))
                .collect();
            Ok(Known {
                profile: policies.profile(&objects),
                namespaces: all.into_iter().map(str::to_owned).collect(),
                of_policies,
                objects: Arc::clone(&objects),
            })
        };
        let work = async move {
            weir_query::off_thread(move || Ok(read()))
                .await
                .map_err(Problem::from)
        };
        let read: Result<Known, String> = self.threads.run(&asker(who), work).await?;
        read.map_err(|why| {
            Problem::no_policies(format!(
                "the collector does not know yet which policies there are: {why}"
            ))
        })
    }

    /// What somebody may be told: of policies, also in these namespaces.
    async fn sight(&self, who: &Who, known: &Known, more: &BTreeSet<String>) -> Result<Sight, Problem> {
        let namespaces = known.namespaces.clone();
        let scope = self.gate.scope(who, async || Ok(namespaces)).await?;
        let asked = known.of_policies.union(more).filter(|name| !name.is_empty());
        Ok(Sight {
            pods: match scope {
                Scope::All => Namespaces::All,
                Scope::Namespaces(some) => Namespaces::Some(some.into_iter().collect()),
            },
            policies: self.gate.policies(who, asked.cloned().collect()).await?,
        })
    }

    /// The cluster as it is now, as far as somebody may be told of it, and what is said where
    /// that is not all.
    pub(super) async fn world(
        &self,
        who: &Who,
        profile: Option<ProfileName>,
    ) -> Result<(World, Option<Note>), Problem> {
        let known = self.known(who).await?;
        let sight = self.sight(who, &known, &BTreeSet::new()).await?;
        let hidden = hidden(&sight);
        Ok((known.world(Vec::new(), profile, sight), hidden))
    }

    /// Somebody must be allowed to get the policies, and the pods, of all these namespaces; an
    /// empty name stands for the cluster's.
    fn require(sight: &Sight, touched: &BTreeSet<String>, what: &str) -> Result<(), Problem> {
        let may = |namespace: &&String| match namespace.as_str() {
            "" => sight.policies.is_all(),
            namespace => sight.policies.has(namespace) && sight.pods.has(namespace),
        };
        match touched.iter().find(|namespace| !may(namespace)) {
            None => Ok(()),
            Some(namespace) if namespace.is_empty() => Err(Problem::forbidden(format!(
                "{what} is about policies of the cluster: it is for those who may get networkpolicies in all \
                 namespaces"
            ))),
            Some(namespace) => Err(Problem::forbidden(format!(
                "{what} touches namespace {namespace}: it is for those who may get networkpolicies and pods there"
            ))),
        }
    }
}

impl Known {
    fn world(&self, policies: Vec<Policy>, profile: Option<ProfileName>, sight: Sight) -> World {
        World {
            objects: Arc::clone(&self.objects),
            policies,
            profile: profile.map_or(self.profile, |name| Profile::of(name.cni())),
            sight,
        }
    }
}

/// An engine, asked by somebody.
pub(super) struct Asked {
    pub engine: Arc<dyn Engine>,
    pub limits: Limits,
}

impl Answers for Asked {
    type Error = QueryError;

    async fn matrix(&self, request: &MatrixRequest) -> Result<MatrixAnswer, QueryError> {
        ask::matrix(self.engine.as_ref(), request, &self.limits).await
    }

    async fn query(&self, question: &Question) -> Result<QueryAnswer, QueryError> {
        ask::query(self.engine.as_ref(), question, &self.limits).await
    }
}

/// The traffic that somebody sees.
async fn evidence(
    engine: Arc<dyn Engine>,
    limits: Limits,
    asked: &TrafficAsked,
) -> Result<Evidence, Problem> {
    let answers = Asked { engine, limits };
    let gathered = gather(&answers, &asked.filter, (asked.since, asked.until)).await;
    let evidence = gathered.map_err(|error| problem(error, asked.filter.clone(), Vec::new()))?;
    match evidence.traffic.edges.edges().is_empty() {
        true => Err(Problem::no_answer(
            "no traffic was recorded in that time that you may see and that fits; the matrix tells what there is",
        )),
        false => Ok(evidence),
    }
}

/// Works on a report where one may be busy; the turn is over when it has ended.
pub(super) async fn report<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DecisionError> + Send + 'static,
) -> Result<T, Problem> {
    let done = weir_query::off_thread(move || Ok(work())).await;
    done.map_err(Problem::from)?.map_err(Problem::from)
}

impl From<DecisionError> for Problem {
    fn from(error: DecisionError) -> Self {
        let text = error.to_string();
        match error {
            DecisionError::ForeignPods(_) | DecisionError::NobodysOwn(..) => Self::forbidden(text),
            DecisionError::TooManyPairs(..) => Self::too_much(text),
            DecisionError::Generate(_) => Self::no_answer(text),
            DecisionError::NoPolicy(_) => Self::parameter(format!("delete: {text}")),
            DecisionError::NoTarget(_) => Self::parameter(format!("set_label: {text}")),
            DecisionError::NoNode(_)
            | DecisionError::NoPod(..)
            | DecisionError::NoPodOf(_)
            | DecisionError::NoAddress(_)
            | DecisionError::NoNamespace(_)
            | DecisionError::NoPodIn(_)
            | DecisionError::Families
            | DecisionError::NoChange => Self::parameter(text),
        }
    }
}

/// What is said where not all may be told.
fn hidden(sight: &Sight) -> Option<Note> {
    let is_all = sight.pods.is_all() && sight.policies.is_all();
    (!is_all).then(|| {
        Note::new(
            NoteKind::Hidden,
            "names and rules of policies are told where you may get networkpolicies, traffic where you may get pods",
        )
    })
}

/// Rows as they are written.
fn csv_of<T: Serialize + Default>(rows: impl IntoIterator<Item = T>, notes: Vec<Note>) -> ask::Written {
    ask::Written {
        media_type: super::Format::Csv.media_type(),
        body: weir_decisions::csv::write(rows).into_bytes(),
        cursor: None,
        notes: notes.into_iter().map(|note| note.message).collect(),
    }
}
