use weir_flowmetrics::read_yaml;

use super::record::tests::full;
use super::*;

const BYTES: &str = "{type: Counter, metricName: bytes_total, valueField: Bytes, labels: [DstPort]}";
const FLOWS: &str = "{type: Counter, metricName: flows_total, labels: [DstPort]}";

fn resource(name: &str, spec: &str) -> FlowMetric {
    let text = format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    read_yaml(&text).remove(0).unwrap()
}

fn define(metrics: &FlowMetrics, resources: &[(&str, &str)]) {
    let resources: Vec<_> = resources
        .iter()
        .map(|(name, spec)| resource(name, spec))
        .collect();
    let present = resources.iter().map(ObjectName::of).collect();
    for (name, outcome) in metrics.define(&DefinedBy::Cluster, resources, Some(&present)) {
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

/// The lines of a metric.
fn shown(metrics: &FlowMetrics, name: &str) -> Vec<String> {
    let text = metrics.expose(Exposition::Prometheus);
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(str::to_owned).collect()
}

#[test]
fn what_threads_count_apart_is_one_series() {
    let metrics = FlowMetrics::new(4);
    define(&metrics, &[("bytes", BYTES)]);
    let record = full();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut counter = metrics.counter(64);
            let records = vec![record.clone(); 100];
            scope.spawn(move || (0..10).for_each(|_| counter.observe(&records)));
        }
        // Scrapes take nothing away.
        for _ in 0..50 {
            metrics.expose(Exposition::OpenMetrics);
        }
    });
    let total = 8 * 10 * 100 * 1_500;
    assert_eq!(
        shown(&metrics, "netobserv_bytes"),
        [format!("netobserv_bytes_total{{DstPort=\"5432\"}} {total}")]
    );
}

#[test]
fn a_change_of_one_metric_begins_its_series_anew_and_no_others() {
    let metrics = FlowMetrics::new(1);
    let mut counter = metrics.counter(64);
    let records = vec![full(); 3];
    counter.observe(&records);
    define(&metrics, &[("bytes", BYTES), ("flows", FLOWS)]);
    counter.observe(&records);
    let value = |name: &str| {
        let line = shown(&metrics, name).pop();
        line.map(|line| line.rsplit(' ').next().unwrap().to_owned())
    };
    assert_eq!(
        (value("netobserv_bytes"), value("netobserv_flows")),
        (Some("4500".into()), Some("3".into()))
    );
    counter.observe(&records);
    // What was not gathered yet when one changes is not lost of the other.
    let changed = FLOWS.replace("[DstPort]", "[DstPort, Proto]");
    define(&metrics, &[("bytes", BYTES), ("flows", &changed)]);
    assert_eq!(
        (value("netobserv_bytes"), value("netobserv_flows")),
        (Some("9000".into()), None)
    );
    counter.observe(&records);
    assert_eq!(
        (value("netobserv_bytes"), value("netobserv_flows")),
        (Some("13500".into()), Some("3".into()))
    );
    define(&metrics, &[]);
    counter.observe(&records);
    assert_eq!(metrics.expose(Exposition::OpenMetrics), "# EOF\n");
}

#[test]
fn who_counts_is_not_held_up_by_who_holds_a_shard() {
    let metrics = FlowMetrics::new(1);
    define(&metrics, &[("flows", FLOWS)]);
    let mut counter = metrics.counter(64);
    let held = metrics.0.shards[counter.home].lock();
    counter.observe(&[full()]);
    drop(held);
    counter.observe(&[full()]);
    assert_eq!(
        shown(&metrics, "netobserv_flows"),
        ["netobserv_flows_total{DstPort=\"5432\"} 2"]
    );
}

#[test]
fn at_the_bound_known_series_count_exactly_whichever_thread_gets_their_records() {
    let metrics = FlowMetrics::new(3);
    let mut bounded = resource("flows", FLOWS);
    let bound = (weir_flowmetrics::MAX_SERIES.to_owned(), "2".to_owned());
    bounded.metadata.annotations.extend([bound]);
    metrics.define(&DefinedBy::Cluster, [bounded], None);
    let to = |port: u16| {
        let mut record = full();
        record.dst.port = Some(port);
        record
    };
    metrics.counter(64).observe(&[to(1), to(2)]);
    // A flood of made-up ports, and a known one at the end of each batch.
    std::thread::scope(|scope| {
        for thread in 0..4_u16 {
            let mut counter = metrics.counter(64);
            scope.spawn(move || {
                for batch in 0..100_u16 {
                    let mut records: Vec<_> = (0..20)
                        .map(|at| to(1_000 + 10_000 * thread + 20 * batch + at))
                        .collect();
                    records.push(to(1 + batch % 2));
                    counter.observe(&records);
                }
            });
        }
        (0..20).for_each(|_| drop(metrics.expose(Exposition::Prometheus)));
    });
    assert_eq!(
        shown(&metrics, "netobserv_flows"),
        [
            "netobserv_flows_total{DstPort=\"1\"} 201",
            "netobserv_flows_total{DstPort=\"2\"} 201"
        ]
    );
    assert_eq!(metrics.figures().refused, 4 * 100 * 20);
}

#[test]
fn figures_of_metrics_that_are_gone_stay_in_the_sums() {
    let metrics = FlowMetrics::new(1);
    let mut bounded = resource("flows", FLOWS);
    bounded
        .metadata
        .annotations
        .insert(weir_flowmetrics::MAX_SERIES.to_owned(), "1".to_owned());
    metrics.define(&DefinedBy::Cluster, [bounded], None);
    let mut other = full();
    other.dst.port = Some(80);
    metrics.counter(64).observe(&[full(), other]);
    metrics.expose(Exposition::Prometheus);
    let figures = metrics.figures();
    assert_eq!((figures.metrics, figures.series, figures.refused), (1, 1, 1));
    define(&metrics, &[]);
    let figures = metrics.figures();
    assert_eq!((figures.metrics, figures.series, figures.refused), (0, 0, 1));
}

#[test]
fn a_connection_without_flags_counts_once_whoever_holds_a_shard() {
    let metrics = FlowMetrics::new(1);
    let spec = "{type: Counter, metricName: starts_total, flatten: [Flags], labels: [DstPort], filters: [{field: Flags, value: SYN}]}";
    define(&metrics, &[("starts", spec)]);
    let mut counter = metrics.counter(64);
    let record = |port: u16| {
        let mut record = full();
        record.tcp_flags = None;
        record.src.port = Some(port);
        record
    };
    counter.observe(&[record(40_000), record(40_000), record(40_001)]);
    let held = metrics.0.shards[counter.home].lock();
    counter.observe(&[record(40_000), record(40_002)]);
    drop(held);
    counter.observe(&[record(40_001)]);
    assert_eq!(
        shown(&metrics, "netobserv_starts"),
        ["netobserv_starts_total{DstPort=\"5432\"} 3"]
    );
}
