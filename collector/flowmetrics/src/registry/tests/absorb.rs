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

proptest! {
    #[test]
    fn what_several_registries_count_apart_is_together_what_one_would_have_counted(
        records in proptest::collection::vec((0..3u8, 0..3u8, 0..8u64, 0..3usize, any::<bool>()), 1..60)
    ) {
        let mut alone = registry(&METRICS);
        let mut together = registry(&METRICS);
        let mut apart = [registry(&METRICS), registry(&METRICS), registry(&METRICS)];
        for (at, (src, dst, bytes, thread, gathers)) in records.iter().enumerate() {
            let record = flow(&format!("s{src}"), &format!("d{dst}"))
                .number("bytes", *bytes)
                .flags(0x12, true);
            let now_ms = 1_000 + at as u64;
            alone.observe(&record, now_ms);
            apart[*thread].observe(&record, now_ms);
            if *gathers {
                together.absorb(&mut apart[*thread]);
            }
        }
        for registry in &mut apart {
            together.absorb(registry);
            prop_assert_eq!(shown(registry), "# EOF\n");
        }
        // A series is as old as its first record, and one that was absorbed later may have
        // an earlier one.
        let values = |registry: &Registry| {
            let text = shown(registry);
            let lines = text.lines().filter(|line| !line.contains("_created{"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        prop_assert_eq!(values(&together), values(&alone));
    }
}

#[test]
fn of_a_metric_that_says_something_else_nothing_is_taken_over() {
    let mut counting = registry(&[
        ("kept_total", "{type: Counter, labels: [ns]}"),
        ("changed_total", "{type: Counter, labels: [ns]}"),
    ]);
    let mut together = registry(&[
        ("kept_total", "{type: Counter, labels: [ns], help: another}"),
        (
            "changed_total",
            "{type: Counter, valueField: Bytes, labels: [ns]}",
        ),
    ]);
    counting.observe(&flow("shop", "bank"), 1);
    together.absorb(&mut counting);
    assert_eq!(values(&together, "netobserv_kept_total"), map(&[("shop", 1)]));
    assert_eq!(values(&together, "netobserv_changed_total"), map(&[]));
    assert_eq!(shown(&counting), "# EOF\n");
}

#[test]
fn beyond_the_bound_known_series_go_on_and_what_was_refused_elsewhere_is_counted() {
    let bounded = || {
        let mut resource = metric("m_total", "{type: Counter, labels: [ns]}");
        let bound = (crate::MAX_SERIES.to_owned(), "2".to_owned());
        resource.metadata.annotations.extend([bound]);
        let mut registry = Registry::new(Limits::default());
        registry.apply(&resource).unwrap();
        registry
    };
    let (mut together, mut counting) = (bounded(), bounded());
    for ns in ["a", "b", "c"] {
        counting.observe(&flow(ns, ""), 1);
    }
    assert!(counting.has_refused());
    together.absorb(&mut counting);
    assert!(!counting.has_refused());
    for ns in ["c", "a"] {
        counting.observe(&flow(ns, ""), 2);
    }
    together.absorb(&mut counting);
    assert_eq!(values(&together, "netobserv_m_total"), map(&[("a", 2), ("b", 1)]));
    assert_eq!(together.stats().next().unwrap().refused, 2);
}
