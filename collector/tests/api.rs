//! The API and the store of a running collector: what comes in is kept, told and
//! found again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::net::SocketAddr;

use harness::{Exporter, assert_sums, eventually, fetch, get, metrics, pcap};
use serde_json::Value;
use weir_collector::{Collector, Config, Running};
use weir_store::{Reader, Settings, TimeRange};

fn config(directory: Option<&std::path::Path>) -> Config {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Config {
        listen: vec![any],
        workers: 1.try_into().unwrap(),
        http: any,
        store: directory.map(Settings::new),
        ..Config::default()
    }
}

/// Sends the IPFIX of the capture, and waits until all of it is stored.
fn replay(running: &Running) -> u64 {
    let (to, http) = (running.addresses().udp[0], running.addresses().http);
    let mut exporter = Exporter::default();
    let datagrams = pcap::ipfix();
    for (n, datagram) in datagrams.iter().enumerate() {
        exporter.send(datagram, to);
        if n % 64 == 63 || n + 1 == datagrams.len() {
            eventually("the datagrams", || {
                (metrics(http)["datagrams_received_total"] == n as u64 + 1).then_some(())
            });
        }
    }
    let stored = eventually("the queue to run empty", || {
        Some(metrics(http)).filter(|m| m["records_queued"] == 0)
    });
    assert_sums(&stored);
    stored["records_stored_total"]
}

fn json(http: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = get(http, path);
    (
        status,
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_is_in_the_files_after_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let running = Collector::start(config(Some(directory.path()))).await.unwrap();
    let http = running.addresses().http;
    let stored = tokio::task::block_in_place(|| replay(&running));
    assert!(stored > 0);
    let (code, ready) = tokio::task::block_in_place(|| get(http, "/readyz"));
    assert!(code == 200 && ready.contains("store: ok"), "{ready}");
    running.stop().await.unwrap();
    let view = Reader::open_dir(directory.path()).unwrap().view(TimeRange::ALL);
    let rows: u64 = view.raw.iter().map(|segment| segment.rows).sum();
    assert_eq!((rows, view.memory.len()), (stored, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_metrics_tell_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let running = Collector::start(config(Some(directory.path()))).await.unwrap();
    let http = running.addresses().http;
    let stored = tokio::task::block_in_place(|| replay(&running));
    tokio::task::block_in_place(|| {
        let (code, status) = json(http, "/api/v1/status");
        assert_eq!((code, &status["records"]["stored"]), (200, &stored.into()));
        assert_eq!(status["store"]["tiers"].as_array().unwrap().len(), 3);
        // They can be seen a moment after they were accepted.
        let m = eventually("the rows", || {
            let m = metrics(http);
            (m["store_rows{tier=\"raw\"}"] + m["store_memory_rows"] == stored).then_some(m)
        });
        assert_eq!(m["store_troubles"], 0);
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_data_directory_the_api_names_the_option() {
    let running = Collector::start(config(None)).await.unwrap();
    let http = running.addresses().http;
    tokio::task::block_in_place(|| {
        for page in ["flows", "query", "values?field=ns", "tail"] {
            let (code, problem) = json(http, &format!("/api/v1/{page}"));
            assert_eq!(code, 503, "{page}");
            assert!(
                problem["detail"].as_str().unwrap().contains("--data-dir"),
                "{problem}"
            );
        }
        let (code, fields) = json(http, "/api/v1/fields");
        assert!(code == 200 && fields["fields"].as_array().unwrap().len() > 60);
        assert_eq!(json(http, "/api/v1/openapi.json").1["openapi"], "3.1.0");
        assert!(json(http, "/api/v1/status").1["store"].is_null());
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_a_problem_in_the_same_form() {
    let running = Collector::start(config(None)).await.unwrap();
    let http = running.addresses().http;
    tokio::task::block_in_place(|| {
        for (path, status) in [
            ("/api/v1/nothing", 404),
            ("/api/v1/flows?limit=none", 400),
            ("/api/v1/fields?x=1", 400),
            ("/api/v1/flows?format=xml", 400),
        ] {
            let (head, body) = fetch(http, path);
            assert!(head.contains(&status.to_string()), "{path}: {head}");
            assert!(head.contains("application/problem+json"), "{path}: {head}");
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["status"], status, "{path}");
            assert!(
                problem["type"].as_str().unwrap().starts_with("urn:weir:"),
                "{path}"
            );
        }
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_nothing_is_told_without_kubernetes_and_the_rest_is_open() {
    let everywhere = Config {
        http: "0.0.0.0:0".parse().unwrap(),
        ..config(None)
    };
    let running = Collector::start(everywhere).await.unwrap();
    let http: SocketAddr = ([127, 0, 0, 1], running.addresses().http.port()).into();
    tokio::task::block_in_place(|| {
        for page in [
            "flows",
            "query",
            "values?field=ns",
            "tail",
            "fields",
            "status",
            "openapi.json",
        ] {
            assert_eq!(json(http, &format!("/api/v1/{page}")).0, 403, "{page}");
        }
        for page in ["/metrics", "/healthz", "/readyz"] {
            assert_eq!(get(http, page).0, 200, "{page}");
        }
    });
    running.stop().await.unwrap();
}
