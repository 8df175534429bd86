use weir_flowmetrics::{Limits, MetricChange, read_yaml};

use super::*;

fn resource(name: &str, spec: &str) -> FlowMetric {
    let text = format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    read_yaml(&text).remove(0).unwrap()
}

fn file(name: &str) -> DefinedBy {
    DefinedBy::File(name.into())
}

fn object(name: &str) -> ObjectName {
    ObjectName {
        namespace: String::new(),
        name: name.to_owned(),
    }
}

impl Definitions {
    fn apply_one_alone(&mut self, registry: &mut Registry, by: &DefinedBy, resource: FlowMetric) -> Outcome {
        let mut outcomes = self.apply(registry, by, [resource]);
        outcomes.remove(0).1
    }
}

/// Names in Prometheus of what is counted.
fn names(registry: &Registry) -> Vec<String> {
    registry
        .stats()
        .map(|stats| stats.prometheus_name.to_owned())
        .collect()
}

#[test]
fn a_resource_that_turns_bad_goes_on_as_it_was_until_its_object_is_removed() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let file = file("a.yaml");
    let good = resource("m", "{type: Counter, labels: [ns]}");
    assert!(
        definitions
            .apply_one_alone(&mut registry, &file, good.clone())
            .is_ok()
    );
    let bad = resource("m", "{type: Counter, labels: [nobody]}");
    let outcome = definitions.apply_one_alone(&mut registry, &file, bad);
    assert_eq!(outcome.as_ref().unwrap_err()[0].field, "spec.labels[0]");
    assert_eq!(definitions.counted().collect::<Vec<_>>(), [&good]);
    assert_eq!(
        (names(&registry), definitions.refused()),
        (vec!["netobserv_m".to_owned()], 1)
    );
    let mended = definitions.apply_one_alone(&mut registry, &file, good).unwrap();
    assert_eq!(mended.change, MetricChange::Kept);
    assert!(definitions.retain(&mut registry, &file, &BTreeSet::new()));
    assert_eq!((names(&registry), definitions.counted().count()), (vec![], 0));
}

#[test]
fn a_name_that_was_taken_is_given_on_once_it_is_free() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let one = |name: &str| resource(name, "{type: Gauge, metricName: same}");
    assert!(
        definitions
            .apply_one_alone(&mut registry, &file("a"), one("first"))
            .is_ok()
    );
    let refused = definitions.apply_one_alone(&mut registry, &DefinedBy::Cluster, one("second"));
    assert_eq!(refused.as_ref().unwrap_err()[0].field, "spec.metricName");
    // The first gives the name up for another one.
    let renamed = resource("first", "{type: Gauge, metricName: other}");
    assert!(
        definitions
            .apply_one_alone(&mut registry, &file("a"), renamed)
            .is_ok()
    );
    assert!(
        definitions
            .outcome(&DefinedBy::Cluster, &object("second"))
            .unwrap()
            .is_ok()
    );
    assert_eq!(names(&registry), ["netobserv_other", "netobserv_same"]);
}

#[test]
fn an_object_is_said_by_one_source_alone() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let (counter, gauge) = (resource("m", "{type: Counter}"), resource("m", "{type: Gauge}"));
    assert!(
        definitions
            .apply_one_alone(&mut registry, &file("a"), counter.clone())
            .is_ok()
    );
    let outcome = definitions.apply_one_alone(&mut registry, &file("b"), gauge.clone());
    let problem = &outcome.as_ref().unwrap_err()[0];
    assert_eq!(
        (problem.field.as_str(), problem.message.as_str()),
        ("metadata.name", "a has an object m already")
    );
    assert_eq!(definitions.counted().collect::<Vec<_>>(), [&counter]);
    // What is refused removes nothing of the other's when it goes.
    assert!(definitions.retain(&mut registry, &file("b"), &BTreeSet::new()));
    assert_eq!(names(&registry), ["netobserv_m"]);
    assert!(
        definitions
            .apply_one_alone(&mut registry, &file("b"), gauge.clone())
            .is_err()
    );
    assert!(definitions.retain(&mut registry, &file("a"), &BTreeSet::new()));
    assert_eq!(definitions.counted().collect::<Vec<_>>(), [&gauge]);
}

#[test]
fn so_many_metrics_are_counted_and_the_next_when_one_of_them_goes() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let one = |n: usize| resource(&format!("m{n}"), "{type: Counter}");
    for n in 0..MAX_METRICS {
        assert!(
            definitions
                .apply_one_alone(&mut registry, &DefinedBy::Cluster, one(n))
                .is_ok(),
            "{n}"
        );
    }
    let refused = definitions.apply_one_alone(&mut registry, &file("a"), one(MAX_METRICS));
    assert_eq!(refused.as_ref().unwrap_err()[0].kind, ProblemKind::TooMany);
    // Those that count may change.
    assert!(
        definitions
            .apply_one_alone(&mut registry, &DefinedBy::Cluster, one(0))
            .is_ok()
    );
    let present = (1..MAX_METRICS).map(|n| object(&format!("m{n}"))).collect();
    definitions.retain(&mut registry, &DefinedBy::Cluster, &present);
    assert!(
        definitions
            .outcome(&file("a"), &object(&format!("m{MAX_METRICS}")))
            .unwrap()
            .is_ok()
    );
}

#[test]
fn of_resources_that_come_together_one_gets_the_name_that_another_gives_up() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let named = |name: &str, metric: &str| resource(name, &format!("{{type: Gauge, metricName: {metric}}}"));
    let all = |resources: [FlowMetric; 2], definitions: &mut Definitions, registry: &mut Registry| {
        let outcomes = definitions.apply(registry, &DefinedBy::Cluster, resources);
        outcomes
            .into_iter()
            .map(|(_, outcome)| outcome.is_ok())
            .collect::<Vec<_>>()
    };
    let first = [named("a", "same"), named("b", "same")];
    assert_eq!(all(first, &mut definitions, &mut registry), [true, false]);
    let second = [named("b", "same"), named("a", "other")];
    assert_eq!(all(second, &mut definitions, &mut registry), [true, true]);
    assert_eq!(names(&registry), ["netobserv_other", "netobserv_same"]);
}
