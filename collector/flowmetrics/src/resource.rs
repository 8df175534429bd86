//! The resource `FlowMetric` of `flows.netobserv.io/v1alpha1`: NetObserv's schema and
//! defaults, field for field. Reading is strict where its CRD is; what the schema cannot
//! say is [`crate::Definition::new`]'s work.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::problem::{Problem, ProblemKind};

/// API version of the resource.
pub const API_VERSION: &str = "flows.netobserv.io/v1alpha1";
/// Kind of the resource.
pub const KIND: &str = "FlowMetric";
/// Annotation that bounds the series of one metric; a number.
pub const MAX_SERIES: &str = "weir.dev/max-series";

/// So many bytes a resource's `spec` has at most, as JSON.
const MAX_BYTES: usize = 64 << 10;

/// A metric made of flow records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowMetric {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// Who it is.
    pub metadata: Metadata,
    /// What it counts.
    pub spec: FlowMetricSpec,
}

/// What is read of the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name of the object.
    pub name: String,
    /// Its namespace; empty in files that name none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// When it was made, as the API server writes it (RFC 3339, UTC); empty in files.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "text_or_null"
    )]
    pub creation_timestamp: String,
    /// Annotations; [`MAX_SERIES`] is read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Tools write `null` where the API server has not said it.
fn text_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What a metric counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowMetricSpec {
    /// Name without the prefix `netobserv_`; empty: made of the object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metric_name: String,
    /// Counter, Gauge or Histogram.
    #[serde(rename = "type")]
    pub metric_type: MetricType,
    /// Help text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Field whose value counts; empty: each flow counts one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value_field: String,
    /// Conditions: of one field any, of several fields all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<MetricFilter>,
    /// Fields that become labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Lists, each item of which counts apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flatten: Vec<String>,
    /// Other names for labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remap: BTreeMap<String, String>,
    /// Flows of which direction.
    #[serde(default)]
    pub direction: Direction,
    /// Upper bounds of a histogram's buckets; empty: Prometheus's defaults.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<String>,
    /// The value is divided by it; empty: by nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub divider: String,
    /// Charts of a dashboard; they change nothing in what is counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<Chart>,
}

/// Types of metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricType {
    /// A sum that grows.
    #[default]
    Counter,
    /// How values are distributed over buckets.
    Histogram,
    /// The last value.
    Gauge,
}

/// Flows of which direction, from the nodes' view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// All.
    #[default]
    Any,
    /// That left a node, or stayed in one.
    Egress,
    /// That arrived at a node, or stayed in one.
    Ingress,
}

/// One condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricFilter {
    /// Field that it looks at.
    pub field: String,
    /// Text or expression; `$(OtherField)` stands for that field's value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// How it compares.
    #[serde(default)]
    pub match_type: MatchType,
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatchType {
    /// The value is this text.
    #[default]
    Equal,
    /// It is not, or there is none.
    NotEqual,
    /// There is a value.
    Presence,
    /// There is none.
    Absence,
    /// The expression is found in the value.
    MatchRegex,
    /// It is not, or there is no value.
    NotMatchRegex,
}

/// A chart of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chart {
    /// Dashboard that it belongs to.
    #[serde(default = "main_dashboard")]
    pub dashboard_name: String,
    /// Section of the dashboard; empty: at the top.
    #[serde(default)]
    pub section_name: String,
    /// Title.
    pub title: String,
    /// Unit of the values.
    #[serde(default)]
    pub unit: ChartUnit,
    /// Kind of chart.
    #[serde(rename = "type")]
    pub chart_type: ChartType,
    /// What it asks.
    pub queries: Vec<ChartQuery>,
}

fn main_dashboard() -> String {
    "Main".to_owned()
}

/// Units of charts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub enum ChartUnit {
    #[default]
    #[serde(rename = "")]
    None,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "seconds")]
    Seconds,
    #[serde(rename = "Bps")]
    BytesPerSecond,
    #[serde(rename = "pps")]
    PacketsPerSecond,
    #[serde(rename = "percent")]
    Percent,
}

/// Kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub enum ChartType {
    SingleStat,
    Line,
    StackArea,
}

/// One question of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChartQuery {
    /// PromQL; `$METRIC` stands for the metric's name.
    #[serde(rename = "promQL")]
    pub prom_ql: String,
    /// Legend; `{{Label}}` stands for a label's value.
    pub legend: String,
    /// So many series at most.
    #[serde(default = "seven")]
    pub top: u32,
}

const fn seven() -> u32 {
    7
}

impl FlowMetricSpec {
    /// What of it says what is counted: all but texts and charts.
    #[must_use]
    pub fn counted(&self) -> Self {
        Self {
            help: String::new(),
            charts: Vec::new(),
            ..self.clone()
        }
    }
}

impl FlowMetric {
    /// A resource of this name with this spec.
    pub fn new(name: impl Into<String>, spec: FlowMetricSpec) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: Metadata {
                name: name.into(),
                ..Metadata::default()
            },
            spec,
        }
    }

    /// Reads one object, as the API server gives it.
    pub fn from_json(object: &Value) -> Result<Self, Problem> {
        if !object.is_object() {
            return Err(Problem {
                field: "document".to_owned(),
                kind: ProblemKind::NotFlowMetric,
                message: "it is a list or a word".to_owned(),
                remedy: "write one FlowMetric in each document".to_owned(),
            });
        }
        let told = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        for (field, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            if told(field) != wanted {
                return Err(Problem {
                    field: field.to_owned(),
                    kind: ProblemKind::NotFlowMetric,
                    message: format!("{:?} is no FlowMetric of this version", told(field)),
                    remedy: format!("say {field}: {wanted}"),
                });
            }
        }
        let length = object.get("spec").map_or(0, |spec| spec.to_string().len());
        if length > MAX_BYTES {
            return Err(Problem {
                field: "spec".to_owned(),
                kind: ProblemKind::TooMany,
                message: format!("{length} bytes are more than {MAX_BYTES}"),
                remedy: "make several metrics of it".to_owned(),
            });
        }
        let metric: Self = serde_path_to_error::deserialize(object).map_err(|error| Problem {
            field: error.path().to_string(),
            kind: ProblemKind::Syntax,
            message: error.inner().to_string(),
            remedy: remedy_of_type(&error.inner().to_string()).to_owned(),
        })?;
        metric.within_bounds()
    }

    /// Rules of the CRD's schema that types do not say.
    fn within_bounds(self) -> Result<Self, Problem> {
        for (at, chart) in self.spec.charts.iter().enumerate() {
            if let Some(query) = chart.queries.iter().position(|query| query.top == 0) {
                return Err(Problem {
                    field: format!("spec.charts[{at}].queries[{query}].top"),
                    kind: ProblemKind::BadNumber,
                    message: "0 series are none".to_owned(),
                    remedy: "say 1 or more, or leave it out for 7".to_owned(),
                });
            }
        }
        Ok(self)
    }
}

fn remedy_of_type(message: &str) -> &'static str {
    if message.contains("expected a string") {
        "put the value in quotes"
    } else {
        "see docs/flow-metrics.md for the fields and their types"
    }
}

/// Reads a file of one or more documents; a problem of one does not hide the others.
pub fn read_yaml(text: &str) -> Vec<Result<FlowMetric, Problem>> {
    match serde_saphyr::from_multiple::<Value>(text) {
        Ok(documents) => documents
            .iter()
            .filter(|document| !document.is_null())
            .map(FlowMetric::from_json)
            .collect(),
        Err(error) => vec![Err(Problem {
            field: "document".to_owned(),
            kind: ProblemKind::Syntax,
            message: error.to_string(),
            remedy: "write YAML or JSON".to_owned(),
        })],
    }
}
