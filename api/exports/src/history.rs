//! What was asked for, and when: the revisions that the controller keeps where there is an
//! `ExportRollout`; without one, what stands there now and since when. A revision that is returned
//! to gets the highest number and keeps its time: numbers are in the order of use.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use weir_api::rollout::{COMPLETED_ANNOTATION, REVISION_LABEL, RolloutPhase};
use weir_api::{ExportNetworkFlows, ExportProfileSpec, ExportRolloutStatus, Protocol, RevisionData};

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

    /// The order in which revisions were made; of one second that of their numbers.
    fn age(&self) -> (i64, i64) {
        (second(&self.since), self.number)
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
    /// When it was asked for; of a return to an earlier one, when that was written, or where nobody
    /// knows, when the rollout told of it last. RFC 3339.
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

/// The changes that revisions tell of: when each was asked for first, the newest first, and what it
/// changed then.
pub fn changes(kept: &[Kept], status: &ExportRolloutStatus) -> Vec<ExportChange> {
    let mut made: Vec<&Kept> = kept.iter().collect();
    made.sort_by_key(|one| std::cmp::Reverse(one.age()));
    let returned = returned(kept).map(|one| &one.revision);
    made.iter()
        .enumerate()
        .map(|(place, one)| ExportChange {
            time: one.since.clone(),
            completed: one.completed.clone(),
            by: None,
            number: Some(one.number),
            state: match returned == Some(&one.revision) {
                true => "Superseded".to_owned(),
                false => one.state(status),
            },
            asks: one.asks(),
            differences: between(before(one, made.get(place + 1..).unwrap_or_default()), one),
        })
        .collect()
}

/// What was in force before one, out of those that were made earlier, the newest first. That of
/// the number before it; without it, which is so when it was returned to since and has a higher
/// one, the newest.
fn before<'a>(one: &Kept, earlier: &[&'a Kept]) -> Option<&'a Kept> {
    let number = one.number.checked_sub(1);
    let preceding = earlier.iter().find(|other| Some(other.number) == number);
    preceding.or(earlier.first()).copied()
}

fn between(before: Option<&Kept>, after: &Kept) -> Vec<String> {
    before.map_or_else(Vec::new, |before| {
        differences(&comparable(&before.data), &comparable(&after.data))
    })
}

/// The revision that was used last, where it was returned to: others were made after it.
fn returned(kept: &[Kept]) -> Option<&Kept> {
    let last = kept.iter().max_by_key(|one| one.number)?;
    kept.iter().any(|one| one.age() > last.age()).then_some(last)
}

/// The return to an earlier revision. When that was the source tells, or else the rollout, which
/// knows since when it is where it is; where neither does it is not told.
fn returning(
    kept: &[Kept],
    status: &ExportRolloutStatus,
    last: Option<&ExportChange>,
) -> Option<ExportChange> {
    let one = returned(kept)?;
    let newest = kept.iter().map(|one| one.age().0).max()?;
    let written = last.filter(|last| second(&last.time) > newest);
    let is_told = status.revision.as_ref() == Some(&one.revision);
    let since = status.since.as_ref().filter(|_| is_told);
    let since = since.map(|since| since.0.to_string());
    let since = since.filter(|since| second(since) > newest);
    let is_complete = status.completed_revision.as_ref() == Some(&one.revision);
    let preceding = kept.iter().filter(|other| other.number < one.number);
    Some(ExportChange {
        time: written.map(|last| last.time.clone()).or(since.clone())?,
        completed: since.filter(|_| is_complete && status.phase == RolloutPhase::Completed),
        by: written.and_then(|last| last.by.clone()),
        number: Some(one.number),
        state: one.state(status),
        asks: one.asks(),
        differences: between(preceding.max_by_key(|other| other.number), one),
    })
}

/// How much later than its revision a source may say that it was written.
const SAME: i64 = 60;

/// All changes that are known, the newest first: those that revisions tell of, a return to one of
/// them, and the last that the source tells of, where none of them is that.
pub fn all(kept: &[Kept], status: &ExportRolloutStatus, last: Option<ExportChange>) -> Vec<ExportChange> {
    let mut all = changes(kept, status);
    all.extend(returning(kept, status, last.as_ref()));
    all.sort_by_key(|change| std::cmp::Reverse(second(&change.time)));
    let newest = all.first().map(|change| second(&change.time));
    let last = last.filter(|last| newest.is_none_or(|newest| second(&last.time) > newest + SAME));
    last.into_iter().chain(all).collect()
}

/// Seconds since the epoch, so that times can be compared.
fn second(time: &str) -> i64 {
    time.parse::<Timestamp>().map_or(i64::MIN, Timestamp::as_second)
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
        all.insert(format!("profile {name}"), without_defaults(spec));
    }
    if let Some(config) = &data.flows_config {
        all.insert("ovs-flows-config".to_owned(), json!(config));
    }
    Value::Object(all)
}

/// The settings of a profile that are not the default.
fn without_defaults(spec: &ExportProfileSpec) -> Value {
    let (mut spec, standard) = (json!(spec), json!(ExportProfileSpec::default()));
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|name, value| *value != standard[name.as_str()]);
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::Strategy;

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

    /// Of this name, made at this time.
    fn made(number: i64, name: &str, time: &str) -> Value {
        json!({"revision": number, "data": {"flows": {"ipfix": {"collectors": [format!("{name}:1")]}}},
            "metadata": {"labels": {REVISION_LABEL: name}, "creationTimestamp": time}})
    }

    fn told(changes: &[ExportChange]) -> Vec<(&str, &str, String)> {
        changes
            .iter()
            .map(|change| {
                (
                    change.time.as_str(),
                    change.state.as_str(),
                    change.differences.join("; "),
                )
            })
            .collect()
    }

    #[test]
    fn a_return_to_an_earlier_revision_is_a_change_of_its_own_and_no_difference_is_to_what_came_later() {
        let [ten, eleven, noon] = [10, 11, 12].map(|hour| format!("2026-11-30T{hour}:00:00Z"));
        let kept = Kept::all([&made(3, "a", &ten), &made(2, "b", &eleven)]);
        let status = status(
            json!({"phase": "Completed", "revision": "a", "completedRevision": "a",
            "since": "2026-11-30T12:05:00Z"}),
        );
        let last = last_change(None, noon.parse().unwrap(), "kubectl-patch");
        let by_source = all(&kept, &status, Some(last));
        assert_eq!(
            told(&by_source),
            [
                (noon.as_str(), "Completed", "ipfix b:1 → a:1".to_owned()),
                (eleven.as_str(), "-", "ipfix a:1 → b:1".to_owned()),
                (ten.as_str(), "Superseded", String::new()),
            ]
        );
        assert_eq!(by_source[0].by.as_deref(), Some("kubectl-patch"));
        assert_eq!(by_source[0].completed.as_deref(), Some("2026-11-30T12:05:00Z"));
        // What was returned was a profile: the source tells of an earlier change.
        let earlier = last_change(None, eleven.parse().unwrap(), "kubectl-patch");
        let by_rollout = all(&kept, &status, Some(earlier));
        assert_eq!(by_rollout[0].time, "2026-11-30T12:05:00Z");
        assert_eq!((by_rollout.len(), by_rollout[0].by.as_ref()), (3, None));
    }

    #[test]
    fn a_return_within_a_minute_is_told_too() {
        let kept = Kept::all([
            &made(3, "a", "2026-11-30T10:00:00Z"),
            &made(2, "b", "2026-11-30T11:00:00Z"),
        ]);
        let last = last_change(None, "2026-11-30T11:00:20Z".parse().unwrap(), "ann");
        let all = all(&kept, &status(json!({"revision": "a"})), Some(last));
        assert_eq!(all[0].differences, ["ipfix b:1 → a:1"]);
    }

    #[test]
    fn what_follows_a_return_is_compared_with_what_was_returned_to() {
        let kept = Kept::all([
            &made(3, "a", "2026-11-30T10:00:00Z"),
            &made(2, "b", "2026-11-30T11:00:00Z"),
            &made(4, "c", "2026-11-30T13:00:00Z"),
        ]);
        let changes = changes(&kept, &status(json!({"revision": "c"})));
        let differences: Vec<_> = changes.iter().map(|one| one.differences.join("")).collect();
        assert_eq!(differences, ["ipfix a:1 → c:1", "ipfix a:1 → b:1", ""]);
    }

    #[test]
    fn of_a_new_profile_what_is_the_default_is_left_out() {
        let one = of(1, "aa", json!({}));
        let two = of(
            2,
            "bb",
            json!({"profiles": {"p": {"export": "Disabled"}, "q": {}}}),
        );
        let changes = changes(&Kept::all([&one, &two]), &status(json!({})));
        assert_eq!(
            changes[0].differences,
            ["profile p.export nothing → Disabled", "profile q nothing → {}"]
        );
    }

    proptest::proptest! {
        /// However often earlier revisions are returned to.
        #[test]
        fn no_difference_is_to_what_was_made_later(
            order in proptest::prelude::Just((0..6_i64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let objects: Vec<Value> = order
                .iter()
                .enumerate()
                .map(|(hour, number)| made(number + 1, &format!("r{hour}"), &format!("2026-11-30T1{hour}:00:00Z")))
                .collect();
            let changes = changes(&Kept::all(&objects), &status(json!({})));
            for (place, change) in changes.iter().rev().enumerate() {
                let from = change.differences.join("");
                let earlier = (0..place).any(|hour| from.starts_with(&format!("ipfix r{hour}:1 ")));
                proptest::prop_assert!(earlier || (place == 0 && from.is_empty()), "{from}");
            }
        }
    }
}
