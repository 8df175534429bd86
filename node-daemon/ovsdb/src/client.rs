//! The client as a handle to one task that owns the socket. Everything that is
//! decided is decided in [`crate::session`]; here is only tokio.

mod driver;
mod endpoint;
mod tls;

pub use endpoint::{Endpoint, EndpointError, TlsFiles};

use crate::{
    error::TransactError,
    operation::{Operation, OperationResult},
    session::{Limits, Monitor, Session},
    view::View,
};
use driver::{Command, Driver};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};

/// Durations and limits of a client.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a transaction may take, from call to reply.
    pub transact_timeout: Duration,
    /// How long opening a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// Of the session.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            transact_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }
}

/// Commands on their way to the task; transactions beyond it wait in [`Client::transact`].
const COMMANDS: usize = 16;

/// A connection to one database that heals itself. Clones share it; it ends with
/// the last clone, or with [`Client::close`].
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<View>,
    transact_timeout: Duration,
}

impl Client {
    /// Starts the task, which connects at once; call within a tokio runtime.
    pub fn spawn(
        endpoint: Endpoint,
        database: impl Into<String>,
        monitor: Monitor,
        options: Options,
    ) -> Client {
        let session = Session::new(database, monitor, options.limits, Instant::now().into_std());
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (publisher, view) = watch::channel(View::default());
        tokio::spawn(Driver::new(endpoint, session, options.connect_timeout, inbox, publisher).run());
        Client {
            commands,
            view,
            transact_timeout: options.transact_timeout,
        }
    }

    /// Follows the database. The receiver's `changed` fails once the client has ended.
    pub fn watch(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Commits all these operations or none. When it returns, the watched view
    /// has every update that the server sent before the reply, so also those
    /// that this transaction made.
    ///
    /// Dropping the future does not take the transaction back.
    ///
    /// # Errors
    /// [`TransactError`]; see [`TransactError::outcome_unknown`].
    pub async fn transact(&self, operations: Vec<Operation>) -> Result<Vec<OperationResult>, TransactError> {
        let deadline = Instant::now() + self.transact_timeout;
        let (reply, answer) = oneshot::channel();
        let command = Command::Transact {
            operations,
            deadline: deadline.into_std(),
            reply,
        };
        match timeout_at(deadline, self.commands.send(command)).await {
            Err(_) => Err(TransactError::TimedOut),
            Ok(Err(_)) => Err(TransactError::NotConnected),
            // The task drops a reply only when it ends before having sent the request.
            Ok(Ok(())) => answer.await.unwrap_or(Err(TransactError::NotConnected)),
        }
    }

    /// Ends the connection, also for other clones; returns when the socket is closed.
    pub async fn close(self) {
        let (ended, end) = oneshot::channel();
        if self.commands.send(Command::Close(ended)).await.is_ok() {
            // The task never sends: it drops the sender when it has ended.
            let _ = end.await;
        }
    }
}
