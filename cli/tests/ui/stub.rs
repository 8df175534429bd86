//! A collector, or an API server before it, that answers what a test says and keeps what it
//! was asked, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the collector says of itself: `weir ui` asks before it serves.
const ME: &str = r#"{"known_by":"loopback","sees_everything":true,"namespaces":[],"stores":true,"oldest":[],"limits":{"rows":10000,"memory_bytes":1,"query_seconds":60,"queries":4,"tails":32,"tail_seconds":600},"time":"2026-11-30T00:00:00Z","version":"VERSION"}"#;

/// One that listens until the test ends.
pub struct Stub {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// It writes `answer` to whoever asks for anything but `me`, and ends the connection.
    pub fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::start(move |stream| drop(stream.write_all(answer.as_bytes())))
    }

    /// It leaves to `answer` what is written to whoever asks for anything but `me`.
    pub fn start(answer: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (Arc::clone(&kept), answer.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(head) = head(&mut stream) else { return };
                    let is_me = head.split(' ').nth(1).unwrap_or_default().contains("/me");
                    kept.lock().unwrap().push(head);
                    match is_me {
                        true => drop(stream.write_all(me().as_bytes())),
                        false => answer(&mut stream),
                    }
                });
            }
        });
        Self { url, heads }
    }

    /// Heads of the requests that came, but for those to `me`.
    pub fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        heads
            .iter()
            .filter(|head| !head.contains("/me?"))
            .cloned()
            .collect()
    }
}

fn me() -> String {
    let body = ME.replace("VERSION", env!("CARGO_PKG_VERSION"));
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).ok()
}
