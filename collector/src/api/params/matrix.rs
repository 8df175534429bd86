//! Parameters of the matrix.

use serde::Deserialize;
use utoipa::IntoParams;
use weir_query::{CallDirection, MatrixEnds, MatrixRequest, Since, Until};

use super::some_groups;
use crate::api::format::Format;
use crate::api::problem::Problem;
use crate::args::ProfileName;

/// Parameters of `matrix`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MatrixParams {
    /// Which calls, in the filter language: the source is the client, the destination the
    /// server, `dst_port` the server's port; all when left out.
    #[param(required = false, example = "ns == \"shop\"")]
    pub filter: String,
    /// From when on, by arrival at the collector: how long ago (`15m`, `2d`) or a
    /// time of RFC 3339; one hour ago when left out. The hour that it is in counts whole.
    #[param(required = false, example = "7d")]
    pub since: Since,
    /// Until when, likewise; now when left out.
    #[param(required = false, example = "now")]
    pub until: Until,
    /// Which end of a call the filter's source is: the client of outgoing calls (`out`, when
    /// left out), the server of incoming ones (`in`), or either (`both`).
    #[param(required = false, inline)]
    pub direction: CallDirection,
    /// What the ends are: workloads when left out, `pod`, `ns`, or `subnet` (labels).
    #[param(required = false, inline)]
    pub by: MatrixEnds,
    /// A row for each port of a server.
    #[param(required = false)]
    pub ports: bool,
    /// Also what the policies say about each row, as they are now: `policy_verdict` (`mixed` where
    /// the edges of a row do not agree), `policy_reason`, `policy_side`, `policy`, `policy_rule`,
    /// `policy_denied_flows`, `policy_unknown_flows`. Answered as JSON and CSV.
    #[param(required = false)]
    pub policies: bool,
    /// The network plugin that is assumed for that; the one that the collector knows of when
    /// left out.
    #[param(inline)]
    pub profile: Option<ProfileName>,
    /// Rows at most, those with most bytes; 1,000 when left out.
    #[param(minimum = 1, maximum = 50_000)]
    #[serde(deserialize_with = "some_groups")]
    pub limit: Option<usize>,
    /// Form of the answer; beats `Accept`.
    #[param(inline)]
    pub format: Option<Format>,
}

/// Rows of a matrix when nobody says how many.
const SOME_EDGES: usize = 1_000;

impl MatrixParams {
    /// Whether verdicts are wanted, and what plugin is assumed.
    ///
    /// # Errors
    /// A plugin is named for nothing, or the form has no room for verdicts.
    pub fn verdicts(&self, format: Format) -> Result<Option<Option<ProfileName>>, Problem> {
        match (self.policies, self.profile) {
            (false, None) => Ok(None),
            (false, Some(_)) => Err(Problem::parameter("profile: it is of use with policies=true")),
            (true, _) if format == Format::Arrow => Err(Problem::parameter(
                "policies: what they say is answered as JSON and CSV: add format=json or format=csv",
            )),
            (true, profile) => Ok(Some(profile)),
        }
    }

    /// The request.
    pub fn into_request(self) -> MatrixRequest {
        MatrixRequest {
            filter: self.filter,
            since: self.since,
            until: self.until,
            direction: self.direction,
            by: self.by,
            ports: self.ports,
            limit: Some(self.limit.unwrap_or(SOME_EDGES)),
        }
    }
}
