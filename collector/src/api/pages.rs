//! The pages of the API: each reads its parameters, lets the gate decide, asks
//! and answers.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use weir_query::{Limits, Moment, Scope, Since, Until, ValuesRequest};

use super::answer::{ArrowStream, FieldsAnswer, FlowsAnswer, ParquetFile, QueryReply, ValuesAnswer};
use super::ask;
use super::compress::Coding;
use super::export::{self, ExportForm};
use super::exporters::ExportersAnswer;
use super::filter_check::FilterAnswer;
use super::format::Format;
use super::me::MeAnswer;
use super::nodes::NodesAnswer;
use super::params::{
    ExportParams, FilterParams, FlowsParams, MeParams, NoParams, Params, QueryParams, TailParams,
    ValuesParams,
};
use super::problem::Problem;
use super::reply::{Refusal, problem, send, send_json};
use super::status::StatusAnswer;
use super::{Admitted, Api, Caller, tail};

/// Flow records, a page at a time
#[utoipa::path(
    get,
    path = "/api/v1/flows",
    params(FlowsParams),
    responses(
        (
            status = 200,
            description = "Records",
            content((FlowsAnswer = "application/json"), (String = "text/csv"), (ArrowStream = "application/vnd.apache.arrow.stream")),
            headers(
                ("weir-cursor" = Option<String>, description = "Of CSV and Arrow, whose rows have no room for it: the cursor of the next page; absent on the last"),
                ("weir-note" = Option<String>, description = "Likewise, once for each note: what one should know about the answer"),
            ),
        ),
        Refusal,
    ),
)]
pub async fn flows(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<FlowsParams>,
) -> Result<Response, Problem> {
    let (mut request, format) = params.into_request();
    let format = Format::choose(format, &headers)?;
    let coding = Coding::choose(&headers);
    request.columns = api
        .readable_columns(&caller, &request.filter, request.columns)
        .await?;
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit(&caller, request.since, request.until).await?;
    api.answer(&asker, async move {
        let problem = |error| {
            let fields = vec![("columns", request.columns.clone())];
            problem(error, request.filter.clone(), fields)
        };
        if format != Format::Json {
            let written = ask::flows_rows(engine.as_ref(), &request, &limits, format).await;
            return Ok(send(written.map_err(problem)?, coding));
        }
        let answer = ask::flows(engine.as_ref(), &request, &limits)
            .await
            .map_err(problem)?;
        Ok(send_json(&answer, coding))
    })
    .await
}

/// All flow records that fit, however many
///
/// They come in the order of their times by and large, as a stream that can be ended at any
/// time. One that ends is whole; trailers say so (`weir-complete`), how many records it has
/// (`weir-records`) and what one should know (`weir-note`). What is not whole breaks off.
#[utoipa::path(
    get,
    path = "/api/v1/export",
    params(ExportParams),
    responses(
        (
            status = 200,
            description = "Records",
            content((String = "application/x-ndjson"), (String = "text/csv"), (ArrowStream = "application/vnd.apache.arrow.stream"), (ParquetFile = "application/vnd.apache.parquet")),
            headers(
                ("content-disposition" = String, description = "A name for the file"),
                ("trailer" = String, description = "`weir-complete, weir-records, weir-note`: what comes behind the body, for those who send `TE: trailers`, and over HTTP/2"),
            ),
        ),
        Refusal,
    ),
)]
pub async fn export(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<ExportParams>,
) -> Result<Response, Problem> {
    let form = ExportForm::choose(params.format, &headers);
    let mut params = params;
    params.columns.0 = api
        .readable_columns(&caller, &params.filter, params.columns.0)
        .await?;
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit(&caller, params.since, params.until).await?;
    let turn = api.exports.take(&asker).ok_or_else(export::too_many)?;
    export::begin(engine.as_ref(), params, form, &limits, turn).await
}

/// Sums over groups of flows
#[utoipa::path(
    get,
    path = "/api/v1/query",
    params(QueryParams),
    responses(
        (
            status = 200,
            description = "Sums; with explain=true, how they were made",
            content((QueryReply = "application/json"), (String = "text/csv"), (ArrowStream = "application/vnd.apache.arrow.stream")),
            headers(
                ("weir-note" = Option<String>, description = "Of CSV and Arrow, whose rows have no room for it, once for each note: what one should know about the answer"),
            ),
        ),
        Refusal,
    ),
)]
pub async fn query(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(params): Params<QueryParams>,
) -> Result<Response, Problem> {
    let explain = params.explain;
    let (question, format) = params.into_question()?;
    let format = Format::choose(format, &headers)?;
    let coding = Coding::choose(&headers);
    let measures: Vec<String> = question
        .measures
        .iter()
        .chain([&question.by])
        .map(ToString::to_string)
        .collect();
    let texts = question
        .group_by
        .iter()
        .chain(&measures)
        .chain([&question.filter]);
    api.check_policy_names(&caller, texts.map(String::as_str)).await?;
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit(&caller, question.begins(), question.until).await?;
    if explain && limits.scope != Scope::All {
        return Err(Problem::forbidden(
            "explain tells what is stored of all namespaces: it is for those who may get pods in all of them",
        ));
    }
    api.answer(&asker, async move {
        let problem = |error| {
            let fields = vec![("group_by", question.group_by.clone())];
            problem(error, question.filter.clone(), fields)
        };
        let reply = if explain {
            QueryReply::Explanation(
                ask::explain(engine.as_ref(), &question, &limits)
                    .await
                    .map_err(problem)?,
            )
        } else if format == Format::Json {
            QueryReply::Answer(
                ask::query(engine.as_ref(), &question, &limits)
                    .await
                    .map_err(problem)?,
            )
        } else {
            let written = ask::query_rows(engine.as_ref(), &question, &limits, format).await;
            return Ok(send(written.map_err(problem)?, coding));
        };
        Ok(send_json(&reply, coding))
    })
    .await
}

/// Values that a field takes, for completion
#[utoipa::path(
    get,
    path = "/api/v1/values",
    params(ValuesParams),
    responses((status = 200, description = "Values", body = ValuesAnswer), Refusal),
)]
pub async fn values(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ValuesParams>,
) -> Result<Json<ValuesAnswer>, Problem> {
    let request = ValuesRequest::from(params);
    let texts = [request.field.as_str(), &request.filter];
    api.check_policy_names(&caller, texts).await?;
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit(&caller, request.since, request.until).await?;
    let work = async move {
        let answer = ask::values(engine.as_ref(), &request, &limits).await;
        answer.map_err(|error| {
            let fields = vec![("field", vec![request.field.clone()])];
            problem(error, request.filter.clone(), fields)
        })
    };
    api.threads.run(&asker, work).await.map(Json)
}

/// Flow records as they arrive, one JSON object a line
///
/// An empty line now and then says that the connection lives; a line with nothing
/// but `note` says that records were left out, since they came faster than they
/// were read. With `marks=true` a line with nothing but `mark` comes behind each piece of
/// records: another tail goes on there, with `resume`.
#[utoipa::path(
    get,
    path = "/api/v1/tail",
    params(TailParams),
    responses(
        (status = 200, description = "Records, without end", content_type = "application/x-ndjson", body = String),
        Refusal,
    ),
)]
pub async fn tail(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<TailParams>,
) -> Result<Response, Problem> {
    let mut params = params;
    params.columns.0 = api
        .readable_columns(&caller, &params.filter, params.columns.0)
        .await?;
    // Whose namespace is new to the collector sees it when they ask again.
    let lately = Since(Moment::Ago(LATELY));
    let Admitted {
        engine,
        limits,
        asker,
    } = api.admit(&caller, lately, Until::default()).await?;
    let turn = api.tails.take(&asker).ok_or_else(tail::too_many)?;
    let lines = tail::follow(engine.as_ref(), params, &limits, turn).await?;
    Ok(([(CONTENT_TYPE, tail::MEDIA_TYPE)], Body::from_stream(lines)).into_response())
}

/// The fields that there are
#[utoipa::path(
    get,
    path = "/api/v1/fields",
    responses((status = 200, description = "Fields", body = FieldsAnswer), Refusal),
)]
pub async fn fields(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<FieldsAnswer>, Problem> {
    api.gate.identify(&caller).await?;
    Ok(Json(FieldsAnswer::all()))
}

/// Whether a filter is right, how it reads, and how it may go on; it is never run
#[utoipa::path(
    get,
    path = "/api/v1/filter",
    params(FilterParams),
    responses((status = 200, description = "What there is to say of it", body = FilterAnswer), Refusal),
)]
pub async fn filter(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<FilterParams>,
) -> Result<Json<FilterAnswer>, Problem> {
    let who = api.gate.identify(&caller).await?;
    // Checking works as long as a filter of any length may take.
    let work = async move {
        let checked = move || Ok(FilterAnswer::of(&params.filter, params.at));
        weir_query::off_thread(checked).await.map_err(Problem::from)
    };
    api.threads.run(&super::asker(&who), work).await.map(Json)
}

/// Who one is here, what one sees, and how much one may ask
#[utoipa::path(
    get,
    path = "/api/v1/me",
    params(MeParams),
    responses((status = 200, description = "Who asks", body = MeAnswer), Refusal),
)]
pub async fn me(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<MeParams>,
) -> Result<Json<MeAnswer>, Problem> {
    let who = api.gate.identify(&caller).await?;
    let since = params.since.unwrap_or(Since(Moment::Ago(LATELY)));
    let scope = api.scope(&who, since, params.until).await?;
    let (status, limits) = (
        api.questions.as_ref().map(|engine| engine.status()),
        limits(scope.clone()),
    );
    Ok(Json(MeAnswer::of(
        &who,
        scope,
        status.as_ref(),
        &limits,
        api.export_objects.is_some(),
        Timestamp::now(),
    )))
}

/// What is stored, and who exports
#[utoipa::path(
    get,
    path = "/api/v1/status",
    responses((status = 200, description = "Status", body = StatusAnswer), Refusal),
)]
pub async fn status(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<StatusAnswer>, Problem> {
    api.admit_to_everything(&caller, "status tells what is stored of all namespaces")
        .await?;
    Ok(Json(api.status()))
}

/// What each exporter has sent, and what became of it
#[utoipa::path(
    get,
    path = "/api/v1/exporters",
    responses((status = 200, description = "Exporters", body = ExportersAnswer), Refusal),
)]
pub async fn exporters(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<ExportersAnswer>, Problem> {
    api.admit_to_everything(&caller, "exporters tells what is sent of all namespaces")
        .await?;
    Ok(Json(ExportersAnswer::of(api.metrics.exporters())))
}

/// What was received from each node
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    responses((status = 200, description = "Nodes", body = NodesAnswer), Refusal),
)]
pub async fn nodes(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<NodesAnswer>, Problem> {
    api.admit_to_nodes(&caller).await?;
    let (registry, now) = (api.metrics.exporters(), Timestamp::now());
    Ok(Json(NodesAnswer::of(registry, api.since, now)))
}

/// Anything else under `/api`.
pub async fn nothing() -> Problem {
    Problem::not_found()
}

/// In the namespaces of this time a tail looks for those that somebody may see.
const LATELY: Duration = Duration::from_secs(86_400);

/// Octets that the sums and sorts of one question may take.
const MEMORY: usize = 256 << 20;

/// What a question may cost whose asker sees this much.
pub fn limits(scope: Scope) -> Limits {
    Limits {
        max_rows: super::params::MOST_GROUPS,
        memory: MEMORY,
        threads: std::thread::available_parallelism().map_or(1, |cores| usize::from(cores).div_ceil(2)),
        scope,
        ..Limits::default()
    }
}
