//! What `kubectl describe` shows under Events: each turn of a condition, once. Pure.

use weir_api::Condition;
use weir_api::condition::find;

use crate::decide::Decision;
use crate::rollup::{AVAILABLE, DEGRADED, RECEIVED};
use crate::source::FlowSource;

/// Longest note that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Something that a person wants to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub note: String,
    /// The condition's type.
    pub action: String,
}

/// The conditions that turned, or turn up for the first time with something to tell. `lost`:
/// whether records were lost when that was known last, see [`loss`].
pub fn notices(before: &[Condition], after: &[Condition], lost: Option<bool>) -> Vec<Notice> {
    after
        .iter()
        .filter_map(|condition| notice(before, condition, lost))
        .collect()
}

/// Whether conditions say that records are lost; `None`: they do not know.
pub fn loss(conditions: &[Condition]) -> Option<bool> {
    match find(conditions, RECEIVED)?.status.as_str() {
        "False" => Some(true),
        "True" => Some(false),
        _ => None,
    }
}

/// That nodes keep on exporting although the source is gone, where any does.
pub fn holding(source: FlowSource, decision: &Decision) -> Option<Notice> {
    let exporting = decision
        .wanted
        .values()
        .filter(|w| w.spec.exports_anything())
        .count();
    (exporting > 0).then(|| Notice {
        warning: true,
        reason: "SourceMissing".to_owned(),
        note: format!(
            "the {source} is gone, and {exporting} nodes keep what they export until there is one again; make one \
             without exportNetworkFlows to end it"
        ),
        action: "Hold".to_owned(),
    })
}

fn notice(before: &[Condition], condition: &Condition, lost: Option<bool>) -> Option<Notice> {
    let holds = condition.status == "True";
    let known = find(before, &condition.type_);
    let (turned, warning) = match condition.type_.as_str() {
        // What begins as false is no news.
        AVAILABLE | DEGRADED => (
            known.map_or(holds, |known| known.status != condition.status),
            holds && condition.type_ == DEGRADED,
        ),
        // That it is not known for a while neither begins nor ends a loss.
        RECEIVED => match condition.status.as_str() {
            "False" => (lost != Some(true), true),
            "True" => (lost == Some(true), false),
            _ => (false, false),
        },
        // That nodes are on their way is seen in the condition; each change would tell it.
        _ => (false, false),
    };
    turned.then(|| Notice {
        warning,
        reason: condition.reason.clone(),
        note: cut(&condition.message),
        action: condition.type_.clone(),
    })
}

fn cut(message: &str) -> String {
    let mut end = message.len().min(LONGEST_NOTE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;
    use weir_api::condition::Time;

    fn condition(kind: &str, status: &str) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: "Reason".to_owned(),
            message: "ä".repeat(600),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        }
    }

    #[test]
    fn a_condition_that_turns_is_told_once_and_no_longer_than_the_server_takes() {
        let (well, ill) = ([condition(DEGRADED, "False")], [condition(DEGRADED, "True")]);
        assert_eq!(notices(&[], &well, None), []);
        assert_eq!(notices(&ill, &ill, None), []);
        let told = notices(&well, &ill, None);
        assert_eq!(told.len(), 1);
        assert!(told[0].warning && told[0].note.len() <= LONGEST_NOTE);
        assert!(!notices(&ill, &well, None)[0].warning);
    }

    #[test]
    fn a_loss_begins_and_ends_once_whatever_is_not_known_between() {
        let mut lost = None;
        let mut before: Vec<Condition> = Vec::new();
        let mut told = |status: &str| {
            lost = loss(&before).or(lost);
            let after = vec![condition(RECEIVED, status)];
            let notices = notices(&before, &after, lost);
            before = after;
            notices.first().map(|notice| notice.warning)
        };
        for (status, warning) in [
            ("Unknown", None),
            ("True", None),
            ("Unknown", None),
            ("False", Some(true)),
            ("False", None),
            // The collector is away for a while.
            ("Unknown", None),
            ("Unknown", None),
            ("False", None),
            ("Unknown", None),
            ("True", Some(false)),
        ] {
            assert_eq!(told(status), warning, "{status}");
        }
    }

    #[test]
    fn export_that_begins_and_ends_is_told_and_progress_is_not() {
        let kinds = |status| {
            [
                condition(AVAILABLE, status),
                condition(crate::rollup::PROGRESSING, status),
            ]
        };
        assert_eq!(notices(&kinds("False"), &kinds("True"), None).len(), 1);
        assert_eq!(
            notices(&kinds("True"), &kinds("False"), None)[0].action,
            AVAILABLE
        );
    }
}
