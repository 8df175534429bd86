use std::sync::Arc;

use clap::Parser;
use proptest::collection::btree_set;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};
use weir_collector::api::ask;
use weir_collector::normalise::{Context, normalise};
use weir_flow::{FlowRecord, Identity, Kind};
use weir_query::{Embedded, FlowsRequest, Limits, compile};
use weir_store::{Reader, Settings};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    shortcuts: Shortcuts,
}

fn read(words: &[&str]) -> Result<Shortcuts, Error> {
    let words = std::iter::once("weir").chain(words.iter().copied());
    Line::try_parse_from(words).map(|line| line.shortcuts)
}

fn cel(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let filter = read(&words).unwrap().joined("");
    compile(&filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    filter
}

#[test]
fn each_option_is_the_condition_that_one_would_write() {
    for (line, filter) in [
        ("--from-pod web", r#"pod_name == "web""#),
        ("--from-pod shop/web", r#"ns == "shop" && pod_name == "web""#),
        (
            "--to-pod shop/web",
            r#"dst_ns == "shop" && dst_pod_name == "web""#,
        ),
        (
            "--to-service shop/db",
            r#"dst_service_ns == "shop" && dst_service_name == "db""#,
        ),
        ("--from-workload web", r#"workload_name == "web""#),
        ("--ns shop", r#"((ns == "shop") || (dst_ns == "shop"))"#),
        ("-n shop", r#"((ns == "shop") || (dst_ns == "shop"))"#),
        ("-A", ""),
        ("--to-ns shop", r#"dst_ns == "shop""#),
        ("--from-ip 10.0.0.1", r#"addr == "10.0.0.1""#),
        ("--to-ip fd00::/8", r#"(inCIDR(dst_addr, "fd00::/8"))"#),
        ("--port 53", "((port == 53) || (dst_port == 53))"),
        ("--to-port 443", "dst_port == 443"),
        ("--verdict dropped", r#"verdict == "dropped""#),
        ("--protocol udp", r#"protocol == "udp""#),
        ("--from-label app=web", r#"pod_labels["app"] == "web""#),
        ("--to-label app", r#""app" in dst_pod_labels"#),
    ] {
        assert_eq!(cel(line), filter, "{line}");
    }
}

#[test]
fn options_are_joined_and_one_that_is_given_twice_asks_for_either() {
    assert_eq!(
        cel("--to-port 80 --verdict dropped --to-port 443"),
        r#"((dst_port == 80) || (dst_port == 443)) && (verdict == "dropped")"#
    );
    assert_eq!(
        cel("--not --to-port 53 --not --verdict delivered"),
        r#"!(dst_port == 53) && !(verdict == "delivered")"#
    );
    assert_eq!(
        cel("-n shop --from-pod web"),
        r#"((ns == "shop") || (dst_ns == "shop")) && (ns == "shop" && pod_name == "web")"#
    );
    let shortcuts = read(&["--to-port", "443"]).unwrap();
    assert_eq!(shortcuts.joined("a || b"), "(a || b) && (dst_port == 443)");
    assert_eq!(Shortcuts::default().joined("a || b"), "a || b");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for words in [
        &["--not"][..],
        &["--to-port", "53", "--not"],
        &["--not", "--not", "--to-port", "53"],
        &["--port", "65536"],
        &["--port", "1 || true"],
        &["--ip", "web"],
        &["--ns", ""],
        &["--from-pod", "shop/"],
        &["-A", "-n", "shop"],
    ] {
        assert!(read(words).is_err(), "{words:?}");
    }
}

/// A store with a record from each of these pods, which are of the namespace `n`.
fn with_pods<'a>(names: impl Iterator<Item = &'a String>) -> (tempfile::TempDir, Reader) {
    let directory = tempfile::tempdir().unwrap();
    let (mut writer, _, _) = weir_store::open(Settings::new(directory.path())).unwrap();
    let records: Vec<FlowRecord> = names.map(|name| from_pod(name)).collect();
    writer.append(&records).unwrap();
    writer.close();
    let reader = Reader::open_dir(directory.path()).unwrap();
    (directory, reader)
}

fn from_pod(name: &str) -> FlowRecord {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let context = Context {
        received_ns: since.as_nanos() as u64 - 1_000_000_000,
        source: [192, 0, 2, 1].into(),
        exporter: None,
    };
    let mut record = normalise(wire::Record::default(), context);
    record.primary = true;
    record.src.identity = Arc::new(Identity {
        ns: "n".into(),
        name: name.into(),
        kind: Kind::Pod,
        ..Identity::default()
    })
    .into();
    record
}

fn pods(reader: &Reader, words: &[&str]) -> Vec<String> {
    let request = FlowsRequest {
        filter: read(words).unwrap().joined(""),
        columns: vec!["pod_name".to_owned()],
        ..FlowsRequest::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let limits = Limits::default();
    let page = runtime
        .block_on(ask::flows(&Embedded::new(reader.clone()), &request, &limits))
        .unwrap();
    let names = page
        .rows
        .iter()
        .map(|row| row.0["pod_name"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn any_value_finds_what_has_that_value_and_nothing_else() {
    let hostile = [
        r#"" || true || ns == ""#,
        r"\",
        r#"\""#,
        "a\nb",
        "'",
        "\u{0}",
        "\u{2028}",
        "a/b",
        "=",
        "*",
    ];
    let mut runner = TestRunner::new(Config::with_cases(4));
    let values = btree_set(any::<String>(), 1..24);
    let outcome = runner.run(&values, |mut values| {
        values.extend(hostile.map(str::to_owned));
        values.retain(|value| !value.is_empty() && value.len() <= 200);
        let (_directory, reader) = with_pods(values.iter());
        for value in &values {
            let name = format!("n/{value}");
            assert_eq!(
                pods(&reader, &["--from-pod", &name]),
                std::slice::from_ref(value),
                "{value:?}"
            );
        }
        let one = format!("n/{}", hostile[0]);
        let others = pods(&reader, &["--not", "--from-pod", &one]);
        assert_eq!(others.len(), values.len() - 1);
        Ok(())
    });
    outcome.unwrap();
}
