use serde_json::json;

use super::*;

fn row(fields: Value) -> Row {
    serde_json::from_value(fields).unwrap()
}

#[test]
fn an_end_is_a_pod_a_node_a_service_or_outside() {
    let shown = |fields: Value| end(&row(fields), "dst_").map(|end| end.to_string());
    let pod = json!({"dst_ns": "shop", "dst_workload_kind": "Deployment", "dst_workload_name": "web",
        "dst_pod_name": "web-1"});
    assert_eq!(shown(pod).as_deref(), Some("shop/deployment/web"));
    let bare = json!({"dst_ns": "shop", "dst_workload_kind": "Pod", "dst_workload_name": "job-1"});
    assert_eq!(shown(bare).as_deref(), Some("shop/job-1"));
    let service = json!({"dst_ns": "shop", "dst_workload_kind": "Service", "dst_workload_name": "web"});
    assert_eq!(shown(service).as_deref(), Some("service shop/web"));
    let node = json!({"dst_ns": "", "dst_workload_kind": "Node", "dst_workload_name": "n1"});
    assert_eq!(shown(node).as_deref(), Some("node n1"));
    let internet = json!({"dst_ns": "", "dst_workload_kind": "internet", "dst_subnet_label": "office"});
    assert_eq!(shown(internet), None);
}

/// `web` called `db`, three records and two back.
fn call() -> Value {
    json!({
        "ns": "shop", "workload_kind": "Deployment", "workload_name": "web", "pod_name": "web-1",
        "dst_ns": "bank", "dst_workload_kind": "StatefulSet", "dst_workload_name": "db", "dst_pod_name": "db-0",
        "dst_port": 5432, "protocol": "tcp", "flows": 3, "reverse_flows": 2, "bytes": 30, "reverse_bytes": 20,
        "first_seen": "1970-01-01T00:00:01Z", "last_seen": "1970-01-01T00:00:02Z", "strength": "proven",
    })
}

#[test]
fn a_row_is_one_edge_of_both_directions() {
    let mut gathering = Gathering::default();
    gathering.take(&row(call()));
    assert_eq!(gathering.outside_of("", true), None);
    let edges = gathering.finish().0;
    let [edge] = edges.edges() else { panic!() };
    assert_eq!((edge.flows, edge.bytes, edge.answered), (5, 50, true));
    assert_eq!((edge.port, edge.strength), (5432, Strength::Proven));
    assert_eq!((edge.first, edge.last), (1_000_000_000, 2_000_000_000));
    assert_eq!(edge.protocol, 6);
}

/// Ten records of `web` to somebody outside.
fn outside() -> Gathering {
    let mut gathering = Gathering::default();
    let mut fields = call();
    for (name, value) in [
        ("dst_ns", json!("")),
        ("dst_workload_kind", json!("internet")),
        ("dst_workload_name", json!("")),
        ("dst_pod_name", json!("")),
        ("flows", json!(10)),
    ] {
        fields[name] = value;
    }
    gathering.take(&row(fields));
    gathering
}

fn address(address: &str, flows: u64) -> Row {
    row(json!({
        "ns": "shop", "workload_kind": "Deployment", "workload_name": "web", "pod_name": "web-1",
        "dst_addr": address, "dst_workload_kind": "internet", "dst_port": 5432, "proto": 6, "flows": flows, "bytes": 7,
        "first_seen": "1970-01-01T00:00:01Z", "last_seen": "1970-01-01T00:00:02Z",
    }))
}

fn told(edges: &EdgeSet) -> Vec<(String, u64)> {
    let mut told: Vec<_> = edges
        .edges()
        .iter()
        .map(|edge| (edges.at(edge.server).to_string(), edge.flows))
        .collect();
    told.sort();
    told
}

#[test]
fn addresses_outside_come_from_records_and_the_rest_is_of_nobody_known() {
    let mut gathering = outside();
    let question = gathering.outside_of("dst_port == 5432", true).unwrap();
    assert!(
        question.filter.ends_with(" && (dst_port == 5432)"),
        "{question:?}"
    );
    assert!(question.group_by.contains(&"dst_addr".to_owned()), "{question:?}");
    assert_eq!(gathering.outside_of("", false), None);
    let rows = [address("203.0.113.9", 4), address("198.51.100.1", 3)];
    gathering.take_addresses(true, &rows);
    let told = told(&gathering.finish().0);
    let rest = ("unknown".to_owned(), 3);
    assert_eq!(
        told,
        [
            ("198.51.100.1".to_owned(), 3),
            ("203.0.113.9".to_owned(), 4),
            rest
        ]
    );
}

#[test]
fn what_records_tell_in_full_leaves_no_rest_and_more_than_there_was_is_no_debt() {
    for flows in [10, 11] {
        let mut gathering = outside();
        gathering.take_addresses(true, &[address("203.0.113.9", flows)]);
        assert_eq!(told(&gathering.finish().0), [("203.0.113.9".to_owned(), flows)]);
    }
}

#[test]
fn records_of_pods_count_for_the_workload_that_the_matrix_names() {
    let mut gathering = Gathering::default();
    let mut fields = call();
    fields["pod_name"] = json!("");
    fields["dst_ns"] = json!("");
    fields["dst_workload_kind"] = json!("internet");
    gathering.take(&row(fields));
    gathering.take_addresses(true, &[address("203.0.113.9", 3)]);
    assert_eq!(told(&gathering.finish().0), [("203.0.113.9".to_owned(), 3)]);
}

#[test]
fn calls_of_others_than_the_filter_s_source_are_asked_for_by_the_namespaces_that_are_in_them() {
    let gathering = outside();
    let question = gathering.outside_of_all(true).unwrap();
    assert!(
        question.filter.ends_with(r#" && (ns in ["shop"])"#),
        "{question:?}"
    );
    assert_eq!(gathering.outside_of_all(false), None);
}

#[test]
fn an_address_is_of_the_network_s_row_that_it_was_stored_with() {
    let mut gathering = Gathering::with_parts();
    for label in ["office", "payments"] {
        let mut fields = call();
        fields["dst_ns"] = json!("");
        fields["dst_workload_kind"] = json!("private");
        fields["dst_subnet_label"] = json!(label);
        gathering.take(&row(fields));
    }
    let mut office = address("10.0.0.9", 3);
    office.insert("dst_workload_kind".to_owned(), json!("private"));
    office.insert("dst_subnet_label".to_owned(), json!("office"));
    gathering.take_addresses(true, &[office]);
    let (edges, parts) = gathering.finish();
    let mut told: Vec<_> = parts
        .iter()
        .map(|part| {
            let server = edges.at(part.edge.server).to_string();
            (part.row.server[4].clone(), server)
        })
        .collect();
    told.sort();
    let expected = [("office", "office (10.0.0.9)"), ("payments", "unknown")];
    assert_eq!(
        told,
        expected.map(|(label, end)| (label.to_owned(), end.to_owned()))
    );
}

#[test]
fn rows_of_one_edge_are_one_edge_and_stay_two_parts() {
    let mut gathering = Gathering::with_parts();
    let mut undirected = call();
    undirected["strength"] = json!("unknown");
    gathering.take(&row(call()));
    gathering.take(&row(undirected));
    let (edges, parts) = gathering.finish();
    assert_eq!(edges.edges().len(), 1);
    let told: Vec<_> = parts
        .iter()
        .map(|part| (part.row.is_directed, part.edge.strength))
        .collect();
    assert_eq!(told, [(true, Strength::Proven), (false, Strength::Unknown)]);
}

#[test]
fn a_call_outside_of_which_answers_alone_were_seen_is_of_somebody_unknown() {
    let mut gathering = Gathering::with_parts();
    let mut fields = call();
    fields["dst_ns"] = json!("");
    fields["dst_workload_kind"] = json!("internet");
    fields["flows"] = json!(0);
    gathering.take(&row(fields));
    gathering.take_addresses(true, []);
    let (edges, parts) = gathering.finish();
    assert_eq!(told(&edges), [("unknown".to_owned(), 0)]);
    assert!(parts.len() == 1 && parts[0].edge.answered, "{parts:?}");
}

/// Whatever a row tells, and to wherever: what its parts count is what its `flows` say.
#[test]
fn the_flows_of_a_row_s_parts_are_the_client_s_in_the_cluster_and_outside() {
    for (flows, reverse, addresses) in [(10, 10, 4), (10, 0, 10), (3, 9, 0), (0, 7, 0)] {
        for namespace in ["bank", ""] {
            let mut gathering = Gathering::with_parts();
            let mut fields = call();
            fields["flows"] = json!(flows);
            fields["reverse_flows"] = json!(reverse);
            fields["dst_ns"] = json!(namespace);
            if namespace.is_empty() {
                fields["dst_workload_kind"] = json!("internet");
            }
            gathering.take(&row(fields));
            let known = (addresses > 0).then(|| address("203.0.113.9", addresses));
            gathering.take_addresses(true, &known);
            let parts = gathering.finish().1;
            let counted: u64 = parts.iter().map(|part| part.edge.flows).sum();
            assert!(!parts.is_empty(), "{flows}/{reverse} {namespace:?}");
            assert_eq!(counted, flows, "{flows}/{reverse} {namespace:?}");
        }
    }
}
