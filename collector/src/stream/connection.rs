//! One connection: octets in, messages out to its worker, until one side ends it.
//! Its templates live as long as it does.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::time::timeout;
use wire::{Framer, Session};

use super::{GRACE, told};
use crate::decode::DatagramReject;
use crate::metrics::Closed;
use crate::worker::Worker;

/// Octets that are read at a time.
const CHUNK: usize = 16 << 10;

/// How long a connection is read on after the collector was told to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// One connection.
pub(super) struct Connection {
    session: Session,
    framer: Framer,
    worker: Worker,
    idle: Duration,
    stop: watch::Receiver<bool>,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, worker: Worker, idle: Duration, stop: watch::Receiver<bool>) -> Self {
        Self {
            session: Session::stream(peer),
            framer: Framer::default(),
            worker,
            idle,
            stop,
        }
    }

    /// Turns true when the collector stops.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.clone()
    }

    /// Reads until the peer ends it, is silent for too long or sends what is no
    /// message, or until the collector stops: then what has arrived is read.
    pub(super) async fn run(mut self, mut stream: impl AsyncRead + Unpin) -> Closed {
        let mut chunk = vec![0; CHUNK];
        let closed = loop {
            let read = tokio::select! {
                biased;
                () = told(&mut self.stop) => None,
                read = timeout(self.idle, stream.read(&mut chunk)) => Some(read),
            };
            match read {
                None => break self.read_out(&mut stream, &mut chunk).await,
                Some(Err(_)) => break Closed::Idle,
                Some(Ok(read)) => match self.take(read, &chunk) {
                    Ok(()) => {}
                    Err(closed) => break closed,
                },
            }
        };
        self.worker.end(self.session);
        self.worker.hand_on();
        closed
    }

    /// Reads what has arrived.
    async fn read_out(&mut self, stream: &mut (impl AsyncRead + Unpin), chunk: &mut [u8]) -> Closed {
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            let Ok(read) = timeout(GRACE, stream.read(chunk)).await else {
                break;
            };
            if let Err(closed) = self.take(read, chunk) {
                return closed;
            }
        }
        Closed::Stopped
    }

    fn take(&mut self, read: std::io::Result<usize>, chunk: &[u8]) -> Result<(), Closed> {
        let octets = match read {
            Ok(0) | Err(_) if self.framer.pending() > 0 => return Err(Closed::CutShort),
            Ok(0) => return Err(Closed::End),
            Ok(octets) => octets,
            Err(error) => {
                tracing::debug!(peer = %self.session.peer, %error, "a connection broke");
                return Err(Closed::Failed);
            }
        };
        self.framer.push(&chunk[..octets]);
        let taken = self.take_messages();
        self.worker.hand_on();
        taken
    }

    fn take_messages(&mut self) -> Result<(), Closed> {
        let now_ns = now_ns();
        loop {
            let taken = match self.framer.next_message() {
                Ok(None) => return Ok(()),
                Ok(Some(message)) => self.worker.message(self.session, message, now_ns),
                Err(reject) => {
                    self.worker.malformed(self.session, &reject, now_ns);
                    Err(DatagramReject::Malformed)
                }
            };
            // RFC 7011 §9.1: a malformed message ends the connection.
            taken.map_err(|refused| match refused {
                DatagramReject::Stranger => Closed::Stranger,
                DatagramReject::Malformed | DatagramReject::Panic => Closed::Malformed,
            })?;
        }
    }
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
