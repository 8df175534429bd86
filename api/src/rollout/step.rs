//! How many nodes, and for how long they are watched.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Most that the API takes of any count.
pub const MOST: u32 = i32::MAX.unsigned_abs();

/// How many nodes of some.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(untagged)]
pub enum NodeCount {
    /// So many.
    Nodes(u32),
    /// A part of them, such as `10%`, rounded down and never below one.
    Part(String),
}

impl NodeCount {
    /// How many of `total` nodes that are, at least one. What cannot be read is one node.
    pub fn size(&self, total: usize) -> usize {
        let size = match self {
            Self::Nodes(nodes) => usize::try_from(*nodes).unwrap_or(usize::MAX),
            Self::Part(part) => {
                let percent = part
                    .strip_suffix('%')
                    .and_then(|number| number.parse::<usize>().ok());
                total.saturating_mul(percent.unwrap_or(0).min(100)) / 100
            }
        };
        size.max(1)
    }
}

impl JsonSchema for NodeCount {
    fn schema_name() -> Cow<'static, str> {
        "NodeCount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 8,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? self >= 1 && self <= 2147483647 : self.matches('^([1-9]|[1-9][0-9]|100)%$')",
                "message": "it is a number of nodes from 1 to 2147483647, or a part of them from \"1%\" to \"100%\"",
            }],
        })
    }
}

/// A time in hours, minutes and seconds, such as `1h30m`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Soak(pub String);

impl Default for Soak {
    fn default() -> Self {
        Self("10m".to_owned())
    }
}

/// Longest soak: a week.
const LONGEST_SOAK: Duration = Duration::from_secs(7 * 24 * 3600);

impl Soak {
    /// The time; what cannot be read is the default, ten minutes.
    pub fn time(&self) -> Duration {
        parse_time(&self.0)
            .unwrap_or(Duration::from_secs(600))
            .min(LONGEST_SOAK)
    }
}

fn parse_time(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let unit = match rest.get(digits..=digits)? {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(digits + 1..)?;
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

impl JsonSchema for Soak {
    fn schema_name() -> Cow<'static, str> {
        "Soak".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]{1,6}[hms])+$') && duration(self) <= duration('168h')",
                "message": "a soak is a time such as 90s, 10m or 1h30m, a week at most",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_rounded_down_and_never_to_none() {
        let part = |text: &str, total| NodeCount::Part(text.to_owned()).size(total);
        assert_eq!([1, 3, 15, 100].map(|total| part("10%", total)), [1, 1, 1, 10]);
        assert_eq!([1, 3, 15].map(|total| part("100%", total)), [1, 3, 15]);
        assert_eq!([1, 3].map(|total| part("50%", total)), [1, 1]);
        assert_eq!(part("nonsense", 100), 1);
        assert_eq!(NodeCount::Nodes(0).size(5), 1);
    }

    #[test]
    fn times_have_hours_minutes_and_seconds() {
        let time = |text: &str| parse_time(text).map(|time| time.as_secs());
        assert_eq!(time("1h30m5s"), Some(5405));
        assert_eq!(time("0s"), Some(0));
        for bad in ["", "5", "m", "5d", "1.5h", "99999999999999999999h"] {
            assert_eq!(time(bad), None, "{bad}");
        }
        assert_eq!(Soak("999999h".to_owned()).time(), LONGEST_SOAK);
    }
}
