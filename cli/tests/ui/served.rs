//! `weir ui` at work, and what a program on this host can send to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::fixture::{Running, weir};

/// One that has told its address.
pub struct Served {
    /// The program.
    pub running: Running,
    /// What it printed.
    pub address: String,
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// `/KEY`.
    pub prefix: String,
}

impl Served {
    /// Starts it; it opens no browser.
    pub fn start(words: &[&str]) -> Self {
        Self::run(&mut weir(&[&["ui", "--no-open"], words].concat()))
    }

    /// Starts this, and waits until it has told its address.
    pub fn run(command: &mut Command) -> Self {
        let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut address = String::new();
        let mut out = BufReader::new(running.0.stdout.take().unwrap());
        out.read_line(&mut address).unwrap();
        let address = address.trim_end().to_owned();
        let rest = address.strip_prefix("http://").expect(&address);
        let (host, path) = rest.split_once('/').unwrap();
        let prefix = format!("/{}", path.strip_suffix('/').unwrap());
        Self {
            host: host.to_owned(),
            prefix,
            address,
            running,
        }
    }

    /// A connection on which this was sent, with `KEY` and `HOST` in it replaced.
    pub fn sent(&self, text: &str) -> TcpStream {
        let text = text.replace("/KEY", &self.prefix).replace("HOST", &self.host);
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// All that comes back to this.
    pub fn told(&self, text: &str) -> String {
        let mut all = Vec::new();
        // It may end in the middle of what it did not read.
        let _ = self.sent(text).read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The answer to a page as a browser asks for it.
    pub fn page(&self, path: &str) -> String {
        self.told(&format!(
            "GET /KEY/{path} HTTP/1.1\r\nHost: HOST\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        ))
    }
}
