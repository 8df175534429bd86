//! When nodes may be given a change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time of day on some days.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    { "rule": "self.from != self.to", "message": "a window from one time to the same never opens" },
    {
        "rule": "self.timeZone != 'Local' && timestamp('2026-06-01T00:00:00Z').getFullYear(self.timeZone) == 2026",
        "message": "timeZone is a name of the IANA database such as Europe/Berlin, or UTC",
    },
]))]
pub struct Window {
    /// The days on which it begins; empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Day>,
    /// When it begins, such as `22:00`.
    #[serde(default = "midnight")]
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// When it ends, up to `24:00`; before `from`: on the next day.
    #[serde(default = "end_of_day")]
    #[schemars(regex(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub to: String,
    /// A name of the IANA database such as `Europe/Berlin`, or `UTC`.
    #[serde(default = "utc")]
    #[schemars(length(max = 64), regex(pattern = "^[A-Za-z][A-Za-z0-9_+/-]*$"))]
    pub time_zone: String,
}

fn midnight() -> String {
    "00:00".to_owned()
}

fn end_of_day() -> String {
    "24:00".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A day of the week.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}
