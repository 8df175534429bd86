//! What can be asked: sums over groups of flows, the records themselves, and
//! the values that a field takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::span;

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
    /// Fields to group by, each side on its own; none: one row for all.
    pub group_by: Vec<String>,
    /// What to sum; bytes, packets and flows when empty.
    pub measures: Vec<Measure>,
    /// What to order by, the largest first.
    pub by: Measure,
    /// How many groups to answer with; the rest is summed as `other`. All when left out.
    pub top: Option<usize>,
    /// Length of a time bucket; no buckets when left out.
    pub bucket: Option<Span>,
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
    /// Newest or oldest first.
    pub order: Order,
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

/// What is summed over a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Octets of layer 3.
    #[default]
    Bytes,
    /// Packets.
    Packets,
    /// Records.
    Flows,
    /// Packets that were dropped for certain.
    DroppedPackets,
    /// Octets in them.
    DroppedBytes,
    /// Octets a second, of the range or the bucket.
    ByteRate,
    /// Packets a second, of the range or the bucket.
    PacketRate,
    /// Octets that the group's own side sent.
    Sent,
    /// Octets that the group's own side received.
    Received,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Bytes,
        Self::Packets,
        Self::Flows,
        Self::DroppedPackets,
        Self::DroppedBytes,
        Self::ByteRate,
        Self::PacketRate,
        Self::Sent,
        Self::Received,
    ];

    /// Its name in questions and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Flows => "flows",
            Self::DroppedPackets => "dropped_packets",
            Self::DroppedBytes => "dropped_bytes",
            Self::ByteRate => "byte_rate",
            Self::PacketRate => "packet_rate",
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }

    /// It tells one direction from the other.
    pub(crate) const fn has_direction(self) -> bool {
        matches!(self, Self::Sent | Self::Received)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Measure {
    type Err = UnknownMeasure;

    fn from_str(text: &str) -> Result<Self, UnknownMeasure> {
        let found = Self::ALL.into_iter().find(|measure| measure.as_str() == text);
        found.ok_or_else(|| UnknownMeasure(text.to_owned()))
    }
}

/// No measure has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no measure is named {0:?}: there are bytes, packets, flows, dropped_packets, dropped_bytes, \
     byte_rate, packet_rate, sent and received"
)]
pub struct UnknownMeasure(String);

/// Which records come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Those that arrived last.
    #[default]
    Newest,
    /// Those that arrived first.
    Oldest,
}

/// A point in time: a date and time as in RFC 3339, or how long ago (`15m`, `2d`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Then.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

impl Moment {
    /// Microseconds since the epoch, when it is now `now`.
    pub fn at(self, now: Timestamp) -> i64 {
        match self {
            Self::At(then) => then.as_microsecond(),
            Self::Ago(span) => {
                let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
                now.as_microsecond().saturating_sub(span)
            }
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(then) => write!(f, "{then}"),
            Self::Ago(span) => write!(f, "{}", Span(*span)),
        }
    }
}

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if text == "now" {
            return Ok(Self::Ago(Duration::ZERO));
        }
        if let Some(span) = span::parse_duration(text.strip_prefix('-').unwrap_or(text)) {
            return Ok(Self::Ago(span));
        }
        text.parse().map(Self::At).map_err(|_| NoMoment(text.to_owned()))
    }
}

/// This says no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither how long ago (15m, 2h, 7d) nor a time such as 2026-01-31T12:00:00Z")]
pub struct NoMoment(String);

/// A length of time (`90s`, `1h30m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        match units.into_iter().find(|(unit, _)| nanos.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", nanos / unit),
            None => write!(f, "{nanos}ns"),
        }
    }
}

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let span = span::parse_duration(text).map(Self);
        span.ok_or_else(|| NoSpan(text.to_owned()))
    }
}

/// This says no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time such as 90s, 15m or 1h30m")]
pub struct NoSpan(String);

/// The beginning of a range of time; one hour ago unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String)]
pub struct Since(pub Moment);

impl Default for Since {
    fn default() -> Self {
        Self(Moment::Ago(Duration::from_secs(3600)))
    }
}

/// The end of a range of time; now unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String)]
pub struct Until(pub Moment);

impl Default for Until {
    fn default() -> Self {
        Self(Moment::Ago(Duration::ZERO))
    }
}

macro_rules! written_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl ToSchema for $name {}
    )*};
}

written_as_text!(Moment, Span);

#[cfg(test)]
mod tests {
    use super::*;

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
            "measures":["bytes","byte_rate"],"by":"dropped_packets","top":5,"bucket":"1m30s","conversation":true}"#;
        let question: Question = serde_json::from_str(text).unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&question).unwrap()).unwrap();
        assert_eq!(question, again);
        assert_eq!(question.bucket, Some(Span(Duration::from_secs(90))));
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
