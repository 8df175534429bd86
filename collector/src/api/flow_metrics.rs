//! The pages about FlowMetrics: which there are and how they fare, and how many series one would have that
//! is not there yet. The first is for whoever may read what they count, the second for whoever sees everything:
//! its filters ask about any flow.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;
use weir_flowmetrics::{Definition, MetricChange, Problem as Fault, ProblemKind, Warning, read_yaml};
use weir_query::Engine;

use super::params::{NoParams, Params};
use super::problem::Problem;
use super::reply::Refusal;
use super::turns::Asker;
use super::{Api, Caller, Gate, asker};
use crate::flow_metrics::{
    Estimate, EstimateBounds, ListedMetric, Outcome, SeriesEstimate, Unknown, estimate,
};

/// The longest resource that is looked at, in bytes.
const LONGEST: usize = 128 << 10;
/// How long one may take to send it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a resource may be sent as. Forms of other pages cannot be, so that these send none.
const MEDIA_TYPES: [&str; 3] = ["application/json", "application/yaml", "application/x-yaml"];

/// The FlowMetrics that are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowMetricsAnswer {
    /// By where they come from and their names.
    pub metrics: Vec<FlowMetricAnswer>,
}

/// One FlowMetric and how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowMetricAnswer {
    /// Name of the object.
    pub name: String,
    /// Its namespace; empty: none.
    pub namespace: String,
    /// What says it: `the command line`, the path of a file, or `Kubernetes`.
    pub origin: String,
    /// Something is counted because of it: what it says, or what it said when it was good.
    pub counted: bool,
    /// Series that there are, as of the last five seconds.
    pub series: usize,
    /// As many as there may be.
    pub bound: usize,
    /// Counts that were refused because they needed one series too many.
    pub refused: u64,
    /// What there is to say of it.
    #[serde(flatten)]
    pub judgement: MetricJudgement,
}

/// What there is to say of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricJudgement {
    /// Nothing is wrong with it.
    pub ready: bool,
    /// Name in Prometheus; left out where something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub metric: Option<String>,
    /// How many values its labels take, the worst of them: `fine`, `careful`, or `avoid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cardinality: Option<String>,
    /// What is unwise.
    pub warnings: Vec<FieldMessage>,
    /// What is wrong.
    pub problems: Vec<FieldMessage>,
    /// How many series it has, by stored flows; left out where that was not looked at, or is not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub estimate: Option<EstimateAnswer>,
}

/// What there is to say of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldMessage {
    /// Its path, such as `spec.filters[0].value`.
    pub field: String,
    /// What is wrong or unwise.
    pub message: String,
    /// What to do; left out of warnings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub remedy: Option<String>,
}

/// How many series stored flows make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EstimateAnswer {
    /// Label sets that occurred; left out where it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub series: Option<usize>,
    /// There may be more: a bound was met, not all flows of the time were looked at, or less than a day is stored.
    pub at_least: bool,
    /// Records that were looked at.
    pub flows: u64,
    /// How far they reach back, in seconds.
    pub seconds: u64,
    /// The same for people.
    pub message: String,
}

impl From<&Estimate> for EstimateAnswer {
    fn from(estimate: &Estimate) -> Self {
        let known = match estimate {
            Estimate::Series(known) => Some(known),
            Estimate::Unknown(_) => None,
        };
        Self {
            series: known.map(|known| known.series),
            at_least: known.is_some_and(SeriesEstimate::is_at_least),
            flows: known.map_or(0, |known| known.flows),
            seconds: known.map_or(0, |known| known.span.as_secs()),
            message: estimate.to_string(),
        }
    }
}

impl From<&Warning> for FieldMessage {
    fn from(Warning { field, message }: &Warning) -> Self {
        Self {
            field: field.clone(),
            message: message.clone(),
            remedy: None,
        }
    }
}

impl From<&Fault> for FieldMessage {
    fn from(fault: &Fault) -> Self {
        Self {
            field: fault.field.clone(),
            message: fault.message.clone(),
            remedy: Some(fault.remedy.clone()),
        }
    }
}

impl MetricJudgement {
    fn of(outcome: &Outcome, estimate: Option<&Estimate>) -> Self {
        let (applied, problems) = match outcome {
            Ok(applied) => (Some(applied), &[][..]),
            Err(problems) => (None, problems.as_slice()),
        };
        let warnings = applied.map_or(&[][..], |applied| &applied.warnings);
        Self {
            ready: applied.is_some(),
            metric: applied.map(|applied| applied.prometheus_name.clone()),
            cardinality: applied.map(|applied| applied.cardinality.as_str().to_owned()),
            warnings: warnings.iter().map(FieldMessage::from).collect(),
            problems: problems.iter().map(FieldMessage::from).collect(),
            estimate: estimate.map(EstimateAnswer::from),
        }
    }
}

impl From<&ListedMetric> for FlowMetricAnswer {
    fn from(listed: &ListedMetric) -> Self {
        Self {
            name: listed.object.name.clone(),
            namespace: listed.object.namespace.clone(),
            origin: listed.by.to_string(),
            counted: listed.counted.is_some(),
            series: listed.counted.map_or(0, |counted| counted.series),
            bound: listed.counted.map_or(0, |counted| counted.bound),
            refused: listed.counted.map_or(0, |counted| counted.refused),
            judgement: MetricJudgement::of(&listed.outcome, listed.estimate.as_ref()),
        }
    }
}

/// The FlowMetrics that are known, and how they fare
#[utoipa::path(
    get,
    path = "/api/v1/flow-metrics",
    responses((status = 200, description = "FlowMetrics", body = FlowMetricsAnswer), Refusal),
)]
pub async fn flow_metrics(
    State(api): State<Api>,
    caller: Caller,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<FlowMetricsAnswer>, Problem> {
    api.admit_to_flow_metrics(&caller).await?;
    let metrics = api.flow_metrics.clone();
    // Whoever defines metrics may hold them for as long as expressions are compiled.
    let listed = tokio::task::spawn_blocking(move || metrics.list()).await;
    let listed = listed.map_err(|error| {
        tracing::error!(%error, "FlowMetrics cannot be listed");
        Problem::internal("FlowMetrics cannot be listed; the collector's log says why")
    })?;
    Ok(Json(FlowMetricsAnswer {
        metrics: listed.iter().map(FlowMetricAnswer::from).collect(),
    }))
}

/// What there is to say of a FlowMetric that is not there yet, and how many series it would have
///
/// The body is one resource, as JSON or YAML. It is judged as it would be when it is applied, but for names and
/// places that others have; nothing is changed. For those who may get pods in all namespaces: what a resource's
/// filters let through tells which flows there are.
#[utoipa::path(
    post,
    path = "/api/v1/flow-metrics/estimate",
    request_body(content((Object = "application/json"), (Object = "application/yaml")), description = "A FlowMetric"),
    responses((status = 200, description = "What there is to say of it", body = MetricJudgement), Refusal),
)]
pub async fn estimate_flow_metric(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    Params(NoParams {}): Params<NoParams>,
    body: Body,
) -> Result<Json<MetricJudgement>, Problem> {
    let what = "an estimate tells which flows there are in all namespaces";
    let asker = asker(&api.admit_to_everything(&caller, what).await?);
    let text = received(&headers, body).await?;
    let work = async move {
        // Expressions take as long to compile as they are allowed to.
        let judged = move || Ok(judge(&text));
        weir_query::off_thread(judged).await.map_err(Problem::from)
    };
    let (outcome, metric) = api.threads.run(&asker, work).await?;
    if let Err(problems) = &outcome
        && let [
            Fault {
                field,
                message,
                remedy,
                ..
            },
        ] = &problems[..]
        && field == "document"
    {
        return Err(Problem::parameter(format!(
            "the body is no FlowMetric: {message}: {remedy}"
        )));
    }
    let estimate = match metric {
        Some(metric) => Some(api.estimate(&asker, metric).await?),
        None => None,
    };
    Ok(Json(MetricJudgement::of(&outcome, estimate.as_ref())))
}

/// The text of a resource.
async fn received(headers: &HeaderMap, body: Body) -> Result<String, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !MEDIA_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(Problem::parameter(format!(
            "the body is {kind:?}: send a FlowMetric as application/json or application/yaml"
        )));
    }
    let body = timeout(PATIENCE, to_bytes(body, LONGEST)).await;
    let body = body.map_err(|_| Problem::parameter(format!("the body did not come within {PATIENCE:?}")))?;
    let body = body
        .map_err(|_| Problem::parameter(format!("the body broke off, or has more than {LONGEST} bytes")))?;
    String::from_utf8(body.into()).map_err(|_| Problem::parameter("the body is no UTF-8"))
}

/// What becomes of a resource, and what it means if it is good.
fn judge(text: &str) -> (Outcome, Option<Definition>) {
    let mut documents = read_yaml(text);
    let first = documents.pop();
    let metric = match first {
        Some(only) if documents.is_empty() => only,
        None => Err(Fault {
            field: "document".to_owned(),
            kind: ProblemKind::NotFlowMetric,
            message: "there is nothing in it".to_owned(),
            remedy: "send one FlowMetric".to_owned(),
        }),
        _ => Err(Fault {
            field: "document".to_owned(),
            kind: ProblemKind::Syntax,
            message: format!("there are {} resources", documents.len() + 1),
            remedy: "send one FlowMetric".to_owned(),
        }),
    };
    match metric {
        Err(problem) => (Err(vec![problem]), None),
        Ok(metric) => match Definition::new(&metric) {
            Ok(definition) => (Ok(definition.applied(MetricChange::Added)), Some(definition)),
            Err(problems) => (Err(problems), None),
        },
    }
}

impl Api {
    /// Lets those in who may read what FlowMetrics count; where Kubernetes does not tell who that is, whoever may
    /// ask anything.
    async fn admit_to_flow_metrics(&self, caller: &Caller) -> Result<(), Problem> {
        match &self.gate {
            gate @ Gate::Kubernetes(_) => gate.admit_scraper(caller).await.map(drop),
            gate => gate.identify(caller).await.map(drop),
        }
    }

    /// How many series a metric would have by stored flows, when it is this asker's turn.
    ///
    /// # Errors
    /// The turn does not come, or the flows cannot be read.
    async fn estimate(&self, asker: &Asker, metric: Definition) -> Result<Estimate, Problem> {
        let Some(engine) = self.questions.clone() else {
            return Ok(Estimate::Unknown(Unknown::NothingStored));
        };
        let estimates = self.threads.run(asker, estimates(engine, vec![metric])).await?;
        let none = Estimate::Unknown(Unknown::Unread);
        Ok(estimates.into_iter().next().unwrap_or(none))
    }

    /// The same of several metrics together, in their order, if a turn is free.
    ///
    /// # Errors
    /// There is none, or the flows cannot be read.
    pub async fn estimate_if_free(
        &self,
        asker: &Asker,
        metrics: Vec<Definition>,
    ) -> Result<Vec<Estimate>, Problem> {
        let Some(engine) = self.questions.clone() else {
            return Ok(vec![Estimate::Unknown(Unknown::NothingStored); metrics.len()]);
        };
        self.threads.run_if_free(asker, estimates(engine, metrics)).await
    }
}

async fn estimates(engine: Arc<dyn Engine>, metrics: Vec<Definition>) -> Result<Vec<Estimate>, Problem> {
    let estimates = estimate(engine.as_ref(), metrics, &EstimateBounds::default()).await;
    estimates.map_err(Problem::from)
}
