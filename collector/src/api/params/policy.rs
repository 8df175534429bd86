//! Parameters of the pages about policies.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};
use utoipa::IntoParams;
use weir_decisions::{Called, Peer, check};
use weir_policy::replay::CheckOptions;
use weir_query::{MatrixRequest, Moment, Since, Until};

use super::list::Words;
use crate::api::format::TableForm;
use crate::api::problem::Problem;
use crate::args::ProfileName;

/// Traffic of so long is looked at when nobody says how long.
const USUAL: Duration = Duration::from_secs(7 * 86_400);
/// So many pairs of addresses are looked at to explain: a few seconds of one core.
const MOST_PAIRS: usize = 250_000;

/// Which traffic.
#[derive(Debug, Clone)]
pub struct TrafficAsked {
    /// In the filter language.
    pub filter: String,
    /// From when on.
    pub since: Since,
    /// Until when.
    pub until: Until,
}

impl TrafficAsked {
    /// Of the last seven days when nobody says since when.
    pub(super) fn of(filter: String, since: Option<Since>, until: Until) -> Self {
        Self {
            filter,
            since: since.unwrap_or(Since(Moment::Ago(USUAL))),
            until,
        }
    }

    /// The whole hours that it is of.
    pub fn hours(&self) -> (Since, Until) {
        let request = MatrixRequest {
            since: self.since,
            until: self.until,
            ..MatrixRequest::default()
        };
        request.hours()
    }
}

/// Parameters of `policy/explain`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainParams {
    /// Who opens the connection: `namespace/pod`, `namespace/kind/name` of a workload,
    /// `node/name`, or an address.
    #[param(example = "shop/deploy/web")]
    pub src: String,
    /// Who is called, likewise.
    #[param(example = "bank/db-0")]
    pub dst: String,
    /// The port of the server's pod: a number, with `/udp` or `/sctp` where it is not TCP, or
    /// `icmp`, `icmpv6`.
    #[param(example = "5432")]
    pub port: String,
    /// The network plugin that is assumed where the API leaves its behaviour open; the one that
    /// the collector knows of when left out.
    #[param(inline)]
    pub profile: Option<ProfileName>,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<TableForm>,
}

impl ExplainParams {
    /// What is asked.
    ///
    /// # Errors
    /// An end or the port is none.
    pub fn question(&self) -> Result<weir_decisions::explain::Question, Problem> {
        Ok(weir_decisions::explain::Question {
            client: parsed::<Peer>("src", &self.src)?,
            server: parsed::<Peer>("dst", &self.dst)?,
            called: parsed::<Called>("port", &self.port)?,
            most_pairs: MOST_PAIRS,
        })
    }
}

/// What a parameter of that name says.
pub(super) fn parsed<T: FromStr<Err = String>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|why| Problem::parameter(format!("{name}: {why}")))
}

/// Parameters of `policy/lint`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LintParams {
    /// Only policies of these namespaces, none of the cluster's.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub ns: Words,
    /// The network plugin that is assumed; the one that the collector knows of when left out.
    #[param(inline)]
    pub profile: Option<ProfileName>,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<TableForm>,
}

/// Parameters of the reports about policies and traffic.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageParams {
    /// Only workloads or policies of these namespaces, none of the cluster's.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub ns: Words,
    /// Only traffic that fits this, in the filter language of `matrix`.
    #[param(required = false, example = "dst_port == 443")]
    pub filter: String,
    /// Traffic from when on; seven days ago when left out. The hour that it is in counts whole.
    #[param(value_type = Option<Since>, example = "7d")]
    pub since: Option<Since>,
    /// Until when; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// The network plugin that is assumed; the one that the collector knows of when left out.
    #[param(inline)]
    pub profile: Option<ProfileName>,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<TableForm>,
}

impl UsageParams {
    /// Which traffic.
    pub fn traffic(&self) -> TrafficAsked {
        TrafficAsked::of(self.filter.clone(), self.since, self.until)
    }
}

/// Parameters of `policy/check`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CheckParams {
    /// The namespace of policies in the body that name none; `default` when left out.
    pub namespace: Option<String>,
    /// Policies that are deleted: `namespace/name`, or `kind/name` of the cluster's.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub delete: Words,
    /// Labels that are set (`KEY=VALUE`) or removed (`KEY-`) on a namespace, a pod or a workload:
    /// `shop/deploy/web:tier=front`.
    #[param(required = false, style = Form, explode = false, value_type = Vec<String>)]
    pub set_label: Words,
    /// Only traffic that fits this, in the filter language of `matrix`.
    #[param(required = false, example = "dst_port == 443")]
    pub filter: String,
    /// Traffic from when on; seven days ago when left out. The hour that it is in counts whole.
    #[param(value_type = Option<Since>, example = "7d")]
    pub since: Option<Since>,
    /// Until when; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// Traffic that nobody answered counts as broken, too.
    #[param(required = false)]
    pub strict: bool,
    /// The share of the flows with an end that the change may be about, that may be without an
    /// answer; 0.01 when left out.
    #[param(minimum = 0, maximum = 1)]
    #[serde(deserialize_with = "some_share")]
    pub max_unknown: Option<f64>,
    /// Newly allowed traffic, and pairs that nobody tried and that the change opens, count as
    /// broken, too.
    #[param(required = false)]
    pub newly_allowed_fails: bool,
    /// The network plugin that is assumed; the one that the collector knows of when left out.
    #[param(inline)]
    pub profile: Option<ProfileName>,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<TableForm>,
}

fn some_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let share = f64::deserialize(deserializer)?;
    match (0.0..=1.0).contains(&share) {
        true => Ok(Some(share)),
        false => Err(D::Error::custom(format!("{share} is no share from 0 to 1"))),
    }
}

impl CheckParams {
    /// Which traffic.
    pub fn traffic(&self) -> TrafficAsked {
        TrafficAsked::of(self.filter.clone(), self.since, self.until)
    }

    /// What is changed beside the policies of the body.
    ///
    /// # Errors
    /// A policy or label is none.
    pub fn wanted(&self) -> Result<check::Wanted, Problem> {
        let deleted = self.delete.0.iter().map(|text| parsed("delete", text));
        let labels = self.set_label.0.iter().map(|text| parsed("set_label", text));
        Ok(check::Wanted {
            deleted: deleted.collect::<Result<_, _>>()?,
            labels: labels.collect::<Result<_, _>>()?,
        })
    }

    /// What counts as broken.
    pub fn options(&self) -> CheckOptions {
        let usual = CheckOptions::default();
        CheckOptions {
            strict: self.strict,
            max_unknown: self.max_unknown.unwrap_or(usual.max_unknown),
            newly_allowed_fails: self.newly_allowed_fails,
        }
    }
}
