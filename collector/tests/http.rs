//! HTTP on loopback: what connections may cost, and HTTPS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use authority::Authority;
use harness::{eventually, metrics};
use weir_collector::{Collector, Config, HttpServer, Running, TlsFiles};

/// Long enough for a request on a busy machine, short enough to wait for.
const SOON: Duration = Duration::from_millis(500);

async fn start(http_server: HttpServer) -> (Running, SocketAddr) {
    let config = Config {
        http_server,
        ..Config::default()
    };
    let running = Collector::start(config).await.unwrap();
    let http = running.addresses().http;
    (running, http)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn connect(http: SocketAddr, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(said).unwrap();
    stream
}

/// Everything until the other side ends it, which it must.
fn to_the_end(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_held_than_there_may_be() {
    let (running, http) = start(HttpServer::default()).await;
    blocking(move || {
        let silent: Vec<TcpStream> = (0..1_500).map(|_| connect(http, b"")).collect();
        // Those that were not taken are at their end; those before them wait for a request.
        to_the_end(silent.last().unwrap().try_clone().unwrap());
        drop(silent);
        let counted = eventually("the others to go", || {
            let counted = std::panic::catch_unwind(|| metrics(http)).ok()?;
            Some(counted).filter(|counted| counted["http_connections"] == 1)
        });
        let refused = counted["http_connections_refused_total{reason=\"peer_full\"}"];
        assert!(refused >= 1_500 - 256, "{refused}");
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_no_request_or_half_a_one_is_let_go() {
    let (running, http) = start(HttpServer {
        request_timeout: SOON,
        ..HttpServer::default()
    })
    .await;
    blocking(move || {
        let begun: [&[u8]; 4] = [
            b"",
            b"GET /healthz HTTP/1.1\r\nHost: local",
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx",
        ];
        let streams = begun.map(|said| connect(http, said));
        let answers = streams.map(to_the_end);
        assert_eq!(answers[0], "");
        assert!(!answers[1].contains("200 OK"), "{answers:?}");
        // Idle after its answer.
        assert!(answers[2].starts_with("HTTP/1.1 200 OK"), "{answers:?}");
        // The body is nothing that anybody waits for.
        assert!(answers[3].starts_with("HTTP/1.1 405"), "{answers:?}");
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_answers_is_let_go() {
    let (running, http) = start(HttpServer {
        answer_timeout: SOON,
        ..HttpServer::default()
    })
    .await;
    blocking(move || {
        // More answers than the sockets of both sides hold.
        let request = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut stream = connect(http, b"");
        stream.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while sent < 1_000 && stream.write_all(request).is_ok() {
            sent += 1;
        }
        assert!(sent > 100, "{sent}");
        eventually("the connection to end", || {
            Some(()).filter(|()| metrics(http)["http_connections"] == 1)
        });
    })
    .await;
    running.stop().await.unwrap();
}

fn with(authority: &Authority, name: &str) -> HttpServer {
    HttpServer {
        tls: Some(TlsFiles {
            certificate: authority.file(&format!("{name}.pem")),
            private_key: authority.file(&format!("{name}.key")),
            client_authority: None,
        }),
        certificate_interval: Duration::from_millis(50),
        ..HttpServer::default()
    }
}

/// What curl says, which trusts this authority: the version of HTTP and the answer.
fn curl(authority: &Authority, http: SocketAddr, version: &str) -> Option<String> {
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            version,
            "--write-out",
            "%{http_version} ",
        ])
        .arg("--cacert")
        .arg(authority.file("ca.pem"))
        .args(["--resolve", &format!("collector.test:{}:127.0.0.1", http.port())])
        .arg(format!("https://collector.test:{}/healthz", http.port()));
    let output = command.output().unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap().replace('\n', " "))
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_with_both_versions_and_nothing_is_served_in_the_clear() {
    let authority = blocking(|| Authority::new("https")).await;
    let (running, http) = start(with(&authority, "server")).await;
    blocking(move || {
        assert_eq!(curl(&authority, http, "--http2").as_deref(), Some("ok 2 "));
        assert_eq!(curl(&authority, http, "--http1.1").as_deref(), Some("ok 1.1 "));
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert!(!to_the_end(connect(http, request)).contains("200 OK"));
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_renewed_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let (ours, new) = blocking(|| (Authority::new("before"), Authority::new("renewed"))).await;
    let (running, http) = start(with(&ours, "server")).await;
    blocking(move || {
        assert!(curl(&ours, http, "--http2").is_some());
        assert!(curl(&new, http, "--http2").is_none());
        // The key is not there yet: what was shown is shown on.
        std::fs::copy(new.file("server.pem"), ours.file("server.pem")).unwrap();
        for _ in 0..5 {
            std::thread::park_timeout(Duration::from_millis(50));
            assert!(curl(&ours, http, "--http2").is_some());
        }
        std::fs::copy(new.file("server.key"), ours.file("server.key")).unwrap();
        eventually("the new certificate", || curl(&new, http, "--http2"));
        assert!(curl(&ours, http, "--http2").is_none());
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_that_can_be_read_nothing_starts() {
    let authority = blocking(|| Authority::new("unreadable")).await;
    let started = Collector::start(Config {
        http_server: with(&authority, "nobody"),
        ..Config::default()
    });
    let error = started.await.unwrap_err().to_string();
    assert!(error.contains("nobody."), "{error}");
}
