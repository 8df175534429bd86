//! What a matrix is asked for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_store::{Tier, TimeRange};

use crate::{Moment, Since, Until};

/// Who called whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatrixRequest {
    /// Which edges, in the filter language, of which the source is the client; all when empty.
    pub filter: String,
    /// From when on, by arrival at the collector; the hour that it is in counts whole.
    pub since: Since,
    /// Until when, likewise.
    pub until: Until,
    /// Which end the filter's source is.
    pub direction: CallDirection,
    /// What the ends are called.
    pub by: MatrixEnds,
    /// A row for each port of a server.
    pub ports: bool,
    /// Rows at most, those with most bytes; all when left out.
    pub limit: Option<usize>,
}

impl MatrixRequest {
    /// The whole hours that it is of.
    pub fn hours(&self) -> (Since, Until) {
        let now = Timestamp::now();
        let hours = whole_hours(TimeRange {
            from: self.since.0.at(now),
            until: self.until.0.at(now),
        });
        let at = |micros, asked| Timestamp::from_microsecond(micros).map_or(asked, Moment::At);
        (
            Since(at(hours.from, self.since.0)),
            Until(at(hours.until, self.until.0)),
        )
    }
}

/// Which end of a call the filter's source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallDirection {
    /// The client: outgoing calls of what the filter's source selects.
    #[default]
    Out,
    /// The server: incoming calls.
    In,
    /// Either.
    Both,
}

impl CallDirection {
    /// All.
    pub const ALL: [Self; 3] = [Self::Out, Self::In, Self::Both];

    /// The word in questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Both => "both",
        }
    }
}

/// What the ends of a matrix are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatrixEnds {
    /// Workloads and nodes; of others, subnet labels, `internet` and `private`.
    #[default]
    Workload,
    /// Pods in place of workloads.
    Pod,
    /// Namespaces in place of workloads.
    Ns,
    /// Subnet labels; of what has none, namespaces.
    Subnet,
}

impl MatrixEnds {
    /// The fields that an end may be called by.
    pub const FIELDS: [&str; 5] = ["ns", "workload_kind", "workload_name", "pod_name", "subnet_label"];

    /// All.
    pub const ALL: [Self; 4] = [Self::Workload, Self::Pod, Self::Ns, Self::Subnet];

    /// The word in questions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::Pod => "pod",
            Self::Ns => "ns",
            Self::Subnet => "subnet",
        }
    }
}

/// The hours that a range touches.
pub(super) fn whole_hours(range: TimeRange) -> TimeRange {
    let hour = Tier::Edges.bucket().unwrap_or(1);
    let start = |time: i64| time.div_euclid(hour).saturating_mul(hour);
    TimeRange {
        from: start(range.from),
        until: start(range.until.saturating_add(hour - 1)),
    }
}
