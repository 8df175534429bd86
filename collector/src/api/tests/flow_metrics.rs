//! The pages about FlowMetrics.

use std::time::Instant;

use super::*;
use crate::api::reviews::tests::PROMETHEUS;

const PAGE: &str = "/api/v1/flow-metrics";

fn yaml(spec: &str) -> String {
    format!(
        "apiVersion: flows.netobserv.io/v1alpha1\nkind: FlowMetric\nmetadata: {{name: m}}\nspec: {spec}\n"
    )
}

impl Behind {
    async fn post(&self, kind: &str, body: impl Into<Body>, token: &str) -> (u16, Value) {
        let request = Request::post(format!("{PAGE}/estimate"))
            .header("content-type", kind)
            .header("authorization", format!("Bearer {token}"));
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

#[tokio::test]
async fn what_flow_metrics_would_count_is_told_to_those_alone_who_see_everything() {
    let behind = behind_kubernetes().await;
    let (for_us, in_secret) = (format!("{PROMETHEUS}-token"), format!("{PROMETHEUS}-secret"));
    for (token, lists, expected) in [
        ("", 401, 401),
        ("forged", 401, 401),
        ("alice-token", 403, 403),
        (&for_us, 200, 403),
        // The API server takes it, too: the API takes no such token.
        (&in_secret, 200, 401),
        ("root-token", 200, 200),
    ] {
        assert_eq!(behind.get("flow-metrics", token).await.0, lists, "{token}");
        let (status, answer) = behind
            .post("application/yaml", yaml("{type: Counter}"), token)
            .await;
        assert_eq!(status, expected, "{token}: {answer}");
        let remedy = "it is for those who may get pods in all namespaces";
        assert!(status != 403 || answer.to_string().contains(remedy), "{answer}");
    }
}

#[tokio::test]
async fn a_resource_is_judged_and_its_series_are_estimated_before_it_is_applied() {
    let behind = behind_kubernetes().await;
    let text = yaml(
        "{type: Counter, labels: [SrcK8S_Namespace, DstPort], filters: [{field: SrcK8S_Namespace, matchType: Presence}]}",
    );
    let (status, answer) = behind.post("application/yaml", text, "root-token").await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        (&answer["ready"], &answer["metric"], &answer["cardinality"]),
        (&true.into(), &"netobserv_m".into(), &"careful".into())
    );
    // shop and bank.
    assert_eq!(answer["estimate"]["series"], 2, "{answer}");
    assert_eq!(answer["estimate"]["flows"], 4, "{answer}");
    // Less than a day is stored.
    assert_eq!(answer["estimate"]["at_least"], true, "{answer}");
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("DstPort may take many values"), "{warnings}");

    let bad =
        yaml("{type: Counter, filters: [{field: SrcK8S_Namespace, value: '(', matchType: MatchRegex}]}");
    let (status, answer) = behind
        .post("application/yaml; charset=utf-8", bad, "root-token")
        .await;
    assert_eq!((status, &answer["ready"]), (200, &false.into()), "{answer}");
    assert_eq!(answer["problems"][0]["field"], "spec.filters[0].value");
    assert!(answer["problems"][0]["remedy"].is_string() && answer.get("estimate").is_none());
    let two = format!("{0}---\n{0}", yaml("{type: Counter}"));
    for other in ["", "null", "- null", "word", "7", "[", "\0", &two] {
        let (status, answer) = behind
            .post("application/yaml", other.to_owned(), "root-token")
            .await;
        assert_eq!(status, 400, "{answer}");
    }
    // Nothing of it is counted.
    let (_, listed) = behind.get("flow-metrics", "root-token").await;
    assert_eq!(listed["metrics"], Value::Array(Vec::new()));
}

#[tokio::test]
async fn what_is_no_resource_is_refused_and_pages_of_others_can_send_none() {
    let behind = behind_kubernetes().await;
    // What a form of another page can send, to where the browser's user may ask.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let (status, answer) = behind.post(kind, yaml("{type: Counter}"), "root-token").await;
        assert_eq!(status, 400, "{kind}: {answer}");
    }
    let long = " ".repeat(200 << 10);
    assert_eq!(behind.post("application/yaml", long, "root-token").await.0, 400);
    assert_eq!(
        behind
            .post("application/yaml", vec![0xff_u8], "root-token")
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn the_list_has_what_each_metric_counts_and_what_is_wrong_with_others() {
    use crate::flow_metrics::{DefinedBy, Estimate, Unknown};
    let behind = behind_kubernetes().await;
    let resource = |name: &str, spec: &str| {
        let mut metric = weir_flowmetrics::read_yaml(&yaml(spec)).remove(0).unwrap();
        metric.metadata.name = name.to_owned();
        metric
    };
    let metrics = [
        resource("good", "{type: Counter, labels: [SrcK8S_Namespace]}"),
        resource("bad", "{type: Counter, labels: [NoSuchField]}"),
    ];
    behind
        .flow_metrics
        .define(&DefinedBy::File("a.yaml".into()), metrics, None);
    behind
        .flow_metrics
        .counter(64)
        .observe(&[flow("shop", "bank", now_ns()), flow("bank", "bank", now_ns())]);
    behind
        .flow_metrics
        .expose(weir_flowmetrics::Exposition::Prometheus);
    let without = behind.flow_metrics.without_estimate(8, Instant::now());
    assert_eq!(without.len(), 1, "what is bad is not estimated");
    let (_, listed) = behind.get("flow-metrics", "root-token").await;
    let [bad, good] = &listed["metrics"].as_array().unwrap()[..] else {
        panic!("{listed}")
    };
    assert_eq!(
        (&bad["name"], &bad["ready"], &bad["counted"]),
        (&"bad".into(), &false.into(), &false.into())
    );
    assert_eq!(bad["problems"][0]["field"], "spec.labels[0]");
    assert_eq!((&good["origin"], &good["series"]), (&"a.yaml".into(), &2.into()));
    assert_eq!((&good["bound"], &good["refused"]), (&100_000.into(), &0.into()));
    assert!(good.get("estimate").is_none());

    let estimate = Estimate::Unknown(Unknown::NothingStored);
    behind.flow_metrics.set_estimates(
        without
            .clone()
            .into_iter()
            .map(|metric| (metric, estimate.clone())),
        Instant::now(),
    );
    let (_, listed) = behind.get("flow-metrics", "root-token").await;
    let told = &listed["metrics"][1]["estimate"];
    assert_eq!(
        told["message"],
        "the number of series cannot be estimated: the collector stores no flows"
    );
    // It counts something else by now: what was estimated of it is of no use.
    let other = resource("good", "{type: Counter, labels: [DstK8S_Namespace]}");
    behind
        .flow_metrics
        .define(&DefinedBy::File("a.yaml".into()), [other], None);
    behind.flow_metrics.set_estimates(
        without.into_iter().map(|metric| (metric, estimate.clone())),
        Instant::now(),
    );
    assert_eq!(behind.flow_metrics.without_estimate(8, Instant::now()).len(), 1);
    // Texts and charts change nothing in it.
    let without = behind.flow_metrics.without_estimate(8, Instant::now());
    behind.flow_metrics.set_estimates(
        without.into_iter().map(|metric| (metric, estimate.clone())),
        Instant::now(),
    );
    let told = resource("good", "{type: Counter, help: told, labels: [DstK8S_Namespace]}");
    behind
        .flow_metrics
        .define(&DefinedBy::File("a.yaml".into()), [told], None);
    assert!(behind.flow_metrics.without_estimate(8, Instant::now()).is_empty());
}
