use kube::core::Status;
use serde_json::Value;

use super::*;

fn objects() -> Objects {
    Objects {
        flow_metrics: FlowMetrics::new(1),
        known: BTreeMap::new(),
        unreadable: BTreeMap::new(),
        told: BTreeMap::new(),
        listing: None,
        missing: 0,
        failure: None,
    }
}

fn object(name: &str, spec: Value) -> DynamicObject {
    let object = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": "netobserv"},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

fn counter(name: &str) -> DynamicObject {
    object(name, json!({"type": "Counter", "labels": ["SrcK8S_Namespace"]}))
}

fn counted(objects: &Objects) -> usize {
    objects.flow_metrics.figures().metrics
}

fn list(objects: &mut Objects, listed: &[DynamicObject]) {
    objects.take(Event::Init);
    for object in listed {
        objects.take(Event::InitApply(object.clone()));
    }
    objects.take(Event::InitDone);
}

fn failure(code: u16) -> watcher::Error {
    let status = Status::failure("no", "No").with_code(code);
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

#[test]
fn objects_that_come_change_and_go_are_metrics_likewise() {
    let mut objects = objects();
    list(&mut objects, &[counter("a"), counter("b")]);
    assert_eq!(counted(&objects), 2);
    objects.take(Event::Apply(counter("c")));
    objects.take(Event::Delete(counter("a")));
    assert_eq!(counted(&objects), 2);
    // A list that begins anew has what there is, and nothing goes before it is read.
    objects.take(Event::Init);
    assert_eq!(counted(&objects), 2);
    list(&mut objects, &[counter("c")]);
    assert_eq!(counted(&objects), 1);
}

#[test]
fn an_object_that_cannot_be_read_has_a_problem_and_goes_on_as_it_was() {
    let mut objects = objects();
    list(&mut objects, &[counter("a")]);
    objects.take(Event::Apply(object(
        "a",
        json!({"type": "Counter", "novelty": 1}),
    )));
    assert_eq!(counted(&objects), 1);
    let problem = objects.unreadable.values().next().unwrap();
    assert!(problem.message.contains("novelty"), "{problem}");
    objects.take(Event::Apply(counter("a")));
    assert!(objects.unreadable.is_empty());
    objects.take(Event::Delete(counter("a")));
    assert_eq!(counted(&objects), 0);
}

#[test]
fn a_resource_that_is_missing_is_no_failure_and_takes_its_metrics_with_it_when_it_stays_away() {
    let mut objects = objects();
    assert_eq!(objects.fail(&failure(404)), MISSING_PAUSE);
    list(&mut objects, &[counter("a")]);
    // The API server has just started, or does not answer.
    assert_eq!(objects.fail(&failure(404)), MISSING_PAUSE);
    for _ in 0..10 {
        assert_eq!(objects.fail(&failure(503)), FAILED_PAUSE);
    }
    assert_eq!((counted(&objects), objects.failure.is_some()), (1, true));
    list(&mut objects, &[counter("a")]);
    assert_eq!(objects.failure, None);
    for _ in 0..MISSING_TIMES {
        assert_eq!(counted(&objects), 1);
        objects.fail(&failure(404));
    }
    assert_eq!(counted(&objects), 0);
    list(&mut objects, &[counter("a")]);
    assert_eq!(counted(&objects), 1);
}

#[test]
fn a_namespace_is_one_or_all() {
    for (text, namespace) in [
        ("*", MetricNamespace::All),
        ("lab", MetricNamespace::One("lab".to_owned())),
    ] {
        assert_eq!(text.parse(), Ok(namespace.clone()));
        assert_eq!(namespace.to_string(), text);
    }
    assert_eq!(MetricNamespace::default().to_string(), "netobserv");
}
