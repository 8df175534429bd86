//! Registries that count apart and are brought together.

use proptest::prelude::*;

use super::*;

const METRICS: [(&str, &str); 5] = [
    ("flows_total", "{type: Counter, labels: [ns, dst_ns]}"),
    (
        "bytes_total",
        "{type: Counter, valueField: Bytes, labels: [ns, dst_ns]}",
    ),
    ("last", "{type: Gauge, valueField: Bytes, labels: [ns]}"),
    (
        "sizes",
        "{type: Histogram, valueField: Bytes, buckets: ['2', '5'], labels: [dst_ns]}",
    ),
    (
        "starts_total",
        "{type: Counter, flatten: [Flags], labels: [ns, Flags]}",
    ),
];

fn registry(metrics: &[(&str, &str)]) -> Registry {
    let mut registry = Registry::new(Limits::default());
    for (name, spec) in metrics {
        registry.apply(&metric(name, spec)).unwrap();
    }
    registry
}

fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    registry.expose(Exposition::OpenMetrics, &mut text).unwrap();
    text
}

/// What happens to registries that count apart.
#[derive(Debug, Clone)]
enum Step {
    /// A record comes to the replica of this number: namespaces, bytes.
    Count(usize, u8, u8, u64),
    /// One of them is absorbed.
    Absorb(usize),
    /// All are absorbed, and what is idle ends.
    Expire,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..3usize, 0..6u8, 0..3u8, 0..8u64)
            .prop_map(|(replica, src, dst, bytes)| Step::Count(replica, src, dst, bytes)),
        2 => (0..3usize).prop_map(Step::Absorb),
        1 => Just(Step::Expire),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What one registry counts that gets all of it, and what the others count together.
fn alone_and_together(steps: &[Step], limits: Limits) -> [Registry; 2] {
    let [mut alone, mut together] = [0, 1].map(|_| {
        let mut registry = Registry::new(limits);
        for (name, spec) in METRICS {
            registry.apply(&metric(name, spec)).unwrap();
        }
        registry
    });
    let mut apart = [0; 3].map(|_| together.replica());
    let mut now_ms = 1_000;
    for step in steps {
        now_ms += 1;
        match step {
            Step::Count(replica, src, dst, bytes) => {
                let record = flow(&format!("s{src}"), &format!("d{dst}"))
                    .number("bytes", *bytes)
                    .flags(0x12, true);
                alone.observe(&record, now_ms);
                apart[*replica].observe(&record, now_ms);
            }
            Step::Absorb(replica) => together.absorb(&mut apart[*replica]),
            Step::Expire => {
                apart.iter_mut().for_each(|replica| together.absorb(replica));
                alone.expire(now_ms);
                together.expire(now_ms);
            }
        }
    }
    for replica in &mut apart {
        together.absorb(replica);
        assert_eq!(shown(replica), "# EOF\n");
    }
    [alone, together]
}

proptest! {
    /// Also at the bound: which series are known, what each of them has, since when, and how
    /// many counts were refused, does not depend on who counted what and was absorbed when.
    #[test]
    fn what_replicas_count_apart_is_together_what_one_registry_counts_also_at_the_bound(
        steps in steps(), max_series in 1..12usize, max_all in 1..50usize, expiry_ms in 5..40u64,
    ) {
        let limits = Limits { max_series, max_all, expiry_ms };
        let [alone, together] = alone_and_together(&steps, limits);
        prop_assert_eq!(shown(&together), shown(&alone));
        let stats = |registry: &Registry| {
            let stats = registry.stats().map(|metric| (metric.series, metric.refused, metric.expired));
            stats.collect::<Vec<_>>()
        };
        prop_assert_eq!(stats(&together), stats(&alone));
    }
}

#[test]
fn of_a_metric_that_says_something_else_by_now_nothing_is_taken_over() {
    let mut together = registry(&[
        ("kept_total", "{type: Counter, labels: [ns]}"),
        ("changed_total", "{type: Counter, labels: [ns]}"),
        ("gone_total", "{type: Counter, labels: [ns]}"),
    ]);
    let mut counting = together.replica();
    for (name, spec) in [
        ("kept_total", "{type: Counter, labels: [ns], help: another}"),
        (
            "changed_total",
            "{type: Counter, valueField: Bytes, labels: [ns]}",
        ),
    ] {
        together.apply(&metric(name, spec)).unwrap();
    }
    together.remove(&ObjectName::of(&metric("gone_total", "{type: Counter}")));
    counting.observe(&flow("shop", "bank"), 1);
    together.absorb(&mut counting);
    assert_eq!(values(&together, "netobserv_kept_total"), map(&[("shop", 1)]));
    assert_eq!(values(&together, "netobserv_changed_total"), map(&[]));
    assert_eq!(shown(&counting), "# EOF\n");
}

/// With room for two series.
fn bounded() -> Registry {
    let mut resource = metric("m_total", "{type: Counter, labels: [ns]}");
    let bound = (crate::MAX_SERIES.to_owned(), "2".to_owned());
    resource.metadata.annotations.extend([bound]);
    let mut registry = Registry::new(Limits::default());
    registry.apply(&resource).unwrap();
    registry
}

#[test]
fn at_the_bound_a_known_series_counts_however_many_strangers_came_before() {
    let mut together = bounded();
    let mut counting = [together.replica(), together.replica()];
    for ns in ["a", "b"] {
        counting[0].observe(&flow(ns, ""), 1);
    }
    together.absorb(&mut counting[0]);
    for replica in &mut counting {
        for ns in ["x", "y", "z", "a", "b"] {
            replica.observe(&flow(ns, ""), 2);
        }
        together.absorb(replica);
    }
    assert_eq!(values(&together, "netobserv_m_total"), map(&[("a", 3), ("b", 3)]));
    // Each count that is refused counts.
    assert_eq!(together.stats().next().unwrap().refused, 6);
}

#[test]
fn what_a_lost_replica_had_made_takes_no_room() {
    let mut together = bounded();
    together.observe(&flow("a", ""), 1);
    let mut lost = together.replica();
    lost.observe(&flow("b", ""), 1);
    drop(lost);
    together.observe(&flow("c", ""), 1);
    assert_eq!(values(&together, "netobserv_m_total"), map(&[("a", 1)]));
    together.forget_replica();
    for ns in ["a", "c", "d"] {
        together.observe(&flow(ns, ""), 1);
    }
    assert_eq!(values(&together, "netobserv_m_total"), map(&[("a", 2), ("c", 1)]));
}

#[test]
fn the_room_that_a_flood_took_is_given_back_after_a_quiet_round() {
    let mut together = registry(&[("m", "{type: Histogram, labels: [ns]}")]);
    let mut replica = together.replica();
    let round = |replica: &mut Registry, series: usize| {
        for ns in 0..series {
            replica.observe(&flow(&ns.to_string(), ""), 1);
        }
    };
    round(&mut replica, 20_000);
    together.absorb(&mut replica);
    let flooded = replica.room();
    assert!(flooded >= 20_000, "{flooded}");
    round(&mut replica, 1_000);
    together.absorb(&mut replica);
    assert!(replica.room() <= 4_000, "{}", replica.room());
    assert_eq!(values(&together, "netobserv_m").len(), 20_000);
}

#[test]
fn series_of_all_metrics_have_places_in_common_and_give_them_back() {
    let mut registry = Registry::new(Limits {
        max_all: 3,
        expiry_ms: 10,
        ..Limits::default()
    });
    for name in ["a_total", "b_total"] {
        registry
            .apply(&metric(name, "{type: Counter, labels: [ns]}"))
            .unwrap();
    }
    let mut replica = registry.replica();
    let count = |registry: &mut Registry, replica: &mut Registry, ns: &str, now_ms: u64| {
        replica.observe(&flow(ns, ""), now_ms);
        registry.absorb(replica);
        registry
            .stats()
            .map(|metric| (metric.series, metric.refused))
            .collect::<Vec<_>>()
    };
    assert_eq!(count(&mut registry, &mut replica, "x", 1), [(1, 0), (1, 0)]);
    assert_eq!(count(&mut registry, &mut replica, "y", 2), [(2, 0), (1, 1)]);
    // What has a series goes on; what ends makes room, and so does a metric that goes.
    assert_eq!(count(&mut registry, &mut replica, "x", 12), [(2, 0), (1, 1)]);
    registry.expire(13);
    assert_eq!(count(&mut registry, &mut replica, "z", 14), [(2, 0), (1, 2)]);
    registry.remove(&ObjectName::of(&metric("a_total", "{type: Counter}")));
    replica = registry.replica();
    assert_eq!(count(&mut registry, &mut replica, "y", 15), [(2, 2)]);
    assert_eq!(count(&mut registry, &mut replica, "z", 15), [(3, 2)]);
    assert_eq!(count(&mut registry, &mut replica, "more", 15), [(3, 3)]);
}
