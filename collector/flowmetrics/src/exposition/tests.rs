use super::strict_parser::{Family, open_metrics, prometheus};
use super::*;
use crate::test_record::TestRecord;
use crate::{FlowMetric, FlowMetricSpec, Limits, MetricType};

const NOW: u64 = 1_700_000_000_123;

fn counter(name: &str, labels: &[&str]) -> FlowMetric {
    let spec = FlowMetricSpec {
        metric_name: name.to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        value_field: "Bytes".to_owned(),
        ..FlowMetricSpec::default()
    };
    FlowMetric::new(name, spec)
}

fn flow(ns: &str, bytes: u64) -> TestRecord {
    TestRecord::default().text("ns", ns).number("bytes", bytes)
}

fn registry(metrics: &[FlowMetric], records: &[TestRecord]) -> Registry {
    let mut registry = Registry::new(Limits::default());
    for metric in metrics {
        registry.apply(metric).unwrap();
    }
    for record in records {
        registry.observe(record, NOW);
    }
    registry
}

fn texts(registry: &Registry) -> (String, String) {
    let [mut open, mut plain] = [String::new(), String::new()];
    registry.expose(Exposition::OpenMetrics, &mut open).unwrap();
    registry.expose(Exposition::Prometheus, &mut plain).unwrap();
    (open, plain)
}

fn parsed(registry: &Registry) -> (Vec<Family>, Vec<Family>) {
    let (open, plain) = texts(registry);
    (open_metrics(&open).unwrap(), prometheus(&plain).unwrap())
}

#[test]
fn a_counter_reads_the_same_in_both_formats_and_has_its_time_of_creation() {
    let mut metric = counter("ns_bytes_total", &["SrcK8S_Namespace"]);
    metric.spec.help = "Bytes\nof a \"namespace\" \\".to_owned();
    let registry = registry(&[metric], &[flow("shop", 5), flow("bank", 7), flow("shop", 1)]);
    let (open, plain) = texts(&registry);
    assert_eq!(
        open,
        "# TYPE netobserv_ns_bytes counter\n\
         # UNIT netobserv_ns_bytes bytes\n\
         # HELP netobserv_ns_bytes Bytes\\nof a \\\"namespace\\\" \\\\\n\
         netobserv_ns_bytes_total{SrcK8S_Namespace=\"bank\"} 7\n\
         netobserv_ns_bytes_created{SrcK8S_Namespace=\"bank\"} 1700000000.123\n\
         netobserv_ns_bytes_total{SrcK8S_Namespace=\"shop\"} 6\n\
         netobserv_ns_bytes_created{SrcK8S_Namespace=\"shop\"} 1700000000.123\n\
         # EOF\n"
    );
    assert_eq!(
        plain,
        "# HELP netobserv_ns_bytes_total Bytes\\nof a \"namespace\" \\\\\n\
         # TYPE netobserv_ns_bytes_total counter\n\
         netobserv_ns_bytes_total{SrcK8S_Namespace=\"bank\"} 7\n\
         netobserv_ns_bytes_total{SrcK8S_Namespace=\"shop\"} 6\n"
    );
    let (open, plain) = parsed(&registry);
    assert_eq!(open[0].help.as_deref(), Some("Bytes\nof a \"namespace\" \\"));
    assert_eq!(open[0].help, plain[0].help);
}

#[test]
fn a_counter_without_the_suffix_keeps_its_name_in_both_formats() {
    let registry = registry(&[counter("syn_in", &["SrcK8S_Namespace"])], &[flow("shop", 5)]);
    let (open, plain) = parsed(&registry);
    assert_eq!((&*open[0].kind, &*plain[0].kind), ("unknown", "counter"));
    for family in [&open[0], &plain[0]] {
        assert_eq!(family.samples[0].name, "netobserv_syn_in");
        assert_eq!(family.samples.len(), 1);
    }
}

#[test]
fn a_histograms_buckets_are_those_of_the_resource_in_both_formats() {
    let mut metric = counter("size_bytes", &["SrcK8S_Namespace"]);
    metric.spec.metric_type = MetricType::Histogram;
    metric.spec.buckets = ["0.5", "1", "25", "+Inf"].map(str::to_owned).to_vec();
    metric.spec.divider = "2".to_owned();
    let records = [1, 2, 3, 50, 51].map(|bytes| flow("shop", bytes));
    let registry = registry(&[metric], &records);
    let (open, plain) = parsed(&registry);
    for (families, bounds) in [
        (open, ["0.5", "1.0", "25.0", "+Inf"]),
        (plain, ["0.5", "1", "25", "+Inf"]),
    ] {
        let samples = &families[0].samples;
        let buckets = samples
            .iter()
            .filter_map(|sample| Some((sample.label("le")?, sample.value)));
        let wanted: Vec<_> = bounds.into_iter().zip([1.0, 2.0, 4.0, 5.0]).collect();
        assert_eq!(buckets.collect::<Vec<_>>(), wanted);
        let value = |name: &str| {
            samples
                .iter()
                .find(|sample| sample.name.ends_with(name))
                .unwrap()
                .value
        };
        assert_eq!((value("_sum"), value("_count")), (53.5, 5.0));
    }
}

#[test]
fn hostile_label_values_are_escaped_and_come_back_whole() {
    let values = ["a\"b", "a\\b", "a\nb", "a\\\"\n\\n", "über,\u{1f600}{}=", ""];
    let records = values.map(|value| flow(value, 1));
    let registry = registry(&[counter("x_total", &["SrcK8S_Namespace"])], &records);
    let (open, plain) = parsed(&registry);
    for family in [&open[0], &plain[0]] {
        let samples = family
            .samples
            .iter()
            .filter(|sample| sample.name.ends_with("_total"));
        let mut found: Vec<_> = samples.map(|sample| sample.labels[0].1.clone()).collect();
        let mut wanted = values.map(str::to_owned).to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }
}

#[test]
fn gauges_dividers_and_metrics_without_labels_are_shown() {
    let mut gauge = counter("last_seconds", &[]);
    gauge.spec.metric_type = MetricType::Gauge;
    gauge.spec.divider = "1000".to_owned();
    let registry = registry(&[gauge], &[flow("a", 1), flow("b", 1500)]);
    let (open, plain) = texts(&registry);
    assert!(open.contains("# TYPE netobserv_last_seconds gauge\n# UNIT netobserv_last_seconds seconds\n"));
    assert!(plain.ends_with("\nnetobserv_last_seconds 1.5\n"), "{plain}");
    parsed(&registry);
}

#[test]
fn the_order_is_of_names_and_values_whatever_came_first() {
    let metrics = [
        counter("b_total", &["SrcK8S_Namespace"]),
        counter("a_total", &["SrcK8S_Namespace"]),
    ];
    let mut records: Vec<_> = (0..20).map(|n| flow(&format!("ns{n}"), 1)).collect();
    let one = texts(&registry(&metrics, &records));
    records.reverse();
    let [b, a] = metrics;
    assert_eq!(one, texts(&registry(&[a, b], &records)));
}

#[test]
fn nothing_counted_is_an_empty_page_that_parses() {
    let registry = registry(&[counter("a_total", &[])], &[]);
    assert_eq!(texts(&registry), ("# EOF\n".to_owned(), String::new()));
    parsed(&registry);
}

#[test]
fn the_strict_parser_refuses_what_scrapers_refuse() {
    let good = "# TYPE a counter\na_total{b=\"c\"} 1\na_created{b=\"c\"} 1.5\n# EOF\n";
    open_metrics(good).unwrap();
    let faults = [
        good.replace("# EOF\n", ""),
        good.replace("# TYPE a counter", "# TYPE a_total counter"),
        good.replace("a_total{b=\"c\"} 1", "a_total{b=\"c\",b=\"d\"} 1"),
        good.replace("a_total{b=\"c\"} 1", "a{b=\"c\"} 1"),
        good.replace("a_total{b=\"c\"} 1", "a_total{b=\"\\c\"} 1"),
        good.replace("a_created{b=\"c\"} 1.5\n", ""),
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\nh_created 1\n# EOF\n".to_owned(),
        "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_sum 1\nh_count 1\nh_created 1\n# EOF\n".to_owned(),
        "# TYPE a gauge\n# UNIT a bytes\na 1\n# EOF\n".to_owned(),
    ];
    for fault in faults {
        assert!(open_metrics(&fault).is_err(), "{fault}");
    }
}
