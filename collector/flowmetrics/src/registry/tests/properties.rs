//! Properties of what is counted, held against a judge of conditions that was written apart.

use proptest::prelude::*;

use super::{map, metric, values};
use crate::test_record::TestRecord;
use crate::{Limits, Registry};

const NAMES: [&str; 4] = ["", "a", "b", "ab"];

/// A record as plain values: namespace, other namespace, port, bytes.
type Plain = (usize, usize, u64, Option<u64>);

fn record((ns, dst_ns, port, bytes): &Plain) -> TestRecord {
    let record = TestRecord::default()
        .text("ns", NAMES[*ns])
        .text("dst_ns", NAMES[*dst_ns])
        .number("dst_port", *port);
    match bytes {
        Some(bytes) => record.number("bytes", *bytes),
        None => record,
    }
}

fn records() -> impl Strategy<Value = Vec<Plain>> {
    prop::collection::vec(
        (0..4_usize, 0..4_usize, 0..3_u64, prop::option::of(0..1_000_u64)),
        0..60,
    )
}

/// Field, kind of comparison, value.
fn filters() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    prop::collection::vec((0..3_usize, 0..7_usize, 1..4_usize), 0..5)
}

const FIELDS: [&str; 3] = ["SrcK8S_Namespace", "DstK8S_Namespace", "DstPort"];

fn yaml(filters: &[(usize, usize, usize)]) -> String {
    let filters: Vec<_> = filters
        .iter()
        .map(|(field, how, value)| {
            let (field, value) = (FIELDS[*field], NAMES[*value]);
            match how {
                0 => format!("{{field: {field}, value: {value}}}"),
                1 => format!("{{field: {field}, value: {value}, matchType: NotEqual}}"),
                2 => format!("{{field: {field}, matchType: Presence}}"),
                3 => format!("{{field: {field}, matchType: Absence}}"),
                4 => format!("{{field: {field}, value: {value}, matchType: MatchRegex}}"),
                5 => format!("{{field: {field}, value: {value}, matchType: NotMatchRegex}}"),
                _ => format!("{{field: {field}, value: $(SrcK8S_Namespace)}}"),
            }
        })
        .collect();
    filters.join(", ")
}

/// The conditions, judged by other means than the crate's.
fn passes(filters: &[(usize, usize, usize)], plain: &Plain) -> bool {
    let text = |field: usize| match field {
        0 => NAMES[plain.0].to_owned(),
        1 => NAMES[plain.1].to_owned(),
        _ => plain.2.to_string(),
    };
    let holds = |how: usize, value: usize, text: String| {
        let (value, there) = (NAMES[value], !text.is_empty());
        match how {
            0 => there && text == value,
            1 => !there || text != value,
            2 => there,
            3 => !there,
            4 => there && text.contains(value),
            5 => !there || !text.contains(value),
            _ => there && text == NAMES[plain.0],
        }
    };
    (0..3).all(|field| {
        let of_field: Vec<_> = filters.iter().filter(|filter| filter.0 == field).collect();
        let mut held = of_field
            .iter()
            .map(|(field, how, value)| holds(*how, *value, text(*field)));
        of_field.is_empty() || held.any(|held| held)
    })
}

fn counted(spec: &str, records: &[Plain]) -> Registry {
    let mut registry = Registry::new(Limits::default());
    registry.apply(&metric("m", spec)).unwrap();
    for plain in records {
        registry.observe(&record(plain), 5);
    }
    registry
}

proptest! {
    #[test]
    fn the_series_add_up_to_the_records_that_pass(records in records(), filters in filters()) {
        let spec = format!("{{type: Counter, valueField: Bytes, labels: [SrcK8S_Namespace, DstPort], filters: [{}]}}", yaml(&filters));
        let found = values(&counted(&spec, &records), "netobserv_m");
        let mut wanted = map(&[]);
        for plain in records.iter().filter(|plain| passes(&filters, plain)) {
            if let Some(bytes) = plain.3 {
                *wanted.entry(format!("{},{}", NAMES[plain.0], plain.2)).or_insert(0) += bytes;
            }
        }
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn the_order_of_records_changes_no_counter_and_no_histogram(
        (records, shuffled) in records().prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
        filters in filters(),
    ) {
        for kind in ["Counter", "Histogram"] {
            let spec = format!("{{type: {kind}, valueField: Bytes, buckets: ['10', '100', '500'], labels: [ns, dst_ns], filters: [{}]}}", yaml(&filters));
            let text = |records: &[Plain]| {
                let mut text = String::new();
                counted(&spec, records).expose(crate::Exposition::OpenMetrics, &mut text).unwrap();
                text
            };
            prop_assert_eq!(text(&records), text(&shuffled));
        }
    }

    #[test]
    fn no_resource_and_no_value_makes_it_panic(
        name in ".{0,12}", label in ".{0,12}", value in ".{0,12}", number in ".{0,6}", ns in ".{0,20}",
    ) {
        let mut resource = metric("m", "{type: Histogram, labels: [ns]}");
        resource.spec.metric_name = name;
        resource.spec.remap.insert("ns".to_owned(), label);
        resource.spec.divider = number.clone();
        resource.spec.buckets = vec![number];
        resource.spec.filters.push(crate::MetricFilter {
            field: "ns".to_owned(),
            value,
            match_type: crate::MatchType::NotMatchRegex,
        });
        let mut registry = Registry::new(Limits::default());
        let _ = registry.apply(&resource);
        registry.observe(&TestRecord::default().text("ns", &ns), 1);
        let mut text = String::new();
        registry.expose(crate::Exposition::OpenMetrics, &mut text).unwrap();
        prop_assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_series_is_there_until_nothing_was_counted_for_longer_than_the_expiry(
        times in prop::collection::vec(1..5_000_u64, 1..20),
    ) {
        let mut registry = Registry::new(Limits { max_series: 10, expiry_ms: 700, ..Limits::default() });
        registry.apply(&metric("m", "{type: Counter}")).unwrap();
        let (mut now, mut created, mut sum) = (0, 0, 0_u64);
        for (at, pause) in times.iter().enumerate() {
            now += pause;
            let ended = registry.expire(now);
            if at == 0 || *pause > 700 {
                prop_assert_eq!(ended, usize::from(at > 0));
                (created, sum) = (now, 0);
            }
            sum += 1;
            registry.observe(&TestRecord::default(), now);
            let metric = &registry.metrics[0];
            let table = registry.table(metric);
            let (slot, series) = metric.series.iter(table).next().unwrap();
            prop_assert_eq!((metric.series.created_ms(slot, table), series.raw), (created, sum));
        }
    }
}
