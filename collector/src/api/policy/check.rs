//! The page that says what a change would have done.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use weir_decisions::check;
use weir_query::{Note, NoteKind};

use super::answer::CheckAnswer;
use super::{body, csv_of, evidence, hidden, report};
use crate::api::compress::Coding;
use crate::api::format::TableForm;
use crate::api::params::{CheckParams, Params};
use crate::api::problem::Problem;
use crate::api::reply::{Refusal, send, send_json};
use crate::api::{Admitted, Api, Caller};

/// What a change of policies or labels would have done to the traffic that was seen
///
/// The body has policies that are there beside those of the cluster, and instead of those with
/// the same name: documents of YAML, JSON, or Lists; 8 MiB and 2,000 objects at most. It may be
/// empty where something is deleted or a label set.
#[utoipa::path(
    post,
    path = "/api/v1/policy/check",
    operation_id = "policy_check",
    params(CheckParams),
    request_body(
        description = "Policies; other objects are left out",
        content((Object = "application/yaml"), (Object = "application/json")),
    ),
    responses(
        (
            status = 200,
            description = "The report; as CSV the edges that it makes a difference to, or that cannot be judged",
            content((CheckAnswer = "application/json"), (String = "text/csv")),
            headers(("weir-note" = Option<String>, description = "Of CSV, whose rows have no room for it, once for each note: what one should know about the answer")),
        ),
        (status = 413, description = "The body is too long", content_type = "application/problem+json", body = Problem),
        Refusal,
    ),
)]
pub async fn check(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<CheckParams>,
    body: Body,
) -> Result<Response, Problem> {
    let (form, coding) = (
        TableForm::choose(params.format, &headers)?,
        Coding::choose(&headers),
    );
    let (wanted, options, traffic) = (params.wanted()?, params.options(), params.traffic());
    let who = api.gate.identify(&caller).await?;
    let (since, until) = traffic.hours();
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit_person(&who, since, until).await?;
    let known = api.known(&who).await?;
    let namespace = params.namespace.unwrap_or_else(|| "default".to_owned());
    // Only so many bodies are held at a time as there are turns.
    let documents = api.threads.run(&asker, async move {
        let text = body::text(body).await?;
        let parsed = weir_query::off_thread(move || Ok(body::policies(&text, &namespace))).await;
        parsed.map_err(Problem::from)?
    });
    let documents = documents.await?;
    let policies = documents.policies;
    if policies.is_empty() && wanted.is_empty() {
        return Err(Problem::parameter(
            "nothing is changed: send policies, or name delete or set_label",
        ));
    }
    let touched = wanted.namespaces(&policies);
    let sight = api.sight(&who, &known, &touched).await?;
    Api::require(&sight, &touched, "this change")?;
    let skipped = skipped(documents.skipped.values().sum());
    let notes: Vec<Note> = hidden(&sight).into_iter().chain(skipped).collect();
    let world = known.world(policies, params.profile, sight);
    api.answer(&asker, async move {
        let found = evidence(engine, limits, &traffic).await?;
        let notes: Vec<Note> = found.notes.into_iter().chain(notes).collect();
        let traffic = found.traffic;
        let report = report(move || check::check(&world, &traffic, &wanted, &options)).await?;
        Ok(match form {
            TableForm::Json => send_json(&CheckAnswer { report, notes }, coding),
            TableForm::Csv => send(csv_of(report.lines(), notes), coding),
        })
    })
    .await
}

fn skipped(objects: usize) -> Option<Note> {
    (objects > 0).then(|| {
        Note::new(
            NoteKind::Truncated,
            format!("{objects} objects of the body are no policies"),
        )
    })
}
