use super::*;
use crate::fixture::start;

const LIMIT: Duration = Duration::from_secs(120);

/// So many seconds after the moment at which tests begin.
fn at(seconds: i64) -> Timestamp {
    start() + k8s_openapi::jiff::SignedDuration::from_secs(seconds)
}

fn format(protocol: Protocol, last: Option<i64>) -> ReceivedFormat {
    ReceivedFormat {
        protocol,
        last: last.map(at),
        sequenced: 0,
        lost: 0,
    }
}

/// What a collector says at that second that listens since then, of node `a`.
fn answer(time: i64, since: i64, formats: Vec<ReceivedFormat>, unproven: Option<i64>) -> Answer {
    let node = NodeAnswer {
        node: "a".to_owned(),
        formats,
        unproven: unproven.map(at),
    };
    Answer {
        time: at(time),
        since: at(since),
        nodes: vec![node],
    }
}

fn certain() -> Vec<ExpectedFormat> {
    vec![ExpectedFormat {
        protocol: Protocol::SFlow,
        certain_within: Some(LIMIT),
    }]
}

fn uncertain() -> Vec<ExpectedFormat> {
    vec![ExpectedFormat {
        protocol: Protocol::NetFlow,
        certain_within: None,
    }]
}

fn heard(answers: Vec<(i64, Answer)>) -> Receptions {
    let mut receptions = Receptions::default();
    for (now, answer) in answers {
        receptions.answered(answer, |node| node == "a", at(now));
    }
    receptions
}

fn spec(written: i64) -> SpecInForce {
    SpecInForce {
        generation: Some(1),
        written: at(written),
    }
}

/// What follows for a node whose spec is in force since that second, when the collector
/// answers once, at second 0.
fn once(said: Answer, expected: &[ExpectedFormat], in_force: i64) -> Verdict {
    heard(vec![(0, said)])
        .verdict("a", expected, spec(in_force))
        .unwrap()
}

#[test]
fn what_a_node_sends_is_received_missing_silent_or_on_its_way() {
    let (sflow, netflow) = (
        |last| vec![format(Protocol::SFlow, last)],
        |last| vec![format(Protocol::NetFlow, last)],
    );
    let received = Verdict::Received(LossClass::Little);
    let missing = Verdict::Missing(Silence::Minutes);
    let old = -100_000;
    for (what, said, expected, in_force, verdict) in [
        (
            "it came",
            answer(0, old, sflow(Some(-10)), None),
            certain(),
            old,
            received,
        ),
        (
            "it came of an earlier spec",
            answer(0, old, sflow(Some(-50)), None),
            certain(),
            -10,
            Verdict::Waiting,
        ),
        (
            "it must have come",
            answer(0, old, sflow(Some(-200)), None),
            certain(),
            old,
            missing,
        ),
        (
            "it never came",
            answer(0, -130, sflow(None), None),
            certain(),
            old,
            missing,
        ),
        (
            "it was just asked for",
            answer(0, old, sflow(None), None),
            certain(),
            -100,
            Verdict::Waiting,
        ),
        (
            "the collector has just started",
            answer(0, -100, sflow(None), None),
            certain(),
            old,
            Verdict::Waiting,
        ),
        (
            "long ago, and may be silent",
            answer(0, old, netflow(Some(-3_000)), None),
            uncertain(),
            old,
            received,
        ),
        (
            "longer ago than proves anything",
            answer(0, old, netflow(Some(-2 * 86_400)), None),
            uncertain(),
            3 * -86_400,
            Verdict::Silent(Silence::Days),
        ),
        (
            "it may be silent",
            answer(0, old, netflow(None), None),
            uncertain(),
            old,
            Verdict::Silent(Silence::Days),
        ),
        (
            "another format came",
            answer(0, old, sflow(Some(0)), None),
            uncertain(),
            old,
            Verdict::Silent(Silence::Days),
        ),
    ] {
        assert_eq!(once(said, &expected, in_force), verdict, "{what}");
    }
    let two = [certain(), uncertain()].concat();
    let both = vec![format(Protocol::SFlow, None), format(Protocol::NetFlow, Some(-1))];
    assert_eq!(
        once(answer(0, old, both, None), &two, old),
        Verdict::Missing(Silence::Days)
    );
}

#[test]
fn a_node_of_which_nothing_is_said_is_as_silent_as_one_of_which_nothing_came() {
    let receptions = heard(vec![(0, answer(0, -4_000, vec![], None))]);
    let verdict = |expected: &[_]| receptions.verdict("b", expected, spec(-90_000));
    assert_eq!(verdict(&uncertain()), Some(Verdict::Silent(Silence::Hours)));
    assert_eq!(verdict(&certain()), Some(Verdict::Missing(Silence::Hours)));
    assert_eq!(Receptions::default().verdict("a", &certain(), spec(0)), None);
}

#[test]
fn a_collector_that_starts_anew_makes_nobody_silent_who_was_heard() {
    let sflow = |last| vec![format(Protocol::SFlow, last)];
    let before = (0, answer(0, -5_000, sflow(Some(-10)), None));
    let anew = |time| answer(time, 20, vec![], None);
    let at_once = heard(vec![before.clone(), (30, anew(30))]);
    let in_force = spec(-5_000);
    assert_eq!(
        at_once.verdict("a", &certain(), in_force),
        Some(Verdict::Received(LossClass::Little))
    );
    let later = heard(vec![before, (30, anew(30)), (200, anew(200))]);
    let verdict = later.verdict("a", &certain(), in_force);
    assert_eq!(verdict, Some(Verdict::Missing(Silence::Minutes)));
}

#[test]
fn a_collector_that_takes_over_with_another_clock_makes_nobody_silent_who_was_heard() {
    let sflow = |last| vec![format(Protocol::SFlow, last)];
    for ahead in [-3_600, -1, 0, 3_600] {
        let mut receptions = heard(vec![(0, answer(0, -5_000, sflow(Some(-10)), None))]);
        // It has heard nothing yet: 40 s, then 200 s after the datagram.
        let mut verdict = |time: i64| {
            let said = answer(ahead + time, ahead + 20, vec![], None);
            receptions.answered(said, |_| true, at(time));
            receptions.verdict("a", &certain(), spec(-5_000)).unwrap()
        };
        assert_eq!(verdict(30), Verdict::Received(LossClass::Little), "{ahead}");
        assert_eq!(verdict(190), Verdict::Missing(Silence::Minutes), "{ahead}");
    }
}

#[test]
fn one_answer_that_fails_is_chance_and_two_are_not() {
    let mut receptions = Receptions::default();
    assert_eq!(receptions.unknown(), Some(""));
    receptions.failed("it is away".to_owned());
    assert_eq!(receptions.unknown(), Some("it is away"), "nothing is known yet");
    receptions.answered(answer(0, 0, vec![], None), |_| true, at(0));
    assert_eq!(receptions.unknown(), None);
    receptions.failed("it is away".to_owned());
    assert_eq!(receptions.unknown(), None);
    receptions.failed("it is away".to_owned());
    assert_eq!(receptions.unknown(), Some("it is away"));
    receptions.answered(answer(1, 0, vec![], None), |_| true, at(1));
    assert_eq!(receptions.unknown(), None);
}

#[test]
fn a_collector_that_lies_about_times_and_nodes_is_believed_no_longer_than_it_does() {
    let sflow = |last| vec![format(Protocol::SFlow, last)];
    let far = 10_000_000;
    let mut liar = answer(0, far, sflow(Some(far)), Some(far));
    liar.nodes.push(NodeAnswer {
        node: "nobody's".to_owned(),
        ..liar.nodes[0].clone()
    });
    let mut receptions = heard(vec![(0, liar)]);
    assert_eq!(receptions.nodes.len(), 1);
    let honest = |time| answer(time, -5_000, sflow(Some(-300)), None);
    receptions.answered(honest(200), |_| true, at(200));
    assert!(
        receptions.elsewhere().contains("a"),
        "it was then, by the collector's word"
    );
    receptions.answered(honest(800), |_| true, at(800));
    assert!(receptions.elsewhere().is_empty());
    let verdict = receptions.verdict("a", &certain(), spec(-5_000));
    assert_eq!(verdict, Some(Verdict::Missing(Silence::Minutes)));
    // One whose clock was far ahead, and is not any longer.
    receptions.answered(answer(far, 0, sflow(Some(far)), None), |_| true, at(900));
    receptions.answered(honest(1_000), |_| true, at(1_000));
    let verdict = receptions.verdict("a", &certain(), spec(-5_000));
    assert_eq!(
        verdict,
        Some(Verdict::Received(LossClass::Little)),
        "it came at 900, by its word"
    );
    receptions.answered(honest(1_100), |_| true, at(1_100));
    let verdict = receptions.verdict("a", &certain(), spec(-5_000));
    assert_eq!(verdict, Some(Verdict::Missing(Silence::Minutes)));
    for extreme in [Timestamp::MIN, Timestamp::MAX] {
        let mut said = answer(0, 0, sflow(Some(0)), None);
        (said.time, said.since) = (extreme, extreme);
        receptions.answered(said, |_| true, at(0));
        let spec = SpecInForce {
            generation: None,
            written: extreme,
        };
        receptions.verdict("a", &certain(), spec);
    }
}

#[test]
fn losses_are_told_in_classes_over_some_minutes() {
    let counters = |sequenced, lost| ReceivedFormat {
        sequenced,
        lost,
        ..format(Protocol::NetFlow, Some(0))
    };
    let mut receptions = Receptions::default();
    let mut class = |time: i64, sequenced, lost| {
        let said = answer(time, -5_000, vec![counters(sequenced, lost)], None);
        receptions.answered(said, |_| true, at(time));
        match receptions.verdict("a", &uncertain(), spec(-5_000)) {
            Some(Verdict::Received(class)) => class,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(class(0, 1_000_000, 900_000), LossClass::Little, "of before");
    assert_eq!(class(30, 1_000_100, 900_100), LossClass::Little, "of a moment");
    assert_eq!(class(300, 1_001_000, 900_200), LossClass::Much);
    assert_eq!(class(330, 1_002_000, 900_200), LossClass::Much, "of a moment");
    assert_eq!(class(600, 1_002_000, 900_240), LossClass::Some);
    assert_eq!(class(900, 1_012_000, 900_250), LossClass::Little);
    assert_eq!(class(930, 5, 3), LossClass::Little, "the collector started anew");
    assert_eq!(class(1_230, 25, 22), LossClass::Little, "chance");
}

#[test]
fn counters_of_a_collector_that_takes_over_are_not_held_against_those_of_the_one_before() {
    let counters = |sequenced, lost| ReceivedFormat {
        sequenced,
        lost,
        ..format(Protocol::NetFlow, Some(0))
    };
    let mut receptions = Receptions::default();
    let mut class = |time: i64, since: i64, sequenced, lost| {
        let said = answer(time, since, vec![counters(sequenced, lost)], None);
        receptions.answered(said, |_| true, at(time));
        match receptions.verdict("a", &uncertain(), spec(-5_000)) {
            Some(Verdict::Received(class)) => class,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(class(0, -5_000, 100, 0), LossClass::Little);
    assert_eq!(class(300, -5_000, 1_000, 500), LossClass::Much);
    // Its own counters are larger by now, and it has lost most of that before it was asked.
    assert_eq!(
        class(360, -4_000, 9_000, 8_000),
        LossClass::Much,
        "until it is known"
    );
    assert_eq!(
        class(620, -4_000, 9_900, 8_000),
        LossClass::Much,
        "until it is known"
    );
    assert_eq!(class(660, -4_000, 10_000, 8_000), LossClass::Little);
}

#[test]
fn a_controller_whose_clock_differs_finds_the_same_of_a_node_that_it_has_seen_export() {
    let hour = 3_600;
    for ahead in [-hour, 0, hour] {
        let mut receptions = Receptions::default();
        let verdict = |receptions: &Receptions, node: &str| receptions.verdict(node, &certain(), spec(0));
        let nodes = || vec![("a".to_owned(), Some(1)), ("b".to_owned(), Some(1))];
        // It looks at 0, when the nodes do not export yet, and at 10, when they do.
        receptions.settled(Vec::new(), at(ahead));
        receptions.settled(nodes(), at(ahead + 10));
        let mut say = |time: i64, last: i64| {
            let said = answer(time, -100_000, vec![format(Protocol::SFlow, Some(last))], None);
            receptions.answered(said, |_| true, at(ahead + time));
            receptions.settled(nodes(), at(ahead + time));
            (verdict(&receptions, "a"), verdict(&receptions, "b"))
        };
        assert_eq!(say(60, 55).1, Some(Verdict::Waiting), "{ahead}");
        let missing = Some(Verdict::Missing(Silence::Minutes));
        let received = Some(Verdict::Received(LossClass::Little));
        assert_eq!(say(150, 120), (received, missing), "{ahead}");
        assert_eq!(say(400, 120), (missing, missing), "{ahead}");
    }
}

#[test]
fn a_node_that_comes_back_is_not_missed_at_once_and_one_that_was_there_is() {
    let said = || answer(0, -100_000, vec![format(Protocol::SFlow, Some(-500))], None);
    let verdict = |receptions: &Receptions| receptions.verdict("a", &certain(), spec(-90_000));
    let node = || vec![("a".to_owned(), Some(1))];
    let mut receptions = heard(vec![(0, said())]);
    receptions.settled(node(), at(-10));
    assert_eq!(verdict(&receptions), Some(Verdict::Missing(Silence::Minutes)));
    let mut receptions = heard(vec![(0, said())]);
    receptions.settled(Vec::new(), at(-20));
    receptions.settled(node(), at(-10));
    assert_eq!(verdict(&receptions), Some(Verdict::Waiting));
}
