//! The revisions that are kept.

use anyhow::Result;
use kube::Client;
use serde::Serialize;
use serde_json::Value;
use weir_api::rollout::{COMPLETED_ANNOTATION, REVISION_LABEL};
use weir_api::{ExportRolloutStatus, Protocol, RevisionData};

use crate::dynamic::{self, Kind};
use crate::table::{Head, Table};
use crate::zone::TimeStyle;

const REVISIONS: Kind = Kind {
    api_version: "apps/v1",
    kind: "ControllerRevision",
};
/// Where the controller keeps them.
const NAMESPACE: &str = "weir-system";

/// A revision that is kept.
#[derive(Debug, Clone, Serialize)]
pub struct Kept {
    /// The highest was used last.
    pub number: i64,
    /// Its hash.
    pub revision: String,
    /// When it was asked for first, RFC 3339.
    pub since: String,
    /// When all nodes had it first, RFC 3339; none: they never had.
    pub completed: Option<String>,
    /// What it asked for.
    pub data: RevisionData,
}

/// All that are kept, the last used first.
///
/// # Errors
/// They cannot be read.
pub async fn kept(client: &Client) -> Result<Vec<Kept>> {
    let objects = dynamic::list(client, REVISIONS, Some(NAMESPACE)).await?;
    let mut kept: Vec<Kept> = objects.iter().filter_map(read).collect();
    kept.sort_by_key(|kept| std::cmp::Reverse(kept.number));
    Ok(kept)
}

/// Others keep revisions of their own there.
fn read(object: &Value) -> Option<Kept> {
    Some(Kept {
        number: object["revision"].as_i64()?,
        revision: object["metadata"]["labels"][REVISION_LABEL].as_str()?.to_owned(),
        since: object["metadata"]["creationTimestamp"].as_str()?.to_owned(),
        completed: object["metadata"]["annotations"][COMPLETED_ANNOTATION]
            .as_str()
            .map(str::to_owned),
        data: serde_json::from_value(object["data"].clone()).ok()?,
    })
}

/// A row a revision.
pub fn table(kept: &[Kept], status: &ExportRolloutStatus, times: &TimeStyle) -> Table {
    let mut table = Table::new(vec![
        Head::text("NUMBER"),
        Head::text("REVISION"),
        Head::text(times.head("SINCE")),
        Head::text("STATE"),
        Head::text("ASKS FOR").weighing(1),
    ]);
    for kept in kept {
        table.push(vec![
            kept.number.to_string(),
            kept.revision.clone(),
            times.show(&kept.since),
            state(kept, status),
            asks(&kept.data),
        ]);
    }
    table
}

fn state(kept: &Kept, status: &ExportRolloutStatus) -> String {
    let is = |revision: Option<&String>| revision == Some(&kept.revision);
    let aborted = is(status.abort.as_ref().map(|abort| &abort.revision));
    match (
        is(status.completed_revision.as_ref()),
        is(status.revision.as_ref()),
    ) {
        _ if aborted => "Aborted".to_owned(),
        (true, _) => "Completed".to_owned(),
        (false, true) => format!("{:?}", status.phase),
        (false, false) if kept.completed.is_some() => "Superseded".to_owned(),
        (false, false) => "-".to_owned(),
    }
}

/// The collectors and the profiles, in a line.
pub fn asks(data: &RevisionData) -> String {
    let flows = data.flows.clone().unwrap_or_default();
    let collectors = Protocol::ALL.into_iter().filter_map(|protocol| {
        let entries = flows.entries(protocol);
        let entries: Vec<&str> = entries.iter().map(|entry| entry.0.as_str()).collect();
        (!entries.is_empty()).then(|| format!("{} to {}", protocol.field(), entries.join(", ")))
    });
    let mut parts: Vec<String> = collectors.collect();
    if parts.is_empty() {
        parts.push("no export".to_owned());
    }
    if !data.profiles.is_empty() {
        let names: Vec<&str> = data.profiles.keys().map(String::as_str).collect();
        parts.push(format!("profiles {}", names.join(", ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{Timestamp, tz::TimeZone};
    use serde_json::json;

    #[test]
    fn each_revision_says_what_it_asked_for_and_where_it_is() {
        let of = |number: i64, hash: &str, data: Value| {
            json!({"revision": number, "data": data, "metadata": {"labels": {REVISION_LABEL: hash},
                "creationTimestamp": "2026-11-30T01:02:03Z"}})
        };
        let one = of(
            1,
            "aa",
            json!({"flows": {"ipfix": {"collectors": ["a:1", "b:2"]}}, "profiles": {"p": {}}}),
        );
        let two = of(2, "bb", json!({}));
        let others = json!({"revision": 7, "metadata": {"labels": {}}});
        let kept: Vec<Kept> = [&two, &one, &others].into_iter().filter_map(read).collect();
        let status: ExportRolloutStatus =
            serde_json::from_value(json!({"phase": "Soaking", "revision": "bb", "completedRevision": "aa"}))
                .unwrap();
        let times = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, None);
        let lines = table(&kept, &status, &times).lines(None);
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].contains("Soaking") && lines[1].contains("no export"),
            "{lines:?}"
        );
        assert!(
            lines[2].contains("Completed") && lines[2].contains("ipfix to a:1, b:2; profiles p"),
            "{lines:?}"
        );
    }
}
