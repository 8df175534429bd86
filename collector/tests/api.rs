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
        assert_eq!(status["store"]["tiers"].as_array().unwrap().len(), 4);
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

/// What is asked of the capture: everything that ever arrived.
const ALL: &str = "since=1970-01-01T00:00:00Z";

async fn filled() -> (tempfile::TempDir, Running, u64) {
    let directory = tempfile::tempdir().unwrap();
    let running = Collector::start(config(Some(directory.path()))).await.unwrap();
    let stored = tokio::task::block_in_place(|| {
        let stored = replay(&running);
        let everything = format!("/api/v1/query?{ALL}&all_observations=true");
        eventually("the rows", || {
            let (code, answer) = json(running.addresses().http, &everything);
            assert_eq!(code, 200, "{answer}");
            (answer["totals"]["flows"] == stored).then_some(stored)
        })
    });
    (directory, running, stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_and_records_agree() {
    let (_directory, running, stored) = filled().await;
    let http = running.addresses().http;
    tokio::task::block_in_place(|| {
        let (code, answer) = json(
            http,
            &format!("/api/v1/query?{ALL}&group_by=protocol&all_observations=true&top=2"),
        );
        assert_eq!(
            (code, &answer["columns"][0]),
            (200, &"protocol".into()),
            "{answer}"
        );
        let flows = |rows: &Value| -> u64 {
            rows.as_array()
                .unwrap()
                .iter()
                .filter_map(|r| r["flows"].as_u64())
                .sum()
        };
        assert_eq!(flows(&answer["rows"]) + flows(&answer["other"]), stored);

        let mut seen = 0;
        let mut page = format!("/api/v1/flows?{ALL}&all_observations=true&limit=200");
        loop {
            let (code, records) = json(http, &page);
            assert_eq!(code, 200, "{records}");
            seen += records["rows"].as_array().unwrap().len() as u64;
            let Some(cursor) = records["cursor"].as_str() else {
                break;
            };
            page = format!("/api/v1/flows?{ALL}&all_observations=true&limit=200&cursor={cursor}");
        }
        assert_eq!(seen, stored);
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_measured_and_compared_and_records_come_by_size() {
    let (_directory, running, stored) = filled().await;
    let http = running.addresses().http;
    tokio::task::block_in_place(|| {
        let measures = "share,distinct_addr,p95_bytes,max_bytes,last_seen";
        let asked = format!(
            "/api/v1/query?{ALL}&all_observations=true&group_by=addr/8/32&measures={measures}&cover=100%25"
        );
        let (code, answer) = json(http, &asked);
        assert_eq!(code, 200, "{answer}");
        let rows = answer["rows"].as_array().unwrap();
        let shares: f64 = rows.iter().filter_map(|row| row["share"].as_f64()).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{answer}");
        assert!(
            rows.iter()
                .any(|row| row["addr/8/32"].as_str().is_some_and(|net| net.ends_with("/8")))
        );
        assert!(
            rows.iter()
                .all(|row| row["p95_bytes"].as_u64() <= row["max_bytes"].as_u64())
        );
        // Nothing arrived a week ago.
        let asked = "/api/v1/query?since=1h&all_observations=true&group_by=protocol&measures=flows&by=flows&compare=1w";
        let (code, answer) = json(http, asked);
        assert_eq!(code, 200, "{answer}");
        assert_eq!(answer["columns"][1], "compared");
        assert_eq!(answer["rows"][0]["compared"], "new");
        assert_eq!(
            (&answer["totals"]["flows_change"], &answer["totals"]["flows_then"]),
            (&stored.into(), &0.into())
        );
        let page = format!("/api/v1/flows?{ALL}&all_observations=true&order=bytes&limit=5&columns=bytes");
        let (_, largest) = json(http, &page);
        let bytes = |row: &Value| row["bytes"].as_u64();
        let sizes: Vec<_> = largest["rows"].as_array().unwrap().iter().map(bytes).collect();
        assert!(sizes.len() == 5 && sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        assert!(
            largest["cursor"].is_null() && largest["notes"][0]["kind"] == "truncated",
            "{largest}"
        );
        for (query, words) in [
            ("query?measures=p95_ttl", "distinct_"),
            ("query?zone=UTC&bucket=1h", "1d or 1w"),
            ("query?group_by=ns/24", "addr/24"),
            ("query?by=share", "by: share"),
            ("flows?order=bytes&cursor=1.1", "cursor: records by bytes"),
        ] {
            let (code, problem) = json(http, &format!("/api/v1/{query}"));
            assert_eq!(code, 400, "{query}: {problem}");
            assert!(
                problem["detail"].as_str().unwrap().contains(words),
                "{query}: {problem}"
            );
        }
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_in_the_form_that_is_asked_for() {
    let (_directory, running, _) = filled().await;
    let http = running.addresses().http;
    tokio::task::block_in_place(|| {
        let (head, csv) = fetch(
            http,
            &format!("/api/v1/flows?{ALL}&columns=addr,dst_addr,bytes&limit=3&format=csv"),
        );
        assert!(
            head.contains("text/csv") && head.contains("weir-cursor: "),
            "{head}"
        );
        let mut lines = csv.lines();
        assert_eq!((lines.next(), lines.count()), (Some("addr,dst_addr,bytes"), 3));
        let (code, explained) = json(http, &format!("/api/v1/query?{ALL}&group_by=ns&explain=true"));
        assert!(code == 200 && explained["plan"].is_string(), "{explained}");
        let (code, values) = json(http, &format!("/api/v1/values?field=format&{ALL}"));
        assert_eq!((code, &values["values"][0]["value"]), (200, &"ipfix".into()));
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_filter_is_told_with_its_column_and_the_nearest_name() {
    let (_directory, running, _) = filled().await;
    let http = running.addresses().http;
    tokio::task::block_in_place(|| {
        for page in ["flows", "query", "tail"] {
            let (code, problem) = json(
                http,
                &format!("/api/v1/{page}?filter=1%20%3D%3D%201%20%26%26%20nss%20%3D%3D%20%22a%22"),
            );
            assert_eq!(
                (code, &problem["type"]),
                (400, &"urn:weir:filter".into()),
                "{problem}"
            );
            assert_eq!(
                (&problem["column"], &problem["nearest"]),
                (&11.into(), &"ns".into()),
                "{problem}"
            );
        }
        let (code, problem) = json(http, "/api/v1/query?group_by=zonne");
        assert_eq!((code, &problem["nearest"]), (400, &"zone".into()), "{problem}");
        assert_eq!(json(http, "/api/v1/tail?columns=zonne").0, 400);
    });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_what_arrives_and_ends_when_the_collector_stops() {
    use std::io::{BufRead, BufReader, Write};
    let directory = tempfile::tempdir().unwrap();
    let running = Collector::start(config(Some(directory.path()))).await.unwrap();
    let http = running.addresses().http;
    let mut stream = std::net::TcpStream::connect(http).unwrap();
    let lines = tokio::task::block_in_place(|| {
        write!(
            stream,
            "GET /api/v1/tail?columns=addr,port&all_observations=true HTTP/1.0\r\nHost: localhost\r\n\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(stream).lines();
        // The head and the first empty line after it: it watches now.
        lines
            .by_ref()
            .map(Result::unwrap)
            .take_while(|line| !line.is_empty())
            .for_each(drop);
        replay(&running);
        lines
    });
    running.stop().await.unwrap();
    let text = lines.map_while(Result::ok).filter(|line| !line.is_empty());
    let rows: Vec<Value> = text.map(|line| serde_json::from_str(&line).unwrap()).collect();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["addr"].is_string()), "{:?}", rows[0]);
}
