//! What tests ask instead of a collector.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;

/// A collector that answers each page with the next of its bodies, and tells what it was
/// asked. A page for which it has none is never answered.
pub struct FakeCollector {
    /// To ask it.
    pub server: Server,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeCollector {
    /// It listens.
    pub async fn start(tails: Vec<String>, pages: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::at(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let bodies = Arc::new(Mutex::new([tails.into_iter(), pages.into_iter()]));
        let told = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (bodies, told) = (Arc::clone(&bodies), Arc::clone(&told));
                tokio::spawn(async move {
                    let path = path(&mut stream).await;
                    let kind = usize::from(path.contains("/flows"));
                    told.lock().unwrap().push(path);
                    let body = bodies.lock().unwrap()[kind].next();
                    let Some(body) = body else {
                        return std::future::pending().await;
                    };
                    let head = match body.starts_with("HTTP/1.1 ") {
                        true => "",
                        false => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
                    };
                    let answer = format!("{head}{body}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                });
            }
        });
        Self { server, asked }
    }

    /// The paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn path(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        let mut some = [0; 4096];
        let length = stream.read(&mut some).await.unwrap();
        text.push_str(std::str::from_utf8(&some[..length]).unwrap());
    }
    text.split(' ').nth(1).unwrap().to_owned()
}
