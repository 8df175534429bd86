//! `weir watch` as people have it: on a terminal, of a collector that receives flows or of
//! its files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "command/fixture.rs"]
mod fixture;
#[path = "command/pty.rs"]
mod pty;
#[path = "watch/terminal.rs"]
mod terminal;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use fixture::{run, store, weir};
use terminal::Terminal;
use weir_collector::{Collector, Config, Running};
use weir_store::Settings;

async fn collector(directory: &Path, http: SocketAddr) -> Running {
    let running = Collector::start(Config {
        store: Some(Settings::new(directory)),
        listen: vec![([127, 0, 0, 1], 0).into()],
        http,
        ..Config::default()
    });
    running.await.unwrap()
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn send(udp: &str, count: &str) {
    let sent = weir(&["bench", "--to", udp, "--count", count, "--protocol", "ipfix"]).output();
    let sent = sent.unwrap();
    assert!(sent.status.success(), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_watches_flows_arrive_goes_down_to_one_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let running = collector(&directory.path().join("flows"), anywhere()).await;
    let (server, udp) = (running.addresses().http, running.addresses().udp[0].to_string());
    let home = directory.path().to_owned();
    let steps = move || {
        let words = format!("watch --server http://{server} --all-observations --every 200ms --window 5m");
        let mut terminal = Terminal::open(100, &words, &home, &[]);
        terminal.until_shown("nothing arrived in this time");
        send(&udp, "50");
        // By addresses; those of the generator have no names.
        terminal.press("4");
        let shown = terminal.until("flows by addresses", |lines| {
            lines[0].contains("addresses") && lines[4].contains('%')
        });
        assert!(
            shown[3].contains("SOURCE") && shown[3].contains("BYTES↓"),
            "{shown:#?}"
        );
        let first: Vec<String> = shown[4].split_whitespace().map(str::to_owned).collect();
        assert!(first[0].parse::<std::net::IpAddr>().is_ok(), "{shown:#?}");
        terminal.press("\r");
        let filter = format!("filter: addr == \"{}\" && dst_addr == \"{}\"", first[0], first[1]);
        terminal.until_shown(&filter);
        terminal.until_shown("PROTOCOL");
        terminal.press("r");
        terminal.until("the records", |lines| {
            lines[0].contains("records") && lines[4].contains(&first[0])
        });
        terminal.press("\r");
        terminal.until("one record", |lines| {
            lines
                .iter()
                .any(|line| line.starts_with("format") && line.ends_with("ipfix"))
        });
        // Back: the record, the records, the ports, the first filter.
        terminal.press("\u{7f}");
        terminal.until_shown("that came");
        terminal.press("\u{7f}\u{7f}");
        terminal.until_shown("all flows; / writes a filter");
        terminal.press("q");
        terminal.ended()
    };
    let code = tokio::task::spawn_blocking(steps).await;
    running.stop().await.unwrap();
    assert_eq!(code.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_appear_as_they_arrive_wait_while_it_is_stopped_and_a_filter_is_completed() {
    let directory = tempfile::tempdir().unwrap();
    let flows = directory.path().join("flows");
    store(&flows);
    let running = collector(&flows, anywhere()).await;
    let (server, udp) = (running.addresses().http, running.addresses().udp[0].to_string());
    let home = directory.path().to_owned();
    let steps = move || {
        let words = format!("watch --records --server http://{server} --all-observations");
        let mut terminal = Terminal::open(200, &words, &home, &[("NO_COLOR", "1")]);
        terminal.until_shown("shop/third-7f8d5c9b4-qwert");
        terminal.until_shown("3 of 3 that came");
        terminal.press(" ");
        terminal.until_shown("PAUSED");
        send(&udp, "50");
        let shown = terminal.until_shown(" wait  3 of ");
        assert!(
            shown[4].contains("shop/third-7f8d5c9b4-qwert"),
            "nothing moves: {shown:#?}"
        );
        terminal.press(" ");
        terminal.until("those that waited", |lines| {
            !lines[2].contains("wait") && !lines[4].contains("shop/")
        });
        terminal.press("/ns == \"s");
        terminal.until("the value", |lines| lines[2].contains("ns == \"shop\""));
        terminal.press("\t\r");
        terminal.until_shown("filter: ns == \"shop\"");
        terminal.until_shown("3 of 3 that came");
        terminal.press("/\u{15}nss == 1\r");
        terminal.until_shown("did you mean");
        terminal.press("\u{3}");
        let code = terminal.ended();
        let colours = ["\u{1b}[31", "\u{1b}[32", "\u{1b}[38", "\u{1b}[91"];
        let written = terminal.written();
        assert!(
            !colours.iter().any(|colour| written.contains(colour)),
            "{written:?}"
        );
        code
    };
    let code = tokio::task::spawn_blocking(steps).await;
    running.stop().await.unwrap();
    assert_eq!(code.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_goes_and_comes_again_is_said_to_be_lost_and_asked_again() {
    let directory = tempfile::tempdir().unwrap();
    let flows = directory.path().join("flows");
    store(&flows);
    for what in ["watch --every 200ms", "watch --records"] {
        let home = tempfile::tempdir().unwrap();
        let running = collector(&flows, anywhere()).await;
        let http = running.addresses().http;
        let words = format!("{what} --server http://{http}");
        let path = home.path().to_owned();
        let open = move || {
            let mut terminal = Terminal::open(100, &words, &path, &[]);
            terminal.until_shown("shop");
            terminal
        };
        let mut terminal = tokio::task::spawn_blocking(open).await.unwrap();
        running.stop().await.unwrap();
        let lose = move || {
            terminal.until_shown("LOST");
            terminal.until_shown("tried again in");
            terminal
        };
        let mut terminal = tokio::task::spawn_blocking(lose).await.unwrap();
        let running = collector(&flows, http).await;
        let find = move || {
            terminal.until("the connection", |lines| {
                !lines[0].contains("LOST") && lines.iter().any(|l| l.contains("shop"))
            });
            terminal.signal("TERM");
            terminal.ended()
        };
        let code = tokio::task::spawn_blocking(find).await;
        running.stop().await.unwrap();
        assert_eq!(code.unwrap(), 143, "{what}");
    }
}

#[test]
fn files_are_watched_too_and_a_terminal_may_change_its_width() {
    let directory = tempfile::tempdir().unwrap();
    let flows = directory.path().join("flows");
    store(&flows);
    let words = format!("watch --group-by name,dst_name --data-dir {}", flows.display());
    let mut terminal = Terminal::open(60, &words, directory.path(), &[]);
    let narrow = terminal.until_shown("checkout-service");
    assert!(
        narrow[4].contains('…') && !narrow[3].contains("PACKETS"),
        "{narrow:#?}"
    );
    terminal.resize(200);
    let wide = terminal.until_shown("checkout-service-6d4b75cb6d-hx2zv");
    assert!(wide[3].contains("PACKETS"), "{wide:#?}");
    terminal.resize(60);
    terminal.until("the narrow table", |lines| lines[4].contains('…'));
    terminal.press("r");
    terminal.until_shown("3 of 3 that came");
    // No shell takes the terminal here, and it goes on.
    terminal.press("\u{1a}?");
    terminal.until_shown("KEYS");
    terminal.press("xq");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn a_terminal_that_takes_nothing_keeps_it_from_nothing_but_drawing() {
    let directory = tempfile::tempdir().unwrap();
    let flows = directory.path().join("flows");
    store(&flows);
    let words = format!("watch --every 200ms --data-dir {}", flows.display());
    let mut terminal = Terminal::open(100, &words, directory.path(), &[]);
    terminal.until_shown("shop");
    terminal.stop();
    // It draws the help, and waits.
    terminal.press("?");
    terminal.signal("TERM");
    assert_eq!(terminal.ended_stopped(), 143);
}

#[test]
fn without_a_terminal_it_says_what_there_is_instead() {
    let (code, out, err) = run(&["watch", "--server", "http://127.0.0.1:1"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("weir top") && err.contains("--follow"), "{err}");
    let dumb = weir(&["watch"])
        .env("TERM", "dumb")
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(dumb.status.code(), Some(2));
    for (words, part) in [
        ("watch --by sent", "dropped_packets"),
        ("watch --window soon", "length of time"),
        ("watch --every 1ms", "from 200ms"),
        ("watch --top 0", "from 1"),
        ("watch --records --group-by ns", "--records"),
        ("watch --data-dir /nowhere --server http://h", "no effect"),
    ] {
        let (code, _, err) = run(&words.split(' ').collect::<Vec<_>>());
        assert_eq!(code, 2, "{words}: {err}");
        assert!(err.contains(part), "{words}: {err}");
    }
}
