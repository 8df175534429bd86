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

    /// Serves while `up` holds; while it does not, there is no socket.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub async fn run(self: Arc<Self>, mut up: watch::Receiver<bool>) -> io::Result<()> {
        loop {
            if up.wait_for(|up| *up).await.is_err() {
                return Ok(());
            }
            let listener = UnixListener::bind(&self.path)?;
            let serve = async {
                loop {
                    let (stream, _) = listener.accept().await?;
                    if let Err(error) = self.converse(stream).await {
                        tracing::debug!(%error, "a connection ended");
                    }
                }
            };
            let ended: io::Result<()> = tokio::select! {
                ended = serve => ended,
                _ = up.wait_for(|up| !*up) => Ok(()),
            };
            std::fs::remove_file(&self.path)?;
            ended?;
        }
    }

    async fn converse(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut splitter = Splitter::new(Splitter::DEFAULT_LIMIT);
        let mut buffer = vec![0; 4096];
        let mut monitor = (Value::Null, json!({}));
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            splitter.push(&buffer[..length]);
            while let Some(message) = splitter.next_message().map_err(io::Error::other)? {
                let message: Value = serde_json::from_slice(&message)?;
                for answer in self.answer(&message, &mut monitor) {
                    stream.write_all(answer.to_string().as_bytes()).await?;
                }
            }
        }
    }

    /// What is sent back for a message: updates first, as ovsdb-server does.
    fn answer(&self, message: &Value, monitor: &mut (Value, Value)) -> Vec<Value> {
        let params = &message["params"];
        let reply = |result: Value| json!({"id": message["id"], "result": result, "error": null});
        match message["method"].as_str() {
            Some("echo") => vec![reply(params.clone())],
            Some("get_schema") => vec![reply(self.schema.json.clone())],
            Some("monitor") => {
                *monitor = (params[1].clone(), params[2].clone());
                vec![reply(self.database().rows(&monitor.1))]
            }
            Some("transact") => {
                let operations = params.as_array().map_or(&[][..], |params| &params[1..]);
                let (results, changes) = self.database().transact(operations, &monitor.1);
                (self.committed)(&changes);
                let update = json!({"id": null, "method": "update", "params": [monitor.0, changes]});
                vec![update, reply(json!(results))]
            }
            Some(_) => {
                vec![json!({"id": message["id"], "result": null, "error": {"error": "unknown method"}})]
            }
            // An answer to what was never asked.
            None => Vec::new(),
        }
    }

    fn database(&self) -> std::sync::MutexGuard<'_, Database> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
