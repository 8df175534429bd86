//! The database behind a socket: JSON-RPC as RFC 7047 section 4 has it, for one client, which
//! `weir-node` is. It can be taken away and given back.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ovsdb::framing::Splitter;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::database::Database;
use crate::schema::Schema;

/// How it is with the databases and their switches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both are there.
    Up,
    /// There are no databases.
    Down,
    /// The switches take nothing over.
    Hung,
}

/// A database and where it listens.
pub struct Server {
    path: PathBuf,
    schema: Arc<Schema>,
    database: Mutex<Database>,
    /// Told of each change that was committed.
    committed: Box<dyn Fn(&Value) + Send + Sync>,
}

impl Server {
    /// A new switch's database. `committed` is told the `<table-updates>` of each transaction.
    pub fn new(
        path: PathBuf,
        schema: Arc<Schema>,
        committed: impl Fn(&Value) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            path,
            database: Mutex::new(Database::new(schema.clone())),
            schema,
            committed: Box::new(committed),
        })
    }

    /// Serves while there is to be a database; while there is none, there is no socket.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub async fn run(self: Arc<Self>, mut mode: watch::Receiver<Mode>) -> io::Result<()> {
        loop {
            if mode.wait_for(|mode| *mode != Mode::Down).await.is_err() {
                return Ok(());
            }
            let listener = UnixListener::bind(&self.path)?;
            let now = mode.clone();
            let serve = async {
                loop {
                    let (stream, _) = listener.accept().await?;
                    if let Err(error) = self.converse(stream, &now).await {
                        tracing::debug!(%error, "a connection ended");
                    }
                }
            };
            let ended: io::Result<()> = tokio::select! {
                ended = serve => ended,
                _ = mode.wait_for(|mode| *mode == Mode::Down) => Ok(()),
            };
            std::fs::remove_file(&self.path)?;
            ended?;
        }
    }

    async fn converse(&self, mut stream: UnixStream, mode: &watch::Receiver<Mode>) -> io::Result<()> {
        let mut splitter = Splitter::new(Splitter::DEFAULT_LIMIT);
        let mut buffer = vec![0; 4096];
        let mut monitor = (Value::Null, json!({}));
        let mut mode = mode.clone();
        loop {
            let length = tokio::select! {
                length = stream.read(&mut buffer) => length?,
                changed = mode.changed() => {
                    changed.map_err(io::Error::other)?;
                    if *mode.borrow_and_update() == Mode::Up
                        && let Some(update) = self.catch_up(&monitor)
                    {
                        stream.write_all(update.as_bytes()).await?;
                    }
                    continue;
                }
            };
            if length == 0 {
                return Ok(());
            }
            splitter.push(&buffer[..length]);
            while let Some(message) = splitter.next_message().map_err(io::Error::other)? {
                let message: Value = serde_json::from_slice(&message)?;
                let hangs = *mode.borrow() == Mode::Hung;
                for answer in self.answer(&message, &mut monitor, hangs) {
                    stream.write_all(answer.as_bytes()).await?;
                }
            }
        }
    }

    /// What whoever watches is told when the switch goes on, and takes over what it missed.
    fn catch_up(&self, (id, requests): &(Value, Value)) -> Option<String> {
        let changes = self.database().catch_up(requests);
        let is_new = changes.as_object().is_some_and(|changes| !changes.is_empty());
        is_new.then(|| json!({"id": null, "method": "update", "params": [id, changes]}).to_string())
    }

    /// What is sent back for a message: updates first, as ovsdb-server does.
    fn answer(&self, message: &Value, monitor: &mut (Value, Value), hangs: bool) -> Vec<String> {
        let params = &message["params"];
        let reply = |result: Value| json!({"id": message["id"], "result": result, "error": null}).to_string();
        match message["method"].as_str() {
            Some("echo") => vec![reply(params.clone())],
            // Large, and the same for all.
            Some("get_schema") => vec![format!(
                r#"{{"id":{},"result":{},"error":null}}"#,
                message["id"], self.schema.text
            )],
            Some("monitor") => {
                *monitor = (params[1].clone(), params[2].clone());
                vec![reply(self.database().rows(&monitor.1))]
            }
            Some("transact") => {
                let operations = params.as_array().map_or(&[][..], |params| &params[1..]);
                let (results, changes) = self.database().transact(operations, &monitor.1, hangs);
                (self.committed)(&changes);
                let update = json!({"id": null, "method": "update", "params": [monitor.0, changes]});
                vec![update.to_string(), reply(json!(results))]
            }
            Some(_) => {
                let error =
                    json!({"id": message["id"], "result": null, "error": {"error": "unknown method"}});
                vec![error.to_string()]
            }
            // An answer to what was never asked.
            None => Vec::new(),
        }
    }

    fn database(&self) -> std::sync::MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
