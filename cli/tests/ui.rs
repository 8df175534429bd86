//! `weir ui`: what a browser gets through it, and what nobody gets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "command/fixture.rs"]
mod fixture;
#[path = "ui/served.rs"]
mod served;
#[path = "ui/stub.rs"]
mod stub;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fixture::{PATIENCE, run, store, weir};
use served::Served;
use stub::Stub;
use weir_collector::{Collector, Config};
use weir_store::Settings;

/// Something that nobody but the collector, or the API server, is to see.
const TOKEN: &str = "sesame-which-opens-everything";

fn code(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// A kubeconfig of this API server, with a token.
fn kubeconfig(folder: &Path, url: &str) -> String {
    let file = folder.join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: '{url}'}}}}], users: [{{name: u, user: {{token: {TOKEN}}}}}]}}"
    );
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_answers_of_a_collector_are_below_the_key_and_ctrl_c_ends_all() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let running = Collector::start(Config {
        store: Some(Settings::new(directory.path())),
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Config::default()
    });
    let running = running.await.unwrap();
    let server = format!("http://{}", running.addresses().http);
    let udp = running.addresses().udp[0].to_string();
    let ended = tokio::task::spawn_blocking(move || {
        let mut served = Served::start(&["--server", &server]);
        assert!(served.host.starts_with("127.0.0.1:"), "{}", served.address);
        let page = served.page("");
        assert!(
            page.contains("<title>Weir</title>") || page.contains("make ui"),
            "{page}"
        );
        assert_eq!(
            page.contains("<title>Weir</title>"),
            weir_collector::http::ui::is_built_in()
        );
        let sums = served.page("api/v1/query?since=1h&group_by=ns&measures=flows");
        assert!(
            sums.starts_with("HTTP/1.1 200") && sums.contains("\"flows\":3"),
            "{sums}"
        );
        // What is wrong is the collector's to say, as it is.
        let wrong = served.page("api/v1/query?since=1h&group_by=ns&filter=nss==1");
        assert!(
            wrong.starts_with("HTTP/1.1 400") && wrong.contains("urn:weir:filter"),
            "{wrong}"
        );
        let metric = "{apiVersion: flows.netobserv.io/v1alpha1, kind: FlowMetric, metadata: {name: m}, \
                      spec: {metricName: m, type: Counter, labels: [format]}}";
        let estimate = |kind: &str| {
            served.told(&format!(
                "POST /KEY/api/v1/flow-metrics/estimate HTTP/1.1\r\nHost: HOST\r\nContent-Type: {kind}\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{metric}",
                metric.len()
            ))
        };
        let told = estimate("application/yaml");
        assert!(
            told.starts_with("HTTP/1.1 200") && told.contains("\"series\":"),
            "{told}"
        );
        // A form of another page could send these.
        assert_eq!(code(&estimate("text/plain")), "405");
        assert_eq!(code(&served.page("api/v1/nothing")), "404");
        assert_eq!(code(&served.page("metrics")), "404");
        // Somebody follows what arrives.
        let tail = "GET /KEY/api/v1/tail?columns=format HTTP/1.1\r\nHost: HOST\r\n\r\n";
        let mut tail = BufReader::new(served.sent(tail));
        let mut head = String::new();
        tail.read_line(&mut head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let sent = weir(&["bench", "--to", &udp, "--count", "100", "--protocol", "ipfix"]).output();
        assert!(sent.unwrap().status.success());
        let mut lines = tail.by_ref().lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("\"format\":\"ipfix\"")));
        served.running.signal("INT");
        let status = served.running.ended();
        let mut rest = Vec::new();
        // However it ends: nobody waits on.
        let _ = tail.read_to_end(&mut rest);
        assert!(TcpStream::connect(&served.host).is_err());
        status
    });
    let status = ended.await;
    running.stop().await.unwrap();
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn files_are_shown_without_a_collector() {
    let directory = tempfile::tempdir().unwrap();
    store(directory.path());
    let mut served = Served::start(&["--data-dir", &directory.path().display().to_string()]);
    let me = served.page("api/v1/me");
    assert!(
        me.starts_with("HTTP/1.1 200") && me.contains("\"stores\":true"),
        "{me}"
    );
    let sums = served.page("api/v1/query?since=1h&group_by=ns&measures=flows");
    assert!(sums.contains("\"flows\":3"), "{sums}");
    assert_eq!(
        code(&served.told("GET /api/v1/me HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")),
        "404"
    );
    served.running.signal("TERM");
    assert_eq!(served.running.ended().code(), Some(143));
}

#[test]
fn who_does_not_know_the_key_or_is_no_page_of_ours_reaches_nobody() {
    let stub = Stub::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
    let served = Served::start(&["--server", &stub.url]);
    let host = "Host: HOST\r\nConnection: close\r\n";
    for (request, expected) in [
        (format!("GET /api/v1/fields HTTP/1.1\r\n{host}\r\n"), "404"),
        (
            format!("GET /00000000000000000000000000000000/api/v1/fields HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (format!("GET / HTTP/1.1\r\n{host}\r\n"), "404"),
        (
            "GET /KEY/api/v1/fields HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".to_owned(),
            "421",
        ),
        (
            "GET /KEY/api/v1/fields HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            "421",
        ),
        ("GET /KEY/api/v1/fields HTTP/1.0\r\n\r\n".to_owned(), "421"),
        (
            format!("GET /KEY/api/v1/fields HTTP/1.1\r\nHost: evil.example\r\n{host}\r\n"),
            "421",
        ),
        (
            format!("GET /KEY/api/v1/fields HTTP/1.1\r\nOrigin: http://evil.example\r\n{host}\r\n"),
            "403",
        ),
        (
            format!("GET /KEY/api/v1/fields HTTP/1.1\r\nSec-Fetch-Site: cross-site\r\n{host}\r\n"),
            "403",
        ),
        (
            format!("GET http://HOST/KEY/api/v1/fields HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (
            format!("GET http://evil.example/KEY/api/v1/fields HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (format!("CONNECT HOST HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("CONNECT 192.0.2.1:443 HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("OPTIONS * HTTP/1.1\r\n{host}\r\n"), "400"),
        (
            format!("GET /KEY/api/v1/../../api/v1/secrets HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("GET /KEY/api/v1/..%2f..%2fsecrets HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("GET /KEY/../KEY/api/v1/fields HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("POST /KEY/api/v1/fields HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\n{{}}"),
            "405",
        ),
        (format!("DELETE /KEY/api/v1/fields HTTP/1.1\r\n{host}\r\n"), "405"),
        (
            format!("GET /KEY/api/v1/fields HTTP/1.1\r\n{host}Host : x\r\n\r\n"),
            "400",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
    ] {
        let told = served.told(&request);
        // What is no HTTP at all may get no answer.
        let said = code(&told);
        assert!(
            said == expected || (said.is_empty() && expected == "400"),
            "{request}: {told}"
        );
    }
    assert_eq!(stub.asked(), Vec::<String>::new());
    assert_eq!(code(&served.page("api/v1/fields")), "200");
    assert_eq!(stub.asked().len(), 1);
}

#[test]
fn what_the_kubeconfig_shows_goes_to_the_api_server_alone_and_nothing_of_the_browser_does() {
    let folder = tempfile::tempdir().unwrap();
    let stub = Stub::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nset-cookie: a=b\r\n\
         location: http://evil.example\r\naccess-control-allow-origin: *\r\nx-token: sesame-which-opens-everything\r\n\
         content-security-policy: default-src *\r\nconnection: close\r\n\r\n{}",
    );
    let served = Served::start(&["--kubeconfig", &kubeconfig(folder.path(), &stub.url)]);
    let told = served.told(
        "GET /KEY/api/v1/tail?filter=a%0d%0aX-Evil:+1 HTTP/1.1\r\nHost: HOST\r\nAccept: application/json\r\n\
         Authorization: Bearer mine\r\nX-Weir-Authorization: Bearer mine\r\nImpersonate-User: admin\r\n\
         X-Remote-User: admin\r\nCookie: c=d\r\nForwarded: for=x\r\nConnection: close, Accept\r\n\r\n",
    );
    assert_eq!(code(&told), "200", "{told}");
    for header in [
        "set-cookie",
        "location",
        "access-control",
        "x-token",
        "default-src *",
        "sesame",
    ] {
        assert!(!told.to_lowercase().contains(header), "{told}");
    }
    assert!(told.contains("sandbox") && told.contains("nosniff"), "{told}");
    let asked = stub.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let asked = asked[0].to_lowercase();
    // As a watch: the API server ends other requests after a minute.
    let line = "get /apis/flows.weir.dev/v1/tail?filter=a%0d%0ax-evil:+1&watch=true http/1.1\r\n";
    assert!(asked.starts_with(line), "{asked}");
    assert!(
        asked.contains(&format!("authorization: bearer {TOKEN}\r\n")),
        "{asked}"
    );
    for header in [
        "mine",
        "impersonate",
        "x-remote",
        "cookie",
        "forwarded",
        "\r\nx-evil",
    ] {
        assert!(!asked.contains(header), "{asked}");
    }
    assert!(!served.address.contains(TOKEN));
}

#[test]
fn a_request_within_the_body_of_another_is_one_of_whoever_sent_it() {
    let stub = Stub::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}");
    let served = Served::start(&["--server", &stub.url]);
    let hidden = "GET /KEY/api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let head = "GET /KEY/api/v1/fields HTTP/1.1\r\nHost: HOST\r\n";
    for request in [
        format!("{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{head}Content-Length: 0\r\nContent-Length: 3\r\n\r\nabc{hidden}"),
        format!("{head}Content-Length: 3\r\n\r\nabc{hidden}"),
        format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!(
            "{head}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n{hidden}"
        ),
    ] {
        let told = served.told(&request);
        assert!(!told.contains("HTTP/1.1 101"), "{request}: {told}");
        let asked = stub.asked();
        let is_of_fields = |head: &String| head.starts_with("GET /api/v1/fields?");
        assert!(asked.iter().all(is_of_fields), "{request}: {asked:?}");
        assert!(
            asked.iter().all(|head| !head.contains("ontent-")),
            "{request}: {asked:?}"
        );
    }
}

#[test]
fn who_is_in_the_way_of_the_collector_makes_no_page_and_asks_for_no_token() {
    let unauthorized = r#"{"type":"urn:weir:unauthorized","title":"","status":401,"detail":"no token"}"#;
    let body = |head: &str, body: &str| {
        format!(
            "HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    for (answer, code_expected, word) in [
        (
            body("401 Unauthorized\r\nwww-authenticate: Basic", unauthorized),
            "502",
            "--token",
        ),
        (
            body("302 Found\r\nlocation: http://evil.example/", ""),
            "502",
            "302",
        ),
        (
            body("403 Forbidden", r#"{"kind":"Status","message":"you cannot"}"#),
            "403",
            "you cannot",
        ),
        (body("200 OK", r#"{}"#), "200", "{}"),
        (
            body(
                "404 Not Found",
                r#"{"type":"urn:weir:not-found","title":"","status":101,"detail":"x"}"#,
            ),
            "502",
            "x",
        ),
        (
            body("503 Service Unavailable", "<html>overloaded"),
            "502",
            "overloaded",
        ),
        (String::new(), "502", "cannot reach"),
    ] {
        let stub = Stub::answering(&answer);
        let served = Served::start(&["--server", &stub.url]);
        let told = served.page("api/v1/query?since=1h");
        assert_eq!(code(&told), code_expected, "{answer}: {told}");
        assert!(told.contains(word), "{answer}: {told}");
        let told = told.to_lowercase();
        assert!(
            !told.contains("www-authenticate") && !told.contains("location:"),
            "{told}"
        );
        assert!(!told.contains("urn:weir:unauthorized"), "{told}");
        assert!(
            told.contains("content-security-policy: default-src 'none'; frame-ancestors 'none'; sandbox")
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_whole_one() {
    let stub = Stub::answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{}\n\r\n");
    let served = Served::start(&["--server", &stub.url]);
    let told = served.page("api/v1/tail");
    assert!(
        told.starts_with("HTTP/1.1 200") && told.contains("{}\n"),
        "{told}"
    );
    assert!(!told.ends_with("0\r\n\r\n"), "{told}");
}

#[test]
fn a_stream_comes_no_faster_than_it_is_read_and_whole() {
    const PIECE: usize = 1 << 16;
    /// More than sockets hold.
    const PIECES: usize = 1_024;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let stub = Stub::start(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        for _ in 0..PIECES {
            if stream.write_all(&[b'\n'; PIECE]).is_err() {
                return;
            }
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    let served = Served::start(&["--server", &stub.url]);
    let mut stream = served.sent("GET /KEY/api/v1/tail HTTP/1.0\r\nHost: HOST\r\n\r\n");
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head[9..], b"200");
    // Nobody reads: it is written until all between is full, and no further.
    let begun = Instant::now();
    let mut still = (0, Instant::now());
    while still.1.elapsed().as_millis() < 500 {
        let now = written.load(Ordering::SeqCst);
        if now != still.0 {
            still = (now, Instant::now());
        }
        assert!(begun.elapsed() < PATIENCE, "it is written on and on");
        std::thread::yield_now();
    }
    let held = written.load(Ordering::SeqCst);
    assert!(
        held < PIECES / 2,
        "{held} of {PIECES} pieces were taken that nobody read"
    );
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    let text = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(rest.len() - text, PIECE * PIECES);
}

#[test]
fn the_collector_is_let_go_when_a_browser_leaves() {
    let (gone, left) = std::sync::mpsc::sync_channel(1);
    let stub = Stub::start(move |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}\n");
        // Returns when the other end has gone.
        let _ = stream.read(&mut [0; 16]);
        let _ = gone.send(());
    });
    let served = Served::start(&["--server", &stub.url]);
    let mut stream = served.sent("GET /KEY/api/v1/tail HTTP/1.1\r\nHost: HOST\r\n\r\n");
    stream.read_exact(&mut [0; 12]).unwrap();
    drop(stream);
    left.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_browser_is_given_a_file_of_its_owner_and_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let opener = folder.path().join("xdg-open");
    std::fs::write(
        &opener,
        "#!/bin/sh\n{ echo \"$@\"; stat -c %a \"$1\"; cat \"$1\"; } >\"$SEEN.part\" && mv \"$SEEN.part\" \"$SEEN\"\n",
    )
    .unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    store(&data);
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut command = weir(&["ui", "--data-dir", &data.display().to_string()]);
    command
        .env("PATH", path)
        .env("DISPLAY", ":0")
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("SEEN", &seen);
    let mut served = Served::run(&mut command);
    let begun = Instant::now();
    while !seen.exists() {
        assert!(begun.elapsed() < PATIENCE, "nothing was opened");
        std::thread::yield_now();
    }
    let text = std::fs::read_to_string(&seen).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let file = Path::new(lines[0]);
    assert!(!lines[0].contains(&served.prefix[1..]), "{text}");
    assert_eq!(lines[1], "600");
    assert!(
        lines[2..]
            .join("\n")
            .contains(&format!("url={}\"", served.address)),
        "{text}"
    );
    assert!(file.exists());
    served.running.signal("INT");
    assert_eq!(served.running.ended().code(), Some(0));
    assert!(!file.exists());
}

#[test]
fn that_it_cannot_begin_is_said_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    store(&data);
    let data = data.display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (words, word) in [
        (&["ui", "--data-dir", &data, "--port", &port][..], "--port"),
        (&["ui", "--data-dir", "/nowhere"], "/nowhere"),
        (&["ui", "--server", &format!("http://{closed}")], "cannot reach"),
        (&["ui", "--server", "nonsense"], "--server"),
        (&["ui", "--data-dir", &data, "--token", "t"], "no effect"),
        (
            &["ui", "--server", "http://127.0.0.1:1", "--token", TOKEN],
            "--token is not for collectors alone",
        ),
    ] {
        let (code, out, err) = run(words);
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.contains(word), "{words:?}: {err}");
    }
}
