//! The pages that are asked without a body, but for generation.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use weir_decisions::explain::{ExplainedLine, explain as explained};
use weir_decisions::lint::findings;
use weir_decisions::usage::{self, CoverageRow, RuleRow, Rules};
use weir_decisions::{DecisionError, Traffic, World};
use weir_query::Note;

use super::answer::{CoverageAnswer, ExplainAnswer, LintAnswer, RulesAnswer};
use super::{csv_of, evidence, report};
use crate::api::compress::Coding;
use crate::api::format::TableForm;
use crate::api::params::{ExplainParams, LintParams, Params, UsageParams};
use crate::api::problem::Problem;
use crate::api::reply::{Refusal, send, send_json};
use crate::api::{Admitted, Api, Caller, asker};

/// Whether policies let one reach the other, and which of them decides
#[utoipa::path(
    get,
    path = "/api/v1/policy/explain",
    operation_id = "policy_explain",
    params(ExplainParams),
    responses(
        (
            status = 200,
            description = "Answers",
            content((ExplainAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn explain(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<ExplainParams>,
) -> Result<Response, Problem> {
    let (form, coding) = (
        TableForm::choose(params.format, &headers)?,
        Coding::choose(&headers),
    );
    let question = params.question()?;
    let who = api.gate.identify(&caller).await?;
    let (world, hidden) = api.world(&who, params.profile).await?;
    let notes: Vec<Note> = hidden.into_iter().collect();
    api.answer(&asker(&who), async move {
        let rows = report(move || explained(&world, &question)).await?;
        Ok(match form {
            TableForm::Json => send_json(&ExplainAnswer { rows, notes }, coding),
            TableForm::Csv => send(csv_of(rows.iter().map(ExplainedLine::from), notes), coding),
        })
    })
    .await
}

/// What is odd about policies, whoever calls whom
#[utoipa::path(
    get,
    path = "/api/v1/policy/lint",
    operation_id = "policy_lint",
    params(LintParams),
    responses(
        (
            status = 200,
            description = "Findings",
            content((LintAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn lint(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<LintParams>,
) -> Result<Response, Problem> {
    let (form, coding) = (
        TableForm::choose(params.format, &headers)?,
        Coding::choose(&headers),
    );
    let who = api.gate.identify(&caller).await?;
    let (world, hidden) = api.world(&who, params.profile).await?;
    if world.sight.is_nothing() {
        return Err(Problem::forbidden(
            "you may get neither pods nor networkpolicies in any namespace",
        ));
    }
    let notes: Vec<Note> = hidden.into_iter().collect();
    let namespaces = params.ns.0;
    api.answer(&asker(&who), async move {
        let rows = report(move || {
            require(&world, &namespaces)?;
            Ok(findings(&world, &namespaces))
        });
        let rows = rows.await?;
        Ok(match form {
            TableForm::Json => send_json(&LintAnswer { rows, notes }, coding),
            TableForm::Csv => send(csv_of(rows, notes), coding),
        })
    })
    .await
}

/// How far policies reach: who is isolated, and what passes by a rule or for want of one
#[utoipa::path(
    get,
    path = "/api/v1/policy/coverage",
    operation_id = "policy_coverage",
    params(UsageParams),
    responses(
        (
            status = 200,
            description = "Workloads",
            content((CoverageAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn coverage(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<UsageParams>,
) -> Result<Response, Problem> {
    let answer = |rows: Vec<CoverageRow>, Hours { since, until }, notes| CoverageAnswer {
        rows,
        since,
        until,
        notes,
    };
    api.usage(&caller, &headers, params, usage::coverage, answer)
        .await
}

/// Rules that no traffic used, or that other rules make needless
#[utoipa::path(
    get,
    path = "/api/v1/policy/unused",
    operation_id = "policy_unused",
    params(UsageParams),
    responses(
        (
            status = 200,
            description = "Rules",
            content((RulesAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn unused(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<UsageParams>,
) -> Result<Response, Problem> {
    let rules = |world: &World, traffic: &Traffic, namespaces: &[String]| {
        usage::rules(world, traffic, Rules::Unused, namespaces)
    };
    api.usage(&caller, &headers, params, rules, rules_answer).await
}

/// Rules that allow more than what used them, the widest first
#[utoipa::path(
    get,
    path = "/api/v1/policy/wide",
    operation_id = "policy_wide",
    params(UsageParams),
    responses(
        (
            status = 200,
            description = "Rules",
            content((RulesAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn wide(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<UsageParams>,
) -> Result<Response, Problem> {
    let rules = |world: &World, traffic: &Traffic, namespaces: &[String]| {
        usage::rules(world, traffic, Rules::Wide, namespaces)
    };
    api.usage(&caller, &headers, params, rules, rules_answer).await
}

fn rules_answer(rows: Vec<RuleRow>, Hours { since, until }: Hours, notes: Vec<Note>) -> RulesAnswer {
    RulesAnswer {
        rows,
        since,
        until,
        notes,
    }
}

/// The hours of an answer.
pub(super) struct Hours {
    since: String,
    until: String,
}

impl Api {
    /// A report about policies and traffic.
    pub(super) async fn usage<T, A>(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        params: UsageParams,
        rows: impl FnOnce(&World, &Traffic, &[String]) -> Vec<T> + Send + 'static,
        answer: impl FnOnce(Vec<T>, Hours, Vec<Note>) -> A + Send + 'static,
    ) -> Result<Response, Problem>
    where
        T: Serialize + Default + Send + 'static,
        A: Serialize,
    {
        let (form, coding) = (
            TableForm::choose(params.format, headers)?,
            Coding::choose(headers),
        );
        let who = self.gate.identify(caller).await?;
        let traffic = params.traffic();
        let (since, until) = traffic.hours();
        let Admitted {
            engine,
            limits,
            asker,
        } = self.admit_person(&who, since, until).await?;
        let (world, hidden) = self.world(&who, params.profile).await?;
        let namespaces = params.ns.0;
        self.answer(&asker, async move {
            let found = evidence(engine, limits, &traffic).await?;
            let notes = found.notes.into_iter().chain(hidden).collect();
            let traffic = found.traffic;
            let (hours, rows) = report(move || {
                require(&world, &namespaces)?;
                let rows = rows(&world, &traffic, &namespaces);
                let (since, until) = (traffic.since, traffic.until);
                Ok((Hours { since, until }, rows))
            })
            .await?;
            Ok(match form {
                TableForm::Json => send_json(&answer(rows, hours, notes), coding),
                TableForm::Csv => send(csv_of(rows, notes), coding),
            })
        })
        .await
    }
}

/// Namespaces must be there, and be such whose pods may be told of: of others it is not said
/// whether they are there.
pub(super) fn require(world: &World, namespaces: &[String]) -> Result<(), DecisionError> {
    let pods = &world.sight.pods;
    match namespaces.iter().find(|namespace| !pods.has(namespace)) {
        Some(foreign) => Err(DecisionError::ForeignPods(foreign.clone())),
        None => world.require(namespaces),
    }
}
