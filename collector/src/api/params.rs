//! What each page may be asked, as query parameters.

use std::borrow::Cow;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
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

/// Parameters that are lists.
const LISTS: [&str; 3] = ["columns", "group_by", "measures"];

/// The address with each list once, where one comes several times: many clients write
/// lists so.
fn joined(uri: &Uri) -> Option<Uri> {
    let query = uri.query()?;
    let mut pairs = Vec::<(Cow<'_, str>, String)>::new();
    let mut has_repeated = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let is_list = LISTS.contains(&name.as_ref());
        match pairs.iter_mut().find(|(known, _)| is_list && *known == name) {
            Some((_, list)) => {
                has_repeated = true;
                list.push(',');
                list.push_str(&value);
            }
            None => pairs.push((name, value.into_owned())),
        }
    }
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(&pairs)
        .finish();
    has_repeated.then(|| format!("{}?{query}", uri.path()).parse().ok())?
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

/// Several words, with commas in between; none of them is empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
        if words.iter().any(String::is_empty) {
            return Err(D::Error::custom(
                "a list with an empty word; leave the parameter out for none",
            ));
        }
        Ok(Self(words))
    }
}

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
mod tests {
    use super::*;

    async fn read<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
        let request = axum::http::Request::get(format!("/?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        Params::from_request_parts(&mut parts, &())
            .await
            .map(|Params(params)| params)
    }

    #[tokio::test]
    async fn a_question_may_leave_everything_out_and_gets_the_top_twenty() {
        let params: QueryParams = read("").await.unwrap();
        let (question, format) = params.into_question().unwrap();
        let expected = Question {
            top: Some(20),
            ..Question::default()
        };
        assert_eq!((question, format), (expected, None));
    }

    #[tokio::test]
    async fn lists_are_written_with_commas() {
        let params: QueryParams = read("group_by=ns,%20dst_ns&measures=flows&by=packets&format=csv&top=3")
            .await
            .unwrap();
        let (question, format) = params.into_question().unwrap();
        assert_eq!(question.group_by, ["ns", "dst_ns"]);
        assert_eq!(
            (question.measures, question.by),
            (vec![Measure::Flows], Measure::Packets)
        );
        assert_eq!((question.top, format), (Some(3), Some(Format::Csv)));
    }

    #[tokio::test]
    async fn what_carries_a_part_of_all_is_not_cut_at_twenty() {
        let params: QueryParams =
            read("cover=99%25&compare=1d&bucket=1w&zone=UTC&measures=p95_bytes,distinct_src_addr")
                .await
                .unwrap();
        let (question, _) = params.into_question().unwrap();
        assert_eq!(question.top, Some(MOST_GROUPS));
        assert_eq!(question.cover, Some("0.99".parse().unwrap()));
        assert_eq!(question.compare, Some("1d".parse().unwrap()));
        assert_eq!(
            (question.bucket, question.zone),
            (Some(Bucket::Weeks(1)), Some("UTC".parse().unwrap()))
        );
        let measures: Vec<String> = question.measures.iter().map(ToString::to_string).collect();
        assert_eq!(measures, ["p95_bytes", "distinct_addr"]);
        let params: FlowsParams = read("order=duration&both_directions=true").await.unwrap();
        let (request, _) = params.into_request();
        assert_eq!(request.order, Order::Largest(weir_query::Quantity::Duration));
        assert!(request.both_directions);
    }

    #[tokio::test]
    async fn lists_may_come_one_word_at_a_time_and_nothing_else_may_come_twice() {
        let params: FlowsParams = read("columns=ns&limit=5&columns=zone,%20port").await.unwrap();
        assert_eq!(
            (params.columns.0, params.limit),
            (["ns", "zone", "port"].map(str::to_owned).to_vec(), Some(5))
        );
        assert!(read::<FlowsParams>("columns=ns&columns=").await.is_err());
        assert!(
            read::<FlowsParams>("columns=ns&columns=zone&limit=1&limit=2")
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn wrong_parameters_are_named() {
        for (query, word) in [
            ("filer=x", "filer"),
            ("limit=0", "10000"),
            ("columns=", "empty word"),
            ("columns=ns,,zone", "empty word"),
            ("limit=x", "invalid digit"),
            ("limit=10001", "10000"),
            ("since=yesterday", "yesterday"),
            ("order=up", "newest, oldest"),
            ("both_directions=yes", "provided string was not"),
            ("format=xml", "xml"),
            ("limit=1&limit=2", "limit"),
            ("all_observations=1", "provided string was not"),
        ] {
            let problem = read::<FlowsParams>(query).await.unwrap_err();
            assert_eq!(problem.status, 400);
            assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
        }
        assert!(
            read::<ValuesParams>("")
                .await
                .unwrap_err()
                .detail
                .contains("field")
        );
        assert!(read::<TailParams>("seconds=601").await.is_err());
        for (query, word) in [
            ("top=50001", "50000"),
            ("cover=1.5", "0.99"),
            ("bucket=1", "1d or 1w"),
            ("zone=Mars", "Europe/Berlin"),
            ("compare=yesterday", "previous"),
            ("by=octets", "distinct_"),
        ] {
            let problem = read::<QueryParams>(query).await.unwrap_err();
            assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
        }
    }
}
