use super::*;
use crate::test_record::TestRecord;
use crate::{FlowMetric, Registry, read_yaml};

fn metric(name: &str, spec: &str, annotations: &str) -> FlowMetric {
    let text = format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\nspec: {spec}\n"
    );
    read_yaml(&text).remove(0).unwrap()
}

fn record(number: u64) -> TestRecord {
    let record = TestRecord::default()
        .text("ns", ["", "shop", "bank"][number as usize % 3])
        .text("workload_name", &"long-name-".repeat(20))
        .number("port", number)
        .number("dst_port", number % 7)
        .flags(number as u16 % 64, true);
    match number.is_multiple_of(5) {
        true => record,
        false => record.number("bytes", number),
    }
}

fn counts(limits: Limits, metrics: &[FlowMetric], records: u64) -> Vec<LabelSetCount> {
    let mut sets = LabelSets::new(limits);
    for metric in metrics {
        sets.add(Definition::new(metric).unwrap());
    }
    (0..records).for_each(|number| sets.observe(&record(number)));
    sets.counts().collect()
}

#[test]
fn as_many_label_sets_occur_as_there_are_series_of_the_records() {
    let metrics = [
        metric("a", "{type: Counter}", ""),
        metric(
            "b",
            "{type: Histogram, valueField: Bytes, labels: [ns, DstPort]}",
            "",
        ),
        metric(
            "c",
            "{type: Counter, flatten: [tcp_flags], labels: [tcp_flags, ns]}",
            "",
        ),
        metric(
            "d",
            "{type: Gauge, valueField: Bytes, labels: [DstPort], filters: [{field: ns, value: shop}]}",
            "",
        ),
        metric(
            "e",
            "{type: Counter, labels: [SrcPort]}",
            "weir.dev/max-series: '11'",
        ),
    ];
    let mut registry = Registry::new(Limits::default());
    for metric in &metrics {
        registry.apply(metric).unwrap();
    }
    (0..500).for_each(|number| registry.observe(&record(number), 5));
    let expected: Vec<_> = registry
        .stats()
        .map(|stats| LabelSetCount {
            series: stats.series,
            refused: stats.refused > 0,
            crowded: false,
        })
        .collect();
    assert_eq!(counts(Limits::default(), &metrics, 500), expected);
    assert!(expected[4].refused && expected[4].series == 11);
}

#[test]
fn the_bound_of_one_and_that_of_all_are_told_apart() {
    let ports = |name: &str, most: &str| metric(name, "{type: Counter, labels: [SrcPort]}", most);
    let metrics = [
        ports("own", "weir.dev/max-series: '10'"),
        ports("many", ""),
        metric("few", "{type: Counter, labels: [DstPort]}", ""),
    ];
    let limits = Limits {
        max_all: 50,
        ..Limits::default()
    };
    let told: Vec<_> = counts(limits, &metrics, 100)
        .iter()
        .map(|count| (count.series, count.refused, count.crowded))
        .collect();
    assert_eq!(told, [(10, true, false), (33, false, true), (7, false, false)]);
}

#[test]
fn a_label_set_takes_a_few_bytes_whatever_its_metric_is() {
    let buckets: Vec<_> = (1..=200).map(|bound| format!("'{bound}'")).collect();
    let buckets = buckets.join(", ");
    let labels = "SrcPort, SrcK8S_OwnerName, DstPort";
    // The same labels, and filters that let different records through.
    let metrics: Vec<_> = (0..16)
        .map(|rest| {
            let filters = format!("{{field: SrcPort, value: '{rest}$', matchType: MatchRegex}}");
            let spec = format!(
                "{{type: Histogram, valueField: Bytes, labels: [{labels}], buckets: [{buckets}], filters: [{filters}]}}"
            );
            metric(&format!("m{rest}"), &spec, "weir.dev/max-series: '100000'")
        })
        .collect();
    let limits = Limits {
        max_all: 5_000,
        ..Limits::default()
    };
    let mut sets = LabelSets::new(limits);
    for metric in &metrics {
        sets.add(Definition::new(metric).unwrap());
    }
    let mut most = 0;
    for number in 0..10_000 {
        sets.observe(&record(number));
        let series: usize = sets.counts().map(|count| count.series).sum();
        assert!(series <= 5_000, "{series}");
        most = most.max(series);
        let bound = LabelSets::MOST_BYTES * series.max(metrics.len() * 8);
        assert!(sets.bytes() <= bound, "{} of {series}", sets.bytes());
    }
    assert_eq!(most, 5_000);
}
