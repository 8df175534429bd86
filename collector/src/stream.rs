//! IPFIX over TCP and TLS (RFC 7011 §10.4): who is taken, how many at a time, how
//! it ends. What is done with a connection is `connection`'s.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::stream_limits;
use crate::enrich::NameRoom;
use crate::metrics::{Closed, Refusal, Transport};
use crate::worker::WorkerShared;

mod connection;

use crate::admission::{Admission, Permit};
use crate::tls::{self, TlsError, TlsFiles};
use connection::Connection;

/// Connections at a time, unless told otherwise. Each takes 1 MiB at most for templates
/// and data that waits, and 2 MiB for names where it brings as many flows as that.
pub const CONNECTIONS: usize = 256;

/// Connections of one peer at a time, unless told otherwise.
pub const CONNECTIONS_PER_PEER: usize = 16;

/// Silence after which a connection is closed, unless told otherwise.
const IDLE: Duration = Duration::from_secs(600);

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a stopping listener waits for its connections: longer than each of
/// them takes to read what was received.
const DRAIN: Duration = Duration::from_secs(3);

/// How long a stopping part waits for what may have arrived without its knowing.
const GRACE: Duration = Duration::from_millis(100);

/// Pause after the system refused a connection, for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Which streams are taken.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Addresses for TCP.
    pub tcp: Vec<SocketAddr>,
    /// Addresses for TLS.
    pub tls: Vec<SocketAddr>,
    /// What TLS needs; only looked at when there is an address for it.
    pub tls_files: TlsFiles,
    /// Connections at a time, over all addresses.
    pub connections: usize,
    /// Connections of one peer at a time.
    pub connections_per_peer: usize,
    /// Silence after which a connection is closed.
    pub idle: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            tcp: Vec::new(),
            tls: Vec::new(),
            tls_files: TlsFiles::default(),
            connections: CONNECTIONS,
            connections_per_peer: CONNECTIONS_PER_PEER,
            idle: IDLE,
        }
    }
}

/// A stream socket could not be opened.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The address is taken, not ours, or not permitted.
    #[error("cannot listen on TCP {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// TLS cannot be spoken with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Listens on one address.
pub(crate) struct Listener {
    socket: TcpListener,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    tls: Option<TlsAcceptor>,
    admission: Arc<Admission>,
    idle: Duration,
}

/// Opens all addresses: those for TCP, then those for TLS.
pub(crate) async fn bind(config: &StreamConfig) -> Result<Vec<Listener>, StreamError> {
    let acceptor = match config.tls.is_empty() {
        true => None,
        false => Some(tls::acceptor(&config.tls_files)?),
    };
    let admission = Admission::new(config.connections, config.connections_per_peer);
    let tcp = config.tcp.iter().map(|address| (*address, None));
    let tls = config.tls.iter().map(|address| (*address, acceptor.clone()));
    let mut listeners = Vec::new();
    for (address, tls) in tcp.chain(tls) {
        let failed = |error| StreamError::Listen(address, error);
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        listeners.push(Listener {
            address: socket.local_addr().map_err(failed)?,
            socket,
            tls,
            admission: Arc::clone(&admission),
            idle: config.idle,
        });
    }
    Ok(listeners)
}

impl Listener {
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Takes connections until `stop` turns true or its sender is gone; then those
    /// that wait already, and waits for all to be read out.
    pub(crate) async fn run(self, shared: WorkerShared, stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let mut stopped = stop.clone();
        loop {
            // Those that have ended are let go.
            while connections.try_join_next().is_some() {}
            tokio::select! {
                biased;
                () = told(&mut stopped) => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer, &shared, &stop, &mut connections),
                    Err(error) => {
                        tracing::warn!(address = %self.address, %error, "a connection cannot be taken");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
        while let Ok(Ok((stream, peer))) = timeout(GRACE, self.socket.accept()).await {
            self.take(stream, peer, &shared, &stop, &mut connections);
        }
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(DRAIN, all).await.is_err() {
            tracing::warn!(address = %self.address, "connections are cut off");
        }
    }

    fn take(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        shared: &WorkerShared,
        stop: &watch::Receiver<bool>,
        connections: &mut JoinSet<()>,
    ) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let counters = shared.metrics.connections();
        let exporters = Arc::clone(&shared.snapshots.borrow().exporters);
        if !shared.allow.permits(peer.ip(), &exporters) {
            return counters.refuse(Refusal::Stranger);
        }
        let permit = match self.admission.admit(peer.ip()) {
            Ok(permit) => permit,
            Err(refusal) => return counters.refuse(refusal),
        };
        let open = Open::new(shared, self.tls.is_some(), permit);
        let worker = shared.worker(stream_limits(), NameRoom::CONNECTION);
        let connection = Connection::new(peer, worker, self.idle, stop.clone());
        connections.spawn(serve(stream, self.tls.clone(), connection, open));
    }
}

/// Returns when `stop` is true or its sender is gone. Cancel safe.
pub(crate) async fn told(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody can tell any more: the end, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, connection: Connection, mut open: Open) {
    let Some(acceptor) = tls else {
        open.closed = connection.run(stream).await;
        return;
    };
    let mut stop = connection.stop();
    let handshake = tokio::select! {
        () = told(&mut stop) => return,
        handshake = timeout(HANDSHAKE, acceptor.accept(stream)) => handshake,
    };
    open.closed = match handshake {
        Ok(Ok(stream)) => connection.run(stream).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            Closed::Handshake
        }
        Err(_) => Closed::Handshake,
    };
}

/// A connection that counts as open, until it is dropped.
struct Open {
    shared: WorkerShared,
    closed: Closed,
    _permit: Permit,
}

impl Open {
    fn new(shared: &WorkerShared, tls: bool, permit: Permit) -> Self {
        let transport = if tls { Transport::Tls } else { Transport::Tcp };
        shared.metrics.connections().open(transport);
        Self {
            shared: shared.clone(),
            closed: Closed::Stopped,
            _permit: permit,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.metrics.connections().close(self.closed);
    }
}
