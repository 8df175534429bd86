//! What each page may be asked, as query parameters.

mod generate;
mod list;
mod matrix;
mod plan;
mod policy;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use weir_api::fields::Column;
use weir_query::{
    Bucket, Compare, Cover, FlowsRequest, GroupName, Measure, Order, Question, Since, Until, ValuesRequest,
    Zone,
};

use super::export::ExportForm;
use super::format::Format;
use super::problem::Problem;
pub use generate::{GenerateParams, InternetName, KindName, LevelName, NodesName};
pub use list::Words;
use list::joined;
pub use matrix::MatrixParams;
pub use plan::PlanParams;
pub use policy::{CheckParams, ExplainParams, LintParams, TrafficAsked, UsageParams};

/// Records on a page at most.
pub const MOST_ROWS: usize = 10_000;

/// Groups in an answer at most.
pub const MOST_GROUPS: usize = 50_000;

/// The parameters of a request; a problem when they are wrong.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let uri = joined(&parts.uri).unwrap_or_else(|| parts.uri.clone());
        match Query::<T>::try_from_uri(&uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                // The outer text says that it failed, the inner one why.
                let why = std::error::Error::source(&rejection).map(ToString::to_string);
                Err(Problem::parameter(why.unwrap_or_else(|| rejection.to_string())))
            }
        }
    }
}

/// Parameters of `flows`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FlowsParams {
    /// Which flows, in the filter language; all when left out.
    #[param(
        required = false,
        example = "ns == \"shop\" && dst_workload_kind == \"internet\""
    )]
    pub filter: String,
    /// From when on, by arrival at the collector: how long ago (`15m`, `2d`) or a
    /// time of RFC 3339; one hour ago when left out.
    #[param(required = false, example = "1h")]
    pub since: Since,
    /// Until when, itself excluded, likewise; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// Fields to answer with; all when left out.
    #[param(required = false, style = Form, explode = false, value_type = Vec<FieldName>)]
    pub columns: Words,
    /// Records on a page; 100 when left out.
    #[param(minimum = 1, maximum = 10_000)]
    #[serde(deserialize_with = "some_rows")]
    pub limit: Option<usize>,
    /// Where the last page ended, as the answer said.
    pub cursor: Option<String>,
    /// Newest or oldest first, or those that have most; these have one page.
    #[param(required = false)]
    pub order: Order,
    /// Also flows that the filter lets through when they are looked at from their other end.
    #[param(required = false)]
    pub both_directions: bool,
    /// Every observation of a flow, not its primary one alone.
    #[param(required = false)]
    pub all_observations: bool,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<Format>,
}

impl FlowsParams {
    /// The question, and the form to answer it in.
    pub fn into_request(self) -> (FlowsRequest, Option<Format>) {
        let request = FlowsRequest {
            filter: self.filter,
            since: self.since,
            until: self.until,
            columns: self.columns.0,
            limit: self.limit,
            cursor: self.cursor,
            order: self.order,
            both_directions: self.both_directions,
            all_observations: self.all_observations,
        };
        (request, self.format)
    }
}

/// Parameters of `query`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QueryParams {
    /// Which flows, in the filter language; all when left out.
    #[param(
        required = false,
        example = "zone != \"\" && dst_zone != \"\" && zone != dst_zone"
    )]
    pub filter: String,
    /// From when on, by arrival at the collector: how long ago (`15m`, `2d`) or a
    /// time of RFC 3339; one hour ago when left out.
    #[param(required = false, example = "1h")]
    pub since: Since,
    /// Until when, itself excluded, likewise; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// Fields to group by, each side on its own; one row for all when left out. Behind an
    /// address may stand how much of it: `addr/24`, or `addr/24/64` of IPv4 and IPv6.
    #[param(required = false, style = Form, explode = false, value_type = Vec<GroupName>)]
    pub group_by: Words,
    /// What to say of each group; bytes, packets and flows when left out.
    #[param(required = false, style = Form, explode = false, value_type = Vec<Measure>)]
    pub measures: Words,
    /// What to order by, the largest first.
    #[param(required = false)]
    pub by: Measure,
    /// Groups to answer with; the rest is summed as `other`. 20 when left out, or, beside
    /// `cover`, as many as there may be.
    #[param(minimum = 1, maximum = 50_000)]
    #[serde(deserialize_with = "some_groups")]
    pub top: Option<usize>,
    /// As few groups as have this part of all together: `0.99`, `99%`.
    #[param(value_type = Option<String>, example = "0.99")]
    pub cover: Option<Cover>,
    /// Length of a time bucket (`1m`, `1h30m`), or days (`1d`) or weeks from Monday on (`1w`)
    /// of the calendar; no buckets when left out.
    #[param(value_type = Option<String>, example = "5m")]
    pub bucket: Option<Bucket>,
    /// The time zone in which days and weeks begin; UTC when left out.
    #[param(value_type = Option<String>, example = "Europe/Berlin")]
    pub zone: Option<Zone>,
    /// With which earlier range to compare: `previous`, or how much earlier (`1h`, `1d`,
    /// `1w`). Beside each measure stand what it was (`_then`) and how much more it is
    /// (`_change`), and `compared` says which groups are `new`, `gone`, or in `both`.
    #[param(value_type = Option<String>, example = "previous")]
    pub compare: Option<Compare>,
    /// Join both directions: a group is who its fields name, with what it sent and
    /// what it received.
    #[param(required = false)]
    pub conversation: bool,
    /// Count every observation of a flow, not its primary one alone.
    #[param(required = false)]
    pub all_observations: bool,
    /// Never use rollups.
    #[param(required = false)]
    pub raw_only: bool,
    /// Answer with how the question was answered instead; always JSON.
    #[param(required = false)]
    pub explain: bool,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<Format>,
}

/// Groups in an answer when nobody says how many.
const SOME_GROUPS: usize = 20;

impl QueryParams {
    /// The question, and the form to answer it in.
    ///
    /// # Errors
    /// There is no such measure.
    pub fn into_question(self) -> Result<(Question, Option<Format>), Problem> {
        let measures = self.measures.0.iter().map(|name| name.parse());
        let measures: Result<Vec<Measure>, _> = measures.collect();
        let question = Question {
            filter: self.filter,
            since: self.since,
            until: self.until,
            group_by: self.group_by.0,
            measures: measures.map_err(|e| Problem::parameter(format!("measures: {e}")))?,
            by: self.by,
            top: Some(self.top.unwrap_or(match self.cover {
                Some(_) => MOST_GROUPS,
                None => SOME_GROUPS,
            })),
            cover: self.cover,
            bucket: self.bucket,
            zone: self.zone,
            compare: self.compare,
            conversation: self.conversation,
            all_observations: self.all_observations,
            raw_only: self.raw_only,
        };
        Ok((question, self.format))
    }
}

/// Parameters of `values`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ValuesParams {
    /// Name of the field.
    #[param(value_type = FieldName)]
    pub field: String,
    /// What the values begin with.
    #[serde(default)]
    #[param(required = false)]
    pub prefix: String,
    /// Of which flows, in the filter language; of all when left out.
    #[serde(default)]
    #[param(required = false, example = "ns == \"shop\"")]
    pub filter: String,
    /// From when on, by arrival at the collector: how long ago (`15m`, `2d`) or a
    /// time of RFC 3339; one hour ago when left out.
    #[serde(default)]
    #[param(required = false, example = "1h")]
    pub since: Since,
    /// Until when, itself excluded, likewise; now when left out.
    #[serde(default)]
    #[param(required = false, example = "now")]
    pub until: Until,
    /// How many at most; 100 when left out.
    #[param(minimum = 1, maximum = 10_000)]
    #[serde(default, deserialize_with = "some_rows")]
    pub limit: Option<usize>,
}

impl From<ValuesParams> for ValuesRequest {
    fn from(params: ValuesParams) -> Self {
        Self {
            field: params.field,
            prefix: params.prefix,
            filter: params.filter,
            since: params.since,
            until: params.until,
            limit: params.limit,
        }
    }
}

/// Parameters of `tail`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TailParams {
    /// Which flows, in the filter language; all when left out.
    #[param(required = false, example = "verdict == \"dropped\"")]
    pub filter: String,
    /// Fields to answer with; all when left out.
    #[param(required = false, style = Form, explode = false, value_type = Vec<FieldName>)]
    pub columns: Words,
    /// Also flows that the filter lets through when they are looked at from their other end.
    #[param(required = false)]
    pub both_directions: bool,
    /// Every observation of a flow, not its primary one alone.
    #[param(required = false)]
    pub all_observations: bool,
    /// End after so many seconds; 600 when left out, so that access is looked at again.
    #[param(minimum = 1, maximum = 600)]
    #[serde(deserialize_with = "some_seconds")]
    pub seconds: Option<u64>,
    /// Records a second at most; how many more there were is said in a note. No bound when
    /// left out.
    #[param(minimum = 1, maximum = 100_000)]
    #[serde(deserialize_with = "some_a_second")]
    pub limit: Option<u64>,
    /// Say now and then, in a line with nothing but `mark`, where to go on.
    #[param(required = false)]
    pub marks: bool,
    /// Go on behind this mark of an earlier tail: what came since comes first, if it is not
    /// long ago.
    pub resume: Option<String>,
    /// Of no effect here: the API server ends after a minute what it does not take for a
    /// watch.
    #[param(required = false)]
    pub watch: bool,
}

/// Parameters of `export`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportParams {
    /// Which flows, in the filter language; all when left out.
    #[param(required = false, example = "dst_workload_kind == \"internet\"")]
    pub filter: String,
    /// From when on, by arrival at the collector: how long ago (`15m`, `2d`) or a
    /// time of RFC 3339; one hour ago when left out.
    #[param(required = false, example = "1h")]
    pub since: Since,
    /// Until when, itself excluded, likewise; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// Fields to write; all when left out.
    #[param(required = false, style = Form, explode = false, value_type = Vec<FieldName>)]
    pub columns: Words,
    /// Every observation of a flow, not its primary one alone.
    #[param(required = false)]
    pub all_observations: bool,
    /// Form of the export; beats `Accept`.
    #[param(inline)]
    pub format: Option<ExportForm>,
    /// Of no effect here: the API server ends after a minute what it does not take for a
    /// watch.
    #[param(required = false)]
    pub watch: bool,
}

/// Parameters of `me`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MeParams {
    /// The namespaces are those of this time: how long ago it begins (`15m`, `2d`), or a
    /// time of RFC 3339; a day ago when left out.
    #[param(value_type = Option<Since>, example = "1d")]
    pub since: Option<Since>,
    /// Until when, itself excluded, likewise; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
}

/// Parameters of `filter`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilterParams {
    /// What is to be checked, in the filter language.
    #[param(required = false, example = "ns == \"shop\" && verd")]
    pub filter: String,
    /// How it may go on behind so many characters; nothing is said of it when left out.
    pub at: Option<usize>,
}

/// Pages without parameters take none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

fn some_rows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    bounded(deserializer, MOST_ROWS as u64).map(|rows| rows.and_then(|rows| rows.try_into().ok()))
}

fn some_groups<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    bounded(deserializer, MOST_GROUPS as u64).map(|groups| groups.and_then(|groups| groups.try_into().ok()))
}

fn some_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    bounded(deserializer, 600)
}

fn some_a_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    bounded(deserializer, 100_000)
}

fn bounded<'de, D: Deserializer<'de>>(deserializer: D, most: u64) -> Result<Option<u64>, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if (1..=most).contains(&number) {
        Ok(Some(number))
    } else {
        Err(D::Error::custom(format!("{number} is not between 1 and {most}")))
    }
}

/// The name of a field, for the document: one of the field table's.
#[derive(Debug)]
pub struct FieldName;

impl PartialSchema for FieldName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Column::all().map(Column::name)))
            .description(Some("The name of a field; docs/fields.md says what each means."))
            .into()
    }
}

impl ToSchema for FieldName {}

#[cfg(test)]
mod tests;
