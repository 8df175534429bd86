//! Tells collectors which pod stands behind each interface, in IPFIX options data
//! (RFC 7011 §3.4.2.2: interface scope; port, name, description), so that they need
//! not guess by addresses. Only those who are to know: which, the spec says. Owns when
//! what is sent; which interfaces there are is `read`'s, the bytes are `message`'s.
//!
//! It follows the database beside the reconcile loop: each IPFIX row of ours and each
//! of its targets is a stream with a socket, hence a transport session, and a
//! sequence of its own. A new stream is told everything, a known one what changed,
//! and all of it again about every [`REPEAT`], since datagrams get lost and
//! collectors restart. What cannot be sent is counted and comes with the next repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ovsdb::View;
use tokio::sync::watch;
use tokio::time::Instant;
use weir_process::jitter::jittered;

use crate::desired::Desired;
use crate::metrics::Metrics;

mod message;
mod read;

pub use message::{TEMPLATE, messages};
pub use read::{Interface, Interfaces, StreamKey, Streams, read};

/// How often everything is told again, give or take a tenth.
pub const REPEAT: Duration = Duration::from_secs(60);

/// Changes that come within this time are told together.
const COALESCE: Duration = Duration::from_millis(100);

/// Follows the database and the spec until one of them ends. `all`: every collector is
/// told, whatever the spec says.
pub async fn run(
    mut view: watch::Receiver<View>,
    mut desired: watch::Receiver<Option<Desired>>,
    all: bool,
    metrics: Arc<Metrics>,
) {
    let mut announcer = Announcer::new(metrics);
    let mut repeat_at = Instant::now() + jittered(REPEAT, 100);
    loop {
        let replica = Arc::clone(&view.borrow_and_update().replica);
        let mut streams = read(&replica);
        if !all {
            let told = told(desired.borrow_and_update().as_ref());
            streams.retain(|to, _| told.contains(&to.target));
        }
        announcer.announce_changes(streams, now());
        tokio::select! {
            changed = desired.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(COALESCE).await;
            }
            () = tokio::time::sleep_until(repeat_at) => {
                announcer.announce_all(now());
                repeat_at = Instant::now() + jittered(REPEAT, 100);
            }
        }
    }
}

/// The targets that the spec lets be told.
fn told(desired: Option<&Desired>) -> BTreeSet<SocketAddr> {
    let bridges = desired.into_iter().flat_map(|desired| &desired.spec.bridges);
    let targets = bridges.filter_map(|bridge| bridge.ipfix.as_ref());
    targets
        .flat_map(|ipfix| &ipfix.interface_names)
        .filter_map(|target| target.parse().ok())
        .collect()
}

/// What was told to whom.
#[derive(Debug)]
pub struct Announcer {
    streams: BTreeMap<StreamKey, Stream>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Stream {
    /// `None`: there was none to be had; another attempt is made with the next message.
    socket: Option<UdpSocket>,
    /// Records sent, modulo 2^32 (RFC 7011 §3.1).
    sequence: u32,
    told: Interfaces,
}

impl Announcer {
    /// Nothing is told yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            streams: BTreeMap::new(),
            metrics,
        }
    }

    /// Tells what is new. `now`: seconds since the epoch UTC.
    pub fn announce_changes(&mut self, streams: Streams, now: u32) {
        self.streams.retain(|to, _| streams.contains_key(to));
        for (to, interfaces) in streams {
            let stream = self.streams.entry(to).or_insert_with(|| Stream {
                socket: None,
                sequence: 0,
                told: Interfaces::new(),
            });
            let changes = changes(&stream.told, &interfaces);
            stream.told = interfaces;
            stream.send(to, &changes, now, &self.metrics);
        }
        let told = self
            .streams
            .values()
            .map(|stream| stream.told.len())
            .sum::<usize>();
        self.metrics.interfaces_named.set(told as i64);
    }

    /// Tells everything again.
    pub fn announce_all(&mut self, now: u32) {
        for (to, stream) in &mut self.streams {
            let told = std::mem::take(&mut stream.told);
            stream.send(*to, &told, now, &self.metrics);
            stream.told = told;
        }
    }
}

/// What is new, and without a pod what is gone.
fn changes(before: &Interfaces, after: &Interfaces) -> Interfaces {
    let fresh = after
        .iter()
        .filter(|(index, interface)| before.get(index) != Some(interface));
    let gone = before.iter().filter(|(index, _)| !after.contains_key(index));
    let gone = gone.map(|(index, interface)| {
        let nobody = Interface {
            description: String::new(),
            ..interface.clone()
        };
        (*index, nobody)
    });
    fresh
        .map(|(index, interface)| (*index, interface.clone()))
        .chain(gone)
        .collect()
}

impl Stream {
    fn send(&mut self, to: StreamKey, interfaces: &Interfaces, now: u32, metrics: &Metrics) {
        let records: Vec<_> = interfaces.iter().collect();
        for message in messages(to.domain, self.sequence, now, &records) {
            match self.send_one(to.target, &message.bytes) {
                Ok(()) => {
                    self.sequence = message.next_sequence;
                    metrics.count_interface_message("sent");
                }
                Err(error) => {
                    self.socket = None;
                    metrics.count_interface_message("failed");
                    tracing::debug!(target = %to.target, %error, "cannot tell the interfaces' names");
                    // The number of the next message would not fit any more.
                    return;
                }
            }
        }
    }

    /// A collector that was not there makes the next send fail: it is not that one's
    /// fault, so it is tried once more.
    fn send_one(&mut self, target: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(target)?,
        };
        let socket = self.socket.insert(socket);
        let sent = match socket.send(bytes) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => socket.send(bytes),
            sent => sent,
        };
        sent.map(drop)
    }
}

/// A socket that never blocks: what does not fit is lost and comes again.
fn open(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if target.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The field has 32 bits (RFC 7011 §3.1) and wraps in 2106.
    since.as_secs() as u32
}

#[cfg(test)]
mod tests;
