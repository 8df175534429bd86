//! The page of the flow matrix.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{ArrowStream, MatrixAnswer};
use super::compress::Coding;
use super::format::Format;
use super::params::{MatrixParams, Params};
use super::problem::Problem;
use super::reply::{Refusal, problem, send, send_json};
use super::{Admitted, Api, Caller, ask};

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
    let (request, format) = params.into_request();
    let format = Format::choose(format, &headers)?;
    let coding = Coding::choose(&headers);
    let (since, until) = request.hours();
    api.check_policy_names(&caller, [request.filter.as_str()]).await?;
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit(&caller, since, until).await?;
    api.answer(&asker, async move {
        let problem = |error| problem(error, request.filter.clone(), Vec::new());
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
