use std::collections::BTreeMap;

use super::*;
use crate::exposition::Exposition;
use crate::test_record::{Owned, TestRecord};
use crate::{ConnectionStart, ProblemKind, read_yaml};

mod absorb;
mod by_pair;
mod properties;

/// The two metrics of NetObserv's article on the flow matrix.
const FLOW_MATRIX: &str = include_str!("tests/flow-matrix.yaml");

fn metric(name: &str, spec: &str) -> FlowMetric {
    let text = format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: {name}, namespace: netobserv}}\nspec: {spec}\n"
    );
    read_yaml(&text).remove(0).unwrap()
}

/// Value by label values, joined by commas, of the counters and gauges of this name.
pub(super) fn values(registry: &Registry, name: &str) -> BTreeMap<String, u64> {
    let found = registry
        .metrics
        .iter()
        .find(|metric| metric.definition.name == name);
    let Some(found) = found else {
        return BTreeMap::new();
    };
    let table = registry.table(found);
    let labels = found.definition.labels.len();
    let series = found.series.iter(table).map(|(slot, series)| {
        let values: Vec<_> = (0..labels).map(|label| table.value(slot, label)).collect();
        (values.join(","), series.raw)
    });
    series.collect()
}

fn count(spec: &str, records: &[TestRecord]) -> BTreeMap<String, u64> {
    let mut registry = Registry::new(Limits::default());
    registry
        .apply(&metric("m", spec))
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    for record in records {
        registry.observe(record, 1);
    }
    values(&registry, "netobserv_m")
}

fn map(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs
        .iter()
        .map(|(labels, value)| ((*labels).to_owned(), *value))
        .collect()
}

fn flow(ns: &str, dst_ns: &str) -> TestRecord {
    TestRecord::default()
        .text("ns", ns)
        .text("dst_ns", dst_ns)
        .number("bytes", 10)
}

#[test]
fn filters_of_one_field_are_alternatives_and_of_several_all_hold_in_whatever_order() {
    let records = [flow("a", "x"), flow("b", "x"), flow("c", "x"), flow("a", "y")];
    let filters = [
        "{field: SrcK8S_Namespace, value: a}",
        "{field: DstK8S_Namespace, value: x}",
        "{field: ns, value: b}",
    ];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let filters = order.map(|at| filters[at]).join(", ");
        let spec = format!("{{type: Counter, labels: [ns], filters: [{filters}]}}");
        assert_eq!(count(&spec, &records), map(&[("a", 1), ("b", 1)]), "{filters}");
    }
}

#[test]
fn each_kind_of_condition_holds_for_present_and_missing_values_as_in_the_original() {
    let present = flow("shop", "bank");
    let missing = TestRecord::default();
    let table = [
        ("value: shop", true, false),
        ("value: sho", false, false),
        ("value: shop, matchType: NotEqual", false, true),
        ("value: bank, matchType: NotEqual", true, true),
        ("matchType: Presence", true, false),
        ("matchType: Absence", false, true),
        ("value: ho, matchType: MatchRegex", true, false),
        ("value: ^ho, matchType: MatchRegex", false, false),
        ("value: ho, matchType: NotMatchRegex", false, true),
        ("value: ^ho, matchType: NotMatchRegex", true, true),
        ("value: ''", false, false),
    ];
    for (condition, of_present, of_missing) in table {
        let spec = format!("{{type: Counter, filters: [{{field: SrcK8S_Namespace, {condition}}}]}}");
        for (record, wanted) in [(&present, of_present), (&missing, of_missing)] {
            let counted = count(&spec, std::slice::from_ref(record)).len() == 1;
            assert_eq!(counted, wanted, "{condition}: {record:?}");
        }
    }
}

#[test]
fn a_value_may_name_other_fields() {
    let records = [
        flow("a", "a"),
        flow("a", "b"),
        TestRecord::default(),
        flow("a", "x-a-y"),
    ];
    let spec = |condition: &str| {
        format!(
            "{{type: Counter, labels: [ns, dst_ns], filters: [{{field: DstK8S_Namespace, {condition}}}]}}"
        )
    };
    assert_eq!(
        count(&spec("value: $(SrcK8S_Namespace)"), &records),
        map(&[("a,a", 1)])
    );
    assert_eq!(count(&spec("value: x-$(ns)-y"), &records), map(&[("a,x-a-y", 1)]));
    let different = count(&spec("value: $(ns), matchType: NotEqual"), &records);
    assert_eq!(different, map(&[("a,b", 1), (",", 1), ("a,x-a-y", 1)]));
    let unclosed = [flow("a", "$(ns")];
    assert_eq!(count(&spec("value: $(ns"), &unclosed).len(), 1);
}

#[test]
fn a_flattened_list_counts_each_item_that_passes_any_of_its_conditions() {
    let records = [TestRecord::default()
        .flags(0x12, false)
        .starts(ConnectionStart::Client)];
    let conditions = [
        ("", vec!["ACK", "SYN"]),
        ("{field: Flags, value: SYN}", vec!["SYN"]),
        (
            "{field: Flags, value: SYN}, {field: Flags, value: ACK}",
            vec!["ACK", "SYN"],
        ),
        (
            "{field: Flags, value: ACK}, {field: Flags, value: SYN}",
            vec!["ACK", "SYN"],
        ),
        ("{field: Flags, value: SYN, matchType: NotEqual}", vec!["ACK"]),
        ("{field: Flags, value: FIN}", vec![]),
    ];
    for (filters, wanted) in conditions {
        let spec = format!("{{type: Counter, labels: [Flags], flatten: [Flags], filters: [{filters}]}}");
        let counted = count(&spec, &records);
        assert_eq!(counted.keys().collect::<Vec<_>>(), wanted, "{filters}");
    }
}

#[test]
fn a_condition_on_an_item_may_name_a_field_of_the_flow_and_one_on_the_flow_an_item() {
    let record = |interface: &str| {
        TestRecord::default()
            .text("if_name", "eth0")
            .text("dst_if_name", "eth1")
            .text("ns", interface)
    };
    let records = [record("eth1"), record("eth2")];
    for filter in [
        "field: Interfaces, value: $(ns)",
        "field: ns, value: $(Interfaces)",
    ] {
        let spec = format!(
            "{{type: Counter, labels: [Interfaces], flatten: [Interfaces], filters: [{{{filter}}}]}}"
        );
        assert_eq!(count(&spec, &records), map(&[("eth1", 1)]), "{filter}");
    }
}

#[test]
fn a_list_that_is_not_flattened_is_one_label_and_a_condition_finds_its_words() {
    let records = [TestRecord::default().flags(0x18, false)];
    let spec = |filter: &str| format!("{{type: Counter, labels: [Flags], filters: [{filter}]}}");
    let whole = map(&[("[PSH ACK]", 1)]);
    for filter in [
        "",
        "{field: Flags, value: ACK}",
        "{field: Flags, value: '[PSH ACK]'}",
        "{field: Flags, value: ^PSH$, matchType: MatchRegex}",
        "{field: Flags, value: SYN, matchType: NotEqual}",
    ] {
        assert_eq!(count(&spec(filter), &records), whole, "{filter}");
    }
    for filter in [
        "{field: Flags, value: SYN}",
        "{field: Flags, value: ACK, matchType: NotEqual}",
        "{field: Flags, matchType: Absence}",
    ] {
        assert_eq!(count(&spec(filter), &records), map(&[]), "{filter}");
    }
}

#[test]
fn lists_multiply_and_one_without_items_hides_no_other() {
    let events = TestRecord::default()
        .text("ingress_policy", "shop/web")
        .text("ingress_policy_action", "allow")
        .text("egress_policy", "bank/db")
        .text("egress_policy_action", "drop");
    let spec = "{type: Counter, flatten: [NetworkEvents, Interfaces], labels: [Interfaces, NetworkEvents>Namespace, NetworkEvents>Name, NetworkEvents>Action, NetworkEvents>Direction], remap: {'NetworkEvents>Namespace': namespace, 'NetworkEvents>Name': name, 'NetworkEvents>Action': action, 'NetworkEvents>Direction': direction}}";
    let named = events.clone().text("if_name", "eth0").text("dst_if_name", "eth1");
    let counted = count(spec, &[events, named]);
    let wanted = ["", "eth0", "eth1"].map(|interface| {
        [("shop,web,allow,Ingress"), ("bank,db,drop,Egress")].map(|event| (format!("{interface},{event}"), 1))
    });
    assert_eq!(counted, wanted.into_iter().flatten().collect());
    let only = "{type: Counter, flatten: [NetworkEvents], labels: [ns], filters: [{field: NetworkEvents>Action, value: drop}]}";
    let one = TestRecord::default()
        .text("ingress_policy", "a/b")
        .text("ingress_policy_action", "drop");
    assert_eq!(count(only, &[one, flow("x", "y")]), map(&[("", 1)]));
}

#[test]
fn a_primary_record_between_nodes_stands_for_the_reports_of_both() {
    let between = |src: &str, dst: &str, exporter: &str| {
        TestRecord::default()
            .text("node_name", src)
            .text("dst_node_name", dst)
            .text("exporter_node", exporter)
    };
    let records = [
        between("a", "b", "a"),
        between("a", "", "a"),
        between("", "b", "b"),
        between("c", "c", "c"),
    ];
    let spec = |more: &str| format!("{{type: Counter, labels: [node_name, dst_node_name], {more}}}");
    let keys = |more: &str| count(&spec(more), &records).into_keys().collect::<Vec<_>>();
    assert_eq!(keys("direction: Ingress"), [",b", "a,b", "c,c"]);
    assert_eq!(keys("direction: Egress"), ["a,", "a,b", "c,c"]);
    assert_eq!(keys("direction: Any"), [",b", "a,", "a,b", "c,c"]);
    assert_eq!(
        keys("filters: [{field: FlowDirection, value: '0'}]"),
        [",b", "a,b"]
    );
    assert_eq!(
        keys("filters: [{field: FlowDirection, value: '1'}]"),
        ["a,", "a,b"]
    );
    assert_eq!(keys("filters: [{field: FlowDirection, value: '2'}]"), ["c,c"]);
    let both = "direction: Ingress, filters: [{field: FlowDirection, value: '2'}]";
    assert_eq!(keys(both), ["c,c"], "the direction is no alternative of a filter");
    let labelled = count("{type: Counter, labels: [FlowDirection]}", &records);
    assert_eq!(labelled, map(&[("0", 1), ("1", 2), ("2", 1)]));
}

#[test]
fn only_primary_records_count_unless_a_filter_asks_for_others() {
    let other = flow("a", "b").with("primary", Owned::Bool(false));
    let records = [other, flow("a", "b").with("primary", Owned::Bool(true))];
    assert_eq!(count("{type: Counter}", &records), map(&[("", 1)]));
    let asked = "{type: Counter, labels: [primary], filters: [{field: primary, matchType: Presence}]}";
    assert_eq!(count(asked, &records), map(&[("false", 1), ("true", 1)]));
}

#[test]
fn a_value_that_is_missing_counts_nothing_and_a_gauge_has_the_last() {
    let records = [
        flow("a", "b"),
        TestRecord::default(),
        flow("a", "b").number("bytes", 3),
    ];
    assert_eq!(
        count("{type: Counter, valueField: Bytes}", &records),
        map(&[("", 13)])
    );
    assert_eq!(
        count("{type: Gauge, valueField: bytes}", &records),
        map(&[("", 3)])
    );
    let none = [TestRecord::default().number("dropped_packets", 0)];
    let present = "filters: [{field: PktDropPackets, matchType: Presence}]";
    assert_eq!(count(&format!("{{type: Counter, {present}}}"), &none), map(&[]));
}

#[test]
fn every_kind_of_value_is_a_label() {
    let record = TestRecord::default()
        .with("addr", Owned::Address("10.0.0.1".parse().unwrap()))
        .with("dst_addr", Owned::Address("fd00::1".parse().unwrap()))
        .with("mac", Owned::Mac([0, 1, 2, 0xaa, 0xbb, 0xff]))
        .with("start", Owned::Time(1_700_000_000_123_456_789))
        .number("port", 0)
        .number("obs_point_id", u64::MAX)
        .text("workload_kind", "Deployment")
        .text("dst_workload_kind", "internet")
        .text("direction", "egress");
    let labels = "SrcAddr, DstAddr, SrcMac, TimeFlowStartMs, SrcPort, obs_point_id, Etype, SrcK8S_OwnerType, DstK8S_OwnerType, dst_workload_kind, _RecordType, IfDirections, FlowDirection";
    let counted = count(&format!("{{type: Counter, labels: [{labels}]}}"), &[record]);
    let wanted = "10.0.0.1,fd00::1,00:01:02:aa:bb:ff,1700000000123,0,18446744073709551615,2048,Deployment,,internet,flowLog,[1],1";
    assert_eq!(counted, map(&[(wanted, 1)]));
}

#[test]
fn the_flow_matrix_counts_each_connection_once_from_client_to_server_in_every_format() {
    let client = || {
        flow("shop", "bank")
            .text("workload_name", "web")
            .text("workload_kind", "Deployment")
            .text("dst_workload_name", "db")
            .text("dst_workload_kind", "StatefulSet")
            .number("port", 40_000)
            .number("dst_port", 5432)
    };
    let answer = || {
        flow("bank", "shop")
            .text("workload_name", "db")
            .text("workload_kind", "StatefulSet")
            .text("dst_workload_name", "web")
            .text("dst_workload_kind", "Deployment")
            .number("port", 5432)
            .number("dst_port", 40_000)
    };
    let outside = flow("shop", "")
        .text("workload_name", "web")
        .text("workload_kind", "Deployment")
        .text("dst_subnet_label", "AWS_S3_eu-west-3")
        .text("dst_workload_kind", "internet")
        .number("dst_port", 443)
        .flags(0x02, true)
        .starts(ConnectionStart::Client);
    let records = [
        client().flags(0x02, true).starts(ConnectionStart::Client),
        answer().flags(0x12, true).starts(ConnectionStart::Server),
        client().flags(0x10, true),
        client().flags(0x1b, false).starts(ConnectionStart::Client),
        answer().flags(0x1b, false).starts(ConnectionStart::Server),
        client().starts(ConnectionStart::Client),
        client(),
        answer().starts(ConnectionStart::Server),
        outside,
    ];
    let mut registry = Registry::new(Limits::default());
    for resource in read_yaml(FLOW_MATRIX) {
        registry.apply(&resource.unwrap()).unwrap();
    }
    for record in &records {
        registry.observe(record, 1);
    }
    let wanted = map(&[
        (",shop,web,Deployment,,bank,db,StatefulSet,5432,SYN", 3),
        (",shop,web,Deployment,AWS_S3_eu-west-3,,,,443,SYN", 1),
    ]);
    for name in ["netobserv_workload_syn_in", "netobserv_workload_syn_out"] {
        assert_eq!(values(&registry, name), wanted, "{name}");
    }
    let mut text = String::new();
    registry.expose(Exposition::Prometheus, &mut text).unwrap();
    let line = r#"netobserv_workload_syn_out{subnet_label="",namespace="shop",workload="web",kind="Deployment",to_subnet_label="AWS_S3_eu-west-3",to_namespace="",to_workload="",to_kind="",port="443",Flags="SYN"} 1"#;
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_changed_metric_begins_anew_and_no_other_does() {
    let mut registry = Registry::new(Limits::default());
    let spec = "{type: Counter, labels: [ns]}";
    let added = registry.apply(&metric("a", spec)).unwrap();
    assert_eq!(
        (added.change, &*added.prometheus_name),
        (MetricChange::Added, "netobserv_a")
    );
    registry.apply(&metric("b", spec)).unwrap();
    registry.observe(&flow("x", "y"), 1);
    let described = metric("a", "{type: Counter, labels: [ns], help: Other words}");
    assert_eq!(registry.apply(&described).unwrap().change, MetricChange::Kept);
    assert_eq!(values(&registry, "netobserv_a"), map(&[("x", 1)]));
    let changed = metric("a", "{type: Counter, labels: [ns, dst_ns]}");
    assert_eq!(registry.apply(&changed).unwrap().change, MetricChange::Reset);
    registry.observe(&flow("x", "y"), 2);
    assert_eq!(values(&registry, "netobserv_a"), map(&[("x,y", 1)]));
    assert_eq!(values(&registry, "netobserv_b"), map(&[("x", 2)]));
    let bad = metric("b", "{type: Counter, labels: [nobody_knows_it]}");
    registry.apply(&bad).unwrap_err();
    assert_eq!(
        values(&registry, "netobserv_b"),
        map(&[("x", 2)]),
        "a refused change changes nothing"
    );
    let b = ObjectName::of(&bad);
    assert!(registry.remove(&b) && !registry.remove(&b));
    assert_eq!(registry.stats().len(), 1);
    registry.observe(&flow("x", "y"), 3);
    assert_eq!(values(&registry, "netobserv_a"), map(&[("x,y", 2)]));
}

#[test]
fn a_name_that_another_has_is_refused_with_who_has_it() {
    let mut registry = Registry::new(Limits::default());
    let named = |object: &str, kind: &str, name: &str| {
        metric(object, &format!("{{type: {kind}, metricName: {name}}}"))
    };
    registry.apply(&named("first", "Histogram", "size")).unwrap();
    registry
        .apply(&named("second", "Counter", "flows_total"))
        .unwrap();
    for (kind, name, who) in [
        ("Histogram", "size", "netobserv/first"),
        ("Gauge", "size_count", "netobserv/first"),
        ("Gauge", "flows", "netobserv/second"),
        ("Counter", "flows_total", "netobserv/second"),
        ("Gauge", "flows_created", "netobserv/second"),
    ] {
        let problems = registry.apply(&named("third", kind, name)).unwrap_err();
        assert_eq!((problems.len(), problems[0].kind), (1, ProblemKind::NameTaken));
        assert_eq!(problems[0].field, "spec.metricName");
        assert!(problems[0].message.contains(who), "{}", problems[0]);
    }
    registry
        .apply(&named("second", "Counter", "other_total"))
        .unwrap();
    registry.apply(&named("third", "Counter", "flows_total")).unwrap();
}

#[test]
fn series_beyond_the_bound_are_refused_and_counted_and_known_ones_go_on() {
    let mut registry = Registry::new(Limits {
        max_series: 2,
        expiry_ms: 10,
        ..Limits::default()
    });
    registry
        .apply(&metric("a", "{type: Counter, labels: [ns]}"))
        .unwrap();
    let mut wide = metric("b", "{type: Counter, labels: [ns]}");
    wide.metadata
        .annotations
        .insert(crate::MAX_SERIES.to_owned(), "3".to_owned());
    registry.apply(&wide).unwrap();
    registry
        .apply(&metric("c", "{type: Counter, labels: [Flags], flatten: [Flags]}"))
        .unwrap();
    for ns in ["w", "x", "y", "z", "w"] {
        registry.observe(&flow(ns, "").flags(0x38, false), 1);
    }
    assert_eq!(values(&registry, "netobserv_a"), map(&[("w", 2), ("x", 1)]));
    assert_eq!(
        values(&registry, "netobserv_b"),
        map(&[("w", 2), ("x", 1), ("y", 1)])
    );
    assert_eq!(values(&registry, "netobserv_c"), map(&[("PSH", 5), ("ACK", 5)]));
    let stats: Vec<_> = registry
        .stats()
        .map(|stats| (stats.series, stats.max_series, stats.refused))
        .collect();
    assert_eq!(stats, [(2, 2, 2), (3, 3, 1), (2, 2, 5)]);
    assert_eq!(
        registry.table(&registry.metrics[0]).len(),
        3,
        "refused label sets take no room"
    );
    registry.expire(12);
    registry.observe(&flow("z", ""), 12);
    assert_eq!(
        values(&registry, "netobserv_a"),
        map(&[("z", 1)]),
        "expiry makes room"
    );
}

#[test]
fn a_series_that_comes_back_after_its_end_begins_anew_with_its_time_of_creation() {
    let mut registry = Registry::new(Limits {
        max_series: 10,
        expiry_ms: 1000,
        ..Limits::default()
    });
    let spec = "{type: Histogram, valueField: Bytes, labels: [ns], buckets: ['100']}";
    registry.apply(&metric("h", spec)).unwrap();
    let text = |registry: &Registry| {
        let mut text = String::new();
        registry.expose(Exposition::OpenMetrics, &mut text).unwrap();
        text
    };
    registry.observe(&flow("a", ""), 1_000);
    registry.observe(&flow("a", ""), 1_500);
    registry.observe(&flow("b", ""), 2_400);
    assert_eq!(registry.expire(2_500), 0);
    assert!(text(&registry).contains("netobserv_h_created{ns=\"a\"} 1.000\n"));
    assert_eq!(registry.expire(2_501), 1);
    assert!(!text(&registry).contains("ns=\"a\""));
    registry.observe(&flow("a", ""), 3_000);
    let now = text(&registry);
    assert!(now.contains("netobserv_h_created{ns=\"a\"} 3.000\n"), "{now}");
    assert!(now.contains("netobserv_h_count{ns=\"a\"} 1\n"), "{now}");
    assert!(
        now.contains("netobserv_h_bucket{ns=\"a\",le=\"100.0\"} 1\n"),
        "{now}"
    );
    assert_eq!(registry.stats().map(|stats| stats.expired).sum::<u64>(), 1);
    assert_eq!(registry.expire(0), 0, "a clock that went back ends nothing");
}

#[test]
fn label_sets_shared_by_metrics_are_given_back_when_the_last_of_them_ends() {
    let mut registry = Registry::new(Limits::default());
    let spec = "{type: Counter, labels: [ns]}";
    registry.apply(&metric("a", spec)).unwrap();
    registry
        .apply(&metric("b", "{type: Counter, labels: [ns], valueField: Bytes}"))
        .unwrap();
    for n in 0..100 {
        registry.observe(&flow(&format!("n{n}"), ""), 1);
    }
    assert_eq!(registry.groups.len(), 1);
    assert_eq!(registry.groups[0].table.len(), 100);
    registry.remove(&ObjectName::of(&metric("a", spec)));
    assert_eq!(registry.groups[0].table.len(), 100);
    registry.expire(u64::MAX);
    assert_eq!(registry.groups[0].table.len(), 0);
    registry.observe(&flow("again", ""), 2);
    assert_eq!(values(&registry, "netobserv_b"), map(&[("again", 10)]));
}

#[test]
fn a_record_of_known_series_grows_nothing() {
    let mut registry = Registry::new(Limits::default());
    for metric in crate::all_predefined() {
        registry.apply(&metric).unwrap();
    }
    registry
        .apply(&metric(
            "flat",
            "{type: Counter, labels: [ns, Flags], flatten: [Flags]}",
        ))
        .unwrap();
    let records: Vec<_> = (0..50)
        .map(|n| flow(&format!("n{n}"), "x").flags(0x3f, false))
        .collect();
    let mut footprint = None;
    for _ in 0..3 {
        for record in &records {
            registry.observe(record, 1);
        }
        let series: usize = registry.stats().map(|stats| stats.series).sum();
        let slots: Vec<_> = registry.groups.iter().map(|group| group.table.len()).collect();
        let now = (series, slots, registry.scratch.capacity());
        assert!(footprint.is_none_or(|before| before == now));
        footprint = Some(now);
    }
}
