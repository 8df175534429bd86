//! The page of the flow matrix.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use weir_decisions::World;
use weir_query::{Engine, Limits, MatrixRequest};

use super::answer::{ArrowStream, MatrixAnswer};
use super::compress::Coding;
use super::evidence::{Answers, gather_parts};
use super::format::Format;
use super::params::{MatrixParams, Params};
use super::policy::{Asked, report};
use super::problem::Problem;
use super::reply::{Refusal, problem, send, send_json};
use super::{Admitted, Api, Caller, ask, matrix_verdicts};

/// Who called whom: clients, servers, and ports
#[utoipa::path(
    get,
    path = "/api/v1/matrix",
    params(MatrixParams),
    responses(
        (
            status = 200,
            description = "The matrix",
            content((MatrixAnswer = "application/json"), (String = "text/csv"), (ArrowStream = "application/vnd.apache.arrow.stream")),
            headers(
                ("weir-note" = Option<String>, description = "Of CSV and Arrow, whose rows have no room for it, once for each note: what one should know about the answer"),
            ),
        ),
        Refusal,
    ),
)]
pub async fn matrix(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<MatrixParams>,
) -> Result<Response, Problem> {
    let format = Format::choose(params.format, &headers)?;
    let verdicts = params.verdicts(format)?;
    let request = params.into_request();
    let coding = Coding::choose(&headers);
    let (since, until) = request.hours();
    api.check_policy_names(&caller, [request.filter.as_str()]).await?;
    let who = api.gate.identify(&caller).await?;
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit_person(&who, since, until).await?;
    let world = match verdicts {
        None => None,
        Some(profile) => Some(api.world(&who, profile).await?),
    };
    api.answer(&asker, async move {
        let problem = |error| problem(error, request.filter.clone(), Vec::new());
        if let Some((world, hidden)) = world {
            let mut answer = judged(engine, limits, request, world).await?;
            answer.notes.extend(hidden);
            return Ok(match format {
                Format::Csv => send(csv(answer), coding),
                _ => send_json(&answer, coding),
            });
        }
        if format != Format::Json {
            let written = ask::matrix_rows(engine.as_ref(), &request, &limits, format).await;
            return Ok(send(written.map_err(problem)?, coding));
        }
        let answer = ask::matrix(engine.as_ref(), &request, &limits)
            .await
            .map_err(problem)?;
        Ok(send_json(&answer, coding))
    })
    .await
}

/// The matrix with what policies say about its rows.
async fn judged(
    engine: Arc<dyn Engine>,
    limits: Limits,
    request: MatrixRequest,
    world: World,
) -> Result<MatrixAnswer, Problem> {
    let problem = |error| problem(error, request.filter.clone(), Vec::new());
    let asked = Asked { engine, limits };
    let mut answer = asked.matrix(&request).await.map_err(problem)?;
    let evidence = gather_parts(&asked, &request).await.map_err(problem)?;
    report(move || {
        matrix_verdicts::add(&mut answer, &request, evidence, &world);
        Ok(answer)
    })
    .await
}

fn csv(answer: MatrixAnswer) -> ask::Written {
    let rows = answer.rows.iter().map(|row| &row.0);
    ask::Written {
        media_type: Format::Csv.media_type(),
        body: weir_decisions::csv::table(&answer.columns, rows).into_bytes(),
        cursor: None,
        notes: answer.notes.into_iter().map(|note| note.message).collect(),
    }
}
