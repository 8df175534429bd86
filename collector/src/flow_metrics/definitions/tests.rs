use proptest::strategy::Strategy;
use weir_flowmetrics::{Limits, read_yaml};

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
    fn apply(
        &mut self,
        registry: &mut Registry,
        by: &DefinedBy,
        resources: impl IntoIterator<Item = FlowMetric>,
    ) -> Vec<(ObjectName, Outcome)> {
        let taken = self.take(by, resources, None);
        self.install(registry);
        let outcomes = taken.into_iter().map(|Taken { name, refused }| {
            let outcome = match refused {
                Some(problem) => Err(vec![problem]),
                None => self.outcome(by, &name).unwrap().clone(),
            };
            (name, outcome)
        });
        outcomes.collect()
    }

    /// The objects of this source are these alone; whether something else is counted then.
    fn keep(&mut self, registry: &mut Registry, by: &DefinedBy, present: &BTreeSet<ObjectName>) -> bool {
        self.take(by, [], Some(present));
        self.install(registry)
    }

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
    assert!(definitions.keep(&mut registry, &file, &BTreeSet::new()));
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
    assert!(!definitions.keep(&mut registry, &file("b"), &BTreeSet::new()));
    assert_eq!(names(&registry), ["netobserv_m"]);
    assert!(
        definitions
            .apply_one_alone(&mut registry, &file("b"), gauge.clone())
            .is_err()
    );
    assert!(definitions.keep(&mut registry, &file("a"), &BTreeSet::new()));
    assert_eq!(definitions.counted().collect::<Vec<_>>(), [&gauge]);
}

/// An object of Kubernetes that was made then.
fn made(name: &str, second: usize, spec: &str) -> FlowMetric {
    let mut resource = resource(name, spec);
    resource.metadata.creation_timestamp = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
    resource
}

#[test]
fn so_many_metrics_are_counted_and_the_next_when_one_of_them_goes() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let one = |n: usize| made(&format!("m{n}"), n, "{type: Counter}");
    // The youngest comes first, and gives its place to those that are older.
    let all: Vec<_> = (0..=MAX_METRICS).rev().map(one).collect();
    let by = DefinedBy::Cluster;
    for resource in all {
        assert!(definitions.apply_one_alone(&mut registry, &by, resource).is_ok());
    }
    let outcome = |definitions: &Definitions, n: usize| {
        let outcome = definitions.outcome(&by, &object(&format!("m{n}"))).unwrap();
        outcome.as_ref().map(|_| ()).map_err(|problems| problems[0].kind)
    };
    assert_eq!(registry.stats().len(), MAX_METRICS);
    assert_eq!(outcome(&definitions, MAX_METRICS), Err(ProblemKind::TooMany));
    assert_eq!(outcome(&definitions, MAX_METRICS - 1), Ok(()));
    // Those that count may change.
    assert!(definitions.apply_one_alone(&mut registry, &by, one(0)).is_ok());
    let present = (1..=MAX_METRICS).map(|n| object(&format!("m{n}"))).collect();
    definitions.keep(&mut registry, &by, &present);
    assert_eq!(outcome(&definitions, MAX_METRICS), Ok(()));
}

#[test]
fn more_resources_than_there_is_room_for_are_refused_and_not_kept() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let one = |n: usize| resource(&format!("m{n}"), "{type: Counter}");
    definitions.apply(&mut registry, &file("a"), (0..MAX_RESOURCES).map(one));
    let refused = definitions.apply_one_alone(&mut registry, &file("b"), one(MAX_RESOURCES));
    assert_eq!(refused.unwrap_err()[0].kind, ProblemKind::TooMany);
    assert_eq!(definitions.known.len(), MAX_RESOURCES);
    // Kubernetes has a bound of its own.
    let cluster = definitions.apply(&mut registry, &DefinedBy::Cluster, [one(MAX_RESOURCES)]);
    assert_eq!((cluster.len(), definitions.known.len()), (1, MAX_RESOURCES + 1));
}

#[test]
fn of_resources_of_one_name_one_is_compiled_and_each_change_is_compiled_once() {
    let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
    let spec = "{type: Counter, metricName: same, filters: [{field: ns, matchType: MatchRegex, value: a}]}";
    let all = || (0..200).map(|n| made(&format!("m{n}"), n, spec));
    for _ in 0..3 {
        definitions.apply(&mut registry, &DefinedBy::Cluster, all());
    }
    let compiled = definitions
        .known
        .values()
        .filter(|known| known.definition.is_some());
    assert_eq!(compiled.count(), 1);
    assert_eq!(definitions.refused(), 199);
}

/// The outcomes, and what is counted.
fn state(definitions: &Definitions, registry: &Registry) -> (Vec<(ObjectName, bool)>, Vec<String>) {
    let outcomes = definitions.outcomes(&DefinedBy::Cluster);
    let outcomes = outcomes.map(|(name, outcome)| (name.clone(), outcome.is_ok()));
    (outcomes.collect(), names(registry))
}

proptest::proptest! {
    /// Replicas that hear of objects in different orders, and one that has just started, agree.
    #[test]
    fn who_has_a_name_does_not_depend_on_the_order_in_which_objects_come(
        objects in proptest::collection::btree_map(0..12_usize, (0..4_usize, 0..5_usize, 0..3_usize), 1..12),
        order in proptest::prelude::Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        together in 1..4_usize,
    ) {
        let spec = |name: usize, kind: usize| {
            let kind = ["Counter", "Gauge", "Histogram"][kind];
            let name = ["same", "same_total", "same_count", "same_created", "other"][name];
            format!("{{type: {kind}, metricName: {name}, valueField: Bytes}}")
        };
        let made = |n: usize| objects.get(&n).map(|(second, name, kind)| {
            made(&format!("m{n}"), *second, &spec(*name, *kind))
        });
        let (mut definitions, mut registry) = (Definitions::default(), Registry::new(Limits::default()));
        for some in order.chunks(together) {
            definitions.apply(&mut registry, &DefinedBy::Cluster, some.iter().filter_map(|n| made(*n)));
        }
        let (mut fresh, mut other) = (Definitions::default(), Registry::new(Limits::default()));
        fresh.apply(&mut other, &DefinedBy::Cluster, (0..12).filter_map(made));
        proptest::prop_assert_eq!(state(&definitions, &registry), state(&fresh, &other));
        let counted = definitions.counted().count();
        proptest::prop_assert_eq!(counted, registry.stats().len());
    }
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
