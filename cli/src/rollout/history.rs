//! The revisions that are kept.

use anyhow::Result;
use kube::Client;
use weir_api::ExportRolloutStatus;
use weir_exports::Kept;

use crate::dynamic::{self, Kind};
use crate::table::{Head, Table};
use crate::zone::TimeStyle;

const REVISIONS: Kind = Kind {
    api_version: "apps/v1",
    kind: "ControllerRevision",
};
/// All that are kept, the last used first.
///
/// # Errors
/// They cannot be read.
pub async fn kept(client: &Client) -> Result<Vec<Kept>> {
    let objects = dynamic::list(client, REVISIONS, Some(weir_exports::NAMESPACE)).await?;
    Ok(Kept::all(&objects))
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
            kept.state(status),
            kept.asks(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{Timestamp, tz::TimeZone};
    use serde_json::json;
    use weir_api::rollout::REVISION_LABEL;

    #[test]
    fn a_row_has_when_a_revision_was_asked_for_and_where_it_is() {
        let object = json!({"revision": 2, "data": {}, "metadata": {"labels": {REVISION_LABEL: "bb"},
            "creationTimestamp": "2026-11-30T01:02:03Z"}});
        let status: ExportRolloutStatus =
            serde_json::from_value(json!({"phase": "Soaking", "revision": "bb"})).unwrap();
        let times = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, None);
        let lines = table(&Kept::all([&object]), &status, &times).lines(None);
        assert!(
            lines[1].contains("Soaking") && lines[1].contains("no export") && lines[1].contains("01:02:03"),
            "{lines:?}"
        );
    }
}
