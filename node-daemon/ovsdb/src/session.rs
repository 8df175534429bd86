//! The life of one database session, without I/O: bytes and time come in,
//! bytes, finished transactions and the [`View`] go out.
//!
//! ```text
//!            poll_dial           connected            reply          reply
//!  Waiting ------------> Dialing ---------> GetSchema -----> Monitor -----> Synced
//!     ^                     |                   |              | ^            |
//!     +------ failed -------+-------------------+--------------+-|------------+
//!        (backoff 50 ms .. 1 s)                  unknown method: next older one
//! ```
//!
//! Whatever goes wrong (the connection, silence, a message that makes no sense,
//! an update that contradicts the replica) ends in `Waiting` with the reason in
//! [`Link::Down`]; the view keeps the last known rows. A transaction's reply is
//! handed out in the order of messages, so after the updates sent before it.
//!
//! The driver (see [`crate::client`]) must, after each call, write what
//! [`Session::take_output`] gives, close the socket when [`Session::is_online`]
//! is false, and call [`Session::tick`] at [`Session::deadline`].

mod backoff;
mod follow;
mod handshake;
mod probe;
mod reason;
mod transactions;

pub use handshake::Monitor;
pub use reason::SessionError;
pub use transactions::Ticket;

use crate::{
    error::TransactError,
    framing::Splitter,
    operation::{Operation, OperationResult},
    rpc::{self, Message, Refusal},
    value::Uuid,
    view::{Link, View},
};
use backoff::Backoff;
use handshake::{Deferred, Method, Plan};
use jsonrpc_core::{Id, Params};
use probe::{Probe, Verdict};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use transactions::Transactions;

/// Durations and limits of a session.
#[derive(Debug, Clone)]
pub struct Limits {
    /// After this much silence the server is asked for an echo; after as much
    /// again it is given up.
    pub probe_interval: Duration,
    /// First wait before connecting again; doubles with each failure.
    pub backoff_min: Duration,
    /// Longest wait before connecting again.
    pub backoff_max: Duration,
    /// Largest message accepted, in bytes.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            probe_interval: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            message_bytes: Splitter::DEFAULT_LIMIT,
        }
    }
}

/// The state machine; see the module's text.
#[derive(Debug)]
pub struct Session {
    database: String,
    monitor: Monitor,
    limits: Limits,
    phase: Phase,
    backoff: Backoff,
    splitter: Splitter,
    probe: Probe,
    output: Vec<u8>,
    transactions: Transactions,
    view: View,
    /// What is monitored now, kept across connections: another plan needs all rows anew.
    plan: Option<Plan>,
    /// The last transaction in the replica, when the server numbers them.
    last_transaction: Option<Uuid>,
    ignored: u64,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Instant },
    Dialing,
    GetSchema,
    Monitor { method: Method, deferred: Vec<Deferred> },
    Synced { since: Instant },
}

const GET_SCHEMA: &str = "get_schema";
const PROBE: &str = "echo";
const MONITOR: &str = "monitor";

impl Session {
    /// A session that wants to connect at once.
    pub fn new(database: impl Into<String>, monitor: Monitor, limits: Limits, now: Instant) -> Session {
        Session {
            database: database.into(),
            monitor,
            phase: Phase::Waiting { until: now },
            backoff: Backoff::new(limits.backoff_min, limits.backoff_max),
            splitter: Splitter::new(limits.message_bytes),
            probe: Probe::new(limits.probe_interval, now),
            limits,
            output: Vec::new(),
            transactions: Transactions::default(),
            view: View::default(),
            plan: None,
            last_transaction: None,
            ignored: 0,
        }
    }

    /// What is known of the database. `version` tells whether it changed.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Messages from the server that meant nothing to this client: late replies,
    /// unknown notifications, other monitors' updates.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Whether there is a connection to read from and write to.
    pub fn is_online(&self) -> bool {
        !matches!(self.phase, Phase::Waiting { .. } | Phase::Dialing)
    }

    /// Whether to open a connection now; then report [`Session::connected`] or
    /// [`Session::failed`].
    pub fn poll_dial(&mut self, now: Instant) -> bool {
        let due = matches!(self.phase, Phase::Waiting { until } if until <= now);
        if due {
            self.phase = Phase::Dialing;
        }
        due
    }

    /// When to call [`Session::tick`] (or [`Session::poll_dial`]) next.
    pub fn deadline(&self) -> Option<Instant> {
        let own = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Dialing => None,
            _ => Some(self.probe.deadline()),
        };
        [own, self.transactions.deadline()].into_iter().flatten().min()
    }

    /// A connection is open.
    pub fn connected(&mut self, now: Instant) {
        self.splitter = Splitter::new(self.limits.message_bytes);
        self.probe = Probe::new(self.limits.probe_interval, now);
        self.output.clear();
        self.phase = Phase::GetSchema;
        self.send(GET_SCHEMA, vec![json!(self.database)], GET_SCHEMA);
    }

    /// The connection could not be opened, or is no more. Nothing happens when
    /// the session knows that already.
    pub fn failed(&mut self, reason: SessionError, now: Instant) {
        if matches!(self.phase, Phase::Waiting { .. }) {
            return;
        }
        if let Phase::Synced { since } = self.phase {
            self.backoff.survived(now.duration_since(since));
        }
        if reason.is_protocol() {
            // What led here must not be continued from.
            self.last_transaction = None;
        }
        tracing::debug!(kind = reason.kind(), %reason, "OVSDB session ended");
        let error = reason.to_string();
        self.transactions.disconnected(&error);
        self.output.clear();
        self.phase = Phase::Waiting {
            until: now + self.backoff.next_delay(),
        };
        self.view.link = Link::Down {
            error,
            attempts: self.backoff.failures(),
        };
        self.touch();
    }

    /// Bytes came from the server. On nonsense the session goes offline.
    pub fn received(&mut self, bytes: &[u8], now: Instant) {
        self.probe.heard(now);
        self.splitter.push(bytes);
        while self.is_online() {
            let step = match self.splitter.next_message() {
                Ok(None) => return,
                Ok(Some(message)) => self.handle(&message, now),
                Err(error) => Err(error.into()),
            };
            if let Err(reason) = step {
                self.failed(reason, now);
            }
        }
    }

    /// The socket took some of the output.
    pub fn sent(&mut self, now: Instant) {
        self.probe.progressed(now);
    }

    /// Time has passed: probes a silent server, gives up a dead one, ends late transactions.
    pub fn tick(&mut self, now: Instant) {
        for id in self.transactions.expire(now) {
            if self.is_online() {
                let cancel = rpc::notification("cancel", Params::Array(vec![json!(id)]));
                self.output.extend(cancel);
            }
        }
        if !self.is_online() {
            return;
        }
        match self.probe.check(now) {
            Verdict::Alive => {}
            Verdict::Ask => self.send(PROBE, vec![], PROBE),
            Verdict::Dead => self.failed(SessionError::Silent, now),
        }
    }

    /// Queues a transaction; its end comes out of [`Session::take_finished`],
    /// at `deadline` at the latest.
    pub fn transact(&mut self, operations: &[Operation], deadline: Instant) -> Ticket {
        if !matches!(self.phase, Phase::Synced { .. }) {
            return self.transactions.refuse(TransactError::NotConnected);
        }
        let (ticket, id) = self.transactions.begin(operations.len(), deadline);
        let mut params = vec![json!(self.database)];
        params.extend(operations.iter().map(Operation::to_json));
        self.output
            .extend(rpc::request("transact", Params::Array(params), &id));
        ticket
    }

    /// A transaction that has come to its end.
    pub fn take_finished(&mut self) -> Option<(Ticket, Result<Vec<OperationResult>, TransactError>)> {
        self.transactions.take_finished()
    }

    /// Transactions that wait for their reply.
    pub fn pending(&self) -> usize {
        self.transactions.pending()
    }

    /// Bytes to write to the server.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn send(&mut self, method: &str, params: Vec<Value>, id: &str) {
        self.output.extend(rpc::request(
            method,
            Params::Array(params),
            &Id::Str(id.to_owned()),
        ));
    }

    fn touch(&mut self) {
        self.view.version += 1;
    }

    fn handle(&mut self, message: &[u8], now: Instant) -> Result<(), SessionError> {
        match Message::parse(message)? {
            Message::Request { method, params, id } => {
                self.answer(&method, params, &id);
                Ok(())
            }
            Message::Notification { method, params } => self.notified(&method, params),
            Message::Reply { id, outcome } => self.replied(&id, outcome, now),
        }
    }

    /// RFC 7047 section 4.1.11: either side may ask for an echo.
    fn answer(&mut self, method: &str, params: Params, id: &Id) {
        let outcome = match method {
            "echo" => Ok(Value::from(params)),
            _ => Err(json!("unknown method")),
        };
        self.output.extend(rpc::reply(id, outcome));
    }

    fn replied(
        &mut self,
        id: &Id,
        outcome: Result<Value, Refusal>,
        now: Instant,
    ) -> Result<(), SessionError> {
        match (id, &mut self.phase) {
            (Id::Str(id), Phase::GetSchema) if id == GET_SCHEMA => self.schema_came(outcome),
            (Id::Str(id), Phase::Monitor { method, deferred }) if *id == method.id() => {
                let (method, deferred) = (*method, std::mem::take(deferred));
                self.monitor_came(method, outcome, deferred, now)
            }
            (Id::Str(id), _) if id == PROBE => Ok(()),
            _ => {
                if !self.transactions.replied(id, outcome) {
                    self.ignore("reply");
                }
                Ok(())
            }
        }
    }

    fn ignore(&mut self, what: &str) {
        self.ignored += 1;
        tracing::debug!(what, "OVSDB message ignored");
    }
}

#[cfg(test)]
mod tests;
