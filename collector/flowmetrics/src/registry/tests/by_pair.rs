//! Records that say who stands on their sides as numbers are counted as those that do not, and quicker.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::metric;
use crate::test_record::{Owned, TestRecord};
use crate::{Exposition, FlowMetric, Identities, Limits, ObjectName, Registry};

const LIMITS: Limits = Limits {
    max_series: 7,
    max_all: 1_000_000,
    expiry_ms: 3,
};

/// Those that are by pair, `c` and `d` aside: a histogram, and one with a label that each record fills.
fn metrics() -> [FlowMetric; 8] {
    [
        metric("a", "{type: Counter, valueField: Bytes, labels: [ns, dst_ns]}"),
        metric(
            "b",
            "{type: Gauge, valueField: Bytes, labels: [ns, dst_ns, cluster]}",
        ),
        metric(
            "c",
            "{type: Histogram, valueField: Bytes, labels: [ns, dst_ns], direction: Ingress}",
        ),
        metric("d", "{type: Counter, labels: [dst_ns, DstPort]}"),
        metric("e", "{type: Counter, labels: [ns, dst_ns], direction: Egress}"),
        metric(
            "f",
            "{type: Counter, labels: [SrcK8S_HostName], filters: [{field: DstK8S_HostName, matchType: Presence}]}",
        ),
        metric(
            "g",
            "{type: Gauge, valueField: Sampling, labels: [SrcK8S_HostName, DstK8S_HostName], direction: Ingress}",
        ),
        metric("h", "{type: Counter, labels: [dst_ns, application]}"),
    ]
}

/// Who stands on the sides of a record, and what it has beside that.
#[derive(Debug, Clone)]
struct Plain {
    sides: (usize, usize),
    port: u64,
    bytes: Option<u64>,
    /// Mostly empty, as they are.
    cluster: &'static str,
    application: &'static str,
    direction: &'static str,
    exporter_node: &'static str,
    primary: bool,
    sampling: bool,
}

fn seldom(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => prop::sample::select(values)]
}

fn plain() -> impl Strategy<Value = Plain> {
    let sides = (0..3_usize, 0..3_usize);
    let numbers = (0..3_u64, prop::option::of(0..1_000_u64));
    let seldom = (seldom(&["east", "west"]), seldom(&["dns", "web"]));
    let seen = (
        prop::sample::select(&["", "ingress", "egress"][..]),
        prop::sample::select(&["node-a", "node-b"][..]),
        prop::bool::weighted(0.8),
        any::<bool>(),
    );
    (sides, numbers, seldom, seen).prop_map(|(sides, (port, bytes), (cluster, application), seen)| Plain {
        sides,
        port,
        bytes,
        cluster,
        application,
        direction: seen.0,
        exporter_node: seen.1,
        primary: seen.2,
        sampling: seen.3,
    })
}

impl Plain {
    /// Of sides on these nodes.
    fn record(&self, nodes: &[usize; 4]) -> TestRecord {
        let (namespaces, names) = (["", "a", "b", "ab"], ["", "node-a", "node-b"]);
        let (src, dst) = self.sides;
        let mut record = TestRecord::default()
            .text("ns", namespaces[src])
            .text("dst_ns", namespaces[dst])
            .number("dst_port", self.port)
            .text("cluster", self.cluster)
            .text("application", self.application)
            .text("node_name", names[nodes[src]])
            .text("dst_node_name", names[nodes[dst]])
            .text("exporter_node", self.exporter_node)
            .text("direction", self.direction)
            .with("primary", Owned::Bool(self.primary));
        if let Some(bytes) = self.bytes {
            record = record.number("bytes", bytes);
        }
        if self.sampling {
            record = record.number("sampling", 400);
        }
        record
    }

    fn numbered(&self, nodes: &[usize; 4]) -> TestRecord {
        let mut record = self.record(nodes);
        let (src, dst) = self.sides;
        record.identities = Some(Identities {
            src: src as u64,
            dst: dst as u64,
        });
        record
    }
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    registry.expose(Exposition::OpenMetrics, &mut text).unwrap();
    text
}

/// How often each metric counted by pair.
fn by_pair(registry: &Registry) -> BTreeMap<String, u64> {
    let of = |metric: &crate::metric::Metric| (metric.object.name.clone(), metric.by_pair);
    registry.metrics.iter().map(of).collect()
}

#[test]
fn numbers_of_identities_change_no_series_while_metrics_and_series_come_and_go() {
    let inputs = (
        prop::collection::vec(plain(), 0..200),
        prop::array::uniform4(0..3_usize),
        25..150_usize,
    );
    let used = Cell::new(BTreeMap::<String, u64>::new());
    let property = |(records, nodes, every): (Vec<Plain>, [usize; 4], usize)| {
        let mut registries = [Registry::new(LIMITS), Registry::new(LIMITS)];
        let metrics = metrics();
        for (at, plain) in records.iter().enumerate() {
            let records = [plain.record(&nodes), plain.numbered(&nodes)];
            for (record, registry) in records.iter().zip(&mut registries) {
                if at % every == 0 {
                    for metric in &metrics {
                        registry.apply(metric).unwrap();
                    }
                    registry.remove(&ObjectName::of(&metrics[at / every % metrics.len()]));
                    registry.expire(at as u64);
                }
                registry.observe(record, at as u64);
            }
            if at % 11 == 0 || at + 1 == records.len() {
                prop_assert_eq!(text(&registries[0]), text(&registries[1]));
            }
        }
        let refused = registries
            .each_ref()
            .map(|registry| registry.stats().map(|stats| stats.refused).sum::<u64>());
        prop_assert_eq!(refused[0], refused[1]);
        prop_assert!(by_pair(&registries[0]).values().all(|times| *times == 0));
        let mut all = used.take();
        for (name, times) in by_pair(&registries[1]) {
            *all.entry(name).or_default() += times;
        }
        used.set(all);
        Ok(())
    };
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    };
    TestRunner::new(config).run(&inputs, property).unwrap();
    for (name, times) in used.take() {
        let is_by_pair = !["c", "d"].contains(&name.as_str());
        assert!(
            if is_by_pair { times > 100 } else { times == 0 },
            "{name}: {times}"
        );
    }
}

/// Counts by pair of the others with and without this metric.
fn with_and_without(more: &FlowMetric, record: impl Fn(u64) -> TestRecord) -> [BTreeMap<String, u64>; 2] {
    [true, false].map(|with| {
        let mut registry = Registry::new(Limits::default());
        let others = metrics();
        for metric in others.iter().filter(|metric| metric.metadata.name != "d") {
            registry.apply(metric).unwrap();
        }
        if with {
            registry.apply(more).unwrap();
        }
        for number in 0..50 {
            registry.observe(&record(number), 5);
        }
        let mut counts = by_pair(&registry);
        counts.remove(&more.metadata.name);
        counts
    })
}

fn between_nodes(number: u64) -> TestRecord {
    let sides = Plain {
        sides: (1, 2),
        port: number,
        bytes: Some(number),
        cluster: "",
        application: "",
        direction: "egress",
        exporter_node: "node-b",
        primary: true,
        sampling: true,
    };
    sides.numbered(&[0, 1, 2, 0])
}

#[test]
fn a_metric_with_a_label_that_each_record_has_leaves_the_others_by_pair() {
    for label in ["DstPort", "Proto", "SrcAddr", "FlowDirection", "direction"] {
        let more = metric("more", &format!("{{type: Counter, labels: [ns, {label}]}}"));
        let [with, without] = with_and_without(&more, |number| {
            between_nodes(number)
                .number("proto", 6)
                .with("addr", Owned::Address([10, 0, 0, 7].into()))
        });
        assert_eq!(with, without, "{label}");
        for name in ["a", "b", "e", "f", "g", "h"] {
            assert_eq!(with[name], 48, "{label} {name}: from the third of the pair");
        }
    }
}

#[test]
fn a_label_that_few_records_have_costs_the_pair_no_more_than_the_metrics_that_have_it() {
    let more = metric("more", "{type: Counter, labels: [ns, user_name]}");
    let [with, without] = with_and_without(&more, |number| between_nodes(number).text("user_name", "ann"));
    assert_eq!(with, without);
    assert_eq!(with["a"], 48);
    // Known of a record that has it, and then of one that lacks it.
    let [with, without] = with_and_without(&more, |number| {
        let user = if number < 20 { "ann" } else { "" };
        between_nodes(number).text("user_name", user)
    });
    assert_eq!(with, without);
}

#[test]
fn what_is_known_of_a_record_with_more_labels_is_known_anew_of_one_with_fewer() {
    let mut registry = Registry::new(Limits::default());
    registry
        .apply(&metric("users", "{type: Counter, labels: [ns, user_name]}"))
        .unwrap();
    let mut count = |users: &[&str]| {
        for user in users {
            registry.observe(&between_nodes(1).text("user_name", user), 5);
        }
        by_pair(&registry)["users"]
    };
    assert_eq!(count(&["ann"; 9]), 0);
    // The first without is counted as ever, and from then on all are.
    assert_eq!(count(&[""; 9]), 8);
    assert_eq!(count(&["ann", "", "ann", ""]), 10);
}

#[test]
fn records_of_many_pairs_are_counted_without_their_numbers_for_a_while_and_as_well() {
    let mut registries = [Registry::new(Limits::default()), Registry::new(Limits::default())];
    let mut paused = 0;
    for registry in &mut registries {
        registry.apply(&metrics()[0]).unwrap();
    }
    for number in 0..60_000_u64 {
        let mut record = between_nodes(number % 1_000);
        registries[0].observe(&record, 5);
        record.identities = Some(Identities {
            src: number,
            dst: number / 2,
        });
        paused += u32::from(!registries[1].reads_identities());
        registries[1].observe(&record, 5);
    }
    assert!(paused > 30_000, "{paused}");
    assert_eq!(text(&registries[0]), text(&registries[1]));
}

#[test]
fn numbers_are_asked_for_where_a_metric_looks_up_as_a_whole() {
    let mut registry = Registry::new(Limits::default());
    assert!(!registry.reads_identities());
    let flattens = metric(
        "flattens",
        "{type: Counter, flatten: [Flags], labels: [Flags, ns]}",
    );
    registry.apply(&flattens).unwrap();
    assert!(!registry.reads_identities());
    let [whole, ..] = metrics();
    registry.apply(&whole).unwrap();
    assert!(registry.reads_identities());
    registry.remove(&ObjectName::of(&whole));
    assert!(!registry.reads_identities());
}
