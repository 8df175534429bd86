//! The pages behind a gate that asks a scripted Kubernetes, over a store with flows
//! of three namespaces.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;
use tower::ServiceExt;
use weir_flow::{FlowRecord, Identity};
use weir_query::Embedded;
use weir_store::Settings;

use super::*;
use crate::normalise::{self, normalise};
use crate::policies::{Policies, PolicySources};

mod policy;

mod exports;
mod flow_metrics;

#[test]
fn the_document_names_every_page() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    for page in [
        "flows",
        "export",
        "query",
        "matrix",
        "values",
        "tail",
        "fields",
        "filter",
        "me",
        "status",
        "exporters",
        "nodes",
        "exports",
        "exports/changes",
        "exports/plan",
        "policy/explain",
        "policy/generate",
        "policy/coverage",
        "policy/unused",
        "policy/wide",
        "policy/lint",
        "policy/disagreements",
        "flow-metrics",
    ] {
        let page = &document["paths"][format!("/api/v1/{page}")]["get"];
        assert!(page["responses"]["200"].is_object(), "{page}");
        assert!(page["responses"]["401"].is_object(), "{page}");
    }
    let check = &document["paths"]["/api/v1/policy/check"]["post"];
    for status in ["200", "400", "401", "413", "422"] {
        assert!(check["responses"][status].is_object(), "{status}");
    }
    assert!(check["requestBody"]["content"]["application/yaml"].is_object());
}

/// Looks at each object of the document, with the way to it.
fn visit(value: &Value, way: &str, look: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(way, object);
            for (name, inner) in object {
                visit(inner, &format!("{way}/{}", name.replace('/', "~1")), look);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                visit(inner, &format!("{way}/{at}"), look);
            }
        }
        _ => {}
    }
}

#[test]
fn all_that_the_document_refers_to_is_in_it() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let (mut missing, mut referred) = (Vec::new(), std::collections::BTreeSet::new());
    visit(&document, "", &mut |way, object| {
        let Some(Value::String(to)) = object.get("$ref") else {
            return;
        };
        referred.insert(to.clone());
        if document.pointer(to.trim_start_matches('#')).is_none() {
            missing.push(format!("{way}: {to}"));
        }
    });
    assert!(missing.is_empty(), "{missing:#?}");
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(
            referred.contains(&format!("#/components/schemas/{name}")),
            "{name} is of no use"
        );
    }
}

/// What OpenAPI 3.1.0 (4.8) and JSON Schema 2020-12 demand of the parts that we use.
#[test]
fn the_document_is_one_of_openapi() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    for field in ["title", "version"] {
        assert!(document["info"][field].is_string(), "{field}");
    }
    let types = [
        "string", "integer", "number", "boolean", "array", "object", "null",
    ];
    let mut operations = std::collections::BTreeSet::new();
    visit(&document, "", &mut |way, object| {
        if let Some(id) = object.get("operationId") {
            assert!(operations.insert(id.to_string()), "{way}: {id} twice");
            let responses = object["responses"].as_object().unwrap();
            assert!(!responses.is_empty(), "{way}");
            for (status, response) in responses {
                assert!(
                    status.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)),
                    "{way}: {status}"
                );
                assert!(response["description"].is_string(), "{way}: {status}");
            }
        }
        if way.ends_with("/headers") {
            for (name, header) in object {
                assert!(
                    header["schema"].is_object() && header["description"].is_string(),
                    "{way}: {name}"
                );
            }
        }
        if way.ends_with("/content") {
            for (media, content) in object {
                assert!(
                    media.contains('/') && content["schema"].is_object(),
                    "{way}: {media}"
                );
            }
        }
        if let (Some(Value::String(place)), Some(Value::String(name))) =
            (object.get("in"), object.get("name"))
        {
            assert_eq!(place, "query", "{way}: {name}");
            assert!(
                object["schema"].is_object() && object["required"].is_boolean(),
                "{way}: {name}"
            );
        }
        // Not the fields of a record, of which one is called so.
        if let Some(kind) = object.get("type").filter(|_| !way.ends_with("/properties")) {
            let one = |kind: &Value| {
                kind.as_str()
                    .is_some_and(|kind| types.contains(&kind) || kind == "http")
            };
            let all = kind
                .as_array()
                .map_or_else(|| one(kind), |kinds| kinds.iter().all(one));
            assert!(all, "{way}: {kind}");
            assert!(kind != "array" || object.contains_key("items"), "{way}");
        }
    });
    assert_eq!(operations.len(), document["paths"].as_object().unwrap().len());
}

#[test]
fn the_document_says_what_is_no_json_and_which_headers_there_are() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let response = |page: &str, status: &str| {
        document["paths"][format!("/api/v1/{page}")]["get"]["responses"][status].clone()
    };
    for page in ["flows", "query"] {
        let arrow = &response(page, "200")["content"]["application/vnd.apache.arrow.stream"]["schema"];
        assert_eq!(arrow["$ref"], "#/components/schemas/ArrowStream", "{page}");
        assert!(
            response(page, "200")["headers"]["weir-note"].is_object(),
            "{page}"
        );
        assert!(
            response(page, "429")["headers"]["retry-after"].is_object(),
            "{page}"
        );
        assert!(
            response(page, "401")["headers"]["www-authenticate"].is_object(),
            "{page}"
        );
    }
    let stream = &document["components"]["schemas"]["ArrowStream"];
    assert_eq!(
        (&stream["type"], &stream["format"]),
        (&"string".into(), &"binary".into())
    );
    assert!(response("flows", "200")["headers"]["weir-cursor"].is_object());
}

fn flow(ns: &str, dst_ns: &str, now_ns: u64) -> FlowRecord {
    let context = normalise::Context {
        received_ns: now_ns,
        source: [192, 0, 2, 1].into(),
        exporter: None,
    };
    let mut record = normalise(wire::Record::default(), context);
    let identity = |ns: &str| {
        Arc::new(Identity {
            ns: ns.into(),
            ..Identity::default()
        })
    };
    record.bytes = Some(100);
    record.primary = true;
    record.src.identity = identity(ns).into();
    record.dst.identity = identity(dst_ns).into();
    record
}

struct Behind {
    _directory: tempfile::TempDir,
    writer: weir_store::Writer,
    router: Router,
    metrics: Arc<Metrics>,
    flow_metrics: FlowMetrics,
    asked: reviews::tests::Asked,
    /// What was read of the objects about the export.
    read: crate::exports::tests::Asked,
}

/// alice may get pods in shop and cart; root in all namespaces.
async fn behind_kubernetes() -> Behind {
    let pairs = [("shop", "bank"), ("bank", "bank"), ("bank", "cart"), ("", "bank")];
    with_flows(&pairs.map(|(ns, dst)| flow(ns, dst, now_ns()))).await
}

fn now_ns() -> u64 {
    jiff::Timestamp::now().as_nanosecond() as u64 - 1_000_000_000
}

async fn with_flows(flows: &[FlowRecord]) -> Behind {
    with_objects(flows, None).await
}

/// With these objects of a cluster.
async fn with_objects(flows: &[FlowRecord], objects: Option<&str>) -> Behind {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, reader, _) = weir_store::open(Settings::new(directory.path())).unwrap();
    writer.append(flows).unwrap();
    writer.flush();
    let (reviews, asked) = reviews::tests::server().await;
    let gate = Gate::Kubernetes(Arc::new(reviews));
    let files = objects.map(|objects| {
        let file = directory.path().join("cluster.yaml");
        std::fs::write(&file, objects).unwrap();
        file
    });
    let sources = PolicySources {
        paths: files.into_iter().collect(),
        ..PolicySources::default()
    };
    let metrics = Arc::<Metrics>::default();
    let mut policies = Policies::new(&sources, false);
    // They are read at once; that they may change is nothing here.
    let mut tasks = tokio::task::JoinSet::new();
    policies.follow(sources, None, None, metrics.policies(), &mut tasks);
    let (_names, snapshots) = watch::channel(Snapshot::default());
    let flow_metrics = FlowMetrics::new(1);
    let (export_objects, read) = crate::exports::tests::server().await;
    let api = Api::start(
        gate,
        Some(Arc::new(Embedded::new(reader))),
        policies.objects,
        snapshots,
        Arc::clone(&metrics),
        flow_metrics.clone(),
        Some(export_objects),
    )
    .unwrap();
    Behind {
        _directory: directory,
        writer,
        router: routes(api),
        metrics,
        flow_metrics,
        asked,
        read,
    }
}

impl Behind {
    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let mut request = Request::get(format!("/api/v1/{path}"));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

#[tokio::test]
async fn a_user_sees_flows_with_an_end_in_their_namespaces_and_no_others() {
    let behind = behind_kubernetes().await;
    let (status, flows) = behind.get("flows?columns=ns,dst_ns", "alice-token").await;
    assert_eq!(status, 200, "{flows}");
    let mut ends: Vec<_> = flows["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| [&row["ns"], &row["dst_ns"]])
        .collect();
    ends.sort_by_key(|ends| ends[0].to_string());
    assert_eq!(ends, [["bank", "cart"], ["shop", "bank"]]);
    for filter in [
        "",
        "ns%20%3D%3D%20%22bank%22%20%7C%7C%20true",
        "!(ns%20%3D%3D%20%22shop%22)%20%7C%7C%20true",
    ] {
        let (_, sums) = behind.get(&format!("query?filter={filter}"), "alice-token").await;
        assert_eq!(sums["totals"]["flows"], 2, "{filter}: {sums}");
    }
    let (_, all) = behind.get("query", "root-token").await;
    assert_eq!(all["totals"]["flows"], 4, "{all}");
}

#[tokio::test]
async fn a_stranger_sees_no_foreign_policys_name() {
    let behind = behind_kubernetes().await;
    let by_name = "ingress_policy%20%3D%3D%20%22shop/db%22";
    for path in [
        format!("flows?filter={by_name}"),
        format!("export?filter={by_name}"),
        format!("query?filter={by_name}"),
        format!("matrix?filter={by_name}"),
        format!("tail?filter={by_name}&seconds=1"),
        "flows?columns=ns,egress_policy_rule".to_owned(),
        "query?group_by=ingress_policy".to_owned(),
        "query?measures=distinct_egress_policy".to_owned(),
        "values?field=ingress_policy".to_owned(),
    ] {
        let (status, problem) = behind.get(&path, "alice-token").await;
        assert_eq!(status, 403, "{path}: {problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains("networkpolicies"),
            "{problem}"
        );
    }
    let (_, flows) = behind.get("flows", "alice-token").await;
    let has = |flows: &Value, name: &str| flows["columns"].as_array().unwrap().contains(&name.into());
    assert!(
        !has(&flows, "ingress_policy") && has(&flows, "policy_verdict"),
        "{flows}"
    );
    // The verdict itself is the flow's.
    let (status, sums) = behind.get("query?group_by=policy_verdict", "alice-token").await;
    assert_eq!(status, 200, "{sums}");
    // Who may read policies sees everything.
    let (status, sums) = behind.get("query?group_by=ingress_policy", "root-token").await;
    assert_eq!(status, 200, "{sums}");
    let (_, flows) = behind.get("flows", "root-token").await;
    assert!(has(&flows, "ingress_policy"), "{flows}");
}

#[tokio::test]
async fn a_user_sees_edges_with_an_end_in_their_namespaces_and_no_others() {
    let behind = behind_kubernetes().await;
    let edges = async |query: &str, token: &str| {
        let (status, matrix) = behind.get(&format!("matrix?{query}"), token).await;
        assert_eq!(status, 200, "{matrix}");
        let rows = matrix["rows"].as_array().unwrap().iter();
        let mut ends: Vec<_> = rows
            .map(|row| format!("{} {}", row["ns"], row["dst_ns"]))
            .collect();
        ends.sort_unstable();
        ends
    };
    assert_eq!(edges("", "root-token").await.len(), 4);
    let theirs = [r#""bank" "cart""#, r#""bank" "shop""#];
    // Nothing tells who called: the ends stand in the order of their names.
    for filter in [
        "",
        "filter=ns%20%3D%3D%20%22bank%22%20%7C%7C%20true&direction=both",
        "by=ns&ports=true",
    ] {
        assert_eq!(edges(filter, "alice-token").await, theirs, "{filter}");
    }
    let (status, problem) = behind.get("matrix?filter=bytes%20%3E%205", "root-token").await;
    assert_eq!(status, 400, "{problem}");
    assert_eq!(behind.get("matrix?direction=up", "root-token").await.0, 400);
    assert_eq!(behind.get("matrix", "").await.0, 401);
}

#[tokio::test]
async fn what_a_user_writes_down_shows_them_no_flows_of_others() {
    let in_network = |network: &str| {
        let mut record = flow("bank", "shop", now_ns());
        let dst = Identity {
            network: network.into(),
            ..(*record.dst.identity).clone()
        };
        record.dst.identity = Arc::new(dst).into();
        record
    };
    // A Service's own address, a pod's own; then what its owner says, each in its way.
    let networks = ["", "primary", "external", "unproven", "shop/blue"];
    let behind = with_flows(&networks.map(in_network)).await;
    let (_, flows) = behind.get("flows?columns=dst_network", "alice-token").await;
    let seen = flows["rows"].as_array().unwrap().iter();
    let mut seen: Vec<_> = seen.map(|row| row["dst_network"].as_str().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["", "primary"]);
    let (_, sums) = behind.get("query", "alice-token").await;
    assert_eq!(sums["totals"]["flows"], 2, "{sums}");
    let (_, all) = behind.get("query", "root-token").await;
    assert_eq!(all["totals"]["flows"], 5, "{all}");
}

#[tokio::test]
async fn values_are_those_of_flows_that_the_user_sees() {
    let behind = behind_kubernetes().await;
    let names = async |path: &str, token: &str| {
        let (_, answer) = behind.get(path, token).await;
        let values = answer["values"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .iter();
        let mut names: Vec<_> = values
            .map(|value| value["value"].as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        names("values?field=ns", "root-token").await,
        ["bank", "cart", "shop"]
    );
    assert_eq!(names("values?field=ns", "alice-token").await, ["bank", "shop"]);
    assert_eq!(
        names("values?field=dst_ns", "alice-token").await,
        ["bank", "cart"]
    );
}

#[tokio::test]
async fn without_a_token_that_kubernetes_accepts_no_page_tells_anything() {
    let behind = behind_kubernetes().await;
    for page in [
        "flows",
        "export",
        "query",
        "values?field=ns",
        "tail",
        "fields",
        "filter",
        "me",
        "status",
        "exporters",
        "nodes",
        "openapi.json",
    ] {
        assert_eq!(behind.get(page, "").await.0, 401, "{page}");
        assert_eq!(behind.get(page, "forged").await.0, 401, "{page}");
    }
    assert_eq!(behind.get("flows", "nobody-token").await.0, 403);
    assert_eq!(behind.get("fields", "nobody-token").await.0, 200);
}

#[tokio::test]
async fn what_was_left_unread_is_told_to_those_alone_who_see_everything() {
    let behind = behind_kubernetes().await;
    for page in ["flows", "query", "query?top=1&bucket=1m"] {
        let (status, all) = behind.get(page, "root-token").await;
        assert!(status == 200 && all["stats"]["segments"].is_u64(), "{all}");
        let (status, some) = behind.get(page, "alice-token").await;
        assert!(status == 200 && some.get("stats").is_none(), "{some}");
    }
    let (status, explained) = behind.get("query?explain=true", "root-token").await;
    assert!(status == 200 && explained["plan"].is_string(), "{explained}");
    let (status, refused) = behind.get("query?explain=true", "alice-token").await;
    assert!(status == 403 && refused.get("stats").is_none(), "{refused}");
}

#[tokio::test]
async fn kubernetes_is_asked_about_the_namespaces_of_the_time_that_is_asked_about() {
    let hour = 3_600_000_000_000;
    let mut behind = with_flows(&[flow("shop", "bank", now_ns() - 5 * hour)]).await;
    behind.writer.seal().unwrap();
    behind.writer.append(&[flow("cart", "cart", now_ns())]).unwrap();
    behind.writer.flush();
    let (status, sums) = behind.get("query?since=1h", "alice-token").await;
    assert_eq!((status, &sums["totals"]["flows"]), (200, &1.into()), "{sums}");
    let asked: Vec<String> = behind.asked.lock().unwrap().keys().cloned().collect();
    assert_eq!(asked, ["alice *", "alice cart", "token alice-token"]);
    let (_, sums) = behind.get("values?field=ns&since=6h", "alice-token").await;
    assert_eq!(sums["values"].as_array().unwrap().len(), 2, "{sums}");
    assert!(behind.asked.lock().unwrap().contains_key("alice bank"));
}

#[tokio::test]
async fn what_is_counted_of_all_namespaces_is_told_to_those_alone_who_see_everything() {
    let behind = behind_kubernetes().await;
    for page in ["status", "exporters"] {
        let (status, all) = behind.get(page, "root-token").await;
        assert_eq!(status, 200, "{page}: {all}");
        let (status, refused) = behind.get(page, "alice-token").await;
        assert_eq!(status, 403, "{page}: {refused}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains("get pods in all namespaces"), "{detail}");
    }
}

#[tokio::test]
async fn what_came_from_each_node_is_told_to_those_who_may_list_its_exports() {
    let behind = behind_kubernetes().await;
    let mut worker = crate::registry::ExporterTally::new(Arc::clone(behind.metrics.exporters()));
    let mut ipfix = crate::registry::Reception::default();
    let summary = wire::Summary {
        records: 2,
        data_records: 3,
        ..Default::default()
    };
    ipfix.count(&summary, 1_800_000_000_000);
    *worker.node(&"node-a".into()).format(wire::Protocol::Ipfix) = ipfix;
    worker.node(&"node-a".into()).format(wire::Protocol::Ipfix).lost += 1;
    worker.publish();
    for asker in ["operator-token", "root-token"] {
        let (status, answer) = behind.get("nodes", asker).await;
        assert_eq!(status, 200, "{asker}: {answer}");
        let expected = serde_json::json!([{"node": "node-a", "formats": [{"format": "ipfix",
            "last": "2027-01-15T08:00:00Z", "datagrams": 1, "records": 2, "sequenced": 3, "lost": 1}]}]);
        assert_eq!(answer["nodes"], expected);
        assert!(answer["since"].as_str() <= answer["time"].as_str(), "{answer}");
    }
    let (status, refused) = behind.get("nodes", "alice-token").await;
    assert!(
        status == 403
            && refused["detail"]
                .as_str()
                .unwrap()
                .contains("list nodeflowexports"),
        "{refused}"
    );
}

#[tokio::test]
async fn everybody_is_told_who_they_are_and_what_they_see() {
    let behind = behind_kubernetes().await;
    let (status, root) = behind.get("me", "root-token").await;
    assert_eq!(
        (status, &root["name"], &root["known_by"]),
        (200, &"root".into(), &"token".into())
    );
    assert_eq!(
        (&root["sees_everything"], &root["stores"]),
        (&true.into(), &true.into())
    );
    assert_eq!(root["oldest"].as_array().map(Vec::len), Some(4), "{root}");
    let (_, alice) = behind.get("me", "alice-token").await;
    let seen = serde_json::json!(["cart", "shop"]);
    assert_eq!(
        (&alice["sees_everything"], &alice["namespaces"]),
        (&false.into(), &seen)
    );
    let (status, nobody) = behind.get("me", "nobody-token").await;
    assert_eq!(
        (status, &nobody["namespaces"]),
        (200, &serde_json::json!([])),
        "{nobody}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_with_what_to_ask_instead() {
    let behind = behind_kubernetes().await;
    for (page, parameter, value) in [
        ("flows?filter=nss%20%3D%3D%20%22a%22", "filter", "ns == \"a\""),
        ("export?filter=nss%20%3D%3D%20%22a%22", "filter", "ns == \"a\""),
        ("tail?filter=nss%20%3D%3D%20%22a%22", "filter", "ns == \"a\""),
        ("flows?columns=ns,zonne", "columns", "ns,zone"),
        ("export?columns=ns,zonne", "columns", "ns,zone"),
        ("query?group_by=zonne", "group_by", "zone"),
        ("values?field=zonne", "field", "zone"),
    ] {
        let (status, problem) = behind.get(page, "root-token").await;
        let suggested = &problem["suggest"][0];
        assert_eq!(status, 400, "{page}: {problem}");
        assert_eq!(
            (&suggested["parameter"], &suggested["value"]),
            (&parameter.into(), &value.into()),
            "{page}"
        );
    }
}

#[tokio::test]
async fn values_within_a_question_are_those_of_its_flows() {
    let behind = behind_kubernetes().await;
    let (_, answer) = behind
        .get(
            "values?field=dst_ns&filter=ns%20%3D%3D%20%22bank%22",
            "root-token",
        )
        .await;
    let values = answer["values"].as_array().unwrap().iter();
    let mut names: Vec<_> = values.map(|value| value["value"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bank", "cart"], "{answer}");
}

#[tokio::test]
async fn one_person_does_not_take_all_tails_whatever_tokens_they_show() {
    let behind = behind_kubernetes().await;
    let begin = async |token: &str| {
        let request = Request::get("/api/v1/tail").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        behind.router.clone().oneshot(request).await.unwrap()
    };
    let mut held = Vec::new();
    for _ in 0..TAILS_OF_ONE {
        held.push(begin("root-token").await);
    }
    assert!(held.iter().all(|response| response.status() == 200));
    let refused = begin("root-token").await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"1".parse().unwrap())
    );
    assert_eq!(begin("alice-token").await.status(), 200);
}

/// Lines of an export, and its trailers.
async fn exported(behind: &Behind, page: &str, token: &str) -> (Vec<u8>, axum::http::HeaderMap) {
    use http_body_util::BodyExt;
    let request = Request::get(format!("/api/v1/{page}")).header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    let response = behind.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let whole = response.into_body().collect().await.unwrap();
    let trailers = whole.trailers().cloned().unwrap();
    (whole.to_bytes().to_vec(), trailers)
}

#[tokio::test]
async fn an_export_has_all_records_that_its_asker_sees_and_says_that_it_is_whole() {
    let mut flows: Vec<_> = (0..30_000).map(|_| flow("shop", "bank", now_ns())).collect();
    flows.push(flow("bank", "bank", now_ns()));
    let mut behind = with_flows(&flows).await;
    behind.writer.seal().unwrap();
    behind.writer.append(&[flow("cart", "bank", now_ns())]).unwrap();
    behind.writer.flush();
    for (token, records) in [("root-token", 30_002), ("alice-token", 30_001)] {
        let (lines, trailers) = exported(&behind, "export?columns=ns,dst_ns,bytes", token).await;
        let lines = String::from_utf8(lines).unwrap();
        let rows: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rows.len(), records, "{token}");
        let bytes: u64 = rows.iter().filter_map(|row| row["bytes"].as_u64()).sum();
        assert_eq!(bytes, 100 * records as u64);
        assert_eq!(trailers["weir-complete"], "true");
        assert_eq!(trailers["weir-records"], records.to_string().as_str());
    }
    let filter = "filter=ns%20%3D%3D%20%22cart%22";
    let (csv, _) = exported(
        &behind,
        &format!("export?columns=ns,dst_ns&format=csv&{filter}"),
        "root-token",
    )
    .await;
    assert_eq!(String::from_utf8(csv).unwrap(), "ns,dst_ns\r\ncart,bank\r\n");
    let (parquet, _) = exported(&behind, "export?format=parquet", "root-token").await;
    assert_eq!(
        (&parquet[..4], &parquet[parquet.len() - 4..]),
        (&b"PAR1"[..], &b"PAR1"[..])
    );
    let (arrow, _) = exported(
        &behind,
        "export?format=arrow&filter=bytes%20%3C%200",
        "root-token",
    )
    .await;
    assert!(!arrow.is_empty(), "it has a schema");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_accept_it_and_tails_are_not() {
    let flows: Vec<_> = (0..200).map(|_| flow("shop", "bank", now_ns())).collect();
    let behind = with_flows(&flows).await;
    let get = async |page: &str, accepted: &str| {
        let request = Request::get(format!("/api/v1/{page}"))
            .header("authorization", "Bearer root-token")
            .header("accept-encoding", accepted);
        let request = request.body(Body::empty()).unwrap();
        let response = behind.router.clone().oneshot(request).await.unwrap();
        let coding = response
            .headers()
            .get("content-encoding")
            .map(|coding| coding.to_str().unwrap().to_owned());
        (coding, response)
    };
    let (plain, response) = get("flows?limit=200", "identity").await;
    let whole = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    assert_eq!(plain, None);
    let (coding, response) = get("flows?limit=200", "gzip, zstd").await;
    assert_eq!(coding.as_deref(), Some("zstd"));
    assert_eq!(response.headers()["vary"], "accept, accept-encoding");
    let small = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    assert!(small.len() * 5 < whole.len(), "{} {}", small.len(), whole.len());
    let back: Value = serde_json::from_slice(&zstd::bulk::decompress(&small, 1 << 24).unwrap()).unwrap();
    assert_eq!(back["rows"].as_array().map(Vec::len), Some(200));
    assert_eq!(
        get("flows?limit=200&format=arrow", "gzip").await.0.as_deref(),
        Some("gzip")
    );
    assert_eq!(get("tail", "gzip, zstd").await.0, None);
}
