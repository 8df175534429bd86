//! The page that says where policies and what was seen do not go together.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use weir_decisions::disagreements::disagreements as compared;
use weir_query::Note;

use super::answer::DisagreementsAnswer;
use super::pages::require;
use super::{Asked, csv_of, evidence, report};
use crate::api::compress::Coding;
use crate::api::evidence::gather_dropped;
use crate::api::format::TableForm;
use crate::api::params::{Params, UsageParams};
use crate::api::problem::Problem;
use crate::api::reply::{Refusal, problem, send, send_json};
use crate::api::{Admitted, Api, Caller};

/// Where policies and what was seen do not go together
///
/// What policies deny and somebody answered all the same, and what they allow and the switch
/// dropped; and the policies whose denials were answered for an hour, which nobody enforces.
#[utoipa::path(
    get,
    path = "/api/v1/policy/disagreements",
    operation_id = "policy_disagreements",
    params(UsageParams),
    responses(
        (
            status = 200,
            description = "Edges, and policies that are not enforced; as CSV the edges alone",
            content((DisagreementsAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn disagreements(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<UsageParams>,
) -> Result<Response, Problem> {
    let (form, coding) = (
        TableForm::choose(params.format, &headers)?,
        Coding::choose(&headers),
    );
    let who = api.gate.identify(&caller).await?;
    let traffic = params.traffic();
    let (since, until) = traffic.hours();
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit_person(&who, since, until).await?;
    let (world, hidden) = api.world(&who, params.profile).await?;
    let namespaces = params.ns.0;
    api.answer(&asker, async move {
        // The filter is the matrix's, which refuses what is not about the ends.
        let found = evidence(engine.clone(), limits.clone(), &traffic).await?;
        let asked = Asked { engine, limits };
        let dropped = gather_dropped(&asked, &traffic.filter, (traffic.since, traffic.until)).await;
        let (dropped, told) = dropped.map_err(|error| problem(error, traffic.filter.clone(), Vec::new()))?;
        let notes: Vec<Note> = found.notes.into_iter().chain(told).chain(hidden).collect();
        let traffic = found.traffic;
        let (found, since, until) = report(move || {
            require(&world, &namespaces)?;
            let found = compared(&world, &traffic, &dropped, &namespaces);
            Ok((found, traffic.since, traffic.until))
        })
        .await?;
        Ok(match form {
            TableForm::Csv => send(csv_of(found.rows, notes), coding),
            TableForm::Json => {
                let answer = DisagreementsAnswer {
                    rows: found.rows,
                    not_enforced: found.not_enforced,
                    since,
                    until,
                    notes,
                };
                send_json(&answer, coding)
            }
        })
    })
    .await
}
