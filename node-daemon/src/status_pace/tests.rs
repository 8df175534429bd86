use super::*;

fn second(start: Instant, n: u64) -> Instant {
    start + Duration::from_secs(n)
}

/// When such a difference is due, in seconds from `now`.
fn wait(pace: &StatusPace, difference: Difference, now: Instant) -> f64 {
    let due = pace.due(difference, now).expect("due some time");
    due.duration_since(now).as_secs_f64()
}

#[test]
fn transitions_are_written_after_gaps_that_grow_and_shrink_with_a_new_spec_or_rest() {
    let mut now = Instant::now();
    let mut pace = StatusPace::new(now);
    let mut gaps = Vec::new();
    for _ in 0..8 {
        pace.tried(Difference::Transition, WriteOutcome::Written, now);
        gaps.push(wait(&pace, Difference::Transition, now));
        now = pace.due(Difference::Transition, now).unwrap();
    }
    let bounds = [0.6..1.4, 2.0..4.1, 6.0..12.1, 18.0..36.1, 54.0..108.1];
    for (gap, bounds) in gaps.iter().zip(bounds) {
        assert!(bounds.contains(gap), "{gaps:?}");
    }
    assert!(
        gaps[5..].iter().all(|gap| (60.0..120.1).contains(gap)),
        "{gaps:?}"
    );
    pace.tried(Difference::Transition, WriteOutcome::Written, now);
    assert_eq!(pace.due(Difference::NewSpec, now), Some(now), "somebody waits");
    pace.tried(Difference::NewSpec, WriteOutcome::Written, now);
    assert!(wait(&pace, Difference::Transition, now) < 2.0);
    for _ in 0..8 {
        pace.tried(Difference::Transition, WriteOutcome::Written, now);
    }
    let later = second(now, 180);
    pace.tried(Difference::Transition, WriteOutcome::Written, later);
    assert!(wait(&pace, Difference::Transition, later) < 2.0);
}

#[test]
fn details_wait_for_a_minute_and_nothing_new_for_ever() {
    let start = Instant::now();
    let mut pace = StatusPace::new(start);
    pace.tried(Difference::Transition, WriteOutcome::Written, start);
    assert!((60.0..120.1).contains(&wait(&pace, Difference::Detail, start)));
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
        pauses.push(wait(&pace, Difference::NewSpec, now));
        pace.server_answered();
        assert!(
            wait(&pace, Difference::NewSpec, now) > 1.0,
            "that it answers reads is not enough"
        );
        now = pace.due(Difference::NewSpec, now).unwrap();
    }
    assert!(
        (5.0..15.1).contains(&pauses[0]) && (29.0..90.1).contains(&pauses[1]),
        "{pauses:?}"
    );
    assert!(
        pauses[4..].iter().all(|p| (149.0..450.1).contains(p)),
        "{pauses:?}"
    );
    pace.tried(Difference::NewSpec, WriteOutcome::Written, now);
    assert!(wait(&pace, Difference::Transition, now) < 2.0);
}

#[test]
fn a_busy_server_is_asked_again_within_a_minute_and_not_before_it_says() {
    let now = Instant::now();
    let mut pace = StatusPace::new(now);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pace.tried(Difference::Transition, WriteOutcome::PutOff(None), now);
        pace.server_answered();
        pauses.push(wait(&pace, Difference::Transition, now));
    }
    assert!((5.0..15.1).contains(&pauses[0]), "{pauses:?}");
    assert!(pauses[4..].iter().all(|p| (29.0..90.1).contains(p)), "{pauses:?}");
    let said = |seconds| WriteOutcome::PutOff(Some(Duration::from_secs(seconds)));
    pace.tried(Difference::Transition, said(120), now);
    assert_eq!(wait(&pace, Difference::Transition, now), 120.0);
    pace.tried(Difference::Transition, said(86_400), now);
    assert_eq!(wait(&pace, Difference::Transition, now), 300.0);
    pace.tried(Difference::Transition, WriteOutcome::Refused, now);
    let pause = wait(&pace, Difference::Transition, now);
    assert!((5.0..15.1).contains(&pause), "the first no: {pause}");
}

#[test]
fn a_server_that_is_back_gets_the_status_at_once() {
    let now = Instant::now();
    let mut pace = StatusPace::new(now);
    for _ in 0..20 {
        pace.tried(Difference::Transition, WriteOutcome::Unreachable, now);
    }
    assert!((29.0..90.1).contains(&wait(&pace, Difference::Transition, now)));
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

#[test]
fn another_factor_of_the_governor_is_written_at_once_whatever_was_written_before() {
    use weir_api::condition::{ConditionStatus, Finding, conclude};
    let time = serde_json::from_str("\"2026-01-01T00:00:00Z\"").unwrap();
    let status = |status, message: &str| NodeFlowExportStatus {
        conditions: conclude(
            &[Finding {
                kind: THROTTLED,
                status,
                reason: "LostOverBudget",
                message: message.to_owned(),
            }],
            &[],
            Some(1),
            &time,
        ),
        ..Default::default()
    };
    let (asked, eight, more) = (
        status(ConditionStatus::False, "over"),
        status(ConditionStatus::True, "8 times"),
        status(ConditionStatus::True, "64 times"),
    );
    for (before, after) in [(&asked, &eight), (&eight, &more), (&more, &asked)] {
        assert_eq!(difference(Some(before), after), Difference::Throttle);
    }
    let now = Instant::now();
    let mut pace = StatusPace::new(now);
    for _ in 0..8 {
        pace.tried(Difference::Transition, WriteOutcome::Written, now);
    }
    assert!(wait(&pace, Difference::Transition, now) > 50.0);
    assert_eq!(pace.due(Difference::Throttle, now), Some(now));
}

#[test]
fn a_figure_that_becomes_known_is_written_at_once_and_one_that_changes_is_not() {
    let with = |millicores| NodeFlowExportStatus {
        cost: Some(weir_api::export::ExportCost {
            vswitchd_millicores: millicores,
            ..Default::default()
        }),
        ..Default::default()
    };
    let none = NodeFlowExportStatus::default();
    assert_eq!(difference(Some(&none), &with(None)), Difference::Transition);
    assert_eq!(
        difference(Some(&with(None)), &with(Some(4))),
        Difference::Transition
    );
    assert_eq!(
        difference(Some(&with(Some(4))), &with(Some(9))),
        Difference::Detail
    );
    assert_eq!(difference(Some(&with(Some(9))), &none), Difference::Transition);
}
