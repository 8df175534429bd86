//! The task of a client: moves bytes between socket and session, and wakes the
//! session in time.
//!
//! Every branch of its `select!`s is cancel-safe: a read or a write either took
//! place as a whole or not at all, and what was read is handled before the next
//! wait. The task ends when no [`super::Client`] is left or one was closed.

use super::endpoint::{Endpoint, Stream};
use crate::{
    error::TransactError,
    operation::{Operation, OperationResult},
    session::{Session, SessionError, Ticket},
    view::View,
};
use std::{
    collections::{HashMap, VecDeque},
    io,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, WriteHalf},
    sync::{mpsc, oneshot, watch},
    time::{sleep_until, timeout},
};

type Reply = oneshot::Sender<Result<Vec<OperationResult>, TransactError>>;

#[derive(Debug)]
pub(super) enum Command {
    Transact {
        operations: Vec<Operation>,
        deadline: Instant,
        reply: Reply,
    },
    /// The sender is dropped at the end.
    Close(oneshot::Sender<()>),
}

/// Transactions without reply at one time; further ones wait for their turn.
const MAX_PENDING: usize = 64;
/// With this many bytes unsent nothing more is read, so that a server that only
/// talks cannot make the answers pile up. Silence then ends the connection.
const MAX_UNSENT: usize = 16 << 20;
const READ_BYTES: usize = 16 << 10;

pub(super) struct Driver {
    endpoint: Endpoint,
    session: Session,
    connect_timeout: Duration,
    inbox: mpsc::Receiver<Command>,
    publisher: watch::Sender<View>,
    waiting: HashMap<Ticket, Reply>,
    closers: Vec<oneshot::Sender<()>>,
    open: bool,
}

/// Bytes on their way into the socket.
#[derive(Default)]
struct Outgoing {
    bytes: VecDeque<u8>,
    /// TLS may hold written bytes back until it is flushed.
    unflushed: bool,
}

impl Driver {
    pub(super) fn new(
        endpoint: Endpoint,
        session: Session,
        connect_timeout: Duration,
        inbox: mpsc::Receiver<Command>,
        publisher: watch::Sender<View>,
    ) -> Driver {
        let (waiting, closers) = (HashMap::new(), Vec::new());
        Driver {
            endpoint,
            session,
            connect_timeout,
            inbox,
            publisher,
            waiting,
            closers,
            open: true,
        }
    }

    pub(super) async fn run(mut self) {
        while self.open {
            if !self.session.poll_dial(now()) {
                self.rest().await;
            } else if let Some(stream) = self.dial().await {
                self.converse(stream).await;
            }
        }
        self.session.failed(SessionError::Closed, now());
        self.settle();
    }

    /// Waits until it is time to connect again.
    async fn rest(&mut self) {
        let deadline = self.session.deadline().unwrap_or_else(now);
        tokio::select! {
            command = self.inbox.recv() => self.obey(command),
            () = sleep_until(deadline.into()) => self.session.tick(now()),
        }
        self.settle();
    }

    async fn dial(&mut self) -> Option<Stream> {
        let endpoint = self.endpoint.clone();
        let connecting = timeout(self.connect_timeout, endpoint.connect());
        tokio::pin!(connecting);
        let outcome = loop {
            tokio::select! {
                outcome = &mut connecting => break outcome,
                command = self.inbox.recv() => self.obey(command),
            }
            self.settle();
            if !self.open {
                return None;
            }
        };
        let reason = match outcome {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {:?}", self.connect_timeout),
        };
        let endpoint = endpoint.to_string();
        self.session
            .failed(SessionError::Connect { endpoint, reason }, now());
        self.settle();
        None
    }

    async fn converse(&mut self, stream: Stream) {
        self.session.connected(now());
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut outgoing = Outgoing::default();
        let mut buffer = vec![0; READ_BYTES];
        while self.open && self.session.is_online() {
            outgoing.bytes.extend(self.session.take_output());
            let deadline = self.session.deadline().unwrap_or_else(now);
            tokio::select! {
                read = reader.read(&mut buffer), if outgoing.bytes.len() < MAX_UNSENT => match read {
                    Ok(0) => self.session.failed(SessionError::Closed, now()),
                    Ok(count) => self.session.received(&buffer[..count], now()),
                    Err(error) => self.session.failed(SessionError::Io(error.to_string()), now()),
                },
                sent = outgoing.advance(&mut writer), if outgoing.is_pending() => match sent {
                    Ok(count) => {
                        outgoing.advanced(count);
                        self.session.sent(now());
                    }
                    Err(error) => self.session.failed(SessionError::Io(error.to_string()), now()),
                },
                command = self.inbox.recv(), if self.session.pending() < MAX_PENDING => self.obey(command),
                () = sleep_until(deadline.into()) => self.session.tick(now()),
            }
            self.settle();
        }
    }

    fn obey(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Transact {
                operations,
                deadline,
                reply,
            }) => {
                let ticket = self.session.transact(&operations, deadline);
                self.waiting.insert(ticket, reply);
            }
            Some(Command::Close(closer)) => {
                self.closers.push(closer);
                self.open = false;
            }
            None => self.open = false,
        }
    }

    /// Shows what changed, and only then hands out replies: who has a reply sees its effects.
    fn settle(&mut self) {
        let view = self.session.view();
        self.publisher.send_if_modified(|published| {
            let changed = published.version != view.version;
            if changed {
                *published = view.clone();
            }
            changed
        });
        while let Some((ticket, outcome)) = self.session.take_finished() {
            if let Some(reply) = self.waiting.remove(&ticket) {
                // Nobody waits any more for a transaction whose future was dropped.
                let _ = reply.send(outcome);
            }
        }
    }
}

impl Outgoing {
    fn is_pending(&self) -> bool {
        self.unflushed || !self.bytes.is_empty()
    }

    /// One write of how many bytes, or, with nothing to write, one flush.
    async fn advance(&self, writer: &mut WriteHalf<Stream>) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return writer.flush().await.map(|()| 0);
        }
        // Never empty while there are bytes.
        let (front, _) = self.bytes.as_slices();
        match writer.write(front).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }

    fn advanced(&mut self, count: usize) {
        self.unflushed = count > 0;
        self.bytes.drain(..count);
    }
}

/// tokio's clock, which a test can pause.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests;
