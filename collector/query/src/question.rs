//! What can be asked: sums over groups of flows, the records themselves, and
//! the values that a field takes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_store::TimeRange;

use crate::bucket::{Bucket, Zone};
use crate::compare::{Compare, begins};
use crate::measure::Measure;
use crate::moment::{Since, Until};
use crate::order::{Cover, Order};

/// Sums over flows, by groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Question {
    /// Which flows, in the filter language; all when empty.
    pub filter: String,
    /// From when on, by arrival at the collector; one hour ago when left out.
    pub since: Since,
    /// Until when, itself excluded; now when left out.
    pub until: Until,
    /// Fields to group by, each side on its own; none: one row for all. Behind an address
    /// may stand how much of it: `addr/24`, or `addr/24/64` of IPv4 and IPv6.
    pub group_by: Vec<String>,
    /// What to say of each; bytes, packets and flows when empty.
    pub measures: Vec<Measure>,
    /// What to order by, the largest first.
    pub by: Measure,
    /// How many groups to answer with; the rest is summed as `other`. All when left out.
    pub top: Option<usize>,
    /// As few groups as have this part of all together, and `top` at most.
    pub cover: Option<Cover>,
    /// Length of a time bucket; no buckets when left out.
    pub bucket: Option<Bucket>,
    /// In which time zone days and weeks begin; UTC when left out.
    pub zone: Option<Zone>,
    /// With which earlier range to compare; none when left out.
    pub compare: Option<Compare>,
    /// Join both directions: a group is who its fields name, with what it sent
    /// and what it received. `sent` and `received` imply it.
    pub conversation: bool,
    /// Count every observation of a flow, not its primary one alone.
    pub all_observations: bool,
    /// Never use rollups.
    pub raw_only: bool,
}

/// The records themselves, a page at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowsRequest {
    /// Which flows, in the filter language; all when empty.
    pub filter: String,
    /// From when on, by arrival at the collector; one hour ago when left out.
    pub since: Since,
    /// Until when, itself excluded; now when left out.
    pub until: Until,
    /// Fields to answer with; all when empty.
    pub columns: Vec<String>,
    /// Records on a page; 100 when left out.
    pub limit: Option<usize>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// Newest or oldest first, or the largest: these have no cursor.
    pub order: Order,
    /// Also flows that the filter lets through when they are looked at from their other end.
    pub both_directions: bool,
    /// Every observation of a flow, not its primary one alone.
    pub all_observations: bool,
}

/// The values that a field takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValuesRequest {
    /// Name of the field.
    pub field: String,
    /// What the values begin with.
    pub prefix: String,
    /// Of which flows, in the filter language; of all when empty.
    pub filter: String,
    /// From when on, by arrival at the collector; one hour ago when left out.
    pub since: Since,
    /// Until when, itself excluded; now when left out.
    pub until: Until,
    /// How many at most; 100 when left out.
    pub limit: Option<usize>,
}

impl Question {
    /// From when on it sees flows: the range that it is compared with begins earlier.
    pub fn begins(&self) -> Since {
        let now = Timestamp::now();
        let range = TimeRange {
            from: self.since.0.at(now),
            until: self.until.0.at(now),
        };
        let is_of_calendar = matches!(self.bucket, Some(Bucket::Days(_) | Bucket::Weeks(_)));
        begins(range, self.compare, is_of_calendar, self.since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::moment::{Moment, Span};

    #[test]
    fn a_question_may_leave_everything_out() {
        let question: Question = serde_json::from_str("{}").unwrap();
        assert_eq!(question, Question::default());
        let now = Timestamp::from_second(7200).unwrap();
        assert_eq!(question.since.0.at(now), 3_600_000_000);
        assert_eq!(question.until.0.at(now), 7_200_000_000);
    }

    #[test]
    fn a_question_survives_json() {
        let text = r#"{"filter":"ns == \"a\"","since":"2026-01-31T12:00:00Z","until":"15m","group_by":["ns"],
            "measures":["bytes","byte_rate"],"by":"dropped_packets","top":5,"bucket":"1m30s","conversation":true,
            "zone":"UTC","compare":"previous","cover":"0.99"}"#;
        let question: Question = serde_json::from_str(text).unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&question).unwrap()).unwrap();
        assert_eq!(question, again);
        assert_eq!(
            question.bucket,
            Some(Bucket::Length(Span(Duration::from_secs(90))))
        );
        assert_eq!(question.until.0, Moment::Ago(Duration::from_secs(900)));
    }

    #[test]
    fn what_nobody_can_have_meant_is_refused() {
        for wrong in [
            r#"{"groupby":["ns"]}"#,
            r#"{"since":"yesterday"}"#,
            r#"{"by":"octets"}"#,
            r#"{"bucket":"1"}"#,
        ] {
            assert!(serde_json::from_str::<Question>(wrong).is_err(), "{wrong}");
        }
    }
}
