use weir_decisions::matrix::END_FIELDS;

use std::convert::Infallible;
use std::sync::Arc;

use serde_json::{Value, json};
use weir_decisions::Sight;
use weir_policy::parse::Objects;
use weir_policy::{Cni, Profile};
use weir_query::{CallDirection, Question};

use super::*;
use crate::api::answer::{QueryAnswer, Row};
use crate::api::evidence::{Answers, gather_parts};

#[test]
fn ends_are_called_by_the_same_fields_where_they_are_asked_for_and_where_they_are_judged() {
    assert_eq!(END_FIELDS, MatrixEnds::FIELDS);
}

#[test]
fn a_row_by_pod_is_in_the_row_of_its_namespaces() {
    let words = |words: [&str; 5]| words.map(str::to_owned);
    let pod = RowEnds {
        client: words(["shop", "Deployment", "web", "web-1", ""]),
        server: words(["", "private", "private", "", "office"]),
        called: ["tcp", "443"].map(str::to_owned),
        is_directed: true,
    };
    let expected = RowEnds {
        client: words(["shop", "", "", "", ""]),
        server: words(["", "private", "", "", "office"]),
        called: Default::default(),
        is_directed: true,
    };
    assert_eq!(shown(&pod, MatrixEnds::Ns, false), expected);
    assert_eq!(shown(&expected, MatrixEnds::Ns, false), expected);
    assert_eq!(shown(&pod, MatrixEnds::Workload, true).called, pod.called);
}

/// Nobody of the shop may call what is not in the cluster, but one address.
const CLUSTER: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web-1, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {nodeName: a}, status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}], phase: Running}}
- {apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web-2, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true}]}, spec: {nodeName: a}, status: {podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}], phase: Running}}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {namespace: shop, name: out}
  spec:
    podSelector: {}
    policyTypes: [Egress]
    egress: [{to: [{ipBlock: {cidr: 203.0.113.9/32}}]}]
";

/// Two pods of one Deployment call the internet; which is too many to tell by pod.
struct TooMany;

fn call(pod: &str, flows: u64) -> Row {
    let row = json!({
        "ns": "shop", "workload_kind": "Deployment", "workload_name": "web", "pod_name": pod,
        "dst_ns": "", "dst_workload_kind": "internet", "dst_port": 443, "protocol": "tcp", "proto": 6,
        "flows": flows, "reverse_flows": flows, "bytes": 7, "reverse_bytes": 7, "strength": "proven",
        "first_seen": "1970-01-01T00:00:01Z", "last_seen": "1970-01-01T00:00:02Z",
    });
    serde_json::from_value(row).unwrap()
}

impl Answers for TooMany {
    type Error = Infallible;

    async fn matrix(&self, request: &MatrixRequest) -> Result<MatrixAnswer, Infallible> {
        let rows = match request.by {
            MatrixEnds::Pod => vec![call("web-1", 10)],
            _ => vec![call("", 20)],
        };
        Ok(MatrixAnswer {
            edges: if request.by == MatrixEnds::Pod { 2 } else { 1 },
            rows,
            ..MatrixAnswer::default()
        })
    }

    /// `web-2` alone calls what is denied.
    async fn query(&self, _: &Question) -> Result<QueryAnswer, Infallible> {
        let address = |pod: &str, address: &str| {
            let Row(mut fields) = call(pod, 10);
            fields.insert("dst_addr".to_owned(), address.into());
            Row(fields)
        };
        Ok(QueryAnswer {
            rows: vec![address("web-1", "203.0.113.9"), address("web-2", "198.51.100.1")],
            ..QueryAnswer::default()
        })
    }
}

/// The first row of the matrix that is asked for so, and what is noted.
async fn judged(request: MatrixRequest) -> (Value, String) {
    let mut objects = Objects::default();
    objects.add_text(CLUSTER).unwrap();
    let world = World {
        objects: Arc::new(objects),
        policies: Vec::new(),
        profile: Profile::of(Cni::Spec),
        sight: Sight::EVERYTHING,
    };
    let Ok(mut answer) = TooMany.matrix(&request).await;
    let Ok(evidence) = gather_parts(&TooMany, &request).await;
    add(&mut answer, &request, evidence, &world);
    let has_sums = |name: &&&str| answer.columns.iter().any(|column| column == **name);
    let sums = MatrixVerdict::SUMS.iter().filter(has_sums).count();
    let row = Value::from(answer.rows.remove(0).0);
    let in_row = MatrixVerdict::SUMS
        .iter()
        .filter(|name| row.get(**name).is_some());
    assert_eq!(sums, in_row.count(), "columns and rows tell the same");
    let notes: Vec<String> = answer.notes.iter().map(|note| format!("{note:?}")).collect();
    (row, notes.join("\n"))
}

#[tokio::test]
async fn sums_of_a_workload_are_not_told_as_those_of_each_of_its_pods() {
    let by_pod = MatrixRequest {
        by: MatrixEnds::Pod,
        ports: true,
        ..MatrixRequest::default()
    };
    let (row, notes) = judged(by_pod.clone()).await;
    assert_eq!(row["policy_verdict"], "mixed", "{row}");
    assert!(row.get("policy_denied_flows").is_none(), "{row}");
    assert!(notes.contains("whole workloads"), "{notes}");
    let (row, notes) = judged(MatrixRequest {
        by: MatrixEnds::Workload,
        ..by_pod
    })
    .await;
    assert_eq!(
        (&row["policy_verdict"], &row["policy_denied_flows"]),
        (&json!("mixed"), &json!(10)),
        "{row}"
    );
    assert!(!notes.contains("whole workloads"), "{notes}");
}

#[tokio::test]
async fn nobody_is_judged_by_addresses_that_a_pod_called_which_the_filter_leaves_out() {
    for (filter, direction, verdict) in [
        (r#"pod_name == "web-1""#, CallDirection::Both, "unknown"),
        (r#"pod_name == "web-1""#, CallDirection::In, "unknown"),
        ("", CallDirection::Both, "mixed"),
    ] {
        let (row, notes) = judged(MatrixRequest {
            by: MatrixEnds::Pod,
            ports: true,
            filter: filter.to_owned(),
            direction,
            ..MatrixRequest::default()
        })
        .await;
        assert_eq!(row["policy_verdict"], verdict, "{filter}: {row}");
        assert_eq!(notes.contains("whose addresses"), !filter.is_empty(), "{notes}");
    }
}
