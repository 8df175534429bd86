//! The page that makes policies of what was seen.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use weir_decisions::generate;
use weir_query::Note;

use super::answer::GenerateAnswer;
use super::{evidence, hidden, report};
use crate::api::ask::Written;
use crate::api::compress::Coding;
use crate::api::format::{GeneratedForm, YAML};
use crate::api::params::{GenerateParams, Params};
use crate::api::problem::Problem;
use crate::api::reply::{Refusal, send, send_json};
use crate::api::{Admitted, Api, Caller};

/// Policies that let pass what was seen, and deny the rest
///
/// Nothing is applied. Before they are told, all traffic that they were learnt from is held
/// against them.
#[utoipa::path(
    get,
    path = "/api/v1/policy/generate",
    operation_id = "policy_generate",
    params(GenerateParams),
    responses(
        (
            status = 200,
            description = "Policies, as JSON with what one should know of them",
            content((GenerateAnswer = "application/json"), (String = "application/yaml")),
            headers(("weir-note" = Option<String>, description = "Of YAML, once for each note: what one should know about the answer")),
        ),
        Refusal,
    ),
)]
pub async fn generate(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<GenerateParams>,
) -> Result<Response, Problem> {
    let (form, coding) = (
        GeneratedForm::choose(params.format, &headers)?,
        Coding::choose(&headers),
    );
    let (wanted, traffic) = (params.wanted()?, params.traffic());
    let who = api.gate.identify(&caller).await?;
    let (since, until) = traffic.hours();
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit_person(&who, since, until).await?;
    let known = api.known(&who).await?;
    let sight = api
        .sight(&who, &known, &known.namespaces.iter().cloned().collect())
        .await?;
    let what = "what is generated";
    Api::require(&sight, &wanted.options.namespaces, what)?;
    let hidden = hidden(&sight);
    let world = known.world(Vec::new(), params.profile, sight);
    api.answer(&asker, async move {
        let found = evidence(engine, limits, &traffic).await?;
        let notes: Vec<Note> = found.notes.into_iter().chain(hidden).collect();
        let traffic = found.traffic;
        // Peers are written by their labels.
        let mut touched = generate::touched(&traffic, &world.objects.cluster, &wanted.options);
        // Of namespaces that are gone there are no labels any more.
        touched.retain(|namespace| world.has_namespace(namespace));
        Api::require(&world.sight, &touched, what).map_err(|problem| Problem {
            detail: format!(
                "{}; with level=namespace peers are named by their namespaces alone",
                problem.detail
            ),
            ..problem
        })?;
        let made = report(move || generate::made(&world, &traffic, &wanted)).await?;
        Ok(match form {
            GeneratedForm::Json => send_json(&GenerateAnswer { made, notes }, coding),
            GeneratedForm::Yaml => send(
                Written {
                    media_type: YAML,
                    body: made.yaml.into_bytes(),
                    cursor: None,
                    notes: notes.into_iter().map(|note| note.message).collect(),
                },
                coding,
            ),
        })
    })
    .await
}
