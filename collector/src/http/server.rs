//! Connections over HTTP: how many at a time, how long each may take, in the clear or over
//! TLS, and how they end when the collector does. HTTP/2 is spoken over TLS with those who
//! ask for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::certificate::Certificate;
use super::stall::Stall;
use crate::admission::{Admission, Permit};
use crate::metrics::HttpConnections;
use crate::stream::told;
use crate::tls::{TlsError, TlsFiles};

/// Connections at a time, unless told otherwise.
const CONNECTIONS: usize = 1_024;
/// Connections of one peer at a time, unless told otherwise: an API server's proxy is one.
const CONNECTIONS_PER_PEER: usize = 256;
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
            connections: CONNECTIONS,
            connections_per_peer: CONNECTIONS_PER_PEER,
            request_timeout: REQUEST,
            answer_timeout: ANSWER,
            certificate_interval: CERTIFICATE,
        }
    }
}

/// A socket that is listened on, and the certificate that it shows.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    certificate: Option<Certificate>,
    config: HttpServer,
}

impl Server {
    /// Reads the certificate, if there is to be one.
    ///
    /// # Errors
    /// TLS cannot be spoken with these files.
    pub fn new(listener: TcpListener, config: HttpServer) -> Result<Self, TlsError> {
        let certificate = config.tls.clone().map(Certificate::read).transpose()?;
        Ok(Self {
            listener,
            certificate,
            config,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes connections until `stop` turns true or its sender is gone; then waits for
    /// the answers that are under way.
    pub(super) async fn run(
        mut self,
        pages: Router,
        counts: &Arc<HttpConnections>,
        stop: watch::Receiver<bool>,
    ) {
        let admission = Admission::new(self.config.connections, self.config.connections_per_peer);
        let mut connections = JoinSet::new();
        let mut stopped = stop.clone();
        let mut look = interval(self.config.certificate_interval);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Those that have ended are let go.
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                biased;
                () = told(&mut stopped) => break,
                _ = look.tick(), if self.certificate.is_some() => {
                    self.certificate.iter_mut().for_each(Certificate::refresh);
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match admission.admit(peer.ip().to_canonical()) {
                    Ok(permit) => {
                        let open = Open::new(counts, permit);
                        let connection = self.connection(pages.clone(), stop.clone());
                        connections.spawn(connection.serve(stream, open));
                    }
                    Err(refusal) => counts.refuse(refusal),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection over HTTP cannot be taken");
                    sleep(PAUSE).await;
                }
            }
        }
        drop(self);
        while connections.join_next().await.is_some() {}
    }

    fn connection(&self, pages: Router, stop: watch::Receiver<bool>) -> Connection {
        Connection {
            pages,
            tls: self
                .certificate
                .as_ref()
                .map(|certificate| TlsAcceptor::from(certificate.config())),
            request: self.config.request_timeout,
            answer: self.config.answer_timeout,
            stop,
        }
    }
}

/// What one connection gets.
struct Connection {
    pages: Router,
    tls: Option<TlsAcceptor>,
    request: Duration,
    answer: Duration,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(mut self, stream: TcpStream, _open: Open) {
        let Some(acceptor) = self.tls.take() else {
            return self.answer(stream, false).await;
        };
        let mut stop = self.stop.clone();
        let handshake = tokio::select! {
            () = told(&mut stop) => return,
            handshake = timeout(self.request, acceptor.accept(stream)) => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let second = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.answer(stream, second).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake over HTTP failed"),
            Err(_) => tracing::debug!("a TLS handshake over HTTP took too long"),
        }
    }

    /// Answers requests over HTTP/1.1, or HTTP/2, until one side ends the connection.
    async fn answer(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, second: bool) {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.request)
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
        let connection = builder.serve_connection(stream, TowerToHyperService::new(self.pages));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told(&mut self.stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
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
