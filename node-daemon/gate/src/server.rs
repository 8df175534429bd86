//! The socket: who may connect, and how many at a time.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use run_folder::{Absence, RefusalCounts, RunFolder};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::answers::Answers;
use crate::filter::Refusal;
use crate::pace::Paces;
use crate::refusals::Refusals;
use crate::relay::relay;

/// Clients at a time; one node daemon has up to three.
pub const MOST_CLIENTS: usize = 16;
/// How often the folder is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Why the gate ends.
#[derive(Debug, Error)]
pub enum GateError {
    /// The socket cannot be made.
    #[error("cannot listen at {}: {error}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// What is open shows a folder that is gone; another start mounts the new one.
    #[error("{0}")]
    FolderGone(&'static str),
}

/// What all clients share.
#[derive(Debug)]
pub struct Gate {
    database: PathBuf,
    folder: RunFolder,
    client_uids: Vec<u32>,
    pub(crate) paces: Mutex<Paces>,
    pub(crate) answers: Answers,
    refusals: Mutex<Refusals>,
}

impl Gate {
    /// A gate to the database at this socket, for processes of these users.
    pub fn new(database: &Path, client_uids: Vec<u32>) -> Self {
        Self {
            database: database.to_owned(),
            folder: RunFolder::of_socket(database),
            client_uids,
            paces: Mutex::default(),
            answers: Answers::default(),
            refusals: Mutex::default(),
        }
    }

    pub(crate) fn database(&self) -> &Path {
        &self.database
    }

    pub(crate) fn folder(&self) -> &RunFolder {
        &self.folder
    }

    pub(crate) fn note(&self, refusal: &Refusal, now: Instant) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unlogged) = refusals.note(refusal, now) {
            let refused = refusals.counts().to_json();
            tracing::warn!(reason = refusal.kind(), %refusal, unlogged, %refused, "refused");
        }
    }

    /// What was refused since the beginning.
    pub(crate) fn refused(&self) -> RefusalCounts {
        let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.counts()
    }

    /// Listens, in place of a socket that was left there.
    ///
    /// # Errors
    /// [`GateError::Listen`].
    pub fn listen(path: &Path) -> Result<UnixListener, GateError> {
        let listen = || {
            if fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
                fs::remove_file(path)?;
            }
            let listener = UnixListener::bind(path)?;
            // Who connects is asked of the kernel.
            fs::set_permissions(path, Permissions::from_mode(0o666))?;
            Ok(listener)
        };
        listen().map_err(|error| GateError::Listen {
            path: path.to_owned(),
            error,
        })
    }

    /// Serves clients for ever.
    pub async fn serve(self: Arc<Self>, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            let client = match listener.accept().await {
                Ok((client, _)) => client,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if !self.may_connect(&client) {
                // Our own user is the check of whether we still accept.
                if peer(&client) != Some(rustix::process::geteuid().as_raw()) {
                    self.note(&Refusal::Peer, Instant::now());
                }
                continue;
            }
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.note(&Refusal::TooMany("clients"), Instant::now());
                continue;
            };
            let gate = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = relay(client, &gate).await {
                    tracing::debug!(%error, "a client is let go");
                }
                drop(place);
            });
        }
    }

    /// The kernel tells of which user the process was that connected.
    fn may_connect(&self, client: &UnixStream) -> bool {
        peer(client).is_some_and(|uid| self.client_uids.contains(&uid))
    }

    /// Looks after the folder until it is gone for good.
    pub async fn watch_folder(&self) -> GateError {
        let mut absence = Absence::default();
        loop {
            absence.saw(self.folder.state().socket, Instant::now());
            if let Some(complaint) = absence.complaint(Instant::now()) {
                return GateError::FolderGone(complaint);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

fn peer(client: &UnixStream) -> Option<u32> {
    client.peer_cred().ok().map(|peer| peer.uid())
}
