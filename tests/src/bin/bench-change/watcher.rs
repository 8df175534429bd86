//! Watches one OVSDB for a target, over a connection of its own and with no
//! code of the product: a `monitor` request (RFC 7047, section 4.1.5), then the
//! time at which the target's text arrives.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

const MONITOR: &[u8] =
    br#"{"id":0,"method":"monitor","params":["Open_vSwitch",null,{"NetFlow":{"columns":["targets"]}}]}"#;

/// A connection that reports each update with the time of its arrival.
pub struct Watcher {
    updates: Receiver<(Instant, String)>,
}

impl Watcher {
    /// Connects and begins to watch.
    pub fn start(socket: &Path) -> Result<Self> {
        let mut stream =
            UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
        stream.write_all(MONITOR)?;
        // More updates than a round has; the reader must never wait.
        let (sender, updates) = sync_channel(1024);
        std::thread::spawn(move || report(&mut stream, &sender));
        Ok(Self { updates })
    }

    /// The time at which an update with that text arrived.
    pub fn wait(&self, text: &str, deadline: Duration) -> Result<Instant> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (at, update) = self
                .updates
                .recv_timeout(left)
                .with_context(|| format!("no {text} in {deadline:?}"))?;
            if update.contains(text) {
                return Ok(at);
            }
        }
    }
}

/// An update of one row arrives in one piece: it is far smaller than a socket
/// buffer. The server's echo requests are answered so that it stays connected.
fn report(stream: &mut UnixStream, updates: &SyncSender<(Instant, String)>) {
    let mut buffer = [0; 65536];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let at = Instant::now();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.contains("\"echo\"")
            && stream
                .write_all(br#"{"id":"echo","result":[],"error":null}"#)
                .is_err()
        {
            return;
        }
        if updates.try_send((at, text)).is_err() {
            return;
        }
    }
}
