//! One client and its own connection to OVSDB, which is opened when something passes.
//! Decides nothing: [`crate::filter`] does.
//!
//! Each side is read only while the other takes what it is given; who takes nothing for
//! [`WRITE_LIMIT`] is let go.

use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ovsdb::framing::{FramingError, Splitter};
use ovsdb::rpc::{self, EnvelopeError, Id};
use run_folder::Question;
use serde_json::json;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::filter::{Filter, FromClient, FromServer, MOST_CLIENT_BYTES, Work};
use crate::server::Gate;

/// Largest message of OVSDB's, in bytes: all rows at once.
const MOST_SERVER_BYTES: usize = 32 << 20;
const READ_BYTES: usize = 16 << 10;
/// How long one message may take to be taken.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long opening a connection to OVSDB may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a client may neither say anything nor be told anything.
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// Why a client is let go.
#[derive(Debug, Error)]
pub enum RelayError {
    /// It, or OVSDB, is gone, or takes nothing.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The bytes are no messages.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A message is none of JSON-RPC 1.0.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// OVSDB ended the connection.
    #[error("OVSDB closed the connection")]
    ServerClosed,
    /// OVSDB cannot be reached.
    #[error("OVSDB cannot be reached: {0}")]
    Unreachable(io::Error),
}

/// Serves a client until it goes.
///
/// # Errors
/// Why it did not go by itself.
pub async fn relay(client: UnixStream, gate: &Gate) -> Result<(), RelayError> {
    let mut relay = Relay {
        gate,
        client,
        server: None,
        filter: Filter::default(),
    };
    let mut from_client = Splitter::new(MOST_CLIENT_BYTES);
    let mut from_server = Splitter::new(MOST_SERVER_BYTES);
    let (mut asked, mut told) = (vec![0; READ_BYTES], vec![0; READ_BYTES]);
    let mut active = Instant::now();
    loop {
        // Both reads are cancel-safe: what was read is handled before the next wait.
        tokio::select! {
            read = relay.client.read(&mut asked) => {
                match read? {
                    0 => return Ok(()),
                    count => from_client.push(&asked[..count]),
                }
                active = Instant::now();
                while let Some(message) = from_client.next_message()? {
                    relay.asked(&message).await?;
                }
            }
            read = read_some(&mut relay.server, &mut told) => {
                match read? {
                    0 => return Err(RelayError::ServerClosed),
                    count => from_server.push(&told[..count]),
                }
                while let Some(message) = from_server.next_message()? {
                    if relay.told(&message).await? {
                        active = Instant::now();
                    }
                }
            }
            () = tokio::time::sleep_until((active + IDLE_LIMIT).into()) => {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
        }
    }
}

struct Relay<'a> {
    gate: &'a Gate,
    client: UnixStream,
    server: Option<UnixStream>,
    filter: Filter,
}

impl Relay<'_> {
    async fn asked(&mut self, message: &[u8]) -> Result<(), RelayError> {
        match self.filter.from_client(message)? {
            FromClient::Pass { bytes, work } => {
                self.gate.turn(work).await;
                if self.server.is_none() {
                    // A session of OVSDB's is made and ended.
                    self.gate.turn(Work::Copy).await;
                }
                let server = match &mut self.server {
                    Some(server) => server,
                    None => match self.gate.connect().await {
                        Ok(server) => self.server.insert(server),
                        Err(error) => return self.give_up(error).await,
                    },
                };
                write(server, &bytes).await
            }
            FromClient::Ask(id, question) => self.answer(&id, &question).await,
            FromClient::Refuse { answer, refusal } => {
                self.gate.note(&refusal, Instant::now());
                match answer {
                    Some(answer) => write(&mut self.client, &answer).await,
                    None => Ok(()),
                }
            }
        }
    }

    /// The client is told why it is let go.
    async fn give_up(&mut self, error: RelayError) -> Result<(), RelayError> {
        for answer in self.filter.fail(&error.to_string()) {
            write(&mut self.client, &answer).await?;
        }
        Err(error)
    }

    async fn answer(&mut self, id: &Id, question: &Question) -> Result<(), RelayError> {
        let answer = match question {
            Question::Refusals => Ok(self.gate.refused().to_json()),
            _ => self.gate.answers.to(question, self.gate.folder()).await,
        };
        let outcome = answer.map_err(|details| json!({"error": "I/O error", "details": details}));
        write(&mut self.client, &rpc::reply(id, outcome)).await
    }

    /// Whether the client was told anything.
    async fn told(&mut self, message: &[u8]) -> Result<bool, RelayError> {
        match (self.filter.from_server(message)?, &mut self.server) {
            (FromServer::Pass(bytes), _) => write(&mut self.client, &bytes).await.map(|()| true),
            (FromServer::Answer(bytes), Some(server)) => write(server, &bytes).await.map(|()| false),
            (FromServer::Answer(_) | FromServer::Drop, _) => Ok(false),
        }
    }
}

impl Gate {
    async fn connect(&self) -> Result<UnixStream, RelayError> {
        let connecting = UnixStream::connect(self.database());
        let connected = match timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => connected,
            Err(late) => Err(late.into()),
        };
        connected.map_err(RelayError::Unreachable)
    }

    /// Waits until something may be given to OVSDB.
    async fn turn(&self, work: Work) {
        let wait = {
            let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
            paces.of(work).take(Instant::now())
        };
        tokio::time::sleep(wait).await;
    }
}

async fn write(stream: &mut UnixStream, bytes: &[u8]) -> Result<(), RelayError> {
    timeout(WRITE_LIMIT, stream.write_all(bytes))
        .await
        .map_err(io::Error::from)??;
    Ok(())
}

/// Nothing ever comes from a connection that there is not.
async fn read_some(stream: &mut Option<UnixStream>, buffer: &mut [u8]) -> io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}
