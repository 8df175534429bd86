use super::*;

fn second(start: Instant, n: u64) -> Instant {
    start + Duration::from_secs(n)
}

/// When such a difference is due, in seconds from `now`.
fn wait(pace: &mut StatusPace, difference: Difference, now: Instant) -> u64 {
    let due = pace.due(difference, now).expect("due some time");
    due.duration_since(now).as_secs()
}

#[test]
fn transitions_are_written_at_once_until_they_are_too_many() {
    let start = Instant::now();
    let mut pace = StatusPace::new(start);
    for _ in 0..BURST {
        assert_eq!(pace.due(Difference::Transition, start), Some(start));
        pace.tried(Difference::Transition, WriteOutcome::Written, start);
    }
    let later = wait(&mut pace, Difference::Transition, start);
    assert!((59..=120).contains(&later), "{later}");
    assert_eq!(
        pace.due(Difference::NewSpec, start),
        Some(start),
        "somebody waits"
    );
    pace.tried(Difference::NewSpec, WriteOutcome::Written, start);
    assert_eq!(pace.due(Difference::Transition, start), Some(start));
}

#[test]
fn details_wait_for_a_minute_and_nothing_new_for_ever() {
    let start = Instant::now();
    let mut pace = StatusPace::new(start);
    pace.tried(Difference::Transition, WriteOutcome::Written, start);
    let later = wait(&mut pace, Difference::Detail, start);
    assert!((59..=120).contains(&later), "{later}");
    assert_eq!(pace.due(Difference::None, start), None);
    assert_eq!(
        pace.due(Difference::Detail, second(start, 121)),
        Some(second(start, 121))
    );
}

#[test]
fn a_server_that_refuses_is_left_alone_for_minutes_whatever_happens() {
    let mut now = Instant::now();
    let mut pace = StatusPace::new(now);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pace.tried(Difference::NewSpec, WriteOutcome::Refused, now);
        pauses.push(wait(&mut pace, Difference::NewSpec, now));
        pace.server_answered();
        assert!(
            wait(&mut pace, Difference::NewSpec, now) > 0,
            "that it answers reads is not enough"
        );
        now = pace.due(Difference::NewSpec, now).unwrap();
    }
    assert!((29..=90).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[4..].iter().all(|p| (149..=450).contains(p)), "{pauses:?}");
    pace.tried(Difference::NewSpec, WriteOutcome::Written, now);
    assert_eq!(pace.due(Difference::Transition, now), Some(now));
}

#[test]
fn a_server_that_is_back_gets_the_status_at_once() {
    let now = Instant::now();
    let mut pace = StatusPace::new(now);
    for _ in 0..20 {
        pace.tried(Difference::Transition, WriteOutcome::Unreachable, now);
    }
    assert!((29..=90).contains(&wait(&mut pace, Difference::Transition, now)));
    pace.server_answered();
    assert_eq!(pace.due(Difference::Transition, now), Some(now));
}

#[test]
fn other_words_and_numbers_are_details_and_other_states_are_transitions() {
    use weir_api::condition::{ConditionStatus, Finding, conclude};
    let time = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
    let status = |reason, message: &str, healed| {
        let finding = Finding {
            kind: "Applied",
            status: ConditionStatus::False,
            reason,
            message: message.to_owned(),
        };
        NodeFlowExportStatus {
            observed_generation: Some(1),
            drift_healed: healed,
            conditions: conclude(&[finding], &[], Some(1), &time),
            ..Default::default()
        }
    };
    let first = status("Pending", "a", 0);
    assert_eq!(difference(None, &first), Difference::NewSpec);
    assert_eq!(difference(Some(&first), &first), Difference::None);
    assert_eq!(
        difference(Some(&first), &status("Pending", "b", 0)),
        Difference::Detail
    );
    assert_eq!(
        difference(Some(&first), &status("Pending", "a", 9)),
        Difference::Detail
    );
    assert_eq!(
        difference(Some(&first), &status("ForeignRow", "a", 0)),
        Difference::Transition
    );
    let mut next = first.clone();
    next.observed_generation = Some(2);
    assert_eq!(difference(Some(&first), &next), Difference::NewSpec);
}
