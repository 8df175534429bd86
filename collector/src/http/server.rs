//! Connections over HTTP: how many at a time, how long each may take, in the clear or over
//! TLS, and how they end when the collector does. HTTP/2 is spoken over TLS with those who
//! ask for it. When there is no room for another connection, some are taken all the same
//! for one answer each: those to probes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::util::{MapRequest, MapResponse};

use super::answer_task::AnswerTasks;
use super::peer::Peer;
use super::presented::{Keeper, Presented, ServiceName};
use super::progress::Progress;
use super::stall::Stall;
use crate::admission::{Admission, Permit};
use crate::metrics::HttpConnections;
use crate::stream::told;
use crate::tls::TlsFiles;

/// Connections at a time, unless told otherwise.
const CONNECTIONS: usize = 1_024;
/// Connections of one peer at a time, unless told otherwise: an API server's proxy is one.
const CONNECTIONS_PER_PEER: usize = 256;
/// Connections at a time for probes alone, beside the others.
const PROBES: usize = 64;
/// Those of one peer.
const PROBES_PER_PEER: usize = 8;
/// How long one of them may take.
const PROBE: Duration = Duration::from_secs(5);
/// How long a TLS handshake, then the head of a request, may take, and how long a
/// connection may be idle.
const REQUEST: Duration = Duration::from_secs(30);
/// How long who reads an answer may take none of it.
const ANSWER: Duration = Duration::from_secs(30);
/// How often the certificate is looked at.
const CERTIFICATE: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes of a request's head.
const HEAD: usize = 64 << 10;
/// Requests at a time of one connection of HTTP/2.
const STREAMS: u32 = 64;

/// How HTTP is served.
#[derive(Debug, Clone)]
pub struct HttpServer {
    /// The certificate to show; HTTP is not encrypted without one.
    pub tls: Option<TlsFiles>,
    /// The Service before it, for which a certificate is made and kept where there are no
    /// files.
    pub service: Option<ServiceName>,
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one peer at a time.
    pub connections_per_peer: usize,
    /// How long a handshake, then the head of a request, may take, and how long a
    /// connection may be idle.
    pub request_timeout: Duration,
    /// How long who reads an answer may take none of it.
    pub answer_timeout: Duration,
    /// How often it is looked whether the certificate has changed.
    pub certificate_interval: Duration,
}

impl Default for HttpServer {
    fn default() -> Self {
        Self {
            tls: None,
            service: None,
            connections: CONNECTIONS,
            connections_per_peer: CONNECTIONS_PER_PEER,
            request_timeout: REQUEST,
            answer_timeout: ANSWER,
            certificate_interval: CERTIFICATE,
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    presented: Option<watch::Receiver<Arc<Presented>>>,
    config: HttpServer,
}

impl Server {
    /// Shows what is kept for it; without that, HTTP is in the clear.
    pub(crate) fn new(listener: TcpListener, config: HttpServer, keeper: Option<&Keeper>) -> Self {
        Self {
            listener,
            presented: keeper.map(Keeper::presented),
            config,
        }
    }

    /// Takes connections until `stop` turns true or its sender is gone; then waits for
    /// the answers that are under way. Of `probes` those get answers for whom there is no
    /// room.
    pub(super) async fn run(
        self,
        pages: Router,
        probes: Router,
        counts: &Arc<HttpConnections>,
        stop: watch::Receiver<bool>,
    ) {
        let admission = Admission::new(self.config.connections, self.config.connections_per_peer);
        let reserve = Admission::new(PROBES, PROBES_PER_PEER);
        let mut connections = JoinSet::new();
        if let Some(presented) = self.presented.clone() {
            connections.spawn(tell_ends(presented, Arc::clone(counts), stop.clone()));
        }
        let mut stopped = stop.clone();
        loop {
            // Those that have ended are let go.
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                () = told(&mut stopped) => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(%error, "a connection over HTTP cannot be taken");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            match admission.admit(peer) {
                Ok(permit) => {
                    let open = Open::new(counts, permit);
                    let connection = self.connection(pages.clone(), stop.clone());
                    connections.spawn(connection.serve(stream, open));
                }
                Err(refusal) => {
                    counts.refuse(refusal);
                    let Ok(permit) = reserve.admit(peer) else {
                        continue;
                    };
                    let open = Open::new(counts, permit);
                    let connection = Connection {
                        is_probe: true,
                        ..self.connection(probes.clone(), stop.clone())
                    };
                    connections.spawn(async { drop(timeout(PROBE, connection.serve(stream, open)).await) });
                }
            }
        }
        drop(self);
        while connections.join_next().await.is_some() {}
    }

    fn connection(&self, pages: Router, stop: watch::Receiver<bool>) -> Connection {
        Connection {
            pages,
            presented: self.presented.clone(),
            is_probe: false,
            request: self.config.request_timeout,
            answer: self.config.answer_timeout,
            stop,
        }
    }
}

/// Tells when the certificate ends that is shown, whichever that is, until the collector does.
async fn tell_ends(
    mut presented: watch::Receiver<Arc<Presented>>,
    counts: Arc<HttpConnections>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let ends = presented.borrow_and_update().ends;
        counts.certificate_ends(ends.map_or(0, Timestamp::as_second));
        let changed = tokio::select! {
            changed = presented.changed() => changed,
            () = told(&mut stop) => return,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// What one connection gets.
struct Connection {
    pages: Router,
    presented: Option<watch::Receiver<Arc<Presented>>>,
    /// It is there for one answer.
    is_probe: bool,
    request: Duration,
    answer: Duration,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, _open: Open) {
        let presented = self.presented.as_ref();
        let Some(presented) = presented.map(|presented| Arc::clone(&presented.borrow())) else {
            return self.answer(stream, false, Peer::anybody()).await;
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&presented.config));
        let mut stop = self.stop.clone();
        let handshake = tokio::select! {
            () = told(&mut stop) => return,
            handshake = timeout(self.request, acceptor.accept(stream)) => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let session = stream.get_ref().1;
                let second = session.alpn_protocol() == Some(b"h2");
                let shown = session.peer_certificates().and_then(<[_]>::first);
                let peer = Peer::who_shows(shown, presented.front_proxy.as_ref());
                self.answer(stream, second, peer).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake over HTTP failed"),
            Err(_) => tracing::debug!("a TLS handshake over HTTP took too long"),
        }
    }

    /// Answers requests over HTTP/1.1, or HTTP/2, until one side ends the connection.
    async fn answer(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        second: bool,
        peer: Peer,
    ) {
        let mut builder = Builder::new(AnswerTasks);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.request)
            .keep_alive(!self.is_probe)
            .max_buf_size(HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.request)
            .keep_alive_timeout(self.request)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD as u32);
        let builder = if second {
            builder.http2_only()
        } else {
            builder.http1_only()
        };
        let stream = TokioIo::new(Stall::new(stream, self.request, self.answer));
        // Over HTTP/1 the stream itself tells whether answers are taken.
        let progress = Arc::new(Progress::default());
        let watch = second.then(|| Arc::clone(&progress));
        let marks = peer.clone();
        let pages = MapRequest::new(self.pages, move |request| marks.mark(request));
        let pages = MapResponse::new(pages, move |response| Progress::watch(watch.as_ref(), response));
        let connection = builder.serve_connection(stream, TowerToHyperService::new(pages));
        tokio::pin!(connection);
        let stalls = progress.watch_for_stalls(self.answer);
        tokio::pin!(stalls);
        let mut ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = &mut stalls => return tracing::debug!("answers over HTTP/2 are not taken"),
            () = told(&mut self.stop) => None,
            () = peer.is_known_otherwise(self.presented.clone()) => None,
        };
        if ended.is_none() {
            // What is asked already is answered, and no more.
            connection.as_mut().graceful_shutdown();
            ended = tokio::select! {
                ended = connection => Some(ended),
                () = &mut stalls => None,
            };
        }
        if let Some(Err(error)) = ended {
            tracing::debug!(error, "a connection over HTTP broke");
        }
    }
}

/// A connection that counts as open, until it is dropped.
struct Open {
    counts: Arc<HttpConnections>,
    _permit: Permit,
}

impl Open {
    fn new(counts: &Arc<HttpConnections>, permit: Permit) -> Self {
        counts.open();
        Self {
            counts: Arc::clone(counts),
            _permit: permit,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.close();
    }
}
