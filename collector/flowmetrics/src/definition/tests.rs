use super::*;
use crate::read_yaml;
use crate::resource::{Direction, MatchType};

const HEAD: &str = "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {name: my-metric}\n";

fn read(spec: &str) -> Result<FlowMetric, Problem> {
    let text = format!("{HEAD}spec: {spec}\n");
    let mut all = read_yaml(&text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn check(spec: &str) -> Result<Definition, Vec<Problem>> {
    Definition::new(&read(spec).map_err(|problem| vec![problem])?)
}

#[test]
fn defaults_are_those_of_netobservs_schema() {
    let metric = read("{type: Counter, filters: [{field: Proto, value: '6'}], charts: [{title: t, type: Line, queries: [{promQL: $METRIC, legend: l}]}]}").unwrap();
    let spec = &metric.spec;
    assert_eq!(spec.filters[0].match_type, MatchType::Equal);
    assert_eq!(spec.direction, Direction::Any);
    assert_eq!(
        (&*spec.charts[0].dashboard_name, spec.charts[0].queries[0].top),
        ("Main", 7)
    );
    assert!(spec.labels.is_empty() && spec.value_field.is_empty() && spec.divider.is_empty());
    let back = serde_json::to_value(&metric).unwrap();
    assert_eq!(FlowMetric::from_json(&back).unwrap(), metric);
}

#[test]
fn an_object_of_the_api_server_reads_with_all_that_the_server_adds() {
    let object = serde_json::json!({
        "apiVersion": "flows.netobserv.io/v1alpha1", "kind": "FlowMetric",
        "metadata": {"name": "a", "namespace": "netobserv", "uid": "1", "generation": 3,
            "managedFields": [{"manager": "kubectl"}], "annotations": {"weir.dev/max-series": "5"}},
        "spec": {"type": "Gauge"},
        "status": {"conditions": [], "prometheusName": "x"},
    });
    let definition = Definition::new(&FlowMetric::from_json(&object).unwrap()).unwrap();
    assert_eq!(
        (definition.name(), definition.max_series),
        ("netobserv_a", Some(5))
    );
}

#[test]
fn several_documents_are_read_and_a_bad_one_hides_no_other() {
    let good = format!("{HEAD}spec: {{type: Counter}}\n");
    let all = read_yaml(&format!("{good}---\nkind: Pod\n---\n{good}---\n"));
    let good: Vec<_> = all.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true]);
    assert_eq!(all[1].as_ref().unwrap_err().kind, ProblemKind::NotFlowMetric);
    let broken = read_yaml("{{{");
    assert_eq!(broken[0].as_ref().unwrap_err().kind, ProblemKind::Syntax);
}

#[test]
fn a_bad_resource_is_refused_with_the_field_and_the_remedy() {
    use ProblemKind::*;
    let long: Vec<_> = (0..201).map(|n| format!("'{n}'")).collect();
    let long = format!("{{type: Histogram, buckets: [{}]}}", long.join(","));
    let table: &[(&str, &str, ProblemKind, &str)] = &[
        ("{}", "spec", Syntax, "see docs"),
        ("{type: Summary}", "spec.type", Syntax, "see docs"),
        (
            "{type: Counter, label: [Proto]}",
            "spec.label",
            Syntax,
            "see docs",
        ),
        (
            "{type: Counter, filters: [{field: Proto, value: 6}]}",
            "spec.filters[0].value",
            Syntax,
            "quotes",
        ),
        (
            "{type: Counter, filters: [{value: x}]}",
            "spec.filters[0]",
            Syntax,
            "see docs",
        ),
        (
            "{type: Counter, filters: [{field: Proto, matchType: Like}]}",
            "spec.filters[0].matchType",
            Syntax,
            "see docs",
        ),
        (
            "{type: Counter, direction: In}",
            "spec.direction",
            Syntax,
            "see docs",
        ),
        (
            "{type: Counter, metricName: 'a-b'}",
            "spec.metricName",
            BadName,
            "letters",
        ),
        (
            "{type: Counter, metricName: '1a'}",
            "spec.metricName",
            BadName,
            "digit",
        ),
        (
            "{type: Counter, labels: [SrcK8S_NameSpace]}",
            "spec.labels[0]",
            UnknownField,
            "SrcK8S_Namespace",
        ),
        (
            "{type: Counter, labels: [NetworkEvents>Nom], flatten: [NetworkEvents]}",
            "spec.labels[0]",
            UnknownField,
            "Feature, Type",
        ),
        (
            "{type: Counter, labels: [NetworkEvents>Name], remap: {'NetworkEvents>Name': policy}}",
            "spec.labels[0]",
            Contradiction,
            "add NetworkEvents to spec.flatten",
        ),
        (
            "{type: Counter, labels: [NetworkEvents>Name], flatten: [NetworkEvents]}",
            "spec.labels[0]",
            BadName,
            "spec.remap",
        ),
        (
            "{type: Counter, labels: [NetworkEvents], flatten: [NetworkEvents]}",
            "spec.labels[0]",
            WrongField,
            "NetworkEvents>Name",
        ),
        (
            "{type: Counter, labels: [pod_labels]}",
            "spec.labels[0]",
            WrongField,
            "another field",
        ),
        (
            "{type: Counter, labels: [start]}",
            "spec.labels[0]",
            WrongField,
            "TimeFlowStartMs",
        ),
        (
            "{type: Counter, labels: [Proto, Proto]}",
            "spec.labels[1]",
            NameTaken,
            "remap",
        ),
        (
            "{type: Counter, labels: [Proto, ns], remap: {ns: Proto}}",
            "spec.labels[1]",
            NameTaken,
            "remap",
        ),
        (
            "{type: Counter, labels: [ns], remap: {ns: __name__}}",
            "spec.remap.ns",
            BadName,
            "another name",
        ),
        (
            "{type: Counter, labels: [ns], remap: {ns: 'a-b'}}",
            "spec.remap.ns",
            BadName,
            "letters",
        ),
        (
            "{type: Histogram, labels: [ns], remap: {ns: le}}",
            "spec.remap.ns",
            BadName,
            "another name",
        ),
        (
            "{type: Counter, labels: [ns], remap: {dst_ns: x}}",
            "spec.remap.dst_ns",
            Contradiction,
            "spec.labels",
        ),
        (
            "{type: Counter, flatten: [Proto]}",
            "spec.flatten[0]",
            WrongField,
            "Flags",
        ),
        (
            "{type: Counter, flatten: [Flags, Flags]}",
            "spec.flatten[1]",
            Contradiction,
            "once",
        ),
        (
            "{type: Counter, valueField: SrcK8S_Name}",
            "spec.valueField",
            WrongField,
            "Bytes",
        ),
        (
            "{type: Counter, valueField: Bites}",
            "spec.valueField",
            UnknownField,
            "Bytes",
        ),
        (
            "{type: Counter, filters: [{field: nobodyhasthis}]}",
            "spec.filters[0].field",
            UnknownField,
            "see docs",
        ),
        (
            "{type: Counter, filters: [{field: ns, value: '(', matchType: MatchRegex}]}",
            "spec.filters[0].value",
            BadRegex,
            "mend",
        ),
        (
            "{type: Counter, filters: [{field: ns, value: '(?!x)', matchType: NotMatchRegex}]}",
            "spec.filters[0].value",
            BadRegex,
            "mend",
        ),
        (
            "{type: Counter, filters: [{field: ns, value: '$(DstK8S_Namespac)'}]}",
            "spec.filters[0].value",
            UnknownField,
            "DstK8S_Namespace",
        ),
        (
            "{type: Histogram, buckets: ['a']}",
            "spec.buckets[0]",
            BadBuckets,
            "number",
        ),
        (
            "{type: Histogram, buckets: ['NaN']}",
            "spec.buckets[0]",
            BadBuckets,
            "number",
        ),
        (
            "{type: Histogram, buckets: ['1', '1']}",
            "spec.buckets[1]",
            BadBuckets,
            "ascending",
        ),
        (
            "{type: Histogram, buckets: ['2', '1']}",
            "spec.buckets[1]",
            BadBuckets,
            "ascending",
        ),
        (
            "{type: Histogram, buckets: ['-inf']}",
            "spec.buckets[0]",
            BadBuckets,
            "leave",
        ),
        (&long, "spec.buckets", BadBuckets, "200"),
        (
            "{type: Counter, divider: '0'}",
            "spec.divider",
            BadNumber,
            "leave it out",
        ),
        ("{type: Counter, divider: ten}", "spec.divider", BadNumber, "1000"),
        ("{type: Counter, divider: inf}", "spec.divider", BadNumber, "1000"),
        (
            "{type: Counter, divider: '-1'}",
            "spec.divider",
            BadNumber,
            "Gauge",
        ),
        (
            "{type: Counter, charts: [{title: t, type: Line, queries: [{promQL: a, legend: l, top: 0}]}]}",
            "spec.charts[0].queries[0].top",
            BadNumber,
            "1 or more",
        ),
    ];
    for (spec, field, kind, remedy) in table {
        let problems = check(spec).expect_err(spec);
        let found = problems.iter().find(|problem| problem.field == *field);
        let found = found.unwrap_or_else(|| panic!("{spec}: {problems:?}"));
        assert_eq!(found.kind, *kind, "{spec}");
        assert!(found.remedy.contains(remedy), "{spec}: {found}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let problems =
        check("{type: Counter, labels: [nobody_a, nobody_b], divider: x, valueField: ns}").unwrap_err();
    let fields: Vec<_> = problems.iter().map(|problem| &*problem.field).collect();
    assert_eq!(
        fields,
        [
            "spec.labels[0]",
            "spec.labels[1]",
            "spec.valueField",
            "spec.divider"
        ]
    );
}

#[test]
fn a_bad_bound_of_series_is_refused() {
    let mut metric = read("{type: Counter}").unwrap();
    for text in ["0", "-1", "many", ""] {
        metric
            .metadata
            .annotations
            .insert("weir.dev/max-series".to_owned(), text.to_owned());
        let problems = Definition::new(&metric).unwrap_err();
        assert_eq!(problems[0].field, "metadata.annotations[weir.dev/max-series]");
    }
}

#[test]
fn what_is_unwise_is_taken_and_warned_of() {
    let table = [
        ("{type: Counter}", "spec.metricName", "_total"),
        ("{type: Gauge, labels: [SrcAddr]}", "spec.labels[0]", "unsafe"),
        ("{type: Gauge, labels: [DstPort]}", "spec.labels[0]", "many"),
        (
            "{type: Gauge, labels: [TimeFlowRttNs]}",
            "spec.labels[0]",
            "nothing fills",
        ),
        ("{type: Gauge, buckets: ['1']}", "spec.buckets", "Histogram"),
        (
            "{type: Gauge, filters: [{field: ns}]}",
            "spec.filters[0].value",
            "Absence",
        ),
        (
            "{type: Gauge, filters: [{field: ns, value: x, matchType: Presence}]}",
            "spec.filters[0].value",
            "not read",
        ),
    ];
    for (spec, field, message) in table {
        let definition = check(spec).unwrap_or_else(|problems| panic!("{spec}: {problems:?}"));
        let warned = definition
            .warnings()
            .iter()
            .find(|warning| warning.field == field);
        let warned = warned.unwrap_or_else(|| panic!("{spec}: {:?}", definition.warnings()));
        assert!(warned.message.contains(message), "{spec}: {warned:?}");
    }
    let fine =
        check("{type: Counter, metricName: a_total, labels: [SrcK8S_Namespace, dst_ns, Proto]}").unwrap();
    assert_eq!(fine.warnings(), []);
}

#[test]
fn without_a_metric_name_the_objects_name_is_made_one() {
    let mut metric = read("{type: Gauge}").unwrap();
    metric.metadata.name = "workload-syn.in:x".to_owned();
    assert_eq!(
        Definition::new(&metric).unwrap().name(),
        "netobserv_workload_syn_in:x"
    );
}

#[test]
fn what_a_metric_may_cost_is_bounded() {
    let many = |count: usize, one: &str| vec![one; count].join(",");
    let filters = |count, expression: &str| {
        let filter = format!("{{field: ns, matchType: MatchRegex, value: '{expression}'}}");
        format!("{{type: Counter, filters: [{}]}}", many(count, &filter))
    };
    let problem = |spec: &str| {
        let problems = check(spec).unwrap_err();
        (problems[0].field.clone(), problems[0].kind)
    };
    // Usual expressions have room, however many there are.
    for usual in ["^(shop|bank)-.*$", "^\\w+-\\d+$", "(?i)openshift|kube-"] {
        assert!(check(&filters(64, usual)).is_ok(), "{usual}");
    }
    assert_eq!(
        problem(&filters(65, "a")),
        ("spec.filters".to_owned(), ProblemKind::TooMany)
    );
    let value = "spec.filters[0].value".to_owned();
    assert_eq!(
        problem(&filters(1, "\\w{200}")),
        (value.clone(), ProblemKind::BadRegex)
    );
    // What one may take, several may not take each.
    let (one, several) = (filters(1, "\\w{15}"), filters(64, "\\w{15}"));
    assert!(check(&one).is_ok());
    assert_eq!(problem(&several), (value, ProblemKind::BadRegex));
    let labels = format!("{{type: Counter, labels: [{}]}}", many(65, "ns"));
    assert_eq!(problem(&labels), ("spec.labels".to_owned(), ProblemKind::TooMany));
    let long = format!("{{type: Counter, help: '{}'}}", "x".repeat(70_000));
    let problem = read(&long).unwrap_err();
    assert_eq!(
        (problem.field.as_str(), problem.kind),
        ("spec", ProblemKind::TooMany)
    );
}
