//! The pages about policies: who is told what, and what is refused.

use weir_flow::{Kind, Server, ServerConfidence, Who as End};

use super::*;

/// The shop may call the bank's port 5432 alone; `guard` is the cluster's.
const CLUSTER: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: v1, kind: Namespace, metadata: {name: bank}}
- {apiVersion: v1, kind: Namespace, metadata: {name: cart}}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: shop, name: web, labels: {app: web}}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}
- apiVersion: v1
  kind: Pod
  metadata: {namespace: bank, name: db, labels: {secret: label}}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.1.1}]}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {namespace: bank, name: vault}
  spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 5432}]}, {ports: [{port: 9}]}]}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {namespace: shop, name: till}
  spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
- apiVersion: policy.networking.k8s.io/v1alpha1
  kind: AdminNetworkPolicy
  metadata: {name: guard}
  spec:
    priority: 1
    subject: {namespaces: {}}
    ingress: [{name: lets, action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {protocol: TCP, port: 443}}]}]
";

/// Names that are for those who may get them.
const OTHERS: [&str; 4] = ["vault", "guard", "lets", "secret"];

/// A policy of the shop that lets its pods call nobody.
const CLOSED: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop, name: till}, \
    spec: {podSelector: {}, policyTypes: [Egress]}}";

/// A packet of a call of the shop to the bank, or of its answer.
fn packet(port: u16, is_reply: bool) -> FlowRecord {
    let mut record = flow("", "", now_ns());
    record.proto = Some(6);
    let pod = |ns: &str, name: &str| {
        End::from(Identity {
            ns: ns.into(),
            name: name.into(),
            kind: Kind::Pod,
            workload_kind: "Pod".into(),
            workload_name: name.into(),
            ..Identity::default()
        })
    };
    let (mut client, mut server) = (record.src.clone(), record.dst.clone());
    (client.addr, client.port, client.identity) =
        (Some([10, 0, 0, 1].into()), Some(41_000), pod("shop", "web"));
    (server.addr, server.port, server.identity) = (Some([10, 0, 1, 1].into()), Some(port), pod("bank", "db"));
    record.server_confidence = ServerConfidence::Syn;
    (record.server, record.src, record.dst) = match is_reply {
        false => (Server::Dst, client, server),
        true => (Server::Src, server, client),
    };
    record
}

/// alice may get the pods of shop and cart and the policies of shop; root all. The shop called
/// three ports of the bank; of these its policy denies 22.
async fn with_policies() -> Behind {
    let ports = [5432, 443, 22].into_iter();
    let packets: Vec<FlowRecord> = ports
        .flat_map(|port| [packet(port, false), packet(port, true)])
        .collect();
    with_objects(&packets, Some(CLUSTER)).await
}

async fn asked(
    behind: &Behind,
    request: axum::http::request::Builder,
    token: &str,
    body: &str,
) -> (u16, String) {
    let request = request.header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = behind.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let notes: Vec<String> = response
        .headers()
        .get_all("weir-note")
        .iter()
        .map(|note| note.to_str().unwrap().to_owned())
        .collect();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (
        status,
        String::from_utf8(body.to_vec()).unwrap() + &notes.join("\n"),
    )
}

async fn get(behind: &Behind, page: &str, token: &str) -> (u16, String) {
    asked(behind, Request::get(format!("/api/v1/policy/{page}")), token, "").await
}

async fn post(behind: &Behind, query: &str, token: &str, body: &str) -> (u16, String) {
    let request = Request::post(format!("/api/v1/policy/check?{query}"));
    asked(behind, request, token, body).await
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// All pages that are asked without a body, as somebody may ask them who sees the shop.
const PAGES: [&str; 8] = [
    "explain?src=shop/web&dst=10.0.1.1&port=22",
    "explain?src=shop/web&dst=10.0.1.1&port=443",
    "coverage",
    "unused",
    "wide",
    "lint",
    "disagreements",
    "generate?ns=shop&level=namespace",
];

#[tokio::test]
async fn a_stranger_sees_no_foreign_policys_name() {
    let behind = with_policies().await;
    for page in PAGES {
        for form in [
            "json",
            if page.starts_with("generate") {
                "yaml"
            } else {
                "csv"
            },
        ] {
            let sign = if page.contains('?') { '&' } else { '?' };
            let page = format!("{page}{sign}format={form}");
            let (status, text) = get(&behind, &page, "alice-token").await;
            assert_eq!(status, 200, "{page}: {text}");
            for name in OTHERS {
                assert!(!text.contains(name), "{page}: {name}: {text}");
            }
        }
    }
    let (status, text) = post(&behind, "", "alice-token", CLOSED).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("shop/till"), "{text}");
    for name in OTHERS {
        assert!(!text.contains(name), "{name}: {text}");
    }
    // They are there.
    for (page, name) in [
        (PAGES[0], "bank/vault"),
        (PAGES[1], "lets"),
        ("unused", "bank/vault ingress[1]"),
        ("wide", "bank/vault ingress[0]"),
        ("disagreements", "bank/vault"),
        ("generate?ns=shop", "secret"),
    ] {
        let (status, text) = get(&behind, page, "root-token").await;
        assert_eq!((status, text.contains(name)), (200, true), "{page}: {text}");
    }
}

#[tokio::test]
async fn what_is_hidden_is_told_as_that_and_the_answer_stays() {
    let behind = with_policies().await;
    let (_, text) = get(&behind, PAGES[0], "alice-token").await;
    let answer = &json(&text)["rows"][0];
    assert_eq!(
        (&answer["answer"], &answer["reason"]),
        (&"deny".into(), &"isolation".into())
    );
    assert_eq!(answer["ingress"]["decided_by"], "hidden");
    assert_eq!(answer["ingress"]["isolated_by"], serde_json::json!(["hidden"]));
    assert_eq!(answer["egress"]["decided_by"], "shop/till egress[0]");
    assert_eq!(answer["server"]["name"], "10.0.1.1");
    assert_eq!(json(&text)["notes"][0]["kind"], "hidden");
    let (_, text) = get(&behind, "disagreements", "alice-token").await;
    let rows = json(&text)["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(
        (&rows[0]["policy"], &rows[0]["edge"]),
        (&"hidden".into(), &Value::Null)
    );
    assert_eq!(rows[0]["port"], "22/tcp");
    // Of whom they see, and no others.
    let (_, text) = get(&behind, "coverage", "alice-token").await;
    let rows = json(&text)["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(rows[0]["workload"], "shop/web");
    let (_, text) = get(&behind, "coverage", "root-token").await;
    assert_eq!(json(&text)["rows"].as_array().unwrap().len(), 2);
}

/// A page of the matrix.
async fn matrix(behind: &Behind, query: &str, token: &str) -> (u16, String) {
    asked(behind, Request::get(format!("/api/v1/matrix?{query}")), token, "").await
}

/// What is said about each port.
fn by_port(text: &str) -> Vec<(u64, String, String, u64)> {
    let answer = json(text);
    let rows = answer["rows"].as_array().unwrap().iter();
    let word = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut told: Vec<_> = rows
        .map(|row| {
            let denied = row["policy_denied_flows"].as_u64().unwrap();
            let (verdict, rule) = (word(row, "policy_verdict"), word(row, "policy_rule"));
            (
                row["dst_port"].as_u64().unwrap_or_default(),
                verdict,
                rule,
                denied,
            )
        })
        .collect();
    told.sort();
    told
}

#[tokio::test]
async fn the_matrix_says_what_the_policies_say_about_each_row_and_names_those_that_may_be_told() {
    let behind = with_policies().await;
    let row = |port, verdict: &str, rule: &str, denied| (port, verdict.to_owned(), rule.to_owned(), denied);
    let (status, text) = matrix(&behind, "policies=true&ports=true", "root-token").await;
    assert_eq!(status, 200, "{text}");
    let expected = [
        row(22, "deny", "bank/vault", 1),
        row(443, "allow", "shop/till egress[0]", 0),
        row(5432, "allow", "shop/till egress[0]", 0),
    ];
    assert_eq!(by_port(&text), expected, "{text}");
    // Both ways: the filter's source is the server, whose row is the same.
    for query in [
        "direction=in&filter=ns==%22bank%22",
        "direction=both&filter=ns==%22shop%22",
    ] {
        let query = format!("policies=true&ports=true&{query}");
        let (_, text) = matrix(&behind, &query, "root-token").await;
        assert_eq!(by_port(&text), expected, "{query}: {text}");
    }
    // All ports together do not agree; what is denied weighs most.
    let (_, text) = matrix(&behind, "policies=true&by=ns", "root-token").await;
    assert_eq!(by_port(&text), [row(0, "mixed", "bank/vault", 1)], "{text}");
    let (_, text) = matrix(&behind, "policies=true&ports=true", "alice-token").await;
    assert_eq!(by_port(&text)[0], row(22, "deny", "hidden", 1), "{text}");
    assert!(text.contains("names and rules of policies are told"), "{text}");
    for query in [
        "policies=true&ports=true",
        "policies=true",
        "policies=true&format=csv",
    ] {
        let (status, text) = matrix(&behind, query, "alice-token").await;
        assert_eq!(status, 200, "{text}");
        for name in OTHERS {
            assert!(!text.contains(name), "{query}: {name}: {text}");
        }
    }
    let (_, csv) = matrix(&behind, "policies=true&ports=true&format=csv", "root-token").await;
    let head = csv.lines().next().unwrap();
    assert!(
        head.ends_with("policy_verdict,policy_reason,policy_side,policy,policy_rule,policy_denied_flows,policy_unknown_flows"),
        "{head}"
    );
    assert!(
        csv.lines()
            .any(|line| line.ends_with("deny,isolation,ingress,bank/vault,bank/vault,1,0")),
        "{csv}"
    );
    let (_, plain) = matrix(&behind, "ports=true", "root-token").await;
    assert!(!plain.contains("policy_"), "{plain}");
}

#[tokio::test]
async fn verdicts_of_a_matrix_are_refused_where_they_cannot_be_had() {
    let behind = with_policies().await;
    for (status, query, token) in [
        (400, "policies=true&format=arrow", "root-token"),
        (400, "profile=antrea", "root-token"),
        (403, "policies=true", "nobody-token"),
        (401, "policies=true", "nothing"),
    ] {
        let (told, text) = matrix(&behind, query, token).await;
        assert_eq!(told, status, "{query}: {text}");
    }
    let without = with_objects(&[packet(22, false)], None).await;
    let (status, text) = matrix(&without, "policies=true", "root-token").await;
    assert!(
        status >= 400 && text.contains("which policies there are"),
        "{status}: {text}"
    );
    assert_eq!(matrix(&without, "", "root-token").await.0, 200);
}

#[tokio::test]
async fn a_change_is_for_those_who_may_get_the_policies_that_it_touches() {
    let behind = with_policies().await;
    let foreign = CLOSED.replace("shop", "bank");
    let of_cluster = "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: x}, \
        spec: {priority: 2, subject: {namespaces: {}}}}";
    for (query, body) in [
        ("", foreign.as_str()),
        ("", of_cluster),
        ("delete=bank/vault", ""),
        ("delete=anp/guard", ""),
        ("delete=bank/nothing", ""),
        ("set_label=bank:team=a", ""),
        ("set_label=cart:team=a", ""),
    ] {
        let (status, text) = post(&behind, query, "alice-token", body).await;
        assert_eq!(status, 403, "{query}: {text}");
        assert!(!text.contains("there is no"), "{query}: {text}");
    }
    for page in [
        "generate?ns=bank",
        "generate?ns=shop",
        "generate?workload=bank/deploy/db",
        "explain?src=shop/web&dst=bank/db&port=22",
        "explain?src=shop/web&dst=bank/nobody&port=22",
        "explain?src=10.0.1.1&dst=10.0.1.2&port=22",
        "coverage?ns=bank",
        "unused?ns=nowhere",
        "lint?ns=bank",
        "disagreements?ns=bank",
    ] {
        let (status, text) = get(&behind, page, "alice-token").await;
        assert_eq!(status, 403, "{page}: {text}");
    }
    for page in PAGES {
        assert_eq!(get(&behind, page, "nobody-token").await.0, 403, "{page}");
        assert_eq!(get(&behind, page, "nothing").await.0, 401, "{page}");
    }
    assert_eq!(post(&behind, "", "nobody-token", CLOSED).await.0, 403);
    assert_eq!(post(&behind, "", "nothing", CLOSED).await.0, 401);
}

#[tokio::test]
async fn a_change_is_held_against_what_was_seen() {
    let behind = with_policies().await;
    let (status, text) = post(&behind, "", "root-token", CLOSED).await;
    assert_eq!(status, 200, "{text}");
    let report = json(&text);
    assert_eq!(
        (&report["exit_code"], &report["profile"]),
        (&1.into(), &"spec".into())
    );
    let denied = report["newly_denied"].as_array().unwrap();
    let ports: Vec<&str> = denied.iter().map(|edge| edge["port"].as_str().unwrap()).collect();
    assert_eq!(ports.len(), 2, "{denied:?}");
    assert!(
        ports.contains(&"443/tcp") && ports.contains(&"5432/tcp"),
        "{ports:?}"
    );
    assert!(
        denied[0]["why"]
            .as_str()
            .unwrap()
            .starts_with("shop/till isolates egress")
    );
    let (_, csv) = post(&behind, "format=csv", "root-token", CLOSED).await;
    let lines: Vec<&str> = csv.lines().collect();
    // A note stands below in these tests, and in a header in the answer.
    assert_eq!(lines.len(), 4, "{csv}");
    assert!(
        lines[0].starts_with("class,client,server,port,flows,bytes"),
        "{csv}"
    );
    assert!(lines[1].starts_with("newly_denied,shop/web,bank/db,"), "{csv}");
    let (_, text) = post(&behind, "delete=bank/vault", "root-token", "").await;
    let report = json(&text);
    assert_eq!(report["exit_code"], 0, "{text}");
    assert_eq!(report["newly_allowed"][0]["port"], "22/tcp");
    let (_, text) = post(
        &behind,
        "delete=bank/vault&newly_allowed_fails=true",
        "root-token",
        "",
    )
    .await;
    assert_eq!(json(&text)["exit_code"], 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_or_a_question_is_told_with_its_place() {
    let behind = with_policies().await;
    let wrong = format!(
        "# Mine.\n{CLOSED}\n---\n{}",
        CLOSED.replace("podSelector", "podSelectr")
    );
    let (status, text) = post(&behind, "", "root-token", &wrong).await;
    assert_eq!(status, 400, "{text}");
    let problem = json(&text);
    assert_eq!(problem["type"], "urn:weir:objects");
    let error = &problem["errors"][0];
    assert_eq!((&error["document"], &error["line"]), (&2.into(), &4.into()));
    assert_eq!(error["place"], "spec.podSelectr");
    let long = " ".repeat((8 << 20) + 1);
    for (status, query, body) in [
        (413, "", long.as_str()),
        (400, "", ""),
        (400, "", "{kind: ConfigMap, apiVersion: v1}"),
        (400, "delete=bank/nothing", ""),
        (400, "delete=bank", ""),
        (400, "set_label=shop/web:a", ""),
        (400, "max_unknown=2", CLOSED),
        (400, "filter=nss", CLOSED),
        (400, "filter=bytes%20%3E%201", CLOSED),
        (422, "since=2h&until=1h&filter=ns==%22cart%22", CLOSED),
    ] {
        let (told, text) = post(&behind, query, "root-token", body).await;
        assert_eq!(told, status, "{query}: {text}");
    }
    for page in [
        "explain?src=shop/web&dst=bank/db",
        "explain?src=shop/nobody&dst=bank/db&port=1",
        "explain?src=shop/web&dst=bank/db&port=http",
        "explain?src=shop/web&dst=fd00::1&port=1",
        "generate",
        "generate?ns=shop&priority=7",
        "generate?ns=shop&nodes=labels",
        "generate?ns=nowhere",
        "coverage?ns=nowhere",
        "coverage?format=arrow",
        "coverage?nss=shop",
    ] {
        let (status, text) = get(&behind, page, "root-token").await;
        assert_eq!(status, 400, "{page}: {text}");
    }
}

#[tokio::test]
async fn a_collector_that_knows_no_policies_says_so() {
    let behind = with_objects(&[packet(22, false)], None).await;
    for page in PAGES {
        let (status, text) = get(&behind, page, "root-token").await;
        assert_eq!(status, 503, "{page}: {text}");
        assert_eq!(json(&text)["type"], "urn:weir:no-policies", "{page}");
    }
    assert_eq!(post(&behind, "", "root-token", CLOSED).await.0, 503);
}
