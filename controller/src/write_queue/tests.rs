use super::*;

fn wanted(uid: &str) -> DesiredExport {
    DesiredExport {
        node_uid: uid.to_owned(),
        spec: Default::default(),
        mark: None,
    }
}

fn decision(nodes: &[String], uid: &str) -> Decision {
    Decision {
        wanted: nodes.iter().map(|n| (n.clone(), wanted(uid))).collect(),
        applies: nodes.to_vec(),
        ..Default::default()
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("node-{i:03}")).collect()
}

#[test]
fn no_more_than_the_limit_is_under_way() {
    let (mut queue, now) = (WriteQueue::default(), Instant::now());
    queue.replace(&decision(&names(LIMIT + 1), "u"));
    let first: Vec<Write> = std::iter::from_fn(|| queue.take(now)).collect();
    assert_eq!(first.len(), LIMIT);
    queue.succeeded(&first[0], now);
    assert_eq!(
        queue.take(now).map(|w| w.subject()),
        Some(Subject::Export("node-016".into()))
    );
}

#[test]
fn what_is_under_way_is_not_written_twice() {
    let (mut queue, now) = (WriteQueue::default(), Instant::now());
    queue.replace(&decision(&names(1), "u"));
    let first = queue.take(now).unwrap();
    queue.replace(&decision(&names(1), "u"));
    queue.succeeded(&first, now);
    assert_eq!(queue.take(now), None);
}

#[test]
fn a_newer_write_waits_for_the_older_one_to_the_same_object() {
    let (mut queue, now) = (WriteQueue::default(), Instant::now());
    queue.replace(&decision(&names(1), "old"));
    let old = queue.take(now).unwrap();
    queue.replace(&decision(&names(2), "new"));
    assert_eq!(
        queue.take(now).map(|w| w.subject()),
        Some(Subject::Export("node-001".into()))
    );
    assert_eq!(queue.take(now), None);
    queue.succeeded(&old, now);
    assert_eq!(
        queue.take(now),
        Some(Write::Apply("node-000".into(), wanted("new")))
    );
}

fn report() -> Write {
    Write::Report {
        uid: None,
        conditions: vec![],
        notices: vec![],
    }
}

#[test]
fn a_report_goes_behind_the_specs_and_takes_the_place_of_an_older_one() {
    let (mut queue, now) = (WriteQueue::default(), Instant::now());
    queue.add(report());
    queue.replace(&decision(&names(1), "u"));
    queue.add(report());
    assert!(queue.has_specs());
    queue.take(now);
    assert_eq!(queue.take(now), Some(report()));
    assert_eq!(queue.take(now), None);
}

#[test]
fn a_write_that_failed_waits_and_a_newer_one_takes_its_place() {
    let (mut queue, now) = (WriteQueue::default(), Instant::now());
    queue.replace(&decision(&names(1), "u"));
    let write = queue.take(now).unwrap();
    queue.failed(&write, "no".to_owned(), now);
    assert_eq!(queue.take(now), None);
    assert!(!queue.has_specs(), "a report does not wait for what fails");
    let due = queue.next_due(now).unwrap();
    assert!(due > now);
    queue.replace(&decision(&names(1), "newer"));
    assert_eq!(queue.take(now), None);
    assert_eq!(
        queue.take(due),
        Some(Write::Apply("node-000".into(), wanted("newer")))
    );
}
