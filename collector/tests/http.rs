//! HTTP on loopback: what connections may cost, and HTTPS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authority;
mod harness;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use authority::Authority;
use harness::{eventually, get, metrics};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
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
async fn probes_are_answered_when_all_connections_are_taken_and_nothing_else_is() {
    let (running, http) = start(HttpServer {
        connections: 4,
        ..HttpServer::default()
    })
    .await;
    blocking(move || {
        let silent: Vec<TcpStream> = (0..4).map(|_| connect(http, b"")).collect();
        for _ in 0..20 {
            for (page, expected) in [
                ("/healthz", 200),
                ("/readyz", 200),
                ("/metrics", 200),
                ("/apis/flows.weir.dev/v1", 200),
                ("/api/v1/fields", 503),
            ] {
                let (status, body) = get(http, page);
                assert_eq!(status, expected, "{page}: {body}");
            }
        }
        drop(silent);
        eventually("room for questions", || {
            (get(http, "/api/v1/fields").0 == 200).then_some(())
        });
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

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW: u8 = 8;

async fn over_http2(
    authority: &Authority,
    http: SocketAddr,
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let mut roots = RootCertStore::empty();
    let pem = CertificateDer::from_pem_file(authority.file("ca.pem")).unwrap();
    roots.add(pem).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(http).await.unwrap();
    let name = "collector.test".try_into().unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_over_http2_that_gets_no_window_ends_and_others_of_its_connection_go_on() {
    let authority = blocking(|| Authority::new("window")).await;
    let (running, http) = start(HttpServer {
        answer_timeout: SOON,
        ..with(&authority, "server")
    })
    .await;
    let mut stream = over_http2(&authority, http).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0; then GET https://localhost/healthz.
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let request = [&[0x82, 0x87, 0x04, 8][..], b"/healthz", &[0x41, 9], b"localhost"].concat();
    let ask = |number: u32| frame(HEADERS, 0x5, number, &request);
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream.write_all(&[no_window, ask(1)].concat()).await.unwrap();
    let first = until_frame(&mut stream, RESET, 1).await;
    assert!(
        first.contains(&(HEADERS, 1)) && !first.contains(&(DATA, 1)),
        "{first:?}"
    );
    // The next one is granted a window, and comes.
    let window = frame(WINDOW, 0, 3, &1_000_u32.to_be_bytes());
    stream.write_all(&[ask(3), window].concat()).await.unwrap();
    let second = until_frame(&mut stream, DATA, 3).await;
    assert!(second.contains(&(HEADERS, 3)), "{second:?}");
    running.stop().await.unwrap();
}

/// Reads whole frames until one of this kind comes, of that stream and with something in it;
/// the kinds and streams of all.
async fn until_frame(stream: &mut (impl AsyncRead + Unpin), kind: u8, number: u32) -> Vec<(u8, u32)> {
    let mut frames = Vec::new();
    let wanted = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let [a, b, c, its, _, rest @ ..] = head;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            if its != DATA || length > 0 {
                frames.push((its, u32::from_be_bytes(rest)));
            }
            if frames.last() == Some(&(kind, number)) {
                return;
            }
        }
    };
    timeout(Duration::from_secs(60), wanted).await.expect("it comes");
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_this_host_are_told_over_http2_too() {
    let authority = blocking(|| Authority::new("local")).await;
    let (running, http) = start(with(&authority, "server")).await;
    blocking(move || {
        let status = |host: &str, version: &str| {
            let mut curl = Command::new("curl");
            curl.args([
                "--silent",
                "--insecure",
                "--output",
                "/dev/null",
                version,
                "--write-out",
                "%{http_code}",
            ]);
            curl.args(["--connect-to", &format!("::127.0.0.1:{}", http.port())]);
            let output = curl
                .arg(format!("https://{host}/api/v1/fields"))
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        for version in ["--http2", "--http1.1"] {
            assert_eq!(status("localhost", version), "200", "{version}");
            assert_eq!(status("evil.example", version), "403", "{version}");
        }
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
