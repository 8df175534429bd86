//! Counters of connections over TCP and TLS, and over HTTP.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Counters, labelled};

/// What a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP alone.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The peer is not one of those that may send.
    Stranger,
    /// There are as many as there may be.
    Full,
    /// There are as many of this peer as there may be of one.
    PeerFull,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The peer ended it after a whole message.
    End,
    /// It ended, or broke, in the middle of one.
    CutShort,
    /// The peer said nothing for too long.
    Idle,
    /// The peer sent what is no IPFIX message.
    Malformed,
    /// It broke.
    Failed,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// The peer may not send any more.
    Stranger,
    /// The collector stopped.
    Stopped,
}

impl Transport {
    const ALL: [Self; 2] = [Self::Tcp, Self::Tls];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl Refusal {
    const ALL: [Self; 3] = [Self::Stranger, Self::Full, Self::PeerFull];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Full => "full",
            Self::PeerFull => "peer_full",
        }
    }
}

impl Closed {
    const ALL: [Self; 8] = [
        Self::End,
        Self::CutShort,
        Self::Idle,
        Self::Malformed,
        Self::Failed,
        Self::Handshake,
        Self::Stranger,
        Self::Stopped,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::CutShort => "cut_short",
            Self::Idle => "idle",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
            Self::Handshake => "handshake",
            Self::Stranger => "stranger",
            Self::Stopped => "stopped",
        }
    }
}

/// The counters: opened = closed + open.
#[derive(Debug)]
pub struct Connections {
    open: Gauge,
    opened: Counters,
    refused: Counters,
    closed: Counters,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            open: Gauge::default(),
            opened: labelled("transport", &Transport::ALL.map(Transport::as_str)),
            refused: labelled("reason", &Refusal::ALL.map(Refusal::as_str)),
            closed: labelled("reason", &Closed::ALL.map(Closed::as_str)),
        }
    }
}

impl Connections {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections that are open", self.open.clone());
        registry.register("connections_opened", "Connections taken", self.opened.clone());
        registry.register(
            "connections_refused",
            "Connections not taken",
            self.refused.clone(),
        );
        registry.register("connections_closed", "Connections ended", self.closed.clone());
    }

    /// A connection was taken.
    pub fn open(&self, transport: Transport) {
        self.open.inc();
        self.opened
            .get_or_create(&[("transport", transport.as_str())])
            .inc();
    }

    /// A connection was not taken.
    pub fn refuse(&self, reason: Refusal) {
        self.refused.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    /// A connection that was taken has ended.
    pub fn close(&self, reason: Closed) {
        self.open.dec();
        self.closed.get_or_create(&[("reason", reason.as_str())]).inc();
    }
}

/// Connections over HTTP.
#[derive(Debug)]
pub struct HttpConnections {
    open: Gauge,
    refused: Counters,
    certificate_ends: Gauge,
}

impl Default for HttpConnections {
    fn default() -> Self {
        let reasons = [Refusal::Full, Refusal::PeerFull].map(Refusal::as_str);
        Self {
            open: Gauge::default(),
            refused: labelled("reason", &reasons),
            certificate_ends: Gauge::default(),
        }
    }
}

impl HttpConnections {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "http_connections",
            "Connections over HTTP that are open",
            self.open.clone(),
        );
        registry.register(
            "http_connections_refused",
            "Connections over HTTP not taken",
            self.refused.clone(),
        );
        registry.register(
            "http_certificate_not_after_seconds",
            "When the certificate ends that is shown over HTTPS, in seconds since the epoch; 0 without one",
            self.certificate_ends.clone(),
        );
    }

    /// The certificate that is shown ends then, in seconds since the epoch.
    pub fn certificate_ends(&self, seconds: i64) {
        self.certificate_ends.set(seconds);
    }

    /// A connection was taken.
    pub fn open(&self) {
        self.open.inc();
    }

    /// A connection that was taken has ended.
    pub fn close(&self) {
        self.open.dec();
    }

    /// A connection was not taken.
    pub fn refuse(&self, reason: Refusal) {
        self.refused.get_or_create(&[("reason", reason.as_str())]).inc();
    }
}
