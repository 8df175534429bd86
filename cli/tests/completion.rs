//! Completion as people have it: each shell runs on a terminal with what `weir
//! completion` prints, gets part of a line and a Tab, and tells what the line is then.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "command/pty.rs"]
mod pty;
#[path = "completion/shell.rs"]
mod shell;

use std::net::SocketAddr;
use std::path::Path;

use shell::{Shell, Terminal};
use weir_collector::normalise::{Context, normalise};
use weir_collector::{Collector, Config};
use weir_flow::{FlowRecord, Identity};
use weir_store::Settings;

/// A value that each shell must quote: it has a space, a colon and signs of its own.
const OFFICE: &str = "head office: $west";

fn flow() -> FlowRecord {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let context = Context {
        received_ns: since.as_nanos() as u64 - 1_000_000_000,
        source: [192, 0, 2, 1].into(),
        exporter: None,
    };
    let mut record = normalise(wire::Record::default(), context);
    record.primary = true;
    record.src.identity = Identity {
        ns: "shop".into(),
        subnet_label: OFFICE.into(),
        ..Identity::default()
    }
    .into();
    record
}

fn store(directory: &Path) {
    let (mut writer, _, _) = weir_store::open(Settings::new(directory)).unwrap();
    writer.append(&[flow()]).unwrap();
    writer.close();
}

/// What is typed before Tab, and the whole line after it.
fn cases(data: &str, server: SocketAddr) -> Vec<(String, String)> {
    let from = format!("weir flows --data-dir {data}");
    let values = format!("weir values --data-dir {data}");
    let cases: &[(&str, &str, &str)] = &[
        ("weir", "val", "values "),
        ("weir flows", "--group-b", "--group-by "),
        ("weir flows -o", "cs", "csv "),
        ("weir watch", "--wind", "--window "),
        ("weir flows --data-dir", "./fi", "./files/"),
        ("weir flows --group-by", "dst_zo", "dst_zone "),
        ("weir flows --group-by", "ns,dst_zo", "ns,dst_zone "),
        ("weir flows", "--group-by=ns,dst_zo", "--group-by=ns,dst_zone "),
        ("weir flows", "'dst_zo", "'dst_zone' "),
        (&from, r#"'ns == "sh"#, r#"'ns == "shop"' "#),
        (
            &from,
            r#"'bytes > 1 && ns == "sh"#,
            r#"'bytes > 1 && ns == "shop"' "#,
        ),
        (&from, r#""ns == \"sh"#, r#""ns == \"shop\"" "#),
        (&from, r#"ns\ ==\ \"sh"#, r#"ns\ ==\ \"shop\" "#),
        (
            &from,
            r#"'subnet_label == "he"#,
            r#"'subnet_label == "head office: $west"' "#,
        ),
        (&values, "ns s", "ns shop "),
        (&values, "subnet_label he", r"subnet_label head\ office:\ \$west "),
        (
            &format!("weir flows --data-dir={data}"),
            r#"'ns == "sh"#,
            r#"'ns == "shop"' "#,
        ),
        (
            &format!("weir flows --server http://{server}"),
            r#"'ns == "sh"#,
            r#"'ns == "shop"' "#,
        ),
        (
            &format!("weir watch --data-dir {data}"),
            r#"'ns == "sh"#,
            r#"'ns == "shop"' "#,
        ),
        ("weir flows --data-dir /nowhere", r#"'ns == "sh"#, r#"'ns == "sh"#),
    ];
    let line = |start: &str, end: &str| format!("{start} {end}");
    let cases = cases.iter();
    cases
        .map(|(start, typed, then)| (line(start, typed), line(start, then)))
        .collect()
}

async fn completes(shell: Shell) {
    let directory = tempfile::tempdir().unwrap();
    let (files, served) = (directory.path().join("files"), directory.path().join("served"));
    store(&files);
    store(&served);
    let running = Collector::start(Config {
        store: Some(Settings::new(&served)),
        ..Config::default()
    });
    let running = running.await.unwrap();
    let (data, server) = (files.display().to_string(), running.addresses().http);
    let home = directory.path().to_owned();
    let wrong = tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::open(shell, &home);
        let cases = cases(&data, server).into_iter();
        let found = cases.map(|(typed, expected)| (terminal.complete(&typed), expected));
        found
            .filter(|(found, expected)| found != expected)
            .collect::<Vec<_>>()
    });
    let wrong = wrong.await.unwrap();
    running.stop().await.unwrap();
    assert!(wrong.is_empty(), "found and expected: {wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_options_fields_and_values() {
    completes(Shell::Bash).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zsh_completes_commands_options_fields_and_values() {
    completes(Shell::Zsh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fish_completes_commands_options_fields_and_values() {
    completes(Shell::Fish).await;
}
