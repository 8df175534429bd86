//! A collector at work: where it listens, whether a part of it died, and how it
//! stops. How it is put together is `pipeline`'s.

use std::fmt;
use std::io::{self, PipeWriter};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::http::Pages;
use crate::pipeline::Addresses;
use crate::sinks::EndOnDrop;

/// How long the workers and listeners may take to read out their sockets.
const RECEIVE_DEADLINE: Duration = Duration::from_secs(4);
/// How long the sink may take to write what is queued, and the store to make
/// segments of it; the writer of templates, too. What is not in a segment then is in the store's log.
const SINK_DEADLINE: Duration = Duration::from_secs(15);
/// How long the printer may take to write what was stored before: nothing is lost with it.
const PRINT_DEADLINE: Duration = Duration::from_secs(2);
/// How long answers under way over HTTP may take.
const HTTP_DEADLINE: Duration = Duration::from_secs(1);

/// A part ended that should not have, or did not end in time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RunError {
    /// It ended while the collector was running, or ended badly.
    #[error("{0} ended: {1}")]
    Ended(Part, String),
    /// It was still busy when its time to stop was over.
    #[error("{part} did not end within {within:?}; {queued} records are not stored")]
    Stuck {
        /// The first part that was still busy.
        part: Part,
        /// How long it had.
        within: Duration,
        /// Records decoded and neither stored nor dropped.
        queued: i64,
    },
}

/// A collector at work. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    stops: Stops,
    ends: Ends,
    pages: Pages,
    // Ends with the last use of names; aborted when dropped.
    names: JoinSet<()>,
}

/// What makes the parts end.
#[derive(Debug)]
pub(crate) struct Stops {
    pub(crate) workers: PipeWriter,
    pub(crate) listeners: watch::Sender<bool>,
    pub(crate) http: watch::Sender<bool>,
    pub(crate) sinks: EndOnDrop,
}

/// The parts that have not ended, and word of those that do.
#[derive(Debug)]
struct Ends {
    inbox: mpsc::Receiver<Ended>,
    running: Vec<Part>,
}

/// One of the parts that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The receiving thread with this number.
    Worker(usize),
    /// The task that takes connections on this address.
    Listener(SocketAddr),
    /// The thread that writes records.
    Sink,
    /// The thread that prints what was stored.
    Printer,
    /// The thread that starts and ends sinks.
    Sinks,
    /// The thread that keeps templates.
    Templates,
    /// The HTTP server.
    Http,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(n) => write!(f, "receiving thread {n}"),
            Self::Listener(address) => write!(f, "the listener on TCP {address}"),
            Self::Sink => f.write_str("the sink"),
            Self::Printer => f.write_str("the printer"),
            Self::Sinks => f.write_str("the supervisor of sinks"),
            Self::Templates => f.write_str("the writer of templates"),
            Self::Http => f.write_str("the HTTP server"),
        }
    }
}

/// A part has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    part: Part,
    outcome: Result<(), String>,
}

/// Tells that its part has ended, also when it panicked.
pub(crate) struct Guard {
    part: Part,
    outcome: Result<(), String>,
    ends: mpsc::Sender<Ended>,
}

impl Ended {
    /// A guard for a part that runs in a task.
    pub(crate) fn guard(part: Part, ends: &mpsc::Sender<Ended>) -> Guard {
        Guard {
            part,
            outcome: Err("it panicked".to_owned()),
            ends: ends.clone(),
        }
    }

    /// Runs a part in a thread of its own.
    pub(crate) fn spawn(
        part: Part,
        ends: &mpsc::Sender<Ended>,
        run: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> io::Result<()> {
        let guard = Self::guard(part, ends);
        let name = match part {
            Part::Worker(n) => format!("receive-{n}"),
            Part::Listener(address) => format!("listen-{}", address.port()),
            Part::Sink => "sink".to_owned(),
            Part::Printer => "printer".to_owned(),
            Part::Sinks => "sinks".to_owned(),
            Part::Templates => "templates".to_owned(),
            Part::Http => "http".to_owned(),
        };
        thread::Builder::new()
            .name(name)
            .spawn(move || guard.report(run()))?;
        Ok(())
    }
}

impl Guard {
    /// The part ended this way.
    pub(crate) fn report(mut self, outcome: Result<(), String>) {
        self.outcome = outcome;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        // The channel has room for every part; nobody listens when the collector was dropped.
        let _ = self.ends.try_send(Ended {
            part: self.part,
            outcome,
        });
    }
}

impl Running {
    pub(crate) fn new(
        addresses: Addresses,
        stops: Stops,
        ends: mpsc::Receiver<Ended>,
        pages: Pages,
        names: JoinSet<()>,
        running: Vec<Part>,
    ) -> Self {
        Self {
            addresses,
            stops,
            ends: Ends { inbox: ends, running },
            pages,
            names,
        }
    }

    /// Where it listens, with the ports that were chosen.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Counters and readiness, as they are now.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Returns when a part has ended by itself, which none should. Cancel safe.
    pub async fn ended(&mut self) -> RunError {
        match self.ends.next().await {
            Some(end) => RunError::Ended(
                end.part,
                end.outcome.err().unwrap_or_else(|| "no reason".to_owned()),
            ),
            None => std::future::pending().await,
        }
    }

    /// Stops receiving, reads out the sockets, writes what is queued.
    ///
    /// # Errors
    /// A part ended badly, or was not done when its time was over.
    pub async fn stop(self) -> Result<(), RunError> {
        let Self {
            stops,
            mut ends,
            pages,
            names,
            ..
        } = self;
        pages.health.set_sockets(Err("stopping".to_owned()));
        drop(stops.workers);
        stops.listeners.send_replace(true);
        let receives = |part: &Part| matches!(part, Part::Worker(_) | Part::Listener(_));
        let received = ends.wait(receives, RECEIVE_DEADLINE, &pages).await;
        // Nobody else has the outlet: what waits is printed now, and the store closed.
        let written = ends.wait(|part| *part == Part::Sink, SINK_DEADLINE, &pages).await;
        // The store is closed: nothing more comes for them.
        drop(stops.sinks);
        let sent = ends
            .wait(|part| *part == Part::Sinks, SINK_DEADLINE, &pages)
            .await;
        if let Err(error) = sent {
            tracing::warn!(%error, "not all that was stored was sent; the next start goes on");
        }
        let kept = ends
            .wait(|part| *part == Part::Templates, SINK_DEADLINE, &pages)
            .await;
        let printed = ends
            .wait(|part| *part == Part::Printer, PRINT_DEADLINE, &pages)
            .await;
        if let Err(error) = printed {
            tracing::warn!(%error, "not all that was stored is printed as well");
        }
        drop(names);
        stops.http.send_replace(true);
        let served = ends.wait(|part| *part == Part::Http, HTTP_DEADLINE, &pages).await;
        if let Err(error) = served {
            tracing::warn!(%error, "an HTTP client is cut off");
        }
        received.and(written).and(kept)
    }
}

impl Ends {
    /// The next part that ends; `None` when all have. Cancel safe.
    async fn next(&mut self) -> Option<Ended> {
        let end = self.inbox.recv().await?;
        self.running.retain(|part| *part != end.part);
        Some(end)
    }

    /// Waits until all these parts have ended.
    async fn wait(
        &mut self,
        these: impl Fn(&Part) -> bool,
        within: Duration,
        pages: &Pages,
    ) -> Result<(), RunError> {
        let deadline = Instant::now() + within;
        let mut outcome = Ok(());
        while let Some(part) = self.running.iter().copied().find(|part| these(part)) {
            match timeout_at(deadline, self.next()).await {
                Ok(Some(Ended {
                    part,
                    outcome: Err(why),
                })) => outcome = Err(RunError::Ended(part, why)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    return Err(RunError::Stuck {
                        part,
                        within,
                        queued: pages.metrics.queued(),
                    });
                }
            }
        }
        outcome
    }
}
