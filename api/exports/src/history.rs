//! What was asked for, and when: the revisions that the controller keeps where there is an
//! `ExportRollout`; without one, what stands there now and since when.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_api::rollout::{COMPLETED_ANNOTATION, REVISION_LABEL};
use weir_api::{ExportNetworkFlows, ExportRolloutStatus, Protocol, RevisionData};

use crate::difference::differences;

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

impl Kept {
    /// Those among `ControllerRevision`s that are the controller's, the last used first. Others
    /// keep revisions of their own in its namespace.
    pub fn all<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Vec<Self> {
        let mut kept: Vec<Self> = objects.into_iter().filter_map(Self::read).collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.number));
        kept
    }

    fn read(object: &Value) -> Option<Self> {
        let metadata = &object["metadata"];
        Some(Self {
            number: object["revision"].as_i64()?,
            revision: metadata["labels"][REVISION_LABEL].as_str()?.to_owned(),
            since: metadata["creationTimestamp"].as_str()?.to_owned(),
            completed: metadata["annotations"][COMPLETED_ANNOTATION]
                .as_str()
                .map(str::to_owned),
            data: serde_json::from_value(object["data"].clone()).ok()?,
        })
    }

    /// Where it is, in a word.
    pub fn state(&self, status: &ExportRolloutStatus) -> String {
        let is = |revision: Option<&String>| revision == Some(&self.revision);
        let aborted = is(status.abort.as_ref().map(|abort| &abort.revision));
        match (
            is(status.completed_revision.as_ref()),
            is(status.revision.as_ref()),
        ) {
            _ if aborted => "Aborted".to_owned(),
            (true, _) => "Completed".to_owned(),
            (false, true) => format!("{:?}", status.phase),
            (false, false) if self.completed.is_some() => "Superseded".to_owned(),
            (false, false) => "-".to_owned(),
        }
    }

    /// The collectors and the profiles, in a line.
    pub fn asks(&self) -> String {
        let mut parts = vec![collectors(self.data.flows.as_ref())];
        if !self.data.profiles.is_empty() {
            let names: Vec<&str> = self.data.profiles.keys().map(String::as_str).collect();
            parts.push(format!("profiles {}", names.join(", ")));
        }
        parts.join("; ")
    }
}

/// What goes where, in a line.
pub fn collectors(flows: Option<&ExportNetworkFlows>) -> String {
    let of_each = Protocol::ALL.into_iter().filter_map(|protocol| {
        let entries = flows.map(|flows| flows.entries(protocol)).unwrap_or_default();
        let entries: Vec<&str> = entries.iter().map(|entry| entry.0.as_str()).collect();
        (!entries.is_empty()).then(|| format!("{} to {}", protocol.field(), entries.join(", ")))
    });
    let parts: Vec<String> = of_each.collect();
    match parts.is_empty() {
        true => "no export".to_owned(),
        false => parts.join("; "),
    }
}

/// A change of what is exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportChange {
    /// When it was asked for; of one that was asked for again, the first time. RFC 3339.
    #[schema(format = DateTime)]
    pub time: String,
    /// When all nodes had it; left out while they have not, or where nobody keeps that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub completed: Option<String>,
    /// Who wrote it (a field manager), where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<String>,
    /// Number of the revision, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub number: Option<i64>,
    /// Where it is: `Completed`, `Soaking`, `Aborted`, `Superseded` …; empty: nobody says.
    pub state: String,
    /// What it asked for.
    pub asks: String,
    /// What is different from the one before; empty where none before is known.
    pub differences: Vec<String>,
}

/// The changes that revisions tell of, the last used first.
pub fn changes(kept: &[Kept], status: &ExportRolloutStatus) -> Vec<ExportChange> {
    let before = kept.iter().skip(1).map(Some).chain([None]);
    kept.iter()
        .zip(before)
        .map(|(one, before)| ExportChange {
            time: one.since.clone(),
            completed: one.completed.clone(),
            by: None,
            number: Some(one.number),
            state: one.state(status),
            asks: one.asks(),
            differences: before.map_or_else(Vec::new, |before| {
                differences(&comparable(&before.data), &comparable(&one.data))
            }),
        })
        .collect()
}

/// How much later than its revision a source may say that it was written.
const SAME: i64 = 60;

/// All changes that are known, the newest first: those that revisions tell of, and the last that
/// the source tells of, where none of them is that.
pub fn all(kept: &[Kept], status: &ExportRolloutStatus, last: Option<ExportChange>) -> Vec<ExportChange> {
    let mut all = changes(kept, status);
    let second = |change: &ExportChange| {
        change
            .time
            .parse::<Timestamp>()
            .map_or(i64::MIN, Timestamp::as_second)
    };
    let newest = all.iter().map(second).max();
    // What returns to an earlier revision is told by the source alone.
    let last = last.filter(|last| newest.is_none_or(|newest| second(last) > newest + SAME));
    all.sort_by_key(|change| std::cmp::Reverse(second(change)));
    last.into_iter().chain(all).collect()
}

/// The last change that the source itself tells of.
pub fn last_change(flows: Option<&ExportNetworkFlows>, time: Timestamp, by: &str) -> ExportChange {
    ExportChange {
        time: time.to_string(),
        completed: None,
        by: Some(by.to_owned()),
        number: None,
        state: String::new(),
        asks: collectors(flows),
        differences: Vec::new(),
    }
}

/// What people asked for, without what was made of it; a profile's defaults are left out.
fn comparable(data: &RevisionData) -> Value {
    let lists = Protocol::ALL.map(|protocol| {
        let entries = data
            .flows
            .as_ref()
            .map(|flows| flows.entries(protocol))
            .unwrap_or_default();
        (protocol.field().to_owned(), json!(entries))
    });
    let mut all: serde_json::Map<String, Value> = lists.into_iter().collect();
    for (name, spec) in &data.profiles {
        all.insert(format!("profile {name}"), json!(spec));
    }
    if let Some(config) = &data.flows_config {
        all.insert("ovs-flows-config".to_owned(), json!(config));
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i64, hash: &str, data: Value) -> Value {
        json!({"revision": number, "data": data, "metadata": {"labels": {REVISION_LABEL: hash},
            "creationTimestamp": format!("2026-11-30T01:02:0{number}Z")}})
    }

    fn status(value: Value) -> ExportRolloutStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_revision_says_what_it_asked_for_and_where_it_is() {
        let one = of(
            1,
            "aa",
            json!({"flows": {"ipfix": {"collectors": ["a:1", "b:2"]}}, "profiles": {"p": {}}}),
        );
        let two = of(2, "bb", json!({}));
        let others = json!({"revision": 7, "metadata": {"labels": {}}});
        let kept = Kept::all([&one, &two, &others]);
        let status = status(json!({"phase": "Soaking", "revision": "bb", "completedRevision": "aa"}));
        let told: Vec<(i64, String, String)> = kept
            .iter()
            .map(|kept| (kept.number, kept.state(&status), kept.asks()))
            .collect();
        assert_eq!(
            told,
            [
                (2, "Soaking".to_owned(), "no export".to_owned()),
                (
                    1,
                    "Completed".to_owned(),
                    "ipfix to a:1, b:2; profiles p".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_source_tells_of_a_change_that_no_revision_tells_of() {
        let kept = Kept::all([&of(1, "aa", json!({}))]);
        let status = status(json!({"revision": "aa"}));
        let told = |time: &str| {
            let last = last_change(None, time.parse().unwrap(), "kubectl-patch");
            let all = all(&kept, &status, Some(last));
            all.into_iter().map(|change| change.by).collect::<Vec<_>>()
        };
        assert_eq!(told("2026-11-30T01:02:01Z"), [None]);
        assert_eq!(
            told("2026-11-30T01:09:00Z"),
            [Some("kubectl-patch".to_owned()), None]
        );
        let alone = last_change(None, "2026-11-30T01:02:01Z".parse().unwrap(), "ann");
        assert_eq!(super::all(&[], &status, Some(alone)).len(), 1);
    }

    #[test]
    fn a_change_says_what_is_different_from_the_revision_before_it() {
        let flows = json!({"ipfix": {"collectors": ["a:1"]}});
        let one = of(
            1,
            "aa",
            json!({"flows": flows, "profiles": {"p": {"ipfix": {"sampling": 400}}}}),
        );
        let mut two = of(
            2,
            "bb",
            json!({"flows": {"ipfix": {"collectors": ["a:1", "b:2"]}},
            "profiles": {"p": {"ipfix": {"sampling": 100}}}, "told": {"": {"bridges": []}}}),
        );
        two["metadata"]["annotations"] = json!({COMPLETED_ANNOTATION: "2026-11-30T02:00:00Z"});
        let kept = Kept::all([&one, &two]);
        let changes = changes(
            &kept,
            &status(json!({"completedRevision": "bb", "revision": "bb"})),
        );
        assert_eq!(
            changes[0].differences,
            ["ipfix a:1 → a:1, b:2", "profile p.ipfix.sampling 400 → 100"]
        );
        assert_eq!(changes[0].completed.as_deref(), Some("2026-11-30T02:00:00Z"));
        assert!(
            changes[1].differences.is_empty() && changes[1].state == "-",
            "{changes:?}"
        );
    }
}
