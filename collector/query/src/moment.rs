//! Points in time and lengths of time, as questions write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::span;

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

/// Written and read as text.
macro_rules! written_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

/// Texts, for documents.
macro_rules! text_in_documents {
    ($($name:ident),*) => {$(
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}

pub(crate) use {text_in_documents, written_as_text};

written_as_text!(Moment, Span);
text_in_documents!(Moment, Span);

#[cfg(test)]
pub(crate) mod tests {
    use utoipa::PartialSchema;

    /// The pattern of a text in documents.
    pub(crate) fn pattern<T: PartialSchema>() -> String {
        let schema = serde_json::to_value(T::schema()).unwrap();
        schema["pattern"].as_str().unwrap().to_owned()
    }
}
