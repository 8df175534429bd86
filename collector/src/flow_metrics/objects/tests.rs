use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Status;
use serde_json::{Value, json};
use weir_flowmetrics::predefined;

use super::*;

fn objects() -> Objects {
    Objects::new(FlowMetrics::new(1), MetricNamespace::default())
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

#[test]
fn of_more_objects_than_there_is_room_for_the_oldest_count_and_others_once_one_of_them_goes() {
    let mut objects = objects();
    let made = |n: usize| {
        // Younger ones have names that come first.
        let mut object = counter(&format!("m{:05}", 99_999 - n));
        let second = i64::try_from(n).unwrap();
        object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
        object
    };
    let all: Vec<_> = (0..MAX_RESOURCES + 3).map(made).collect();
    let shuffled: Vec<_> = all.iter().rev().cloned().collect();
    list(&mut objects, &shuffled);
    let known = |objects: &Objects| objects.known.keys().cloned().collect::<BTreeSet<_>>();
    let oldest =
        |from: usize| -> BTreeSet<_> { all[from..from + MAX_RESOURCES].iter().map(name_of).collect() };
    assert_eq!((known(&objects), objects.beyond.len()), (oldest(0), 3));
    // As many as are counted at all, the oldest of them.
    let outcomes = objects.flow_metrics.outcomes(&DefinedBy::Cluster);
    for (n, object) in all[..MAX_RESOURCES].iter().enumerate() {
        assert_eq!(outcomes[&name_of(object)].is_ok(), n < 256, "{n}");
    }
    objects.take(Event::Apply(made(MAX_RESOURCES + 3)));
    objects.take(Event::Delete(made(MAX_RESOURCES + 3)));
    assert_eq!((objects.beyond.len(), objects.lists_again), (3, false));
    objects.take(Event::Delete(made(0)));
    assert!(objects.lists_again);
    list(&mut objects, &shuffled[..shuffled.len() - 1]);
    assert_eq!((known(&objects), objects.beyond.len()), (oldest(1), 2));
}

/// An API server with objects, of whose status several collectors write what they come to.
struct Cluster {
    objects: BTreeMap<ObjectName, DynamicObject>,
    version: usize,
    writes: usize,
}

impl Cluster {
    /// One collector looks at what it has to write, and all hear of it.
    fn write(&mut self, collectors: &mut [Objects], at: usize, second: i64, clock: Instant) {
        for write in collectors[at].due(Timestamp::from_second(second).unwrap(), clock) {
            let object = self.objects.get_mut(&write.name).unwrap();
            if object.metadata.resource_version != write.resource_version {
                continue;
            }
            (self.writes, self.version) = (self.writes + 1, self.version + 1);
            object.metadata.resource_version = Some(self.version.to_string());
            object.data["status"] = write.status.clone();
            let object = object.clone();
            collectors[at].wrote(write, Some(object.clone()));
            for collector in &mut *collectors {
                collector.take(Event::Apply(object.clone()));
            }
        }
    }
}

/// How often statuses are written within an hour of two collectors that get objects in
/// different orders.
fn writes_within_an_hour(collectors: &mut [Objects; 2], listed: &[DynamicObject]) -> usize {
    let mut cluster = Cluster {
        objects: listed
            .iter()
            .map(|object| (name_of(object), object.clone()))
            .collect(),
        version: 0,
        writes: 0,
    };
    for object in listed {
        collectors[0].take(Event::Apply(object.clone()));
    }
    list(&mut collectors[1], listed);
    let start = Instant::now();
    for second in 0..3_600 {
        let clock = start + Duration::from_secs(second);
        for at in [0, 1] {
            cluster.write(collectors, at, second.cast_signed(), clock);
        }
    }
    cluster.writes
}

#[test]
fn collectors_that_get_objects_in_different_orders_come_to_the_same_and_write_each_status_once() {
    let named = |name: &str, second: i64| {
        let mut object = object(name, json!({"type": "Gauge", "metricName": "same"}));
        object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
        object
    };
    let mut collectors = [objects(), objects()];
    let listed = [named("aa", 2), named("zz", 1), named("bb", 1)];
    assert_eq!(writes_within_an_hour(&mut collectors, &listed), 3);
    for collector in &collectors {
        let good = collector.outcomes.iter().filter(|(_, outcome)| outcome.is_ok());
        assert_eq!(good.map(|(name, _)| &*name.name).collect::<Vec<_>>(), ["bb"]);
    }
}

#[test]
fn collectors_that_come_to_something_else_write_less_and_less_often() {
    let mut collectors = [objects(), objects()];
    let ours = predefined("node_flows_total").unwrap();
    collectors[0]
        .flow_metrics
        .define(&DefinedBy::CommandLine, [ours], None);
    let listed = [object(
        "m",
        json!({"type": "Counter", "metricName": "node_flows_total"}),
    )];
    let writes = writes_within_an_hour(&mut collectors, &listed);
    assert!((10..40).contains(&writes), "{writes}");
}

#[test]
fn how_many_series_there_will_be_comes_into_the_status_once_it_is_known() {
    let mut objects = objects();
    list(&mut objects, &[counter("a")]);
    let message = |writes: &[StatusWrite]| {
        let [write] = writes else {
            panic!("{}", writes.len())
        };
        let conditions = write.status["conditions"].as_array().unwrap();
        let warning = conditions
            .iter()
            .find(|condition| condition["type"] == "CardinalityWarning");
        warning.unwrap()["message"].as_str().unwrap().to_owned()
    };
    objects.take_estimates();
    let writes = objects.due(Timestamp::UNIX_EPOCH, Instant::now());
    assert!(!message(&writes).contains("estimated"), "nothing is known yet");
    for write in writes {
        let mut written = counter("a");
        written.data["status"] = write.status.clone();
        objects.wrote(write, Some(written));
    }
    objects.take_estimates();
    assert!(objects.due(Timestamp::UNIX_EPOCH, Instant::now()).is_empty());
    let estimate = Estimate::Unknown(crate::flow_metrics::Unknown::NoFlows);
    let without = objects.flow_metrics.without_estimate(8, Instant::now());
    objects.flow_metrics.set_estimates(
        without.into_iter().map(|metric| (metric, estimate.clone())),
        Instant::now(),
    );
    objects.take_estimates();
    let writes = objects.due(Timestamp::UNIX_EPOCH, Instant::now());
    assert!(message(&writes).ends_with(&format!(". {estimate}")));
}

#[test]
fn of_objects_of_any_namespace_no_status_tells_how_many_series_there_will_be() {
    for namespace in [MetricNamespace::All, MetricNamespace::One("other".to_owned())] {
        let mut objects = Objects::new(FlowMetrics::new(1), namespace);
        list(&mut objects, &[counter("a")]);
        let without = objects.flow_metrics.without_estimate(8, Instant::now());
        assert_eq!(without.len(), 1);
        let known = crate::flow_metrics::SeriesEstimate {
            series: 1,
            is_bounded: false,
            is_part: false,
            is_young: false,
            flows: 1,
            span: Duration::from_secs(86_400),
        };
        let estimates = without
            .into_iter()
            .map(|metric| (metric, Estimate::Series(known.clone())));
        objects.flow_metrics.set_estimates(estimates, Instant::now());
        objects.take_estimates();
        let writes = objects.due(Timestamp::UNIX_EPOCH, Instant::now());
        let [write] = &writes[..] else {
            panic!("{}", writes.len())
        };
        assert!(
            !write.status.to_string().contains("estimated"),
            "{}",
            write.status
        );
    }
}
